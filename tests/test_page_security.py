"""Both pages in a real browser that has their cookies: a page of another origin, on this very machine too, gets nothing
of them and changes nothing; nor does one whose name was made to lead to this machine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import BODY, TOKEN, Here, Portal, receiving_here, serving_portal, wait_for

from receiver import Delivery, Handlers
from receiver.contract import Contract

if TYPE_CHECKING:
    from playwright.sync_api import Page

FORMS = """([url, fields, enctype]) => {
    const form = document.createElement('form');
    Object.assign(form, {method: 'post', action: url, enctype});
    for (const [name, value] of fields) {
        const input = document.createElement('input');
        Object.assign(input, {name, value});
        form.append(input);
    }
    document.body.append(form);
    form.submit();
}"""
READS = """async (urls) => {
    const told = [];
    for (const url of urls)
        for (const mode of ['cors', 'no-cors'])
            for (const method of ['GET', 'POST', 'DELETE'])
                try {
                    const answer = await fetch(url, {method, mode, credentials: 'include'});
                    told.push(await answer.text());
                } catch (error) { told.push('failed'); }
    return told;
}"""
FRAMES = """async (urls) => {
    const framed = [];
    for (const url of urls) {
        const frame = document.createElement('iframe');
        document.body.append(frame);
        await new Promise((done) => { frame.onload = done; frame.src = url; });
        try { framed.push(frame.contentDocument.title); } catch (error) { framed.push('out of reach'); }
    }
    return framed;
}"""


@dataclass
class Both:
    """A receiver with its inspector, a portal, and a browser that has been to both; one delivery has a failed run."""

    here: Here
    portal: Portal
    page: "Page"
    delivery: str
    endpoint: str = "http://127.0.0.1:9/"

    @property
    def urls(self) -> list[str]:
        root = str(self.here.server.inspector)
        paths = ("", f"deliveries/{self.delivery}", f"deliveries/{self.delivery}/retry", "api/deliveries", "retry")
        portal = ("/", "/endpoints", "/fire", "/api/endpoints", "/api/fire", "/attempts")
        return [root + path for path in paths] + [self.portal.url + path for path in portal]

    def changed_nothing(self) -> None:
        assert len(self.here.server.inbox.entry(self.delivery).runs) == 1
        assert self.portal.ledger.endpoints.all() == []
        assert self.portal.ledger.attempts(limit=10) == []


@pytest.fixture
def both(page: "Page", tmp_path: Path, contract: Contract) -> Iterator[Both]:
    handlers = Handlers()

    @handlers.on("*")
    def fails(delivery: Delivery) -> None:
        raise ValueError

    with (
        receiving_here(tmp_path / "state", handlers, inspector_ports=(0,)) as here,
        serving_portal(tmp_path / "portal", contract) as portal,
    ):
        id_ = here.post(BODY).headers["Delivery-Id"]
        here.wait(type="run", state="failed")
        for url in (f"{here.server.inspector}?token={here.server.token}", f"{portal.url}/?token={TOKEN}"):
            page.goto(url)
            assert "token" not in page.url
        assert len(page.context.cookies()) == 2
        assert all(cookie["httpOnly"] and cookie["sameSite"] == "Strict" for cookie in page.context.cookies())
        assert page.evaluate("document.cookie") == ""
        yield Both(here, portal, page, id_)


def test_a_form_of_another_origin_is_refused_also_where_the_cookie_goes_along(both: Both, elsewhere: str) -> None:
    """Another port of 127.0.0.1 is the same site to a browser, so that SameSite alone would not help."""
    fields = [["id", both.delivery], ["handler", "fails"], ["url", both.endpoint], ["events", "*"]]
    enctypes = ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data")
    urls = [url for url in both.urls if url.endswith(("retry", "endpoints", "fire"))]
    for url, enctype in product(urls, enctypes):
        both.page.goto(elsewhere)
        with both.page.expect_response(url) as answered:
            both.page.evaluate(FORMS, [url, fields, enctype])
        assert answered.value.status == 403, url
        assert "another origin" in both.page.inner_text("main")
    both.changed_nothing()


def test_a_script_of_another_origin_reads_and_changes_nothing(both: Both, elsewhere: str) -> None:
    both.page.goto(elsewhere)
    assert set(both.page.evaluate(READS, both.urls)) <= {"failed", ""}
    both.changed_nothing()


def test_no_other_page_can_show_them_in_a_frame(both: Both, elsewhere: str) -> None:
    both.page.goto(elsewhere)
    roots = [str(both.here.server.inspector), f"{both.portal.url}/"]
    assert both.page.evaluate(FRAMES, roots) == ["out of reach"] * 2
    assert [frame.url for frame in both.page.frames[1:]] == ["chrome-error://chromewebdata/"] * 2


def test_another_name_for_this_machine_is_told_nothing(both: Both) -> None:
    """DNS rebinding: to the browser the page and this would be one origin."""
    for url in both.urls:
        answer = both.page.goto(url.replace("127.0.0.1", "evil.example"))
        assert answer is not None
        assert answer.status == 400, url
        assert "<h1>Bad Request</h1>" in both.page.content()
    told = both.page.evaluate(READS, [url.replace("127.0.0.1", "evil.example") for url in both.urls])
    assert all(text in {"", "failed"} or json.loads(text)["status"] == 400 for text in told)
    both.changed_nothing()


def test_who_has_the_cookie_does_all_this(both: Both) -> None:
    """What the tests above try is what succeeds from the pages themselves."""
    both.page.goto(f"{both.here.server.inspector}deliveries/{both.delivery}")
    both.page.click("[data-again]")
    wait_for(lambda: len(both.here.server.inbox.entry(both.delivery).runs) == 2, "it to run again")
