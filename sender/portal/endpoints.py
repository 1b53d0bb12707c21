"""The pages of the endpoints: which there are; one made, edited, enabled, tested, removed.

In: forms. Out: pages, and parts of pages for htmx.
"""

import json
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, render_template, request

from receiver.contract import Contract
from receiver.settings import HOOK
from receiver.store import new_id
from sender.address import EndpointError
from sender.endpoints import EVERY, Endpoint, EndpointConflict, EndpointTwin
from sender.payload import PayloadError, bodies
from sender.tab import AUTO, Rooms, changed, fire_at, found

LONGEST_NAME = 80

_PARTS = ("url", "name", "events", "headers", "secret")
_BLANK = {"url": "", "name": "", "headers": "", "given": "", "secret": "none"}


def add_endpoints(app: Flask, rooms: Rooms) -> None:
    """Adds the pages to an app."""
    _add_list(app, rooms)
    _add_form(app, rooms)


def _add_list(app: Flask, rooms: Rooms) -> None:
    endpoints = rooms.ledger.endpoints

    def listed(template: str, *, after: bool) -> str:
        """All endpoints; `after` a removal, the list gets the focus that was on what is gone."""
        shown = {"endpoints": endpoints.all(), "events": rooms.contract.events, "new_id": new_id}
        return render_template(template, **shown, after=after)

    @app.get("/")
    def endpoints_page() -> str:
        return listed("endpoints.html", after=False)

    @app.post("/endpoints/<id_>/enabled")
    def enable(id_: str) -> Response:
        on = request.form.get("on") == "true"
        made = endpoints.change(id_, lambda now: changed(rooms.contract, now, {"enabled": on}))
        row = render_template("_endpoint.html", endpoint=made, events=rooms.contract.events, new_id=new_id)
        return _told(row, f"{made.label} is {'enabled' if on else 'disabled'}.")

    @app.post("/endpoints/<id_>/remove")
    def remove(id_: str) -> Response:
        gone = found(rooms, id_)
        endpoints.remove(gone)
        return _told(listed("_endpoints.html", after=True), f"{gone.label} is removed.")

    @app.post("/endpoints/<id_>/test")
    def send_test(id_: str) -> str:
        endpoint, event = found(rooms, id_), request.form.get("event", "")
        try:
            body = next(bodies(rooms.contract, event))
        except PayloadError as error:
            return render_template("_tested.html", endpoint=endpoint, error=str(error), new_id=new_id)
        ended = fire_at(rooms, endpoint, event, body, request.form.get("id") or new_id())
        return render_template("_tested.html", endpoint=endpoint, all=[ended], error="", new_id=new_id)

    @app.get("/endpoints/<id_>/secret")
    def show_secret(id_: str) -> str:
        return render_template("_secret.html", secret=found(rooms, id_).secret or "")


def _add_form(app: Flask, rooms: Rooms) -> None:
    endpoints = rooms.ledger.endpoints

    @app.get("/endpoints/new")
    def new_endpoint() -> str:
        texts = {"url": "" if endpoints.all() else HOOK, "events": [EVERY], "secret": "none"}
        return _form(rooms.contract, None, texts)

    @app.post("/endpoints")
    def make_endpoint() -> Response | tuple[str, int]:
        return _kept(rooms, None)

    @app.get("/endpoints/<id_>")
    def edit_endpoint(id_: str) -> str:
        endpoint = found(rooms, id_)
        return _form(rooms.contract, endpoint, _texts(endpoint))

    @app.post("/endpoints/<id_>")
    def change_endpoint_page(id_: str) -> Response | tuple[str, int]:
        return _kept(rooms, found(rooms, id_))


def _kept(rooms: Rooms, endpoint: Endpoint | None) -> Response | tuple[str, int]:
    """What became of a form: the list, a new secret, or the form again with what is wrong in it."""
    texts = {**request.form.to_dict(), "events": request.form.getlist("events")}
    asked, force = _asked(texts), "force" in texts
    flaws = _flaws(rooms.contract, asked)
    if flaws:
        return _form(rooms.contract, endpoint, texts, flaws), 422
    try:
        if endpoint is None:
            made = changed(rooms.contract, Endpoint("", ()), asked)
            rooms.ledger.endpoints.add(made, force=force)
        else:
            made = rooms.ledger.endpoints.change(
                endpoint.id, lambda now: changed(rooms.contract, now, asked), force=force
            )
    except EndpointTwin as error:
        return _form(rooms.contract, endpoint, texts, {"twin": error.twin.label}), 409
    except EndpointConflict as error:
        return _form(rooms.contract, endpoint, texts, {"all": str(error)}), 409
    except EndpointError as error:  # of two that are right alone: a header of the signature's, and a secret
        return _form(rooms.contract, endpoint, texts, {"all": str(error)}), 422
    if asked.get("secret") == AUTO:
        return render_template("secret.html", endpoint=made, existed=endpoint is not None), 200
    return Response(status=303, headers={"Location": "/"})


def _form(
    contract: Contract, endpoint: Endpoint | None, texts: Mapping[str, Any], flaws: Mapping[str, str] | None = None
) -> str:
    return render_template(
        "endpoint.html",
        endpoint=endpoint,
        texts={**_BLANK, **texts},
        flaws=flaws or {},
        events=contract.events,
    )


def _texts(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "url": endpoint.url,
        "name": endpoint.name or "",
        "events": list(endpoint.events),
        "headers": "\n".join(f"{name}: {value}" for name, value in endpoint.headers.items()),
        "secret": "keep" if endpoint.secret else "none",
    }


def _asked(texts: Mapping[str, Any]) -> dict[str, Any]:
    """What the texts of a form ask for. A line of headers without a colon is a header without a name."""
    lines = [line.partition(":") for line in texts.get("headers", "").splitlines() if line.strip()]
    headers = {name.strip() if colon else _line_of(name): value.strip() for name, colon, value in lines}
    asked = {"url": texts.get("url", "").strip(), "name": texts.get("name", "").strip() or None}
    secrets = {"none": None, "make": AUTO, "give": texts.get("given", "").strip()}
    chosen = texts.get("secret", "keep")
    secret = {"secret": secrets[chosen]} if chosen in secrets else {}
    return {**asked, "events": texts["events"], "headers": headers, **secret}


def _line_of(text: str) -> str:
    """A line that is no header, so that it is refused as one, and told."""
    return f"{text.strip()} (without a colon)"


def _flaws(contract: Contract, asked: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with each part of what is asked for, taken alone."""
    flaws = {}
    for part in (part for part in _PARTS if part in asked):
        try:
            changed(contract, Endpoint(HOOK, (EVERY,)), {part: asked[part]})
        except EndpointError as error:
            flaws[part] = str(error)
    name = asked["name"] or ""
    if len(name) > LONGEST_NAME or not name.isprintable():
        flaws["name"] = f"a name has at most {LONGEST_NAME} characters, each of which can be seen"
    return flaws


def _told(text: str, told: str) -> Response:
    return Response(text, headers={"HX-Trigger": json.dumps({"told": told})})
