"""The inbox: every body that arrived, its verdict, and what each handler did with it.

In: what intake judged and what the worker did. Out: entries for reading, runs for the worker. A small contract (store,
claim, finish, read), so that another database can stand in. Times are whole microseconds since 1970, UTC.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from receiver.contract import Verdict
from receiver.delivery import Delivery, parse
from receiver.entry import Claim, Entry, Latest, Run, RunState
from receiver.store import Statement, Store, now
from receiver.violations import Violation

FILE = "inbox.db"
VERSION = 1

_TABLES = (
    """
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
""",
    """
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL REFERENCES delivery (number),
    handler TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL,
    started_at INTEGER,
    milliseconds REAL,
    error TEXT,
    UNIQUE (delivery, handler, attempt)
) STRICT
""",
    "CREATE INDEX run_state ON run (state, number)",
)

_INSERT_DELIVERY = """
INSERT INTO delivery (id, received_at, event, verdict, status, size, headers, body, violations)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_RUN = """
INSERT INTO run (delivery, handler, attempt, state) VALUES ((SELECT number FROM delivery WHERE id = ?), ?, ?, ?)
"""
_CLAIMS = """
SELECT run.number, handler, attempt, id, event, body, headers, received_at
FROM run JOIN delivery ON delivery.number = run.delivery
WHERE state = 'pending' AND handler IN (SELECT value FROM json_each(:handlers))
AND (:only IS NULL OR run.number IN (SELECT value FROM json_each(:only)))
ORDER BY run.number LIMIT :most
"""
_ENTRIES = """
SELECT * FROM delivery
WHERE (:event IS NULL OR event = :event)
AND (:verdict IS NULL OR verdict = :verdict)
AND (:since IS NULL OR received_at >= :since)
AND (:run IS NULL OR EXISTS (SELECT 1 FROM run WHERE run.delivery = delivery.number AND state = :run))
ORDER BY number DESC LIMIT :limit
"""
_NUMBER = """
SELECT number FROM run
WHERE delivery = (SELECT number FROM delivery WHERE id = ?) AND handler = ? AND attempt = ?
"""
_RUNS_BY_NUMBER = "SELECT * FROM run WHERE number IN (SELECT value FROM json_each(?))"
_RUNS = "SELECT * FROM run WHERE delivery IN (SELECT value FROM json_each(?)) ORDER BY number"
_LATEST = """
SELECT delivery.id, event, run.* FROM run JOIN delivery ON delivery.number = run.delivery
WHERE state IN (SELECT value FROM json_each(:states))
AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
AND (:handler IS NULL OR handler = :handler)
AND (:event IS NULL OR event = :event)
AND (:since IS NULL OR received_at >= :since)
AND attempt = (SELECT max(attempt) FROM run AS any WHERE any.delivery = run.delivery AND any.handler = run.handler)
ORDER BY run.delivery, run.number
"""
# Of two that ask for the same next attempt at once, one gets it: (delivery, handler, attempt) is unique.
_AGAIN = """
INSERT OR IGNORE INTO run (delivery, handler, attempt, state)
VALUES ((SELECT number FROM delivery WHERE id = ?), ?, ?, 'pending')
"""
_BEGIN_RUN = "UPDATE run SET state = 'running', started_at = ? WHERE number = ?"
_FINISH_RUN = "UPDATE run SET state = ?, milliseconds = ?, error = ? WHERE number = ?"


class InboxError(Exception):
    """A question that the inbox cannot answer: no such inbox, no such delivery, or a shortened id that fits several."""


