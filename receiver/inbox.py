"""The inbox: every body that arrived, with its verdict; beside it what each handler did, and when the receiver was up.

In: what intake judged. Out: entries for reading. A small contract (store, find, judge again, prune; `runs`: claim and
finish), so that another database can stand in. Times are whole microseconds since 1970, UTC.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from receiver import runs, uptime
from receiver.commits import Statement
from receiver.contract import Judgement, Verdict
from receiver.entry import Captured, Entry, Run
from receiver.runs import Runs, put_in_line
from receiver.search import Search
from receiver.store import Store, StoreError, now
from receiver.uptime import Uptime
from receiver.violations import Violation

FILE = "inbox.db"

_TABLE = """
CREATE TABLE delivery (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    received_at INTEGER NOT NULL,
    event TEXT,
    verdict TEXT NOT NULL,
    status INTEGER NOT NULL,
    size INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    violations TEXT NOT NULL
) STRICT
"""
_JUDGED_AGAIN = (
    "ALTER TABLE delivery ADD COLUMN judged_at INTEGER",  # when it was judged again
    "ALTER TABLE delivery ADD COLUMN unrouted INTEGER",  # 1 from then on until it was given to the handlers
    "CREATE INDEX delivery_unrouted ON delivery (number) WHERE unrouted",
)
_FOUND_QUICKLY = (
    "CREATE INDEX delivery_event ON delivery (event)",
    "CREATE INDEX delivery_received_at ON delivery (received_at)",
    "CREATE INDEX delivery_not_valid ON delivery (verdict) WHERE verdict != 'valid'",
)
_VERSIONS = (
    (_TABLE, *runs.TABLES),
    (*_JUDGED_AGAIN, *_FOUND_QUICKLY, *runs.BY_DELIVERY, *uptime.TABLES),
    ("CREATE INDEX delivery_judged_at ON delivery (judged_at) WHERE judged_at IS NOT NULL",),
)

_INSERT = """
INSERT INTO delivery (id, received_at, event, verdict, status, size, headers, body, violations)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# The newest that fit, by the index that usually leaves the fewest; a `+` keeps SQLite from taking another one.
_ENTRIES = {
    "run": """FROM run CROSS JOIN delivery ON delivery.number = run.delivery WHERE state = :run {}
        GROUP BY run.delivery ORDER BY run.delivery DESC""",
    "since": "FROM delivery WHERE received_at >= :since {} ORDER BY received_at DESC, number DESC",
    "verdict": "FROM delivery WHERE verdict = :verdict AND verdict != 'valid' {} ORDER BY number DESC",
    "event": "FROM delivery WHERE event = :event {} ORDER BY number DESC",
    "": "FROM delivery WHERE true {} ORDER BY number DESC",
}
_FITS = {"since": "AND +received_at >= :since", "verdict": "AND +verdict = :verdict", "event": "AND +event = :event"}

_QUARANTINED = """
SELECT * FROM delivery WHERE verdict IN ('invalid', 'malformed', :unverified) AND verdict != 'valid'
AND length(body) = size AND number > :after AND (:since IS NULL OR received_at >= :since) ORDER BY number LIMIT 100
"""
_CAPTURED = """
SELECT number, id, received_at, verdict, body FROM delivery WHERE number > :after AND verdict != 'unverified'
AND (:event IS NULL OR event = :event) AND (:since IS NULL OR received_at >= :since) ORDER BY number LIMIT 100
"""
_AFTER = "SELECT * FROM delivery WHERE number > ? ORDER BY number LIMIT 100"
_JUDGED = "SELECT * FROM delivery WHERE judged_at > ? ORDER BY judged_at, number"
_LAST = "SELECT coalesce(max(number), 0) FROM delivery"
_BEFORE = f"SELECT coalesce(min(number) - 1, ({_LAST})) FROM delivery WHERE received_at >= ?"
_JUDGE = """
UPDATE delivery SET event = ?, verdict = ?, violations = ?, judged_at = ?, unrouted = ?
WHERE id = ? AND verdict IN ('invalid', 'malformed', 'unverified')
"""
_OLDER = "received_at < :before AND (:verdict IS NULL OR verdict = :verdict)"
_UNSETTLED = "SELECT 1 FROM run WHERE run.delivery = {} AND state IN ('pending', 'running')"
_SETTLED = f"""
SELECT number, received_at FROM delivery WHERE {_OLDER} AND (received_at, number) > (:at, :after) AND unrouted IS NULL
AND NOT EXISTS ({_UNSETTLED.format("delivery.number")}) ORDER BY received_at, number LIMIT 500
"""
# Asked again in the transaction that deletes: a retry may have put a run in line meanwhile.
_PRUNE_RUNS = f"""
DELETE FROM run WHERE delivery IN (SELECT value FROM json_each(?) WHERE NOT EXISTS ({_UNSETTLED.format("value")}))
"""
_PRUNE = """
DELETE FROM delivery WHERE number IN (SELECT value FROM json_each(?))
AND NOT EXISTS (SELECT 1 FROM run WHERE run.delivery = delivery.number)
"""


