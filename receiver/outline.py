"""Outline: the parts of a JSON Schema, and what a contract says of each place in a payload.

In: schemas, and a resolver that follows their references. Out: places, and schemas rebuilt part by part. Knows nothing
of payloads that arrived. Pure.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jsonschema_rs

from receiver.contract import ENVELOPE, Contract, Schema

Said = tuple[Any, jsonschema_rs.Resolver]
"""A schema, and what follows the references in it."""

ONE = {"additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not"} | {
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
}
LISTED = {"allOf", "anyOf", "items", "oneOf", "prefixItems"}
NAMED = {"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"}
"""The keywords that hold a schema, a list of them, and schemas by name."""

_OF_THE_SAME_PLACE = {"allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas"}
_OF_ITEMS = {"items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"}


def parts(schema: object) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The schemas that lie directly in a schema, each after the path to it."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        if keyword in ONE and isinstance(value, dict | bool):
            yield (keyword,), value
        elif keyword in LISTED and isinstance(value, list):
            yield from (((keyword, index), part) for index, part in enumerate(value))
        elif keyword in NAMED and isinstance(value, dict):
            yield from (((keyword, name), part) for name, part in value.items() if isinstance(part, dict | bool))


def subschemas(schema: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Schema]]:
    """A schema that is an object and, however deep, those in it, each after the path to it."""
    if isinstance(schema, dict):
        yield path, schema
        for step, part in parts(schema):
            yield from subschemas(part, path + step)


def rebuilt(schema: Schema, change: Callable[[Any], Any]) -> Schema:
    """A copy of a schema, with what `change` makes of each schema that lies directly in it."""
    copy = {key: _copied(value) for key, value in schema.items()}
    for step, part in parts(schema):
        home: Any = copy if len(step) == 1 else copy[str(step[0])]
        home[step[-1]] = change(part)
    return copy


@dataclass(frozen=True)
class Place:
    """A place in a payload: all schemas that say something of it, also those of which one of several has to hold."""

    said: tuple[Said, ...]

    @classmethod
    def of(cls, *schemas: Said) -> "Place":
        """The place of a value for which these schemas hold."""
        return cls(tuple(one for said in schemas for one in _flattened(said, ())))

    @classmethod
    def of_event(cls, contract: Contract, name: str) -> "Place":
        """The place of a whole payload of an event type."""
        event_type = contract.events[name]
        return cls.of(
            (event_type.schema, contract.resolver(name)), (contract.envelope.schema, contract.resolver(ENVELOPE))
        )

    @cached_property
    def members(self) -> Mapping[str, "Place"]:
        """The members that are known by name, with what is said of each."""
        named: dict[str, list[Said]] = {}
        for schema, resolver in self.said:
            for name, member in _mapping(schema, "properties").items():
                named.setdefault(name, []).append((member, resolver))
            for name in schema.get("required", []):
                named.setdefault(name, [])
        return {name: Place.of(*said) for name, said in named.items()}

    @cached_property
    def items(self) -> "Place":
        """The place of an array's items, whichever."""
        return Place.of(
            *(
                (item, resolver)
                for schema, resolver in self.said
                for step, item in parts(schema)
                if step[0] in _OF_ITEMS
            )
        )

    def values(self, keyword: str) -> list[Any]:
        """What each of the schemas says by a keyword, where it does."""
        return [schema[keyword] for schema, _ in self.said if keyword in schema]


def _flattened(said: Said, within: tuple[tuple[str, str], ...]) -> Iterator[Said]:
    """A schema, and those that it refers to or is put together of."""
    schema, resolver = said
    if not isinstance(schema, dict):
        return
    resolver = entered(schema, resolver)
    yield schema, resolver
    reference = (resolver.base_uri, str(schema.get("$ref")))
    if "$ref" in schema and reference not in within:
        found = resolver.lookup(schema["$ref"])
        yield from _flattened((found.contents, found.resolver), (*within, reference))
    for step, part in parts(schema):
        if step[0] in _OF_THE_SAME_PLACE:
            yield from _flattened((part, resolver), within)


def entered(schema: Schema, resolver: jsonschema_rs.Resolver) -> jsonschema_rs.Resolver:
    """What follows the references in a schema: its own `$id` says relative to what."""
    return resolver.lookup(schema["$id"]).resolver if isinstance(schema.get("$id"), str) else resolver


def _mapping(schema: Schema, keyword: str) -> dict[str, Any]:
    found = schema.get(keyword)
    return found if isinstance(found, dict) else {}


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list) else value
