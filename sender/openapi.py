"""The API's description: an OpenAPI 3.1 document, whose schemas also check what is sent to the API.

In: a contract. Out: the document; its `webhooks` are the contract's event types.
"""

from collections.abc import Mapping
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
_SECRET: Document = {"type": "string", "description": "`auto` makes one; else base64 of 24 to 64 bytes after `whsec_`."}
_FORCE: Document = {"type": "boolean", "description": "Also where the URL gets some of these events already."}
_ENDPOINT: Document = {
    "url": _URL,
    "events": _EVENTS,
    "name": {"type": ["string", "null"], "minLength": 1, "maxLength": 80},
    "secret": _SECRET,
    "headers": _HEADERS,
    "enabled": {"type": "boolean"},
    "force": _FORCE,
}
_SPEED: Document = {"type": "number", "minimum": 0.001, "maximum": 1e9, "description": "By default all at once."}
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
                "description": "By default as fast as can be.",
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

_STATE: Document = {"enum": ["sending", "delivered", "refused", "unknown"]}
_SHOWN: Mapping[str, Document] = {
    "Endpoint": {
        "type": "object",
        "properties": {
            **{name: _ENDPOINT[name] for name in ("url", "events", "name", "headers", "enabled")},
            "id": _TEXT,
            "signed": {"type": "boolean"},
            "created_at": {"type": "string", "format": "date-time"},
            "secret": {"type": ["string", "null"], "description": "Only in the answer to who made it."},
        },
        "required": ["id", "url", "events", "name", "headers", "enabled", "signed", "created_at"],
    },
    "EventType": {
        "type": "object",
        "properties": {"event": _TEXT, "title": _TEXT, "description": _TEXT, "documented": {"type": "boolean"}},
        "required": ["event"],
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
            "already_sent": {"type": "boolean", "description": "It was sent before, and not now."},
            "missed": {"type": "array", "items": _TEXT, "description": "What is not as its step expects."},
        },
        "required": ["id", "event", "url", "state", "status"],
    },
    "Problem": {
        "type": "object",
        "properties": {"title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
        "required": ["title", "status", "detail"],
    },
}


def document(contract: Contract) -> Document:
    """The whole description."""
    nobody = {"409": _problem("No endpoint is subscribed to it.")}
    attempts = {"type": "object", "properties": {"attempts": _listed("Attempt")}, "required": ["attempts"]}
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
                    ],
                }
            },
            "/api/fire": {"post": _operation("fire", {"200": _answer(attempts), **nobody, **bad}, "Fire")},
            "/api/play": {"post": _operation("play", {"200": _answer(attempts), **nobody, **bad}, "Play")},
        },
        "webhooks": {name: _webhook(contract, name) for name in contract.events},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**BODIES, **_SHOWN, **_bundled(contract)},
        },
    }


_BAD = {
    "400": "It is not JSON.",
    "413": "It is too large.",
    "415": "Its Content-Type is not application/json.",
    "422": "It cannot be meant so.",
}


def _operation(name: str, responses: Document, body: str | None = None) -> Document:
    content = (
        {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(body)}}}} if body else {}
    )
    refused = {"401": _problem("The token is missing."), "403": _problem("It comes from a web page elsewhere.")}
    return {"operationId": name, **content, "responses": {**responses, **refused}}


def _ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


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
        kept["$ref"] = f"#/components/schemas/{file.removesuffix('.json') or name}{place}"
    return kept
