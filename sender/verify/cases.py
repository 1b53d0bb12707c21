"""Cases: all that a contract implies for a receiver, in groups, always the same and in the same order.

In: a contract. Out: cases, each with an id that stays, the exact bytes, and the rule for its answer. Pure.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from receiver.contract import Contract, Verdict
from sender.verify import notation, rules
from sender.verify.notation import compact
from sender.verify.rules import Rule
from sender.verify.shapes import ShapeError, Shapes, shapes

AT_ONCE = 10
"""So many good bodies are sent at the same time."""

LARGE_BODY = 1 << 20
"""A body larger than these bytes is sent, where nothing is said of the largest that is accepted."""

_JSON = {"Content-Type": "application/json"}

Good = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One request. `event`: the event type it is made from; `headers`: its own, without those of every request;
    `together`: whether it is sent at the same time as its neighbours."""

    id: str
    group: str
    rule: Rule
    event: str
    body: bytes
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=lambda: _JSON)
    together: bool = False

    def is_one_of(self, patterns: Iterable[str]) -> bool:
        """Whether its id, its group or its rule is meant; `*` stands for anything."""
        names = (self.id, self.group, self.rule.id)
        return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def events_of(contract: Contract, patterns: Sequence[str]) -> list[str]:
    """The event types that are meant by patterns, in which `*` stands for anything."""
    return [event for event in contract.events if any(fnmatchcase(event, pattern) for pattern in patterns)]


def cases(contract: Contract, events: Sequence[str], max_body: int | None = None) -> list[Case]:
    """All cases for these event types. With `max_body`, the largest body in bytes that the receiver is to accept, that
    size is sent, and one byte more.

    Raises:
        ShapeError: no valid body of an event type can be made, or `max_body` is smaller than one.
    """
    of_events = {event: shapes(contract, event) for event in events}
    first = events[0]
    good = of_events[first].maximal
    groups = [
        _samples(contract, events),
        _bodies(of_events),
        _growth(contract, of_events),
        _notations(contract, first, good),
        _violations(of_events),
        _mix_ups(contract, of_events),
        _texts("malformed", rules.MALFORMED, first, notation.malformed(good)),
        _texts("ambiguous", rules.AMBIGUOUS, first, notation.ambiguous(good)),
        _texts("limits", rules.LIMIT, first, notation.beyond_limits(good)),
        _http(first, good),
        _sizes(first, good, max_body),
        _unknown_events(first, good),
        _repeats(first, good),
    ]
    return [case for group in groups for case in _followed(list(group), good)]


def _followed(group: list[Case], good: Good) -> Iterator[Case]:
    """The cases of a group, and after bad ones a good one, which has to be served."""
    yield from group
    if any(case.rule.strict != "2" for case in group):
        last = group[-1]
        yield Case(f"{last.group}/then", last.group, rules.SERVES_ON, last.event, compact(good))


def _samples(contract: Contract, events: Iterable[str]) -> Iterator[Case]:
    for event in events:
        for name, sample in contract.samples(event).items():
            if contract.judge(sample).verdict is Verdict.VALID:
                yield Case(f"{event}/sample/{name}", "samples", rules.VALID, event, compact(sample))


def _bodies(of_events: Mapping[str, Shapes]) -> Iterator[Case]:
    for event, those in of_events.items():
        named = {"maximal": those.maximal, "minimal": those.minimal}
        named |= {shape.place: shape.payload for shape in those.variants if shape.keyword != "additional"}
        for name, payload in named.items():
            yield Case(f"{event}/{name.removeprefix('/')}", "bodies", rules.VALID, event, compact(payload))


def _growth(contract: Contract, of_events: Mapping[str, Shapes]) -> Iterator[Case]:
    for event, those in of_events.items():
        for shape in those.variants:
            if shape.keyword == "additional":
                place = shape.place.removeprefix("/")
                yield Case(f"{event}/{place}", "growth", rules.GROWTH, event, compact(shape.payload))
        for name, members in _UNKNOWN_MEMBERS.items():
            payload = {**those.maximal, "data": {**those.maximal["data"], **members}}
            if contract.judge(payload).verdict is Verdict.VALID:
                yield Case(f"{event}/data/additional/{name}", "growth", rules.GROWTH, event, compact(payload))


