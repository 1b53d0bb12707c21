"""Shapes: the bodies that a schema implies, good and bad, always the same ones.

In: a contract and an event type. Out: a body with all that is documented, one with as little as can be, good variants,
and mutants that violate the schema in just one place and way. Values are put where the schema says something of them,
guided by what it says; what each body then is, the contract decides. Pure.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from receiver.contract import Contract, Judgement, Verdict
from receiver.instances import example
from receiver.outline import Place
from receiver.violations import pointer
from sender.verify.notation import OWN
from sender.verify.values import others

Payload = dict[str, Any]
Path = tuple[str | int, ...]


class ShapeError(Exception):
    """An event type of which no valid body can be made."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A body and what sets it apart: where (a JSON Pointer), by which keyword, and which of several."""

    pointer: str
    keyword: str
    name: str
    payload: Payload

    @property
    def place(self) -> str:
        """`/data/status/type/number`."""
        return "/".join(filter(None, [self.pointer, self.keyword, self.name]))


@dataclass(frozen=True, slots=True)
class Shapes:
    """The bodies of one event type. `violations` are those of its own schema, `broken` those of the envelope."""

    maximal: Payload
    minimal: Payload
    variants: tuple[Shape, ...]
    violations: tuple[Shape, ...]
    broken: tuple[Shape, ...]


def shapes(contract: Contract, event: str) -> Shapes:
    """The bodies of an event type that the contract knows.

    Raises:
        ShapeError: no sample is valid, and none could be made.
    """
    maximal = _maximal(contract, event)
    good: dict[str, Shape] = {}
    bad: dict[str, Shape] = {}
    broken: dict[str, Shape] = {}
    for path, keyword, name, payload in _changes(contract, event, maximal):
        judgement = contract.judge(payload)
        if judgement.verdict is Verdict.VALID and payload != maximal:
            shape = Shape(pointer(path), keyword, name, payload)
            good.setdefault(shape.place, shape)
        elif _violates_one_thing(judgement):
            (violation,) = judgement.violations
            shape = Shape(violation.pointer, violation.keyword, name, payload)
            home = bad if contract.envelope.validator.is_valid(payload) else broken
            home.setdefault(shape.place, shape)
    return Shapes(
        maximal, _minimal(contract, maximal), tuple(good.values()), tuple(bad.values()), tuple(broken.values())
    )


def _violates_one_thing(judgement: Judgement) -> bool:
    return judgement.verdict is Verdict.INVALID and len(judgement.violations) == 1


def _maximal(contract: Contract, event: str) -> Payload:
    """The samples in one, the first of them foremost, and what the schema documents beside."""
    samples = [dict(sample) for sample in contract.samples(event).values() if _is_valid(contract, sample)]
    payload = {"event": event, "data": {}}
    for sample in reversed(samples):
        payload = _merged(payload, sample)
    made = example(Place.of_event(contract, event))
    candidates = [_merged(made, payload) if isinstance(made, dict) else payload, payload, *samples]
    for candidate in candidates:
        if _is_valid(contract, candidate) and isinstance(candidate.get("data"), dict):
            return candidate
    raise ShapeError(
        f"no valid body of {event} can be made from its schema alone: put one into "
        f"{contract.samples_directory / event}/default.json, or leave it out with --events"
    )


def _minimal(contract: Contract, payload: Payload) -> Payload:
    """Without each member that can be missing, the last ones first."""
    for path in reversed(list(_members(payload))):
        fewer = _without(payload, path)
        if _is_valid(contract, fewer):
            payload = fewer
    return payload


def _changes(contract: Contract, event: str, payload: Payload) -> Iterator[tuple[Path, str, str, Payload]]:
    """Each change to one place of a body: where, guided by which keyword, the change's name, and the changed body."""
    for path, place in _places(payload, Place.of_event(contract, event)):
        value = _at(payload, path)
        for schema, _ in place.said:
            for keyword, name, other in others(schema, value):
                yield path, keyword, name, _with(payload, path, other)
        if isinstance(value, dict):
            for key in value:
                yield path, "absent", key, _without(payload, (*path, key))
            yield path, "additional", OWN, _with(payload, (*path, OWN), "text")


def _places(value: object, place: Place, path: Path = ()) -> Iterator[tuple[Path, Place]]:
    """Each place in a body of which the schemas say something."""
    if not place.said:
        return
    yield path, place
    if isinstance(value, dict):
        for key in (key for key in value if key in place.members):
            yield from _places(value[key], place.members[key], (*path, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, place.items, (*path, index))


def _is_valid(contract: Contract, payload: object) -> bool:
    return contract.judge(payload).verdict is Verdict.VALID


def _merged(under: Any, over: Any) -> Any:
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        shared = {key: _merged(under[key], over[key]) for key in under if key in over}
        return {**under, **over, **shared}
    return over


def _members(value: object, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield (*path, key)
            yield from _members(member, (*path, key))


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _with(payload: Payload, path: Path, value: object) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(payload)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


def _without(payload: Payload, path: Path) -> Payload:
    changed = copy.deepcopy(payload)
    del _at(changed, path[:-1])[path[-1]]
    return changed
