"""Running handlers again: the next attempt of what has ended, put in line for whoever runs the handlers.

In: what to run again. Out: each attempt, as it ends. A running receiver does the work; where none runs, this process
does, with handlers that it is given: never both, since it is the worker's lock that decides.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

from receiver.entry import ENDED, Latest, Run, RunState
from receiver.handlers import Handlers, load
from receiver.inbox import Inbox
from receiver.report import Report
from receiver.terminal import warn
from receiver.worker import GRACE_SECONDS, POLL_SECONDS, Lock, Worker

PATIENCE_SECONDS = 10.0
"""How long a receiver that runs nothing may leave them untouched before it is not waited for any more."""


class RetryError(Exception):
    """Nobody is there to run the handlers, or whoever is does not; the text says what to do."""


def run_again(inbox: Inbox, chosen: Sequence[Latest], place: str | None) -> Iterator[tuple[Latest, Run]]:
    """Runs the next attempt of each, and yields it when it has ended.

    Args:
        place: where the handlers are, for the case that no receiver runs on this inbox.

    Raises:
        RetryError: no receiver runs and there is no such handler (then nothing was put in line); or the receiver ended,
            or leaves them alone (then they stay in line).
    """
    lock, worker = Lock(inbox.path.parent), None
    try:
        if lock.take():
            worker = Worker(inbox, _handlers_for(chosen, place), Report(lambda _: None), lock)
            worker.lead()
        waiting = dict(zip(inbox.runs.again(chosen), chosen, strict=True))
        if worker:
            worker.start(only=list(waiting))
        yield from _as_they_end(inbox, waiting, None if worker else lock)
    except KeyboardInterrupt:
        warn(f"stopping: a handler that runs has {GRACE_SECONDS:g} s to end; what has not begun stays in line")
        raise
    finally:
        if worker:
            worker.close()
        lock.release()


def _handlers_for(chosen: Sequence[Latest], place: str | None) -> Handlers:
    if place is None:
        raise RetryError("no receiver runs on this inbox; start one, or give its handlers with --handlers FILE")
    handlers = load(place)
    if missing := {one.run.handler for one in chosen} - set(handlers.names()):
        raise RetryError(f"{place} has no handler {', '.join(sorted(missing))}; nothing was run")
    return handlers


def _as_they_end(inbox: Inbox, waiting: Mapping[int, Latest], lock: Lock | None) -> Iterator[tuple[Latest, Run]]:
    """`lock` is another process's, which does the work; when it can be taken, that one has ended."""
    left = dict(waiting)
    until = time.monotonic() + PATIENCE_SECONDS
    while left:
        abandoned = lock is not None and lock.take()  # asked first: what ended before that is seen below
        found = inbox.runs.numbered(list(left))
        for number, run in found.items():
            if run.state in ENDED:
                yield left.pop(number), run
        if left and abandoned:
            begun = sum(run.state is RunState.RUNNING for run in found.values())
            how = "has ended in the middle of one, which is interrupted" if begun else "has ended"
            raise RetryError(f"the receiver {how}; {len(left) - begun} runs stay in line until one runs again")
        if inbox.runs.count(RunState.RUNNING):
            until = time.monotonic() + PATIENCE_SECONDS
        if left and time.monotonic() > until:
            raise RetryError(f"{len(left)} runs stay in line, untouched: are their handlers registered any more?")
        time.sleep(POLL_SECONDS / 5)  # a poll: it may be another process that ends them
