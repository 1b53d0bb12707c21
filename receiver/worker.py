"""The worker: claims stored deliveries in their order, runs the user's handlers, records each outcome.

One thread, one run at a time, so that what arrived first is handled first. Of all processes on one inbox only the one
that holds the worker's lock runs handlers; the others store, and one of them takes over when it ends. Knows nothing of
HTTP.
"""

import fcntl
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from receiver.entry import Claim, Run, RunState
from receiver.handlers import Handlers
from receiver.inbox import Inbox
from receiver.report import Report
from receiver.store import StoreError

T = TypeVar("T")

LOCK = "worker.lock"

POLL_SECONDS = 0.5
"""How often an idle worker looks for runs, or for a lock, that another process left to it."""

LULL_SECONDS = 0.005
"""How long an idle worker that is woken waits for more: each time that it wakes, it gets in the way of the intake."""

MOST_CLAIMS = 32
"""How many runs are claimed at once."""

GRACE_SECONDS = 10.0
"""How long a stopping receiver waits for the handler that is running."""


class Lock:
    """The right to run the handlers of the inbox in a state directory: a file that one process at a time can hold. The
    operating system lets go of it when that process ends."""

    def __init__(self, state: Path) -> None:
        self._path = state / LOCK
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def take(self) -> bool:
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Worker:
    """Runs the handlers of one inbox in a thread of its own, from `start` until `close`."""

    def __init__(self, inbox: Inbox, handlers: Handlers, report: Report, lock: Lock) -> None:
        self._inbox = inbox
        self._handlers = handlers
        self._report = report
        self._work = threading.Event()
        self._stopping = threading.Event()
        self._current: Claim | None = None
        self._lock = lock
        self._only: Sequence[int] | None = None
        self._thread = threading.Thread(target=self._live, name="worker", daemon=True)

    def lead(self) -> bool:
        """Whether this process runs the handlers of this inbox; if so, what an earlier one left is interrupted."""
        if not (self._lock.held or self._lock.take()):
            return False
        self._inbox.runs.interrupt()
        return True

    def start(self, *, only: Sequence[int] | None = None) -> None:
        """Starts the thread, for all runs or `only` those of these numbers; while another process leads, it waits."""
        self._only = only
        self._thread.start()

    def wake(self) -> None:
        """Says that something was stored."""
        self._work.set()

    def close(self) -> None:
        """Lets the run that is under way finish, at most `GRACE_SECONDS`; then it is left behind as interrupted."""
        self._stopping.set()
        self._work.set()
        if (claim := self._current) is not None:
            self._report.notice(f"waiting at most {GRACE_SECONDS:g} s for {claim.handler}; Ctrl-C again stops at once")
        if self._thread.is_alive():
            self._thread.join(GRACE_SECONDS)
        if self._thread.is_alive():
            self._inbox.runs.interrupt()
            self._report.trouble("the handler that was running is left behind: its run is interrupted")
        else:
            self._lock.release()

    def _live(self) -> None:
        while not self._stopping.is_set() and not self._durably(self.lead):
            self._stopping.wait(POLL_SECONDS)
        while not self._stopping.is_set():
            self._work.clear()
            claims = self._durably(self._claims) or []
            self._run_all(claims)
            if len(claims) < MOST_CLAIMS:  # that was all; what has come since has set the event
                self._work.wait(POLL_SECONDS)
                self._stopping.wait(LULL_SECONDS)

    def _claims(self) -> list[Claim]:
        """What is in line; where nothing is, what became valid meanwhile is put there."""
        claims = self._inbox.runs.claims(self._handlers.names(), only=self._only, most=MOST_CLAIMS)
        if not claims and self._only is None and (unrouted := self._inbox.runs.unrouted()):
            for delivery, event in unrouted:
                self._inbox.runs.route(delivery, [handler.name for handler in self._handlers.wanting(event)])
            self._work.set()  # there may be more of them
            return self._claims()
        return claims

    def _run_all(self, claims: Sequence[Claim]) -> None:
        """Runs them in their order; that one begins is recorded together with how the one before it ended."""
        ended: tuple[Claim, Run] | None = None
        for claim in claims:
            begin = partial(self._inbox.runs.begin, claim, after=ended)
            if self._stopping.is_set() or (started_at := self._durably(begin)) is None:
                break  # it was not started, so it stays pending
            self._tell(ended)
            ended = claim, self._run(claim, started_at)
        if ended and self._durably(partial(self._inbox.runs.finish, *ended)):
            self._tell(ended)

    def _run(self, claim: Claim, started_at: int) -> Run:
        began = time.perf_counter()
        self._current = claim
        error = _call(self._handlers.named(claim.handler).function, claim)
        self._current = None
        milliseconds = round((time.perf_counter() - began) * 1000, 3)
        state = RunState.FAILED if error else RunState.DONE
        return Run(claim.handler, claim.delivery.attempt, state, started_at, milliseconds, error)

    def _tell(self, ended: tuple[Claim, Run] | None) -> None:
        if ended:
            claim, run = ended
            self._report.run(claim.delivery, run)

    def _durably(self, action: Callable[[], T]) -> T | None:
        """Repeats what the inbox could not take (a full disk) until it does, and tells why, once; None when the worker
        is stopped meanwhile."""
        told = ""
        while True:
            try:
                return action()
            except (StoreError, OSError) as error:
                if told != (told := str(error)):
                    self._report.trouble(f"the worker waits: {error}")
                if self._stopping.wait(POLL_SECONDS):
                    return None


def _call(function: Callable[..., object], claim: Claim) -> str | None:
    """Runs a handler; if it raises, a line that tells what and where, and its traceback from its own first frame on."""
    try:
        function(claim.delivery)
    except BaseException as error:  # noqa: BLE001 - whatever a handler raises, even SystemExit, is recorded and stops no other
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        text = "".join([f"{_kind_and_place(error, trace)}\n", *traceback.format_exception(type(error), error, trace)])
        return text.encode(errors="backslashreplace").decode()  # half a surrogate pair, as in undecodable file names
    return None


def _kind_and_place(error: BaseException, trace: TracebackType | None) -> str:
    """`ValueError at handlers.py:12`: without the exception's text, which may hold values of the payload."""
    frames = traceback.extract_tb(trace)
    own = [frame for frame in frames if not frame.filename.startswith((sys.prefix, sys.base_prefix, "<"))] or frames
    place = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return f"{type(error).__qualname__}{place}"
