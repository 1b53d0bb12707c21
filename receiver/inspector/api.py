"""The inspector's API: the same for scripts. Deliveries listed and shown, handlers run again, bodies judged again; and
whether the receiver is well.

In: HTTP requests. Out: JSON.
"""

from typing import Any

from flask import Flask, Response, request

from receiver.delivery import MalformedBody, parse
from receiver.entry import RunState
from receiver.inspector.actions import judge_again, run_again
from receiver.inspector.asked import MOST, AskedError, number, wanted
from receiver.inspector.rooms import Rooms
from receiver.report import full_record, listed_record
from receiver.search import PAGE
from receiver.store import StoreError
from receiver.terminal import as_json

_OPEN = (RunState.PENDING, RunState.RUNNING, RunState.FAILED, RunState.INTERRUPTED)


def serve_api(app: Flask, rooms: Rooms) -> None:
    """Adds the API's routes to an app."""

    @app.get("/health")
    def health() -> Response:
        """200 while the inbox takes what comes, else 503; with how many runs are in each state that is not done."""
        try:
            runs = {str(state): sum(rooms.inbox.runs.count(state).values()) for state in _OPEN}
        except StoreError:
            runs = {}
        up = bool(runs) and rooms.heart.beats()
        return _json({"status": "up" if up else "down", "runs": runs}, 200 if up else 503)

    @app.get("/api/deliveries")
    def list_deliveries() -> Response:
        """Newest first; `before` is where to go on, null where all were looked at."""
        page = rooms.inbox.search.page(wanted(request.args), number(request.args, "before"), _limit())
        records = [listed_record(one) for one in rooms.shown(page.listed)]
        return _json({"deliveries": records, "before": page.before})

    @app.get("/api/deliveries/<id_>")
    def show_delivery(id_: str) -> Response:
        return _json(full_record(rooms.entry(id_)))

    @app.post("/api/deliveries/<id_>/retry")
    def retry_delivery(id_: str) -> Response:
        queued = run_again(rooms, [rooms.inbox.entry(id_).id], _handler())
        return _json({"queued": queued}, 202)

    @app.post("/api/deliveries/<id_>/judge")
    def judge_delivery(id_: str) -> Response:
        return _json(full_record(rooms.entry(judge_again(rooms, id_).id)))


def _limit() -> int:
    limit = number(request.args, "limit")
    if limit is not None and not 1 <= limit <= MOST:
        raise AskedError(f"limit is a number from 1 to {MOST}")
    return PAGE if limit is None else limit


def _handler() -> str | None:
    """Which handler the body names, if there is one."""
    if not request.get_data():
        return None
    try:
        asked: Any = parse(request.get_data())
    except MalformedBody as error:
        raise AskedError(f"the body is not JSON: {error}") from error
    if not isinstance(asked, dict) or asked.keys() - {"handler"} or not isinstance(asked.get("handler", ""), str):
        raise AskedError('the body is {"handler": "name"}, or nothing for all of them')
    return asked.get("handler")


def _json(record: dict[str, Any], status: int = 200) -> Response:
    return Response(f"{as_json(record)}\n", status, mimetype="application/json")
