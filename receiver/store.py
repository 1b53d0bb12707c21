"""A SQLite file, opened durably and privately; used by the receiver's inbox and the sender's ledger.

All writes of a process go through one connection and one thread: those that wait at the same time share a transaction,
and `write` returns only after it was synced to disk. Knows nothing of deliveries or attempts: tables and statements
come from outside.
"""

import fcntl
import os
import queue
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import chain
from pathlib import Path

BUSY_SECONDS = 5.0
"""How long a write waits for another process's transaction before it fails."""

Values = Sequence[object] | Mapping[str, object]
Statement = tuple[str, Values]

# In WAL mode FULL syncs the log at each commit, NORMAL leaves that to the next such commit or checkpoint.
_SYNCED = "PRAGMA synchronous = FULL"
_UNSYNCED = "PRAGMA synchronous = NORMAL"

_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_IOERR: "the disk does not take it; look at its free space and its health",
    sqlite3.SQLITE_READONLY: "it may not be written; mend the permissions or choose another --state",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; mend the permissions or choose another --state",
    sqlite3.SQLITE_BUSY: "another process holds it; wait for that to end or stop it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; move it away (and keep it), a new one will be made",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database; move it away, a new one will be made",
}


def now() -> int:
    """This moment as it is kept in tables: whole microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def new_id() -> str:
    """A new id, for a delivery or an event: 16 hexadecimal digits."""
    return os.urandom(8).hex()


class StoreError(Exception):
    """The file cannot be opened, read or written; the text names it and says what to do. What was durable stays so."""


class _GoneError(OSError):
    """The file was deleted or moved while it was in use."""


class Store:
    """One SQLite file in a directory that only its owner can enter.

    Args:
        path: the file; it and its directory are made, 0600 and 0700, where they are missing.
        versions: the statements that make each version of the tables out of the one before it. The file says which it
            has, and is brought up to the last.

    Raises:
        StoreError: it cannot be opened, or was written by a newer version.
    """

    def __init__(self, path: Path, versions: Sequence[Sequence[str]]) -> None:
        self.path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._reading = threading.Lock()
        self._closed = False
        self._gate = threading.Lock()  # nothing is put behind the end of the queue, where it would wait for ever
        try:
            with _alone_at(path), ExitStack() as undo:
                self._writer = undo.enter_context(closing(_connect(path)))
                _migrate(self._writer, path, versions)
                self._reader = undo.enter_context(closing(_connect(path)))
                self._place = (path.stat().st_dev, path.stat().st_ino)
                undo.pop_all()
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error
        self._thread = threading.Thread(target=self._run, name=f"writer of {path.name}", daemon=True)
        self._thread.start()

    def write(self, *statements: Statement, then: Callable[[], None] | None = None, synced: bool = True) -> list[int]:
        """Runs the statements in one transaction and returns, once that is on disk, how many rows each changed.

        `then` is called right after the commit, in the order of commits, and must not wait for anything. What is not
        `synced` outlives this process in any case; of the last of it a power cut may leave nothing.

        Raises:
            StoreError: nothing of it was stored.
        """
        job = _Job(statements, then, synced)
        with self._gate:
            if self._closed:
                raise StoreError(f"{self.path}: is closed")
            self._jobs.put(job)
        job.ended.acquire()
        if job.error is not None:
            raise self._failure(job.error) from job.error
        return job.changed

    def read(self, statement: str, values: Values = ()) -> list[sqlite3.Row]:
        """The rows of a query, as they are on disk at this moment.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            with self._reading:
                return self._reader.execute(statement, values).fetchall()
        except (sqlite3.Error, ValueError, OverflowError) as error:  # the latter two: a value that no table could hold
            raise self._failure(error) from error

    def close(self) -> None:
        """Writes what still waits, then lets go of the file. A second call does nothing."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            group = [job]
            while not self._jobs.empty():
                if (job := self._jobs.get()) is None:
                    self._jobs.put(None)  # ends the loop after this group
                    break
                group.append(job)
            self._commit(group)

    def _commit(self, group: "list[_Job]") -> None:
        try:
            self._writer.execute(_SYNCED if any(job.synced for job in group) else _UNSYNCED)
            self._writer.execute("BEGIN IMMEDIATE")
            for job in group:
                job.changed = [self._writer.execute(*statement).rowcount for statement in job.statements]
            self._writer.execute("COMMIT")
            self._check_place()
        except Exception as error:  # noqa: BLE001 - were this thread to die, every later write would wait for ever
            self._give_up(group, error)
        else:
            for job in group:
                job.end()

    def _give_up(self, group: "list[_Job]", error: Exception) -> None:
        with suppress(sqlite3.Error):
            self._writer.rollback()
        if len(group) > 1 and not _is_of_the_file(error):
            for job in group:  # one that cannot be stored must not take its group with it: each is tried alone
                self._commit([job])
        else:
            for job in group:
                job.error = error
                job.end()

    def _check_place(self) -> None:
        """What was committed to a file that was deleted or moved meanwhile is not on disk for anyone."""
        try:
            there = self.path.stat()
        except FileNotFoundError as error:
            raise _GoneError(str(error)) from error
        if (there.st_dev, there.st_ino) != self._place:
            raise _GoneError(f"{self.path} is another file now")

    def _failure(self, error: Exception) -> StoreError:
        remedy = _REMEDIES.get(_code(error))
        if isinstance(error, _GoneError):
            remedy = "the file was deleted or moved while it was in use; restart, and a new one will be made"
        elif isinstance(error, OSError):
            remedy = "mend the permissions or choose another --state"
        return StoreError(f"{self.path}: {remedy} ({error})" if remedy else f"{self.path}: {error}")


class _Job:
    """Statements that wait for the writer, and what became of them."""

    __slots__ = ("changed", "ended", "error", "statements", "synced", "then")

    def __init__(self, statements: Sequence[Statement], then: Callable[[], None] | None, synced: bool) -> None:
        self.statements = statements
        self.then = then
        self.synced = synced
        self.changed: list[int] = []
        self.error: Exception | None = None
        self.ended = threading.Lock()  # released by the writer; cheaper than an Event
        self.ended.acquire()

    def end(self) -> None:
        try:
            if self.then and self.error is None:
                self.then()
        except Exception:  # noqa: BLE001 - the writer must outlive what it calls, or later writes wait for ever
            traceback.print_exc()
        finally:
            self.ended.release()


def _code(error: Exception) -> int:
    """The primary one of SQLite's result codes (https://sqlite.org/rescode.html); 0 for an error that is not
    SQLite's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_of_the_file(error: Exception) -> bool:
    """Whether it would befall any statement, so that trying another one only takes time."""
    return isinstance(error, OSError) or _code(error) in _REMEDIES


