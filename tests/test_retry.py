"""Running handlers again: one more attempt, by the one process that runs the handlers, and every attempt kept."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import BODY, JSON, SOON, Process, called, command, wait_for

HANDLERS = """
import os
from pathlib import Path
from receiver import Handlers

handlers = Handlers()

@handlers.on("transactions.fetched")
def store(delivery):
    with open("ran", "a") as file:
        file.write(f"{os.getpid()} {delivery.id} {delivery.attempt}\\n")
    if not Path("mended").exists():
        raise ValueError("not yet")

@handlers.on("transactions.fetched")
def other(delivery):
    pass
"""

HOLD = """
    if not Path("mended").exists():
        import time
        time.sleep(3)
"""
BUSY = """
@handlers.on("consent.*")
def hold(delivery):
    import time
    time.sleep(float(os.environ["BUSY"]))
"""


def post(process: Process) -> str:
    return requests.post(process.url, data=BODY, headers=JSON, timeout=SOON).headers["Delivery-Id"]


def ran() -> list[list[str]]:
    return [line.split() for line in Path("ran").read_text().splitlines()]


def in_line() -> int:
    return called("receiver", "list", "--json", "--run", "pending").stdout.count("\n")


def records(ended: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.fixture
def failed(receiving: Callable[..., Process]) -> Process:
    """A running receiver with three deliveries whose handler `store` failed."""
    Path("mine.py").write_text(HANDLERS)
    process = receiving("mine.py")
    for _ in range(3):
        post(process)
    wait_for(lambda: len(process.find(type="run", handler="other", state="done")) == 3, "the first attempts")
    return process


def test_a_running_receiver_does_it_and_every_attempt_is_kept(failed: Process) -> None:
    Path("mended").touch()
    ended = command("receiver", "retry", "--failed", "--json")
    assert ended.returncode == 0
    assert [(line["handler"], line["state"], line["attempt"]) for line in records(ended)] == [("store", "done", 2)] * 3
    assert {pid for pid, _, _ in ran()} == {str(failed.popen.pid)}
    shown = json.loads(called("receiver", "show", records(ended)[0]["id"], "--json").stdout)
    assert [(run["handler"], run["attempt"], run["state"]) for run in shown["runs"]] == [
        ("store", 1, "failed"),
        ("other", 1, "done"),
        ("store", 2, "done"),
    ]
    assert command("receiver", "retry", "--failed").stderr == "Nothing fits.\n"


def test_without_a_receiver_this_command_does_it_with_the_handlers_it_is_given(failed: Process) -> None:
    failed.kill()
    nobody = command("receiver", "retry", "--failed")
    assert nobody.returncode == 2
    assert "no receiver runs on this inbox; start one, or give its handlers with --handlers FILE" in nobody.stderr
    again = command("receiver", "retry", "--failed", "--handlers", "mine.py")
    assert again.returncode == 1
    assert again.stdout.count("✗ store  failed") == 3
    Path("mended").touch()
    ended = command("receiver", "retry", "--failed", "--handlers", "mine.py", "--json")
    assert (ended.returncode, {line["attempt"] for line in records(ended)}) == (0, {3})


def test_handlers_without_the_name_that_is_wanted_are_refused_before_anything_is_put_in_line(failed: Process) -> None:
    failed.kill()
    Path("renamed.py").write_text(HANDLERS.replace("def store", "def renamed"))
    ended = command("receiver", "retry", "--failed", "--handlers", "renamed.py")
    assert (ended.returncode, "renamed.py has no handler store; nothing was run" in ended.stderr) == (2, True)
    assert called("receiver", "list", "--run", "pending", "--json").stdout == ""


@pytest.mark.slow
def test_a_busy_receiver_is_waited_for(failed: Process, receiving: Callable[..., Process]) -> None:
    failed.kill()
    Path("busy.py").write_text(HANDLERS + BUSY)
    Path("mended").touch()
    busy = receiving("busy.py", env={**os.environ, "BUSY": "11"})
    held = b'{"event": "consent.accounts.updated", "data": {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"}}'
    requests.post(busy.url, data=held, headers=JSON, timeout=SOON)
    ended = command("receiver", "retry", "--failed")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_ctrl_c_says_what_happens_to_the_rest_and_the_next_retry_of_them_runs_them(failed: Process) -> None:
    failed.kill()
    Path("busy.py").write_text(HANDLERS.replace('    if not Path("mended")', HOLD + '    if not Path("mended")'))
    words = [sys.executable, "-m", "receiver", "retry", "--failed", "--handlers", "busy.py"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as retry:
        wait_for(lambda: len(ran()) == 4, "the first to begin")
        retry.send_signal(signal.SIGINT)
        _, errors = retry.communicate(timeout=SOON)
    assert retry.returncode == 130
    assert "what has not begun stays in line" in errors
    Path("mended").touch()
    ids = [line["id"] for line in failed.find(type="delivery")]
    ended = command("receiver", "retry", *ids, "--handler", "store", "--handlers", "mine.py", "--json")
    assert [line["state"] for line in records(ended)] == ["done"] * 3
    assert sorted(line["attempt"] for line in records(ended)) == [2, 2, 3]


def stop_between_writes(process: Process) -> None:
    """Stops a receiver while it does not hold the inbox, for which others would wait in vain."""

    def stopped() -> bool:
        process.popen.send_signal(signal.SIGSTOP)
        inbox = sqlite3.connect(".webhooks/inbox.db", timeout=0.1, isolation_level=None)
        with closing(inbox), suppress(sqlite3.OperationalError):
            inbox.execute("BEGIN IMMEDIATE")
            return True
        process.popen.send_signal(signal.SIGCONT)
        return False

    wait_for(stopped, "a moment in which nothing is written")


def test_a_retry_runs_nothing_but_what_it_was_asked_for(failed: Process, receiving: Callable[..., Process]) -> None:
    failed.kill()
    Path("mended").touch()
    first, *others = [line["id"] for line in failed.find(type="delivery")]
    stopped = receiving("mine.py")  # puts two in line and is killed before it looks
    assert stopped.url
    stop_between_writes(stopped)
    words = [sys.executable, "-m", "receiver", "retry", *others, "--handler", "store"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as retry:
        wait_for(lambda: in_line() == 2, "two in line")
        stopped.kill()
        retry.wait(SOON)
    ended = command("receiver", "retry", first, "--handlers", "mine.py", "--json")
    assert {line["id"] for line in records(ended)} == {first}
    assert in_line() == 2


def test_by_id_it_runs_all_handlers_of_that_delivery_or_the_one_that_is_named(failed: Process) -> None:
    Path("mended").touch()
    id_ = failed.find(type="delivery")[0]["id"]
    assert [line["handler"] for line in records(command("receiver", "retry", id_[:6], "--json"))] == ["store", "other"]
    (one,) = records(command("receiver", "retry", id_, "--handler", "other", "--json"))
    assert (one["handler"], one["attempt"]) == ("other", 3)


def test_a_dry_run_lists_and_runs_nothing(failed: Process) -> None:
    before = ran()
    ended = command("receiver", "retry", "--failed", "--event", "transactions.fetched", "--since", "2h", "--dry-run")
    assert (ended.returncode, len(ended.stdout.splitlines()), ended.stderr) == (0, 3, "3 would run.\n")
    assert ran() == before


@pytest.mark.parametrize(
    "words",
    [["--failed", "--event", "none"], ["--failed", "--since", "0s"], ["--interrupted"], ["--failed", "--handler", "x"]],
)
def test_what_does_not_fit_is_not_run(failed: Process, words: list[str]) -> None:
    ended = command("receiver", "retry", *words)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "Nothing fits.\n")


def test_it_wants_to_know_which() -> None:
    ended = command("receiver", "retry")
    assert ended.returncode == 2
    assert "an ID, --failed or --interrupted" in ended.stderr


def test_two_at_once_run_each_once_more(failed: Process) -> None:
    Path("mended").touch()
    words = [sys.executable, "-m", "receiver", "retry", "--failed"]
    both = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(SOON) for process in both] == [0, 0]
    assert set(Counter(id_ for _, id_, attempt in ran() if attempt == "2").values()) == {1}
    assert [attempt for *_, attempt in ran()].count("3") == 0


def test_a_receiver_that_dies_meanwhile_leaves_them_in_line_and_the_next_one_runs_them(
    failed: Process, receiving: Callable[..., Process]
) -> None:
    failed.popen.send_signal(signal.SIGSTOP)  # it holds the lock, and does nothing
    words = [sys.executable, "-m", "receiver", "retry", "--failed"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as retry:
        wait_for(
            lambda: "pending" in called("receiver", "list", "--json", "--run", "pending").stdout, "them to be in line"
        )
        os.kill(failed.popen.pid, signal.SIGKILL)
        _, errors = retry.communicate(timeout=SOON)
    assert retry.returncode == 2
    assert "the receiver has ended; 3 runs stay in line until one runs again" in errors
    Path("mended").touch()
    after = receiving("mine.py")
    wait_for(lambda: len(after.find(type="run", state="done", attempt=2)) == 3, "the next receiver to run them")
