"""A delivery as what sends it again elsewhere: a curl command, a `sender fire` command, a pytest test.

In: an entry, and where the hook is. Out: text to copy. Pure.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pprint import pformat
from shlex import quote
from typing import Any

from receiver.contract import Verdict
from receiver.delivery import MalformedBody, parse
from receiver.entry import Entry

_SHORT = 8
_WIDTH = 96


@dataclass(frozen=True, slots=True)
class Copy:
    """A text to copy: its `name` in the page, a `title`, and the text."""

    name: str
    title: str
    text: str


def copies(entry: Entry, hook: str, handlers: str | None) -> list[Copy]:
    """What can be made of a delivery; nothing of one that was cut.

    Args:
        hook: the URL that webhooks are POSTed to.
        handlers: where the handlers are that a test runs.
    """
    return list(_copies(entry, hook, handlers)) if len(entry.body) == entry.size else []


def _copies(entry: Entry, hook: str, handlers: str | None) -> Iterator[Copy]:
    if (text := _as_text(entry.body)) is not None:
        yield Copy("curl", "curl", _curl(text, entry.headers.get("Content-Type", "application/json"), hook))
    if entry.event is not None and (data := _data(entry)) is not None:
        yield Copy("fire", "sender fire", _fire(entry, data, hook))
        yield Copy("test", "pytest", _test(entry, data, handlers))


def _curl(text: str, kind: str, hook: str) -> str:
    return f"curl --header {quote(f'Content-Type: {kind}')} \\\n  --data-raw {quote(text)} \\\n  {quote(hook)}"


def _fire(entry: Entry, data: dict[str, Any], hook: str) -> str:
    whatever = "" if entry.verdict is Verdict.VALID else " --no-validate"
    body = quote(json.dumps(data, ensure_ascii=False))
    return f"sender fire {quote(str(entry.event))} --to {quote(hook)}{whatever} \\\n  --data {body}"


def _test(entry: Entry, data: dict[str, Any], handlers: str | None) -> str:
    """A test that sends the same again over HTTP; the fixtures are those of the two pytest plugins."""
    name = re.sub(r"\W+", "_", str(entry.event), flags=re.ASCII)
    literal = pformat(data, width=_WIDTH, sort_dicts=False).replace("\n", "\n        ")
    sent = [f"{entry.event!r},", f"data={literal},", *([] if entry.verdict is Verdict.VALID else ["validate=False,"])]
    return "\n".join(
        [
            *(["import pytest", "", ""] if handlers else []),
            *([f"@pytest.mark.webhook_receiver(handlers={handlers!r})"] if handlers else []),
            f"def test_{name}_{entry.id[:_SHORT]}(fire, webhook_receiver):",
            "    sent = fire(",
            *(f"        {line}" for line in sent),
            "    )",
            f"    assert sent.status == {entry.status}",
            *([f"    webhook_receiver.wait_for({entry.event!r})"] if entry.verdict.handled else []),
        ]
    )


def _as_text(body: bytes) -> str | None:
    """The body, if a shell's argument can hold it."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _data(entry: Entry) -> dict[str, Any] | None:
    try:
        value: Any = parse(entry.body)
    except MalformedBody:
        return None
    data = value.get("data") if isinstance(value, dict) else None
    return data if isinstance(data, dict) and value.keys() == {"event", "data"} else None