class InboxError(Exception):
    """A question that the inbox cannot answer: no such inbox, no such delivery, or a shortened id that fits several."""


class Inbox:
    """The inbox in a state directory; made there where it is missing.

    Raises:
        StoreError: the file cannot be opened.
    """

    def __init__(self, state: Path) -> None:
        self._store = Store(state / FILE, _VERSIONS)
        self.runs = Runs(self._store)
        self.uptime = Uptime(self._store)
        self.search = Search(self._store, self.runs)
        self.path = self._store.path
        self.close = self._store.close

    @classmethod
    def existing(cls, state: Path) -> "Inbox":
        """The inbox that a receiver has made in `state`.

        Raises:
            InboxError: there is none.
        """
        if not (state / FILE).is_file():
            raise InboxError(f"no inbox in {state}: `receiver run` makes one; or name another directory")
        return cls(state)

    def store(self, entries: Sequence[Entry], then: Callable[[Entry], None]) -> Mapping[str, StoreError]:
        """Returns once the entries and their pending runs are on disk, in one transaction if that can be.

        `then` is called with each that is, in the order of commits, before that. Returns the ids of those of which
        nothing was stored, and why.
        """
        failures = self._store.write_each([_insert(entry) for entry in entries], lambda index: then(entries[index]))
        return {entry.id: failure for entry, failure in zip(entries, failures, strict=True) if failure}

    def entries(
        self,
        *,
        event: str | None = None,
        verdict: str | None = None,
        run: str | None = None,
        since: int | None = None,
        limit: int = 20,
    ) -> list[Entry]:
        """The newest entries that fit all that is asked, newest first; `since` in microseconds since 1970."""
        asked = {"run": run, "since": since, "verdict": verdict, "event": event}
        query = _entries_query({name: value for name, value in asked.items() if value is not None})
        return self._with_runs(self._store.read(query, {**asked, "limit": limit}))

    def entry(self, shortened: str) -> Entry:
        """The entry whose id begins with `shortened`.

        Raises:
            InboxError: none does, or several do.
        """
        rows = self._store.read(
            "SELECT * FROM delivery WHERE id >= ? AND id < ? ORDER BY id LIMIT 3", (shortened, f"{shortened}g")
        )
        if not shortened or not rows:
            raise InboxError(f"no delivery {shortened!r} in {self.path}: `receiver list` shows what is there")
        if len(rows) > 1:
            fitting = ", ".join(row["id"] for row in rows)
            raise InboxError(f"{shortened!r} fits several deliveries ({fitting}, ...): give more of the id")
        return self._with_runs(rows)[0]

    def quarantined(self, *, since: int | None = None, unverified: bool = False) -> Iterator[Entry]:
        """What was stored whole and not handled, oldest first; read a hundred at a time. What nobody signed only if
        that is asked for."""
        after, also = 0, str(Verdict.UNVERIFIED) if unverified else None
        while rows := self._store.read(_QUARANTINED, {"after": after, "since": since, "unverified": also}):
            yield from self._with_runs(rows)
            after = rows[-1]["number"]

    def captured(self, *, event: str | None = None, since: int | None = None) -> Iterator[Captured]:
        """What came, but for what nobody signed, oldest first, without the runs; read a hundred at a time."""
        after = 0
        while rows := self._store.read(_CAPTURED, {"after": after, "event": event, "since": since}):
            for after, id_, received_at, verdict, body in rows:  # noqa: B007 - the last one is where the next page begins
                yield Captured(id_, received_at, Verdict(verdict), body)

    def after(self, number: int) -> Iterator[tuple[int, Entry]]:
        """What was stored after the entry of that number, oldest first, with its numbers; read a hundred at a time."""
        while rows := self._store.read(_AFTER, (number,)):
            yield from zip([row["number"] for row in rows], self._with_runs(rows), strict=True)
            number = rows[-1]["number"]

    def judged(self, after: int) -> list[Entry]:
        """What was judged again after that moment, in that order."""
        return self._with_runs(self._store.read(_JUDGED, (after,)))

    def last(self, *, before: int | None = None) -> int:
        """The number of the newest entry, or of the newest that was received before that moment; 0 where none is."""
        return int(self._store.read(_LAST if before is None else _BEFORE, () if before is None else (before,))[0][0])

    def judge(self, id_: str, judgement: Judgement) -> bool:
        """Records the new judgement of a quarantined entry; what is now to be handled waits for being routed.

        False where another process was first.
        """
        verdict = judgement.verdict
        values = (judgement.event, verdict, _violations(judgement.violations), now(), verdict.handled or None, id_)
        return self._store.write((_JUDGE, values)) == [1]

    def older(self, before: int, verdict: str | None = None) -> int:
        """How many entries were received before that moment."""
        rows = self._store.read(f"SELECT count(*) FROM delivery WHERE {_OLDER}", {"before": before, "verdict": verdict})
        return int(rows[0][0])

    def settled(self, before: int, verdict: str | None = None) -> Iterator[list[int]]:
        """The numbers of entries received before that moment of which no run is in line or under way, in batches."""
        at, after = -1, -1
        while rows := self._store.read(_SETTLED, {"before": before, "verdict": verdict, "at": at, "after": after}):
            at, after = rows[-1]["received_at"], rows[-1]["number"]
            yield [row["number"] for row in rows]

    def prune(self, numbers: Sequence[int]) -> int:
        """Deletes entries with their runs, but for those that have one in line by now; returns how many."""
        _, pruned = self._store.write(*((statement, (json.dumps(numbers),)) for statement in (_PRUNE_RUNS, _PRUNE)))
        return pruned

    def tidy(self) -> None:
        """Leaves nothing of what was deleted in the log beside the file, where no other process needs that log."""
        self._store.read("PRAGMA wal_checkpoint(TRUNCATE)")

    def _with_runs(self, rows: Sequence[sqlite3.Row]) -> list[Entry]:
        runs = self.runs.of([row["number"] for row in rows])
        return [_entry(row, runs[row["number"]]) for row in rows]


