"""Ctrl-C at each stage of a POST: what is told is what is known of it then, and the ledger says the same."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from conftest import SOON, Peer, called, wait_for

StartPeer = Callable[..., Peer]


@contextmanager
def firing(url: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
    line = [sys.executable, "-m", "sender", "fire", "transactions.fetched", "--to", url, "--id", "X", "--json", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(process: "subprocess.Popen[str]") -> tuple[int, str, str | None]:
    """The exit code, and the state and reason that were told, as soon as they were and as the ledger has them."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=SOON)
    assert time.monotonic() - began < 10  # of the 20 s that it would have waited
    assert "Traceback" not in errors
    told = json.loads(output)
    assert json.loads(called("sender", "show", "X", "--json").stdout) == told
    return process.returncode, told["state"], told["reason"]


def state() -> str:
    shown = called("sender", "show", "X", "--json")
    return str(json.loads(shown.stdout)["state"]) if shown.returncode == 0 else ""


def test_while_it_connects_is_refused() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # fill its queue, and the next one waits
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        with firing(f"http://127.0.0.1:{listener.getsockname()[1]}/") as process:
            wait_for(lambda: state() == "sending", "the intent")
            assert interrupted(process) == (3, "refused", "stopped by Ctrl-C")


def test_while_tls_shakes_hands_is_refused(peer: StartPeer) -> None:
    hello: list[bytes] = []

    def stall(connection: socket.socket) -> socket.socket:
        hello.append(connection.recv(65536))
        return connection

    receiver = peer(lambda connection: None, stall)
    with firing(receiver.url.replace("http:", "https:")) as process:
        wait_for(lambda: hello, "the first bytes")
        assert interrupted(process) == (3, "refused", "stopped by Ctrl-C")
    assert receiver.requests == []


def test_while_it_sends_is_unknown() -> None:
    Path("large.json").write_text(json.dumps({"consentId": "x" * 30_000_000}))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with firing(url, "--data", "@large.json", "--no-validate") as process:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(1, socket.MSG_PEEK)  # it has begun, and more than a buffer's worth waits
                assert interrupted(process) == (4, "unknown", "stopped by Ctrl-C")


def test_while_it_waits_for_the_answer_is_unknown(peer: StartPeer) -> None:
    receiver = peer(lambda connection: connection.recv(1))
    with firing(receiver.url) as process:
        wait_for(lambda: receiver.requests, "the request")
        assert interrupted(process) == (4, "unknown", "stopped by Ctrl-C")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(("status", "code"), [(200, 0), (500, 1)])
def test_while_the_answers_body_drips_is_the_status_that_came(peer: StartPeer, status: int, code: int) -> None:
    drops: list[int] = []

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 9999\r\n\r\n" % status)
        connection.settimeout(0.02)
        while True:
            connection.sendall(b"x")
            drops.append(1)
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return

    receiver = peer(drip)
    with firing(receiver.url) as process:
        wait_for(lambda: len(drops) > 20, "some of the body")
        assert interrupted(process) == (code, "delivered", None)
    assert len(receiver.requests) == 1


def test_a_verification_ends_at_once_and_the_rest_is_not_sent(peer: StartPeer) -> None:
    receiver = peer(lambda connection: connection.recv(1))  # it never answers
    line = [sys.executable, "-m", "sender", "verify", receiver.url, "--timeout", "60s"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: receiver.requests, "the first case")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=SOON)
    assert (process.returncode, output) == (130, "")
    assert "Traceback" not in errors
    assert len(receiver.requests) == 1
