"""Redaction: an entry as it may be shown to others. The values of ids and of free strings are masked; the inbox keeps
the bytes.

In: an entry and a contract. Out: an entry. What the schema itself says (a const, a member of an enum) stays, and so do
times, numbers that are no ids, and every key. Pure.
"""

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from receiver.contract import Contract
from receiver.delivery import MalformedBody, parse
from receiver.entry import Entry, Run
from receiver.outline import Place
from receiver.upkeep.changes import same

if TYPE_CHECKING:
    from collections.abc import Mapping

MASK = "***"
"""What stands in the place of a value."""

_ID = re.compile(r"(?i:id|ids|.*_ids?)|.*[a-z]I[dD]s?|[A-Z]*IDs?")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_WORD = re.compile(r"\w")
_SHOWN_HEADERS = {
    "Accept",
    "Accept-Encoding",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Host",
}


def redacted(entry: Entry, contract: Contract) -> Entry:
    """The entry with what may be shown of its event, headers, body and tracebacks."""
    return replace(
        entry,
        event=known(entry.event, contract),
        headers={name: value if name in _SHOWN_HEADERS else MASK for name, value in entry.headers.items()},
        body=_body(entry, contract),
        runs=tuple(map(_without_traceback, entry.runs)),
    )


def known(event: str | None, contract: Contract) -> str | None:
    """An event's name, where the contract has it: any other is a text from outside."""
    return event if event is None or event in contract.events else MASK


def _without_traceback(run: Run) -> Run:
    """A traceback holds the exception's text, which may hold values."""
    return replace(run, error=run.failure)


def _body(entry: Entry, contract: Contract) -> bytes:
    try:
        value = parse(entry.body)
    except MalformedBody:  # what it is made of, so that the place where it goes wrong is still seen
        return _WORD.sub("*", entry.body.decode("latin-1")).encode("latin-1", errors="replace")
    event = value.get("event") if isinstance(value, dict) else None
    place = Place.of_event(contract, event) if isinstance(event, str) and event in contract.events else None
    return json.dumps(_masked(value, "", place), ensure_ascii=False, separators=(",", ":")).encode()


def _masked(value: Any, key: str, place: Place | None) -> Any:
    if isinstance(value, dict):
        members: Mapping[str, Place] = place.members if place else {}
        return {name: _masked(member, name, members.get(name)) for name, member in value.items()}
    if isinstance(value, list):
        return [_masked(item, key, place and place.items) for item in value]
    return value if _may_be_shown(value, key, place) else MASK


def _may_be_shown(value: object, key: str, place: Place | None) -> bool:
    if value is None or isinstance(value, bool) or (place and _is_said(value, place)):
        return True
    if _ID.fullmatch(key):
        return False
    return not isinstance(value, str) or bool(_TIME.fullmatch(value))


def _is_said(value: object, place: Place) -> bool:
    said = [*place.values("const"), *(one for values in place.values("enum") for one in values)]
    return any(same(value, one) for one in said)
