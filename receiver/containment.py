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

from receiver.changes import ANNOTATIONS
from receiver.contract import ENVELOPE, Contract, Schema
from receiver.outline import Place, entered, rebuilt

DEEPEST = 16
"""Deeper than this nothing is closed: a schema may refer to itself."""

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
    if len({one.draft for one in found}) > 1:
        raise Undecided("its schemas are of different drafts")
    schemas = [_inlined(one.contents, one.resolver, one.draft, ()) for one in found]
    named = {"properties": {"event": {"const": event}} if found[0].draft > jsonschema_rs.Draft4 else {}}
    return Whole(found[0].draft, {"allOf": [*schemas, named]})


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


def _inlined(schema: Any, resolver: jsonschema_rs.Resolver, draft: int, within: tuple[str, ...]) -> Any:
    """A schema with what it refers to in place of the references, without names and annotations."""
    if not isinstance(schema, dict):
        return schema
    for keyword in ("$dynamicRef", "$recursiveRef"):
        if keyword in schema:
            raise Undecided(f"{keyword} is not followed")
    inner = entered(schema, resolver)
    kept = {key: value for key, value in schema.items() if key not in ANNOTATIONS | _WHAT_NAMES}
    copy = rebuilt(kept, lambda part: _inlined(part, inner, draft, within))
    if "$ref" not in copy:
        return copy
    reference = urljoin(inner.base_uri, copy.pop("$ref"))
    if reference in within:
        raise Undecided("it refers to itself")
    found = inner.lookup(schema["$ref"])
    if found.draft != draft:
        raise Undecided("its schemas are of different drafts")
    target = _inlined(found.contents, found.resolver, draft, (*within, reference))
    # Before draft 2019-09 what stands beside a $ref says nothing.
    return target if draft < jsonschema_rs.Draft201909 else {**copy, "allOf": [*copy.get("allOf", []), target]}