_UNKNOWN_MEMBERS: Mapping[str, Mapping[str, Any]] = {
    "null": {notation.OWN: None},
    "object": {notation.OWN: {"nested": [{"deeper": 1}]}},
    "many": {f"{notation.OWN}{number}": number for number in range(100)},
    "names-of-languages": {"__proto__": {"a": 1}, "constructor": 1, "toString": 1, "self": 1, "class": 1, "$ref": "#"},
}


def _notations(contract: Contract, event: str, good: Good) -> Iterator[Case]:
    for name, body in notation.legal(good).items():
        if contract.judge(json.loads(body)).verdict is Verdict.VALID:
            yield Case(f"notation/{name}", "notation", rules.NOTATION, event, body)
    for name, kind in _SAME_MEDIA_TYPE.items():
        case = Case(f"notation/{name}", "notation", rules.NOTATION, event, compact(good))
        yield replace(case, headers={"Content-Type": kind})


_SAME_MEDIA_TYPE = {
    "charset": "application/json; charset=utf-8",
    "charset-quoted": 'application/json;charset="UTF-8"',
    "media-type-in-capitals": "Application/JSON",
}


def _violations(of_events: Mapping[str, Shapes]) -> Iterator[Case]:
    """Of each event type what its own schema forbids; what the envelope forbids once."""
    envelope: dict[str, Case] = {}
    for event, those in of_events.items():
        for shape in those.broken:
            id_ = f"envelope/{shape.place.removeprefix('/')}"
            envelope.setdefault(id_, Case(id_, "violations", rules.INVALID, event, compact(shape.payload)))
        for shape in those.violations:
            place = shape.place.removeprefix("/")
            yield Case(f"{event}/{place}", "violations", rules.INVALID, event, compact(shape.payload))
    yield from envelope.values()


def _mix_ups(contract: Contract, of_events: Mapping[str, Shapes]) -> Iterator[Case]:
    """One event type's name with another's data, where that is invalid."""
    for event in of_events:
        for other, those in of_events.items():
            payload = {**those.minimal, "event": event}
            if contract.judge(payload).verdict is Verdict.INVALID:
                yield Case(f"{event}/data-of/{other}", "mix-ups", rules.INVALID, event, compact(payload))


def _texts(group: str, rule: Rule, event: str, bodies: Mapping[str, bytes]) -> Iterator[Case]:
    for name, body in bodies.items():
        yield Case(f"{group}/{name}", group, rule, event, body)


def _http(event: str, good: Good) -> Iterator[Case]:
    body = compact(good)
    for name, kind in _OTHER_MEDIA_TYPES.items():
        yield Case(f"media-type/{name}", "http", rules.MEDIA_TYPE, event, body, headers={"Content-Type": kind})
    yield Case("media-type/none", "http", rules.NO_MEDIA_TYPE, event, body, headers={})
    for method, sent in {"GET": b"", "DELETE": b"", "PUT": body, "PATCH": body}.items():
        yield Case(f"method/{method}", "http", rules.METHOD, event, sent, method, _JSON if sent else {})


_OTHER_MEDIA_TYPES = {
    "text": "text/plain",
    "form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data; boundary=x",
    "xml": "application/xml",
}


def _sizes(event: str, good: Good, max_body: int | None) -> Iterator[Case]:
    if max_body is None:
        yield Case("size/large", "sizes", rules.LARGE, event, notation.padded(good, LARGE_BODY + 1))
        return
    if len(notation.padded(good, max_body)) > max_body:
        raise ShapeError(f"a body of {event} with all that is documented is larger than --max-body {max_body}")
    yield Case("size/max-body", "sizes", rules.VALID, event, notation.padded(good, max_body))
    yield Case("size/beyond-max-body", "sizes", rules.TOO_LARGE, event, notation.padded(good, max_body + 1))


def _unknown_events(event: str, good: Good) -> Iterator[Case]:
    names = {"new": "unknown.event", "of-a-known-kind": f"{event}.again", "odd-name": "\u00e9v\u00e9nement /%00"}
    for name, unknown in names.items():
        yield Case(f"unknown-event/{name}", "unknown-events", rules.UNKNOWN, event, compact({**good, "event": unknown}))


def _repeats(event: str, good: Good) -> Iterator[Case]:
    body = compact(good)
    for number in (1, 2):
        yield Case(f"repeats/same-body-{number}", "repeats", rules.REPEATED, event, body)
    for number in range(1, AT_ONCE + 1):
        yield Case(f"repeats/at-once-{number}", "repeats", rules.REPEATED, event, body, together=True)
