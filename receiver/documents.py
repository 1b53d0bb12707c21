"""Documents: the files of a contract, as JSON Schemas that refer to each other and to nothing else.

In: a directory. Out: documents by name, where they are taken to lie, and what judges by one. Nothing is ever fetched.
Knows nothing of payloads.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin

import jsonschema_rs

ENVELOPE = "envelope"
BASE = "https://contract.invalid/"
"""Where a schema without an absolute `$id` is taken to lie, so that `"$ref": "envelope.json"` finds its neighbour."""

_EVENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Schema = dict[str, Any]


class ContractError(Exception):
    """A schema or a sample that cannot be used; the text names the file and the reason."""


def uri_of(name: str) -> str:
    """Where the schema of that name is taken to lie."""
    return f"{BASE}{name}.json"


def places_of(documents: Mapping[str, Schema]) -> dict[str, Schema]:
    """Schemas by each URI that a reference to them may have."""
    bases = {BASE, *(urljoin(str(document.get("$id", BASE)), ".") for document in documents.values())}
    return {f"{base}{name}.json": document for base in bases for name, document in documents.items()}


def misnamed(name: str, document: Schema) -> Iterator[tuple[str, str]]:
    """What in a schema disagrees with the name of its file: the JSON Pointer, and the reason with the remedy."""
    if not _EVENT_NAME.fullmatch(name):
        yield "", "a schema is named after its event type, in letters, digits, '.', '_' and '-'"
    if "$id" in document and str(document["$id"]).rsplit("/", 1)[-1].removesuffix(".json") != name:
        yield "/$id", f"its $id says {document['$id']!r}; name the file after it, or mend the $id"
    properties = document.get("properties")
    event = properties.get("event") if isinstance(properties, dict) else None
    const = event.get("const", name) if isinstance(event, dict) else name
    if const != name:
        yield "/properties/event/const", f"it is for the event {const!r}; name the file after it, or mend the schema"


def compiled(name: str, document: Schema, places: Mapping[str, Schema]) -> jsonschema_rs.Validator:
    """What judges by a schema, whose references lead to `places` and nowhere else.

    Raises:
        ContractError: it cannot be used; the text says why, not where.
    """
    astray = []

    def neighbour(uri: str) -> Schema:
        if uri not in places:
            astray.append(uri.removeprefix(BASE))
        return places[uri]

    try:
        return jsonschema_rs.validator_for(document, base_uri=uri_of(name), validate_formats=True, retriever=neighbour)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        reason = str(getattr(error, "message", error))
        if astray:
            reason = f"it refers to {astray[0]}, which is not in this directory; nothing is fetched"
        raise ContractError(f"not a usable schema: {reason}") from error


def shipped_envelope() -> Schema:
    """The envelope of a contract that has none of its own."""
    return read(shipped("schemas") / f"{ENVELOPE}.json")


def found_at(document: Schema, fragment: str) -> Any:
    """What lies at a JSON Pointer (RFC 6901) into a document, written as a URI's fragment.

    Raises:
        LookupError: nothing does, or it is no pointer but an anchor.
    """
    if fragment[:1] not in {"", "/"}:
        raise LookupError(fragment)
    found: Any = document
    for step in unquote(fragment).split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(key) if isinstance(found, list) else key]
        except (TypeError, ValueError) as error:
            raise LookupError(fragment) from error
    return found


def at(document: Schema, fragment: str) -> Schema:
    """The schema at a JSON Pointer into a document; empty where none is."""
    try:
        found = found_at(document, fragment)
    except LookupError:
        return {}
    return found if isinstance(found, dict) else {}


def shipped(room: str) -> Path:
    """A directory of what is shipped: in a wheel it lies inside the package, in a checkout beside it."""
    here = Path(__file__).resolve().parent
    return here / room if (here / room).is_dir() else here.parent / room


def schema_files(directory: Path) -> list[Path]:
    """The files of a contract's schemas.

    Raises:
        ContractError: there is none.
    """
    if not directory.is_dir():
        raise ContractError(f"{directory}: no such directory; --schemas names one that holds <event type>.json files")
    files = sorted(directory.glob("*.json"))
    if not any(path.stem != ENVELOPE for path in files):
        raise ContractError(f"{directory}: holds no schema; put one file <event type>.json per event type there")
    return files


def read(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ContractError: it is none.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = f"not readable as JSON: {error}; `receiver schemas check` tells all that is wrong beside it"
        raise ContractError(f"{path}: {reason}") from error
    if not isinstance(document, dict):
        raise ContractError(f"{path}: must be a JSON object")
    return document
