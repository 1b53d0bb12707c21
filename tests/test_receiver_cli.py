"""The command `receiver`, as a process: what it prints, where, and its exit code."""

import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from conftest import BODY, JSON, ROOT, SOON, Process, called, command, wait_for

CONSENT = "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"
HANDLERS = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("transactions.fetched")
def store(delivery):
    print("a handler prints")

@handlers.on("*")
def break_(delivery):
    raise ValueError("secret")
"""


def post(url: str, body: bytes = BODY) -> requests.Response:
    return requests.post(url, data=body, headers=JSON, timeout=SOON)


@pytest.fixture
def filled(receiving: Callable[..., Process]) -> Process:
    """A running receiver with a valid, an invalid and a malformed delivery in `.webhooks`."""
    Path("mine.py").write_text(HANDLERS)
    process = receiving("mine.py")
    post(process.url)
    post(process.url, b'{"event": "consent.status.updated", "data": {"status": 5, "iban": "NL91"}}')
    post(process.url, b"\x1b[31m not json \xff")
    process.wait(type="run", state="failed")
    return process


class TestRun:
    def test_prints_one_json_object_a_line_and_the_handlers_own_words_elsewhere(self, filled: Process) -> None:
        ready = {"type": "ready", "url": filled.url, "interrupted": 0, "down_since": None}
        assert filled.lines[0] == {**ready, **{name: filled.lines[0][name] for name in ("inspector", "token")}}
        filled.wait(type="run", handler="store", state="done")
        delivery = filled.wait(type="delivery", verdict="invalid")
        assert {"id", "event", "verdict", "status", "received_at", "size", "runs", "milliseconds"} <= set(delivery)
        assert filled.stop() == 0
        wait_for(lambda: "a handler prints\n" in filled.errors, "the handler's own words on stderr")

    def test_without_json_it_prints_lines_for_people_without_colour_off_a_tty(self) -> None:
        Path("mine.py").write_text(HANDLERS)
        words = [sys.executable, "-m", "receiver", "run", "mine.py", "--port", "0"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            ready = process.stdout.readline()
            post(ready.split(" at ")[1].split(";")[0])
            lines = [ready, *(process.stdout.readline() for _ in range(9))]
            process.terminate()
        text = "".join(lines)
        assert process.returncode == 0
        assert "\x1b" not in text
        assert "secret" not in text
        for part in (
            "listens at http://127.0.0.1:",
            "handlers     2 in mine.py",
            "inbox        .webhooks/inbox.db",
            "✓ 202",
        ):
            assert part in text
        assert "✓ store  done" in text
        assert "✗ break_  failed" in text
        assert "ValueError at mine.py:12" in text

    def test_a_terminal_without_unicode_is_written_to_all_the_same(self, receiving: Callable[..., Process]) -> None:
        post(receiving().url)
        shown = command("receiver", "list", env={**os.environ, "PYTHONIOENCODING": "latin-1"})
        assert (shown.returncode, "\\u2713 202" in shown.stdout) == (0, True)

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (["none.py"], "none.py: no such file"),
            (["broken.py"], "broken.py, line 1: importing it raised NameError: name 'oops' is not defined"),
            (["typo.py"], "no schema knows the event type 'transaction.fetched'; did you mean 'transactions.fetched'?"),
            (["--schemas", "nowhere"], "nowhere: no such directory"),
            (["--port", "99999"], "0<=x<=65535"),
            (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1:0"),
            (["--max-body", "huge"], "is not a size such as"),
            (["--path", "webhook"], "must begin with /"),
            (["--state", "broken.py"], "broken.py"),
            (["--prot", "1"], "No such option"),
        ],
    )
    def test_what_cannot_be_meant_is_one_clear_line_and_exit_code_2(self, words: list[str], reason: str) -> None:
        Path("broken.py").write_text("oops\n")
        Path("typo.py").write_text(HANDLERS.replace("transactions.fetched", "transaction.fetched"))
        ended = command("receiver", "run", "--port", "0", *words)
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert reason in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not Path(".webhooks").exists()

    def test_a_busy_port_is_one_clear_line_and_exit_code_2(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ended = command("receiver", "run", "--port", str(taken.getsockname()[1]))
        assert ended.returncode == 2
        assert "address already in use; another --port may be free" in ended.stderr

    def test_options_come_from_the_environment_and_the_project_file(self, receiving: Callable[..., Process]) -> None:
        Path("mine.py").write_text(HANDLERS)
        Path("pyproject.toml").write_text('[tool.receiver]\nhandlers = "mine.py"\npath = "/from/file"\n')
        process = receiving(env={**os.environ, "RECEIVER_STATE": "elsewhere"})
        assert process.url.endswith("/from/file")
        post(process.url)
        process.wait(type="run", handler="store")
        assert Path("elsewhere/inbox.db").exists()

    def test_own_schemas_replace_the_contract(self, receiving: Callable[..., Process]) -> None:
        Path("own").mkdir()
        schema = {"properties": {"data": {"properties": {"n": {"type": "integer"}}, "required": ["n"]}}}
        Path("own/order.created.json").write_text(json.dumps(schema))
        process = receiving("--schemas", "own")
        assert post(process.url, b'{"event": "order.created", "data": {"n": 1}}').json()["verdict"] == "valid"
        assert post(process.url, b'{"event": "order.created", "data": {}}').status_code == 422
        assert post(process.url).json()["verdict"] == "unknown_event"

    def test_says_nothing_on_stderr_under_load(self, receiving: Callable[..., Process]) -> None:
        process = receiving()
        with ThreadPoolExecutor(40) as pool:
            statuses = {answer.status_code for answer in pool.map(post, [process.url] * 600)}
        assert statuses == {202}
        assert process.stop() == 0
        assert process.errors == []

    def test_sigterm_finishes_what_had_begun(self, receiving: Callable[..., Process]) -> None:
        Path("slow.py").write_text(
            "import time\nfrom receiver import Handlers\nhandlers = Handlers()\n"
            "@handlers.on('*')\ndef slow(delivery):\n    print('began', flush=True)\n    time.sleep(1)\n"
        )
        process = receiving("slow.py")
        post(process.url)
        wait_for(lambda: "began\n" in process.errors, "the handler to begin")
        assert process.stop() == 0
        assert process.wait(type="run")["state"] == "done"


class TestList:
    def test_is_newest_first_with_the_outcome_of_each_handler(self, filled: Process) -> None:
        lines = called("receiver", "list").stdout.splitlines()
        assert [line.split()[3] for line in lines] == ["400", "422", "202"]
        assert "✓ store  ✗ break_" in lines[2]
        assert "\x1b" not in "".join(lines)

    def test_works_when_the_receiver_does_not_run(self, filled: Process) -> None:
        before = called("receiver", "list", "--json").stdout
        filled.kill()
        assert called("receiver", "list", "--json").stdout == before
        assert len(before.splitlines()) == 3

    @pytest.mark.parametrize(
        ("words", "statuses"),
        [
            (["--event", "transactions.fetched"], [202]),
            (["--verdict", "malformed"], [400]),
            (["--run", "failed"], [202]),
            (["--run", "interrupted"], []),
            (["--since", "2h"], [400, 422, 202]),
            (["--since", "0s"], []),
            (["--limit", "1"], [400]),
        ],
    )
    def test_filters(self, filled: Process, words: list[str], statuses: list[int]) -> None:
        lines = called("receiver", "list", "--json", *words).stdout.splitlines()
        assert [json.loads(line)["status"] for line in lines] == statuses

    def test_an_inbox_that_is_not_there_is_told_with_what_to_do(self) -> None:
        for words in (["list"], ["show", "abc"]):
            ended = command("receiver", *words)
            assert ended.returncode == 2
            assert "no inbox in .webhooks: `receiver run` makes one" in ended.stderr
        assert not Path(".webhooks").exists()


class TestShow:
    def ids(self) -> list[str]:
        return [json.loads(line)["id"] for line in called("receiver", "list", "--json").stdout.splitlines()]

    def test_shows_a_delivery_by_a_shortened_id(self, filled: Process) -> None:
        malformed, invalid, valid = self.ids()
        assert f'"consentId": "{CONSENT}"' in called("receiver", "show", valid[:6]).stdout
        assert "ValueError: secret" in called("receiver", "show", valid).stdout
        assert "/data/status" in called("receiver", "show", invalid).stdout
        assert "\\u001b[31m not json \\u00ff" in called("receiver", "show", malformed).stdout
        assert called("receiver", "show", "zzz").returncode == 2

    def test_raw_writes_the_exact_body(self, filled: Process) -> None:
        malformed, *_ = self.ids()
        ended = subprocess.run(
            [sys.executable, "-m", "receiver", "show", "--raw", malformed],
            capture_output=True,
            check=True,
            timeout=SOON,
        )
        assert ended.stdout == b"\x1b[31m not json \xff"

    def test_json_has_headers_data_and_violations(self, filled: Process) -> None:
        _, invalid, _ = self.ids()
        record = json.loads(called("receiver", "show", "--json", invalid).stdout)
        assert record["data"] == {"status": 5, "iban": "NL91"}
        assert record["headers"]["Content-Type"] == "application/json"
        assert {v["pointer"] for v in record["violations"]} == {"/data", "/data/status"}


@pytest.mark.slow
def test_the_demo_fires_every_sample_once_at_the_sample_handlers(receiving: Callable[..., Process]) -> None:
    process = receiving("--demo")
    samples = [path for path in (ROOT / "samples").glob("*/*.json") if path.parent.name != "scenarios"]
    wait_for(lambda: len(process.find(type="run", state="done")) == len(samples), "each sample's handler")
    wait_for(lambda: any("That was every sample" in line for line in process.errors), "the end of the demo")
    assert len(process.find(type="delivery", verdict="valid", status=202)) == len(samples)
    assert process.stop() == 0


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_is_for_a_tty_that_wants_it(filled: Process, no_color: str, coloured: bool) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "receiver", "list"]
    subprocess.run(words, stdout=theirs, env={**os.environ, "NO_COLOR": no_color}, check=True, timeout=SOON)
    shown = os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)
    assert (b"\x1b[32m" in shown) is coloured
    assert "✓ 202".encode() in shown


def test_help_and_version() -> None:
    assert command("receiver", "--version").stdout.startswith("receiver, version ")
    for words in ([], ["run"], ["list"], ["show"]):
        assert "Usage: " in command("receiver", *words, "--help").stdout
