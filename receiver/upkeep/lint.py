"""Lint: everything that is wrong with a directory of schemas and the samples beside it.

In: a directory. Out: problems, all of them, each with its place and what to do. jsonschema tells where a schema is
none, jsonschema-rs what it allows. Knows nothing of deliveries.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import jsonschema_rs

from receiver.delivery import MalformedBody, parse
from receiver.documents import (
    ENVELOPE,
    ContractError,
    Schema,
    compiled,
    found_at,
    misnamed,
    places_of,
    shipped_envelope,
    uri_of,
)
from receiver.outline import subschemas
from receiver.terminal import did_you_mean
from receiver.violations import Explainer, pointer

Validators = Mapping[str, jsonschema_rs.Validator]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a file, where (a JSON Pointer), and what to do; a warning may be meant so."""

    file: Path
    pointer: str
    text: str
    warning: bool = False


class _Told(Exception):
    """What could not be read; its text is a problem's."""


def problems(directory: Path) -> Iterator[Problem]:
    """All problems of the schemas in a directory, and of `samples/<event type>/*.json` beside it.

    Raises:
        ContractError: no schema is there.
    """
    documents: dict[str, Schema] = {}
    for file in _files(directory):
        try:
            documents[file.stem] = _read(file)
        except _Told as told:
            yield Problem(file, "", str(told))
    places = places_of({ENVELOPE: shipped_envelope(), **documents})
    validators: dict[str, jsonschema_rs.Validator] = {}
    for name, document in documents.items():
        found = list(_of_schema(directory / f"{name}.json", document, places))
        yield from found
        if all(problem.warning for problem in found):
            validators[name] = compiled(name, document, places)
    validators.setdefault(ENVELOPE, compiled(ENVELOPE, places[uri_of(ENVELOPE)], places))
    yield from _of_payloads(directory, documents, places, validators)


def _files(directory: Path) -> list[Path]:
    files = sorted(directory.glob("*.json")) if directory.is_dir() else []
    if not files:
        raise ContractError(f"{directory}: no schema is there; --schemas names a directory of <event type>.json files")
    return files


def _read(file: Path) -> Schema:
    try:
        document = parse(file.read_bytes())
    except (OSError, MalformedBody) as error:
        raise _Told(f"not readable as JSON: {error}; mend the file") from error
    if not isinstance(document, dict):
        raise _Told("is no JSON object; make it one")
    return document


def _of_schema(file: Path, document: Schema, places: Mapping[str, Schema]) -> Iterator[Problem]:
    names = dict(misnamed(file.stem, document))
    yield from (Problem(file, place, text) for place, text in names.items())
    if "" in names:  # by no such name is anything found or judged
        return
    broken = list(_no_schema(document)) or list(_unusable(file.stem, document, places))
    yield from (Problem(file, place, f"{text}; mend it") for place, text in broken)
    for path, schema in subschemas(document):
        for keyword in schema.keys() - _keywords():
            if near := get_close_matches(keyword, _keywords(), n=1, cutoff=0.8):
                text = f"is no keyword, so it says nothing; did you mean {near[0]!r}?"
                yield Problem(file, pointer((*path, keyword)), text, warning=True)


def _no_schema(document: Schema) -> Iterator[tuple[str, str]]:
    """Where a document departs from the metaschema of its draft."""
    from jsonschema import Draft202012Validator, validators
    from jsonschema.exceptions import best_match

    cls = validators.validator_for(document, default=Draft202012Validator)
    for error in cls(cls.META_SCHEMA).iter_errors(document):
        nearest: Any = best_match([error]) or error
        yield pointer(nearest.absolute_path), nearest.message[:200]


def _unusable(name: str, document: Schema, places: Mapping[str, Schema]) -> Iterator[tuple[str, str]]:
    """Why a document that is a schema cannot be judged by."""
    try:
        compiled(name, document, places)
    except ContractError as error:
        found = False
        for path, schema in subschemas(document):
            for keyword, text in _faults(schema, name, places):
                found = True
                yield pointer((*path, keyword)), text
        if not found:
            yield "", str(error)


def _faults(schema: Schema, name: str, places: Mapping[str, Schema]) -> Iterator[tuple[str, str]]:
    if "$ref" in schema and not _leads(schema["$ref"], name, places):
        yield "$ref", f"leads nowhere: {schema['$ref']!r} is not in this directory, and nothing is fetched"
    if "pattern" in schema and not _is_pattern(schema["pattern"]):
        yield "pattern", "is no regular expression"
    if not all(map(_is_pattern, schema.get("patternProperties", {}))):
        yield "patternProperties", "a name in it is no regular expression"


def _leads(reference: str, name: str, places: Mapping[str, Schema]) -> bool:
    place, _, fragment = urljoin(uri_of(name), reference).partition("#")
    if urlsplit(place).netloc == "json-schema.org":
        return True
    if place not in places:
        return False
    if fragment[:1] not in {"", "/"}:
        return any(fragment in {one.get("$anchor"), one.get("$dynamicAnchor")} for _, one in subschemas(places[place]))
    try:
        found_at(places[place], fragment)
    except LookupError:
        return False
    return True


def _is_pattern(pattern: str) -> bool:
    try:
        jsonschema_rs.validator_for({"pattern": pattern})
    except ValueError:
        return False
    return True


@cache
def _keywords() -> frozenset[str]:
    """The keywords of all drafts."""
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped] # it ships no types

    return frozenset(keyword for uri in REGISTRY for keyword in REGISTRY.contents(uri).get("properties", {}))


def _of_payloads(
    directory: Path, documents: Mapping[str, Schema], places: Mapping[str, Schema], validators: Validators
) -> Iterator[Problem]:
    judge = partial(_judged, places, validators)
    for name, document in documents.items():
        for index, example in enumerate(_examples(document)):
            for place, text in judge(name, example):
                yield Problem(directory / f"{name}.json", f"/examples/{index}{place}", text)
    for file in _sample_files(directory.parent / "samples"):
        name = file.parent.name
        if name == "samples":
            yield Problem(file, "", "belongs to no event type; move it into the directory named after one")
        elif name in documents and name != ENVELOPE:
            yield from (Problem(file, place, text) for place, text in _of_sample(file, name, judge))
        elif "." in name or all(beside.suffix == ".json" for beside in file.parent.iterdir()):
            hint = did_you_mean(name, documents.keys() - {ENVELOPE})
            yield Problem(file, "", f"no schema is for {name!r}, after which its directory is named; {hint}")


def _examples(document: Schema) -> list[Any]:
    found = document.get("examples")
    return found if isinstance(found, list) else []


def _sample_files(samples: Path) -> list[Path]:
    return sorted([*samples.glob("*.json"), *samples.glob("*/*.json")])


def _of_sample(
    file: Path, name: str, judge: Callable[[str, object], Iterator[tuple[str, str]]]
) -> Iterator[tuple[str, str]]:
    try:
        yield from judge(name, _read(file))
    except _Told as told:
        yield "", str(told)


def _judged(
    places: Mapping[str, Schema], validators: Validators, name: str, payload: object
) -> Iterator[tuple[str, str]]:
    """Why a payload is not valid; nothing where its schema is none."""
    for schema in dict.fromkeys((ENVELOPE, name)):
        if schema in validators and not validators[schema].is_valid(payload):
            for violation in Explainer(uri_of(schema), places, validators[schema]).violations(payload):
                yield violation.pointer, f"{violation.message}; mend it, or the schema"
            return
    event = payload.get("event") if isinstance(payload, dict) else None
    if name not in {ENVELOPE, event}:
        yield "/event", f"must be {name!r}; mend it, or move it to where it belongs"
