"""The store: durable, private, one writer; a failure is told with its remedy and takes nothing else with it."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import wait_for

from receiver.store import Store, StoreError, new_id, now

TABLES = ["CREATE TABLE note (id TEXT PRIMARY KEY, text TEXT) STRICT"]
INSERT = "INSERT INTO note VALUES (?, ?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "notes.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store(path, [TABLES])) as store:
        yield store


def test_what_was_written_is_read_by_who_opens_the_file_next(path: Path) -> None:
    with closing(Store(path, [TABLES])) as store:
        assert store.write((INSERT, ("a", "x")), (INSERT, ("b", "y"))) == [1, 1]
    with closing(Store(path, [TABLES])) as store:
        assert [row["id"] for row in store.read("SELECT id FROM note ORDER BY id")] == ["a", "b"]


def test_only_its_owner_can_enter_the_directory_and_read_the_files(store: Store, path: Path) -> None:
    store.write((INSERT, ("a", "x")))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("notes.db*")}
    assert files == {"notes.db": 0o600, "notes.db-wal": 0o600, "notes.db-shm": 0o600}


def test_git_never_sees_what_is_in_the_directory(store: Store) -> None:
    assert (store.path.parent / ".gitignore").read_text() == "*\n"


def test_the_file_is_in_wal_mode_and_synced_at_each_commit(store: Store) -> None:
    assert store.read("PRAGMA journal_mode")[0][0] == "wal"
    assert store._writer.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL: https://sqlite.org/pragma.html


def insert(store: Store, id_: str) -> None:
    store.write((INSERT, (id_, "x")))


def written_together(store: Store, path: Path, write: Callable[[str], None], ids: list[str]) -> list[str]:
    """Lets the first write wait for another process's transaction, and the others for the first; the statements run."""
    ran: list[str] = []
    store._writer.set_trace_callback(ran.append)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        threads = [threading.Thread(target=write, args=(id_,)) for id_ in ids]
        threads[0].start()
        wait_for(lambda: ran, "the first one to begin")
        for thread in threads[1:]:
            thread.start()
        wait_for(lambda: len(store._commits._line) == len(ids) - 1, "the others to queue up")
        other.execute("COMMIT")
    for thread in threads:
        thread.join()
    return ran


def test_a_write_is_synced_whatever_was_written_before_it_or_with_it(store: Store, path: Path) -> None:
    """What need not be synced must not take that from what has to be."""

    def write(id_: str) -> None:
        store.write((INSERT, (id_, "x")), synced=id_.startswith("synced"))

    ran = written_together(store, path, write, ["first", "a", "synced b", "c"])
    write("d")
    write("synced e")
    modes = [sql for sql in ran if sql.startswith("PRAGMA synchronous")]
    assert [mode.split()[-1] for mode in modes] == ["NORMAL", "FULL", "NORMAL", "FULL"]


def test_writes_that_wait_together_share_a_commit_and_each_is_stored(store: Store, path: Path) -> None:
    ids = [str(number) for number in range(20)]
    ran = written_together(store, path, partial(insert, store), ids)
    assert store.read("SELECT count(*) FROM note")[0][0] == 20
    assert ran.count("COMMIT") == 2  # the first one, then all that had come meanwhile


def test_one_that_cannot_be_stored_does_not_take_its_group_with_it(store: Store, path: Path) -> None:
    store.write((INSERT, ("taken", "x")))
    failed: list[str] = []

    def write(id_: str) -> None:
        try:
            store.write((INSERT, (f"{id_} also", "x")), (INSERT, (id_, "x")))
        except StoreError:
            failed.append(id_)

    written_together(store, path, write, ["first", "a", "taken", "b"])
    assert failed == ["taken"]
    ids = [row["id"] for row in store.read("SELECT id FROM note ORDER BY id")]
    assert ids == ["a", "a also", "b", "b also", "first", "first also", "taken"]


