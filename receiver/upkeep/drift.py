"""Drift: where what came departs from the contract.

In: captured deliveries and a contract. Out: findings, each with how many deliveries it is in. Names of fields are told,
values never. jsonschema-rs judges; the bodies go through one at a time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import islice

import jsonschema_rs

from receiver.contract import Contract
from receiver.delivery import MalformedBody
from receiver.entry import Captured
from receiver.outline import Place
from receiver.violations import MOST_VIOLATIONS, pointer, token

MOST_FINDINGS = 1000
"""More different findings than these are counted, not listed: names can be made up without end."""


class Kind(StrEnum):
    """In which way a delivery departs from the contract."""

    UNDECLARED = "undeclared"
    """A field that the schema does not declare."""
    VIOLATION = "violation"
    """A value or a lack of one that the schema does not allow."""
    UNKNOWN_EVENT = "unknown_event"
    """An event type of which there is no schema."""
    MALFORMED = "malformed"
    """A body that is not JSON, or not stored whole."""
    MISSING = "missing"
    """A documented field that did not come. Where it is required, there is a violation beside."""

    @property
    def drift(self) -> bool:
        """Whether the contract has to be looked at; optional fields may be missing."""
        return self is not Kind.MISSING


@dataclass(frozen=True, slots=True)
class Spot:
    """What is found: in which event type (empty where none is named), where (a JSON Pointer, `*` for any index), and by
    which keyword it is a violation."""

    kind: Kind
    event: str
    pointer: str = ""
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A spot, in how many deliveries it is, out of how many in which it could be, and when it was seen first and last
    (microseconds since 1970), with one of the deliveries."""

    spot: Spot
    count: int
    of: int
    first_at: int
    last_at: int
    example: str


@dataclass(frozen=True)
class Drift:
    """What was found in so many deliveries; `left_out` counts what would have been beyond `MOST_FINDINGS`."""

    deliveries: int
    findings: tuple[Finding, ...]
    left_out: int

    @property
    def any(self) -> bool:
        return bool(self.left_out) or any(finding.spot.kind.drift for finding in self.findings)


def drift(deliveries: Iterable[Captured], contract: Contract) -> Drift:
    """Sets deliveries against a contract."""
    look = _Look(contract)
    found: dict[Spot, Finding] = {}
    seen: Counter[tuple[str, str]] = Counter()
    number = left_out = 0
    for number, captured in enumerate(deliveries, start=1):  # noqa: B007 - the last one is how many there were
        spots, places = look.at(captured)
        seen.update(places)
        for spot in spots:
            if spot in found or len(found) < MOST_FINDINGS:
                found[spot] = _once_more(found.get(spot), spot, captured)
            else:
                left_out += 1
    findings = [
        Finding(spot, one.count, _out_of(spot, seen, number), one.first_at, one.last_at, one.example)
        for spot, one in found.items()
    ]
    return Drift(number, tuple(sorted(findings, key=_order)), left_out)


def _once_more(before: Finding | None, spot: Spot, captured: Captured) -> Finding:
    at = captured.received_at
    if before is None:
        return Finding(spot, 1, 0, at, at, captured.id)
    return Finding(spot, before.count + 1, 0, min(before.first_at, at), max(before.last_at, at), before.example)


def _out_of(spot: Spot, seen: Mapping[tuple[str, str], int], number: int) -> int:
    if spot.kind is Kind.MALFORMED or not spot.event:
        return number
    inside = spot.pointer.rpartition("/")[0] if spot.kind in {Kind.MISSING, Kind.UNDECLARED} else ""
    return seen[spot.event, inside]


def _order(finding: Finding) -> tuple[str, int, str, str]:
    return finding.spot.event, list(Kind).index(finding.spot.kind), finding.spot.pointer, finding.spot.keyword


@dataclass(frozen=True)
class _Stand:
    """Where one stands in the payloads of an event type; what is found from here is made once."""

    event: str
    pointer: str
    place: Place

    @cached_property
    def members(self) -> Mapping[str, "_Stand"]:
        return {name: self._inside(token(name), place) for name, place in self.place.members.items()}

    @cached_property
    def items(self) -> "_Stand":
        return self._inside("*", self.place.items)

    @cached_property
    def missing(self) -> Mapping[str, Spot]:
        return {name: Spot(Kind.MISSING, self.event, stand.pointer) for name, stand in self.members.items()}

    @cached_property
    def names_are_free(self) -> bool:
        """Whether the schema says something of members whatever their names are."""
        more = [*self.place.values("additionalProperties"), *self.place.values("unevaluatedProperties")]
        return bool(self.place.values("patternProperties")) or any(isinstance(one, dict) for one in more)

    def undeclared(self, name: str) -> Spot:
        return Spot(Kind.UNDECLARED, self.event, f"{self.pointer}/{token(name)}")

    def _inside(self, step: str, place: Place) -> "_Stand":
        return _Stand(self.event, f"{self.pointer}/{step}", place)


class _Look:
    """Finds what there is in one delivery."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._stands = {name: _Stand(name, "", Place.of_event(contract, name)) for name in contract.events}

    def at(self, captured: Captured) -> tuple[set[Spot], set[tuple[str, str]]]:
        """What is found, and the objects that there are, each by event type and pointer."""
        try:
            payload = captured.payload
        except MalformedBody:
            return {Spot(Kind.MALFORMED, "")}, set()
        event = payload.get("event") if isinstance(payload, dict) else None
        name = event if isinstance(event, str) else ""
        spots, places = set[Spot](), {(name, "")}
        if not self._contract.envelope.validator.is_valid(payload):
            spots.update(_violations(name, self._contract.envelope.validator, payload))
        elif name not in self._stands:
            spots.add(Spot(Kind.UNKNOWN_EVENT, name))
        else:
            _walk(payload, self._stands[name], spots, places)
            validator = self._contract.events[name].validator
            if not validator.is_valid(payload):
                spots.update(_violations(name, validator, payload))
        return spots, places


def _walk(value: object, stand: _Stand, spots: set[Spot], places: set[tuple[str, str]]) -> None:
    if isinstance(value, dict):
        places.add((stand.event, stand.pointer))
        members = stand.members
        spots.update(stand.missing[name] for name in members if name not in value)
        for name, member in value.items():
            if name in members:
                _walk(member, members[name], spots, places)
            elif not stand.names_are_free:
                spots.add(stand.undeclared(name))
    elif isinstance(value, list):
        for item in value:
            _walk(item, stand.items, spots, places)


def _violations(event: str, validator: jsonschema_rs.Validator, payload: object) -> Iterator[Spot]:
    for error in islice(validator.iter_errors(payload), MOST_VIOLATIONS):
        path = ["*" if isinstance(step, int) else step for step in error.instance_path]
        lacking = [error.kind.property] if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Required) else []
        yield Spot(Kind.VIOLATION, event, pointer([*path, *lacking]), str(error.schema_path[-1]))
