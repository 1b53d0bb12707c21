"""Searching the inbox: what fits a filter, newest first and a page at a time; what has changed since a moment; what was
received in each minute.

In: filters, and marks of what was seen. Out: deliveries in brief, with their handlers' latest runs. No question takes
longer with more deliveries: a search ends after a while, and says from where it goes on. Times are whole microseconds
since 1970, UTC.
"""

import json
import re
import sqlite3
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from receiver.contract import Verdict
from receiver.entry import Listed, Run, RunState, latest
from receiver.runs import Runs
from receiver.store import Store

PAGE = 25
"""So many deliveries are on a page."""

MOST_NEW = 200
"""Where more than these are new at once, who looks is better off with a page of the newest."""

PATIENCE_SECONDS = 0.1
"""How long a search looks for more before it gives what it has found."""

MINUTE = 60_000_000

_FIRST_RANGE = 64  # so many are looked at first, then ever more of them at once while that takes little time
_LITTLE_SECONDS = 0.01
_FITS = {
    "event": "event = :event",
    "verdict": "verdict = :verdict",
    "until": "received_at < :until",
    "run": """EXISTS (SELECT 1 FROM run WHERE run.delivery = delivery.number AND state = :run AND attempt = (
        SELECT max(attempt) FROM run AS any WHERE any.delivery = run.delivery AND any.handler = run.handler))""",
    "text": "(CAST(body AS TEXT) LIKE :text ESCAPE '\\')",
    "escaped": "(CAST(body AS TEXT) LIKE :text ESCAPE '\\' OR CAST(body AS TEXT) LIKE :escaped ESCAPE '\\')",
}
# What fits in a range of numbers, by the index that usually leaves the fewest.
_FOUND = {
    "run": """SELECT DISTINCT run.delivery AS number FROM run INDEXED BY run_state
        CROSS JOIN delivery ON delivery.number = run.delivery
        WHERE run.state = :run AND run.delivery >= :low AND run.delivery < :before AND {}
        ORDER BY run.delivery DESC LIMIT :most""",
    "verdict": """SELECT number FROM delivery INDEXED BY delivery_not_valid WHERE verdict = :verdict
        AND verdict != 'valid' AND number >= :low AND number < :before AND {} ORDER BY number DESC LIMIT :most""",
    "event": """SELECT number FROM delivery INDEXED BY delivery_event WHERE event = :event
        AND number >= :low AND number < :before AND {} ORDER BY number DESC LIMIT :most""",
    "": """SELECT number FROM delivery NOT INDEXED WHERE number >= :low AND number < :before AND {}
        ORDER BY number DESC LIMIT :most""",
}
_EQUAL = _FOUND[""].format("size = :size AND body = :body AND id != :id")
_BRIEF = """
SELECT number, id, received_at, event, verdict, status, size FROM delivery
WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number DESC
"""
_NEW = "SELECT number FROM delivery WHERE number > :since AND number <= :number AND {} ORDER BY number DESC LIMIT :most"
_OF_ID = "SELECT number FROM delivery WHERE id >= :id AND id < :id || 'g' AND number <= :number AND {} LIMIT 5"
_CHANGED = """
SELECT number FROM delivery WHERE judged_at > :judged_at
UNION SELECT delivery FROM run WHERE number > :run AND +delivery <= :number
UNION SELECT number FROM delivery WHERE id IN (SELECT value FROM json_each(:open))
LIMIT 1000
"""
_MARK = """
SELECT coalesce((SELECT max(number) FROM delivery), 0) AS number, coalesce((SELECT max(number) FROM run), 0) AS run,
coalesce((SELECT max(judged_at) FROM delivery WHERE judged_at IS NOT NULL), 0) AS judged_at
"""
_MINUTES = """
SELECT received_at / 60000000 AS minute, verdict, count(*) AS deliveries FROM delivery
WHERE received_at >= ? AND received_at < ? GROUP BY 1, 2
"""
_FIRST = "SELECT coalesce(min(number), 0) FROM delivery"
_NEWEST = 2**63 - 1
_ID = re.compile(r"[0-9a-fA-F]{4,16}")


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; what is None may be anything. `run`: the state of some handler's latest run. `text`: in the
    body, whatever the case of ASCII letters, or how an id begins. `until`: received before that moment."""

    event: str | None = None
    verdict: Verdict | None = None
    run: RunState | None = None
    text: str | None = None
    until: int | None = None

    def conditions(self, *, of_body: bool = True) -> str:
        """As the statements take them; those of the body only where that is to be looked at."""
        given = [name for name in ("run", "verdict", "event", "until") if getattr(self, name) is not None]
        if self.text is not None and of_body:
            given.append("text" if json.dumps(self.text) == f'"{self.text}"' else "escaped")
        return " AND ".join(_FITS[name] for name in given) or "true"

    def values(self) -> dict[str, object]:
        """What stands for the names in the statements."""
        text = self.text or ""
        return {
            "event": self.event,
            "verdict": self.verdict,
            "until": self.until,
            "run": self.run,
            "text": _pattern(text),
            "escaped": _pattern(json.dumps(text)[1:-1]),
            "id": text.lower(),
        }

    @property
    def by(self) -> str:
        """Which candidates are looked at."""
        if self.run is not None:
            return "run"
        if self.verdict not in {None, Verdict.VALID}:
            return "verdict"
        return "event" if self.event is not None else ""


@dataclass(frozen=True, slots=True)
class Mark:
    """What was the newest at a moment: a delivery's number, a run's, and when a delivery was last judged again."""

    number: int
    run: int
    judged_at: int


@dataclass(frozen=True, slots=True)
class Page:
    """Deliveries that fit, newest first. `before`: the number to go on below, None where all were looked at. `back_to`:
    when the last one that was looked at was received. `mark`: what came after it is not among them."""

    listed: tuple[Listed, ...]
    before: int | None
    back_to: int | None
    mark: Mark


@dataclass(frozen=True, slots=True)
class Changes:
    """What has come or changed since a mark; `new` is None where that is more than `MOST_NEW`."""

    mark: Mark
    new: tuple[Listed, ...] | None
    changed: tuple[Listed, ...]


class Search:
    """Searches in an inbox's file."""

    def __init__(self, store: Store, runs: Runs) -> None:
        self._store = store
        self._runs = runs
        self._past: tuple[int, int, Mapping[int, Mapping[Verdict, int]]] = (0, 0, {})

    def page(self, wanted: Filter, before: int | None = None, most: int = PAGE) -> Page:
        """The newest that fit, of those with a number below `before`."""
        statement = _FOUND[wanted.by].format(wanted.conditions())
        mark = self.mark()
        start = self._until(wanted.until) if before is None else before
        found, below = self._found(statement, wanted.values(), min(start, mark.number + 1), most)
        named = self._named(wanted, mark) if before is None else []
        return Page(self.brief([*named, *found]), below, self._received_at(below), mark)

    def equal(self, id_: str, body: bytes) -> Page:
        """Other deliveries with the same body, down from the newest."""
        mark = self.mark()
        found, below = self._found(_EQUAL, {"size": len(body), "body": body, "id": id_}, mark.number + 1, PAGE)
        return Page(self.brief(found), below, self._received_at(below), mark)

    def mark(self) -> Mark:
        """What is the newest now."""
        (row,) = self._store.read(_MARK)
        return Mark(row["number"], row["run"], row["judged_at"])

    def changes(self, since: Mark, wanted: Filter, open_: Collection[str]) -> Changes:
        """What fits and is new, and what was judged or run again, or is among those that are `open`, by their ids."""
        mark = self.mark()
        asked = {
            **wanted.values(),
            "since": min(since.number, mark.number),
            "number": mark.number,
            "most": MOST_NEW + 1,
        }
        new = [row["number"] for row in self._store.read(_NEW.format(wanted.conditions()), asked)]
        moved = {"judged_at": since.judged_at, "run": since.run, "number": since.number, "open": json.dumps([*open_])}
        changed = [row["number"] for row in self._store.read(_CHANGED, moved)]
        return Changes(mark, None if len(new) > MOST_NEW else self.brief(new), self.brief(changed))

    def minutes(self, first: int, last: int) -> Mapping[int, Mapping[Verdict, int]]:
        """How many deliveries were received in each minute, by their verdicts; `first` and `last` are minutes since
        1970. All but the last two are counted anew only when a minute has passed."""
        if self._past[:2] != (first, last):
            self._past = first, last, self._count(first, last - 1)
        return {**self._past[2], **self._count(last - 1, last + 1)}

    def brief(self, numbers: Sequence[int]) -> tuple[Listed, ...]:
        """The deliveries with these numbers, newest first."""
        if not numbers:
            return ()
        runs = self._runs.of(numbers)
        return tuple(_listed(row, runs[row["number"]]) for row in self._store.read(_BRIEF, (json.dumps(numbers),)))

    def _found(
        self, statement: str, values: Mapping[str, object], before: int, most: int
    ) -> tuple[list[int], int | None]:
        """The numbers that fit, and below which number to go on, if not all were looked at."""
        first = self._store.read(_FIRST)[0][0]
        found: list[int] = []
        length = _FIRST_RANGE
        until = time.monotonic() + PATIENCE_SECONDS
        while (began := time.monotonic()) < until and before > first:
            asked = {"low": before - length, "before": before, "most": most - len(found)}
            found += [row["number"] for row in self._store.read(statement, {**values, **asked})]
            if len(found) == most:
                return found, found[-1]
            before -= length
            length = length * 2 if time.monotonic() - began < _LITTLE_SECONDS else max(1, length // 2)
        return found, before if before > first else None

    def _named(self, wanted: Filter, mark: Mark) -> list[int]:
        """Those whose id begins with the text, however old they are."""
        if not _ID.fullmatch(wanted.text or ""):
            return []
        rows = self._store.read(
            _OF_ID.format(wanted.conditions(of_body=False)), {**wanted.values(), "number": mark.number}
        )
        return [row["number"] for row in rows]

    def _until(self, moment: int | None) -> int:
        if moment is None:
            return _NEWEST
        rows = self._store.read("SELECT min(number) FROM delivery WHERE received_at >= ?", (moment,))
        return _NEWEST if rows[0][0] is None else int(rows[0][0])

    def _received_at(self, number: int | None) -> int | None:
        rows = self._store.read("SELECT received_at FROM delivery WHERE number >= ? ORDER BY number LIMIT 1", (number,))
        return int(rows[0][0]) if rows else None

    def _count(self, first: int, last: int) -> Mapping[int, Mapping[Verdict, int]]:
        minutes: dict[int, dict[Verdict, int]] = defaultdict(dict)
        for minute, verdict, deliveries in self._store.read(_MINUTES, (first * MINUTE, last * MINUTE)):
            minutes[minute][Verdict(verdict)] = deliveries
        return minutes


def _pattern(text: str) -> str:
    """As LIKE takes it, with `\\` to escape its wildcards."""
    return "%" + "".join(f"\\{one}" if one in "%_\\" else one for one in text) + "%"


def _listed(row: sqlite3.Row, runs: tuple[Run, ...]) -> Listed:
    return Listed(
        number=row["number"],
        id=row["id"],
        received_at=row["received_at"],
        event=row["event"],
        verdict=Verdict(row["verdict"]),
        status=row["status"],
        size=row["size"],
        runs=latest(runs),
    )
