"""The worker: every stored run is started, in order, whatever the one before it did; only one process runs them."""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import SOON, wait_for
from test_inbox import entry, pending, put

from receiver import Delivery, Handlers
from receiver.entry import RunState
from receiver.inbox import Inbox
from receiver.report import Report
from receiver.store import StoreError
from receiver.worker import Lock, Worker


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path / "state")) as inbox:
        yield inbox


@contextmanager
def working(inbox: Inbox, handlers: Handlers) -> Iterator[tuple[Worker, list[Any]]]:
    told: list[Any] = []
    worker = Worker(
        inbox, handlers, Report(lambda line: told.append(json.loads(line)), as_records=True), Lock(inbox.path.parent)
    )
    assert worker.lead()
    worker.start()
    try:
        yield worker, told
    finally:
        worker.close()


def handlers_of(*functions: Callable[[Delivery], Any]) -> Handlers:
    handlers = Handlers()
    for function in functions:
        handlers.on("*")(function)
    return handlers


def ended(inbox: Inbox, runs: int) -> bool:
    return sum(inbox.runs.count(RunState.DONE).values()) + sum(inbox.runs.count(RunState.FAILED).values()) == runs


def test_runs_in_the_order_of_storing(inbox: Inbox) -> None:
    seen: list[str] = []

    def note(delivery: Delivery) -> None:
        seen.append(delivery.id)

    entries = [entry(runs=pending("note")) for _ in range(100)]
    put(inbox, *entries)
    with working(inbox, handlers_of(note)):
        wait_for(lambda: ended(inbox, 100), "all runs")
    assert seen == [one.id for one in entries]


@pytest.mark.parametrize("raised", [ValueError("secret"), SystemExit(1), KeyboardInterrupt(), RecursionError()])
def test_a_handler_that_raises_is_recorded_with_its_traceback_and_stops_no_other(
    inbox: Inbox, raised: BaseException
) -> None:
    def broken(delivery: Delivery) -> None:
        raise raised

    def sound(delivery: Delivery) -> None: ...

    put(inbox, first := entry(runs=pending("broken", "sound")), second := entry(runs=pending("sound")))
    with working(inbox, handlers_of(broken, sound)) as (_, told):
        wait_for(lambda: len(told) == 3, "three outcomes")
    failed, done = inbox.entry(first.id).runs
    assert (failed.state, done.state, inbox.entry(second.id).runs[0].state) == ("failed", "done", "done")
    assert str(failed.failure).startswith(f"{type(raised).__name__} at test_worker.py:")
    assert str(failed.traceback).startswith("Traceback")
    assert "receiver/worker.py" not in str(failed.traceback)
    assert [(line["id"], line["handler"], line["state"]) for line in told] == [
        (first.id, "broken", "failed"),
        (first.id, "sound", "done"),
        (second.id, "sound", "done"),
    ]


def test_each_handler_gets_data_of_its_own(inbox: Inbox) -> None:
    seen: list[Any] = []

    def spoil(delivery: Delivery) -> None:
        delivery.data.clear()

    def read(delivery: Delivery) -> None:
        seen.append(delivery.data)

    put(inbox, entry(runs=pending("spoil", "read")))
    with working(inbox, handlers_of(spoil, read)):
        wait_for(lambda: seen, "the second handler")
    assert seen == [{"n": 1}]


def test_what_was_stored_while_no_worker_lived_is_run_and_what_was_running_is_interrupted(inbox: Inbox) -> None:
    seen: list[str] = []

    def note(delivery: Delivery) -> None:
        seen.append(delivery.id)

    put(inbox, begun := entry(runs=pending("note")), waiting := entry(runs=pending("note")))
    inbox.runs.begin(inbox.runs.claims(["note"], most=32)[0])
    with working(inbox, handlers_of(note)):
        wait_for(lambda: ended(inbox, 1), "the run that waited")
    assert seen == [waiting.id]
    assert inbox.entry(begun.id).runs[0].state == "interrupted"


def test_of_two_on_one_inbox_only_the_first_runs_handlers_until_it_ends(inbox: Inbox) -> None:
    seen: list[str] = []

    def one(delivery: Delivery) -> None:
        seen.append("first")

    first = Worker(inbox, handlers_of(one), Report(lambda line: None), Lock(inbox.path.parent))
    assert first.lead() is True
    first.start()

    def one(delivery: Delivery) -> None:
        seen.append("second")

    second = Worker(inbox, handlers_of(one), Report(lambda line: None), Lock(inbox.path.parent))
    assert second.lead() is False
    second.start()
    put(inbox, entry(runs=pending("one")))
    wait_for(lambda: ended(inbox, 1), "the first")
    first.close()
    put(inbox, entry(runs=pending("one")))
    wait_for(lambda: ended(inbox, 2), "the second to take over")
    second.close()
    assert seen == ["first", "second"]


