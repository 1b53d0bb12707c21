"""Values: what a schema's keywords imply for one place in a body.

In: a schema. Out: an example of what it allows, and other values, each named after the keyword that it is about: the
members of an enum, what lies at and beyond a bound, other types. They are guesses: the contract decides what each is.
Pure.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs

from receiver.contract import Contract, Schema

Placed = tuple[str, Schema]
"""A schema, after the name of the document in which its references are read."""

DEEPEST = 8
"""References and members are followed so deep: a schema may refer to itself."""

_OF_TYPE: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "integer": 7,
    "number": 0.5,
    "string": "text",
    "array": [],
    "object": {},
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
_STRINGS = ("text", "1", "42", "123456", "a", "A", "abc", "ABC", "a1", "A1", "NL91ABNA0417164300", "1.00", "")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_SCALARS = ("type", "format", "pattern", "minLength", "maxLength", "multipleOf", *_BOUNDS)


def flattened(contract: Contract, placed: Placed, depth: int = 0) -> Iterator[Placed]:
    """A schema, and those that it refers to or is put together of, which say something of the same place."""
    home, schema = placed
    if not schema or depth > DEEPEST:
        return
    yield placed
    if isinstance(reference := schema.get("$ref"), str):
        yield from flattened(contract, contract.referred(reference, home), depth + 1)
    branches = [branch for keyword in ("allOf", "anyOf", "oneOf") for branch in schema.get(keyword, [])]
    for branch in _schemas([*branches, schema.get("if"), schema.get("then"), schema.get("else")]):
        yield from flattened(contract, (home, branch), depth + 1)


def members(flat: list[Placed], key: str) -> list[Placed]:
    """What flattened schemas say of a member of the objects they describe."""
    return [(home, found) for home, schema in flat for found in _schemas([_mapping(schema, "properties").get(key)])]


def items(flat: list[Placed], index: int) -> list[Placed]:
    """What flattened schemas say of an item of the arrays they describe."""
    found = []
    for home, schema in flat:
        first = schema.get("prefixItems") or []
        found += [(home, one) for one in _schemas([*first, *[schema.get("items")] * (index + 1)][index : index + 1])]
    return found


def example(contract: Contract, placed: Placed, depth: int = 0) -> Any:
    """A value that a schema may allow, with every member that it documents."""
    flat = list(flattened(contract, placed))
    said: Schema = {}
    for _, schema in reversed(flat):
        said |= schema
    if "const" in said:
        return said["const"]
    if isinstance(listed := said.get("enum"), list) and listed:
        return listed[0]
    kind = _kind(said)
    if kind == "object" and depth < DEEPEST:
        names = {name: None for _, schema in flat for name in _mapping(schema, "properties")}
        return {name: _example_of_all(contract, members(flat, name), depth + 1) for name in names}
    if kind == "array" and depth < DEEPEST:
        return [
            _example_of_all(contract, items(flat, index), depth + 1) for index in range(max(1, said.get("minItems", 1)))
        ]
    return _scalar(said, kind)


def others(schema: Schema, value: Any) -> Iterator[tuple[str, str, Any]]:
    """Values to put in the place of `value`: the keyword that each is about, a name, and the value."""
    for name, other in _OF_TYPE.items():
        yield "type", name, other
    for member in schema.get("enum", []):
        yield "enum", member if isinstance(member, str) else json.dumps(member), member
    for keyword in schema:
        for name, make in _BESIDE.get(keyword, {}).items():
            if (other := _made(make, schema[keyword], value)) is not None:
                yield keyword, name, other


def _made(make: Callable[[Any, Any], Any], wanted: Any, value: Any) -> Any:
    """A value, where the keyword is about such values as there is."""
    try:
        return make(wanted, value)
    except (TypeError, AttributeError, LookupError, ValueError):
        return None


def _resized(text: str, size: int) -> str | None:
    return None if size < 0 or not isinstance(text, str) else text[:size] + "x" * (size - len(text))


_BESIDE: dict[str, dict[str, Callable[[Any, Any], Any]]] = {
    "const": {"other": lambda wanted, _: f"{wanted}-other" if isinstance(wanted, str) else "other"},
    "enum": {
        "other": lambda wanted, _: f"{wanted[0]}-other",
        "other-case": lambda wanted, _: wanted[0].swapcase(),
        "blank-after": lambda wanted, _: wanted[0] + " ",
    },
    "minimum": {"at": lambda bound, _: bound, "below": lambda bound, _: bound - 1},
    "maximum": {"at": lambda bound, _: bound, "above": lambda bound, _: bound + 1},
    "exclusiveMinimum": {"at": lambda bound, _: bound, "above": lambda bound, _: bound + 1},
    "exclusiveMaximum": {"at": lambda bound, _: bound, "below": lambda bound, _: bound - 1},
    "multipleOf": {"between": lambda step, value: value + step / 2},
    "minLength": {
        "at": lambda size, value: _resized(value, size),
        "below": lambda size, value: _resized(value, size - 1),
    },
    "maxLength": {
        "at": lambda size, value: _resized(value, size),
        "above": lambda size, value: _resized(value, size + 1),
    },
    "pattern": {
        "empty": lambda _, __: "",
        "other": lambda _, __: "!",
        "letters": lambda _, __: "twelve",
        "digits": lambda _, __: "42",
        "newline-after": lambda _, value: (value if isinstance(value, str) else "42") + "\n",
    },
    "format": {
        "other": lambda wanted, _: f"not a {wanted}",
        "upper-case": lambda _, value: value.upper(),
        "undashed": lambda wanted, value: value.replace("-", "") if wanted == "uuid" else None,
        "braced": lambda wanted, value: f"{{{value}}}" if wanted == "uuid" else None,
        "date-only": lambda wanted, value: value[:10] if wanted == "date-time" else None,
        "newline-after": lambda _, value: value + "\n",
    },
    "minItems": {"at": lambda size, value: value[:size], "below": lambda size, value: value[: size - 1]},
    "maxItems": {
        "at": lambda size, value: (value * size)[:size],
        "above": lambda size, value: (value * (size + 1))[: size + 1],
    },
    "uniqueItems": {"twice": lambda _, value: value + value[:1] if isinstance(value, list) else None},
}


def _example_of_all(contract: Contract, placed: list[Placed], depth: int) -> Any:
    (home, _), *_ = placed or [("", {})]
    return example(contract, (home, {"allOf": [schema for _, schema in placed]}), depth)


def _kind(said: Schema) -> str:
    """The type of an example: the first that is allowed, null only where nothing else is."""
    kinds = said.get("type", next((kind for keyword, kind in _IMPLIED.items() if keyword in said), "string"))
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return next((str(kind) for kind in kinds if kind in _OF_TYPE and kind != "null"), "null")


_IMPLIED = {"properties": "object", "items": "array", "prefixItems": "array", "minimum": "number", "maximum": "number"}


def _scalar(said: Schema, kind: str) -> Any:
    """The first of some likely values that keeps to the bounds, the pattern and the format."""
    if kind == "string":
        texts = (_OF_FORMAT.get(said.get("format", ""), "text"), *_STRINGS)
        likely: list[Any] = [_resized(text, _fitting(said, len(text))) for text in texts]
    else:
        steps = (said.get("multipleOf", 1), -said.get("multipleOf", 1), 0.5, -0.5, 0)
        bounds = [said[keyword] + step for keyword in _BOUNDS if keyword in said for step in steps]
        multiples = [round(number / steps[0]) * steps[0] for number in [1, *bounds]]
        likely = [_OF_TYPE[kind], *multiples, *bounds]
    validator = jsonschema_rs.validator_for({key: said[key] for key in _SCALARS if key in said}, validate_formats=True)
    return next((value for value in likely if validator.is_valid(value)), likely[0])


def _fitting(said: Schema, size: int) -> int:
    return int(min(max(size, said.get("minLength", 0)), said.get("maxLength", size)))


def _schemas(found: object) -> list[Schema]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _mapping(schema: Schema, keyword: str) -> dict[str, Any]:
    found = schema.get(keyword)
    return found if isinstance(found, dict) else {}
