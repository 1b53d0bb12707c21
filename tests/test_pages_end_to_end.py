"""A newcomer's path by mouse alone: two real processes, two pages, an event that arrives, a handler that breaks, why,
and that it runs again."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import SOON, Process

if TYPE_CHECKING:
    from playwright.sync_api import Page

HANDLERS = """
from pathlib import Path
from receiver import Handlers

handlers = Handlers()

@handlers.on("transactions.fetched")
def fetch(delivery):
    if not Path("database").exists():
        raise ConnectionError("no database")
"""


@pytest.fixture
def sender() -> Iterator[dict[str, Any]]:
    """What a `sender serve` says of itself."""
    words = [sys.executable, "-m", "sender", "serve", "--port", "0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(SOON) == 0


def test_from_no_endpoint_to_a_handler_that_was_mended(
    page: "Page", receiving: Callable[..., Process], sender: dict[str, Any]
) -> None:
    Path("mine.py").write_text(HANDLERS)
    receiver = receiving("mine.py")
    ready = receiver.wait(type="ready")
    inspector, portal = page, page.context.new_page()
    inspector.goto(f"{ready['inspector']}?token={ready['token']}")

    portal.goto(f"{sender['portal']}?token={sender['token']}")
    portal.click("text=Add an endpoint")
    assert portal.input_value("#url") == "http://127.0.0.1:8787/webhook"  # which is where `receiver run` listens
    portal.fill("#url", ready["url"])  # but for this one, whose port is free
    portal.click("text=Add the endpoint")
    portal.click("nav >> text=Fire")
    portal.select_option("select[name=event]", "transactions.fetched")
    portal.click("button.main")
    portal.wait_for_selector("text=202")

    inspector.click("#rows .failed")
    inspector.wait_for_selector("text=ConnectionError at mine.py:10")
    assert "ConnectionError: no database" in inspector.inner_text("#runs .trace")
    Path("database").touch()
    inspector.click("text=Run again")
    inspector.wait_for_selector("#runs .tag.done")
    inspector.wait_for_selector("#rows .done")
    assert receiver.wait(type="run", state="done")["attempt"] == 2

    portal.click("nav >> text=Attempts")
    portal.click("[data-row]")
    portal.locator("article", has_text='"verdict": "valid"').wait_for()
