"""Judging quarantined deliveries again: what a mended schema finds valid is handled, once."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import BODY, JSON, ROOT, SOON, Process, command, wait_for

from receiver.contract import Contract, Verdict
from receiver.inbox import Inbox
from receiver.quarantine import judge_again

HANDLERS = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("consent.*")
def note(delivery):
    with open("ran", "a") as file:
        file.write(delivery.id + "\\n")
"""
WRONG = (
    b'{"event": "consent.status.updated", "data": {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90", "status": 5}}'
)
STATE = Path(".webhooks")


def post(process: Process, body: bytes, headers: dict[str, str] = JSON) -> str:
    return requests.post(process.url, data=body, headers=headers, timeout=SOON).headers["Delivery-Id"]


def ran() -> list[str]:
    return Path("ran").read_text().split() if Path("ran").exists() else []


def records(*words: str) -> list[dict[str, Any]]:
    ended = command("receiver", *words, "--json")
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.fixture
def mended() -> Iterator[Path]:
    """The contract, but with a status that may be a number."""
    directory = Path(shutil.copytree(ROOT / "schemas", "mended"))
    file = directory / "consent.status.updated.json"
    schema = json.loads(file.read_text())
    schema["properties"]["data"]["properties"]["status"] = {}
    file.write_text(json.dumps(schema))
    return directory


@pytest.fixture
def quarantined(receiving: Callable[..., Process]) -> tuple[Process, list[str]]:
    """A running receiver with three invalid deliveries, one that is not JSON, and a good one."""
    Path("mine.py").write_text(HANDLERS)
    process = receiving("mine.py")
    ids = [post(process, WRONG) for _ in range(3)]
    post(process, b"nonsense")
    post(process, BODY)
    return process, ids


def test_a_running_receiver_handles_what_is_now_valid_in_order_and_once(
    quarantined: tuple[Process, list[str]], mended: Path
) -> None:
    _, ids = quarantined
    judged = records("judge", "--schemas", "mended")
    assert [(record["id"], record["verdict"], record["status"]) for record in judged[:3]] == [
        (id_, "valid", 422) for id_ in ids
    ]
    assert [record["verdict"] for record in judged[3:]] == ["malformed"]
    wait_for(lambda: len(ran()) == 3, "the handlers")
    assert records("judge", "--schemas", "mended")[0]["verdict"] == "malformed"  # nothing else is left in quarantine
    (shown,) = records("show", ids[0])
    assert (shown["verdict"], shown["violations"], shown["runs"][0]["state"]) == ("valid", [], "done")
    assert shown["judged_at"] > shown["received_at"]
    assert ran() == ids


def test_where_no_receiver_runs_the_next_one_handles_them_once(
    quarantined: tuple[Process, list[str]], mended: Path, receiving: Callable[..., Process]
) -> None:
    process, ids = quarantined
    process.kill()
    ended = command("receiver", "judge", "--schemas", "mended")
    assert ended.stderr == "4 judged by mended; 3 go to their handlers.\n"
    assert ended.stdout.count("was invalid") == 3
    for _ in range(2):
        after = receiving("mine.py")
        wait_for(lambda: ran() == ids, "the handlers")
        post(after, BODY)
        assert after.stop() == 0
    assert ran() == ids


def test_killed_while_it_routes_each_is_still_handled_once(
    quarantined: tuple[Process, list[str]], mended: Path, receiving: Callable[..., Process]
) -> None:
    process, ids = quarantined
    more = [post(process, WRONG) for _ in range(40)]
    process.kill()
    command("receiver", "judge", "--schemas", "mended")
    for count in (1, 5, 20):
        next_ = receiving("mine.py")
        wait_for(lambda count=count: len(ran()) >= count, "some to be handled")
        next_.kill()
    assert receiving("mine.py").url
    interrupted = {record["id"] for record in records("list", "--run", "interrupted")}
    wait_for(lambda: {*ran(), *interrupted} == {*ids, *more}, "the rest")
    assert len(ran()) == len(set(ran()))


def test_a_dry_run_tells_and_changes_nothing(quarantined: tuple[Process, list[str]], mended: Path) -> None:
    ended = command("receiver", "judge", "--schemas", "mended", "--dry-run")
    assert ended.stderr == "4 judged by mended; 3 would go to their handlers.\n"
    assert len(records("list", "--verdict", "invalid")) == 3


def test_with_the_same_schemas_all_stays_as_it_is(quarantined: tuple[Process, list[str]]) -> None:
    ended = command("receiver", "judge")
    assert (ended.stdout, "; 0 go to their handlers" in ended.stderr) == ("", True)
    assert len(records("list", "--verdict", "invalid")) == 3


def test_what_does_not_fit_since_is_left_alone(quarantined: tuple[Process, list[str]], mended: Path) -> None:
    assert records("judge", "--schemas", "mended", "--since", "0s") == []


def test_a_good_body_that_came_under_another_content_type_is_found_valid(receiving: Callable[..., Process]) -> None:
    process = receiving()
    id_ = post(process, BODY, {"Content-Type": "text/plain"})
    (judged,) = records("judge")
    assert (judged["id"], judged["verdict"], judged["event"]) == (id_, "valid", "transactions.fetched")


def test_what_was_not_stored_whole_is_never_judged(receiving: Callable[..., Process]) -> None:
    process = receiving("--max-body", str(len(BODY)))
    post(process, BODY + b" " * 10)
    assert records("judge") == []


def test_new_violations_replace_the_old_ones(quarantined: tuple[Process, list[str]], mended: Path) -> None:
    file = mended / "consent.status.updated.json"
    file.write_text(file.read_text().replace('"status": {}', '"status": {"maximum": 3}'))
    (judged, *_) = records("judge", "--schemas", "mended")
    assert [(v["pointer"], v["keyword"]) for v in judged["violations"]] == [("/data/status", "maximum")]
    assert judged["verdict"] == "invalid"


def test_two_that_judge_at_once_find_each_valid_once_between_them(
    quarantined: tuple[Process, list[str]], mended: Path
) -> None:
    contract = Contract(mended)
    found: list[str] = []

    def judge() -> None:
        with closing(Inbox.existing(STATE)) as inbox:
            found.extend(after.id for _, after in judge_again(inbox, contract) if after.verdict is Verdict.VALID)

    threads = [threading.Thread(target=judge) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(quarantined[1])
