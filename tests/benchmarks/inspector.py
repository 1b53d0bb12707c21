"""`python tests/benchmarks/inspector.py`: how long the inspector's answers take with 1,000,000 deliveries in the inbox
against 1,000, and how many webhooks a receiver answers while its page is open, against a closed one; in turns.

A time is from the request to the whole answer, over HTTP on one connection: medians. The page is open in Chromium,
which takes processor time of the same machine to show what comes; so there is also what only asks as it does. Takes
about four minutes and 1.3 GB of disk, for the filling.
"""

import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import requests
from inbox import LARGE, RARE, SMALL, filled
from playwright.sync_api import sync_playwright
from servers import ROOT, Server, ours, turn

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROUNDS = 20
TURNS = 7
CONNECTIONS = (1, 8)
PATHS = {
    "first page": "",
    "first page of a rare event": f"?event={RARE}",
    "first page of what is invalid": "?verdict=invalid",
    "first page of what failed": "?run=failed",
    "first page with a text that all have": "?text=consentId",
    "one look for a text that is nowhere": "rows?text=no-such-text",
    "one look for an id": "rows?text={id}",
    "the page of a delivery": "deliveries/{id}",
    "far back in the list": "rows?before=500",
    "the chart of the last hour": "activity",
    "what is new": "live?{mark}",
    "deliveries as JSON": "api/deliveries",
}


class Asking:
    """Asks the inspector of a receiver."""

    def __init__(self, server: Server) -> None:
        self._root, _, token = server.inspector.partition("?token=")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        page = self._session.get(f"{self._root}rows").text
        mark = re.findall(r'name="(seen_\w+)" value="(\d+)"', page)
        self._known = {"id": re.findall(r'id="d-(\w+)"', page)[-1], "mark": urlencode(mark)}

    def took(self, path: str) -> float:
        """The milliseconds until the answer is there."""
        began = time.perf_counter()
        answer = self._session.get(self._root + path.format(**self._known))
        answer.raise_for_status()
        return (time.perf_counter() - began) * 1000


def main() -> None:
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        states = [filled(folder / str(size), size) for size in (SMALL, LARGE)]
        both = [Asking(stack.enter_context(ours(state, "--state", "."))) for state in states]
        print(f"{'':37} | {SMALL:>9,} | {LARGE:>9,} | ratio")
        for name, path in PATHS.items():
            rounds = [[one.took(path) for one in both] for _ in range(ROUNDS)]
            small, large = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"{name:37} | {small:6.1f} ms | {large:6.1f} ms | {large / small:5.2f}", flush=True)
    with (
        tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as temporary,
        ours(Path(temporary)) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"]) as browser,
    ):
        pages = {"as a page asks": asked, "in Chromium": partial(shown, browser.new_page())}
        print(f"\n{'webhooks answered a second':37} | {'closed':>9} | {'open':>9} | ratio")
        for connections in CONNECTIONS:
            turn(server, connections)
            for name, page in pages.items():
                rounds = [[rate(server, connections, way) for way in (closed, page)] for _ in range(TURNS)]
                before, after = (statistics.median(column) for column in zip(*rounds, strict=True))
                ratio = statistics.median(other / one for one, other in rounds)
                row = f"{name}, {connections} connections"
                print(f"{row:37} | {before:9,.0f} | {after:9,.0f} | {ratio:5.2f}", flush=True)


def rate(server: Server, connections: int, page: Callable[[Server], AbstractContextManager[None]]) -> float:
    with page(server):
        return turn(server, connections).load.rate


@contextmanager
def closed(_: Server) -> Iterator[None]:
    """No page is open."""
    yield


@contextmanager
def asked(server: Server) -> Iterator[None]:
    """Somebody asks for what is new, once a second, and for the chart, every five."""
    ended, asking = threading.Event(), Asking(server)

    def ask() -> None:
        number = 0
        while not ended.wait(1):
            asking.took(PATHS["what is new"])
            if (number := number + 1) % 5 == 0:
                asking.took("activity")

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    ended.set()
    thread.join()


@contextmanager
def shown(page: "Page", server: Server) -> Iterator[None]:
    """The page is open in a browser, which has nothing to show otherwise."""
    page.goto(server.inspector)
    page.wait_for_selector("#activity svg")
    yield
    page.goto("about:blank")


if __name__ == "__main__":
    main()
