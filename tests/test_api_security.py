"""The API serves this machine, and who has the token; no body and no page in a browser gets it to do anything else."""

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from conftest import SOON, TOKEN, Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from playwright.sync_api import Page

WORDS = ["event", "data", "id", "url", "events", "scenario", "steps", "expect", "count", "name"]
LEAVES = st.none() | st.text() | st.integers()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(WORDS), inner))
BODIES = VALUES.map(lambda value: json.dumps(value).encode())


class TestItsGuard:
    @pytest.mark.parametrize("path", ["/api/endpoints", "/api/events", "/api/attempts", "/nothing"])
    def test_asks_for_the_token(self, api: Client, path: str) -> None:
        for header in (
            {},
            {"Authorization": "Bearer x"},
            {"Authorization": TOKEN},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": f"Bearer {TOKEN} "[:-2]},
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

    @pytest.mark.parametrize("value", [None, 1.0, -1, 10**30, "", "\0", "é", "x" * 5000, [], [[]], {}, {"é": "b"}])
    def test_is_never_broken_by_a_value_in_the_place_of_another(self, api: Client, value: Any) -> None:
        to = "http://127.0.0.1:9/"
        step = {"event": "transactions.fetched"}
        for path, body in (
            ("/api/endpoints", {"url": to, "events": ["*"], "name": "a", "headers": {}, "secret": "auto"}),
            ("/api/fire", {**step, "to": to, "validate": False, "data": {}, "id": "X", "fault": "cut"}),
            ("/api/play", {"scenario": {"steps": [step]}, "to": to, "seed": 1, "loops": 1, "speed": 1, "id": "X"}),
        ):
            for name in body:
                assert api("POST", path, {**body, name: value}).status_code < 500


SCRIPT = """async ([URL_, TOKEN]) => {
    const JSON_ = 'application/json', told = [];
    const endpoint = JSON.stringify({url: 'http://127.0.0.1:9/', events: ['*']});
    const fire = JSON.stringify({event: 'transactions.fetched', to: 'http://127.0.0.1:9/'});
    const read = async (path, more) => {
        try { const answer = await fetch(URL_ + path, more); told.push([path, answer.type, answer.status]); }
        catch (error) { told.push([path, 'failed', 0]); }
    };
    for (const [path, body] of [['/api/endpoints', endpoint], ['/api/fire', fire]])
        for (const headers of [{}, {'Content-Type': JSON_}, {'Content-Type': JSON_, Authorization: `Bearer ${TOKEN}`}])
            for (const mode of ['cors', 'no-cors'])
                await read(path, {method: 'POST', body, headers, mode});
    for (const path of ['/openapi.json', '/api/endpoints', '/api/attempts'])
        for (const headers of [{}, {Authorization: `Bearer ${TOKEN}`}])
            await read(path, {headers});
    navigator.sendBeacon(URL_ + '/api/fire', new Blob([fire], {type: JSON_}));
    return told;
}"""


def test_a_page_of_another_origin_reads_and_changes_nothing_even_with_the_token(
    page: "Page", api: Client, elsewhere: str
) -> None:
    page.goto(elsewhere)
    told = page.evaluate(SCRIPT, [api.url, TOKEN])
    assert len(told) == 18
    assert {(kind, status) for _, kind, status in told} == {("failed", 0)}
    assert api("GET", "/api/endpoints").json() == api("GET", "/api/attempts").json() == []


def test_a_page_whose_name_was_made_to_lead_here_is_told_nothing(page: "Page", api: Client) -> None:
    """DNS rebinding: to the browser the page and the API are one origin, so that it may read the answers."""
    rebound = api.url.replace("127.0.0.1", "evil.example")
    page.goto(f"{rebound}/openapi.json")
    told = page.evaluate(SCRIPT, [rebound, TOKEN])
    assert {status for *_, status in told} <= {0, 400, 401, 403}
    assert api("GET", "/api/endpoints").json() == api("GET", "/api/attempts").json() == []
