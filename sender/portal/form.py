"""A form made from a schema: the fields that an event's data has, filled from a sample; and what was typed, as JSON.

In: what a contract says of a place, and data; or texts that were typed. Out: fields; or data, and where a text is no
JSON. What no field can say (a member that no schema declares, a union of shapes) stands in the form as JSON. Pure.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from receiver.delivery import MalformedBody, parse
from receiver.instances import kind_of
from receiver.outline import Place
from receiver.violations import Violation, token

LEFT_OUT = "left out"
"""What is chosen in the place of a type, or of a value, where a member is not there at all."""

_DEEPEST = 4
_UNIONS = ("anyOf", "oneOf", "if", "not")
_NUMBERS = {"integer", "number"}
_SCALARS = ["integer", "number", "string"]
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
_REQUIRED = re.compile(r"'(.*)' is a required property", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")  # which an input of one line does not keep
_ABSENT: Any = object()


class Kind(StrEnum):
    """How a field is filled in. `OTHERS` are the members of an object that have no field of their own."""

    TEXT = "text"
    MOMENT = "moment"
    CHOICE = "choice"
    JSON = "json"
    OTHERS = "others"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Field:
    """A field. `pointer` leads to its member in the data. `choices` are JSON texts; `types` is what a typed text can be
    taken for, with null and `LEFT_OUT` where the member may be those. `text` and `type` are what stands in it."""

    pointer: str
    name: str
    kind: Kind
    required: bool
    description: str = ""
    hint: str = ""
    choices: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    text: str = ""
    type: str = ""
    members: "tuple[Field, ...]" = ()

    @property
    def id(self) -> str:
        """An id for its elements."""
        return id_of(self.pointer)


def id_of(pointer: str) -> str:
    """The same for the same pointer, and fit for HTML whatever that holds."""
    return f"f{hashlib.blake2b(pointer.encode(errors='replace'), digest_size=6).hexdigest()}"


def fields_of(place: Place, value: Mapping[str, Any], pointer: str = "", depth: int = 0) -> tuple[Field, ...]:
    """The fields of an object at a place, as a value fills them."""
    required = {name for names in place.values("required") for name in names}
    declared = tuple(
        _field(
            member,
            Field(f"{pointer}/{token(name)}", name, Kind.JSON, name in required),
            value.get(name, _ABSENT),
            depth,
        )
        for name, member in place.members.items()
    )
    others = {name: one for name, one in value.items() if name not in place.members}
    if declared and not others:
        return declared
    return (*declared, _others(pointer, others, alone=not declared))


def typed(texts: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What was typed, as data; and what is wrong with texts that are no JSON, by their pointers: those are left out.

    The texts are by the kind of their field, `:` and its pointer; `type:` is for the chosen types.
    """
    data: dict[str, Any] = {}
    flaws: dict[str, str] = {}
    for name, text in texts.items():
        kind, _, pointer = name.partition(":")
        if kind not in list(Kind) or not pointer.startswith("/"):
            continue
        try:
            value = _value(Kind(kind), text, texts.get(f"type:{pointer}", "string"))
        except MalformedBody as error:
            flaws[pointer] = f"is not JSON: {error}"
            continue
        if kind == Kind.OTHERS and not isinstance(value, dict):
            flaws[pointer] = "must be a JSON object, of members and their values"
        elif value is not _ABSENT:
            _put(data, pointer, value)
    return data, flaws


def flaws_at(pointers: Collection[str], violations: Sequence[Violation]) -> tuple[dict[str, str], list[Violation]]:
    """What is wrong at these places of the data, or below them; and the violations that are at none of them. Those
    point into the payload."""
    told: dict[str, str] = {}
    elsewhere = []
    for violation in violations:
        nearest = _nearest(violation, pointers)
        if nearest is None:
            elsewhere.append(violation)
        else:
            told.setdefault(nearest, "is required" if violation.keyword == "required" else violation.message)
    return told, elsewhere


