"""The contract: one JSON Schema per event type, samples of each, and the verdict on a payload.

In: a directory of schemas (the shipped one, or the user's own), and parsed payloads. Out: judgements. Nothing is ever
fetched. jsonschema-rs decides. Knows nothing of HTTP or of storage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, cast
from urllib.parse import urljoin

import jsonschema_rs

from receiver.documents import (
    ENVELOPE,
    ContractError,
    Schema,
    at,
    compiled,
    misnamed,
    places_of,
    read,
    schema_files,
    shipped,
    shipped_envelope,
    uri_of,
)
from receiver.violations import Explainer, Violation

__all__ = ["ENVELOPE", "Contract", "ContractError", "EventType", "Field", "Judgement", "Schema", "Verdict"]


class Verdict(StrEnum):
    """What is thought of a body that arrived."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN_EVENT = "unknown_event"
    MALFORMED = "malformed"
    UNVERIFIED = "unverified"
    """It is not signed by who knows the secret, so nothing else was looked at."""

    @property
    def handled(self) -> bool:
        """Whether handlers get it; an event that no schema knows too, since the contract grows."""
        return self in {Verdict.VALID, Verdict.UNKNOWN_EVENT}


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

    @property
    def documented(self) -> bool:
        """Whether any member of `data` is."""
        return bool(self.fields)

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
        return at(self.schema, reference[1:]) if reference.startswith("#/") else schema


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
        self.directory = directory or shipped("schemas")
        self.samples_directory = self.directory.parent / "samples"
        self.documents = {path.stem: read(path) for path in schema_files(self.directory)}
        for name, document in self.documents.items():
            for _, fault in misnamed(name, document):
                raise ContractError(f"{self.directory / name}.json: {fault}")
        envelope = self.documents.get(ENVELOPE) or shipped_envelope()
        self.documents = {**self.documents, ENVELOPE: envelope}
        self._places = places_of(self.documents)
        event_types = {
            name: EventType(name, document, self._compile(name, document)) for name, document in self.documents.items()
        }
        self.envelope = event_types.pop(ENVELOPE)
        self.events: Mapping[str, EventType] = event_types
        self._explainers: dict[str, Explainer] = {}

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

    def allows(self, payload: object) -> bool:
        """Whether a payload is valid, without telling why it is not."""
        event_type = self.events.get(str(payload.get("event"))) if isinstance(payload, dict) else None
        return bool(event_type and self.envelope.validator.is_valid(payload) and event_type.validator.is_valid(payload))

    def resolver(self, name: str) -> jsonschema_rs.Resolver:
        """Follows the references in the schema of that name; within the contract, like all."""
        return jsonschema_rs.Registry(list(self._places.items())).resolver(uri_of(name))

    def brief(self, name: str) -> dict[str, Any]:
        """An event type as a JSON object: `event`, `title`, `description`, `documented`, `fields` (each with `path`,
        `required`, `type` and `description`) and the names of its `samples`."""
        event_type = self.events[name]
        return {
            "event": name,
            "title": event_type.title,
            "description": event_type.description,
            "documented": event_type.documented,
            "fields": [asdict(field) for field in event_type.fields.values()],
            "samples": list(self.samples(name)),
        }

    def samples(self, event: str) -> Mapping[str, Mapping[str, Any]]:
        """The samples of an event type by name, `default` first; its schema's examples where there are none.

        Raises:
            ContractError: a sample is not a JSON object.
        """
        files = sorted((self.samples_directory / event).glob("*.json"), key=_default_first)
        examples = self.events[event].schema.get("examples", [])
        samples = {path.stem: read(path) for path in files}
        return samples or {f"example-{number}": example for number, example in enumerate(examples, start=1)}

    def referred(self, reference: str, within: str) -> tuple[str, Schema]:
        """What a `$ref` in the schema of the name `within` points at, and the name of the schema that it lies in.

        Empty where it points at an anchor; `$dynamicRef` is not followed.
        """
        place, _, pointer = urljoin(uri_of(within), reference).partition("#")
        return PurePosixPath(place).stem, at(self._places.get(place, {}), pointer)

    def _compile(self, name: str, document: Schema) -> jsonschema_rs.Validator:
        try:
            return compiled(name, document, self._places)
        except ContractError as error:
            raise ContractError(f"{self.directory / name}.json: {error}") from error

    def _explain(self, event_type: EventType, payload: object) -> tuple[Violation, ...]:
        if event_type.name not in self._explainers:
            place = uri_of(event_type.name)
            self._explainers[event_type.name] = Explainer(place, self._places, event_type.validator)
        return self._explainers[event_type.name].violations(payload)


def _type_of(schema: Schema) -> str:
    types = schema.get("type", "any")
    shown = " or ".join(types) if isinstance(types, list) else str(types)
    return f"{shown} ({schema['format']})" if "format" in schema else shown


def _default_first(path: Path) -> tuple[bool, str]:
    return path.stem != "default", path.name
