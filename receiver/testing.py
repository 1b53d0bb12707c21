"""A receiver for one test: a real one, in this process, and what a test asks of it.

In: handlers, and the webhooks that come. Out: deliveries, or an AssertionError that tells what came instead. Knows
nothing of pytest; `pytest_plugin` makes a fixture of it.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from receiver.entry import Entry, Run, RunState
from receiver.handlers import Handlers, HandlersError, load
from receiver.match import Wanted
from receiver.report import Report
from receiver.server import Server, serve
from receiver.terminal import escape
from receiver.watch import POLL_SECONDS, Answer, wait

SETTLING_SECONDS = 10.0
"""How long the end of a test waits for the handlers that are in line or under way."""

_loaded = cache(load)


class WebhookReceiver:
    """A receiver that listens while a test runs.

    `url`: of the hook. `handlers`: what runs; a test may register more, `@webhook_receiver.handlers.on("consent.*")`.
    """

    def __init__(self, server: Server, handlers: Handlers) -> None:
        self.url = server.url
        self.handlers = handlers
        self._server = server
        self._expected: list[str | None] = []

    @property
    def deliveries(self) -> list[Entry]:
        """All that was stored, as it is now, oldest first: `event`, `data`, `verdict`, `violations`, `status`, `runs`
        and more."""
        return [entry for _, entry in self._server.inbox.after(0)]

    def wait_for(self, event: str, where: Mapping[str, object] | None = None, timeout: float = 5.0) -> Entry:
        """The first delivery that fits, once it was stored and the runs of its handlers have ended, however they did.

        Args:
            event: a type, a prefix as in `consent.*`, or `*`; only a delivery that handlers get fits.
            where: values by their dotted paths in the data: `{"user.id": 5}`.
            timeout: seconds.

        Raises:
            AssertionError: it did not come in time, or its handlers did not end; with what did come, and why each does
                not fit.
        """
        __tracebackhide__ = True  # the test's own line is what pytest shows
        wanted = Wanted.where(event, where or {})
        answer = wait(self._server.inbox, wanted, 0, until=time.monotonic() + timeout, settled=True)
        if answer.entry is None:
            raise AssertionError("\n".join(_missing_lines(wanted, timeout, answer)))
        return answer.entry

    def assert_none(self, event: str, where: Mapping[str, object] | None = None, within: float = 0.5) -> None:
        """Waits that long; no delivery that fits, with whatever verdict, has come in this test or comes meanwhile.

        Raises:
            AssertionError: as soon as one has.
        """
        __tracebackhide__ = True
        wanted = Wanted.where(event, where or {}, any_verdict=True)
        if entry := wait(self._server.inbox, wanted, 0, until=time.monotonic() + within).entry:
            raise AssertionError(f"a delivery came that fits {wanted}:\n{_line(entry)}")

    def expect_failure(self, handler: str | None = None) -> None:
        """Says that this handler, or any, fails in this test and is meant to; the test fails if none does."""
        self._expected.append(handler)

    def problems(self) -> list[str]:
        """What a test fails for at its end: handlers that failed, or did not though they were expected to; that did not
        end; or that could never run."""
        self._settle()
        runs = [(entry, run) for entry in self.deliveries for run in entry.runs]
        failed = [(entry, run) for entry, run in runs if run.state is RunState.FAILED]
        return [
            *(_failure(entry, run) for entry, run in failed if not {None, run.handler} & set(self._expected)),
            *self._missed({run.handler for _, run in failed}),
            *(_unended(entry, run) for entry, run in runs if run.state in {RunState.PENDING, RunState.RUNNING}),
            *self._useless(),
        ]

    def _settle(self) -> None:
        until = time.monotonic() + SETTLING_SECONDS
        while not all(entry.settled for entry in self.deliveries) and time.monotonic() < until:
            time.sleep(POLL_SECONDS)  # a poll: the worker tells nobody but the inbox

    def _missed(self, failed: set[str]) -> Iterator[str]:
        for expected in self._expected:
            if not (failed if expected is None else {expected} & failed):
                yield f"expect_failure: {expected} did not fail" if expected else "expect_failure: no handler failed"

    def _useless(self) -> Iterator[str]:
        try:
            self.handlers.check(self._server.contract)
        except HandlersError as error:
            yield str(error)


@contextmanager
def receiving(
    state: Path, handlers: Handlers | str | None = None, schemas: Path | None = None, *, lenient: bool = False
) -> Iterator[WebhookReceiver]:
    """A receiver on a free port of 127.0.0.1 while the block runs.

    Args:
        state: the directory of its inbox.
        handlers: a registry, of which a copy is used, or where one is: a file, or `package.module:name`.
        schemas: a directory that replaces the shipped contract.
        lenient: answer 202 to everything that was stored whole.

    Raises:
        ContractError, HandlersError: what was given cannot be used.
    """
    registry = (_loaded(handlers) if isinstance(handlers, str) else handlers or Handlers()).copy()
    with serve(registry, Report(lambda _: None), port=0, state=state, schemas=schemas, lenient=lenient) as server:
        yield WebhookReceiver(server, registry)


def _missing_lines(wanted: Wanted, timeout: float, answer: Answer) -> Iterator[str]:
    yield f"no {wanted} came within {timeout:g} s" + ("; instead came:" if answer.came else ", nor anything else")
    if answer.came > len(answer.others):
        yield f"  ({answer.came - len(answer.others)} more, then)"
    for entry, reason in answer.others:
        yield f"{_line(entry)}  ({reason})"
        yield from (f"    {escape(one.pointer) or '(body)'}  {escape(one.message)}" for one in entry.violations)


def _line(entry: Entry) -> str:
    runs = "".join(f"  {run.handler} {run.state}" for run in entry.latest)
    return f"  {escape(entry.event or '-')}  {entry.verdict}, answered {entry.status}{runs}"


def _failure(entry: Entry, run: Run) -> str:
    return f"handler {run.handler} failed for {escape(entry.event or '-')} {entry.id}:\n{run.traceback}"


def _unended(entry: Entry, run: Run) -> str:
    return f"handler {run.handler} is {run.state} for {entry.event} {entry.id}, {SETTLING_SECONDS:g} s after the test"
