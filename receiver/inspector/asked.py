"""What is asked for in a URL: a filter, and where to go on.

In: the parameters of a query. Out: a filter, or an error that names what may stand there; and back.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from receiver.contract import Verdict
from receiver.entry import RunState
from receiver.search import Filter
from receiver.terminal import iso

S = TypeVar("S", bound=StrEnum)

MOST = 1000
"""So many deliveries are given at once, at most."""


LONGEST_TEXT = 1000
"""SQLite takes no pattern of LIKE that is longer than 50,000 bytes (https://sqlite.org/limits.html)."""


class AskedError(Exception):
    """A parameter that cannot be; the text says what can."""


def wanted(args: Mapping[str, str]) -> Filter:
    """The filter in a query; what is empty there may be anything.

    Raises:
        AskedError: a verdict, a state or a moment is none, or the text is too long.
    """
    return Filter(
        event=args.get("event") or None,
        verdict=_one_of(Verdict, args, "verdict"),
        run=_one_of(RunState, args, "run"),
        text=_text(args),
        until=_moment(args.get("until", "")),
    )


def query(asked: Filter) -> str:
    """A filter as the query of a URL, with the question mark; empty where anything fits."""
    given = {"event": asked.event, "verdict": asked.verdict, "run": asked.run, "text": asked.text}
    until = {"until": iso(asked.until)} if asked.until else {}
    parameters = {name: value for name, value in (given | until).items() if value is not None}
    return f"?{urlencode(parameters)}" if parameters else ""


def number(args: Mapping[str, str], name: str) -> int | None:
    """A number that may be there.

    Raises:
        AskedError: it is none.
    """
    text = args.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise AskedError(f"{name} is a number")
    return int(text) if text else None


def _one_of(kind: type[S], args: Mapping[str, str], name: str) -> S | None:
    text = args.get(name) or None
    if text not in {None, *kind}:
        raise AskedError(f"{name} is one of {', '.join(kind)}")
    return None if text is None else kind(text)


def _text(args: Mapping[str, str]) -> str | None:
    text = args.get("text", "").strip()
    if len(text) > LONGEST_TEXT:
        raise AskedError(f"text has at most {LONGEST_TEXT} characters")
    return text or None


def _moment(text: str) -> int | None:
    if not text:
        return None
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise AskedError("until is a moment as RFC 3339 has it: 2026-11-24T16:34:35Z") from None
    return int(seconds * 1_000_000)
