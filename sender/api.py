"""The API: the provider's "Webhooks" tab for end-to-end tests, in any language.

In: HTTP requests on loopback. Out: endpoints changed, events fired, scenarios played; as JSON, errors as problems (RFC
9457). What is fired goes the way that `sender fire` goes, but never to a URL that nobody named.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jsonschema_rs
from flask import Flask, Response, request

from receiver.contract import Contract, ContractError
from receiver.delivery import MalformedBody, parse
from receiver.page.guard import guard, problem
from receiver.page.look import page_app
from receiver.settings import MAX_BODY
from receiver.store import StoreError, new_id
from receiver.terminal import as_json
from receiver.violations import pointer
from sender.address import EndpointError, normalised
from sender.aim import Aim, aims
from sender.attempt import Attempt, State
from sender.endpoints import Endpoint, EndpointConflict, checked_events
from sender.ledger import Ledger
from sender.openapi import BODIES, document
from sender.payload import InvalidPayload, PayloadError, bodies
from sender.play import Plan, judged
from sender.post import Poster, prepare
from sender.report import attempt_record, endpoint_record
from sender.scenario import ScenarioError, from_document
from sender.signature import checked, new_secret
from sender.volley import Ended, Shot, Volley

MOST_PLAYED = 10_000
"""So many POSTs one call may come to; `sender play` plays more."""


_NOBODY = (
    ', so nothing was sent; PATCH /api/endpoints/{id} with "events" subscribes one, with "enabled": true enables one, '
    'POST /api/endpoints makes one, and "to" sends it to a URL'
)
_STATUSES: Mapping[type[Exception], int] = {
    EndpointError: 422,
    EndpointConflict: 409,
    PayloadError: 422,
    ScenarioError: 422,
    StoreError: 503,
    ContractError: 500,  # a sample that the user broke meanwhile
}


class _RefusedError(Exception):
    """A request that cannot be met."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the API works with; `authorities` is a file of certificates to trust instead of the public ones."""

    contract: Contract
    ledger: Ledger
    poster: Poster
    authorities: Path | None = None


def create_api(rooms: Rooms, token: str) -> Flask:
    """The API as a WSGI application."""
    app = page_app("sender", Path(__file__).parent / "templates")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    guard(app, token, open_=("/openapi.json",))
    _tell_of_errors(app)
    _serve_endpoints(app, rooms)
    _serve_firing(app, rooms)

    @app.get("/openapi.json")
    def describe() -> Response:
        return _json(document(rooms.contract))

    @app.get("/api/events")
    def events() -> Response:
        return _json([rooms.contract.brief(name) for name in rooms.contract.events])

    return app


def _serve_endpoints(app: Flask, rooms: Rooms) -> None:
    endpoints = rooms.ledger.endpoints

    @app.get("/api/endpoints")
    def list_endpoints() -> Response:
        return _json([endpoint_record(one) for one in endpoints.all()])

    @app.post("/api/endpoints")
    def add_endpoint() -> Response:
        asked = _body("NewEndpoint")
        made = _changed(rooms.contract, Endpoint("", ()), asked)
        endpoints.add(made, force=asked.get("force", False))
        return _json(endpoint_record(made, secret=True), 201)

    @app.get("/api/endpoints/<id_>")
    def show_endpoint(id_: str) -> Response:
        return _json(endpoint_record(_found(rooms, id_)))

    @app.patch("/api/endpoints/<id_>")
    def change_endpoint(id_: str) -> Response:
        asked = _body("EndpointChange")
        found, force = _found(rooms, id_), asked.get("force", False)
        made = endpoints.change(found.id, lambda now: _changed(rooms.contract, now, asked), force=force)
        return _json(endpoint_record(made))

    @app.delete("/api/endpoints/<id_>")
    def remove_endpoint(id_: str) -> Response:
        endpoints.remove(_found(rooms, id_))
        return Response(status=204)


