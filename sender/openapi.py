"""The API's description: an OpenAPI 3.1 document, whose schemas also check what is sent to the API.

In: a contract. Out: the document; its `webhooks` are the contract's event types.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from receiver import __version__
from receiver.contract import Contract
from sender.faults import Fault

Document = dict[str, Any]

_TEXT: Document = {"type": "string"}
_URL: Document = {"type": "string", "minLength": 1, "examples": ["http://127.0.0.1:9000/hook"]}
_EVENTS: Document = {
    "type": "array",
    "items": _TEXT,
    "minItems": 1,
    "description": 'Event types; `["*"]` is every one, also those that are yet to come.',
}
_HEADERS: Document = {"type": "object", "additionalProperties": _TEXT}
_SECRET: Document = {
    "type": ["string", "null"],
    "description": "`auto` makes one; else base64 of 24 to 64 bytes after `whsec_`; null for none.",
}
_FORCE: Document = {"type": "boolean", "description": "Also where the URL gets some of these events already."}
_ENDPOINT: Document = {
    "url": _URL,
    "events": _EVENTS,
    "name": {"type": ["string", "null"], "minLength": 1, "maxLength": 80, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$"},
    "secret": _SECRET,
    "headers": _HEADERS,
    "enabled": {"type": "boolean"},
    "force": _FORCE,
}
_SEED: Document = {"type": "integer", "minimum": 0, "description": "The same seed draws the same again."}

BODIES: Mapping[str, Document] = {
    "NewEndpoint": {
        "type": "object",
        "properties": _ENDPOINT,
        "required": ["url", "events"],
        "additionalProperties": False,
    },
    "EndpointChange": {"type": "object", "properties": _ENDPOINT, "minProperties": 1, "additionalProperties": False},
    "Fire": {
        "type": "object",
        "properties": {
            "event": _TEXT,
            "data": {"type": "object", "description": "What stands under `data`; by default a sample's."},
            "sample": _TEXT,
            "id": {"type": "string", "pattern": "^[!-~]{1,200}$", "description": "Sent to the same URL only once."},
            "to": {**_URL, "description": "Only to this URL, whatever endpoints there are."},
            "validate": {"type": "boolean", "default": True},
            "fault": {"enum": [str(fault) for fault in Fault]},
        },
        "required": ["event"],
        "additionalProperties": False,
    },
    "Play": {
        "type": "object",
        "properties": {
            "scenario": {"type": "object", "description": "`title`, `concurrency` and `steps`, as in a file."},
            "speed": {
                "type": "number",
                "minimum": 0.001,
                "maximum": 1e9,
                "description": "So many times as fast; by default as fast as can be.",
            },
            "seed": _SEED,
            "loops": {"type": "integer", "minimum": 1, "maximum": 1000},
            "id": {"type": "string", "pattern": "^[!-~]{1,200}$"},
            "to": _URL,
        },
        "required": ["scenario"],
        "additionalProperties": False,
    },
}
"""The bodies that the API takes."""

_TIME: Document = {"type": "string", "format": "date-time"}
_STATE: Document = {"enum": ["sending", "delivered", "refused", "unknown"]}
_SHOWN: Mapping[str, Document] = {
    "Endpoint": {
        "type": "object",
        "properties": {
            **{name: _ENDPOINT[name] for name in ("url", "events", "name", "headers", "enabled")},
            "id": _TEXT,
            "signed": {"type": "boolean"},
            "created_at": _TIME,
            "secret": {"type": ["string", "null"], "description": "Only in the answer to the POST that made it."},
        },
        "required": ["id", "url", "events", "name", "headers", "enabled", "signed", "created_at"],
    },
    "EventType": {
        "type": "object",
        "properties": {
            "event": _TEXT,
            "title": _TEXT,
            "description": _TEXT,
            "documented": {"type": "boolean", "description": "Whether any member of its data is."},
            "fields": {"type": "array", "items": {"$ref": "#/components/schemas/Field"}},
            "samples": {"type": "array", "items": _TEXT},
        },
        "required": ["event", "title", "description", "documented", "fields", "samples"],
    },
    "Field": {
        "type": "object",
        "properties": {"path": _TEXT, "required": {"type": "boolean"}, "type": _TEXT, "description": _TEXT},
        "required": ["path", "required", "type", "description"],
    },
    "Attempt": {
        "type": "object",
        "properties": {
            "id": _TEXT,
            "event": _TEXT,
            "url": _TEXT,
            "state": _STATE,
            "status": {"type": ["integer", "null"]},
            "fault": {"type": ["string", "null"]},
            "delivery": {"type": ["string", "null"], "description": "Under which id our receiver keeps it."},
            "started_at": _TIME,
            "milliseconds": {"type": ["number", "null"], "description": "Until the answer's head came, or none."},
            "reason": {"type": ["string", "null"], "description": "Why it was refused or is unknown."},
            "answer": {"type": "string", "description": "The head of the answer's body."},
            "body": {"type": "string", "description": "What was sent."},
            "already_sent": {"type": "boolean", "description": "It was sent before, and not now."},
            "missed": {"type": "array", "items": _TEXT, "description": "What is not as its step expects."},
        },
        "required": ["id", "event", "url", "state", "status", "started_at", "answer", "body"],
    },
    "Problem": {
        "type": "object",
        "properties": {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
        "required": ["title", "status", "detail"],
    },
}


def document(contract: Contract) -> Document:
    """The whole description."""
    nobody = {"409": _problem("No endpoint is subscribed to it.")}
    fired, played = _attempts({}), _attempts({"seed": {"type": "integer"}})
    found = {"200": _answer(_ref("Endpoint")), "404": _problem("There is no such endpoint.")}
    bad = {status: _problem(reason) for status, reason in _BAD.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": 'The "Webhooks" tab, simulated', "version": __version__},
        "security": [{"token": []}],
        "paths": {
            "/openapi.json": {"get": {"security": [], **_operation("describe", {"200": _answer({"type": "object"})})}},
            "/api/endpoints": {
                "get": _operation("listEndpoints", {"200": _answer(_listed("Endpoint"))}),
                "post": _operation(
                    "addEndpoint", {"201": _answer(_ref("Endpoint")), "409": _problem("Taken."), **bad}, "NewEndpoint"
                ),
            },
            "/api/endpoints/{id}": {
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": _TEXT}],
                "get": _operation("showEndpoint", found),
                "patch": _operation("changeEndpoint", {**found, "409": _problem("Taken."), **bad}, "EndpointChange"),
                "delete": _operation("removeEndpoint", {"204": {"description": "Removed."}, "404": found["404"]}),
            },
            "/api/events": {"get": _operation("listEvents", {"200": _answer(_listed("EventType"))})},
            "/api/attempts": {
                "get": {
                    **_operation("listAttempts", {"200": _answer(_listed("Attempt")), "422": bad["422"]}),
                    "parameters": [
                        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
                        {"name": "state", "in": "query", "schema": _STATE},
                        {"name": "id", "in": "query", "schema": _TEXT, "description": "Those under an event's id."},
                    ],
                }
            },
            "/api/fire": {"post": _operation("fire", {"200": _answer(fired), **nobody, **bad}, "Fire")},
            "/api/play": {"post": _operation("play", {"200": _answer(played), **nobody, **bad}, "Play")},
        },
        "webhooks": {name: _webhook(contract, name) for name in contract.events},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**BODIES, **_SHOWN, **_bundled(contract)},
        },
    }


_BAD = {
    "400": "It is not JSON, or for another host.",
    "413": "It is too large.",
    "415": "Its Content-Type is not application/json.",
    "422": "It cannot be meant so.",
}


def _operation(name: str, responses: Document, body: str | None = None) -> Document:
    content = (
        {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(body)}}}} if body else {}
    )
    refused = {
        "400": _problem("It is for another host."),
        "401": _problem("The token is missing."),
        "403": _problem("It comes from a web page elsewhere."),
        "503": _problem("The ledger does not take it."),
    }
    return {"operationId": name, **content, "responses": {**refused, **responses}}


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def _attempts(more: Document) -> Document:
    properties = {**more, "attempts": _listed("Attempt")}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _listed(name: str) -> Document:
    return {"type": "array", "items": _ref(name)}


def _answer(schema: Document) -> Document:
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _problem(description: str) -> Document:
    return {"description": description, "content": {"application/problem+json": {"schema": _ref("Problem")}}}


def _webhook(contract: Contract, event: str) -> Document:
    return {
        "post": {
            "operationId": event,
            "summary": contract.events[event].title,
            "security": [],
            "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(event)}}},
            "responses": {"2XX": {"description": "Received. Whatever is answered, it is not sent again."}},
        }
    }


def _bundled(contract: Contract) -> Document:
    """The contract's schemas, whose references to each other lead to where they stand in this document."""
    return {name: _local(schema, name) for name, schema in contract.documents.items()}


def _local(part: Any, name: str) -> Any:
    if isinstance(part, list):
        return [_local(item, name) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {key: _local(member, name) for key, member in part.items() if key not in {"$id", "$schema"}}
    if isinstance(reference := part.get("$ref"), str):
        file, _, place = reference.partition("#")
        kept["$ref"] = f"#/components/schemas/{PurePosixPath(file).stem if file else name}{place}"
    return kept
