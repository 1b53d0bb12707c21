"""Group commit: what the threads of a process write through one connection.

In: jobs, each some statements. A thread that finds nobody at it commits its jobs itself (to hand them to a thread of
their own and back takes longer than that); those that come meanwhile share the next transaction. Out: what became of
each. Knows nothing of files.
"""

import sqlite3
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

Values = Sequence[object] | Mapping[str, object]
Statement = tuple[str, Values]

# In WAL mode FULL syncs the log at each commit, NORMAL leaves that to the next such commit or checkpoint.
SYNCED = "PRAGMA synchronous = FULL"
_UNSYNCED = "PRAGMA synchronous = NORMAL"


class Job:
    """Statements that are committed together or not at all; then in `changed` how many rows each changed, or in
    `error` why it failed. `then` is called right after the commit, in the order of commits."""

    __slots__ = ("changed", "error", "statements", "synced", "then")

    def __init__(
        self, statements: Sequence[Statement], then: Callable[[], None] | None = None, synced: bool = True
    ) -> None:
        self.statements = statements
        self.then = then
        self.synced = synced
        self.changed: list[int] = []
        self.error: BaseException | None = None

    def tell(self) -> None:
        try:
            if self.then:
                self.then()
        except Exception:  # noqa: BLE001 - it is stored all the same, and those behind it must not wait for ever
            traceback.print_exc()


class _Turn:
    """Where a thread waits until its jobs are done, or until it is called to commit what is in line."""

    __slots__ = ("_called", "jobs", "leads")

    def __init__(self, jobs: Sequence[Job], leads: bool) -> None:
        self.jobs = jobs
        self.leads = leads
        self._called = threading.Lock()  # cheaper than an Event
        self._called.acquire()

    def wait(self) -> None:
        if not self.leads:
            self._called.acquire()

    def call(self) -> None:
        self.leads = True
        self._called.release()

    def end(self) -> None:
        if not self.leads:
            self._called.release()


class Commits:
    """The transactions of one connection.

    Args:
        check: is called after each commit; what it raises is what befell the jobs.
        hopeless: whether an error would befall any job, so that trying each alone only takes time.
    """

    def __init__(
        self, connection: sqlite3.Connection, check: Callable[[], None], hopeless: Callable[[BaseException], bool]
    ) -> None:
        self._connection = connection
        self._check = check
        self._hopeless = hopeless
        self._line: list[_Turn] = []
        self._busy = False
        self._ended = False
        self._gate = threading.Condition()  # of these three
        self._synced: bool | None = None  # what the connection was last told

    def make(self, jobs: Sequence[Job]) -> None:
        """Returns once each job is committed, in one transaction if that can be, or has its error."""
        if not jobs:
            return
        with self._gate:
            if self._ended:
                for job in jobs:
                    job.error = sqlite3.ProgrammingError("is closed")
                return
            turn = _Turn(jobs, leads=not self._busy)
            self._line.append(turn)
            self._busy = True
        try:
            turn.wait()
        except BaseException:  # Ctrl-C, in the main thread
            self._leave(turn)
            raise
        finally:
            if turn.leads:
                self._lead()

    def end(self) -> None:
        """Waits until what is in line is committed; later jobs fail."""
        with self._gate:
            self._ended = True
            self._gate.wait_for(lambda: not self._busy)

    def _leave(self, turn: _Turn) -> None:
        with self._gate:
            if turn in self._line and not turn.leads:
                self._line.remove(turn)

    def _lead(self) -> None:
        """Commits what is in line, then calls the first of those that have come since."""
        with self._gate:
            turns, self._line = self._line, []
        try:
            self._commit([job for turn in turns for job in turn.jobs])
        finally:
            with self._gate:
                for turn in turns:
                    turn.end()
                if self._line:
                    self._line[0].call()
                else:
                    self._busy = False
                    self._gate.notify_all()  # of them `end` waits

    def _commit(self, jobs: Sequence[Job]) -> None:
        try:
            self._sync(any(job.synced for job in jobs))
            self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                job.changed = [self._connection.execute(*statement).rowcount for statement in job.statements]
            self._connection.execute("COMMIT")
            self._check()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is the jobs' own error
            self._give_up(jobs, error)
        except BaseException as error:  # Ctrl-C, in the main thread
            self._give_up(jobs, error)
            raise
        else:
            for job in jobs:
                job.tell()

    def _sync(self, synced: bool) -> None:
        if synced is not self._synced:
            self._connection.execute(SYNCED if synced else _UNSYNCED)
            self._synced = synced

    def _give_up(self, jobs: Sequence[Job], error: BaseException) -> None:
        with suppress(sqlite3.Error):
            self._connection.rollback()
        if len(jobs) > 1 and not self._hopeless(error):
            for job in jobs:  # one that cannot be stored must not take the others with it: each is tried alone
                self._commit([job])
        else:
            for job in jobs:
                job.error = error
