"""Pruning: what is old and settled goes, for good; what a handler still has to see stays."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from conftest import BODY, JSON, SOON, Process, called, wait_for
from test_inbox import entry, pending, put

from receiver.contract import Judgement, Verdict
from receiver.entry import Latest, Run, RunState
from receiver.inbox import Inbox
from receiver.store import now

DAY = 86_400_000_000
OLD = now() - 40 * DAY
STATE = Path(".webhooks")
SECRET = b'{"event": "a.b", "data": {"iban": "NL91ABNA0417164300"}}'


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(STATE)) as inbox:
        yield inbox


def settled(inbox: Inbox) -> None:
    for claim in inbox.runs.claims(["f", "g"], most=10_000):
        inbox.runs.finish(claim, Run(claim.handler, 1, RunState.DONE, 1, 1.0))


def test_what_is_old_goes_with_its_runs_and_what_is_not_stays(inbox: Inbox) -> None:
    old, new = [entry(received_at=OLD, runs=pending("f", "g")) for _ in range(600)], entry(runs=pending("f"))
    put(inbox, *old, new)
    settled(inbox)
    ended = called("receiver", "prune", "--older-than", "30d")
    assert (ended.returncode, ended.stdout) == (0, "600 deleted.\n")
    assert [one.id for one in inbox.entries(limit=5000)] == [new.id]
    assert sum(inbox.runs.count(RunState.DONE).values()) == 1


def test_what_waits_for_a_handler_stays(inbox: Inbox) -> None:
    waiting, running = entry(received_at=OLD, runs=pending("f")), entry(received_at=OLD, runs=pending("g"))
    unrouted = entry(received_at=OLD, verdict=Verdict.INVALID)
    put(inbox, waiting, running, unrouted, entry(received_at=OLD))
    inbox.runs.begin(inbox.runs.claims(["g"], most=32)[0])
    inbox.judge(unrouted.id, Judgement(Verdict.VALID, "a.b"))
    ended = called("receiver", "prune", "--older-than", "30d")
    assert ended.stdout == "1 deleted; 3 stay, since their handlers have not run.\n"
    assert {one.id for one in inbox.entries()} == {waiting.id, running.id, unrouted.id}


def test_a_retry_that_was_asked_for_meanwhile_keeps_its_delivery(inbox: Inbox) -> None:
    one = entry(received_at=OLD, runs=pending("f"))
    put(inbox, one)
    settled(inbox)
    (numbers,) = inbox.settled(now())
    inbox.runs.again([Latest(one.id, "a.b", Run("f", 1, RunState.DONE))])
    assert inbox.prune(numbers) == 0
    assert [run.attempt for run in inbox.entry(one.id).runs] == [1, 2]


def test_only_one_verdict_and_a_dry_run(inbox: Inbox) -> None:
    put(inbox, entry(received_at=OLD), entry(received_at=OLD, verdict=Verdict.MALFORMED, body=b"x", size=1))
    dry = called("receiver", "prune", "--older-than", "30d", "--dry-run")
    assert dry.stdout == "2 would be deleted.\n"
    ended = called("receiver", "prune", "--older-than", "30d", "--verdict", "malformed", "--json")
    assert json.loads(ended.stdout) == {"pruned": 1, "kept": 0}
    assert [one.verdict for one in inbox.entries()] == ["valid"]


def test_no_byte_of_what_was_deleted_is_left_in_the_files(inbox: Inbox) -> None:
    put(inbox, *(entry(received_at=OLD, body=SECRET) for _ in range(50)), entry())
    inbox.close()
    assert any(b"NL91ABNA" in file.read_bytes() for file in STATE.glob("inbox.db*"))
    called("receiver", "prune", "--older-than", "30d")
    assert not any(b"NL91ABNA" in file.read_bytes() for file in STATE.glob("inbox.db*"))


def test_how_old_has_to_be_said(inbox: Inbox) -> None:
    ended = called("receiver", "prune")
    assert (ended.returncode, "--older-than" in ended.stderr) == (2, True)


def test_while_a_receiver_is_under_load_it_goes_on_and_nothing_new_is_lost(
    inbox: Inbox, receiving: Callable[..., Process]
) -> None:
    put(inbox, *(entry(received_at=OLD, body=SECRET) for _ in range(600)))
    process = receiving()
    url, stop = process.url, threading.Event()
    statuses: list[int] = []

    def load() -> None:
        with requests.Session() as session:
            while not stop.is_set():
                statuses.append(session.post(url, data=BODY, headers=JSON, timeout=SOON).status_code)

    thread = threading.Thread(target=load)
    thread.start()
    wait_for(lambda: statuses, "the load")
    ended = called("receiver", "prune", "--older-than", "30d")
    stop.set()
    thread.join()
    assert ended.stdout == "600 deleted.\n"
    assert set(statuses) == {202}
    assert len(inbox.entries(limit=100_000)) == len(statuses)
