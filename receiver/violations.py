"""Violations: where and how a payload departs from its schema, in words that hold no value of the payload.

In: schemas by their place, and an invalid payload. Out: violations. jsonschema finds them all, with their pointers; it
is imported only here, when the first one is asked for. jsonschema-rs has decided before, and has the last word on
what a hostile payload can make slow in Python, and on formats.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import jsonschema_rs

if TYPE_CHECKING:
    from jsonschema import ValidationError

MOST_VIOLATIONS = 100
"""More violations than these of one payload are not listed."""

MOST_POINTED = 64 << 10
"""Nor those after pointers of so many characters together: a payload's own long keys, each named again and again."""

MOST_REFERENCES = 70
"""So many references inside one another are followed to explain a payload: one for each level that a body may have."""

_REFERENCES = ("$ref", "$dynamicRef")
_following: ContextVar[int] = ContextVar("following", default=0)

_DECIDED = ("format", "pattern", "uniqueItems")
"""Keywords that jsonschema-rs decides here too. In Python a pattern such as `^(a+)+$`, or an array of objects that must
differ, can take hours on a payload made for it; and of formats jsonschema checks some only with a dozen packages more.
"""

_SLOW = ('"patternProperties"', '"unevaluatedProperties"', '"unevaluatedItems"')
"""Keywords that can take jsonschema as long, and of which no single one can be decided apart from those beside it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a payload departs from its schema. None of the three holds a value of the payload."""

    pointer: str
    """Where: a JSON Pointer (RFC 6901) into the payload."""
    keyword: str
    """The JSON Schema keyword that was violated."""
    message: str


class _Endless(Exception):
    """A schema that refers to itself without end."""


class Explainer:
    """Tells why payloads violate the schema at a place.

    Args:
        place: the URI of the schema.
        schemas: the schemas by their URIs, that one and whatever it refers to.
        decider: the validator that found the payloads invalid.
    """

    def __init__(self, place: str, schemas: Mapping[str, Any], decider: jsonschema_rs.Validator) -> None:
        self._place = place
        self._schemas = schemas
        self._decider = decider
        self._slow = any(keyword in json.dumps(schemas) for keyword in _SLOW)

    def violations(self, payload: object) -> tuple[Violation, ...]:
        """The violations of an invalid payload, the first `MOST_VIOLATIONS` of them; at least one."""
        if self._slow:
            return self._first(payload)
        from jsonschema.exceptions import best_match

        errors = islice(self._validator.iter_errors(payload), MOST_VIOLATIONS)
        try:
            # Of the branches of an anyOf or oneOf, the one that came nearest is what helps its reader.
            found = dict.fromkeys(_bounded(_violation(best_match([error]) or error) for error in errors))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - too deep for Python; in rpds, below jsonschema, that ends in a panic, no Exception
            return self._first(payload)
        return tuple(found) or self._first(payload)

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator, validators
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        resources = ((place, DRAFT202012.create_resource(_undeclared(doc))) for place, doc in self._schemas.items())
        registry: Any = Registry().with_resources(resources)  # its own retrieve refuses: nothing is fetched
        cls = validators.validator_for(self._schemas[self._place], default=Draft202012Validator)
        extend: Any = validators.extend
        known: Any = cls.VALIDATORS
        limited = {keyword: partial(_follow, known[keyword]) for keyword in _REFERENCES if keyword in known}
        decided = extend(cls, {keyword: partial(_decide, keyword) for keyword in _DECIDED} | limited)
        # jsonschema knows no base URI but the `$id`, so a schema is entered by its place in the registry.
        return decided({"$ref": self._place}, registry=registry)

    def _first(self, payload: object) -> tuple[Violation, ...]:
        """What the decider finds first; that is quick, while to list all may take it seconds."""
        try:
            self._decider.validate(payload)
        except jsonschema_rs.ValidationError as error:
            keyword = str(error.schema_path[-1])
            return (Violation(pointer(error.instance_path), keyword, f"does not satisfy {keyword}"),)
        return ()


def _bounded(violations: Iterable[Violation]) -> Iterator[Violation]:
    pointed = 0
    for violation in violations:
        yield violation
        pointed += len(violation.pointer)
        if pointed > MOST_POINTED:
            return


def _undeclared(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema without its `$schema`, at which jsonschema would go on with a validator that decides all by itself."""
    return {name: value for name, value in schema.items() if name != "$schema"}


def _follow(keyword: Any, *arguments: Any) -> "Iterator[Any]":
    """A reference, as jsonschema follows it; not without end, where a schema refers to itself at the same place."""
    depth = _following.get()
    if depth > MOST_REFERENCES:
        raise _Endless
    _following.set(depth + 1)
    try:
        yield from keyword(*arguments) or ()
    finally:
        _following.set(depth)


def _decide(keyword: str, _validator: object, wanted: object, instance: object, _schema: object) -> "Iterator[Any]":
    """jsonschema-rs's word on one keyword, in the form that jsonschema asks for."""
    if not _decider(keyword, json.dumps(wanted)).is_valid(instance):
        from jsonschema.exceptions import ValidationError

        yield ValidationError("")


@cache
def _decider(keyword: str, wanted: str) -> jsonschema_rs.Validator:
    schema = {keyword: json.loads(wanted)}
    return jsonschema_rs.validator_for(schema, validate_formats=True, offline=True)


def pointer(path: Iterable[str | int]) -> str:
    """A path into a JSON document as a JSON Pointer (RFC 6901)."""
    return "".join(f"/{token(step)}" for step in path)


def token(step: str | int) -> str:
    """A step of a path as a JSON Pointer has it."""
    return str(step).replace("~", "~0").replace("/", "~1")


def _violation(error: "ValidationError") -> Violation:
    return Violation(pointer(error.absolute_path), str(error.validator), _message(error))


def _message(error: "ValidationError") -> str:
    """What the schema wants, in words, without a value of the payload: those are people's bank data."""
    wanted = error.validator_value
    match error.validator:
        case "type":
            types = [str(name) for name in wanted] if isinstance(wanted, list) else [str(wanted)]
            return f"must be {' or '.join(types)}, is {_json_type(error.instance)}"
        case "required":
            return error.message  # names the member by the schema's own word
        case "format":
            return f"must be of format {wanted}"
        case "pattern":
            return f"must match the pattern {wanted}"
        case "additionalProperties" | "unevaluatedProperties":
            return "has a member that the schema does not allow"
        case keyword:
            return f"must satisfy {keyword}: {json.dumps(wanted)[:200]}"


def _json_type(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")
