"""What the tests stand on: real processes, real sockets, a receiver in this process; the peers of `peering`, the API of
`driving`."""

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from driving import TOKEN, Client, Portal, api, hidden_id, portal, serving_portal
from peering import SOON, Peer, elsewhere, peer, peers

from receiver.contract import Contract
from receiver.handlers import Handlers
from receiver.report import Report
from receiver.server import Server, serve

pytest.register_assert_rewrite("browsing", "load")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent

BODY = json.dumps(
    {"event": "transactions.fetched", "data": {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"}}
).encode()
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test works in an empty directory, without settings or proxies of who runs it."""
    for name in list(os.environ):
        if name.startswith(("RECEIVER_", "SENDER_")) or name.lower().endswith("_proxy") or name == "NO_COLOR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """A test leaves no thread of ours behind."""
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + SOON
    while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
        for thread in left:
            thread.join(0.05)
    assert not left


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract()


def wait_for(condition: Callable[[], Any], what: str, within: float = SOON) -> Any:
    """The first true value of `condition`, which has to come soon."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.005)  # a poll, not a guess: it ends when the condition holds
    raise AssertionError(f"waited {within} s in vain for {what}")


def command(*words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Runs `receiver ...` or `sender ...` in a process of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, timeout=60, check=False, **more
    )


def called(*words: str) -> "subprocess.CompletedProcess[str]":
    """Runs `receiver ...` or `sender ...` in this process, to its end: for what only looks, or writes a file. A process
    of its own takes ten times as long."""
    from click.testing import CliRunner

    from receiver.cli import main as receiver
    from sender.cli import main as sender

    half, *rest = words
    ended = CliRunner(catch_exceptions=False).invoke(
        {"receiver": receiver, "sender": sender}[half], rest, prog_name=half
    )
    return subprocess.CompletedProcess(words, ended.exit_code, ended.stdout, ended.stderr)


@dataclass(frozen=True)
class Suite:
    """What a run of pytest in a directory of its own came to."""

    code: int
    printed: str

    def outcome(self, test: str) -> set[str]:
        """`PASSED`, `FAILED`, `ERROR` of a test, or of what it was parametrised with."""
        lines = re.findall(rf"^(PASSED|FAILED|ERROR) \S*\b{re.escape(test)}\b", self.printed, re.MULTILINE)
        assert lines, f"{test} did not run:\n{self.printed}"
        return set(lines)

    def section(self, title: str) -> str:
        """What is printed under a title as `ERROR at teardown of test_x`."""
        found = re.search(
            rf"^_+ {re.escape(title)} _+$\n(.*?)(?=^(?:_+|=+) .* (?:_+|=+)$)", self.printed, re.MULTILINE | re.DOTALL
        )
        assert found, f"no {title}:\n{self.printed}"
        return found[1]


def run_suite(directory: Path, *options: str, **files: str) -> Suite:
    """Writes test files (`test_x="..."`; `ini` is the pytest.ini) and runs pytest on them, with the plugins that are
    installed."""
    (directory / "pytest.ini").write_text("[pytest]\n" + files.pop("ini", ""))
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text)
    words = ["pytest", "-p", "no:cacheprovider", "-rA", "--strict-markers", "-W", "error", *options]
    ended = command(*words, cwd=directory)
    return Suite(ended.returncode, ended.stdout + ended.stderr)


@dataclass
class Process:
    """A `receiver run --json` of its own."""

    popen: "subprocess.Popen[str]"
    lines: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.wait(type="ready")["url"])

    def wait(self, **wanted: Any) -> dict[str, Any]:
        """The first line that has these members."""
        found = wait_for(
            lambda: self.find(**wanted) or (self.popen.poll() is not None and [None]), f"a line with {wanted}"
        )
        assert found[0], f"it ended ({self.popen.returncode}) without a line with {wanted}: {self.errors}"
        return dict(found[0])

    def find(self, **wanted: Any) -> list[Any]:
        return [line for line in self.lines if wanted.items() <= line.items()]

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(SOON)


