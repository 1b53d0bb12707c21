"""The portal as an application: the API, and the pages beside it, behind the same guard.

In: what both work with, and the stage on which scenarios are played. Out: a WSGI application.
"""

from flask import Flask, Response

from receiver.page.guard import problem
from sender.api import create_api
from sender.portal.attempts import add_attempts
from sender.portal.endpoints import add_endpoints
from sender.portal.firing import add_firing
from sender.portal.playing import Stage, StillPlaying
from sender.portal.scenarios import add_scenarios
from sender.tab import Rooms


def create_portal(rooms: Rooms, stage: Stage, token: str) -> Flask:
    """The pages and the API as one WSGI application."""
    app = create_api(rooms, token)
    add_endpoints(app, rooms)
    add_firing(app, rooms)
    add_scenarios(app, rooms, stage)
    add_attempts(app, rooms)

    @app.errorhandler(StillPlaying)
    def busy(error: StillPlaying) -> Response:
        return problem(409, str(error))

    return app
