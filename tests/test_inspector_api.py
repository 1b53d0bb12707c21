"""The inspector over HTTP: its API for scripts, and who may ask for any of its routes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from conftest import BODY, JSON, SOON, Here, receiving_here, wait_for

from receiver import Delivery, Handlers
from receiver.inspector.app import create_inspector
from receiver.inspector.rooms import Rooms

WRONG = b'{"event": "transactions.fetched", "data": {"consentId": 5}}'
CUT = b'{"event": "transactions.fetched", "data'


@pytest.fixture
def broken() -> set[str]:
    """Not empty while the handler is to fail."""
    return {"fetch"}


@pytest.fixture
def here(tmp_path: Path, broken: set[str]) -> Iterator[Here]:
    handlers = Handlers()

    @handlers.on("transactions.*")
    def fetch(delivery: Delivery) -> None:
        if broken:
            raise ValueError(delivery.data["consentId"])

    @handlers.on("transactions.*")
    def note(delivery: Delivery) -> None: ...

    with receiving_here(tmp_path / "state", handlers, inspector_ports=(0,)) as receiver:
        yield receiver


def ask(here: Here, path: str, method: str = "GET", **more: Any) -> requests.Response:
    """A request with the token."""
    headers = {"Authorization": f"Bearer {here.server.token}", **more.pop("headers", {})}
    return requests.request(method, f"{here.server.inspector}{path}", headers=headers, timeout=SOON, **more)


def posted(here: Here, *bodies: bytes) -> list[str]:
    """The ids of what was delivered, once all its handlers have ended."""
    ids = [here.post(body).headers["Delivery-Id"] for body in bodies]
    wait_for(lambda: all(here.server.inbox.entry(id_).settled for id_ in ids), "the handlers to end")
    return ids


def test_deliveries_are_listed_newest_first_a_page_at_a_time(here: Here) -> None:
    ids = posted(here, BODY, WRONG, CUT, BODY)
    first = ask(here, "api/deliveries?limit=3").json()
    assert [one["id"] for one in first["deliveries"]] == ids[:0:-1]
    rest = ask(here, f"api/deliveries?limit=3&before={first['before']}").json()
    assert ([one["id"] for one in rest["deliveries"]], rest["before"]) == (ids[:1], None)
    newest = first["deliveries"][0]
    assert {key: newest[key] for key in ("event", "verdict", "status", "size")} == {
        "event": "transactions.fetched",
        "verdict": "valid",
        "status": 202,
        "size": len(BODY),
    }
    assert [(run["handler"], run["state"]) for run in newest["runs"]] == [("fetch", "failed"), ("note", "done")]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("verdict=invalid", [1]),
        ("event=transactions.fetched&verdict=valid", [0]),
        ("run=failed", [0]),
        ("run=interrupted", []),
        ("text=CONSENTID", [1, 0]),
        ("until=2020-01-01T00:00:00Z", []),
        ("until=2999-01-01", [2, 1, 0]),
    ],
)
def test_deliveries_are_filtered(here: Here, query: str, wanted: list[int]) -> None:
    ids = posted(here, BODY, WRONG, CUT)
    listed = ask(here, f"api/deliveries?{query}").json()["deliveries"]
    assert [one["id"] for one in listed] == [ids[place] for place in wanted]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("verdict=good", "verdict is one of valid, "),
        ("run=on", "run is one of pending, "),
        ("until=soon", "until is a moment as RFC 3339"),
        ("until=99999-01-01", "until is a moment"),
        ("limit=0", "limit is a number from 1 to 1000"),
        ("limit=1001", "limit is a number from 1 to 1000"),
        ("limit=x", "limit is a number"),
        ("before=-1", "before is a number"),
        (f"before={'9' * 30}", "before is a number"),
        (f"text={'%25' * 1001}", "text has at most 1000 characters"),
    ],
)
@pytest.mark.parametrize("path", ["api/deliveries", ""])
def test_what_cannot_be_asked_for_is_told(here: Here, query: str, told: str, path: str) -> None:
    answer = ask(here, f"{path}?{query}")
    if path or ("limit" not in query and "before" not in query):
        assert (answer.status_code, answer.headers["Content-Type"]) == (422, "application/problem+json")
        assert told in answer.json()["detail"]


def test_a_delivery_is_shown_whole_by_the_beginning_of_its_id(here: Here) -> None:
    (id_,) = posted(here, BODY)
    shown = ask(here, f"api/deliveries/{id_[:8]}").json()
    assert (shown["id"], shown["data"]) == (id_, json.loads(BODY)["data"])
    assert shown["headers"]["Content-Type"] == "application/json"
    assert "ValueError: c2d1f8a4" in shown["runs"][0]["traceback"]
    assert ask(here, "api/deliveries/0").status_code in {200, 404}
    missing = ask(here, "api/deliveries/none")
    assert (missing.status_code, "no delivery 'none'" in missing.json()["detail"]) == (404, True)


def test_handlers_are_run_again_all_or_one(here: Here, broken: set[str]) -> None:
    (id_,) = posted(here, BODY)
    one = ask(here, f"api/deliveries/{id_}/retry", "POST", json={"handler": "fetch"})
    assert (one.status_code, one.json()) == (202, {"queued": 1})
    wait_for(lambda: here.server.inbox.entry(id_).settled, "it to run")
    broken.clear()
    assert ask(here, f"api/deliveries/{id_}/retry", "POST").json() == {"queued": 2}
    wait_for(lambda: here.server.inbox.entry(id_).settled, "them to run")
    assert [(run.handler, run.attempt, run.state) for run in here.server.inbox.entry(id_).latest] == [
        ("fetch", 3, "done"),
        ("note", 2, "done"),
    ]


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"handler": 5}', b'{"handler": "fetch", "more": 1}', b'"fetch"'])
def test_a_retry_says_what_its_body_is(here: Here, body: bytes) -> None:
    (id_,) = posted(here, BODY)
    answer = ask(here, f"api/deliveries/{id_}/retry", "POST", data=body)
    assert (answer.status_code, "the body is" in answer.json()["detail"]) == (422, True)
    assert len(here.server.inbox.entry(id_).runs) == 2


def test_what_cannot_be_done_is_a_conflict(here: Here) -> None:
    good, wrong = posted(here, BODY, WRONG)
    for path in (f"{wrong}/retry", f"{good}/judge"):
        assert ask(here, f"api/deliveries/{path}", "POST").status_code == 409
    nobody = ask(here, f"api/deliveries/{good}/retry", "POST", json={"handler": "nobody"})
    assert (nobody.status_code, "Nothing to run again" in nobody.json()["detail"]) == (409, True)


def test_a_body_is_judged_again_by_the_schemas_as_they_are_now(tmp_path: Path) -> None:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    file = schemas / "a.b.json"
    file.write_text('{"properties": {"event": {"const": "a.b"}, "data": {"required": ["c"]}}}')
    handlers, seen = Handlers(), list[str]()
    handlers.on("*")(lambda delivery: seen.append(delivery.id))
    with receiving_here(tmp_path / "state", handlers, schemas=schemas, inspector_ports=(0,)) as here:
        id_ = here.post(b'{"event": "a.b", "data": {}}').headers["Delivery-Id"]
        assert ask(here, f"api/deliveries/{id_}/judge", "POST").json()["verdict"] == "invalid"
        file.write_text("{")
        damaged = ask(here, f"api/deliveries/{id_}/judge", "POST")
        assert (damaged.status_code, "a.b.json" in damaged.json()["detail"]) == (422, True)
        file.write_text('{"properties": {"event": {"const": "a.b"}}}')
        assert ask(here, f"api/deliveries/{id_}/judge", "POST").json()["verdict"] == "valid"
        wait_for(lambda: seen == [id_], "its handler to run")


def test_a_body_is_given_byte_for_byte_and_a_sample_without_a_value(here: Here) -> None:
    good, cut = posted(here, BODY, CUT + b"\0\xff<script>")
    for id_, body in ((good, BODY), (cut, CUT + b"\0\xff<script>")):
        given = ask(here, f"deliveries/{id_}/body")
        assert (given.content, given.headers["Content-Type"]) == (body, "application/octet-stream")
        assert given.headers["Content-Disposition"] == f"attachment; filename={id_}.body"
    sample = ask(here, f"deliveries/{good}/sample")
    assert sample.json()["event"] == "transactions.fetched"
    assert sample.json()["data"]["consentId"] != json.loads(BODY)["data"]["consentId"]
    assert sample.headers["Content-Disposition"] == "attachment; filename=transactions.fetched.json"
    assert ask(here, f"deliveries/{cut}/sample").status_code == 409


def routes(here: Here) -> list[tuple[str, str]]:
    """Each method and path of the inspector, with a delivery's id in its place."""
    (id_,) = posted(here, BODY)
    rooms = Rooms(here.server.inbox, None, here.server.contract, Handlers(), print, None, None, "", redact=False)  # type: ignore[arg-type]
    return [
        (method, rule.rule.lstrip("/").replace("<id_>", id_).replace("<path:filename>", "page.css"))
        for rule in create_inspector(rooms, "x").url_map.iter_rules()
        for method in rule.methods or ()
    ]


