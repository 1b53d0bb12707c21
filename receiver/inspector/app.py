"""The inspector as a WSGI application: its routes behind one guard, its errors as problems.

In: the rooms behind it, and a token. Out: a Flask app.
"""

from functools import partial
from pathlib import Path

from flask import Flask, Response

from receiver.contract import ContractError
from receiver.inbox import InboxError
from receiver.inspector.actions import ActionError
from receiver.inspector.api import serve_api
from receiver.inspector.asked import AskedError
from receiver.inspector.pages import serve_pages
from receiver.inspector.rooms import Rooms
from receiver.page.guard import guard, problem
from receiver.page.look import page_app
from receiver.store import StoreError
from receiver.upkeep.sanitise import SanitiseError

_STATUSES: dict[type[Exception], int] = {
    InboxError: 404,
    ActionError: 409,
    AskedError: 422,
    SanitiseError: 422,
    ContractError: 422,  # a schema that the user broke meanwhile
    StoreError: 503,
}


def create_inspector(rooms: Rooms, token: str) -> Flask:
    """The inspector of a receiver; whoever asks needs the token, but for `GET /health`."""
    app = page_app("inspector", Path(__file__).parent / "templates")
    guard(app, token, open_=("/health",))
    for kind, status in _STATUSES.items():
        app.register_error_handler(kind, partial(_as_problem, status))
    serve_api(app, rooms)
    serve_pages(app, rooms)
    return app


def _as_problem(status: int, error: Exception) -> Response:
    return problem(status, str(error))
