"""`receiver wait` and `receiver list --follow`, as processes beside a running receiver."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import JSON, SOON, Process, called, command, printing, wait_for

HANDLERS = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("transactions.fetched")
def store(delivery): ...

@handlers.on("consent.status.updated")
def break_(delivery):
    raise ValueError("secret")
"""
CONSENT = {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"}
STATUS = {**CONSENT, "status": "ACTIVE"}


@pytest.fixture
def running(receiving: Callable[..., Process]) -> Process:
    Path("mine.py").write_text(HANDLERS)
    return receiving("mine.py")


def send(process: Process, event: str = "transactions.fetched", data: Any = None) -> str:
    body = json.dumps({"event": event, "data": CONSENT if data is None else data})
    answer = requests.post(process.url, data=body, headers=JSON, timeout=SOON)
    return answer.headers["Delivery-Id"]


@pytest.fixture
def beside() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `receiver ...` beside the test; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str) -> "subprocess.Popen[str]":
        words = (sys.executable, "-m", "receiver", *words)
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


class TestWait:
    def test_it_ends_when_a_delivery_comes_and_prints_it(
        self, running: Process, beside: Callable[..., "subprocess.Popen[str]"]
    ) -> None:
        before = send(running)
        waiting = beside("wait", "transactions.*", "--where", f"consentId={CONSENT['consentId']}", "--timeout", "20s")
        sent: list[str] = []
        while waiting.poll() is None:  # it counts what comes once it has started up
            sent.append(send(running))
        out, err = waiting.communicate()
        assert (waiting.returncode, err) == (0, "")
        assert out.split()[4] == "transactions.fetched"
        assert out.split()[5] in {id_[:8] for id_ in sent}
        assert out.split()[5] != before[:8]

    def test_the_receiver_may_start_later(
        self, receiving: Callable[..., Process], beside: Callable[..., "subprocess.Popen[str]"]
    ) -> None:
        waiting = beside("wait", "transactions.fetched", "--handled", "--json", "--timeout", "20s")
        Path("mine.py").write_text(HANDLERS)
        sent = send(receiving("mine.py"))
        found = json.loads(waiting.communicate(timeout=SOON)[0])
        assert waiting.returncode == 0
        assert (found["id"], found["data"], found["runs"][0]["state"]) == (sent, CONSENT, "done")

    def test_since_counts_what_has_come(self, running: Process) -> None:
        sent = send(running)
        ended = command("receiver", "wait", "transactions.fetched", "--since", "1m", "--handled")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert sent[:8] in ended.stdout
        assert "✓ store" in ended.stdout

    def test_a_handler_that_failed_ends_it(self, running: Process) -> None:
        send(running, "consent.status.updated", STATUS)
        ended = command("receiver", "wait", "consent.*", "--since", "1m", "--handled")
        assert ended.returncode == 1
        assert "✗ break_" in ended.stdout
        assert ended.stderr.startswith("break_ failed (ValueError at mine.py:11): `receiver show")
        assert "secret" not in ended.stderr

    def test_at_the_end_of_its_time_it_tells_what_came_instead(self, running: Process) -> None:
        send(running, data={})
        send(running, "consent.status.updated", STATUS)
        send(running)
        words = ["transactions.fetched", "--where", "consentId=1", "--since", "1m", "--timeout", "0.1s"]
        ended = command("receiver", "wait", *words)
        assert (ended.returncode, ended.stdout) == (1, "")
        first, second, *others = ended.stderr.splitlines()
        assert first == "No transactions.fetched where consentId fits came within 0.1 s."
        assert second == "Instead came 3:"
        assert "not handled  invalid" in others[0]
        assert others[1] == "  /data  'consentId' is a required property"
        assert "another event" in others[2]
        assert "another consentId" in others[3]

    def test_what_handlers_have_not_ended_is_told(self, receiving: Callable[..., Process]) -> None:
        Path("mine.py").write_text(
            HANDLERS.replace("store(delivery): ...", "store(delivery): __import__('time').sleep(30)")
        )
        process = receiving("mine.py")
        send(process)
        ended = command("receiver", "wait", "*", "--since", "1m", "--handled", "--timeout", "0.1s")
        assert ended.returncode == 1
        assert "its handlers have not ended" in ended.stderr

    def test_nothing_came_at_all(self, running: Process) -> None:
        assert running.url
        ended = command("receiver", "wait", "*", "--timeout", "0.05s")
        assert (ended.returncode, ended.stderr) == (1, "No * came within 0.05 s, nor anything else.\n")

    def test_no_receiver_was_ever_here(self) -> None:
        ended = command("receiver", "wait", "*", "--timeout", "0.05s")
        assert ended.returncode == 2
        assert "no inbox in .webhooks" in ended.stderr

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            (["trans*"], "a pattern is an event type"),
            (["*", "--where", "consentId"], "PATH=VALUE"),
            (["*", "--none"], "--within 2s"),
            (["*", "--none", "--within", "1s", "--handled"], "--none and --handled exclude each other"),
            (["*", "--none", "--within", "1s", "--timeout", "1s"], "--none and --timeout exclude each other"),
            (["*", "--within", "1s"], "--within goes with --none"),
        ],
    )
    def test_what_cannot_be_meant_is_a_usage_error(self, words: list[str], error: str) -> None:
        ended = command("receiver", "wait", *words)
        assert ended.returncode == 2
        assert error in ended.stderr

    def test_a_timeout_of_the_environment_is_no_part_of_none(
        self, running: Process, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert running.url
        monkeypatch.setenv("RECEIVER_TIMEOUT", "30s")
        assert command("receiver", "wait", "--none", "*", "--within", "0.05s").returncode == 0


class TestNone:
    def test_none_came(self, running: Process) -> None:
        send(running)
        ended = command("receiver", "wait", "--none", "consent.*", "--since", "1m", "--within", "0.05s")
        assert (ended.returncode, ended.stdout) == (0, "")
        assert ended.stderr == "No consent.* came within 0.05 s.\n"

    @pytest.mark.parametrize("data", [STATUS, {}], ids=["valid", "invalid"])
    def test_one_that_comes_ends_it_at_once_with_whatever_verdict(self, running: Process, data: Any) -> None:
        sent = send(running, "consent.status.updated", data)
        ended = command("receiver", "wait", "--none", "consent.*", "--since", "1m", "--within", "1h")
        assert (ended.returncode, ended.stderr) == (1, "")
        assert sent[:8] in ended.stdout


class TestFollow:
    def test_it_prints_what_is_there_then_what_comes_once_each(self, running: Process) -> None:
        before = [send(running) for _ in range(3)]
        words = [sys.executable, "-m", "receiver", "list", "--follow", "--json", "--limit", "2"]
        with printing(words) as printed:
            wait_for(lambda: before[2] in printed(), "the last of those that are there")
            after = [send(running), send(running, data={}), send(running, "new.event")]
            wait_for(lambda: after[2] in printed(), "the last of those that came")
            lines = [json.loads(line) for line in printed().splitlines()]
        assert [line["id"] for line in lines] == [*before[1:], *after]
        assert [line["verdict"] for line in lines[2:]] == ["valid", "invalid", "unknown_event"]

    def test_the_filters_hold_for_what_comes(self, running: Process) -> None:
        first = send(running, data={})
        words = [sys.executable, "-m", "receiver", "list", "--follow"]
        with printing([*words, "--event", "transactions.fetched", "--verdict", "invalid"]) as printed:
            wait_for(lambda: first[:8] in printed(), "what is there")
            send(running, "consent.status.updated", {})
            send(running)
            last = send(running, data={})
            wait_for(lambda: last[:8] in printed(), "what comes")
            assert len(printed().splitlines()) == 2

    def test_ctrl_c_ends_it(self, running: Process, beside: Callable[..., "subprocess.Popen[str]"]) -> None:
        send(running)
        following = beside("list", "--follow")
        assert following.stdout
        assert "transactions.fetched" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert following.wait(SOON) == 130
        assert following.communicate() == ("", "")

    def test_a_pipe_that_is_closed_ends_it_quietly(self, running: Process) -> None:
        send(running)
        read, write = os.pipe()
        words = [sys.executable, "-m", "receiver", "list", "--follow"]
        following = subprocess.Popen(words, stdout=write, stderr=subprocess.PIPE, text=True)
        os.close(write)
        assert os.read(read, 1)
        os.close(read)
        ended = threading.Event()
        waiting = threading.Thread(target=lambda: (following.wait(), ended.set()))
        waiting.start()
        wait_for(lambda: ended.is_set() or not send(running), "it to end")
        waiting.join()
        assert following.communicate()[1] == ""

    def test_runs_cannot_be_asked_for(self, running: Process) -> None:
        assert running.url
        ended = called("receiver", "list", "--follow", "--run", "failed")
        assert ended.returncode == 2
        assert "--follow and --run exclude each other" in ended.stderr
