"""Violations: where and how a payload departs from its schema, in words that hold no value of the payload.

In: schemas by their place, and an invalid payload. Out: violations. jsonschema finds them all, with their pointers; it
is imported only here, when the first one is asked for. jsonschema-rs has decided before, and has the last word on
formats.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jsonschema_rs

if TYPE_CHECKING:
    from jsonschema import ValidationError

MOST_VIOLATIONS = 100
"""More violations than these of one payload are not listed."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a payload departs from its schema. None of the three holds a value of the payload."""

    pointer: str
    """Where: a JSON Pointer (RFC 6901) into the payload."""
    keyword: str
    """The JSON Schema keyword that was violated."""
    message: str


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

    def violations(self, payload: object) -> tuple[Violation, ...]:
        """The violations of an invalid payload, the first `MOST_VIOLATIONS` of them; at least one."""
        from jsonschema.exceptions import best_match

        errors = islice(self._validator.iter_errors(payload), MOST_VIOLATIONS)
        # Of the branches of an anyOf or oneOf, the one that came nearest is what helps its reader.
        found = dict.fromkeys(_violation(best_match([error]) or error) for error in errors)
        return tuple(found) or tuple(self._bare(payload))

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import validator_for
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        resources = ((place, DRAFT202012.create_resource(schema)) for place, schema in self._schemas.items())
        registry: Any = Registry().with_resources(resources)  # its own retrieve refuses: nothing is fetched
        cls = validator_for(self._schemas[self._place], default=Draft202012Validator)
        formats: Any = SimpleNamespace(check=_check_format)
        # jsonschema knows no base URI but the `$id`, so a schema is entered by its place in the registry.
        return cls({"$ref": self._place}, registry=registry, format_checker=formats)

    def _bare(self, payload: object) -> Iterator[Violation]:
        """Where jsonschema finds nothing (a pattern that Python's `re` reads otherwise), what the decider says."""
        for error in islice(self._decider.iter_errors(payload), MOST_VIOLATIONS):
            keyword = str(error.schema_path[-1])
            yield Violation(_pointer(error.instance_path), keyword, f"does not satisfy {keyword}")


def _check_format(instance: object, name: str) -> None:
    """Of formats too jsonschema-rs decides: jsonschema checks some only with a dozen packages more, and then
    otherwise."""
    if not _format_validator(name).is_valid(instance):
        from jsonschema.exceptions import FormatError

        raise FormatError(name)


@cache
def _format_validator(name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({"format": name}, validate_formats=True, offline=True)


def _pointer(path: Iterable[str | int]) -> str:
    """A path into a JSON document as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _violation(error: "ValidationError") -> Violation:
    return Violation(_pointer(error.absolute_path), str(error.validator), _message(error))


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
