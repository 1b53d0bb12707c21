"""A page on another origin, in a real browser, cannot make the hook accept anything: whatever it tries arrives, is
refused, and leaves nothing in the inbox, even of a receiver that accepts all."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import BODY, Here, receiving_here, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

FORM = """
<form method="post" enctype="text/plain" action="HOOK">
  <input name='{"event": "transactions.fetched", "data": {"consentId": "' value='"}}'>
</form>
<script>document.forms[0].submit()</script>
"""
PAGES = {
    "a form": ({}, FORM),
    "a form without a referrer": ({"Referrer-Policy": "no-referrer"}, FORM),
    "a form of a file": ({}, FORM.replace("text/plain", "multipart/form-data")),
    "a form in a frame": ({}, FORM.replace("<form", '<iframe name="frame"></iframe><form target="frame"')),
    "a sandboxed frame": (
        {},
        f'<iframe sandbox="allow-scripts allow-forms" srcdoc="{FORM.replace(chr(34), "&quot;")}">',
    ),
    "a report of a violation": ({"Content-Security-Policy": "img-src 'none'; report-uri HOOK"}, '<img src="/x.png">'),
    "a ping": ({}, '<a href="#" ping="HOOK">a</a><script>document.links[0].click()</script>'),
}
POSTS = {
    "fetch, text": "send({})",
    "fetch, JSON by the back door": "send({body: new Blob([BODY], {type: JSON_})})",
    "fetch, JSON in a header": "send({headers: {'Content-Type': JSON_}})",
    "fetch, without a referrer": "send({referrerPolicy: 'no-referrer'})",
    "fetch, when the page has gone": "send({keepalive: true})",
    "fetch that asks, text": "send({mode: 'cors'})",
    "a beacon": "navigator.sendBeacon(HOOK, BODY)",
    "XMLHttpRequest": "xhr.open('POST', HOOK), xhr.send(BODY)",
}
OTHERS = {
    "fetch that asks, JSON": "send({mode: 'cors', headers: {'Content-Type': JSON_}})",
    "a beacon of JSON": "navigator.sendBeacon(HOOK, new Blob([BODY], {type: JSON_}))",
    "XMLHttpRequest, JSON": "xhr.open('POST', HOOK), xhr.setRequestHeader('Content-Type', JSON_), xhr.send(BODY)",
    "PUT": "fetch(HOOK, {method: 'PUT', body: BODY})",
    "an image": "new Image().src = HOOK",
    "a script": "document.head.append(Object.assign(document.createElement('script'), {src: HOOK}))",
    "EventSource": "new EventSource(HOOK)",
    "WebSocket": "new WebSocket(HOOK.replace('http', 'ws'))",
}


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Here]:
    """A receiver that accepts all that it stores."""
    with receiving_here(tmp_path / "state", lenient=True) as here:
        yield here


@pytest.fixture
def elsewhere(hook: Here) -> Iterator[str]:
    """The root's URL of another origin, which has the pages."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, hook.server.url))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class _Pages(BaseHTTPRequestHandler):
    def __init__(self, hook: str, *args: Any) -> None:
        self.hook = hook
        super().__init__(*args)

    def do_GET(self) -> None:
        headers, text = PAGES.get(self.path[1:].replace("%20", " "), ({}, "<p>a page"))
        self.send_response(200)
        for name, value in {"Content-Type": "text/html", **headers}.items():
            self.send_header(name, value.replace("HOOK", self.hook))
        self.end_headers()
        self.wfile.write(text.replace("HOOK", self.hook).encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


SCRIPT = """([HOOK, BODY, attempt]) => {
    const JSON_ = 'application/json', xhr = new XMLHttpRequest();
    const send = (more) => fetch(HOOK, {method: 'POST', mode: 'no-cors', body: BODY, ...more});
    eval(attempt);
}"""


def refusal(hook: Here, attempt: Callable[[], object]) -> object:
    """The status of the next refusal that the hook tells of (404 aside: the icon of a page that the browser got)."""
    before = len(hook.told)
    attempt()
    return wait_for(lambda: [line["status"] for line in hook.told[before:] if line["status"] != 404], "its arrival")[0]


def run(page: "Page", hook: str, attempt: str) -> None:
    page.evaluate(SCRIPT, [hook, BODY.decode(), attempt])


def took_nothing_but_takes_a_real_one(hook: Here) -> None:
    assert {line["type"] for line in hook.told} == {"refused"}
    assert hook.server.inbox.entries() == []
    assert hook.post().status_code == 202


def test_pages_that_post_by_themselves_are_refused(page: "Page", hook: Here, elsewhere: str) -> None:
    told = {}
    for name in PAGES:
        opened = page.context.new_page()  # the one before may be on its way elsewhere
        told[name] = refusal(hook, partial(opened.goto, elsewhere + name, wait_until="commit"))
    assert told == dict.fromkeys(PAGES, 403)
    took_nothing_but_takes_a_real_one(hook)


@pytest.mark.parametrize(("attempts", "status"), [(POSTS, 403), (OTHERS, 405)])
def test_scripts_are_refused(page: "Page", hook: Here, elsewhere: str, attempts: dict[str, str], status: int) -> None:
    page.goto(elsewhere)
    told = {name: refusal(hook, partial(run, page, hook.server.url, attempts[name])) for name in attempts}
    assert told == dict.fromkeys(attempts, status)
    took_nothing_but_takes_a_real_one(hook)


def test_a_page_whose_name_was_made_to_lead_to_this_machine_is_refused(page: "Page", hook: Here) -> None:
    """DNS rebinding: to the browser the page and the hook are one origin, so that it asks nobody."""
    rebound = hook.server.url.replace("127.0.0.1", "evil.example")
    page.goto(rebound)
    for name in ("fetch that asks, JSON", "XMLHttpRequest, JSON"):
        assert refusal(hook, partial(run, page, rebound, OTHERS[name])) == 403
    took_nothing_but_takes_a_real_one(hook)