OPEN = {"health", "static/page.css"}


def test_every_route_asks_for_the_token_and_for_this_machines_name(here: Here) -> None:
    every = routes(here)
    assert len(every) > 30
    runs = here.server.inbox.entry(posted(here, BODY)[0]).runs
    for method, path in every:
        url = f"{here.server.inspector}{path}"
        bare = requests.request(method, url, timeout=SOON, allow_redirects=False)
        assert bare.status_code == 401 or path in OPEN, (method, path)
        assert (
            requests.request(method, url, headers={"Authorization": "Bearer x"}, timeout=SOON).status_code == 401
            or path in OPEN
        )
        for host in ("evil.example", "127.0.0.1.evil.example", "0.0.0.0", ""):
            assert ask(here, path, method, headers={"Host": host}).status_code == 400, (method, path, host)
        elsewhere = ask(here, path, method, headers={"Origin": "http://evil.example"})
        assert elsewhere.status_code == 403, (method, path)
        for answer in (bare, elsewhere):
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert (answer.headers["X-Content-Type-Options"], answer.headers["Cache-Control"]) == (
                "nosniff",
                "no-store",
            )
    assert len(runs) == 2


def test_the_hooks_listener_has_none_of_these_routes_and_the_inspector_takes_no_webhook(here: Here) -> None:
    hook = here.server.url.removesuffix("webhook")
    for method, path in routes(here):
        answer = requests.request(
            method, hook + path, headers={"Authorization": f"Bearer {here.server.token}"}, timeout=SOON
        )
        assert answer.status_code in {404, 405}, (method, path)
    assert ask(here, "webhook", "POST", data=BODY, headers=JSON).status_code == 404


