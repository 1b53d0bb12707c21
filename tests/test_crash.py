"""The receiver killed with SIGKILL: what it answered 2xx to is there, and its handlers run after the restart."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import requests
from conftest import BODY, JSON, SOON, Process, called, command, wait_for
from load import INVALID, MALFORMED, VALID, Answers, load

from receiver.inbox import Inbox

HANDLERS = """
import os, time
from receiver import Handlers

handlers = Handlers()

@handlers.on("consent.*")
def hold(delivery):
    if os.environ.get("HOLD"):
        print("holding", flush=True)
        time.sleep(60)

@handlers.on("transactions.fetched")
def note(delivery):
    with open("started", "a") as file:
        file.write(delivery.id + "\\n")
"""
HOLDING = b'{"event": "consent.accounts.updated", "data": {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"}}'


def post(url: str, body: bytes = BODY) -> str:
    answer = requests.post(url, data=body, headers=JSON, timeout=SOON)
    assert answer.status_code == 202
    return answer.headers["Delivery-Id"]


def kill_in_the_middle(receiver: Process) -> None:
    wait_for(lambda: "holding\n" in receiver.errors, "the handler to be in the middle of it")
    receiver.kill()


def started() -> Counter[str]:
    return Counter(Path("started").read_text().split() if Path("started").exists() else [])


def test_killed_right_after_a_202_the_delivery_is_there_and_its_handler_runs_after_the_restart(
    receiving: Callable[..., Process],
) -> None:
    Path("mine.py").write_text(HANDLERS)
    first = receiving("mine.py", env={**os.environ, "HOLD": "1"})
    held = post(first.url, HOLDING)
    wait_for(lambda: "holding\n" in first.errors, "the handler before it to hold the worker")
    waiting = post(first.url)
    first.kill()
    assert started() == {}
    second = receiving("mine.py")
    second.wait(type="run", id=waiting, state="done")
    assert started() == {waiting: 1}
    assert second.find(type="run", id=held) == []  # interrupted: run again only when asked
    third = receiving("mine.py")  # beside the second, on the same inbox
    assert third.url
    assert second.stop() == 0


def test_killed_during_a_handler_again_and_again_each_run_is_interrupted_and_repeated_only_when_asked(
    receiving: Callable[..., Process],
) -> None:
    Path("mine.py").write_text(HANDLERS)
    receiver = receiving("mine.py", env={**os.environ, "HOLD": "1"})
    held = post(receiver.url, HOLDING)
    kill_in_the_middle(receiver)
    for _ in range(2):
        receiver = receiving("mine.py", env={**os.environ, "HOLD": "1"})
        assert receiver.wait(type="ready")["interrupted"] == 1
        receiver.wait(type="run", id=post(receiver.url), state="done")
        assert "holding\n" not in receiver.errors
        words = [sys.executable, "-m", "receiver", "retry", "--interrupted"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as asked:
            kill_in_the_middle(receiver)
            _, error = asked.communicate(timeout=SOON)
        assert "has ended in the middle of one, which is interrupted; 0 runs stay in line" in error
    last = receiving("mine.py")
    assert last.wait(type="ready")["interrupted"] == 1
    assert command("receiver", "retry", "--interrupted").returncode == 0
    shown = json.loads(called("receiver", "show", held, "--json").stdout)
    assert [run["state"] for run in shown["runs"]] == ["interrupted"] * 3 + ["done"]
    last.kill()
    assert receiving("mine.py").wait(type="ready")["interrupted"] == 0


def test_killed_again_and_again_under_load_nothing_answered_is_lost_and_every_handler_was_started(
    receiving: Callable[..., Process],
) -> None:
    Path("mine.py").write_text(HANDLERS)
    answers = Answers()
    for _ in range(4):
        receiver = receiving("mine.py")
        with load(receiver.url, answers, VALID, VALID, INVALID, MALFORMED):
            answers.wait_for_more(50)
            receiver.kill()
    assert receiving("mine.py").url
    wait_for(lambda: not _listed("--run", "pending"), "every handler to be started")
    interrupted = _listed("--run", "interrupted")  # begun, on disk, in the moment of the kill
    assert len(interrupted) <= 4
    assert set(answers.of[202]) <= {*started(), *interrupted}
    assert set(started().values()) == {1}
    with closing(Inbox.existing(Path(".webhooks"))) as inbox:
        answers.check(inbox)


def _listed(*words: str) -> list[str]:
    """The ids of what is in the inbox."""
    lines = called("receiver", "list", "--json", "--limit", "100000", *words).stdout.splitlines()
    return [json.loads(line)["id"] for line in lines]