def test_an_exception_whose_text_no_table_can_hold_is_recorded_all_the_same(inbox: Inbox) -> None:
    def broken(delivery: Delivery) -> None:
        raise ValueError("file \udcff not found")  # as of any undecodable file name

    put(inbox, first := entry(runs=pending("broken")), second := entry(runs=pending("broken")))
    with working(inbox, handlers_of(broken)):
        wait_for(lambda: ended(inbox, 2), "both")
    assert "file \\udcff not found" in str(inbox.entry(first.id).runs[0].error)
    assert inbox.entry(second.id).runs[0].state == "failed"


def test_a_takeover_that_meets_a_locked_file_still_interrupts_what_was_running(inbox: Inbox, tmp_path: Path) -> None:
    put(inbox, begun := entry(runs=pending("note")))
    inbox.runs.begin(inbox.runs.claims(["note"], most=32)[0])
    inbox._store._writer.execute("PRAGMA busy_timeout = 50")
    worker = Worker(inbox, handlers_of(), Report(lambda line: None), Lock(inbox.path.parent))
    with closing(sqlite3.connect(inbox.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError):
            worker.lead()
        worker.start()
        other.execute("ROLLBACK")
    wait_for(lambda: inbox.runs.count(RunState.INTERRUPTED), "the run to be interrupted")
    worker.close()
    assert inbox.entry(begun.id).runs[0].state == "interrupted"


def test_what_the_inbox_does_not_take_is_told_once_however_often_it_is_tried(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.worker.POLL_SECONDS", 0.01)
    inbox._store._writer.execute("PRAGMA busy_timeout = 10")
    tried: list[str] = []

    def hold(delivery: Delivery) -> None:
        other.execute("BEGIN IMMEDIATE")
        inbox._store._writer.set_trace_callback(tried.append)

    put(inbox, entry(runs=pending("hold")))
    with (
        closing(sqlite3.connect(inbox.path, isolation_level=None, check_same_thread=False)) as other,
        working(inbox, handlers_of(hold)) as (_, told),
    ):
        wait_for(lambda: tried.count("BEGIN IMMEDIATE") > 3, "it to be tried again and again")
        other.execute("COMMIT")
        wait_for(lambda: ended(inbox, 1), "the outcome")
    assert len([line for line in told if line["type"] == "trouble"]) == 1


def test_a_worker_outlives_a_state_directory_that_is_away_for_a_while(inbox: Inbox, tmp_path: Path) -> None:
    leader = Worker(inbox, handlers_of(), Report(lambda line: None), Lock(inbox.path.parent))
    assert leader.lead()
    told: list[str] = []
    waiting = Worker(inbox, handlers_of(), Report(told.append), Lock(inbox.path.parent))
    assert not waiting.lead()
    (tmp_path / "state").rename(tmp_path / "away")
    waiting.start()
    wait_for(lambda: told, "the worker to meet the missing directory")
    (tmp_path / "away").rename(tmp_path / "state")
    leader._lock.release()
    wait_for(lambda: waiting._lock.held, "it to take over")
    waiting.close()


def test_a_handler_that_outlasts_the_stop_is_told_and_left_behind_as_interrupted(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.worker.GRACE_SECONDS", 0.2)
    entered, leave = threading.Event(), threading.Event()

    def hang(delivery: Delivery) -> None:
        entered.set()
        leave.wait(SOON)

    put(inbox, held := entry(runs=pending("hang")))
    with working(inbox, handlers_of(hang)) as (worker, told):
        assert entered.wait(SOON)
        worker.close()
        assert inbox.entry(held.id).runs[0].state == "interrupted"
        assert [line["type"] for line in told] == ["notice", "trouble"]
        leave.set()
        worker._thread.join()


def test_close_lets_the_run_under_way_finish_and_leaves_the_others_pending(inbox: Inbox) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(delivery: Delivery) -> None:
        entered.set()
        assert leave.wait(SOON)

    put(inbox, entry(runs=pending("slow")), entry(runs=pending("slow")))
    with working(inbox, handlers_of(slow)) as (worker, _):
        assert entered.wait(SOON)
        closing_ = threading.Thread(target=worker.close)
        closing_.start()
        wait_for(worker._stopping.is_set, "the worker to be told")
        leave.set()
        closing_.join()
        assert inbox.runs.count(RunState.DONE) == {"slow": 1}
        assert inbox.runs.count(RunState.PENDING) == {"slow": 1}
