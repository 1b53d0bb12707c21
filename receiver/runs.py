"""The runs of handlers, as the inbox keeps them: claim, begin, finish, run again.

In: what the worker did. Out: claims for it, and the runs of deliveries. Its table lies in the inbox's file, beside the
deliveries. Times are whole microseconds since 1970, UTC.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from receiver.commits import Statement
from receiver.delivery import Delivery, parse
from receiver.entry import Claim, Latest, Run, RunState
from receiver.store import Store, now

TABLES = (
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
BY_DELIVERY = (
    "DROP INDEX run_state",
    "CREATE INDEX run_state ON run (state, delivery)",
)
"""From version 2 on, so that the runs in a state are found in the order of their deliveries."""

_PUT_IN_LINE = """
INSERT INTO run (delivery, handler, attempt, state) VALUES ((SELECT number FROM delivery WHERE id = ?), ?, ?, 'pending')
"""
_CLAIMS = """
SELECT run.number, handler, attempt, id, event, body, headers, received_at
FROM run JOIN delivery ON delivery.number = run.delivery
WHERE state = 'pending' AND handler IN (SELECT value FROM json_each(:handlers))
AND (:only IS NULL OR run.number IN (SELECT value FROM json_each(:only)))
ORDER BY run.delivery, run.number LIMIT :most
"""
_LATEST = """
SELECT delivery.id, event, run.* FROM {tables}
WHERE state IN (SELECT value FROM json_each(:states))
AND (:handler IS NULL OR handler = :handler)
AND (:event IS NULL OR event = :event)
AND (:since IS NULL OR received_at >= :since)
AND attempt = (SELECT max(attempt) FROM run AS any WHERE any.delivery = run.delivery AND any.handler = run.handler)
ORDER BY run.delivery, run.number
"""
# The order of a CROSS JOIN is kept: a handful of ids is looked up first, among all deliveries the runs in a state are.
_OF_IDS = """
json_each(:ids) AS wanted CROSS JOIN delivery ON delivery.id = wanted.value
CROSS JOIN run ON run.delivery = delivery.number
"""
_OF_ALL = "run CROSS JOIN delivery ON delivery.number = run.delivery"
_NUMBER = """
SELECT number FROM run
WHERE delivery = (SELECT number FROM delivery WHERE id = ?) AND handler = ? AND attempt = ?
"""
_BY_NUMBER = "SELECT * FROM run WHERE number IN (SELECT value FROM json_each(?))"
_OF_DELIVERIES = "SELECT * FROM run WHERE delivery IN (SELECT value FROM json_each(?)) ORDER BY number"
# Of two that ask for the same next attempt at once, one gets it: (delivery, handler, attempt) is unique.
_AGAIN = _PUT_IN_LINE.replace("INSERT", "INSERT OR IGNORE")
_BEGIN = "UPDATE run SET state = 'running', started_at = ? WHERE number = ?"
_COUNT = """
SELECT handler, count(*) AS runs FROM run WHERE state = ? AND NOT EXISTS (
    SELECT 1 FROM run AS later
    WHERE later.delivery = run.delivery AND later.handler = run.handler AND later.attempt > run.attempt
) GROUP BY handler
"""
_FINISH = "UPDATE run SET state = ?, milliseconds = ?, error = ? WHERE number = ?"


class Runs:
    """The runs in an inbox's file."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def claims(self, handlers: Sequence[str], *, only: Sequence[int] | None = None, most: int) -> list[Claim]:
        """The first pending runs of these handlers, in the order of their deliveries.

        `only` those of these numbers, if it is said.
        """
        asked = {"handlers": json.dumps(handlers), "only": only and json.dumps(only), "most": most}
        return [Claim(row["number"], row["handler"], _delivery(row)) for row in self._store.read(_CLAIMS, asked)]

    def begin(self, claim: Claim, *, after: tuple[Claim, Run] | None = None) -> int:
        """Records that a run has started, and how the one before it ended; returns when.

        Not synced, as `finish`: a kill loses none of it, and after a power cut a run may be repeated.
        """
        started_at = now()
        finish = [_finish(*after)] if after else []
        self._store.write(*finish, (_BEGIN, (started_at, claim.number)), synced=False)
        return started_at

    def finish(self, claim: Claim, run: Run) -> Run:
        """Records how a run ended; returns it."""
        self._store.write(_finish(claim, run), synced=False)
        return run

    def interrupt(self) -> None:
        """What was running when its process died is `interrupted`. Only for the one process that runs handlers here."""
        self._store.write(("UPDATE run SET state = 'interrupted' WHERE state = 'running'", ()))

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
        asked = {"handler": handler, "event": event, "since": since, "ids": json.dumps(ids)}
        query = _LATEST.format(tables=_OF_ALL if ids is None else _OF_IDS)
        rows = self._store.read(query, {**asked, "states": json.dumps(states)})
        return [Latest(row["id"], row["event"], _run(row)) for row in rows]

    def again(self, chosen: Sequence[Latest]) -> list[int]:
        """Puts the next attempt of each in line, where it is not yet, and returns the numbers of those runs."""
        attempts = [(one.delivery, one.run.handler, one.next_attempt) for one in chosen]
        self._store.write(*((_AGAIN, attempt) for attempt in attempts))
        return [self._store.read(_NUMBER, attempt)[0]["number"] for attempt in attempts]

    def unrouted(self) -> list[tuple[str, str]]:
        """The ids and events of deliveries that became valid when they were judged again; no handler knows of them."""
        rows = self._store.read("SELECT id, event FROM delivery WHERE unrouted ORDER BY number LIMIT 100")
        return [(row["id"], row["event"]) for row in rows]

    def route(self, delivery: str, handlers: Sequence[str]) -> None:
        """Puts the first runs of such a delivery in line. Only for the one process that runs handlers here."""
        routed = ("UPDATE delivery SET unrouted = NULL WHERE id = ?", (delivery,))
        self._store.write(routed, *put_in_line(delivery, handlers))

    def of(self, deliveries: Sequence[int]) -> Mapping[int, tuple[Run, ...]]:
        """All runs of each of these deliveries, given by their numbers in the table."""
        runs: dict[int, tuple[Run, ...]] = dict.fromkeys(deliveries, ())
        for row in self._store.read(_OF_DELIVERIES, (json.dumps(deliveries),)):
            runs[row["delivery"]] += (_run(row),)
        return runs

    def numbered(self, numbers: Sequence[int]) -> Mapping[int, Run]:
        """Runs by their numbers."""
        return {row["number"]: _run(row) for row in self._store.read(_BY_NUMBER, (json.dumps(numbers),))}

    def count(self, state: RunState) -> Mapping[str, int]:
        """How many runs are in a state and were not repeated since, by handler."""
        return {row["handler"]: row["runs"] for row in self._store.read(_COUNT, (state,))}


def put_in_line(delivery: str, handlers: Sequence[str]) -> list[Statement]:
    """The statements that make the first run of each handler for a delivery."""
    return [(_PUT_IN_LINE, (delivery, handler, 1)) for handler in handlers]


def _finish(claim: Claim, run: Run) -> Statement:
    return _FINISH, (run.state, run.milliseconds, run.error, claim.number)


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


def _run(row: sqlite3.Row) -> Run:
    return Run(
        row["handler"], row["attempt"], RunState(row["state"]), row["started_at"], row["milliseconds"], row["error"]
    )
