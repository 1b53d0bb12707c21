"""The ledger: every attempt, from before its socket opens to its outcome.

In: intents and outcomes. Out: attempts. One event id and one endpoint make at most one attempt, ever, however many
processes ask: that is a UNIQUE in a table, not a check. Times are whole microseconds since 1970, UTC.
"""

import fcntl
import os
from pathlib import Path

from receiver.store import Store, StoreError
from receiver.terminal import iso
from sender import endpoints, places
from sender.attempt import Attempt, State
from sender.endpoints import Endpoints
from sender.past import Past, attempt_of
from sender.places import Places

FILE = "ledger.db"
LOCK = "ledger.lock"
_TABLES = (
    """
CREATE TABLE attempt (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    event TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    process INTEGER NOT NULL,
    milliseconds REAL,
    status INTEGER,
    delivery TEXT,
    answer BLOB,
    reason TEXT,
    UNIQUE (id, url)
) STRICT
""",
    "CREATE INDEX attempt_state ON attempt (state, number)",
)
_WITHOUT_DEADLINE = ("ALTER TABLE attempt DROP COLUMN deadline",)
_WITH_COPIES = (
    """
CREATE TABLE attempt_new (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    copy INTEGER NOT NULL,
    event TEXT NOT NULL,
    body BLOB NOT NULL,
    fault TEXT,
    state TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    process INTEGER NOT NULL,
    milliseconds REAL,
    status INTEGER,
    delivery TEXT,
    answer BLOB,
    reason TEXT,
    UNIQUE (id, url, copy)
) STRICT
""",
    """
INSERT INTO attempt_new
SELECT number, id, url, 0, event, body, NULL, state, started_at, process, milliseconds, status, delivery, answer, reason
FROM attempt
""",
    "DROP TABLE attempt",
    "ALTER TABLE attempt_new RENAME TO attempt",
    "CREATE INDEX attempt_state ON attempt (state, number)",
)
VERSIONS = (_TABLES, _WITHOUT_DEADLINE, (*_WITH_COPIES, *endpoints.TABLES, *places.TABLES))
"""What makes each version of the file out of the one before it."""

_INTEND = """
INSERT OR IGNORE INTO attempt (id, url, copy, event, body, fault, state, started_at, process)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# What was refused never left, so it may be tried again by who asks for that.
_INTEND_AGAIN = (
    _INTEND.replace("OR IGNORE ", "")
    + """
