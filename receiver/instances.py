"""Instances: values that schemas suggest, good and bad, always the same ones.

In: places. Out: values that the keywords there are about, and payloads that differ from a given one in a single place.
They are guesses: what each of them is, a contract decides. Pure.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jsonschema_rs

from receiver.contract import Schema
from receiver.outline import Place

UNDECLARED = "undeclared"
"""The name of a member that no schema declares."""

DEEPEST = 5
"""An example is made so deep: a schema may refer to itself."""

_OF_TYPE: dict[str, list[Any]] = {
    "string": ["text", "1", "42", "a", "A", "abc", "ABC", "a1", "1.00", "123456", "AA00AAAA0000000000", ""],
    "integer": [1, 0, 2, 7, -1],
    "number": [0.5, 1.5, -0.5],
    "boolean": [True, False],
    "null": [None],
    "object": [{}],
    "array": [[]],
}
_OF_FORMAT = {
    "uuid": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "date-time": "2026-11-25T12:00:00Z",
    "date": "2026-11-25",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "idn-email": "someone@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "/a",
    "iri": "https://example.com/",
    "iri-reference": "/a",
    "json-pointer": "/a",
    "regex": "a",
}
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_SIZES = ("minLength", "maxLength")
_COUNTS = ("minItems", "maxItems")
_OF_SCALARS = ("const", "enum", "format", "pattern", "multipleOf", *_BOUNDS, *_SIZES)
_LONGEST = 10_000


def suggested(place: Place, depth: int = 0) -> list[Any]:
    """Values that the keywords of a place are about, each once, likely ones first."""
    named = [*place.values("const"), *_all(place.values("enum")), *_all(place.values("examples"))]
    formatted = [_OF_FORMAT[name] for name in place.values("format") if name in _OF_FORMAT]
    sized = [*_numbers(place), *_texts(place, formatted), *_arrays(place, depth)]
    return _distinct([*named, *formatted, *sized, *_all(_OF_TYPE.values())])


def example(place: Place, depth: int = 0) -> Any:
    """A value with all that a place declares."""
    if depth < DEEPEST and place.members:
        return {name: example(member, depth + 1) for name, member in place.members.items()}
    if depth < DEEPEST and place.items.said:
        return [example(place.items, depth + 1)] * max([1, *_small(place, _COUNTS[:1])])
    kinds = {kind for said in place.values("type") for kind in (said if isinstance(said, list) else [said])}
    likely = suggested(place, depth)
    of_kind = [value for value in likely if kind_of(value) in kinds - {"null"}] or likely[:1]
    deciders = [_decider(schema) for schema, _ in place.said]
    return max(of_kind, key=lambda value: sum(decider.is_valid(value) for decider in deciders))


def _decider(schema: Schema) -> jsonschema_rs.Validator:
    """Judges a value by what a schema says of it, and of nothing in it."""
    said = {keyword: schema[keyword] for keyword in _OF_SCALARS if keyword in schema}
    return jsonschema_rs.validator_for(said, validate_formats=True)


def variants(value: Any, places: Sequence[Place]) -> Iterator[Any]:
    """A value and what differs from it in one place, as the schemas of several contracts suggest."""
    yield value
    for place in places:
        yield from suggested(place)
        yield example(place)
    if isinstance(value, dict):
        yield from _variants_of_object(value, places)
    if isinstance(value, list):
        yield from _variants_of_array(value, places)


def _variants_of_object(value: dict[str, Any], places: Sequence[Place]) -> Iterator[Any]:
    names = dict.fromkeys([*value, *(name for place in places for name in place.members)])
    for name in names:
        yield {key: member for key, member in value.items() if key != name}
        of_member = [place.members[name] for place in places if name in place.members]
        for other in variants(value[name], of_member) if name in value else _fresh(of_member):
            yield {**value, name: other}
    yield {**value, UNDECLARED: "text"}


def _variants_of_array(value: list[Any], places: Sequence[Place]) -> Iterator[Any]:
    of_items = [place.items for place in places]
    for other in variants(value[0], of_items) if value else _fresh(of_items):
        yield [other, *value[1:]]


def _fresh(places: Iterable[Place]) -> Iterator[Any]:
    for place in places:
        yield example(place)
        yield from suggested(place)


def kind_of(value: object) -> str:
    """The JSON type of a value; a whole number is an `integer`."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")


def _numbers(place: Place) -> Iterator[int | float]:
    steps = [step for step in place.values("multipleOf") if _is_number(step)]
    for bound in (bound for keyword in _BOUNDS for bound in place.values(keyword) if _is_number(bound)):
        yield from (bound, bound + 1, bound - 1, bound + 0.5, bound - 0.5)
        yield from (round(bound / step) * step + more for step in steps for more in (0, step, -step))
    for step in steps:
        yield from (step, 2 * step, step / 2)


def _texts(place: Place, likely: Sequence[str]) -> Iterator[str]:
    for size in (size + step for size in _small(place, _SIZES) for step in (0, -1, 1) if size + step >= 0):
        yield from (text[:size] + text[-1:] * (size - len(text)) for text in [*likely, "text", "1", "A"])


def _arrays(place: Place, depth: int) -> Iterator[list[Any]]:
    if depth >= DEEPEST:
        return
    for count in (count + step for count in _small(place, _COUNTS) for step in (0, -1, 1) if count + step > 0):
        yield [example(place.items, depth + 1)] * count


def _small(place: Place, keywords: Iterable[str]) -> list[int]:
    """The sizes that are said by these keywords, but for those that nothing should be made as large as."""
    said = (size for keyword in keywords for size in place.values(keyword))
    return [int(size) for size in said if _is_number(size) and size <= _LONGEST]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _all(lists: Iterable[Any]) -> list[Any]:
    return [one for found in lists if isinstance(found, list) for one in found]


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({json.dumps(value, sort_keys=True): value for value in values}.values())
