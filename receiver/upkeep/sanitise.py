"""Sanitising: a sample for a repository from a payload that came, in which no real value is left.

In: a valid payload and the contract. Out: a payload of the same shape, with what the schema does not declare left out
and every value replaced by a neutral one, judged valid by the contract after each step; and what was done, by place.
Only what the schema itself says (a const, a member of an enum) stays. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from receiver.contract import Contract
from receiver.instances import kind_of, suggested
from receiver.outline import Place
from receiver.upkeep.changes import same
from receiver.violations import pointer

MOST_ITEMS = 2
"""So many items of an array are kept, where its schema allows that: how many came is a value too."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SHAPE = ((re.compile(r"[0-9]"), "0"), (re.compile(r"[A-Z]"), "A"), (re.compile(r"[^A-Z0-9 .:/@_+-]"), "a"))

Path = tuple[str | int, ...]


class SanitiseError(Exception):
    """A payload that no sample can be made of; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was done at a place, a JSON Pointer into the sample."""

    pointer: str
    what: str


class Sanitiser:
    """Makes samples of payloads of one event type.

    An id that is in several payloads, or several times in one, becomes the same id in each place. Which one, its number
    in the order of their first occurrence decides, so that nothing of it is in what replaces it. `ids` are those known
    so far, each with what replaces it, where several sanitisers share them.
    """

    def __init__(self, contract: Contract, event: str, ids: dict[str, str] | None = None) -> None:
        self._contract = contract
        self._event = event
        self._place = Place.of_event(contract, event)
        self._ids = {} if ids is None else ids

    def sample(self, payload: object) -> tuple[dict[str, Any], list[Step]]:
        """A sample made of a payload, and what was done.

        Raises:
            SanitiseError: the payload is not valid or not of this event type, or a place allows no neutral value.
        """
        if not isinstance(payload, dict) or payload.get("event") != self._event or not self._contract.allows(payload):
            raise SanitiseError(f"is no valid {self._event}, and only that makes a sample; `receiver show` tells why")
        steps: list[Step] = []
        sample = self._without_undeclared(payload, steps)
        for path, value, place in list(_values(sample, self._place, ())):
            if path == ("event",):
                continue
            sample, what = self._replaced(sample, path, value, place)
            steps.append(Step(pointer(path), what))
        return sample, steps

    def _without_undeclared(self, payload: dict[str, Any], steps: list[Step]) -> dict[str, Any]:
        for most in (MOST_ITEMS, len(str(payload))):
            done: list[Step] = []
            sample = _declared(payload, self._place, (), most, done)
            if self._contract.allows(sample):
                steps += done
                return dict(sample)
        raise SanitiseError("needs what its schema does not declare by name; declare that, or make a sample by hand")

    def _replaced(self, sample: Any, path: Path, value: object, place: Place) -> tuple[Any, str]:
        if value is None or _is_said(value, place):
            return sample, "stays: null" if value is None else "stays: the schema says it"
        for neutral, what in self._neutral(value, place):
            changed = _with(sample, path, neutral)
            if self._contract.allows(changed):
                return changed, what
        raise SanitiseError(
            f"{pointer(path)}: no neutral value is known that the schema allows there; say one in `examples` there"
        )

    def _neutral(self, value: object, place: Place) -> Iterator[tuple[Any, str]]:
        """What may stand in the place of a value, of its own kind first. It may be equal by chance: to avoid that would
        tell something of the value."""
        if isinstance(value, str) and _UUID.fullmatch(value):
            known = self._ids.setdefault(value.lower(), _id(len(self._ids) + 1))
            number = list(self._ids.values()).index(known) + 1
            yield from ((spelt, f"id {number}") for spelt in (known, known.upper()))
        kind = kind_of(value)
        likely = sorted(suggested(place), key=lambda other: (kind_of(other) != kind, _is_said(other, place)))
        yield from ((other, f"a neutral {kind}") for other in likely if _is_alike(kind_of(other), kind))
        if isinstance(value, str) and _shape_of(value) != value:
            yield _shape_of(value), "its shape: letters and digits are replaced"


def _declared(value: Any, place: Place, path: Path, most: int, steps: list[Step]) -> Any:
    """A value without the members that its schema does not know by name, and with few items."""
    if isinstance(value, dict):
        if unknown := len(value.keys() - place.members.keys()):
            steps.append(Step(pointer(path), f"{unknown} left out that the schema does not declare"))
        return {
            name: _declared(value[name], member, (*path, name), most, steps)
            for name, member in place.members.items()
            if name in value
        }
    if isinstance(value, list):
        if len(value) > most:
            steps.append(Step(pointer(path), f"the first {most} items of several"))
        return [_declared(one, place.items, (*path, index), most, steps) for index, one in enumerate(value[:most])]
    return value


def _values(value: object, place: Place, path: Path) -> Iterator[tuple[Path, object, Place]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _values(member, place.members[name], (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _values(item, place.items, (*path, index))
    else:
        yield path, value, place


def _is_said(value: object, place: Place) -> bool:
    said = [*place.values("const"), *(one for values in place.values("enum") for one in values)]
    return any(same(value, one) for one in said)


def _is_alike(kind: str, other: str) -> bool:
    return kind == other or {kind, other} == {"integer", "number"}


def _id(number: int) -> str:
    """The id that stands for the first, second, ... one: by its number alone."""
    return str(UUID(bytes=uuid5(NAMESPACE_URL, f"receiver export, id {number}").bytes, version=4))


def _shape_of(text: str) -> str:
    """For a pattern such as an account number's."""
    for pattern, letter in _SHAPE:
        text = pattern.sub(letter, text)
    return text


def _with(sample: Any, path: Path, value: object) -> Any:
    if not path:
        return value
    copy = sample.copy()
    copy[path[0]] = _with(sample[path[0]], path[1:], value)
    return copy
