"""What a ledger holds, page by page: for who leafs through it while more comes.

In: what is looked for. Out: attempts, newest first, each with its number, which grows.
"""

import sqlite3
from dataclasses import dataclass

from receiver.store import Store
from sender.attempt import Attempt, Outcome, State

_NUMBERED = "SELECT * FROM attempt WHERE number = ?"
_PAGE = "SELECT * FROM attempt WHERE number < ?"
_IN_STATE = " AND state = ?"
_UNDER = " AND id >= ? AND id < ?"
_AT = " AND url = ?"
_NEWEST = " ORDER BY number DESC LIMIT ?"
_LAST = (1 << 63) - 1
_AFTER_ALL = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for: attempts in a state, under ids that begin so, at a URL; before a number."""

    state: State | None = None
    id: str = ""
    url: str = ""
    before: int = _LAST


class Past:
    """The attempts of a ledger, by their numbers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, sought: Sought, limit: int) -> list[tuple[int, Attempt]]:
        """The newest of those that are looked for."""
        parts: list[tuple[str, tuple[str | int, ...]]] = [(_PAGE, (sought.before,))]
        if sought.state:
            parts.append((_IN_STATE, (sought.state,)))
        if sought.id:
            parts.append((_UNDER, (sought.id, sought.id + _AFTER_ALL)))
        if sought.url:
            parts.append((_AT, (sought.url,)))
        parts.append((_NEWEST, (limit,)))
        statement = "".join(part for part, _ in parts)
        values = tuple(value for _, given in parts for value in given)
        return [(row["number"], attempt_of(row)) for row in self._store.read(statement, values)]

    def find(self, number: str) -> Attempt | None:
        """The attempt with that number, if the text is one and there is one."""
        if not is_number(number):
            return None
        return next((attempt_of(row) for row in self._store.read(_NUMBERED, (int(number),))), None)


def is_number(text: str) -> bool:
    """Whether an attempt could have it as its number."""
    return text.isascii() and text.isdigit() and len(text) < len(str(_LAST))


def attempt_of(row: sqlite3.Row) -> Attempt:
    """The attempt that a row of the ledger's table is."""
    outcome = Outcome(
        state=State(row["state"]),
        milliseconds=row["milliseconds"],
        status=row["status"],
        delivery=row["delivery"],
        answer=row["answer"] or b"",
        reason=row["reason"],
    )
    return Attempt(
        id=row["id"],
        url=row["url"],
        event=row["event"],
        body=row["body"],
        started_at=row["started_at"],
        outcome=outcome,
        copy=row["copy"],
        fault=row["fault"],
    )