def _serve_firing(app: Flask, rooms: Rooms) -> None:
    @app.get("/api/attempts")
    def list_attempts() -> Response:
        limit, state, id_ = _limit(), _state(), request.args.get("id")
        if id_ is None:
            attempts = rooms.ledger.attempts(limit=limit, state=state)
        else:
            under = rooms.ledger.attempts_under(id_)
            attempts = [one for one in under if state in {None, one.outcome.state}][:limit]
        return _json([attempt_record(attempt) for attempt in attempts])

    @app.post("/api/fire")
    def fire() -> Response:
        asked = _body("Fire")
        event, data = asked["event"], asked.get("data")
        if data is not None and "sample" in asked:
            raise _RefusedError(422, "data and sample exclude each other")
        body = next(
            bodies(
                rooms.contract,
                event,
                sample=asked.get("sample"),
                data=None if data is None else as_json(data),
                validate=asked.get("validate", True),
            )
        )
        attempt = Attempt(asked.get("id") or new_id(), "", event, body, 0, fault=asked.get("fault"))
        chosen = [aim for aim in _aims(rooms, asked.get("to")) if aim.wants(event)]
        if not chosen:
            raise _RefusedError(409, f"no endpoint is subscribed to {event}{_NOBODY}")
        lanes = [[Shot(aim.target, replace(attempt, copy=aim.copy(event)))] for aim in chosen]
        return _json({"attempts": [_told(ended) for ended in Volley(rooms.ledger, rooms.poster).fire(lanes)]})

    @app.post("/api/play")
    def play() -> Response:
        asked = _body("Play")
        scenario = from_document("scenario", asked["scenario"])
        seed, loops = int(asked.get("seed", secrets.randbits(32))), int(asked.get("loops", 1))  # 1.0 is an integer too
        plan = Plan(scenario, rooms.contract, seed, asked.get("speed"), loops, new_id(), asked.get("id"))
        every = _aims(rooms, asked.get("to"))
        if (total := plan.check(every)) > MOST_PLAYED:
            raise _RefusedError(
                422, f"comes to {total} POSTs, of which one call makes {MOST_PLAYED}: use `sender play`"
            )
        if not total:
            raise _RefusedError(409, f"no endpoint is subscribed to any of its events{_NOBODY}")
        volley = Volley(rooms.ledger, rooms.poster, concurrency=scenario.concurrency)
        ended = list(volley.fire([plan.lane(aim) for aim in every]))
        attempts = [{**_told(one), "missed": judged(one.shot.step, one.attempt.outcome)} for one in ended]
        return _json({"seed": seed, "attempts": attempts})


def _tell_of_errors(app: Flask) -> None:
    @app.errorhandler(_RefusedError)
    def refused(error: _RefusedError) -> Response:
        return problem(error.status, str(error))

    @app.errorhandler(InvalidPayload)
    def invalid(error: InvalidPayload) -> Response:
        return problem(422, f'the payload violates its schema; "validate": false sends it all the same:{error.lines}')

    for kind, status in _STATUSES.items():
        app.register_error_handler(kind, partial(_as_problem, status))


def _as_problem(status: int, error: Exception) -> Response:
    return problem(status, str(error))


def _body(kind: str) -> dict[str, Any]:
    """The request's body, which is of that kind."""
    if request.mimetype != "application/json":
        raise _RefusedError(415, "send JSON, with the Content-Type application/json")
    try:
        body: Any = parse(request.get_data())
    except MalformedBody as error:
        raise _RefusedError(400, f"the body is not JSON: {error}") from error
    errors = [
        f"{pointer(error.instance_path) or 'the body'}: {error.message}" for error in _validator(kind).iter_errors(body)
    ]
    if errors:
        raise _RefusedError(422, "; ".join(errors[:5]))
    return dict(body)


@cache
def _validator(kind: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(BODIES[kind])


def _changed(contract: Contract, endpoint: Endpoint, asked: Mapping[str, Any]) -> Endpoint:
    """The endpoint with what is asked for in the place of what was."""
    changes: dict[str, Any] = {name: asked[name] for name in ("name", "headers", "enabled") if name in asked}
    if "url" in asked:
        changes["url"] = normalised(asked["url"])
    if "events" in asked:
        changes["events"] = checked_events(contract, asked["events"])
    if "secret" in asked:
        changes["secret"] = _secret(asked["secret"])
    made = replace(endpoint, **changes)
    prepare(made.url, made.headers, secret=made.secret)  # so that what cannot be sent is told now
    return made


def _secret(asked: str | None) -> str | None:
    if asked is None:
        return None
    return new_secret() if asked == "auto" else checked(asked)


def _found(rooms: Rooms, id_: str) -> Endpoint:
    for endpoint in rooms.ledger.endpoints.all():
        if endpoint.id == id_:
            return endpoint
    raise _RefusedError(404, f"no endpoint {id_!r}; GET /api/endpoints lists them")


def _aims(rooms: Rooms, to: str | None) -> list[Aim]:
    """Where events go; without a URL to the endpoints only, and not, as on the command line, to a local receiver."""
    if to is None and not rooms.ledger.endpoints.all():
        raise _RefusedError(409, f"there is no endpoint{_NOBODY}")
    return aims(rooms.ledger.endpoints, to, {}, rooms.authorities)


def _limit() -> int:
    limit = request.args.get("limit", "100")
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= 1000):
        raise _RefusedError(422, "limit is a number from 1 to 1000")
    return int(limit)


def _state() -> State | None:
    state = request.args.get("state")
    if state is not None and state not in list(State):
        raise _RefusedError(422, f"state is one of {', '.join(State)}")
    return None if state is None else State(state)


def _told(ended: Ended[Any]) -> dict[str, Any]:
    return {**attempt_record(ended.attempt), "already_sent": ended.before}


def _json(value: Mapping[str, Any] | Sequence[Any] | Iterable[Any], status: int = 200) -> Response:
    return Response(f"{as_json(value)}\n", status, mimetype="application/json")
