"""Containment: whether all that one schema allows is allowed by another.

In: a contract's schemas of an event type. Out: one schema without references, what closes it, and a yes, a no or
neither. The one place that asks jsonschema-rs's canonical schemas, which are marked experimental. Pure.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urljoin

import jsonschema_rs
from jsonschema_rs.canonical import Containment

from receiver.contract import ENVELOPE, Contract, Schema
from receiver.outline import Place, entered, rebuilt, subschemas
from receiver.upkeep.changes import ANNOTATIONS

DEEPEST = 16
"""Deeper than this nothing is closed: a schema may refer to itself."""

MOST_PARTS = 5_000
"""A schema of more parts, with all that it refers to, is not compared: parts can be doubled without end."""

_OF_ANY_DRAFT = {"allOf", "anyOf", "oneOf", "not", "type", "properties", "required", "enum", "const", "pattern"} | {
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
}
"""Keywords that mean the same in each draft from the sixth on."""

_DRAFTS = "its schemas are of different drafts"
_WHAT_NAMES = {"$id", "id", "$schema", "$anchor", "$defs", "definitions", "$vocabulary"}


class Outcome(StrEnum):
    """Whether who relies on one schema can go on with another."""

    COMPATIBLE = "compatible"
    BREAKING = "breaking"
    UNDECIDED = "undecided"


class Undecided(Exception):
    """A schema that cannot be compared; the text says why."""


@dataclass(frozen=True, slots=True)
class Whole:
    """All that judges of an event type in one schema without references, and the draft that it is of."""

    draft: int
    schema: Schema

    def closed(self, guard: Schema) -> "Whole":
        return Whole(self.draft, {"allOf": [self.schema, guard]})


def whole(contract: Contract, event: str) -> Whole:
    """What judges of the payloads that name this event type, in one: the envelope's schema and its own.

    Raises:
        Undecided: they cannot be put into one.
    """
    found = [contract.resolver(name).lookup("#") for name in (ENVELOPE, event)]
    envelope, schema = (_Inliner(one.draft).inlined(one.contents, one.resolver, ()) for one in found)
    draft = found[1].draft
    if found[0].draft != draft and not (draft >= jsonschema_rs.Draft6 and _is_of_any_draft(envelope)):
        raise Undecided(_DRAFTS)
    return Whole(draft, {"allOf": [envelope, schema, {"properties": {"event": {"enum": [event]}}}]})


def guard(place: Place, depth: int = 0) -> Schema:
    """A schema that refuses what a place does not declare. An object of which no member is declared stays open: of it
    nothing is known.

    Raises:
        Undecided: what it declares cannot be said by name.
    """
    if depth > DEEPEST:
        raise Undecided("it refers to itself")
    for keyword in ("patternProperties", "prefixItems", "dependencies"):
        if place.values(keyword):
            raise Undecided(f"what {keyword} declares is not closed")
    if any(isinstance(more, dict) for more in place.values("additionalProperties")):
        raise Undecided("what additionalProperties declares is not closed")
    closed: Schema = {}
    if place.members:
        members = {name: guard(member, depth + 1) for name, member in place.members.items()}
        closed |= {"properties": members, "additionalProperties": False}
    if place.items.said:
        closed["items"] = guard(place.items, depth + 1)
    return closed


def contained(narrow: Whole, wide: Whole) -> Outcome:
    """Compatible where `wide` certainly allows all that `narrow` allows, breaking where it certainly does not."""
    try:
        answer = _canonical(wide).covers(_canonical(narrow))
    except ValueError:  # what canonical schemas do not model, or cannot compare
        return Outcome.UNDECIDED
    return {Containment.YES: Outcome.COMPATIBLE, Containment.NO: Outcome.BREAKING}.get(answer, Outcome.UNDECIDED)


def _canonical(one: Whole) -> jsonschema_rs.CanonicalSchema:
    return jsonschema_rs.canonicalize(one.schema, draft=one.draft, validate_formats=True, offline=True)


def _is_of_any_draft(schema: Schema) -> bool:
    return all(inner.keys() <= _OF_ANY_DRAFT for _, inner in subschemas(schema))


class _Inliner:
    """Puts what a schema refers to in the place of the references, and leaves names and annotations out."""

    def __init__(self, draft: int) -> None:
        self._draft = draft
        self._left = MOST_PARTS

    def inlined(self, schema: Any, resolver: jsonschema_rs.Resolver, within: tuple[str, ...]) -> Any:
        """`within` are the references that led here."""
        if not isinstance(schema, dict):
            return schema
        self._check(schema)
        inner = entered(schema, resolver)
        kept = {key: value for key, value in schema.items() if key not in ANNOTATIONS | _WHAT_NAMES}
        copy = rebuilt(kept, lambda part: self.inlined(part, inner, within))
        if "$ref" not in copy:
            return copy
        target = self._target(copy.pop("$ref"), inner, within)
        if self._draft < jsonschema_rs.Draft201909:  # before that, what stands beside a $ref says nothing
            return target
        return {**copy, "allOf": [*copy.get("allOf", []), target]}

    def _target(self, reference: str, resolver: jsonschema_rs.Resolver, within: tuple[str, ...]) -> Any:
        place = urljoin(resolver.base_uri, reference)
        if place in within:
            raise Undecided("it refers to itself")
        found = resolver.lookup(reference)
        if found.draft != self._draft:
            raise Undecided(_DRAFTS)
        return self.inlined(found.contents, found.resolver, (*within, place))

    def _check(self, schema: Schema) -> None:
        self._left -= 1
        if self._left < 0:
            raise Undecided(f"it has more than {MOST_PARTS} parts, with all that it refers to")
        for keyword in ("$dynamicRef", "$recursiveRef"):
            if keyword in schema:
                raise Undecided(f"{keyword} is not followed")
