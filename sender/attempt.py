"""An attempt, one event to one endpoint, and how it ended; as values.

Times are whole microseconds since 1970, UTC. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What is known of an attempt."""

    SENDING = "sending"
    """Its intent is on disk, its outcome is not."""
    DELIVERED = "delivered"
    """It was answered, with whatever status."""
    REFUSED = "refused"
    """It certainly was not delivered: no byte of the request left."""
    UNKNOWN = "unknown"
    """It may have arrived. It is never sent again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a POST ended. `answer` is the head of the answer's body, `delivery` the receiver's id for it, `reason` why
    there is no status."""

    state: State
    milliseconds: float | None = None
    status: int | None = None
    delivery: str | None = None
    answer: bytes = b""
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it was answered 2xx."""
        return is_ok(self.status)


def is_ok(status: int | None) -> bool:
    """Whether a status is 2xx."""
    return status is not None and 200 <= status < 300


@dataclass(frozen=True, slots=True)
class Attempt:
    """One event to one endpoint.

    `copy`: which POST of this event to this URL it is: 0, unless more than one was asked for (by two endpoints
    with the same URL, by `sender forward --again`). `fault`: what was done wrong on purpose.
    """

    id: str
    url: str
    event: str
    body: bytes
    started_at: int
    outcome: Outcome = Outcome(State.SENDING)
    copy: int = 0
    fault: str | None = None
