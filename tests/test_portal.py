"""The portal's pages, asked for by HTTP: what they do to endpoints, events and scenarios, and that what came from
outside is only text in them."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
import requests
from conftest import SOON, TOKEN, Peer, Portal, hidden_id, wait_for

from sender.endpoints import Endpoint

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
PAGES = ("/", "/endpoints/new", "/fire", "/scenarios", "/attempts")
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\u202e\x1b[31m"
StartPeer = Callable[..., Peer]


def ok(connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nOK")


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

    @pytest.mark.parametrize(
        "path", ["/endpoints", "/fire", "/fire/check", "/fire/form", "/scenarios", "/scenarios/stop"]
    )
    @pytest.mark.parametrize("form", [{}, {"raw": "", "events": "", "text:/a": "", "type:/a": "", "mode": ""}])
    def test_is_never_broken_by_a_form(self, portal: Portal, path: str, form: dict[str, str]) -> None:
        assert portal("POST", path, form).status_code < 500

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
        form = {"event": FETCHED, "id": hidden_id(portal("GET", "/").text, f"test-{endpoint.id}")}
        told = [portal("POST", f"/endpoints/{endpoint.id}/test", form).text for _ in range(2)]
        assert "202" in told[0]
        assert "nothing was sent now" in told[1]
        assert [len(receiver.requests) for receiver in (tested, other)] == [1, 0]
        assert hidden_id(told[0], f"test-{endpoint.id}") != form["id"]
        assert "unknown event type" in portal("POST", f"/endpoints/{endpoint.id}/test", {"event": "x"}).text


def test_what_came_from_outside_is_only_text(portal: Portal, peer: StartPeer) -> None:
    answer = HOSTILE.encode()
    head = f"HTTP/1.1 200 OK\r\nDelivery-Id: <script>\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
    receiver = peer(lambda connection: connection.sendall(head + answer))
    name = HOSTILE.replace("\u202e\x1b[31m", "")[:80]
    headers = {"X-A": "<script>alert(1)</script>"}
    portal.ledger.endpoints.add(Endpoint(receiver.url, ("*",), name=name, headers=headers))
    data = {HOSTILE: HOSTILE, "consentId": HOSTILE, "userId": {HOSTILE: [HOSTILE]}}
    form = {"event": HOSTILE, "raw": json.dumps(data), "anyway": "on", "where": "endpoints", "id": HOSTILE}
    place = f"/endpoints/{portal.ledger.endpoints.all()[0].id}"
    step = {"event": HOSTILE, "data": data, "validate": False, "expect": {"status": 500}}
    text = json.dumps({"title": HOSTILE, "steps": [step]})
    answers = [
        portal("POST", "/fire", form),
        portal("POST", "/fire/check", {**form, f"text:/{HOSTILE}": HOSTILE}),
        portal("POST", "/fire/form", {**form, "event": FETCHED, "mode": "raw"}),
        portal("POST", "/fire/form", {**form, "event": FETCHED, "mode": "fields"}),
        portal("POST", "/scenarios", {"scenario": ":pasted", "text": text, "where": "endpoints", "loops": "1"}),
        portal("POST", "/endpoints", dict.fromkeys(("url", "name", "headers", "given"), HOSTILE)),
        portal("POST", f"{place}/test", {"event": HOSTILE}),
        portal("POST", f"{place}/test", {"event": FETCHED}),
    ]
    wait_for(portal.ended, "its end")
    answers += [portal("GET", path) for path in (*PAGES, place, "/fire?again=1", "/attempts/1")]
    for told in answers:
        assert told.status_code in {200, 422}, told.text
        assert "49\\u202e" not in told.text
        for tag, attributes in Elements(told.text).found:
            assert tag != "img"
            assert tag != "script" or str(attributes["src"]).startswith("/static/")
            assert not [one for one in attributes if one.startswith("on")]
        shown = re.sub(r'(value|name)="[^"]*"|<textarea.*?</textarea>', "", told.text, flags=re.DOTALL)
        assert not {"\u202e", "\x1b"} & set(shown)  # in a form they have to stay as they are