@pytest.fixture
def receiving() -> Iterator[Callable[..., Process]]:
    """Starts `receiver run --json --port 0 ...` in a process of its own (`within` a command that becomes it); it is
    killed at the end, if it still lives."""
    started: list[Process] = []

    def start(*options: str, within: Sequence[str] = (), **more: Any) -> Process:
        words = [*within, sys.executable, "-m", "receiver", "run", "--json", "--port", "0", *options]
        popen = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
        process = Process(popen)
        started.append(process)
        threading.Thread(
            target=_collect, args=(popen.stdout, lambda line: process.lines.append(json.loads(line)))
        ).start()
        threading.Thread(target=_collect, args=(popen.stderr, process.errors.append)).start()
        return process

    yield start
    for process in started:
        process.kill()
    for process in started:
        process.popen.stdout.close()
        process.popen.stderr.close()


def fake_browser(directory: Path) -> dict[str, str]:
    """An environment in which what opens a URL (`xdg-open`; `open` on macOS) writes it to the file `opened` there."""
    for name in ("xdg-open", "open"):
        (directory / name).write_text(
            f'#!/bin/sh\necho "$1" > {directory / "part"}; mv {directory / "part"} {directory / "opened"}\n'
        )
        (directory / name).chmod(0o755)
    return {**os.environ, "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}


@contextmanager
def printing(words: list[str], **more: Any) -> Iterator[Callable[[], str]]:
    """A process while the block runs; gives what it has printed so far, on stdout and stderr."""
    with tempfile.TemporaryFile("w+") as file, subprocess.Popen(words, stdout=file, stderr=file, **more) as process:
        try:
            yield lambda: os.pread(file.fileno(), 1 << 20, 0).decode()
        finally:
            process.terminate()


def _collect(stream: Any, take: Callable[[str], None]) -> None:
    with suppress(ValueError):  # closed under us, at the end of the test
        for line in stream:
            take(line)


@dataclass
class Here:
    """A receiver in this process."""

    server: Server
    told: list[dict[str, Any]]

    def post(self, body: bytes = BODY, headers: dict[str, str] | None = None, **more: Any) -> requests.Response:
        return requests.post(
            self.server.url, data=body, headers=JSON if headers is None else headers, timeout=SOON, **more
        )

    def wait(self, **wanted: Any) -> dict[str, Any]:
        return dict(wait_for(lambda: [t for t in self.told if wanted.items() <= t.items()], f"a line with {wanted}")[0])


@contextmanager
def receiving_here(state: Path, handlers: Handlers | None = None, **options: Any) -> Iterator[Here]:
    """A receiver in this process, on a free port."""
    told: list[dict[str, Any]] = []
    report = Report(lambda line: told.append(json.loads(line)), as_records=True)
    with serve(handlers or Handlers(), report, state=state, **{"port": 0, **options}) as server:
        yield Here(server, told)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """A receiver in this process, without handlers."""
    with receiving_here(tmp_path / "state") as receiver:
        yield receiver


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """A Chromium, to which evil.example is this machine."""
    chromium = shutil.which("chromium")
    if not chromium and os.environ.get("CI") != "true":
        pytest.skip("no chromium is installed; `apt-get install chromium` does it")
    assert chromium, "CI has to have a chromium: .ci/run installs it"
    from playwright.sync_api import sync_playwright

    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    names = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with sync_playwright() as playwright:
        words = ["--no-sandbox", "--disable-gpu", *quiet, names]
        with playwright.chromium.launch(executable_path=chromium, args=words) as started:
            yield started


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """An empty page of a browser that knows nothing of earlier ones."""
    with browser.new_context() as context:
        yield context.new_page()


__all__ = [
    "BODY",
    "JSON",
    "ROOT",
    "SOON",
    "TOKEN",
    "Client",
    "Here",
    "Peer",
    "Portal",
    "Process",
    "Suite",
    "api",
    "called",
    "command",
    "elsewhere",
    "fake_browser",
    "hidden_id",
    "peer",
    "peers",
    "portal",
    "printing",
    "queue",
    "receiving_here",
    "run_suite",
    "serving_portal",
    "wait_for",
]