def _insert(entry: Entry) -> list[Statement]:
    values = (
        entry.id,
        entry.received_at,
        entry.event,
        entry.verdict,
        entry.status,
        entry.size,
        json.dumps(dict(entry.headers)),
        entry.body,
        _violations(entry.violations),
    )
    return [(_INSERT, values), *put_in_line(entry.id, [run.handler for run in entry.runs])]


def _entries_query(asked: Mapping[str, object]) -> str:
    by = next(name for name in _ENTRIES if (name in asked and asked[name] != Verdict.VALID) or not name)
    fits = " ".join(condition for name, condition in _FITS.items() if name in asked and name != by)
    return f"SELECT delivery.* {_ENTRIES[by].format(fits)} LIMIT :limit"


def _violations(violations: Sequence[Violation]) -> str:
    return json.dumps([[v.pointer, v.keyword, v.message] for v in violations])


def _entry(row: sqlite3.Row, runs: tuple[Run, ...]) -> Entry:
    return Entry(
        id=row["id"],
        received_at=row["received_at"],
        event=row["event"],
        verdict=Verdict(row["verdict"]),
        status=row["status"],
        size=row["size"],
        headers=json.loads(row["headers"]),
        body=row["body"],
        violations=tuple(Violation(*violation) for violation in json.loads(row["violations"])),
        runs=runs,
        judged_at=row["judged_at"],
    )
