"""Forwarding while the forwarder, the application or both die, in the middle of a POST; and who asks at once."""

import json
import multiprocessing
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import SOON, Here, Peer, Process, called, receiving_here, wait_for
from forwarding import body, forward, forwarding, free_port, numbers, ok

from receiver.inbox import Inbox
from receiver.store import now
from sender.attempt import Attempt, Outcome, State
from sender.ledger import AlreadySent, Ledger

StartPeer = Callable[..., Peer]


@pytest.fixture
def inbox() -> Iterator[Here]:
    with receiving_here(Path("in")) as here:
        yield here


def hang(connection: socket.socket) -> None:
    connection.recv(1)


class TestKilledInTheMiddleOfAPost:
    @pytest.mark.parametrize("words", [["--once"], ["--once", "--from-start"]])
    def test_the_next_tells_that_it_is_unknown_and_does_not_send_it_again(
        self, inbox: Here, peers: StartPeer, words: list[str]
    ) -> None:
        app = peers(hang)
        delivery = inbox.post(body(0)).json()["delivery"]
        with forwarding(app.url, "--from-start") as process:
            wait_for(lambda: app.requests, "the first")
            process.kill()
            process.wait()
        ended = forward(app.url, *words)
        assert ended.returncode == 4
        assert f"`sender forward --again {delivery[:8]} --to {app.url}`" in ended.stdout
        again = forward(app.url, *words)
        assert (again.returncode, again.stdout) == (0, "")
        assert len(app.requests) == 1


class TestStopped:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
    def test_the_one_under_way_ends_and_no_other_begins(
        self, inbox: Here, peer: StartPeer, number: int, code: int
    ) -> None:
        def answer(connection: socket.socket) -> None:
            process.send_signal(number)
            with suppress(TimeoutError):
                connection.settimeout(0.3)
                connection.recv(1)
            ok(connection)

        app = peer(answer)
        for one in range(3):
            inbox.post(body(one))
        with forwarding(app.url, "--from-start") as process:
            assert process.wait(SOON) == code
        assert numbers(app.requests) == [0]
        (attempt,) = [json.loads(line) for line in called("sender", "log", "--json").stdout.splitlines()]
        assert attempt["state"] == "delivered"

    def test_with_once_before_all_was_sent_does_not_say_that_it_was(self, inbox: Here, peer: StartPeer) -> None:
        def answer(connection: socket.socket) -> None:
            process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                connection.settimeout(0.3)
                connection.recv(1)
            ok(connection)

        app = peer(answer)
        for one in range(3):
            inbox.post(body(one))
        with forwarding(app.url, "--from-start", "--once") as process:
            assert process.wait(SOON) == 130
        assert numbers(app.requests) == [0]


def _try_refused(state: Path, barrier: Any, won: Any) -> None:
    with closing(Ledger(state)) as ledger:
        for number in range(20):
            barrier.wait(60)
            with suppress(AlreadySent):
                ledger.intend(_refused(number), though_refused=True)
                won.put(number)
    won.put(None)


def _refused(number: int) -> Attempt:
    return Attempt(str(number), "http://127.0.0.1:9/", "a.b", b"{}", now(), Outcome(State.REFUSED))


@pytest.mark.slow
def test_of_ten_processes_that_try_again_what_was_refused_one_does(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        for number in range(20):
            ledger.intend(replace(_refused(number), outcome=Outcome(State.SENDING)))
            ledger.conclude(_refused(number))
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(10), context.Queue()
    processes = [context.Process(target=_try_refused, args=(tmp_path, barrier, won)) for _ in range(10)]
    for process in processes:
        process.start()
    got, ended = [], 0
    while ended < 10:
        one = won.get(timeout=60)
        ended += one is None
        got += [] if one is None else [one]
    for process in processes:
        process.join(60)
    won.close()
    won.join_thread()
    assert sorted(got) == list(range(20))


APPLICATION = """
import socket, sys
sys.path.insert(0, sys.argv[2])
from peering import read_request
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        if request := read_request(connection):
            with open("came", "ab", buffering=0) as file:
                file.write(request.partition(b"\\r\\n\\r\\n")[2] + b"\\n")
            connection.sendall(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
"""


@pytest.mark.slow
def test_whoever_is_killed_under_load_each_is_sent_once_at_most_and_none_is_forgotten(
    receiving: Callable[..., Process],
) -> None:
    """All three are processes, and application and forwarder are killed in turn while deliveries come."""
    receiver, port, total = receiving("--state", "in"), free_port(), 0
    url, hook = f"http://127.0.0.1:{port}/", receiver.url
    assert forward(url, "--once", "--from-start").returncode == 0
    for round_ in range(8):
        with forwarding(url) as process, app_at(port) as application:
            for _ in range(25):
                post(hook, total)
                total += 1
                if total % 25 == 12:
                    wait_for(lambda before=total: arrived() > before - 20, "some to arrive")
                    (application if round_ % 2 else process).kill()
    with app_at(port):
        assert forward(url, "--once").returncode in {0, 4}
    check(total)


@contextmanager
def app_at(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """An application in a process of its own, from when it listens to when it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", APPLICATION, str(port), str(Path(__file__).parent)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def arrived() -> int:
    return Path("came").read_bytes().count(b"\n") if Path("came").exists() else 0


def post(url: str, number: int) -> None:
    assert requests.post(url, data=body(number), headers={"Content-Type": "application/json"}, timeout=SOON).ok


def check(total: int) -> None:
    came = [json.loads(line)["data"]["addedTransactionsCount"] for line in Path("came").read_bytes().splitlines()]
    with closing(Ledger(Path(".webhooks"))) as ledger, closing(Inbox.existing(Path("in"))) as stored:
        states = {one.id: one.outcome.state for one in ledger.attempts(limit=10_000)}
        ids = [entry.id for _, entry in stored.after(0)]
    assert came == sorted(set(came))
    assert len(ids) == total
    assert set(states) == set(ids)
    assert set(states.values()) <= {State.DELIVERED, State.UNKNOWN}
    unknown = sum(state is State.UNKNOWN for state in states.values())
    assert total - unknown <= len(came) <= total
    assert unknown <= 16  # one for each kill, at most: of the forwarder or of the application
