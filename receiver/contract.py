"""The contract: one JSON Schema per event type, samples of each, and the verdict on a payload.

In: a directory of schemas (the shipped one, or the user's own), and parsed payloads. Out: judgements. Nothing is ever
fetched. jsonschema-rs decides; jsonschema, imported only when a payload is invalid, explains. Knows nothing of HTTP or
of storage.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urljoin

import jsonschema_rs

if TYPE_CHECKING:
    from jsonschema import ValidationError

ENVELOPE = "envelope"
BASE = "https://contract.invalid/"
"""Where a schema without an absolute `$id` is taken to lie, so that `"$ref": "envelope.json"` finds its neighbour."""

MOST_VIOLATIONS = 100
"""More violations than these of one payload are not listed."""

_EVENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Schema = dict[str, Any]


class ContractError(Exception):
    """A schema or a sample that cannot be used; the text names the file and the reason."""


class Verdict(StrEnum):
    """What is thought of a body that arrived."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN_EVENT = "unknown_event"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a payload departs from its schema. None of the three holds a value of the payload."""

    pointer: str
    """Where: a JSON Pointer (RFC 6901) into the payload."""
    keyword: str
    """The JSON Schema keyword that was violated."""
    message: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one payload, the event it names (None where it names none), and why it is not valid."""

    verdict: Verdict
    event: str | None
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A documented member of an event's `data`; `path` is dotted."""

    path: str
    required: bool
    type: str
    description: str


@dataclass(frozen=True)
class EventType:
    """An event type: its name and its schema, ready to judge."""

    name: str
    schema: Schema
    validator: jsonschema_rs.Validator

    @property
    def title(self) -> str:
        return str(self.schema.get("title", self.name))

    @property
    def description(self) -> str:
        return str(self.schema.get("description", ""))

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """The documented members of `data` by their dotted path, in the schema's order."""
        data = self.member(self.schema, "data")
        return {field.path: field for field in self._fields_of(data, "")}

    def _fields_of(self, schema: Schema, prefix: str) -> Iterator[Field]:
        for name in self.resolve(schema).get("properties", {}):
            member = self.member(schema, name)
            required = name in self.resolve(schema).get("required", [])
            yield Field(prefix + name, required, _type_of(member), str(member.get("description", "")))
            yield from self._fields_of(member, f"{prefix}{name}.")

    def member(self, schema: Schema, name: str) -> Schema:
        """The schema of a member of the objects that `schema` describes; empty where nothing is said of it."""
        return self.resolve(self.resolve(schema).get("properties", {}).get(name, {}))

    def resolve(self, schema: object) -> Schema:
        """`schema`, or what its `$ref` within this file points at; empty for `true` and `false`."""
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref", "")
        if not reference.startswith("#/"):
            return schema
        found: Any = self.schema
        for step in reference[2:].split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~"), {})
        return cast(Schema, found)


