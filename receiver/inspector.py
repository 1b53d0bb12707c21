"""The inspector: what the user sees of a running receiver in a browser or asks it from a script, on a listener of its
own, which listens on loopback only. The hook's listener shows nothing of it.

In: the inbox and the heart. Out: for now `GET /health`.
"""

from pathlib import Path

from flask import Flask, Response

from receiver.entry import RunState
from receiver.inbox import Inbox
from receiver.page.guard import guard
from receiver.page.look import page_app
from receiver.store import StoreError
from receiver.terminal import as_json
from receiver.uptime import Heart

_OPEN = (RunState.PENDING, RunState.RUNNING, RunState.FAILED, RunState.INTERRUPTED)


def create_inspector(inbox: Inbox, heart: Heart) -> Flask:
    """The inspector of a receiver, as a WSGI application."""
    app = page_app("inspector", Path(__file__).parent / "templates")
    guard(app, "x", ("/health",))

    @app.get("/health")
    def health() -> Response:
        """200 while the inbox takes what comes, else 503; with how many runs are in each state that is not done."""
        try:
            runs = {str(state): sum(inbox.runs.count(state).values()) for state in _OPEN}
        except StoreError:
            runs = {}
        up = bool(runs) and heart.beats()
        record = {"status": "up" if up else "down", "runs": runs}
        return Response(f"{as_json(record)}\n", 200 if up else 503, mimetype="application/json")

    return app
