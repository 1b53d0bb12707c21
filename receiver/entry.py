"""What the inbox holds, as values: entries, the runs of handlers, and what can be claimed or run again.

Times are whole microseconds since 1970, UTC. Pure.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from receiver.contract import Verdict
from receiver.delivery import Delivery, parse
from receiver.violations import Violation


class RunState(StrEnum):
    """Where a handler's run for a delivery stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


ENDED = (RunState.DONE, RunState.FAILED, RunState.INTERRUPTED)
"""The states in which a run stays."""


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt of one handler at one delivery. Where it failed, the first line of `error` says what was raised and
    where, without values; the others are the traceback."""

    handler: str
    attempt: int
    state: RunState
    started_at: int | None = None
    milliseconds: float | None = None
    error: str | None = None

    @property
    def failure(self) -> str | None:
        """What was raised and where: `ValueError at handlers.py:12`."""
        return self.error and self.error.partition("\n")[0]

    @property
    def traceback(self) -> str | None:
        """Whole, so with the exception's text, which may hold values of the payload."""
        return self.error and self.error.partition("\n")[2]


@dataclass(frozen=True, slots=True)
class Entry:
    """One delivery as the inbox holds it. `size` is the length of the body as sent; `body` is shorter where that was
    too large; `judged_at` is when it was judged again, with the verdict that stands now."""

    id: str
    received_at: int
    event: str | None
    verdict: Verdict
    status: int
    size: int
    headers: Mapping[str, str]
    body: bytes
    violations: tuple[Violation, ...]
    runs: tuple[Run, ...] = ()
    judged_at: int | None = None

    @property
    def data(self) -> Any:
        """What stands under `data`; None where nothing does, or the body is not JSON."""
        value = None if self.verdict in {Verdict.MALFORMED, Verdict.UNVERIFIED} else parse(self.body)
        return value.get("data") if isinstance(value, dict) else None

    @property
    def latest(self) -> tuple[Run, ...]:
        """Each handler's latest run."""
        return latest(self.runs)

    @property
    def settled(self) -> bool:
        """Whether no handler has a run in line or under way."""
        return all(run.state in ENDED for run in self.latest)


def latest(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Each handler's latest run, of all runs for a delivery."""
    return tuple({run.handler: run for run in runs}.values())


@dataclass(frozen=True, slots=True)
class Listed:
    """A delivery in brief, as it stands in a list: without its headers, its body and what is wrong with it. `number`:
    its place in the inbox, higher for what was stored later. `runs`: each handler's latest."""

    number: int
    id: str
    received_at: int
    event: str | None
    verdict: Verdict
    status: int
    size: int
    runs: tuple[Run, ...]

    @property
    def settled(self) -> bool:
        """Whether no handler has a run in line or under way."""
        return all(run.state in ENDED for run in self.runs)

    @property
    def milliseconds(self) -> float | None:
        """How long its handlers took, all in all; None where none has ended."""
        took = [run.milliseconds for run in self.runs if run.milliseconds is not None]
        return sum(took) if took else None


@dataclass(frozen=True, slots=True)
class Captured:
    """What came with a delivery, for who looks through many."""

    id: str
    received_at: int
    verdict: Verdict
    body: bytes

    @property
    def payload(self) -> object:
        """What the body says.

        Raises:
            MalformedBody: it is not JSON. (One that is may have been stored as malformed for its Content-Type.)
        """
        return parse(self.body) if self.verdict is Verdict.MALFORMED else json.loads(self.body)  # was parsed strictly


@dataclass(frozen=True, slots=True)
class Latest:
    """A handler's latest run for a delivery."""

    delivery: str
    event: str
    run: Run

    @property
    def next_attempt(self) -> int:
        """The attempt to run next: this one, where it has not begun."""
        return self.run.attempt + (self.run.state is not RunState.PENDING)


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that waits for the worker, with the delivery to run it for."""

    number: int
    handler: str
    delivery: Delivery