def test_parts_written_at_once_share_a_commit_and_one_that_cannot_be_stored_fails_alone(store: Store) -> None:
    ran: list[str] = []
    stored: list[int] = []
    store._writer.set_trace_callback(ran.append)
    assert store.write_each([[(INSERT, (id_, "x"))] for id_ in "abc"], stored.append) == [None] * 3
    assert (ran.count("COMMIT"), stored) == (1, [0, 1, 2])
    parts = [[(INSERT, (f"{id_} also", "x")), (INSERT, (id_, "x"))] for id_ in "dbe"]
    failures = store.write_each(parts, stored.append)
    assert [type(failure) for failure in failures] == [type(None), StoreError, type(None)]
    assert stored[3:] == [0, 2]
    ids = [row["id"] for row in store.read("SELECT id FROM note ORDER BY id")]
    assert ids == ["a", "b", "c", "d", "d also", "e", "e also"]


@pytest.mark.parametrize("behind", [False, True])
def test_ctrl_c_during_a_write_leaves_nothing_half_written_and_stops_no_later_write(
    store: Store, path: Path, behind: bool
) -> None:
    """While it waits for another process's transaction itself, or behind another thread that does."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = threading.Thread(target=insert, args=(store, "before"))
        if behind:
            before.start()
            wait_for(lambda: store._commits._busy, "another thread to write")
        interrupt = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        release = threading.Timer(0.3, other.execute, ("COMMIT",))
        interrupt.start()
        release.start()
        with pytest.raises(KeyboardInterrupt):
            store.write((INSERT, ("a", "x")), (INSERT, ("b", "x")))
        release.join()
    insert(store, "c")
    assert [row["id"] for row in store.read("SELECT id FROM note")] == ["before", "c"][not behind :]


def test_then_is_called_after_the_commit_and_not_after_a_failure(store: Store) -> None:
    seen: list[int] = []
    store.write((INSERT, ("a", "x")), then=lambda: seen.append(store.read("SELECT count(*) FROM note")[0][0]))
    with pytest.raises(StoreError):
        store.write((INSERT, ("a", "x")), then=lambda: seen.append(-1))
    assert seen == [1]


def test_a_then_that_raises_stops_no_later_write(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise ValueError("broken")

    store.write((INSERT, ("a", "x")), then=broken)
    assert store.write((INSERT, ("b", "x"))) == [1]
    assert "ValueError: broken" in capsys.readouterr().err


@pytest.mark.parametrize("value", [2**63, "half a pair: \udcff", object()])
def test_a_value_that_no_table_can_hold_fails_alone_and_stops_no_later_write(store: Store, value: object) -> None:
    with pytest.raises(StoreError):
        store.write((INSERT, ("a", value)))
    with pytest.raises(StoreError):
        store.read("SELECT ?", (value,))
    assert store.write((INSERT, ("b", "x"))) == [1]


@pytest.mark.parametrize("gone", ["file", "directory", "replaced"])
def test_what_would_go_to_a_deleted_file_is_refused(store: Store, path: Path, gone: str) -> None:
    if gone == "directory":
        shutil.rmtree(path.parent)
    else:
        path.rename(path.with_name("moved"))
    if gone == "replaced":
        path.touch()
    with pytest.raises(StoreError, match="deleted or moved while it was in use; restart"):
        store.write((INSERT, ("a", "x")))


def test_a_group_that_meets_a_locked_file_fails_at_once_not_one_after_the_other(store: Store, path: Path) -> None:
    store._writer.execute("PRAGMA busy_timeout = 500")
    failed: list[StoreError] = []

    def write(id_: str) -> None:
        try:
            insert(store, id_)
        except StoreError as error:
            failed.append(error)

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        threads = [threading.Thread(target=write, args=(str(number),)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(failed) == 20
    assert time.monotonic() - began < 5  # two groups of half a second; one after the other would be ten
    assert store.write((INSERT, ("a", "x"))) == [1]


def test_another_processes_transaction_is_waited_for(store: Store, path: Path) -> None:
    held = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    held.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.3, lambda: held.execute("COMMIT"))
    timer.start()
    assert store.write((INSERT, ("a", "x"))) == [1]
    timer.join()
    held.close()


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    Store(path, [TABLES, []]).close()
    with pytest.raises(StoreError, match=r"written by a newer version \(format 2, this one knows 1\); upgrade"):
        Store(path, [TABLES])
    Store(path, [TABLES, []]).close()


def test_a_file_of_an_older_version_is_brought_up_and_keeps_what_it_holds(path: Path) -> None:
    with closing(Store(path, [TABLES])) as store:
        insert(store, "a")
    newer = [TABLES, ["ALTER TABLE note ADD COLUMN read INTEGER"], ["UPDATE note SET read = 1"]]
    for _ in range(2):
        with closing(Store(path, newer)) as store:
            assert [tuple(row) for row in store.read("SELECT id, read FROM note")] == [("a", 1)]


def test_what_is_no_database_is_refused_with_a_remedy_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are not the bytes of a database" * 100)
    with pytest.raises(StoreError, match="no SQLite database; move it and its -wal away"):
        Store(path, [TABLES])
    assert path.read_bytes().startswith(b"these are not")


@pytest.mark.parametrize("left", [None, b""])
def test_a_log_without_its_file_is_never_thrown_away(path: Path, left: bytes | None) -> None:
    """What was acknowledged last is in it, and SQLite deletes it when it makes a new file beside it."""
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(path,))
    process.start()
    process.join(60)
    moved = path.rename(path.with_name("moved"))
    if left is not None:
        path.write_bytes(left)
    with pytest.raises(StoreError, match=r"put it back beside notes.db-wal, .* or move that away too"):
        Store(path, [TABLES])
    moved.rename(path)
    with closing(Store(path, [TABLES])) as store:
        assert [row["id"] for row in store.read("SELECT id FROM note")] == ["acknowledged"]


def _write_and_die(path: Path) -> None:
    insert(Store(path, [TABLES]), "acknowledged")
    os.kill(os.getpid(), signal.SIGKILL)


def test_git_never_sees_it_even_if_the_disk_was_full_when_the_directory_was_made(path: Path) -> None:
    path.parent.mkdir()
    (path.parent / ".gitignore").touch()
    Store(path, [TABLES]).close()
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_a_place_where_no_directory_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="file"):
        Store(tmp_path / "file" / "notes.db", [TABLES])


def test_after_close_nothing_is_written_and_a_second_close_does_nothing(path: Path) -> None:
    store = Store(path, [TABLES])
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.write((INSERT, ("a", "x")))


def _open(path: Path, barrier: Any) -> None:
    barrier.wait(60)
    for _ in range(30):  # who closes it last deletes its log, under the eyes of who opens it
        Store(path, [TABLES]).close()


@pytest.mark.slow
def test_several_processes_may_find_a_new_file_at_once(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for number in range(3):
        barrier = context.Barrier(6)
        new = path.with_name(f"{number}.db")
        processes = [context.Process(target=_open, args=(new, barrier)) for _ in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * 6


def test_a_write_that_meets_the_close_is_stored_or_refused_and_never_waits_for_ever(path: Path) -> None:
    for round_ in range(50):
        store = Store(path, [TABLES])
        ended: list[str] = []

        def write(id_: str, store: Store = store, ended: list[str] = ended) -> None:
            with suppress(StoreError):
                insert(store, id_)
            ended.append(id_)

        threads = [threading.Thread(target=write, args=(f"{round_} {n}",), daemon=True) for n in range(4)]
        for thread in threads:
            thread.start()
        store.close()
        for thread in threads:
            thread.join(20)
        assert len(ended) == 4


def test_ids_are_sixteen_hexadecimal_digits_and_moments_are_microseconds() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000
    assert all(len(new_id()) == 16 and int(new_id(), 16) >= 0 for _ in range(10))
    assert 1.7e15 < now() < 1e16
