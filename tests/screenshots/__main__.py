"""`python tests/screenshots`: makes the pictures that the README shows, of a receiver and a sender, in Chromium.

An inbox is filled as an hour of work would have left it, with a handler that fails on some events and a while in which
no receiver was up; the rest is what `receiver run`, `sender serve` and the pages make of it.
"""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from playwright.sync_api import sync_playwright

from receiver.contract import Contract
from receiver.entry import Entry, Run, RunState
from receiver.inbox import Inbox
from receiver.store import new_id, now

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HERE = Path(__file__).resolve().parent
MINUTE = 60_000_000
DOWN = (31, 24)  # minutes ago
HANDLERS = """
from receiver import Handlers

handlers = Handlers()
ACCOUNTS = {}


@handlers.on("transactions.fetched")
def fetch_transactions(delivery):
    if delivery.data.get("addedTransactionsCount") == 13:
        return ACCOUNTS[delivery.data["consentId"]]


@handlers.on("*")
def audit(delivery):
    pass
"""
SIZE = {"width": 1440, "height": 900}


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
        fill(folder / ".webhooks")
        ports = ["--port", "8787", "--inspector-port", "8788"]
        with (
            ready("receiver", ["run", "handlers.py", *ports], folder) as receiver,
            ready("sender", ["serve", "--port", "8789"], folder) as sender,
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"]) as browser,
        ):
            for scheme in ("light", "dark"):
                inspector(browser, f"{receiver['inspector']}?token={receiver['token']}", scheme)
                portal(browser, f"{sender['portal']}?token={sender['token']}", scheme)


def inspector(browser: "Browser", url: str, scheme: str) -> None:
    with opened(browser, url, scheme) as page:
        page.wait_for_selector("#activity svg")
        page.click("#rows .failed >> nth=0")
        page.wait_for_selector("#runs .trace")
        page.mouse.move(0, 0)
        page.screenshot(path=HERE / f"inspector-{scheme}.png")


def portal(browser: "Browser", url: str, scheme: str) -> None:
    with opened(browser, url, scheme) as page:
        if scheme == "light":
            page.click("text=Add an endpoint")
            page.fill("[name=url]", "http://127.0.0.1:8787/webhook")
            page.click("button:has-text('Add the endpoint')")
        page.click("nav >> text=Fire")
        page.select_option("[name=event]", "transactions.fetched")
        page.click("button.main")
        page.wait_for_selector("text=What became of it")
        page.mouse.move(0, 0)
        page.screenshot(path=HERE / f"portal-{scheme}.png")


@contextmanager
def opened(browser: "Browser", url: str, scheme: Any) -> Iterator["Page"]:
    with browser.new_context(viewport=SIZE, color_scheme=scheme, reduced_motion="reduce") as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(url)
        yield page


@contextmanager
def ready(half: str, words: list[str], folder: Path) -> Iterator[dict[str, Any]]:
    """A server while the block runs, and what it said of itself."""
    line = [sys.executable, "-m", half, *words, "--json"]
    with subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE) as process:
        try:
            yield json.loads(process.stdout.readline())  # type: ignore[union-attr]
        finally:
            process.terminate()


def fill(state: Path) -> None:
    """An hour of deliveries up to now, and a while in which no receiver was up."""
    draw, contract, at = random.Random(4), Contract(), now()  # noqa: S311
    events = list(contract.events)
    with closing(Inbox(state)) as inbox:
        for minute in range(59, 0, -1):
            if not DOWN[1] <= minute <= DOWN[0]:
                moments = sorted(at - minute * MINUTE + draw.randrange(MINUTE) for _ in range(draw.randrange(1, 14)))
                inbox.store([made(draw, contract, events, moment) for moment in moments], lambda _: None)
        for window, since, until in (("before", 59, DOWN[0] + 1), ("after", DOWN[1], 0)):
            inbox.uptime.say(window, at - since * MINUTE)
            inbox.uptime.say(window, at - until * MINUTE, ended=True)


def made(draw: random.Random, contract: Contract, events: list[str], moment: int) -> Entry:
    event = draw.choice([*events, "transactions.fetched", "transactions.fetched"])
    data = {**next(iter(contract.samples(event).values()))["data"]}
    if "consentId" in data:
        data["consentId"] = str(UUID(int=draw.getrandbits(128), version=4))
    if event == "transactions.fetched":
        data["addedTransactionsCount"] = 13 if draw.random() < 0.2 else draw.randrange(40)
    if event == "consent.status.updated" and draw.random() < 0.4:
        data["status"] = 5
    payload = {"event": "consent.revoked" if draw.random() < 0.03 else event, "data": data}
    judgement, body = contract.judge(payload), json.dumps(payload).encode()
    names = ["audit"] if event != "transactions.fetched" else ["fetch_transactions", "audit"]
    runs = tuple(Run(name, 1, RunState.PENDING) for name in names) if judgement.verdict.handled else ()
    headers = {"Host": "127.0.0.1:8787", "Content-Type": "application/json", "Content-Length": str(len(body))}
    status = 202 if judgement.verdict.handled else 422
    return Entry(
        new_id(),
        moment,
        judgement.event,
        judgement.verdict,
        status,
        len(body),
        headers,
        body,
        judgement.violations,
        runs,
    )


if __name__ == "__main__":
    main()