def test_the_token_becomes_a_cookie_and_leaves_the_url(here: Here) -> None:
    browser = requests.Session()
    first = browser.get(
        f"{here.server.inspector}?verdict=invalid&token={here.server.token}", allow_redirects=False, timeout=SOON
    )
    assert (first.status_code, first.headers["Location"]) == (303, "/?verdict=invalid")
    port = here.server.inspector.rstrip("/").rpartition(":")[2]  # type: ignore[union-attr]
    assert first.headers["Set-Cookie"] == f"token-{port}={here.server.token}; HttpOnly; Path=/; SameSite=Strict"
    assert browser.get(f"{here.server.inspector}", timeout=SOON).status_code == 200
    (id_,) = posted(here, BODY)
    retry = f"{here.server.inspector}deliveries/{id_}/retry"
    assert browser.post(retry, timeout=SOON).status_code == 403  # a browser says from where it posts
    assert browser.post(retry, headers={"Origin": f"http://localhost:{port}"}, timeout=SOON).status_code == 403
    assert browser.post(retry, headers={"Origin": f"http://127.0.0.1:{port}"}, timeout=SOON).status_code == 200


def test_the_token_stays_over_a_restart(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state", inspector_ports=(0,)) as first:
        token = first.server.token
    with receiving_here(tmp_path / "state", inspector_ports=(0,)) as second:
        assert second.server.token == token
    with receiving_here(tmp_path / "other", inspector_ports=(0,)) as third:
        assert third.server.token != token
    assert (tmp_path / "state" / "inspector-token").stat().st_mode & 0o777 == 0o600


def test_a_page_with_all_its_assets_is_light(here: Here) -> None:
    ids = posted(here, *[BODY] * 50)
    assets = [f"static/{name}" for name in ("page.css", "page.js", "htmx.min.js", "icon.svg")]
    page = ask(here, f"deliveries/{ids[0]}")
    assert all(asset in page.text for asset in assets)
    assert len(page.content) + sum(len(ask(here, asset).content) for asset in assets) < 100_000


def test_a_problem_is_a_page_for_who_reads_pages(here: Here) -> None:
    page = requests.get(f"{here.server.inspector}", headers={"Accept": "text/html"}, timeout=SOON)
    assert (page.status_code, page.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert "Open the URL that was printed at the start" in page.text


def test_a_page_that_has_seen_all_is_told_nothing_and_of_a_change_just_that(here: Here) -> None:
    first, second = posted(here, BODY, BODY)
    seen = re.findall(r'name="(seen_\w+)" value="(\d+)"', ask(here, "").text)
    filters = "text=&event=&verdict=&run="  # as the page sends them, before what it has seen
    assert ask(here, f"live?{filters}&{urlencode(seen)}").status_code == 204
    ask(here, f"api/deliveries/{first}/retry", "POST")
    wait_for(lambda: here.server.inbox.entry(first).settled, "it to run")
    told = ask(here, f"live?{filters}&{urlencode(seen)}").text
    assert (f'id="d-{first}"' in told, f'id="d-{second}"' in told) == (True, False)
