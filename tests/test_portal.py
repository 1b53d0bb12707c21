"""The portal's pages, asked for by HTTP: what they do to endpoints, events and scenarios, and that what came from
outside is only text in them."""

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import SOON, TOKEN, Peer, Portal, receiving_here, serving_portal, wait_for

from receiver.contract import Contract
from sender.attempt import Attempt, Outcome, State
from sender.endpoints import Endpoint
from sender.portal.form import LEFT_OUT

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
PAGES = ("/", "/endpoints/new", "/fire", "/scenarios", "/attempts")
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\u202e\x1b[31m"
StartPeer = Callable[..., Peer]


@pytest.fixture
def portal(tmp_path: Path, contract: Contract) -> Iterator[Portal]:
    with serving_portal(tmp_path / "portal", contract) as portal:
        yield portal


def ok(connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nOK")


def form_of(page: str, ids: str = "event-id") -> dict[str, str]:
    """The hidden id that a page was rendered with."""
    found = re.search(rf'id="{ids}" name="id" value="(\w+)"', page)
    assert found, page
    return {"id": found[1]}


class Elements(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


class TestItsGuard:
    def test_asks_each_page_for_the_cookie_and_each_post_for_its_origin(self, portal: Portal) -> None:
        for path in PAGES:
            assert requests.get(portal.url + path, timeout=SOON).status_code == 401
            assert portal("GET", path).status_code == 200
        for origin, status in ((None, 403), ("http://evil.example", 403), (portal.url, 303)):
            endpoint = {"url": "http://127.0.0.1:9/", "events": "*", "secret": "none"}
            assert portal("POST", "/endpoints", endpoint, Origin=origin).status_code == status
        assert len(portal.ledger.endpoints.all()) == 1

    def test_takes_the_token_out_of_the_url(self, portal: Portal) -> None:
        opened = requests.get(f"{portal.url}/?token={TOKEN}", allow_redirects=False, timeout=SOON)
        assert (opened.status_code, opened.headers["Location"]) == (303, "/")
        assert "HttpOnly" in opened.headers["Set-Cookie"]
        assert portal("GET", "/").headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")

    def test_leaves_the_api_as_it_is(self, portal: Portal) -> None:
        asked = requests.get(f"{portal.url}/api/events", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=SOON)
        assert FETCHED in [event["event"] for event in asked.json()]


class TestEndpoints:
    def test_are_made_edited_disabled_and_removed(self, portal: Portal) -> None:
        made = {"url": "http://127.0.0.1:9/a", "name": "a", "events": [FETCHED, STATUS], "secret": "none"}
        assert "No endpoint yet" in portal("GET", "/").text
        assert portal("POST", "/endpoints", {**made, "headers": "X-A: b\r\n\r\nX-C: d"}).headers["Location"] == "/"
        (endpoint,) = portal.ledger.endpoints.all()
        assert (endpoint.name, endpoint.events, endpoint.secret) == ("a", (FETCHED, STATUS), None)
        assert endpoint.headers == {"X-A": "b", "X-C": "d"}
        place = f"/endpoints/{endpoint.id}"
        portal("POST", place, {**made, "name": "", "events": ["*"], "secret": "keep"})
        portal("POST", f"{place}/enabled", {"on": "false"})
        (endpoint,) = portal.ledger.endpoints.all()
        assert (endpoint.name, endpoint.events, endpoint.enabled, endpoint.headers) == (None, ("*",), False, {})
        removed = portal("POST", f"{place}/remove")
        assert "No endpoint yet" in removed.text
        assert "is removed" in json.loads(removed.headers["HX-Trigger"])["told"]
        assert portal("GET", place).status_code == portal("POST", f"{place}/remove").status_code == 404

    def test_that_cannot_be_meant_are_told_at_their_fields_and_what_was_typed_stays(self, portal: Portal) -> None:
        wrong = {"url": "nonsense<", "name": "x" * 81, "headers": "no colon", "secret": "give", "given": "whsec_!"}
        told = portal("POST", "/endpoints", wrong)
        assert told.status_code == 422
        flaws = dict(re.findall(r'id="flaw-(\w+)">([^<]+)<', told.text))
        assert flaws.keys() == {"url", "name", "events", "headers", "secret"}
        for typed in ("nonsense&lt;", "no colon", "x" * 81):
            assert typed in told.text
        assert portal.ledger.endpoints.all() == []

    def test_conflict_unless_that_is_meant(self, portal: Portal) -> None:
        one = {"url": "http://127.0.0.1:9/", "events": FETCHED, "name": "a", "secret": "none"}
        portal("POST", "/endpoints", one)
        assert "choose another name" in portal("POST", "/endpoints", one).text
        told = portal("POST", "/endpoints", {**one, "name": "b"})
        assert (told.status_code, "Send them there twice" in told.text) == (409, True)
        assert portal("POST", "/endpoints", {**one, "name": "b", "force": "on"}).status_code == 303
        signed = {**one, "url": "http://127.0.0.1:9/c", "headers": "Webhook-Id: x", "secret": "make", "name": "c"}
        assert "signature" in portal("POST", "/endpoints", signed).text

    def test_show_a_secret_when_it_is_made_and_when_it_is_asked_for(self, portal: Portal) -> None:
        made = portal("POST", "/endpoints", {"url": "http://127.0.0.1:9/", "events": "*", "secret": "make"})
        (endpoint,) = portal.ledger.endpoints.all()
        assert endpoint.secret
        assert endpoint.secret in made.text
        for path in ("/", f"/endpoints/{endpoint.id}"):
            assert endpoint.secret not in portal("GET", path).text
        assert endpoint.secret in portal("GET", f"/endpoints/{endpoint.id}/secret").text
        portal("POST", f"/endpoints/{endpoint.id}", {"url": endpoint.url, "events": "*", "secret": "none"})
        assert portal.ledger.endpoints.all()[0].secret is None

    def test_are_tested_alone_and_once_for_each_click(self, portal: Portal, peer: StartPeer) -> None:
        tested, other = peer(ok), peer(ok)
        for receiver in (tested, other):
            portal.ledger.endpoints.add(Endpoint(receiver.url, (FETCHED,)))
        endpoint = portal.ledger.endpoints.all()[0]
        form = {"event": FETCHED, **form_of(portal("GET", "/").text, f"test-{endpoint.id}")}
        told = [portal("POST", f"/endpoints/{endpoint.id}/test", form).text for _ in range(2)]
        assert "202" in told[0]
        assert "nothing was sent now" in told[1]
        assert [len(receiver.requests) for receiver in (tested, other)] == [1, 0]
        assert form_of(told[0], f"test-{endpoint.id}")["id"] != form["id"]
        assert "unknown event type" in portal("POST", f"/endpoints/{endpoint.id}/test", {"event": "x"}).text


class TestFiring:
    def test_from_fields_sends_typed_data_once(self, portal: Portal, peer: StartPeer) -> None:
        receiver = peer(ok)
        portal.ledger.endpoints.add(Endpoint(receiver.url, (FETCHED,)))
        consent = "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2"
        form = {
            **form_of(portal("GET", f"/fire?event={FETCHED}").text),
            "event": FETCHED,
            "where": "endpoints",
            "text:/userId": "",
            "type:/userId": "null",
            "text:/consentId": consent,
            "text:/addedTransactionsCount": "7",
            "type:/addedTransactionsCount": "integer",
        }
        first, second = portal("POST", "/fire", form).text, portal("POST", "/fire", form).text
        assert "202" in first
        assert "nothing was sent now" in second
        (request,) = receiver.requests
        data = {"userId": None, "consentId": consent, "addedTransactionsCount": 7}
        assert json.loads(request.partition(b"\r\n\r\n")[2]) == {"event": FETCHED, "data": data}
        assert form_of(first)["id"] not in {form["id"], form_of(second)["id"]}

    def test_of_what_violates_its_schema_happens_only_where_that_is_meant(
        self, portal: Portal, peer: StartPeer
    ) -> None:
        receiver = peer(ok)
        form = {"event": FETCHED, "where": "url", "to": receiver.url, "raw": '{"consentId": 5}', "id": "X"}
        told = portal("POST", "/fire", form).text
        assert "Nothing was sent" in told
        assert form_of(told)["id"] == "X"
        assert "must be string, is integer" in told
        assert "Nothing was sent" in portal("POST", "/fire", {**form, "event": "of.tomorrow"}).text
        for broken in ("{", "[]", '{"a": NaN}'):
            assert "nothing can be sent" in portal("POST", "/fire", {**form, "raw": broken, "anyway": "on"}).text
        assert receiver.requests == []
        portal("POST", "/fire", {**form, "anyway": "on"})
        portal("POST", "/fire", {**form, "anyway": "on", "event": "of.tomorrow", "id": "Y", "fault": "media-type"})
        assert [b"of.tomorrow" in request for request in receiver.requests] == [False, True]
        assert b"text/plain" in receiver.requests[1]

    def test_that_nobody_wants_or_nowhere_is_told(self, portal: Portal) -> None:
        form = {"event": FETCHED, "raw": '{"consentId": "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2"}'}
        assert "There is no endpoint, so nothing was sent" in portal("POST", "/fire", form).text
        portal.ledger.endpoints.add(Endpoint("http://127.0.0.1:9/", (STATUS,)))
        assert f"No endpoint is subscribed to {FETCHED}" in portal("POST", "/fire", form).text
        for to in ("", "nonsense", "ftp://a/"):
            assert "Nothing was sent" in portal("POST", "/fire", {**form, "where": "url", "to": to}).text
        assert portal.ledger.attempts(limit=9) == []

    def test_is_checked_field_by_field(self, portal: Portal) -> None:
        form = {"event": FETCHED, "text:/consentId": "abc", "text:/userId": "x", "type:/userId": LEFT_OUT}
        told = portal("POST", "/fire/check", form).text
        assert "must be of format uuid" in told
        assert told.count('hx-swap-oob="true"') == 2
        assert "1 violation" in told
        assert "is required" in portal("POST", "/fire/check", {"event": FETCHED, "json:/consentId": ""}).text
        right = {"event": FETCHED, "text:/consentId": "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2"}
        assert "as the contract has it" in portal("POST", "/fire/check", right).text

    def test_goes_from_fields_to_json_and_back(self, portal: Portal) -> None:
        form = {"event": FETCHED, "text:/consentId": "abc", "mode": "raw"}
        assert "&#34;consentId&#34;: &#34;abc&#34;" in portal("POST", "/fire/form", form).text
        back = {"event": FETCHED, "raw": '{"consentId": "abc", "more": 1}', "mode": "fields"}
        fields = portal("POST", "/fire/form", back).text
        assert 'name="text:/consentId"' in fields
        assert 'name="others:/~"' in fields
        stays = portal("POST", "/fire/form", {**back, "raw": "{"}).text
        assert ('name="raw"' in stays, "is not JSON" in stays) == (True, True)

    def test_offers_each_sample_of_each_event_and_one_from_the_schema(self, portal: Portal, contract: Contract) -> None:
        for event in contract.events:
            for sample in (*contract.samples(event), "made from the schema", ""):
                assert portal("GET", f"/fire?event={event}&sample={sample}").status_code == 200
        for query in ("event=x", f"event={FETCHED}&sample=x", "again=7", "again=x", f"again={'9' * 30}"):
            assert portal("GET", f"/fire?{query}").status_code == 404

    def test_again_takes_the_data_of_an_attempt(self, portal: Portal) -> None:
        write(portal, "A", b'{"event": "of.tomorrow", "data": {"a": "<b>"}}', event="of.tomorrow")
        write(portal, "B", b"nonsense")
        again = portal("GET", "/fire?again=1").text
        assert "&#34;a&#34;: &#34;&lt;b&gt;&#34;" in again
        assert "of.tomorrow" in again
        assert portal("GET", "/fire?again=2").status_code == 404
        assert "/fire?again=1" in portal("GET", "/attempts/1").text
        assert "/fire?again" not in portal("GET", "/attempts/2").text


class TestScenarios:
    def test_are_played_watched_and_stopped(self, portal: Portal, peer: StartPeer) -> None:
        receiver = peer(ok)
        steps = f"steps:\n- event: {FETCHED}\n  count: 3\n- after: 60s\n  event: {FETCHED}"
        form = {"scenario": ":pasted", "text": steps, "where": "url", "to": receiver.url, "speed": "1", "loops": "1"}
        begun = portal("POST", "/scenarios", form)
        assert 'id="stop"' in begun.text
        wait_for(lambda: "3 of 4" in portal("GET", "/scenarios/playing").text, "three of four")
        assert portal("POST", "/scenarios", form).status_code == 409
        assert portal("GET", "/scenarios").text.count("tick from:body") == 1
        portal("POST", "/scenarios/stop")
        ended = wait_for(
            lambda: "tick from:body" not in (text := portal("GET", "/scenarios/playing").text) and text, "the stop"
        )
        assert "stopped" in ended
        assert len(receiver.requests) == 3

    def test_are_judged_as_they_expect(self, portal: Portal, tmp_path: Path) -> None:
        with receiving_here(tmp_path / "r") as here:
            form = {"scenario": "consent-life", "where": "url", "to": here.server.url, "loops": "2", "seed": "5"}
            portal("POST", "/scenarios", form)
            ended = wait_for(lambda: ended_page(portal), "its end")
            assert "All that the scenario expects came" in ended
            assert "seed 5" in ended
            steps = json.dumps({"steps": [{"event": FETCHED, "expect": {"status": 500}}]})
            portal("POST", "/scenarios", {**form, "scenario": ":pasted", "text": steps, "loops": "1"})
            assert "1 not as expected" in wait_for(lambda: ended_page(portal, total=1), "its end")

    @pytest.mark.parametrize(
        ("form", "told"),
        [
            ({"text": "steps: []"}, "has no steps"),
            ({"text": "{"}, "scenario"),
            ({"text": "- event: <b>"}, "unknown event type &#39;&lt;b&gt;&#39;"),
            ({"text": "2026-99-99"}, "scenario"),
            ({"scenario": "x"}, "choose a scenario"),
            ({"scenario": "load", "loops": "0"}, "loops: must be a whole number"),
            ({"scenario": "load", "seed": "-1"}, "seed: must be a whole number"),
            ({"scenario": "load", "to": "x"}, "not a URL"),
            ({"scenario": "load", "where": "endpoints"}, "subscribe one, or choose a URL"),
        ],
    )
    def test_that_cannot_be_played_are_told(self, portal: Portal, form: dict[str, str], told: str) -> None:
        whole = {"scenario": ":pasted", "where": "url", "to": "http://127.0.0.1:9/", "loops": "1", **form}
        answer = portal("POST", "/scenarios", whole)
        assert (answer.status_code, told in answer.text) == (200, True), answer.text
        assert portal.stage.playing is None


class TestAttempts:
    def test_are_listed_and_told_again_only_when_they_changed(self, portal: Portal) -> None:
        assert "sender fire" in portal("GET", "/attempts").text
        write(portal, "A", state=State.SENDING)
        rows = portal("GET", "/attempts/rows").text
        seen = re.findall(r"seen=(\w+)", rows)[0]
        assert portal("GET", f"/attempts/rows?seen={seen}").status_code == 204
        portal.ledger.conclude(attempt("A", b"{}"))
        assert portal("GET", f"/attempts/rows?seen={seen}").status_code == 200
        write(portal, "B", state=State.UNKNOWN)
        assert portal("GET", "/attempts?state=unknown").text.count("data-row") == 1
        assert portal("GET", "/attempts?id=A").text.count("data-row") == 1
        for query in ("state=x", "id=%00", "before=x", f"before={'9' * 40}"):
            assert portal("GET", f"/attempts?{query}").status_code == 200

    def test_are_leafed_through_to_the_oldest(self, portal: Portal) -> None:
        for number in range(120):
            write(portal, f"E{number}")
        pages, path = [], "/attempts?id=E"
        while path:
            page = portal("GET", path).text
            pages.append(re.findall(r'id="attempt-(\d+)"', page))
            older = re.findall(r'href="([^"]*)">Older', page)
            path = older[0].replace("&amp;", "&") if older else ""
        assert [int(number) for page in pages for number in page] == list(range(120, 0, -1))
        assert [len(page) for page in pages] == [50, 50, 20]

    def test_show_all_of_one(self, portal: Portal) -> None:
        write(portal, "A", b'{"event":"x","data":{"a":1}}', answer=b'{"detail":"no"}', status=422)
        page = portal("GET", "/attempts/1").text
        for told in ("422", "&#34;a&#34;: 1", "&#34;detail&#34;: &#34;no&#34;"):
            assert told in page
        part = portal("GET", "/attempts/1", HX_Request="true").text
        assert ("<html" in page, "<html" in part) == (True, False)
        assert portal("GET", "/attempts/2").status_code == portal("GET", f"/attempts/{'9' * 30}").status_code == 404


def test_what_came_from_outside_is_only_text(portal: Portal, peer: StartPeer) -> None:
    receiver = peer(
        lambda connection: connection.sendall(
            b"HTTP/1.1 200 OK\r\nDelivery-Id: <script>\r\nConnection: close\r\n\r\n" + HOSTILE.encode()
        )
    )
    name = HOSTILE.replace("\u202e\x1b[31m", "")[:80]
    headers = {"X-A": "<script>alert(1)</script>"}
    portal.ledger.endpoints.add(Endpoint(receiver.url, ("*",), name=name, headers=headers))
    data = {HOSTILE: HOSTILE, "consentId": HOSTILE, "userId": {HOSTILE: [HOSTILE]}}
    form = {"event": HOSTILE, "raw": json.dumps(data), "anyway": "on", "where": "endpoints", "id": HOSTILE}
    (endpoint,) = portal.ledger.endpoints.all()
    answers = [portal("POST", "/fire", form)]
    answers.append(portal("POST", "/fire/check", {**form, f"text:/{HOSTILE}": HOSTILE}))
    answers += [portal("POST", "/fire/form", {**form, "event": FETCHED, "mode": mode}) for mode in ("raw", "fields")]
    scenario = {"steps": [{"event": HOSTILE, "data": data, "validate": False, "expect": {"status": 500}}]}
    play = {
        "scenario": ":pasted",
        "text": json.dumps({**scenario, "title": HOSTILE}),
        "where": "endpoints",
        "loops": "1",
    }
    answers.append(portal("POST", "/scenarios", play))
    wait_for(lambda: ended_page(portal), "its end")
    answers.append(
        portal("POST", "/endpoints", {"url": HOSTILE, "name": HOSTILE, "headers": HOSTILE, "given": HOSTILE})
    )
    answers.append(portal("POST", f"/endpoints/{endpoint.id}/test", {"event": HOSTILE}))
    answers.append(portal("POST", f"/endpoints/{endpoint.id}/test", {"event": FETCHED}))
    paths = ("/", f"/endpoints/{endpoint.id}", "/fire?again=1", "/scenarios", "/attempts", "/attempts/1")
    answers += [portal("GET", path) for path in paths]
    for answer in answers:
        assert answer.status_code in {200, 422}, answer.text
        assert "49" not in re.findall(r"\{?\{?7\*7|49(?=\\u202e)", answer.text)
        for tag, attributes in Elements(answer.text).found:
            assert tag != "img"
            assert tag != "script" or str(attributes["src"]).startswith("/static/")
            assert not [name for name in attributes if name.startswith("on")]
        assert not {"\u202e", "\x1b"} & set(
            re.sub(r'(value|name)="[^"]*"|<textarea.*?</textarea>', "", answer.text, flags=re.DOTALL)
        )


def ended_page(portal: Portal, total: int | None = None) -> str:
    """What is shown of a scenario that has ended; empty while it is played."""
    text = portal("GET", "/scenarios/playing").text
    there = total is None or f"of {total}<" in text
    return text if "tick from:body" not in text and there else ""


def attempt(id_: str, body: bytes, event: str = "x", **outcome: Any) -> Attempt:
    return Attempt(
        id_, "http://127.0.0.1:9/", event, body, 1, Outcome(outcome.pop("state", State.DELIVERED), **outcome)
    )


def write(portal: Portal, id_: str, body: bytes = b"{}", event: str = "x", **outcome: Any) -> None:
    """An attempt in the ledger."""
    made = attempt(id_, body, event, **outcome)
    portal.ledger.intend(made)
    if made.outcome.state is not State.SENDING:
        portal.ledger.conclude(made)
