"""Forwarding to the user's application: exact bytes, once, in order, whatever dies meanwhile."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import SOON, Here, Peer, command, receiving_here, wait_for
from peering import read_request

from receiver.inbox import Inbox
from sender.attempt import State
from sender.ledger import Ledger

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
CONSENT = "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2"
StartPeer = Callable[..., Peer]


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def body(number: int = 0, event: str = FETCHED) -> bytes:
    return json.dumps({"event": event, "data": {"consentId": CONSENT, "addedTransactionsCount": number}}).encode()


def numbers(requests: list[bytes]) -> list[int]:
    return [json.loads(one.partition(b"\r\n\r\n")[2])["data"]["addedTransactionsCount"] for one in requests]


def forward(url: str, *words: str) -> Any:
    return command("sender", "forward", "--inbox", "in", "--to", url, *words)


@contextmanager
def forwarding(url: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
    line = [sys.executable, "-m", "sender", "forward", "--inbox", "in", "--to", url, *words]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def inbox() -> Iterator[Here]:
    with receiving_here(Path("in")) as here:
        yield here


@contextmanager
def application(port: int) -> Iterator[list[bytes]]:
    """An application at a port, as long as the block runs; what it was sent."""
    came: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with closing(connection):
                if request := read_request(connection):
                    came.append(request)
                    ok(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield came
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(SOON)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class TestOnce:
    def test_sends_the_exact_bytes_of_what_handlers_get_in_order(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        odd = b'{ "event":"transactions.fetched",  "data":{"consentId":"' + CONSENT.encode() + b'", "n":"\\u00e9"}}  '
        first = inbox.post(odd, {"Content-Type": "application/json; charset=utf-8"}).json()["delivery"]
        inbox.post(body(1, "of.tomorrow"))
        inbox.post(b"no json")
        inbox.post(b'{"event": "consent.status.updated", "data": {}}')
        inbox.post(body(2))
        assert forward(app.url, "--once", "--from-start").returncode == 0
        assert [one.partition(b"\r\n\r\n")[2] for one in app.requests] == [odd, body(1, "of.tomorrow"), body(2)]
        assert b"Content-Type: application/json; charset=utf-8\r\n" in app.requests[0]
        assert f"Delivery-Id: {first}\r\n".encode() in app.requests[0]
        assert forward(app.url, "--once", "--from-start").returncode == 0
        assert len(app.requests) == 3

    def test_begins_now_and_goes_on_where_it_was(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        inbox.post(body(1))
        forward(app.url, "--once")
        inbox.post(body(2))
        forward(app.url, "--once")
        forward(app.url, "--once")
        assert numbers(app.requests) == [2]
        forward(app.url, "--once", "--from-start")
        assert numbers(app.requests) == [2, 1]

    def test_takes_only_the_events_that_are_meant(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        for number, event in enumerate((FETCHED, "of.tomorrow", "of.yesterday")):
            inbox.post(body(number, event))
        forward(app.url, "--once", "--from-start", "--event", "of.*")
        assert numbers(app.requests) == [1, 2]
        assert "is an event type, a prefix" in forward(app.url, "--event", "a.*.b").stderr

    def test_has_the_exit_code_of_the_worst_and_tells_how_to_send_again(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(lambda connection: connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
        delivery = inbox.post(body(1)).json()["delivery"]
        inbox.post(body(2))
        ended = forward(app.url, "--once", "--from-start")
        assert ended.returncode == 1
        assert f"`sender forward --again {delivery[:8]} --to {app.url}`" in ended.stdout
        assert numbers(app.requests) == [1, 2]

    def test_of_an_application_that_is_down_says_that_all_waits(self, inbox: Here) -> None:
        port = free_port()
        inbox.post(body(1))
        inbox.post(body(2))
        ended = forward(f"http://127.0.0.1:{port}/", "--once", "--from-start")
        assert ended.returncode == 3
        assert ended.stdout.count("It waits in the inbox until your application is back.") == 1
        with application(port) as came:
            assert forward(f"http://127.0.0.1:{port}/", "--once").returncode == 0
        assert numbers(came) == [1, 2]


def test_what_is_judged_valid_later_is_sent_then(inbox: Here, peer: StartPeer, tmp_path: Path) -> None:
    app = peer(ok)
    odd = b'{"event": "consent.status.updated", "data": {"status": 5}}'
    inbox.post(odd)
    forward(app.url, "--once", "--from-start")
    assert app.requests == []
    schemas = tmp_path / "own"
    schemas.mkdir()
    (schemas / f"{STATUS}.json").write_text("{}")
    inbox.post(body(1))
    assert "1 judged" in command("receiver", "judge", "--state", "in", "--schemas", str(schemas)).stderr
    forward(app.url, "--once")
    assert [one.partition(b"\r\n\r\n")[2] for one in app.requests] == [body(1), odd]
    forward(app.url, "--once")
    assert len(app.requests) == 2


def test_a_number_that_is_given_again_after_a_prune_hides_nothing(inbox: Here, peer: StartPeer) -> None:
    app = peer(ok)
    for number in range(5):
        inbox.post(body(number))
    forward(app.url, "--once", "--from-start")
    with closing(sqlite3.connect("in/inbox.db")) as file, file:
        file.execute("DELETE FROM delivery WHERE number > 2")
    for number in range(5, 8):
        inbox.post(body(number))
    forward(app.url, "--once")
    assert numbers(app.requests) == list(range(8))


class TestAgain:
    def test_sends_a_delivery_once_more_each_time_it_is_asked(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        delivery = inbox.post(body(1)).json()["delivery"]
        for _ in range(3):
            assert forward(app.url, "--again", delivery[:6]).returncode == 0
        assert forward(app.url, "--once", "--from-start").returncode == 0
        assert numbers(app.requests) == [1, 1, 1]
        shown = command("sender", "show", delivery, "--json").stdout.splitlines()
        assert len(shown) == 3

    def test_sends_what_was_not_answered_and_nothing_else_does(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(lambda connection: connection.shutdown(socket.SHUT_RDWR))
        delivery = inbox.post(body(1)).json()["delivery"]
        assert forward(app.url, "--once", "--from-start").returncode == 4
        assert forward(app.url, "--once", "--from-start").returncode == 0
        assert len(app.requests) == 1
        assert forward(app.url, "--again", delivery).returncode == 4
        assert len(app.requests) == 2

    def test_of_what_is_in_quarantine_is_refused(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        delivery = inbox.post(b"no json").json()["delivery"]
        refused = forward(app.url, "--again", delivery)
        assert refused.returncode == 2
        assert "is malformed: `receiver judge`" in refused.stderr
        assert "no delivery" in forward(app.url, "--again", "zzz").stderr


def test_without_an_inbox_it_says_what_makes_one(peer: StartPeer) -> None:
    refused = forward(peer(ok).url)
    assert refused.returncode == 2
    assert "`receiver run` makes one" in refused.stderr


class TestFollowing:
    def test_goes_on_while_the_receiver_runs_until_it_is_stopped(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        inbox.post(body(0))
        with forwarding(app.url, "--from-start") as process:
            wait_for(lambda: len(app.requests) == 1, "the first")
            inbox.post(body(1))
            wait_for(lambda: len(app.requests) == 2, "the second")
            process.send_signal(signal.SIGTERM)
            assert process.wait(SOON) == 0
        assert numbers(app.requests) == [0, 1]

    def test_leaves_one_url_to_one_forwarder(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        inbox.post(body(0))
        with forwarding(app.url, "--from-start"):
            wait_for(lambda: app.requests, "the first")
            refused = forward(app.url, "--once")
            assert refused.returncode == 2
            assert "another `sender forward`" in refused.stderr

    def test_of_an_application_killed_and_started_again_and_a_forwarder_killed_forgets_and_doubles_nothing(
        self, inbox: Here
    ) -> None:
        """Both die again and again while deliveries come. An attempt that was cut is unknown, and never repeated."""
        port, total, came = free_port(), 120, []
        url = f"http://127.0.0.1:{port}/"
        forward(url, "--once", "--from-start")
        for round_ in range(6):
            with forwarding(url) as process:
                for number in range(round_ * 20, round_ * 20 + 10):
                    inbox.post(body(number))
                with application(port) as requests:
                    for number in range(round_ * 20 + 10, round_ * 20 + 20):
                        inbox.post(body(number))
                    wait_for(lambda requests=requests: len(requests) >= 5, "some")
                    if round_ % 2:
                        process.kill()
                        process.wait()
                came += requests
        with application(port) as requests:
            forward(url, "--once")
        came += requests
        got = numbers(came)
        assert got == sorted(set(got))
        with closing(Ledger(Path(".webhooks"))) as ledger, closing(Inbox.existing(Path("in"))) as stored:
            attempts = {one.id: one.outcome.state for one in ledger.attempts(limit=1000)}
            ids = {entry.id for _, entry in stored.after(0)}
        assert attempts.keys() == ids
        assert len(ids) == total
        unknown = [id_ for id_, state in attempts.items() if state is not State.DELIVERED]
        assert {attempts[id_] for id_ in unknown} <= {State.UNKNOWN}
        assert total - len(got) <= len(unknown) <= 12