class Contract:
    """The event types of one provider, from a directory of schemas named after them.

    Args:
        directory: holds `<event type>.json` files and, if it likes, an `envelope.json`; by default the shipped schemas.
            Samples are looked for in `samples/<event type>/*.json` beside it.

    Raises:
        ContractError: no schema is there, or one cannot be used: not JSON, not a schema, its name and its file
            disagree, or a `$ref` leads out of the directory.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or _shipped("schemas")
        self.samples_directory = self.directory.parent / "samples"
        self._documents = {path.stem: _read(path) for path in _schema_files(self.directory)}
        for name, document in self._documents.items():
            self._check_name(name, document)
        envelope = self._documents.get(ENVELOPE) or _read(_shipped("schemas") / f"{ENVELOPE}.json")
        self._documents = {**self._documents, ENVELOPE: envelope}
        bases = {BASE, *(urljoin(str(document.get("$id", BASE)), ".") for document in self._documents.values())}
        self._places = {f"{base}{name}.json": doc for base in bases for name, doc in self._documents.items()}
        compiled = {
            name: EventType(name, document, self._compile(name, document)) for name, document in self._documents.items()
        }
        self.envelope = compiled.pop(ENVELOPE)
        self.events: Mapping[str, EventType] = compiled

    def judge(self, payload: object) -> Judgement:
        """The verdict on a parsed payload. A payload that breaks the envelope is judged by the envelope alone."""
        event = payload.get("event") if isinstance(payload, dict) else None
        name = event if isinstance(event, str) else None
        if not self.envelope.validator.is_valid(payload):
            return Judgement(Verdict.INVALID, name, self._explain(self.envelope, payload))
        event_type = self.events.get(cast(str, name))
        if event_type is None:
            return Judgement(Verdict.UNKNOWN_EVENT, name)
        if event_type.validator.is_valid(payload):
            return Judgement(Verdict.VALID, name)
        return Judgement(Verdict.INVALID, name, self._explain(event_type, payload))

    def samples(self, event: str) -> Mapping[str, Mapping[str, Any]]:
        """The samples of an event type by name, `default` first; its schema's examples where there are none.

        Raises:
            ContractError: a sample is not a JSON object.
        """
        files = sorted((self.samples_directory / event).glob("*.json"), key=_default_first)
        examples = self.events[event].schema.get("examples", [])
        samples = {path.stem: _read(path) for path in files}
        return samples or {f"example-{number}": example for number, example in enumerate(examples, start=1)}

    def _check_name(self, name: str, document: Schema) -> None:
        path = self.directory / f"{name}.json"
        if not _EVENT_NAME.fullmatch(name):
            raise ContractError(f"{path}: a schema is named after its event type, in letters, digits, '.', '_' and '-'")
        if "$id" in document and str(document["$id"]).rsplit("/", 1)[-1].removesuffix(".json") != name:
            raise ContractError(f"{path}: its $id says {document['$id']!r}; name the file after it, or mend the $id")
        properties = document.get("properties")
        event = properties.get("event") if isinstance(properties, dict) else None
        const = event.get("const", name) if isinstance(event, dict) else name
        if const != name:
            raise ContractError(f"{path}: it is for the event {const!r}; name the file after it, or mend the schema")

    def _compile(self, name: str, document: Schema) -> jsonschema_rs.Validator:
        try:
            return jsonschema_rs.validator_for(
                document, base_uri=f"{BASE}{name}.json", validate_formats=True, retriever=self._neighbour
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            reason = getattr(error, "message", str(error))
            raise ContractError(f"{self.directory / name}.json: not a usable schema: {reason}") from error

    def _neighbour(self, uri: str) -> Schema:
        if uri not in self._places:
            raise LookupError("it leads out of the directory, and nothing is fetched")
        return self._places[uri]

    def _explain(self, event_type: EventType, payload: object) -> tuple[Violation, ...]:
        from jsonschema.exceptions import best_match

        errors = islice(self._explainer(event_type).iter_errors(payload), MOST_VIOLATIONS)
        # Of the branches of an anyOf or oneOf, the one that came nearest is what helps its reader.
        violations = dict.fromkeys(_violation(best_match([error]) or error) for error in errors)
        return tuple(violations) or tuple(_bare_violations(event_type, payload))

    def _explainer(self, event_type: EventType) -> Any:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import validator_for
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        resources = ((place, DRAFT202012.create_resource(schema)) for place, schema in self._places.items())
        registry: Any = Registry().with_resources(resources)  # its own retrieve refuses: nothing is fetched
        cls = validator_for(event_type.schema, default=Draft202012Validator)
        # jsonschema knows no base URI but the `$id`, so a schema is entered by its place in the registry.
        return cls({"$ref": f"{BASE}{event_type.name}.json"}, registry=registry, format_checker=cls.FORMAT_CHECKER)


def pointer(path: Iterator[str | int]) -> str:
    """A path into a JSON document as a JSON Pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _violation(error: "ValidationError") -> Violation:
    return Violation(pointer(iter(error.absolute_path)), str(error.validator), _message(error))


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


def _bare_violations(event_type: EventType, payload: object) -> Iterator[Violation]:
    """Where jsonschema finds nothing (a pattern that Python's `re` reads otherwise), the words of the one that
    decides."""
    for error in islice(event_type.validator.iter_errors(payload), MOST_VIOLATIONS):
        keyword = str(error.schema_path[-1])
        yield Violation(pointer(iter(error.instance_path)), keyword, f"does not satisfy {keyword}")


def _json_type(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")


def _type_of(schema: Schema) -> str:
    types = schema.get("type", "any")
    shown = " or ".join(types) if isinstance(types, list) else str(types)
    return f"{shown} ({schema['format']})" if "format" in schema else shown


def _shipped(room: str) -> Path:
    here = Path(__file__).resolve().parent
    return here / room if (here / room).is_dir() else here.parent / room


def _default_first(path: Path) -> tuple[bool, str]:
    return path.stem != "default", path.name


def _schema_files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise ContractError(f"{directory}: no such directory; --schemas names one that holds <event type>.json files")
    files = sorted(directory.glob("*.json"))
    if not any(path.stem != ENVELOPE for path in files):
        raise ContractError(f"{directory}: holds no schema; put one file <event type>.json per event type there")
    return files


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ContractError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(document, dict):
        raise ContractError(f"{path}: must be a JSON object")
    return document
