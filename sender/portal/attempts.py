"""The pages of the ledger: what was sent, newest first and live, and all of one attempt.

In: what is looked for. Out: pages, and the rows again where they have changed.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, abort, render_template, request

from receiver.delivery import MalformedBody, parse
from sender.attempt import Attempt, State
from sender.past import Sought, is_number
from sender.portal.form import pretty
from sender.tab import Rooms

ROWS = 50
"""So many are on a page."""

MOST_SHOWN = 200_000
"""Characters of a body that are shown."""


def add_attempts(app: Flask, rooms: Rooms) -> None:
    """Adds the pages to an app."""

    @app.get("/attempts")
    def attempts_page() -> str:
        return render_template("attempts.html", **_listed(rooms, request.args), attempt=None, number="")

    @app.get("/attempts/rows")
    def rows() -> Response:
        """The rows of the list, or nothing where they are as they were."""
        listed = _listed(rooms, request.args)
        if request.args.get("seen") == listed["seen"]:
            return Response(status=204)
        return Response(render_template("_attempts.html", **listed))

    @app.get("/attempts/<number>")
    def attempt_page(number: str) -> str:
        attempt = rooms.ledger.past.find(number)
        if attempt is None:
            abort(404, "There is no such attempt.")
        shown = {"attempt": attempt, "number": number, "body": _shown(attempt.body), "again": _again(attempt)}
        shown["answer"] = _shown(attempt.outcome.answer)
        if "HX-Request" in request.headers:
            return render_template("_attempt.html", **shown, query=_query(request.args))
        return render_template("attempts.html", **_listed(rooms, request.args), **shown)


def _listed(rooms: Rooms, asked: Mapping[str, str]) -> dict[str, Any]:
    """The attempts that are asked for, whether there are older ones, and a word that changes when they do."""
    state, before = asked.get("state", ""), asked.get("before", "")
    sought = Sought(State(state) if state in list(State) else None, asked.get("id", "").strip())
    if is_number(before):
        sought = Sought(sought.state, sought.id, before=int(before))
    found = rooms.ledger.past.page(sought, ROWS + 1)
    shown = found[:ROWS]
    seen = hashlib.blake2b(repr([(n, one.started_at, one.outcome.state) for n, one in found]).encode(), digest_size=8)
    return {
        "attempts": shown,
        "older": urlencode({**_filters(asked), "before": shown[-1][0]}) if len(found) > ROWS else "",
        "newest": "before" in asked,
        "query": _query(asked),
        "seen": seen.hexdigest(),
        "states": list(State),
        "state": sought.state or "",
        "id": sought.id,
    }


def _filters(asked: Mapping[str, str]) -> dict[str, str]:
    return {name: asked[name] for name in ("state", "id") if asked.get(name)}


def _query(asked: Mapping[str, str]) -> str:
    """What the list is asked for, as the end of a URL."""
    return urlencode({**_filters(asked), **({"before": asked["before"]} if asked.get("before") else {})})


def _shown(body: bytes) -> str:
    """A body as it is read: JSON with its members in lines, anything else as it is."""
    try:
        text = pretty(parse(body))
    except MalformedBody:
        text = body.decode(errors="replace")
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n... ({len(body):,} bytes)"


def _again(attempt: Attempt) -> bool:
    """Whether a form can hold its event."""
    try:
        payload = json.loads(attempt.body)
    except (ValueError, RecursionError):
        return False
    return isinstance(payload, dict) and set(payload) == {"event", "data"} and isinstance(payload["data"], dict)
