"""Changes: where two versions of a contract's schemas differ, but for what only explains.

In: schemas. Out: places and what changed there. Pure.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from receiver.contract import ENVELOPE, Contract, Schema
from receiver.outline import rebuilt, subschemas
from receiver.violations import pointer

ANNOTATIONS = {"title", "description", "$comment", "examples", "default", "deprecated", "readOnly", "writeOnly"}
"""Keywords that allow and refuse nothing."""

_LONGEST = 60


def judging(schema: Any) -> Any:
    """What of a schema judges: without its annotations."""
    if not isinstance(schema, dict):
        return schema
    return rebuilt({key: value for key, value in schema.items() if key not in ANNOTATIONS}, judging)


def judges_of(contract: Contract, event: str) -> dict[str, Schema | None]:
    """What judges of the documents that an event type's schema is made of, by name; None where one is not known."""
    found: dict[str, Schema | None] = {}
    waiting = [ENVELOPE, event]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        document = contract.envelope.schema if name == ENVELOPE else getattr(contract.events.get(name), "schema", None)
        found[name] = judging(document)
        for _, schema in subschemas(document):
            references = [schema[keyword] for keyword in ("$ref", "$dynamicRef") if keyword in schema]
            waiting += [contract.referred(str(reference), name)[0] for reference in references]
    return found


def changes(old: Mapping[str, Any], new: Mapping[str, Any], event: str) -> Iterator[tuple[str, str]]:
    """Where the documents of an event type differ: a JSON Pointer, after the name of the document where that is another
    one, and what changed."""
    for name in dict.fromkeys([event, *sorted(old.keys() | new.keys())]):
        prefix = "" if name == event else f"{name}.json#"
        yield from ((prefix + place, text) for place, text in _changes(old.get(name), new.get(name), ()))


def same(one: object, other: object) -> bool:
    """Whether two values are one in JSON, where `1` is not `true`."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _changes(old: Any, new: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    if same(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            if key not in new or key not in old:
                yield pointer((*path, key)), "removed" if key in old else "added"
            else:
                yield from _changes(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and not _holds_schemas([*old, *new]):
        yield from ((pointer(path), f"removed {_short(one)}") for one in old if one not in new)
        yield from ((pointer(path), f"added {_short(one)}") for one in new if one not in old)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _changes(before, after, (*path, index))
    else:
        yield pointer(path), f"changed from {_short(old)} to {_short(new)}"


def _holds_schemas(found: list[Any]) -> bool:
    return any(isinstance(one, dict) for one in found)


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
