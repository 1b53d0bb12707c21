"""The API: the provider's side driven from a test in any language, as its description says, for who has the token."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import SOON, Peer, command, printing, receiving_here, wait_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from receiver.contract import Contract
from receiver.listener import listen, serving
from receiver.settings import MAX_BODY
from sender.api import Rooms, create_api
from sender.ledger import Ledger
from sender.post import Poster

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
TOKEN = "a-token"
StartPeer = Callable[..., Peer]


def ok(connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


WORDS = ["event", "data", "id", "url", "events", "scenario", "steps", "expect", "count", "name"]
LEAVES = st.none() | st.text() | st.integers()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(WORDS), inner))
BODIES = VALUES.map(lambda value: json.dumps(value).encode())


class Client:
    """Asks the API, and holds each answer against its description."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.paths = requests.get(f"{url}/openapi.json", timeout=SOON).json()["paths"]

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        given = {"json": body} if body is not None else {}
        headers = {"Authorization": f"Bearer {TOKEN}", **more.pop("headers", {})}
        answer = requests.request(method, self.url + path, headers=headers, timeout=SOON, **given, **more)
        known = path.partition("?")[0]
        known = known if known in self.paths else "/api/endpoints/{id}"
        assert str(answer.status_code) in self.paths[known][method.lower()]["responses"], answer.text
        return answer


@pytest.fixture
def api(tmp_path: Path, contract: Contract) -> Iterator[Client]:
    with (
        closing(Ledger(tmp_path / "api")) as ledger,
        Poster(SOON) as poster,
        listen("127.0.0.1", 0) as listener,
        serving(create_api(Rooms(contract, ledger, poster), TOKEN), listener, MAX_BODY),
    ):
        yield Client(f"http://127.0.0.1:{listener.getsockname()[1]}")


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
        assert api("POST", "/api/endpoints", one).status_code == 409
        assert api("POST", "/api/endpoints", {**one, "force": True}).status_code == 201


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
        assert api("GET", "/api/attempts?limit=0").status_code == 422

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
        told: list[Any] = []
        body = {"event": FETCHED, "id": "X", "to": receiver.url}
        threads = [
            threading.Thread(target=lambda: told.append(api("POST", "/api/fire", body).json())) for _ in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
        assert sorted(one["attempts"][0]["already_sent"] for one in told) == [False] + [True] * 9
        assert len(receiver.requests) == 1


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

    def test_refuses_what_is_no_scenario_or_too_large(self, api: Client) -> None:
        for scenario, told in (
            ({}, "has no steps"),
            ({"steps": [{"event": "x"}]}, "step 1: unknown event type"),
            ({"steps": [{"event": FETCHED, "count": 10**12}]}, "use `sender play`"),
        ):
            answer = api("POST", "/api/play", {"scenario": scenario, "to": "http://127.0.0.1:9/"})
            assert (answer.status_code, told in answer.json()["detail"]) == (422, True), answer.text


class TestTheDescription:
    def test_is_openapi_and_has_each_route_and_each_event_type(self, api: Client, contract: Contract) -> None:
        description = requests.get(f"{api.url}/openapi.json", timeout=SOON).json()
        validate(description)
        assert description["webhooks"].keys() == contract.events.keys()
        rules = create_api(Rooms(contract, Ledger(Path("x")), None), TOKEN).url_map.iter_rules()  # type: ignore[arg-type]
        routes = {
            (rule.rule.replace("<id_>", "{id}"), method.lower()) for rule in rules for method in rule.methods or ()
        }
        described = {(path, name) for path, item in api.paths.items() for name in item if name != "parameters"}
        assert {route for route in routes if route[1] not in {"head", "options"}} == described


class TestItsGuard:
    @pytest.mark.parametrize("path", ["/api/endpoints", "/api/events", "/api/attempts", "/nothing"])
    def test_asks_for_the_token(self, api: Client, path: str) -> None:
        for header in (
            {},
            {"Authorization": "Bearer x"},
            {"Authorization": "Bearer é".encode()},
            {"Authorization": ""},
        ):
            assert requests.get(api.url + path, headers=header, timeout=SOON).status_code == 401

    def test_refuses_other_names_and_origins_and_allows_none(self, api: Client) -> None:
        token = {"Authorization": f"Bearer {TOKEN}"}
        for header, status in (
            ({"Host": "evil.example"}, 400),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
        ):
            for path in ("/api/endpoints", "/openapi.json"):
                answer = requests.get(api.url + path, headers={**token, **header}, timeout=SOON)
                assert answer.status_code == status
                assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        own = requests.get(f"{api.url}/api/events", headers={**token, "Origin": api.url}, timeout=SOON)
        assert (own.status_code, own.headers["Cache-Control"]) == (200, "no-store")

    def test_tells_of_methods_media_types_and_sizes(self, api: Client) -> None:
        token = {"Authorization": f"Bearer {TOKEN}"}
        wrong = requests.put(f"{api.url}/api/fire", headers=token, timeout=SOON)
        assert (wrong.status_code, wrong.headers["Content-Type"]) == (405, "application/problem+json")
        assert "POST" in wrong.headers["Allow"]
        for body, kind, status in (
            (b"{}", "text/plain", 415),
            (b"{", "application/json", 400),
            (b" " * (2 << 20), "application/json", 413),
        ):
            headers = {**token, "Content-Type": kind}
            assert requests.post(f"{api.url}/api/fire", data=body, headers=headers, timeout=SOON).status_code == status

    @given(st.binary(max_size=60) | BODIES)
    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_is_never_broken_by_a_body(self, api: Client, body: bytes) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        for path in ("/api/endpoints", "/api/fire", "/api/play"):
            assert requests.post(api.url + path, data=body, headers=headers, timeout=SOON).status_code < 500


def test_the_command_serves_until_it_is_stopped() -> None:
    with printing([sys.executable, "-m", "sender", "serve", "--port", "0", "--json"]) as printed:
        ready = json.loads(wait_for(printed, "the first line").splitlines()[0])
        headers = {"Authorization": f"Bearer {ready['token']}"}
        events = requests.get(f"{ready['url']}/api/events", headers=headers, timeout=SOON).json()
        assert FETCHED in [event["event"] for event in events]
        port = ready["url"].rpartition(":")[2]
        taken = command("sender", "serve", "--port", port)
        assert taken.returncode == 2
        assert "another --port may be free" in taken.stderr
