"""How far an inbox was forwarded to a URL, kept in the ledger's file, so that whoever goes on forgets nothing.

Times are whole microseconds since 1970, UTC.
"""

import fcntl
import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from receiver.store import Store, StoreError

TABLES = (
    """
CREATE TABLE place (
    inbox TEXT NOT NULL,
    url TEXT NOT NULL,
    began INTEGER NOT NULL,
    number INTEGER NOT NULL,
    delivery TEXT,
    judged_at INTEGER NOT NULL,
    PRIMARY KEY (inbox, url)
) STRICT
""",
)
_KEEP = "INSERT OR REPLACE INTO place (began, number, delivery, judged_at, inbox, url) VALUES (?, ?, ?, ?, ?, ?)"


class ForwardError(Exception):
    """Something that cannot be forwarded; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """The last delivery that was looked at, by its number and id (numbers are given again after a prune), and the
    moment up to which what was judged again was looked at. What was received before `began` is not forwarded."""

    began: int
    number: int = 0
    delivery: str | None = None
    judged_at: int = 0

    def judged(self, moment: int, late: int) -> "Place":
        """The place at a moment when all was looked at that had been judged so long before it. Where that moment lies
        before the beginning the clock was set back, and so the beginning is."""
        return replace(self, began=min(self.began, moment), judged_at=moment - late)


@dataclass(frozen=True, slots=True)
class Look:
    """A place, and how it is gone on from there.

    `again_to`: all up to that number is looked at again, since the delivery of the place was pruned. Until that is done
    the place on disk stays as it was, or who goes on could not tell what is older than the beginning. `told_to`: who
    forwarded before told of all up to that number; of what follows it may have been killed before it told.
    """

    place: Place
    again_to: int = 0
    told_to: float = math.inf

    @property
    def again(self) -> bool:
        """Whether it is at a number that was passed before."""
        return bool(self.again_to) and self.place.number <= self.again_to

    def at(self, number: int, delivery: str) -> "Look":
        """The look when that delivery has had its turn."""
        return replace(self, place=replace(self.place, number=number, delivery=delivery))

    def from_the_beginning(self) -> "Look":
        """The look at all that is there."""
        again_to = max(self.again_to, self.place.number)
        return replace(self, place=replace(self.place, number=0, delivery=None), again_to=again_to)


class Places:
    """The places that a ledger holds, one for each inbox and URL."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, inbox: str, url: str) -> Place | None:
        """How far it was, if it ever began."""
        rows = self._store.read("SELECT * FROM place WHERE inbox = ? AND url = ?", (inbox, url))
        return Place(rows[0]["began"], rows[0]["number"], rows[0]["delivery"], rows[0]["judged_at"]) if rows else None

    def keep(self, inbox: str, url: str, place: Place, *, synced: bool = False) -> None:
        """Records how far it is. Of a place that is not synced a power cut may leave an earlier one, from where the
        ledger tells what was sent already."""
        values = (place.began, place.number, place.delivery, place.judged_at, inbox, url)
        self._store.write((_KEEP, values), synced=synced)


@contextmanager
def alone(state: Path, url: str) -> Iterator[None]:
    """While the block runs nobody else forwards to a URL, so the order is kept; a process that dies lets go of it.

    Raises:
        ForwardError: somebody does.
    """
    lock = state / f"forward-{hashlib.sha256(url.encode()).hexdigest()[:16]}.lock"
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise StoreError(f"{lock}: mend the permissions or choose another --state ({error})") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ForwardError(f"another `sender forward` sends to {url}: stop that, or leave it the work") from error
    finally:
        os.close(descriptor)