def pretty(value: Any) -> str:
    """JSON as it is read and edited."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _others(pointer: str, others: Mapping[str, Any], *, alone: bool) -> Field:
    name = "Members" if alone else "Other members"
    told = "No member is documented; write any." if alone else "Not declared by the schema."
    text = pretty(others) if others else "{}"
    # No token of a pointer ends in ~, so no member has this one.
    return Field(f"{pointer}/~", name, Kind.OTHERS, required=False, description=told, hint="JSON object", text=text)


def _field(place: Place, blank: Field, value: Any, depth: int) -> Field:
    told = replace(blank, description=next((str(text) for text in place.values("description")), ""))
    types, plain = _types(place), not any(place.values(keyword) for keyword in _UNIONS)
    kind = None if value is _ABSENT else kind_of(value)
    if plain and (choices := _choices(place, types)):
        return _choice(told, choices, value)
    if plain and types == {"object"} and place.members and kind in {None, "object"} and depth < _DEEPEST:
        members = fields_of(place, {} if value is _ABSENT else value, blank.pointer, depth + 1)
        return replace(told, kind=Kind.GROUP, members=members)
    scalar = kind in {None, "null", *_SCALARS} and not (isinstance(value, str) and _CONTROL.search(value))
    if plain and scalar and types & {*_SCALARS} and types <= {*_SCALARS, "null"}:
        return _scalar(told, place, types, value)
    return replace(told, hint="JSON", text="" if value is _ABSENT else pretty(value))


def _types(place: Place) -> set[str]:
    """The JSON types that a place allows; empty where nothing is said of them."""
    said = [set(one) if isinstance(one, list) else {str(one)} for one in place.values("type")]
    return (set.intersection(*said) or set.union(*said)) if said else set()


def _choices(place: Place, types: set[str]) -> list[str]:
    """The values of which a member has to be one, as JSON; none where it may be any."""
    said = [[value] for value in place.values("const")] + [one for one in place.values("enum") if isinstance(one, list)]
    if said:
        return [json.dumps(value, ensure_ascii=False) for value in said[0]]
    return (
        ["true", "false", *sorted(types - {"boolean"})] if "boolean" in types and types <= {"boolean", "null"} else []
    )


def _choice(told: Field, choices: list[str], value: Any) -> Field:
    """What stands there is among the choices, however wrong it is."""
    now = LEFT_OUT if value is _ABSENT else json.dumps(value, ensure_ascii=False)
    listed = dict.fromkeys([*choices, *([] if told.required else [LEFT_OUT]), now])
    return replace(told, kind=Kind.CHOICE, hint="one of these", choices=tuple(listed), text=now)


def _scalar(told: Field, place: Place, types: set[str], value: Any) -> Field:
    scalars = [one for one in _SCALARS if one in types]
    allowed = [*scalars, *sorted(types & {"null"}), *([] if told.required else [LEFT_OUT])]
    now = LEFT_OUT if value is _ABSENT else _type_of(value, types)
    text = "" if value is _ABSENT or value is None else value if isinstance(value, str) else json.dumps(value)
    formats = [str(one) for one in place.values("format")]
    moment = formats == ["date-time"] and scalars == ["string"] and (not text or bool(_MOMENT.fullmatch(text[:-1])))
    return replace(
        told,
        kind=Kind.MOMENT if moment else Kind.TEXT,
        hint="date-time, in UTC" if moment else " or ".join(formats[:1] or scalars),
        types=tuple(dict.fromkeys([*allowed, now])),
        type=now,
        text=text.removesuffix("Z") if moment else text,
    )


def _type_of(value: Any, types: set[str]) -> str:
    kind = kind_of(value)
    return "number" if kind in _NUMBERS - types and "number" in types else kind


def _value(kind: Kind, text: str, type_: str) -> Any:
    match kind:
        case Kind.GROUP:
            return {}
        case Kind.CHOICE | Kind.JSON | Kind.OTHERS:
            return (
                _ABSENT
                if text.strip() in {LEFT_OUT, ""} and kind is not Kind.OTHERS
                else parse((text or "{}").encode())
            )
        case _ if type_ in {LEFT_OUT, "null"}:
            return None if type_ == "null" else _ABSENT
        case _ if type_ in _NUMBERS:
            return _number(text)
        case Kind.MOMENT if whole := _MOMENT.fullmatch(text):
            return f"{text}{'' if whole[1] else ':00'}Z"
        case _:
            return text


def _number(text: str) -> Any:
    """The number that a text is; else the text, of which the schema says that it is none."""
    try:
        value = parse(text.strip().encode())
    except MalformedBody:
        return text
    return value if kind_of(value) in _NUMBERS else text


def _put(data: dict[str, Any], pointer: str, value: Any) -> None:
    *way, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))
    home: Any = data
    for step in way:
        home = home.setdefault(step, {}) if isinstance(home, dict) else None
    if not isinstance(home, dict):  # no form of ours has a member of what is no object
        return
    if pointer.endswith("/~"):
        home.update(value)
    elif not (value == {} and last in home):
        home[last] = value


def _nearest(violation: Violation, pointers: Collection[str]) -> str | None:
    """The place that a violation is at: its own, else the one that it lies in."""
    pointer = violation.pointer.removeprefix("/data")
    if violation.keyword == "required" and (name := _REQUIRED.match(violation.message)):
        pointer = f"{pointer}/{token(name[1])}"
    while pointer:
        if pointer in pointers:
            return pointer
        pointer = pointer.rpartition("/")[0]
    return None
