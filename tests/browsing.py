"""What the tests of pages share: opening one in a real browser, what a page may weigh, what no page may do."""

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

WIDTHS = (360, 1440)
SCHEMES = ("light", "dark")

HOSTILE = [
    "<script>pwned = true; alert(1)</script>",
    "<img src=x onerror=\"pwned = true; alert('x')\">",
    '"><svg onload=alert(1)>',
    "'; alert(1); //",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</textarea></title></style></script><h1>out</h1>",
    "\u202eright to left\u202c",
    "\u0000\u001b[2J\u0007",
    "W" * 3000,
    "\U0001f469\u200d\U0001f52c\u0301" * 50,
]
"""What is only text, wherever it stands: as an event's name, a key, a value, a header, an answer."""


_NO_MATTER = (
    "htmx:oobErrorNoTarget",  # a row has changed that this page does not show
    "htmx:afterRequest, [object",  # it was asking for news when it was left
    "htmx:sendError, [object",
)


@contextmanager
def opened(browser: "Browser", url: str, width: int = 1440, scheme: str = "light") -> "Iterator[Page]":
    """A page at a URL, in a browser that knows nothing of earlier ones. It fails a test where it opens a dialog or
    writes an error on its console."""
    with browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
    ) as context:
        page, said = context.new_page(), list[str]()
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.set_default_timeout(10_000)
        page.goto(url)
        yield page
        assert page.evaluate("typeof pwned") == "undefined"
    assert [text for text in said if not text.startswith(_NO_MATTER)] == []


def fits_its_width(page: "Page") -> bool:
    """Whether nothing makes the page wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def flaws(page: "Page") -> list[Any]:
    """What axe-core finds wrong for who uses a keyboard or a screen reader."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]
