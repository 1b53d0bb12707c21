"""The inspector's page in a real browser: what is live, found, run again; with a mouse, with keys, on small screens."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from browsing import HOSTILE, SCHEMES, WIDTHS, fits_its_width, flaws, opened
from conftest import BODY, Here, receiving_here

from receiver import Delivery, Handlers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WRONG = b'{"event": "transactions.fetched", "data": {"consentId": 5}}'
BROKEN = b'{"event": "transactions.fetched", "data": {"consentId": }}'


def body(count: int) -> bytes:
    return BODY.replace(b"}}", f', "addedTransactionsCount": {count}}}}}'.encode())


@pytest.fixture
def broken() -> set[str]:
    """The names of the handlers that fail now."""
    return set()


@pytest.fixture
def here(tmp_path: Path, broken: set[str]) -> Iterator[Here]:
    handlers = Handlers()

    @handlers.on("transactions.*")
    def fetch(delivery: Delivery) -> None:
        if "fetch" in broken:
            raise ValueError(delivery.data["consentId"])

    @handlers.on("*")
    def note(delivery: Delivery) -> None: ...

    with receiving_here(tmp_path / "state", handlers, inspector_ports=(0,)) as receiver:
        yield receiver


@pytest.fixture
def look(browser: "Browser", here: Here) -> "Iterator[Page]":
    """The inspector, as opened by the URL that is printed."""
    with opened(browser, f"{here.server.inspector}?token={here.server.token}") as page:
        yield page


def posted(here: Here, *bodies: bytes) -> list[str]:
    """The ids of what was delivered."""
    return [here.post(one).headers["Delivery-Id"] for one in bodies]


def row(page: "Page", id_: str) -> str:
    return f"#d-{id_}"


def test_what_comes_appears_without_a_reload_and_its_outcome_too(look: "Page", here: Here) -> None:
    command = look.inner_text("#first")
    assert command == f"sender fire categorizationjob.completed --to {here.server.url}"
    look.evaluate("window.same = true")
    (id_,) = posted(here, BODY)
    look.wait_for_selector(f"{row(look, id_)} .done")
    assert look.inner_text(f"{row(look, id_)} .name") == "transactions.fetched"
    assert "2 done" in look.inner_text(row(look, id_))
    assert not look.is_visible("#first")
    assert look.evaluate("window.same")


def test_a_page_that_nobody_looks_at_asks_for_nothing(browser: "Browser", here: Here) -> None:
    with opened(browser, "about:blank") as page:
        page.clock.install()
        page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => window.away})")
        page.goto(f"{here.server.inspector}?token={here.server.token}")
        page.wait_for_selector("#activity svg", state="attached")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.evaluate("window.away = true")
        page.clock.run_for(600_000)
        assert asked == []
        page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
        (id_,) = posted(here, BODY)
        page.clock.run_for(2_000)
        page.wait_for_selector(row(page, id_))


def test_filters_choose_and_stay_in_the_url(look: "Page", here: Here) -> None:
    good, wrong, other = posted(here, body(1), WRONG, b'{"event": "order.created", "data": {"name": "M\\u00fcller"}}')
    look.wait_for_selector(row(look, other))
    look.select_option("[name=verdict]", "invalid")
    look.wait_for_selector(row(look, good), state="detached")
    assert look.is_visible(row(look, wrong))
    assert look.url.endswith("/?verdict=invalid")
    look.reload()
    assert (look.is_visible(row(look, wrong)), look.is_visible(row(look, other))) == (True, False)
    look.click("text=Clear")
    look.fill("#text", "Müller")
    look.wait_for_url("**/?text=M*")
    look.wait_for_selector(row(look, good), state="detached")
    assert look.is_visible(row(look, other))
    look.fill("#text", good[:6])
    look.wait_for_selector(row(look, good))
    look.fill("#text", "nowhere")
    look.wait_for_selector("text=No delivery fits.")
    look.click("text=Show all")
    look.wait_for_selector(row(look, wrong))


def test_what_comes_and_does_not_fit_the_filter_stays_away(look: "Page", here: Here) -> None:
    look.select_option("[name=event]", "transactions.fetched")
    look.wait_for_url("**/?event=transactions.fetched")
    other, wanted = posted(here, b'{"event": "order.created", "data": {}}', BODY)
    look.wait_for_selector(row(look, wanted))
    assert not look.is_visible(row(look, other))


def test_a_filter_by_outcome_follows_what_becomes_of_it(look: "Page", here: Here, broken: set[str]) -> None:
    broken.add("fetch")
    look.select_option("[name=run]", "failed")
    look.wait_for_url("**/?run=failed")
    (id_,) = posted(here, BODY)
    look.click(f"{row(look, id_)} a")
    broken.clear()
    look.click("text=Run all again")
    look.wait_for_selector(row(look, id_), state="detached")


def test_scrolling_leads_back_to_the_oldest(look: "Page", here: Here) -> None:
    ids = posted(here, *map(body, range(100)))
    look.reload()
    assert look.locator("#rows > [id]").count() == 25
    for _ in range(3):
        count = look.locator("#rows > [id]").count()
        look.locator("#rows > .more").scroll_into_view_if_needed()
        look.locator("#rows > [id]").nth(count).wait_for(state="attached")
    assert look.locator("#rows > [id]").evaluate_all("rows => rows.map((row) => row.id)") == [
        f"d-{id_}" for id_ in reversed(ids)
    ]


def test_a_violation_is_shown_at_its_place_in_words(look: "Page", here: Here) -> None:
    (id_,) = posted(here, WRONG)
    look.click(f"{row(look, id_)} a")
    look.click(".flaws a")
    place = look.locator("li:target")
    assert '"consentId": 5' in place.inner_text()
    assert place.locator(".flaw").inner_text() == "must be string, is integer"
    assert "The consent this is about" in place.inner_text()
    assert look.url.endswith(f"/deliveries/{id_}#at/data/consentId")


def test_a_malformed_body_has_the_place_where_it_goes_wrong(look: "Page", here: Here) -> None:
    (id_,) = posted(here, BROKEN)
    look.click(f"{row(look, id_)} a")
    assert look.inner_text("mark") == "}"
    assert "line 1, column 57" in look.inner_text(".flaws")
    assert look.inner_text("#delivery pre.code").replace("\n", "") == BROKEN.decode()


def test_a_failed_handler_is_seen_and_run_again_with_another_outcome(
    look: "Page", here: Here, broken: set[str]
) -> None:
    broken.add("fetch")
    (id_,) = posted(here, BODY)
    look.click(f"{row(look, id_)} a")
    look.wait_for_selector("#runs .failed")
    assert "ValueError: c2d1f8a4" in look.inner_text("#runs .trace")
    broken.clear()
    look.locator(".run", has_text="fetch").get_by_text("Run again").click()
    look.wait_for_selector("#runs .done >> nth=1")
    assert look.inner_text("#told") == "Its handler runs again."
    assert "attempt 2" in look.inner_text("#runs")
    look.wait_for_selector(f"{row(look, id_)} .done")
    assert [(run.handler, run.attempt, run.state) for run in here.server.inbox.entry(id_).latest] == [
        ("fetch", 2, "done"),
        ("note", 1, "done"),
    ]


def test_several_are_selected_and_run_again(look: "Page", here: Here, broken: set[str]) -> None:
    broken.add("fetch")
    ids = posted(here, body(1), body(2), body(3))
    look.wait_for_selector(f"{row(look, ids[2])} .failed")
    assert not look.is_visible(".chosen")
    for id_ in ids[:2]:
        look.check(f"{row(look, id_)} input[type=checkbox]")
    assert "2 selected" in look.inner_text(".chosen")
    broken.clear()
    look.click(".chosen >> text=Run their handlers again")
    look.wait_for_selector(f"{row(look, ids[0])} .done")
    look.wait_for_selector(f"{row(look, ids[1])} .done")
    assert look.is_checked(f"{row(look, ids[0])} input[type=checkbox]")
    assert "failed" in look.inner_text(row(look, ids[2]))


def test_what_was_judged_wrongly_is_judged_again(browser: "Browser", tmp_path: Path) -> None:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    strict = {"type": "object", "properties": {"event": {"const": "a.b"}, "data": {"required": ["c"]}}}
    (schemas / "a.b.json").write_text(json.dumps(strict))
    with (
        receiving_here(tmp_path / "state", schemas=schemas, inspector_ports=(0,)) as here,
        opened(browser, f"{here.server.inspector}?token={here.server.token}") as page,
    ):
        (id_,) = posted(here, b'{"event": "a.b", "data": {}}')
        page.click(f"{row(page, id_)} a")
        page.click("text=Judge again")
        page.wait_for_selector("text=it is still invalid")
        (schemas / "a.b.json").write_text(json.dumps({**strict, "properties": {"event": {"const": "a.b"}}}))
        page.click("text=Judge again")
        page.wait_for_selector("#delivery .tag.valid")
        page.wait_for_selector(f"{row(page, id_)} .valid")
        assert here.server.inbox.entry(id_).verdict == "valid"


def test_all_of_it_is_done_with_keys(look: "Page", here: Here, broken: set[str]) -> None:
    broken.add("fetch")
    first, second = posted(here, body(1), body(2))
    look.wait_for_selector(f"{row(look, second)} .failed")
    press: Callable[[str], None] = look.keyboard.press
    for key in "jj":
        press(key)
    press("Enter")
    look.wait_for_url(f"**/deliveries/{first}")
    press("k")
    press("Enter")
    look.wait_for_url(f"**/deliveries/{second}")
    look.wait_for_selector("#runs .failed")
    broken.clear()
    press("r")
    look.wait_for_selector(f"{row(look, second)} .done")
    press("?")
    assert look.is_visible("#keys")
    press("Escape")
    press("/")
    look.keyboard.type(second[:5])
    look.wait_for_selector(row(look, first), state="detached")
    assert look.is_visible(row(look, second))


def test_on_a_small_screen_the_detail_takes_the_lists_place(browser: "Browser", here: Here) -> None:
    (id_,) = posted(here, BODY)
    with opened(browser, f"{here.server.inspector}?token={here.server.token}", 360) as page:
        page.click(f"{row(page, id_)} a")
        page.wait_for_selector("#delivery")
        assert not page.is_visible("#rows")
        assert page.evaluate("document.activeElement.textContent") == "← All deliveries"
        page.keyboard.press("Escape")
        page.wait_for_selector(row(page, id_))
        assert not page.is_visible("#delivery")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [*zip(WIDTHS, SCHEMES, strict=True)])
def test_it_is_for_all_eyes_and_hands(
    browser: "Browser", here: Here, broken: set[str], width: int, scheme: str
) -> None:
    broken.add("fetch")
    root = f"{here.server.inspector}"
    with opened(browser, f"{root}?token={here.server.token}", width, scheme) as page:
        page.wait_for_selector("#activity svg", state="attached")
        assert (flaws(page), fits_its_width(page)) == ([], True)
        ids = posted(here, BODY, WRONG, BROKEN, b'{"event": "order.created", "data": [1, {"a": null}]}')
        here.wait(type="run", state="failed")
        for path in ("", *(f"deliveries/{id_}" for id_ in ids)):
            page.goto(root + path)
            page.wait_for_selector("#activity svg", state="attached")
            assert (flaws(page), fits_its_width(page)) == ([], True), path
        page.keyboard.press("?")
        assert flaws(page) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_hostile_text_is_only_text(browser: "Browser", here: Here, width: int) -> None:
    every = {"event": "order.created", "data": {text: [text, {text: text}] for text in HOSTILE}}
    headers = {"Content-Type": "application/json", "X-Text": "; ".join(HOSTILE[:7]).encode("latin-1")}
    named = [json.dumps({"event": text, "data": {}}).encode() for text in HOSTILE]
    whole, cut = json.dumps(every).encode(), json.dumps(every, ensure_ascii=False).encode()[:-9]
    with opened(browser, f"{here.server.inspector}?token={here.server.token}", width) as page:
        ids = [*posted(here, *named, cut), here.post(whole, headers).headers["Delivery-Id"]]  # type: ignore[arg-type]
        page.wait_for_selector(row(page, ids[-1]))
        assert fits_its_width(page)
        assert {text[:300] for text in page.locator(".name").all_inner_texts()} >= {text[:300] for text in HOSTILE[:7]}
        for id_ in ids[-4:]:
            page.goto(f"{here.server.inspector}deliveries/{id_}")
            assert fits_its_width(page)
            assert page.locator("h1").all_inner_texts() == ["Deliveries"]
            assert page.locator("main img, main script, main svg[onload]").count() == 0
        assert all(text in page.inner_text("ul.code") for text in (HOSTILE[0], HOSTILE[6]))
        page.goto(f"{here.server.inspector}?{urlencode({'text': HOSTILE[1], 'event': HOSTILE[2]})}")
        assert page.input_value("#text") == HOSTILE[1]