class Inbox:
    """The inbox in a state directory; made there where it is missing.

    Raises:
        StoreError: the file cannot be opened.
    """

    def __init__(self, state: Path) -> None:
        self._store = Store(state / FILE, _TABLES, VERSION)
        self.path = self._store.path
        self.close = self._store.close

    @classmethod
    def existing(cls, state: Path) -> "Inbox":
        """The inbox that a receiver has made in `state`.

        Raises:
            InboxError: there is none.
        """
        if not (state / FILE).is_file():
            raise InboxError(f"no inbox in {state}: `receiver run` makes one, --state names another place")
        return cls(state)

    def store(self, entry: Entry, then: Callable[[], None]) -> None:
        """Returns once the entry and its pending runs are on disk; `then` is called in the order of commits, before
        that.

        Raises:
            StoreError: nothing of it was stored.
        """
        values = (
            entry.id,
            entry.received_at,
            entry.event,
            entry.verdict,
            entry.status,
            entry.size,
            json.dumps(dict(entry.headers)),
            entry.body,
            json.dumps([[v.pointer, v.keyword, v.message] for v in entry.violations]),
        )
        runs = [(_INSERT_RUN, (entry.id, run.handler, run.attempt, run.state)) for run in entry.runs]
        self._store.write((_INSERT_DELIVERY, values), *runs, then=then)

    def claims(self, handlers: list[str], *, only: Sequence[int] | None = None, most: int = 32) -> list[Claim]:
        """The oldest pending runs of these handlers, in the order in which they were put in line.

        `only` those of these numbers, if it is said.
        """
        asked = {"handlers": json.dumps(handlers), "only": only and json.dumps(only), "most": most}
        rows = self._store.read(_CLAIMS, asked)
        return [Claim(row["number"], row["handler"], _delivery(row)) for row in rows]

    def begin(self, claim: Claim, *, after: tuple[Claim, Run] | None = None) -> int:
        """Records that a run has started, and how the one before it ended; returns when.

        Not synced, as `finish`: a kill loses none of it, and after a power cut a run may be repeated.
        """
        started_at = now()
        finish = [_finish(*after)] if after else []
        self._store.write(*finish, (_BEGIN_RUN, (started_at, claim.number)), synced=False)
        return started_at

    def finish(self, claim: Claim, run: Run) -> Run:
        """Records how a run ended; returns it."""
        self._store.write(_finish(claim, run), synced=False)
        return run

    def latest(
        self,
        states: Sequence[RunState],
        *,
        ids: Sequence[str] | None = None,
        handler: str | None = None,
        event: str | None = None,
        since: int | None = None,
    ) -> list[Latest]:
        """The latest runs that are in one of these states, of deliveries that fit all that is asked, oldest first."""
        asked = {"handler": handler, "event": event, "since": since, "ids": ids and json.dumps(ids)}
        rows = self._store.read(_LATEST, {**asked, "states": json.dumps(states)})
        return [Latest(row["id"], row["event"], _run(row)) for row in rows]

    def run_again(self, chosen: Sequence[Latest]) -> list[int]:
        """Puts the next attempt of each in line, where it is not yet, and returns the numbers of those runs."""
        attempts = [(one.delivery, one.run.handler, one.next_attempt) for one in chosen]
        self._store.write(*((_AGAIN, attempt) for attempt in attempts))
        return [self._store.read(_NUMBER, attempt)[0]["number"] for attempt in attempts]

    def runs(self, numbers: Sequence[int]) -> Mapping[int, Run]:
        """Runs by their numbers."""
        rows = self._store.read(_RUNS_BY_NUMBER, (json.dumps(numbers),))
        return {row["number"]: _run(row) for row in rows}

    def interrupt(self) -> None:
        """What was running when its process died is `interrupted`. Only for the one process that runs handlers here."""
        self._store.write(("UPDATE run SET state = 'interrupted' WHERE state = 'running'", ()))

    def count(self, state: RunState) -> Mapping[str, int]:
        """How many runs are in a state, by handler."""
        rows = self._store.read("SELECT handler, count(*) AS runs FROM run WHERE state = ? GROUP BY handler", (state,))
        return {row["handler"]: row["runs"] for row in rows}

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
        asked = {"event": event, "verdict": verdict, "run": run, "since": since, "limit": limit}
        return self._with_runs(self._store.read(_ENTRIES, asked))

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

    def _with_runs(self, rows: Sequence[sqlite3.Row]) -> list[Entry]:
        numbers = [row["number"] for row in rows]
        runs: dict[int, list[Run]] = {number: [] for number in numbers}
        for row in self._store.read(_RUNS, (json.dumps(numbers),)):
            runs[row["delivery"]].append(_run(row))
        return [_entry(row, tuple(runs[row["number"]])) for row in rows]


def _finish(claim: Claim, run: Run) -> Statement:
    return _FINISH_RUN, (run.state, run.milliseconds, run.error, claim.number)


def _delivery(row: sqlite3.Row) -> Delivery:
    payload: Any = parse(row["body"])
    return Delivery(
        id=row["id"],
        event=payload["event"],
        data=payload["data"],
        body=row["body"],
        headers=json.loads(row["headers"]),
        received_at=datetime.fromtimestamp(row["received_at"] / 1e6, UTC),
        attempt=row["attempt"],
    )


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
    )


def _run(row: sqlite3.Row) -> Run:
    return Run(
        row["handler"], row["attempt"], RunState(row["state"]), row["started_at"], row["milliseconds"], row["error"]
    )
