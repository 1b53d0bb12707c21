"""The ledger: one attempt per event and endpoint, whoever asks; what nobody will conclude is unknown."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from receiver.store import Store, new_id, now
from sender.attempt import Attempt, Outcome, State
from sender.ledger import VERSIONS, AlreadySent, Ledger, LedgerError

URL = "http://127.0.0.1:8787/webhook"


def attempt(**more: Any) -> Attempt:
    return replace(Attempt(new_id(), URL, "a.b", b'{"event":"a.b","data":{}}', now()), **more)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "state")) as ledger:
        yield ledger


def test_an_attempt_is_on_disk_before_and_after(ledger: Ledger, tmp_path: Path) -> None:
    one = attempt()
    ledger.intend(one)
    with closing(Ledger(tmp_path / "state")) as other:
        assert other.attempt(one.id, URL) == one
    ended = replace(one, outcome=Outcome(State.DELIVERED, 4.5, 202, "d1", b"\xff"))
    ledger.conclude(ended)
    with closing(Ledger(tmp_path / "state")) as other:
        assert other.attempts(limit=5) == [ended]


def test_a_second_attempt_for_the_same_event_and_endpoint_is_refused_and_told_the_first(ledger: Ledger) -> None:
    one = attempt(id="X")
    ledger.intend(one)
    ledger.conclude(replace(one, outcome=Outcome(State.DELIVERED, 1, 500)))
    with pytest.raises(
        AlreadySent, match=r"event X was sent to http.* at 20.*Z \(500\); nothing was sent now"
    ) as error:
        ledger.intend(attempt(id="X", event="other"))
    assert error.value.attempt.event == "a.b"
    ledger.intend(attempt(id="X", url="http://127.0.0.1:1/"))


def test_what_a_dead_process_was_sending_is_unknown(ledger: Ledger, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from receiver.store import now
from sender.attempt import Attempt
from sender.ledger import Ledger
Ledger(Path({str(tmp_path / "state")!r})).intend(Attempt("X", {URL!r}, "a.b", b"", now()))
os._exit(9)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    with closing(Ledger(tmp_path / "state")) as other:
        outcome = other.attempt("X", URL).outcome
        assert (outcome.state, outcome.reason) == ("unknown", "the sender ended before the answer came")
        with pytest.raises(AlreadySent, match="unknown"):
            other.intend(attempt(id="X"))


@pytest.mark.parametrize("days", [-400, 0, 400])
def test_what_a_living_process_is_sending_stays_so_however_the_clock_jumps(
    ledger: Ledger, tmp_path: Path, days: int
) -> None:
    ledger.intend(attempt(id="X", started_at=now() + days * 86_400_000_000))
    with closing(Ledger(tmp_path / "state")) as other:
        assert other.attempt("X", URL).outcome.state == "sending"
        with pytest.raises(AlreadySent, match="is being sent"):
            other.intend(attempt(id="X"))


def test_what_a_dead_process_was_sending_is_unknown_though_its_process_id_lives_again(tmp_path: Path) -> None:
    """The id of the process that runs this test, which never began that attempt."""
    Ledger(tmp_path / "state").close()
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as file, file:
        columns = "INSERT INTO attempt (id, url, copy, event, body, state, started_at, process)"
        file.execute(
            f"{columns} VALUES (?, ?, 0, ?, ?, ?, ?, ?)", ("X", URL, "a.b", b"", "sending", now(), os.getpid())
        )
    with closing(Ledger(tmp_path / "state")) as ledger:
        assert ledger.attempt("X", URL).outcome.state == "unknown"


def test_a_true_outcome_that_comes_late_replaces_unknown(ledger: Ledger, tmp_path: Path) -> None:
    one = attempt()
    ledger.intend(one)
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as file, file:
        file.execute("UPDATE attempt SET state = 'unknown'")
    ledger.conclude(replace(one, outcome=Outcome(State.DELIVERED, 1, 202)))
    assert ledger.attempt(one.id, URL).outcome.state == "delivered"


def _intend(state: Path, barrier: Any, won: Any) -> None:
    with closing(Ledger(state)) as ledger:
        barrier.wait(60)
        mine = []
        for number in range(20):
            with suppress(AlreadySent):
                ledger.intend(attempt(id=str(number)))
                mine.append(number)
        won.put(mine)


def test_of_ten_processes_that_want_the_same_events_one_gets_each(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(10), context.Queue()
    processes = [context.Process(target=_intend, args=(tmp_path / "state", barrier, won)) for _ in range(10)]
    for process in processes:
        process.start()
    numbers = [number for _ in processes for number in won.get(timeout=60)]
    for process in processes:
        process.join(60)
    won.close()
    won.join_thread()
    assert sorted(numbers) == list(range(20))


class TestLookingUp:
    def test_is_by_a_shortened_id_or_an_exact_one(self, ledger: Ledger) -> None:
        for id_ in ("abc", "abcd", "x%"):
            ledger.intend(attempt(id=id_))
        assert [one.id for one in ledger.attempts_of("abc")] == ["abc"]
        assert [one.id for one in ledger.attempts_of("abcd")] == ["abcd"]
        assert [one.id for one in ledger.attempts_of("x")] == ["x%"]
        with pytest.raises(LedgerError, match="fits 2 events"):
            ledger.attempts_of("ab")
        with pytest.raises(LedgerError, match="`sender log`"):
            ledger.attempts_of("%")

    def test_shows_each_endpoint(self, ledger: Ledger) -> None:
        for url in ("http://a/", "http://b/"):
            ledger.intend(attempt(id="X", url=url))
        assert [one.url for one in ledger.attempts_of("X")] == ["http://a/", "http://b/"]

    def test_does_not_make_a_ledger(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match="`sender fire` makes one"):
            Ledger.existing(tmp_path / "none")
        assert not (tmp_path / "none").exists()


def test_a_ledger_of_the_version_before_keeps_what_it_holds(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "ledger.db", VERSIONS[:2])) as older:
        columns = "INSERT INTO attempt (id, url, event, body, state, started_at, process, status, answer)"
        values = ("X", URL, "a.b", b"1", "delivered", 5, 1, 202, b"ok")
        older.write((f"{columns} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values))
    with closing(Ledger(tmp_path)) as ledger:
        (kept,) = ledger.attempts_of("X")
        with pytest.raises(AlreadySent):
            ledger.intend(attempt(id="X"))
    assert kept == Attempt("X", URL, "a.b", b"1", 5, Outcome(State.DELIVERED, status=202, answer=b"ok"))