ON CONFLICT (id, url, copy) DO UPDATE SET state = excluded.state, started_at = excluded.started_at,
process = excluded.process, milliseconds = NULL, reason = NULL WHERE state = 'refused'
"""
)
_CONCLUDE = """
UPDATE attempt SET state = ?, milliseconds = ?, status = ?, delivery = ?, answer = ?, reason = ?
WHERE id = ? AND url = ? AND copy = ?
"""
_NEXT_COPY = "SELECT coalesce(max(copy) + (state != 'refused'), 0) AS copy FROM attempt WHERE id = ? AND url = ?"
_IN_STATE = "SELECT * FROM attempt WHERE state = ? ORDER BY number DESC LIMIT ?"
_UNDER = "SELECT * FROM attempt WHERE id = ? ORDER BY number DESC"
_GIVE_UP = """
UPDATE attempt SET state = 'unknown', reason = 'the sender ended before the answer came'
WHERE number = ? AND state = 'sending'
"""


class LedgerError(Exception):
    """A question that the ledger cannot answer: there is none, or no such event in it."""


_BEFORE = {
    State.SENDING: "is being sent to",
    State.DELIVERED: "was sent to",
    State.REFUSED: "was tried and refused at",
    State.UNKNOWN: "may have arrived at",
}


class AlreadySent(LedgerError):
    """This event was sent to this endpoint before; nothing was sent now. `attempt` is what became of it."""

    def __init__(self, attempt: Attempt) -> None:
        result = attempt.outcome.status or attempt.outcome.state
        when = f"at {iso(attempt.started_at)} ({result})"
        super().__init__(
            f"event {attempt.id} {_BEFORE[attempt.outcome.state]} {attempt.url} {when}; "
            "nothing was sent now, another --id is another event"
        )
        self.attempt = attempt


class Ledger:
    """The ledger in a state directory; made there where it is missing.

    What a process left in `sending` when it died is `unknown` as soon as the next one opens the ledger.

    Raises:
        StoreError: a file cannot be opened.
    """

    def __init__(self, state: Path) -> None:
        self._store = Store(state / FILE, VERSIONS)
        self.endpoints = Endpoints(self._store)
        self.places = Places(self._store)
        self.past = Past(self._store)
        self._senders: int | None = None
        try:
            self._senders = _opened(state / LOCK)
            self._settle(self._senders)
        except BaseException:
            self.close()
            raise

    @classmethod
    def existing(cls, state: Path) -> "Ledger":
        """The ledger that a sender has made in `state`.

        Raises:
            LedgerError: there is none.
        """
        if not (state / FILE).is_file():
            raise LedgerError(
                f"nothing was sent yet: no ledger in {state}; `sender fire` makes one, --state names another place"
            )
        return cls(state)

    def close(self) -> None:
        """Lets go of the files. A second call does nothing."""
        self._store.close()
        if self._senders is not None:
            os.close(self._senders)
            self._senders = None

    def intend(self, attempt: Attempt, *, though_refused: bool = False) -> None:
        """Records, durably, that a POST is about to be made; where asked for, also one that was refused before.

        Raises:
            AlreadySent: this event has had its attempt at this endpoint, so there must not be another.
        """
        values = (
            attempt.id,
            attempt.url,
            attempt.copy,
            attempt.event,
            attempt.body,
            attempt.fault,
            State.SENDING,
            attempt.started_at,
            os.getpid(),
        )
        (inserted,) = self._store.write((_INTEND_AGAIN if though_refused else _INTEND, values))
        if not inserted:
            raise AlreadySent(self.attempt(attempt.id, attempt.url, attempt.copy))

    def conclude(self, attempt: Attempt) -> None:
        """Records, durably, how an attempt ended."""
        outcome = attempt.outcome
        values = (
            outcome.state,
            outcome.milliseconds,
            outcome.status,
            outcome.delivery,
            outcome.answer,
            outcome.reason,
            attempt.id,
            attempt.url,
            attempt.copy,
        )
        self._store.write((_CONCLUDE, values))

    def attempt(self, id_: str, url: str, copy: int = 0) -> Attempt:
        """The attempt for an event at an endpoint, which has to be there."""
        (row,) = self._store.read("SELECT * FROM attempt WHERE id = ? AND url = ? AND copy = ?", (id_, url, copy))
        return attempt_of(row)

    def next_copy(self, id_: str, url: str) -> int:
        """Which copy of an event the next attempt at an endpoint is; the last one again, where that was refused."""
        (row,) = self._store.read(_NEXT_COPY, (id_, url))
        return int(row["copy"])

    def attempts(self, *, limit: int, state: State | None = None) -> list[Attempt]:
        """The newest attempts, newest first; those in a state, where one is given."""
        if state is None:
            rows = self._store.read("SELECT * FROM attempt ORDER BY number DESC LIMIT ?", (limit,))
        else:
            rows = self._store.read(_IN_STATE, (state, limit))
        return [attempt_of(row) for row in rows]

    def attempts_under(self, id_: str) -> list[Attempt]:
        """The attempts under an event's whole id, newest first; none where nothing was sent under it."""
        return [attempt_of(row) for row in self._store.read(_UNDER, (id_,))]

    def attempts_of(self, shortened: str) -> list[Attempt]:
        """The attempts for the event whose id begins with `shortened`, one for each endpoint.

        Raises:
            LedgerError: there is no such event, or there are several.
        """
        rows = self._store.read(
            "SELECT * FROM attempt WHERE substr(id, 1, ?) = ? ORDER BY number", (len(shortened), shortened)
        )
        ids = {row["id"] for row in rows}
        if shortened in ids:
            return [attempt_of(row) for row in rows if row["id"] == shortened]
        if not ids:
            raise LedgerError(f"no event {shortened!r} was sent: `sender log` shows what was")
        if len(ids) > 1:
            raise LedgerError(f"{shortened!r} fits {len(ids)} events: give more of the id")
        return [attempt_of(row) for row in rows]

    def _settle(self, senders: int) -> None:
        """Nobody is going to conclude what a process was sending that is no more.

        Each who sends holds a share of a lock, which the system takes from it when it dies: who gets it alone knows
        that nobody sends, even where a dead one's process id lives again, and whatever the clock says. Where it is
        shared, the ids have to do, of which none that sends can be missing.
        """
        alone = _held_alone(senders)
        sending = self._store.read("SELECT number, process FROM attempt WHERE state = 'sending'")
        given_up = [(_GIVE_UP, (number,)) for number, process in sending if alone or not _lives(process)]
        if given_up:
            self._store.write(*given_up)
        fcntl.flock(senders, fcntl.LOCK_SH)


def _opened(lock: Path) -> int:
    try:
        return os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise StoreError(f"{lock}: mend the permissions or choose another --state ({error})") from error


def _held_alone(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
