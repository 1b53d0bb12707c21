"""The API: the provider's "Webhooks" tab for end-to-end tests, in any language.

In: HTTP requests on loopback. Out: endpoints changed, events fired, scenarios played; as JSON, errors as problems (RFC
9457). What is fired goes the way that `sender fire` goes, but never to a URL that nobody named.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jsonschema_rs
from flask import Flask, Response, request

from receiver.contract import ContractError
from receiver.delivery import MalformedBody, parse
from receiver.page.guard import guard, problem
from receiver.page.look import page_app
from receiver.settings import MAX_BODY
from receiver.store import StoreError
from receiver.terminal import as_json
from receiver.violations import pointer
from sender.address import EndpointError
from sender.attempt import State
from sender.endpoints import Endpoint, EndpointConflict
from sender.openapi import BODIES, document
from sender.payload import InvalidPayload, PayloadError, bodies
from sender.play import judged
from sender.report import attempt_record, endpoint_record
from sender.scenario import ScenarioError, from_document
from sender.tab import Nobody, NoSuchEndpoint, Rooms, changed, fire, found, planned
from sender.volley import Ended, Volley

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


def create_api(rooms: Rooms, token: str) -> Flask:
    """The API as a WSGI application."""
    app = page_app("sender", Path(__file__).parent / "portal" / "templates")
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
        made = changed(rooms.contract, Endpoint("", ()), asked)
        endpoints.add(made, force=asked.get("force", False))
        return _json(endpoint_record(made, secret=True), 201)

    @app.get("/api/endpoints/<id_>")
    def show_endpoint(id_: str) -> Response:
        return _json(endpoint_record(found(rooms, id_)))

    @app.patch("/api/endpoints/<id_>")
    def change_endpoint(id_: str) -> Response:
        asked = _body("EndpointChange")
        made = endpoints.change(
            found(rooms, id_).id, lambda now: changed(rooms.contract, now, asked), force=asked.get("force", False)
        )
        return _json(endpoint_record(made))

    @app.delete("/api/endpoints/<id_>")
    def remove_endpoint(id_: str) -> Response:
        endpoints.remove(found(rooms, id_))
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
    def fire_one() -> Response:
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
        ended = fire(rooms, event, body, id_=asked.get("id"), to=asked.get("to"), fault=asked.get("fault"))
        return _json({"attempts": [_told(one) for one in ended]})

    @app.post("/api/play")
    def play() -> Response:
        asked = _body("Play")
        scenario = from_document("scenario", asked["scenario"])
        ready = planned(
            rooms,
            scenario,
            to=asked.get("to"),
            seed=int(asked["seed"]) if "seed" in asked else None,  # 1.0 is an integer too
            speed=asked.get("speed"),
            loops=int(asked.get("loops", 1)),
            id_=asked.get("id"),
        )
        if ready.total > MOST_PLAYED:
            raise _RefusedError(
                422, f"comes to {ready.total} POSTs, of which one call makes {MOST_PLAYED}: use `sender play`"
            )
        volley = Volley(rooms.ledger, rooms.poster, concurrency=scenario.concurrency)
        ended = list(volley.fire([ready.plan.lane(aim) for aim in ready.aims]))
        attempts = [{**_told(one), "missed": judged(one.shot.step, one.attempt.outcome)} for one in ended]
        return _json({"seed": ready.plan.seed, "attempts": attempts})


def _tell_of_errors(app: Flask) -> None:
    @app.errorhandler(_RefusedError)
    def refused(error: _RefusedError) -> Response:
        return problem(error.status, str(error))

    @app.errorhandler(NoSuchEndpoint)
    def missing(error: NoSuchEndpoint) -> Response:
        return problem(404, f"{error}; GET /api/endpoints lists them")

    @app.errorhandler(Nobody)
    def nobody(error: Nobody) -> Response:
        return problem(409, f"{error}{_NOBODY}")

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
