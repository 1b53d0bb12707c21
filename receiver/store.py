"""A SQLite file, opened durably and privately; used by the receiver's inbox and the sender's ledger.

All writes of a process go through one connection (`commits`), and `write` returns only after it was synced to disk.
Knows nothing of deliveries or attempts: tables and statements come from outside.
"""

import errno
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path

from receiver.commits import SYNCED, Commits, Job, Statement, Values

BUSY_SECONDS = 5.0
"""How long a write waits for another process's transaction before it fails."""

_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_IOERR: "the disk does not take it; look at its free space and its health",
    sqlite3.SQLITE_READONLY: "it may not be written; mend the permissions or choose another --state",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; mend the permissions or choose another --state",
    sqlite3.SQLITE_BUSY: "another process holds it; wait for that to end or stop it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; move it and its -wal away (and keep both), a new one will be made",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database; move it and its -wal away (and keep both), one will be made",
}
_CODES = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EIO: sqlite3.SQLITE_IOERR,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.EISDIR: sqlite3.SQLITE_NOTADB,
}
"""What the operating system says, in SQLite's words."""


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


class _LeftoverError(OSError):
    """The file is not there, but the log of what was written to it last is."""


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
        self._reading = threading.Lock()
        try:
            with _alone_at(path), ExitStack() as undo:
                self._writer = undo.enter_context(closing(_connect(path)))
                _migrate(self._writer, path, versions)
                self._reader = undo.enter_context(closing(_connect(path)))
                self._place = (path.stat().st_dev, path.stat().st_ino)
                undo.pop_all()
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error
        self._commits = Commits(self._writer, self._check_place, _is_of_the_file)

    def write(self, *statements: Statement, then: Callable[[], None] | None = None, synced: bool = True) -> list[int]:
        """Runs the statements in one transaction and returns, once that is on disk, how many rows each changed.

        `then` is called right after the commit, in the order of commits, and must not wait for anything. What is not
        `synced` outlives this process in any case; of the last of it a power cut may leave nothing.

        Raises:
            StoreError: nothing of it was stored.
        """
        job = Job(statements, then, synced)
        self._commits.make([job])
        if job.error is not None:
            raise self._failure(job.error) from job.error
        return job.changed

    def write_each(
        self, parts: Sequence[Sequence[Statement]], then: Callable[[int], None]
    ) -> "list[StoreError | None]":
        """Writes several parts, each as `write` does it, in one transaction if that can be.

        `then` is called with the index of each part that was stored. Returns for each part why it was not, or None.
        """
        jobs = [Job(statements, partial(then, index)) for index, statements in enumerate(parts)]
        self._commits.make(jobs)
        return [self._failure(job.error) if job.error else None for job in jobs]

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
        self._commits.end()
        self._reader.close()
        self._writer.close()

    def _check_place(self) -> None:
        """What was committed to a file that was deleted or moved meanwhile is not on disk for anyone."""
        try:
            there = self.path.stat()
        except FileNotFoundError as error:
            raise _GoneError(str(error)) from error
        if (there.st_dev, there.st_ino) != self._place:
            raise _GoneError(f"{self.path} is another file now")

    def _failure(self, error: BaseException) -> StoreError:
        log = _log_of(self.path).name
        remedy = _REMEDIES.get(_code(error))
        if isinstance(error, _GoneError):
            remedy = f"it was deleted or moved while it was in use; restart with it back, or with {log} moved away too"
        elif isinstance(error, _LeftoverError):
            remedy = f"put it back beside {log}, which holds its last entries, or move that away too (and keep it)"
        return StoreError(f"{self.path}: {remedy} ({error})" if remedy else f"{self.path}: {error}")


def _code(error: BaseException) -> int:
    """The primary one of SQLite's result codes (https://sqlite.org/rescode.html), also for what the operating system
    says; 0 for any other error."""
    if isinstance(error, OSError):
        return _CODES.get(error.errno or 0, sqlite3.SQLITE_CANTOPEN)
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_of_the_file(error: BaseException) -> bool:
    """Whether it would befall any statement, so that trying another one only takes time."""
    return _code(error) in _REMEDIES


@contextmanager
def _alone_at(path: Path) -> Iterator[None]:
    """Makes the file, where it is missing, so that only its owner can read it; who opens it waits here in turn.

    SQLite does not wait when two switch a new file to WAL at once.
    """
    missing = [directory for directory in path.parents if not directory.exists()]
    # What is stored are customers' data: never to be committed by a `git add .` in the user's project.
    ignored = path.parent / ".gitignore"
    with suppress(FileExistsError):
        path.parent.mkdir(mode=0o700, parents=True)
        ignored.touch(mode=0o600)
    if ignored.exists() and not ignored.stat().st_size:  # new, or the disk was full when it was
        ignored.write_text("*\n")
    for made in missing:
        with _opened(made.parent) as directory:
            os.fsync(directory)  # a new name is durable only when the directory that it is in was synced: fsync(2)
    with _opened(path.parent) as directory:
        fcntl.flock(directory, fcntl.LOCK_EX)
        if _size(_log_of(path)) and not _size(path):  # SQLite would throw the log away
            raise _LeftoverError(f"{path.name} is missing or empty")
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives -wal and -shm the same mode
        os.fsync(directory)
        yield


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _size(path: Path) -> int:
    """0 where there is none; who closes the file last deletes its log at any moment."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


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
        connection.execute(SYNCED)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted are customers' data
    except BaseException:
        connection.close()
        raise
    return connection
