"""A body as the inspector shows it: line by line, with what is wrong at its place and what the schema says there.

In: an entry and a contract. Out: lines, or a text that is cut where it goes wrong. Pure.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from receiver.contract import Contract
from receiver.delivery import MalformedBody, parse
from receiver.entry import Entry
from receiver.outline import Place
from receiver.violations import Violation, pointer

MOST_LINES = 2000
"""A longer body is shown up to here; the raw one is whole."""

DEEPEST_INDENT = 8


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a body. `key` and `text` are JSON, `kind` is of the value; `flaws` are what is wrong there, `told` is
    what the schema says of the place."""

    depth: int
    pointer: str
    key: str
    text: str
    kind: str
    flaws: tuple[str, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Broken:
    """A body that is no JSON: its text before the place where it goes wrong, the character there, and the rest."""

    reason: str
    before: str
    at: str
    after: str


def parsed(entry: Entry) -> object:
    """What the body says, also where it was refused for its Content-Type.

    Raises:
        MalformedBody: it is not JSON.
    """
    return parse(entry.body)


def broken(body: bytes, error: MalformedBody) -> Broken:
    """Where a body goes wrong; at its end, where that is not one place."""
    at = len(body) if error.at is None else error.at
    place = body[at:].decode(errors="replace")
    return Broken(str(error), body[:at].decode(errors="replace"), place[:1], place[1:])


def lines(value: object, violations: Sequence[Violation], contract: Contract, event: str | None) -> list[Line]:
    """The lines of a body, at most `MOST_LINES`."""
    flaws: dict[str, tuple[str, ...]] = {}
    for violation in violations:
        flaws[violation.pointer] = (*flaws.get(violation.pointer, ()), violation.message)
    place = Place.of_event(contract, event) if event is not None and event in contract.events else None
    made: list[Line] = []
    for line in _lines(value, "", (), place, flaws, 0, ""):
        made.append(line)
        if len(made) == MOST_LINES:
            break
    return made


def _lines(
    value: object,
    key: str,
    path: tuple[str | int, ...],
    place: Place | None,
    flaws: Mapping[str, tuple[str, ...]],
    depth: int,
    comma: str,
) -> Iterator[Line]:
    where, indent = pointer(path), min(depth, DEEPEST_INDENT)
    told = _told(place) if place and path else ""
    if not isinstance(value, dict | list) or not value:
        yield Line(indent, where, key, _json(value) + comma, _kind(value), flaws.get(where, ()), told)
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield Line(indent, where, key, opening, "bracket", flaws.get(where, ()), told)
    members = list(value.items() if isinstance(value, dict) else enumerate(value))
    for number, (step, member) in enumerate(members, start=1):
        inner = place and (place.members.get(str(step)) if isinstance(value, dict) else place.items)
        name = _json(step) if isinstance(value, dict) else ""
        more = "," if number < len(members) else ""
        yield from _lines(member, name, (*path, step), inner, flaws, depth + 1, more)
    yield Line(indent, "", "", closing + comma, "bracket")


def _told(place: Place) -> str:
    """What the schemas say of a place: its types and format, what it may be, and what it means."""
    types = dict.fromkeys(one for said in place.values("type") for one in (said if isinstance(said, list) else [said]))
    words = [" or ".join(map(str, types)), *map(str, place.values("format"))]
    words += [f"one of {', '.join(map(_json, said[:6]))}" for said in place.values("enum")[:1]]
    described = [str(said) for said in place.values("description")[:1]]
    return ": ".join(filter(None, [" · ".join(filter(None, words)), *described]))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "string"
    return "bracket" if isinstance(value, dict | list) else "literal"
