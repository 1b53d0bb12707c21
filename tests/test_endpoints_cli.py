"""`sender endpoints`, and firing at endpoints: each subscriber once, and nobody waits for another."""

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from conftest import SOON, Peer, called, command, receiving_here

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
StartPeer = Callable[..., Peer]


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def endpoints(*words: str) -> Any:
    return called("sender", "endpoints", *words)


def added(*words: str) -> dict[str, Any]:
    ended = endpoints("add", *words, "--json")
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def fire(*words: str) -> Any:
    return command("sender", "fire", *words)


class TestEndpoints:
    def test_are_made_listed_changed_and_removed(self) -> None:
        made = added("http://127.0.0.1:9/a", "--event", FETCHED, "--name", "shop", "--header", "X-Key: 1")
        assert made["events"] == [FETCHED]
        assert made["headers"] == {"X-Key": "1"}
        assert endpoints("edit", "shop", "--all", "--no-headers", "--url", "http://127.0.0.1:9/b").returncode == 0
        assert endpoints("disable", made["id"][:5]).returncode == 0
        (listed,) = [json.loads(line) for line in endpoints("list", "--json").stdout.splitlines()]
        assert listed == {**listed, "url": "http://127.0.0.1:9/b", "events": ["*"], "headers": {}, "enabled": False}
        assert "disabled  shop  http://127.0.0.1:9/b  every event" in endpoints("list").stdout
        assert json.loads(endpoints("enable", "shop", "--json").stdout)["enabled"] is True
        assert json.loads(endpoints("remove", "shop", "--json").stdout)["name"] == "shop"
        assert endpoints("list").stdout == ""

    def test_show_their_secret_only_when_asked(self) -> None:
        secret = added("http://127.0.0.1:9/", "--all", "--secret", "auto", "--name", "a")["secret"]
        assert secret.startswith("whsec_")
        assert json.loads(endpoints("show", "a", "--json").stdout)["secret"] == secret
        assert secret in endpoints("show", "a").stdout
        for words in (["list"], ["list", "--json"], ["disable", "a"], ["remove", "a", "--json"]):
            assert secret not in endpoints(*words).stdout

    def test_that_cannot_be_meant_are_refused_with_what_to_write(self) -> None:
        for words, hint in (
            (["add", "http://127.0.0.1:9/"], "--event EVENT"),
            (["add", "http://127.0.0.1:9/", "--all", "--event", FETCHED], "or --all"),
            (["add", "http://127.0.0.1:9/", "--event", "transactions.fetch"], "did you mean 'transactions.fetched'?"),
            (["add", "ftp://x/", "--all"], "http://127.0.0.1:8787/webhook"),
            (["add", "http://127.0.0.1:9/", "--all", "--name", ""], "1 to 80 printable characters"),
            (["show", "shop"], "`sender endpoints add URL`"),
        ):
            ended = endpoints(*words)
            assert ended.returncode == 2
            assert hint in ended.stderr
        added("http://127.0.0.1:9/", "--all", "--name", "shop")
        assert "nothing to change" in endpoints("edit", "shop").stderr
        assert "did you mean 'shop'?" in endpoints("show", "shpo").stderr

    def test_are_tested_by_one_post_also_while_disabled(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        added(receiver.url, "--event", STATUS, "--name", "a", "--disabled", "--header", "X-Key: 7")
        tested = endpoints("test", "a")
        assert tested.returncode == 0, tested.stderr
        assert f"sent {STATUS} to {receiver.url}" in tested.stdout
        (request,) = receiver.requests
        assert b"X-Key: 7\r\n" in request


class TestFiring:
    def test_reaches_each_subscriber_once_and_nobody_else(self, peer: StartPeer) -> None:
        a, b, c = peer(ok), peer(ok), peer(ok)
        added(a.url, "--event", FETCHED)
        added(b.url, "--event", STATUS)
        added(c.url, "--all")
        fetched, status = fire(FETCHED), fire(STATUS, "--json")
        assert fetched.returncode == status.returncode == 0
        assert sorted(line.split(" to ")[1].split()[0] for line in fetched.stdout.splitlines()) == sorted(
            [a.url, c.url]
        )
        records = [json.loads(line) for line in status.stdout.splitlines()]
        assert {record["url"] for record in records} == {b.url, c.url}
        assert len({record["id"] for record in records}) == len({record["body"] for record in records}) == 1
        assert [len(each.requests) for each in (a, b, c)] == [1, 1, 2]

    def test_of_the_same_event_is_never_repeated_also_after_removing_and_adding_the_url(self, peer: StartPeer) -> None:
        a, b = peer(ok), peer(ok)
        added(a.url, "--all", "--name", "a")
        assert fire(FETCHED, "--id", "X").returncode == 0
        endpoints("remove", "a")
        added(a.url, "--all")
        assert fire(FETCHED, "--id", "X").returncode == 2
        added(b.url, "--all")
        again = fire(FETCHED, "--id", "X")
        assert again.returncode == 0
        assert f"event X was sent to {a.url}" in again.stdout
        assert fire(FETCHED, "--id", "X").returncode == 2
        assert [len(a.requests), len(b.requests)] == [1, 1]

    def test_sends_to_two_endpoints_with_one_url_twice_and_never_a_third_time(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        added(receiver.url, "--all", "--name", "a")
        assert endpoints("add", receiver.url, "--event", FETCHED).returncode == 2
        added(receiver.url, "--event", FETCHED, "--force", "--name", "b")
        assert fire(FETCHED, "--id", "X").returncode == 0
        assert fire(STATUS, "--id", "Y").returncode == 0
        endpoints("remove", "a")
        assert fire(FETCHED, "--id", "X").returncode == 2
        assert fire(FETCHED, "--id", "Z").returncode == 0
        endpoints("remove", "b")
        added(receiver.url, "--all")
        assert fire(FETCHED, "--id", "Z").returncode == 2
        assert len(receiver.requests) == 4

    def test_waits_for_no_slow_endpoint_before_the_others(self, peer: StartPeer) -> None:
        """The slow one answers only once the other has had all that was fired."""
        fast = peer(ok)
        came = threading.Event()

        def answer(connection: socket.socket) -> None:
            came.wait(SOON)
            ok(connection)

        slow = peer(answer)
        added(slow.url, "--all")
        added(fast.url, "--all")

        def watch() -> None:
            until = time.monotonic() + SOON
            while len(fast.requests) < 20 and time.monotonic() < until:
                time.sleep(0.01)  # a poll
            came.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        ended = fire(FETCHED, "--count", "20")
        watcher.join()
        assert ended.returncode == 0, ended.stdout
        assert len(fast.requests) == len(slow.requests) == 20

    def test_sends_each_endpoint_the_same_events_in_the_same_order(self, peer: StartPeer) -> None:
        a, b = peer(ok), peer(ok)
        added(a.url, "--all")
        added(b.url, "--all")
        assert fire(FETCHED, "--count", "30").returncode == 0
        bodies = [[request.partition(b"\r\n\r\n")[2] for request in each.requests] for each in (a, b)]
        assert bodies[0] == bodies[1]
        assert len(set(bodies[0])) == 30

    def test_has_the_exit_code_of_the_worst(self, peer: StartPeer) -> None:
        good = peer(ok)
        bad = peer(lambda connection: connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
        added(good.url, "--all")
        added(bad.url, "--all")
        assert fire(FETCHED).returncode == 1
        added("http://127.0.0.1:9/", "--all")
        assert fire(FETCHED).returncode == 3

    def test_tells_how_to_subscribe_where_nobody_is(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        added(receiver.url, "--event", FETCHED, "--name", "shop")
        refused = fire(STATUS)
        assert refused.returncode == 2
        assert f"`sender endpoints edit shop --event {FETCHED} --event {STATUS}` subscribes one" in refused.stderr
        endpoints("disable", "shop")
        refused = fire(FETCHED)
        assert refused.returncode == 2
        assert "disabled: `sender endpoints enable shop`" in refused.stderr
        assert receiver.requests == []

    def test_goes_to_the_url_that_is_named_whatever_endpoints_there_are(self, peer: StartPeer) -> None:
        a, b = peer(ok), peer(ok)
        added(a.url, "--all")
        assert fire(FETCHED, "--to", b.url).returncode == 0
        assert [len(a.requests), len(b.requests)] == [0, 1]

    def test_without_endpoints_goes_to_the_local_receiver_and_says_so(self) -> None:
        """Where one may or may not listen at the moment."""
        assert "http://127.0.0.1:8787/webhook" in (line := fire(FETCHED).stdout.splitlines()[0])
        assert line.endswith("(the default: there is no endpoint)")


def test_two_endpoints_and_two_receivers_by_the_command_line(tmp_path: Any) -> None:
    with receiving_here(tmp_path / "a") as a, receiving_here(tmp_path / "b") as b:
        added(a.server.url, "--event", FETCHED, "--event", STATUS)
        added(b.server.url, "--event", STATUS, "--event", "categorizationjob.completed")
        for event in (FETCHED, STATUS, "categorizationjob.completed"):
            assert fire(event).returncode == 0
        came = [[entry.event for _, entry in each.server.inbox.after(0)] for each in (a, b)]
    assert came == [[FETCHED, STATUS], [STATUS, "categorizationjob.completed"]]