@contextmanager
def _alone_at(path: Path) -> Iterator[None]:
    """Makes the file, where it is missing, so that only its owner can read it; who opens it waits here in turn.

    SQLite does not wait when two switch a new file to WAL at once.
    """
    with suppress(FileExistsError):
        path.parent.mkdir(mode=0o700, parents=True)
        # What is stored are customers' data: never to be committed by a `git add .` in the user's project.
        ignored = path.parent / ".gitignore"
        ignored.touch(mode=0o600)
        ignored.write_text("*\n")
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives -wal and -shm the same mode
        os.fsync(directory)  # a new file's name is durable only then: fsync(2)
        yield
    finally:
        os.close(directory)


def _migrate(connection: sqlite3.Connection, path: Path, versions: Sequence[Sequence[str]]) -> None:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > len(versions):
        raise StoreError(
            f"{path}: was written by a newer version (format {found}, this one knows {len(versions)}); "
            "upgrade enablenow-webhooks or choose another --state"
        )
    if found < len(versions):
        connection.execute("BEGIN IMMEDIATE")
        for statement in chain(*versions[found:]):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(versions)}")
        connection.execute("COMMIT")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"WAL is not to be had here (got {mode}): is this a network file system?")
        connection.execute(_SYNCED)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted are customers' data
    except BaseException:
        connection.close()
        raise
    return connection
