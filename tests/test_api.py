"""The API: the provider's side driven from a test in any language. Each answer is held against the description."""

import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SOON, Client, Peer, receiving_here, wait_for

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
StartPeer = Callable[..., Peer]


def ok(connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


class TestEndpoints:
    def test_are_made_shown_changed_and_removed(self, api: Client) -> None:
        made = api("POST", "/api/endpoints", {"url": "http://127.0.0.1:9/a", "events": [FETCHED], "secret": "auto"})
        assert made.status_code == 201
        place = f"/api/endpoints/{made.json()['id']}"
        assert made.json()["secret"].startswith("whsec_")
        shown = api("GET", place).json()
        assert shown == {name: value for name, value in made.json().items() if name != "secret"}
        assert api("PATCH", place, {"events": ["*"], "enabled": False, "name": "a"}).json()["events"] == ["*"]
        assert [one["name"] for one in api("GET", "/api/endpoints").json()] == ["a"]
        assert api("DELETE", place).status_code == 204
        assert api("GET", place).status_code == api("DELETE", place).status_code == 404

    @pytest.mark.parametrize(
        ("body", "status", "told"),
        [
            ({"url": "http://a/"}, 422, "events"),
            ({"url": "ftp://a/", "events": ["*"]}, 422, "is not a URL to post to"),
            ({"url": "http://a/", "events": ["transactions.fetch"]}, 422, "did you mean 'transactions.fetched'"),
            ({"url": "http://a/", "events": ["*"], "evnts": 1}, 422, "evnts"),
            ({"url": "http://a/", "events": ["*"], "secret": "x"}, 422, "24 to 64 bytes"),
            ({"url": "http://a/", "events": ["*"], "name": "a\x1b[31m"}, 422, "/name"),
            ({"url": "http://a/", "events": ["*"], "headers": {"a b": "c"}}, 422, "header 'a b'"),
            ([], 422, "the body"),
        ],
    )
    def test_that_cannot_be_meant_are_problems(self, api: Client, body: Any, status: int, told: str) -> None:
        answer = api("POST", "/api/endpoints", body)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert told in answer.json()["detail"]
        assert api("GET", "/api/endpoints").json() == []

    def test_conflict_unless_forced(self, api: Client) -> None:
        one = {"url": "http://127.0.0.1:9/", "events": [FETCHED]}
        assert api("POST", "/api/endpoints", one).status_code == 201
        taken = api("POST", "/api/endpoints", one)
        assert (taken.status_code, '"force": true' in taken.json()["detail"]) == (409, True)
        assert api("POST", "/api/endpoints", {**one, "force": True}).status_code == 201

    def test_made_by_many_at_once_are_there_once(self, api: Client) -> None:
        one = {"url": "http://127.0.0.1:9/", "events": [FETCHED]}
        named = {"events": [FETCHED], "name": "a"}
        for body in (one, lambda number: {**named, "url": f"http://127.0.0.1:9/{number}"}):
            told = api.at_once(12, "POST", "/api/endpoints", body)
            assert sorted(answer.status_code for answer in told) == [201] + [409] * 11
        assert len(api("GET", "/api/endpoints").json()) == 2

    def test_changed_by_many_at_once_keep_every_change(self, api: Client) -> None:
        made = api("POST", "/api/endpoints", {"url": "http://127.0.0.1:9/", "events": [FETCHED]}).json()
        place, wanted = f"/api/endpoints/{made['id']}", {"name": "a", "enabled": False, "events": ["*"]}
        changes = [{name: value} for name, value in wanted.items()]
        for _ in range(10):
            api("PATCH", place, {"name": "b", "enabled": True, "events": [FETCHED]})
            api.at_once(3, "PATCH", place, lambda number: changes[number])
            assert wanted.items() <= api("GET", place).json().items()

    def test_lose_their_secret_by_null(self, api: Client) -> None:
        made = {"url": "http://127.0.0.1:9/", "events": [FETCHED], "secret": "auto"}
        place = f"/api/endpoints/{api('POST', '/api/endpoints', made).json()['id']}"
        for change, signed in (({"name": "a"}, True), ({"secret": None}, False), ({"secret": "auto"}, True)):
            changed = api("PATCH", place, change).json()
            assert (changed["signed"], "secret" in changed) == (signed, False)


class TestFiring:
    def test_reaches_two_receivers_as_they_are_subscribed(self, api: Client, tmp_path: Path) -> None:
        with receiving_here(tmp_path / "a") as a, receiving_here(tmp_path / "b") as b:
            api("POST", "/api/endpoints", {"url": a.server.url, "events": [FETCHED, STATUS]})
            api("POST", "/api/endpoints", {"url": b.server.url, "events": [STATUS]})
            fetched = api("POST", "/api/fire", {"event": FETCHED, "id": "X"}).json()["attempts"]
            status = api("POST", "/api/fire", {"event": STATUS}).json()["attempts"]
            again = api("POST", "/api/fire", {"event": FETCHED, "id": "X"}).json()["attempts"]
            came = [[entry.event for _, entry in each.server.inbox.after(0)] for each in (a, b)]
        assert came == [[FETCHED, STATUS], [STATUS]]
        assert [one["url"] for one in fetched] == [a.server.url]
        assert {one["status"] for one in status} == {202}
        assert [one["already_sent"] for one in (*fetched, *again)] == [False, True]
        assert len(api("GET", "/api/attempts").json()) == 3
        assert len(api("GET", "/api/attempts?limit=1&state=delivered").json()) == 1

    def test_takes_data_a_fault_and_a_url(self, api: Client, peer: StartPeer) -> None:
        receiver = peer(ok)
        data = {"consentId": "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2", "é": 1}
        fire = {"event": FETCHED, "data": data, "to": receiver.url, "fault": "media-type"}
        (attempt,) = api("POST", "/api/fire", fire).json()["attempts"]
        assert attempt["fault"] == "media-type"
        assert json.loads(receiver.requests[0].partition(b"\r\n\r\n")[2]) == {"event": FETCHED, "data": data}

    def test_of_what_is_wrong_or_wanted_by_nobody_sends_nothing(self, api: Client, peer: StartPeer) -> None:
        receiver = peer(ok)
        api("POST", "/api/endpoints", {"url": receiver.url, "events": [FETCHED]})
        for body, status, told in (
            ({"event": STATUS}, 409, "no endpoint is subscribed"),
            ({"event": "x"}, 422, "unknown event type"),
            ({"event": FETCHED, "data": {}}, 422, "/data"),
            ({"event": FETCHED, "sample": "x"}, 422, "no sample"),
            ({"event": FETCHED, "id": "é"}, 422, "/id"),
            ({"event": FETCHED, "fault": "x"}, 422, "/fault"),
        ):
            answer = api("POST", "/api/fire", body)
            assert (answer.status_code, told in answer.json()["detail"]) == (status, True), answer.text
        assert receiver.requests == []

    def test_of_one_event_by_ten_at_once_makes_one_post(self, api: Client, peers: StartPeer) -> None:
        receiver = peers(ok)
        told = api.at_once(10, "POST", "/api/fire", {"event": FETCHED, "id": "X", "to": receiver.url})
        assert sorted(one.json()["attempts"][0]["already_sent"] for one in told) == [False] + [True] * 9
        assert len(receiver.requests) == 1

    def test_without_an_endpoint_goes_nowhere_unless_a_url_is_named(self, api: Client) -> None:
        """On the command line it goes to a local receiver; a test that forgot its endpoint would hit whatever runs."""
        for path, body in (
            ("/api/fire", {"event": FETCHED}),
            ("/api/play", {"scenario": {"steps": [{"event": FETCHED}]}}),
        ):
            answer = api("POST", path, body)
            assert (answer.status_code, "POST /api/endpoints makes one" in answer.json()["detail"]) == (409, True)
        assert api("GET", "/api/attempts").json() == []

    def test_at_those_who_never_answer_keeps_nobody_else_waiting(self, api: Client, peers: StartPeer) -> None:
        let_go = threading.Event()

        def hang(connection: socket.socket) -> None:
            let_go.wait(SOON)
            ok(connection)

        slow, quick = peers(hang), peers(ok)
        fires = [
            threading.Thread(target=api, args=("POST", "/api/fire", {"event": FETCHED, "to": slow.url}))
            for _ in range(12)
        ]
        for fire in fires:
            fire.start()
        try:
            wait_for(lambda: len(slow.requests) == len(fires), "all of them to be under way")
            (attempt,) = api("POST", "/api/fire", {"event": FETCHED, "to": quick.url}).json()["attempts"]
            assert attempt["status"] == 202
            assert not let_go.is_set()
            assert len(api("GET", "/api/attempts?state=sending").json()) == len(fires)
        finally:
            let_go.set()
            for fire in fires:
                fire.join(SOON)

    def test_is_found_again_under_its_id(self, api: Client, peers: StartPeer) -> None:
        a, b = peers(ok), peers(ok)
        for receiver in (a, b):
            api("POST", "/api/endpoints", {"url": receiver.url, "events": [FETCHED]})
        for id_ in ("X", "XY"):
            api("POST", "/api/fire", {"event": FETCHED, "id": id_})
        found = api("GET", "/api/attempts?id=X").json()
        assert sorted((one["id"], one["url"]) for one in found) == sorted(("X", peer.url) for peer in (a, b))
        for query, count in (("id=X&limit=1", 1), ("id=X&state=unknown", 0), ("id=Y", 0), ("id=", 0), ("id=%00", 0)):
            assert len(api("GET", f"/api/attempts?{query}").json()) == count

    @pytest.mark.parametrize(
        "query", ["limit=0", f"limit={'9' * 5000}", "limit=-1", "limit=%D9%A1", "limit=", "state=x"]
    )
    def test_is_not_asked_for_what_cannot_be_meant(self, api: Client, query: str) -> None:
        assert api("GET", f"/api/attempts?{query}").status_code == 422


class TestPlaying:
    def test_plays_a_scenario_and_judges_it(self, api: Client, peer: StartPeer) -> None:
        receiver = peer(ok)
        steps = [
            {"event": FETCHED, "count": 2, "expect": {"status": 202}},
            {"event": STATUS, "expect": {"status": 500}},
        ]
        played = api("POST", "/api/play", {"scenario": {"steps": steps}, "to": receiver.url}).json()
        assert [bool(one["missed"]) for one in played["attempts"]] == [False, False, True]
        assert len(receiver.requests) == 3

    def test_takes_a_whole_number_however_it_is_written(self, api: Client, peer: StartPeer) -> None:
        """To JSON Schema 2.0 is an integer."""
        receiver = peer(ok)
        for id_, seed, loops in (("A", 1, 2), ("B", 1.0, 2.0)):
            body = {"scenario": {"steps": [{"event": FETCHED}]}, "to": receiver.url, "id": id_}
            assert len(api("POST", "/api/play", {**body, "seed": seed, "loops": loops}).json()["attempts"]) == 2
        bodies = [request.partition(b"\r\n\r\n")[2] for request in receiver.requests]
        assert bodies[:2] == bodies[2:]

    def test_refuses_what_is_no_scenario_or_too_large(self, api: Client) -> None:
        for scenario, told in (
            ({}, "has no steps"),
            ({"steps": [{"event": "x"}]}, "step 1: unknown event type"),
            ({"steps": [{"event": FETCHED, "count": 10**12}]}, "use `sender play`"),
        ):
            answer = api("POST", "/api/play", {"scenario": scenario, "to": "http://127.0.0.1:9/"})
            assert (answer.status_code, told in answer.json()["detail"]) == (422, True), answer.text
