"""What anything that is served to this machine alone needs, beside its routes: a page, an API.

In: a Flask app. Out: the same, which answers only requests that name this machine, come from no web page of another
origin, and have its token where it has one; errors as problems (RFC 9457). Knows nothing of what is served.
"""

import hmac
import json
from collections.abc import Collection
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

HOSTS = ["127.0.0.1", "localhost", "[::1]"]
"""A request for any other host is refused: a web page whose name is made to lead here (DNS rebinding)."""


def guard(app: Flask, token: str | None = None, open_: Collection[str] = ()) -> None:
    """Guards an app. Every path but those that are open needs the token, as `Authorization: Bearer ...`."""
    app.config["TRUSTED_HOSTS"] = HOSTS

    @app.before_request
    def refuse() -> Response | None:
        origin = request.headers.get("Origin")
        if origin is not None and origin != request.host_url.rstrip("/"):
            return problem(403, "The request comes from a web page of another origin.")
        if token is None or request.path in open_ or _bears(token):
            return None
        answer = problem(401, "Send the token that was printed at the start: `Authorization: Bearer TOKEN`.")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    @app.errorhandler(HTTPException)
    def told(error: HTTPException) -> Response:
        answer = problem(error.code or 500, error.description or "")
        answer.headers.extend({name: value for name, value in error.get_headers() if name == "Allow"})
        return answer

    @app.after_request
    def hardened(response: Response) -> Response:
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def _bears(token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return hmac.compare_digest(given.encode(), token.encode()) and scheme.lower() == "bearer"


def problem(status: int, detail: str, **members: object) -> Response:
    """An error as RFC 9457 has it."""
    title = HTTPStatus(status).phrase
    record = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Response(f"{json.dumps(record, indent=2)}\n", status, mimetype="application/problem+json")
