"""How the pages of the portal look in a real browser: at each width, in light and in dark, to a screen reader."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import SCHEMES, WIDTHS, fits_its_width, flaws, opened
from conftest import TOKEN, Portal, serving_portal

from receiver.contract import Contract
from sender.endpoints import Endpoint

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, contract: Contract) -> Iterator[Portal]:
    """A portal with something on each page, of the kind that is hard to lay out."""
    with serving_portal(tmp_path_factory.mktemp("portal"), contract) as portal:
        url = f"http://127.0.0.1:9/{'a-long-path-of-an-application-that-is-nowhere/' * 3}"
        portal.ledger.endpoints.add(Endpoint(url, (FETCHED, STATUS), secret="whsec_" + "A" * 32))
        portal.ledger.endpoints.add(Endpoint("http://127.0.0.1:9/", ("*",), name="x" * 80, enabled=False))
        body = json.dumps({"event": "e" * 100, "data": {"k" * 200: "v" * 300}}).encode()
        portal.write("wide", body, event="e" * 100, answer=b"w" * 500, status=500, milliseconds=1.0)
        portal.write("plain", b"nonsense", status=202, milliseconds=12.0)
        yield portal


def pages(page: "Page", served: Portal) -> Iterator[str]:
    """Each page in turn, by its path."""
    endpoint = served.ledger.endpoints.all()[0].id
    paths = ["/", "/endpoints/new", f"/endpoints/{endpoint}", f"/fire?event={FETCHED}", "/fire?again=1", "/scenarios"]
    for path in (*paths, "/attempts", "/attempts/1"):
        page.goto(served.url + path)
        if "fire" in path:
            page.locator("#verdict .tag").wait_for()
        yield path


@pytest.mark.parametrize("width", [*WIDTHS, 768])
def test_nothing_is_wider_than_the_window(browser: "Browser", served: Portal, width: int) -> None:
    with opened(browser, f"{served.url}/?token={TOKEN}", width) as page:
        assert [path for path in pages(page, served) if not fits_its_width(page)] == []


@pytest.mark.parametrize(("scheme", "width"), [*zip(SCHEMES, WIDTHS, strict=True)])
def test_axe_finds_nothing(browser: "Browser", served: Portal, scheme: str, width: int) -> None:
    with opened(browser, f"{served.url}/?token={TOKEN}", width, scheme) as page:
        assert {path: found for path in pages(page, served) if (found := flaws(page))} == {}


def test_all_that_a_page_loads_is_small_and_its_own(browser: "Browser", served: Portal) -> None:
    loaded: dict[str, int] = {}
    with opened(browser, f"{served.url}/?token={TOKEN}") as page:
        page.on("response", lambda answer: loaded.update({answer.url: len(answer.body())}))
        page.goto(f"{served.url}/fire")
        page.locator("#verdict .tag").wait_for()
        page.wait_for_load_state("networkidle")
    assert all(url.startswith(f"{served.url}/") for url in loaded)
    assert sum(loaded.values()) < 100_000, loaded


def test_the_empty_pages_say_what_to_do_next(browser: "Browser", tmp_path: Path, contract: Contract) -> None:
    told = {"/": "No endpoint yet", "/attempts": "sender fire", "/scenarios": "Nothing was played"}
    with (
        serving_portal(tmp_path / "empty", contract) as portal,
        opened(browser, f"{portal.url}/?token={TOKEN}", 360) as page,
    ):
        for path, text in told.items():
            page.goto(portal.url + path)
            page.get_by_text(text).first.wait_for()
            assert flaws(page) == []
