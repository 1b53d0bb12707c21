"""The portal in a real browser: what a user does there, with a mouse and without, and what nobody gets it to do."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsing import HOSTILE, fits_its_width, flaws, opened
from conftest import TOKEN, Peer, Portal, serving_portal, wait_for
from test_portal_form import ODD, WHOLE

from receiver.contract import Contract
from sender.attempt import Outcome, State
from sender.endpoints import Endpoint

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
NAME = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"
StartPeer = Callable[..., Peer]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, contract: Contract) -> Iterator[Portal]:
    with serving_portal(tmp_path_factory.mktemp("portal"), contract) as portal:
        yield portal


@pytest.fixture(scope="module")
def window(browser: "Browser", served: Portal) -> "Iterator[Page]":
    """A page that has been opened with the token, and fails a test in which it said that something is wrong."""
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.goto(f"{served.url}/?token={TOKEN}")
        assert page.url == f"{served.url}/"
        yield page


@pytest.fixture
def tab(window: "Page", served: Portal) -> "Iterator[Page]":
    """The same page for each test, with no endpoint; it must not complain of anything, and no dialog opens."""
    told: list[str] = []

    def complain(message: Any) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            told.append(message.text)

    for endpoint in served.ledger.endpoints.all():
        served.ledger.endpoints.remove(endpoint)
    window.on("console", complain)
    window.on("pageerror", lambda error: told.append(str(error)))
    window.set_viewport_size({"width": 1280, "height": 800})
    yield window
    window.remove_listener("console", complain)
    assert told == []


def ok(connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 11\r\n\r\n<b>fine</b>")


def slow(connection: Any) -> None:
    time.sleep(0.3)  # so that a second click comes while the first is under way
    ok(connection)


def body_of(request: bytes) -> Any:
    return json.loads(request.partition(b"\r\n\r\n")[2])


def subscribed(served: Portal, url: str) -> None:
    served.ledger.endpoints.add(Endpoint(url, (FETCHED, STATUS), name="mine"))


def test_an_endpoint_is_made_and_an_event_fired_at_it_from_the_form(
    tab: "Page", served: Portal, peers: StartPeer
) -> None:
    receiver = peers(ok)
    tab.goto(f"{served.url}/")
    tab.get_by_role("link", name="Add an endpoint").click()
    tab.get_by_label("URL").fill(receiver.url)
    tab.get_by_label("Every event").uncheck()
    tab.get_by_label(FETCHED).check()
    tab.get_by_role("button", name="Add the endpoint").click()
    tab.get_by_role("button", name="Send a test").click()
    tab.locator(".tested .tag", has_text="202").wait_for()
    assert tab.locator(".tested pre").inner_text() == "<b>fine</b>"
    tab.get_by_role("link", name="Fire").click()
    tab.get_by_label("Event", exact=True).select_option(FETCHED)
    tab.wait_for_function("() => document.querySelector('#event option[selected]')?.value.startsWith('transactions')")
    tab.get_by_label("Filled from").select_option("oldest-form")
    tab.wait_for_function("() => document.querySelector('#sample option[selected]')?.value === 'oldest-form'")
    tab.get_by_label("addedTransactionsCount", exact=True).fill("7")
    tab.get_by_role("button", name="Fire").click()
    tab.locator("#result .tag", has_text="202").wait_for()
    data = body_of(receiver.requests[1])["data"]
    assert len(receiver.requests) == 2
    assert data["addedTransactionsCount"] == 7
    assert data.keys() == {"userId", "consentId", "addedTransactionsCount"}


def test_a_double_click_fires_once_and_the_next_click_again(tab: "Page", served: Portal, peers: StartPeer) -> None:
    receiver = peers(slow)
    subscribed(served, receiver.url)
    tab.goto(f"{served.url}/fire?event={FETCHED}")
    tab.locator("#verdict .valid").wait_for()
    tab.locator("#go").dblclick()
    tab.locator("#result .tag", has_text="202").wait_for()
    first = tab.locator("#event-id").input_value()
    assert len(receiver.requests) == 1
    tab.locator("#go").click()
    wait_for(lambda: len(receiver.requests) == 2, "the next")
    tab.wait_for_function("before => document.querySelector('#event-id').value !== before", arg=first)


def test_a_violation_appears_at_its_field_as_one_types_and_goes_again(
    tab: "Page", served: Portal, peers: StartPeer
) -> None:
    receiver = peers(ok)
    subscribed(served, receiver.url)
    tab.goto(f"{served.url}/fire?event={FETCHED}")
    field = tab.get_by_label("consentId")
    tab.locator("#verdict .valid").wait_for()
    right = field.input_value()
    field.fill("")
    field.press_sequentially("abc")
    tab.locator("input[aria-invalid=true]").wait_for()
    assert "must be of format uuid" in tab.locator(f"#{field.get_attribute('id')}-flaw").inner_text()
    assert field.evaluate("field => field === document.activeElement && field.value") == "abc"
    tab.locator("#go").click()
    tab.get_by_text("Nothing was sent").wait_for()
    assert receiver.requests == []
    field.fill(right)
    tab.locator("#verdict .valid").wait_for()
    assert tab.locator("[aria-invalid]").count() == 0
    tab.get_by_label("userId is", exact=True).select_option("null")
    tab.get_by_text("Raw JSON").click()
    assert json.loads(tab.locator("#raw").input_value())["userId"] is None
    tab.locator("#raw").fill("{")
    tab.locator("#verdict .malformed").wait_for()
    tab.locator("#raw").fill('{"consentId": 5}')
    tab.get_by_text("/data/consentId").wait_for()
    tab.get_by_label("although it violates its schema").check()
    tab.locator("#go").click()
    tab.locator("#result .tag", has_text="202").wait_for()
    assert body_of(receiver.requests[0])["data"] == {"consentId": 5}


def test_what_is_typed_into_a_field_that_was_null_is_no_null(tab: "Page", served: Portal) -> None:
    tab.goto(f"{served.url}/fire?event={FETCHED}")
    kind = tab.get_by_label("externalUserId is")
    kind.select_option("left out")
    tab.get_by_label("externalUserId", exact=True).press_sequentially("x")
    assert kind.input_value() == "string"


def test_a_scenario_is_watched_and_stopped(tab: "Page", served: Portal, peers: StartPeer) -> None:
    receiver = peers(ok)
    tab.goto(f"{served.url}/scenarios")
    tab.get_by_label("My own", exact=False).first.check()
    steps = [{"event": FETCHED, "count": 3}, {"after": "60s", "event": FETCHED, "expect": {"status": 500}}]
    tab.get_by_label("My own scenario").fill(json.dumps({"title": NAME, "steps": steps}))
    tab.get_by_label("This URL").check()
    tab.get_by_label("URL", exact=True).fill(receiver.url)
    tab.get_by_role("button", name="Play").click()
    tab.get_by_text("3 of 4").wait_for()
    assert tab.locator("#progress").get_attribute("value") == "3"
    tab.get_by_role("button", name="Stop").click()
    tab.locator("#playing .interrupted", has_text="stopped").wait_for()
    assert len(receiver.requests) == 3
    assert tab.locator("#playing h2").inner_text() == NAME


def test_the_ledger_is_live_and_the_row_that_is_open_stays_so(tab: "Page", served: Portal) -> None:
    served.write("live-1", state="sending")
    tab.goto(f"{served.url}/attempts")
    tab.locator("[data-row]").first.click()
    tab.locator("#detail dd", has_text="live-1").wait_for()
    tab.locator("#detail .tag", has_text="sending").wait_for()
    (open_,) = served.ledger.attempts_under("live-1")
    served.ledger.conclude(replace(open_, outcome=Outcome(State.DELIVERED, status=202)))
    tab.locator("#detail .tag", has_text="delivered").wait_for()
    served.write("live-2")
    tab.wait_for_function("() => document.querySelectorAll('[data-row]')[1].hasAttribute('aria-current')")
    tab.locator("[data-row]").first.click()
    tab.locator("#detail dd", has_text="live-2").wait_for()
    tab.go_back()
    tab.locator("#detail dd", has_text="live-1").wait_for()
    tab.get_by_label("Event id").fill("nothing-like-it")
    tab.get_by_label("Event id").press("Enter")
    tab.get_by_text("No attempt fits").wait_for()


def test_hostile_text_is_shown_and_does_nothing(tab: "Page", served: Portal, peers: StartPeer) -> None:
    answer = "\n".join(HOSTILE).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
    receiver = peers(lambda connection: connection.sendall(head + answer))
    dialogs: list[str] = []

    def opened(dialog: Any) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    tab.on("dialog", opened)
    headers = {"X-A": NAME}
    served.ledger.endpoints.add(Endpoint(receiver.url, ("*",), name=NAME, headers=headers))
    tab.goto(f"{served.url}/fire?event={FETCHED}")
    tab.get_by_text("Raw JSON").click()
    data = {"consentId": NAME, **{text: text for text in HOSTILE}}
    tab.locator("#raw").fill(json.dumps(data))
    tab.locator("#verdict .invalid").wait_for()
    tab.get_by_text("Fields", exact=True).click()
    tab.get_by_label("Other members").wait_for()
    tab.get_by_label("although it violates its schema").check()
    tab.locator("#go").click()
    tab.locator("#result pre").wait_for()
    assert "<h1>out</h1>" in tab.locator("#result pre").inner_text()
    assert body_of(receiver.requests[0])["data"] == data
    number = served.ledger.past.page(_any(), 1)[0][0]
    for path in ("/", f"/attempts/{number}", f"/fire?again={number}", "/scenarios"):
        tab.goto(served.url + path)
        assert tab.evaluate("typeof pwned") == "undefined"
        assert fits_its_width(tab), path
    tab.goto(f"{served.url}/")
    assert NAME in tab.locator(".endpoint h2").inner_text()
    tab.remove_listener("dialog", opened)
    assert dialogs == []


def _any() -> Any:
    from sender.past import Sought

    return Sought()


def test_it_is_done_by_keys_alone(tab: "Page", served: Portal, peers: StartPeer) -> None:
    receiver = peers(ok)
    tab.goto(f"{served.url}/endpoints/new")

    def tab_to(selector: str) -> None:
        for _ in range(60):
            if tab.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
            tab.keyboard.press("Tab")
        raise AssertionError(f"no way by Tab to {selector}")

    tab_to("#url")
    tab.keyboard.press("Control+A")
    tab.keyboard.type(receiver.url)
    tab_to("button.main")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{served.url}/")
    tab_to("nav a[href='/fire']")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/fire")
    tab_to("#event")
    tab.keyboard.type("transactions")
    tab.wait_for_function("() => document.querySelector('#event option[selected]')?.value.startsWith('transactions')")
    tab_to("#go")
    tab.keyboard.press("Enter")
    tab.locator("#result .tag", has_text="202").wait_for()
    tab_to("nav a[href='/']")
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"{served.url}/")
    tab_to("[id^=enabled-]")
    tab.keyboard.press("Enter")
    tab.locator(".tag", has_text="disabled").wait_for()
    tab.wait_for_function("() => document.activeElement.id.startsWith('enabled-')")
    tab.once("dialog", lambda dialog: dialog.accept())
    tab_to("button.danger")
    tab.keyboard.press("Enter")
    tab.get_by_text("No endpoint yet").wait_for()
    tab.wait_for_function("() => document.activeElement.id === 'endpoints'")


def test_a_form_that_nobody_touched_sends_just_what_it_was_filled_with(
    browser: "Browser", tmp_path: Path, peers: StartPeer
) -> None:
    receiver = peers(ok)
    (tmp_path / "samples" / "odd.made").mkdir(parents=True)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "odd.made.json").write_text(json.dumps({"properties": {"data": ODD}}))
    payload = {"event": "odd.made", "data": WHOLE}
    (tmp_path / "samples" / "odd.made" / "default.json").write_text(json.dumps(payload))
    with (
        serving_portal(tmp_path / "state", Contract(tmp_path / "schemas")) as portal,
        opened(browser, f"{portal.url}/fire?to={receiver.url}&token={TOKEN}", 360) as page,
    ):
        page.locator("#verdict .valid").wait_for()
        assert (fits_its_width(page), flaws(page)) == (True, [])
        page.locator("#go").click()
        page.locator("#result .tag", has_text="202").wait_for()
        page.get_by_text("Raw JSON").click()
        assert json.loads(page.locator("#raw").input_value()) == WHOLE
    assert body_of(receiver.requests[0]) == payload
