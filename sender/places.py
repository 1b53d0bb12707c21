"""How far an inbox was forwarded to a URL, kept in the ledger's file, so that whoever goes on forgets nothing.

Times are whole microseconds since 1970, UTC.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    """The last delivery that was looked at, by its number and id (numbers are given again after a prune), and the last
    moment of judging again. What was received before `began` is not forwarded."""

    began: int
    number: int = 0
    delivery: str | None = None
    judged_at: int = 0


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
