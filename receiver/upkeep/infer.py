"""Inferring: a draft of an event type's schema from what came.

In: captured deliveries of one event type. Out: a JSON Schema that allows each of them, with the names and types of
their fields and no value. genson merges them; jsonschema-rs's formats are what a string is tried by. Knows no contract.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import jsonschema_rs

from receiver.documents import ENVELOPE, Schema, misnamed
from receiver.entry import Captured
from receiver.terminal import iso

FORMATS = ("uuid", "date-time", "date", "email", "uri")
"""The formats that strings are tried by; the first that all strings of a field have is taken."""

MOST_MEMBERS = 100
"""An object with more different names than these has none of its own: they are values, such as account numbers."""

Path = tuple[str | int, ...]
"""Where in `data`; the items of an array are at `ITEMS`."""
ITEMS = 0


class InferError(Exception):
    """No schema can be drafted; the text says what to do."""


def infer(event: str, deliveries: Iterable[Captured]) -> tuple[Schema, int]:
    """A draft for an event type, and from how many deliveries it was made.

    Raises:
        InferError: there is none with an object as `data`, or the event's name cannot be a schema's.
    """
    from genson import SchemaBuilder  # type: ignore[import-untyped] # it ships no types

    for _, reason in misnamed(event, {}):
        raise InferError(f"no schema can be for this event type: {reason}")
    builder: Any = SchemaBuilder(schema_uri=None)
    formats: dict[Path, tuple[str, ...]] = {}
    times = []
    for captured in deliveries:
        data = _data(captured.payload)
        if data is None:
            continue
        times.append(captured.received_at)
        builder.add_object(data)
        for path, text in _strings(data, ()):
            formats[path] = tuple(name for name in formats.get(path, FORMATS) if _has_format(name).is_valid(text))
    if not times:
        raise InferError(
            f"no delivery of {event!r} with an object as its data is there to draft from: `receiver list` shows what "
            "is there, and `receiver schemas drift` which event types no schema knows"
        )
    number = "1 delivery" if len(times) == 1 else f"{len(times)} deliveries"
    span = f"{number}, {iso(min(times))} to {iso(max(times))}"
    return _draft(event, _finished(builder.to_schema(), formats, ()), span), len(times)


def _draft(event: str, data: Schema, span: str) -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{event}.json",
        "title": event.replace(".", " ").replace("_", " ").capitalize(),
        "$comment": f"A draft from {span}: names and types as they came, and what was in all of them is required. "
        "To be compared with the provider's documentation.",
        "$ref": f"{ENVELOPE}.json",
        "properties": {"event": {"const": event}, "data": data},
    }


def _data(payload: object) -> dict[str, Any] | None:
    data = payload.get("data") if isinstance(payload, dict) else None
    return data if isinstance(data, dict) else None


def _strings(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _strings(member, (*path, name))
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, (*path, ITEMS))


@cache
def _has_format(name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({"format": name}, validate_formats=True)


def _finished(schema: Schema, formats: dict[Path, tuple[str, ...]], path: Path) -> Schema:
    """What genson made of the values at a path, with the format of its strings."""
    if len(schema.get("properties", {})) > MOST_MEMBERS:
        return {"type": "object", "$comment": f"More than {MOST_MEMBERS} different names came: they look like values."}
    finished = dict(schema)
    if "properties" in schema:
        members = schema["properties"].items()
        finished["properties"] = {name: _finished(member, formats, (*path, name)) for name, member in members}
    if "items" in schema:
        finished["items"] = _finished(schema["items"], formats, (*path, ITEMS))
    if "anyOf" in schema:
        finished["anyOf"] = [_finished(branch, formats, path) for branch in schema["anyOf"]]
    kinds = schema.get("type", [])
    if "string" in (kinds if isinstance(kinds, list) else [kinds]) and formats.get(path):
        finished["format"] = formats[path][0]
    return finished
