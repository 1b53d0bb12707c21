"""Values: what a schema's keywords imply for one place in a body.

In: a schema, and the value that is there. Out: other values, each named after the keyword that it is about: the members
of an enum, what lies at and beyond a bound, other types. They are guesses: the contract decides what each is. Pure.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from receiver.contract import Schema

_OF_TYPE: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "integer": 7,
    "number": 0.5,
    "string": "text",
    "array": [],
    "object": {},
}


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
