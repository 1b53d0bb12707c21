"""Forwarding to the user's application: exact bytes, once, in order, whatever dies meanwhile."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import SOON, Here, Peer, called, printing, receiving_here, wait_for
from forwarding import CONSENT, FETCHED, application, body, forward, forwarding, free_port, numbers, ok

from receiver.inbox import Inbox
from sender.attempt import State
from sender.ledger import Ledger

StartPeer = Callable[..., Peer]


@pytest.fixture
def inbox() -> Iterator[Here]:
    with receiving_here(Path("in")) as here:
        yield here


def started_at() -> int:
    """When the attempt began that is newest in the ledger."""
    with closing(Ledger(Path(".webhooks"))) as ledger:
        return ledger.attempts(limit=1)[0].started_at


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

    def test_leaves_the_headers_of_a_delivery_as_they_came(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        inbox.post(body(1))
        refused = forward(app.url, "--once", "--from-start", "--header", "content-type: text/plain")
        assert refused.returncode == 2
        assert "is the delivery's" in refused.stderr
        assert app.requests == []

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


class TestAgain:
    def test_sends_a_delivery_once_more_each_time_it_is_asked(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        delivery = inbox.post(body(1)).json()["delivery"]
        for _ in range(3):
            assert forward(app.url, "--again", delivery[:6]).returncode == 0
        assert forward(app.url, "--once", "--from-start").returncode == 0
        assert numbers(app.requests) == [1, 1, 1]
        shown = called("sender", "show", delivery, "--json").stdout.splitlines()
        assert len(shown) == 3

    def test_sends_what_was_not_answered_and_nothing_else_does(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(lambda connection: connection.shutdown(socket.SHUT_RDWR))
        delivery = inbox.post(body(1)).json()["delivery"]
        assert forward(app.url, "--once", "--from-start").returncode == 4
        assert forward(app.url, "--once", "--from-start").returncode == 0
        assert len(app.requests) == 1
        assert forward(app.url, "--again", delivery).returncode == 4
        assert len(app.requests) == 2

    def test_of_what_was_refused_and_waits_takes_its_place(self, inbox: Here) -> None:
        """It never left, so once more is once: who waits with it does not send it too."""
        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        delivery = inbox.post(body(1)).json()["delivery"]
        assert forward(url, "--once", "--from-start").returncode == 3
        refused = forward(url, "--again", delivery)
        assert refused.returncode == 3
        assert "ask again when your application is back" in refused.stdout
        assert "waits" not in refused.stdout
        with application(port) as came:
            assert forward(url, "--again", delivery).returncode == 0
            assert forward(url, "--once").returncode == 0
        assert numbers(came) == [1]

    def test_by_two_at_once_is_sent_by_each_at_most_once(self, inbox: Here, peers: StartPeer) -> None:
        app = peers(ok)
        delivery = inbox.post(body(1)).json()["delivery"]
        words = [sys.executable, "-m", "sender", "forward", "--inbox", "in", "--to", app.url, "--again", delivery]
        asking = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(6)]
        codes = [process.wait(SOON) for process in asking]
        assert set(codes) <= {0, 2}
        assert len(app.requests) == codes.count(0) >= 1

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

    def test_tells_once_that_the_application_is_down_and_once_that_it_is_back(self, inbox: Here) -> None:
        port = free_port()
        for number in range(3):
            inbox.post(body(number))
        words = [sys.executable, "-m", "sender", "forward", "--inbox", "in", "--to", f"http://127.0.0.1:{port}/"]
        with printing([*words, "--from-start"]) as printed:
            wait_for(lambda: "waits in the inbox" in printed(), "that it is down")
            first = started_at()
            wait_for(lambda: started_at() > first, "another try")
            with application(port) as came:
                wait_for(lambda: printed().count("✓") == 3, "all three")
            text = printed()
        assert numbers(came) == [0, 1, 2]
        assert (text.count("waits in the inbox"), text.count("Your application is back.")) == (1, 1)

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
