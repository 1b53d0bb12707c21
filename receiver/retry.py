"""Running handlers again: the next attempt of what has ended, put in line for whoever runs the handlers.

In: ended runs. Out: their next attempts, as they end. A running receiver does the work; where none runs, this process
does, with handlers that it is given: never both, since it is the worker's lock that decides.
"""

import time
from collections.abc import Iterator, Sequence

from receiver.entry import ENDED, Ended, Run, RunState
from receiver.handlers import Handlers
from receiver.inbox import Inbox
from receiver.report import Report
from receiver.worker import POLL_SECONDS, Worker

PATIENCE_SECONDS = 10.0
"""How long a receiver may leave all of it untouched before it is not waited for any more."""


class RetryError(Exception):
    """Nobody is there to run the handlers, or whoever was there does not; the text says what to do."""


def run_again(inbox: Inbox, ended: Sequence[Ended], handlers: Handlers | None) -> Iterator[tuple[Ended, Run]]:
    """Runs the next attempt of each, and yields it when it has ended.

    Raises:
        RetryError: no receiver runs on this inbox and there are no handlers (then nothing was put in line); or the
            receiver ended, or leaves them alone (then they stay in line).
    """
    worker = Worker(inbox, handlers or Handlers(), Report(lambda _: None))
    alone = worker.lead()
    try:
        if alone and handlers is None:
            raise RetryError("no receiver runs on this inbox; start one, or give its handlers with --handlers FILE")
        inbox.run_again(ended)
        if alone:
            worker.start()
        yield from _ends_of(inbox, ended, worker, alone)
    finally:
        worker.close()


def _ends_of(inbox: Inbox, ended: Sequence[Ended], worker: Worker, alone: bool) -> Iterator[tuple[Ended, Run]]:
    left = list(ended)
    until = time.monotonic() + PATIENCE_SECONDS
    while left:
        runs = {one: _attempt(inbox, one) for one in left}
        if any(run.state is not RunState.PENDING for run in runs.values()):
            until = time.monotonic() + PATIENCE_SECONDS
        for one, run in runs.items():
            if run.state in ENDED:
                left.remove(one)
                yield one, run
        if left and not alone and worker.lead():
            raise RetryError(f"the receiver has ended; {len(left)} runs stay in line until one runs again")
        if left and time.monotonic() > until:
            raise RetryError(f"{len(left)} runs stay in line, untouched: are their handlers registered any more?")
        time.sleep(POLL_SECONDS / 5)


def _attempt(inbox: Inbox, one: Ended) -> Run:
    """The attempt after the ended one."""
    runs = inbox.entry(one.delivery).runs
    return next(run for run in runs if (run.handler, run.attempt) == (one.run.handler, one.run.attempt + 1))
