"""Who may ask for what is served to this machine alone, beside its routes: a page, an API.

In: a Flask app. Out: the same, which answers only requests that name this machine, come from no web page of another
origin, and have its token; errors as problems (RFC 9457), or as a page for who reads pages. Knows nothing of what is
served.
"""

import hmac
import json
from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, redirect, render_template, request
from werkzeug.exceptions import HTTPException

HOSTS = ["127.0.0.1", "localhost", "[::1]"]
"""A request for any other host is refused: a web page whose name is made to lead here (DNS rebinding)."""

_SAFE = {"GET", "HEAD", "OPTIONS"}
_UNKNOWN = "Open the URL that was printed at the start, or send its token: `Authorization: Bearer TOKEN`."
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    # No word of a payload can become a script, and no other page can show this one in a frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}


def guard(app: Flask, token: str, open_: Collection[str]) -> None:
    """Guards an app. Every path but those that are open needs the token: as `Authorization: Bearer ...`, or as the
    cookie that who opens `/?token=...` gets."""
    app.config["TRUSTED_HOSTS"] = HOSTS

    @app.before_request
    def refuse() -> Response | None:
        origin = request.headers.get("Origin")
        if origin is not None and origin != request.host_url.rstrip("/"):
            return problem(403, "The request comes from a web page of another origin.")
        if request.path in open_ or request.endpoint == "static" or _bears(token):
            return None
        if "token" in request.args and request.method == "GET" and _same(request.args["token"], token):
            return _without_token(token)
        if not _same(request.cookies.get(_cookie(), ""), token):
            answer = problem(401, _UNKNOWN)
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        if origin is None and request.method not in _SAFE:  # a browser always says from where it posts
            return problem(403, "The request changes something and does not say from which page it comes (Origin).")
        return None

    @app.errorhandler(HTTPException)
    def told(error: HTTPException) -> Response:
        answer = problem(error.code or 500, error.description or "")
        answer.headers.extend({name: value for name, value in error.get_headers() if name == "Allow"})
        return answer

    @app.after_request
    def hardened(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response


def problem(status: int, detail: str, **members: object) -> Response:
    """An error as RFC 9457 has it; as a page where a browser asks for one."""
    title = HTTPStatus(status).phrase
    if "text/html" in request.headers.get("Accept", "") and "HX-Request" not in request.headers:
        return Response(render_template("problem.html", title=title, detail=detail), status)
    record = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    return Response(f"{json.dumps(record, indent=2)}\n", status, mimetype="application/problem+json")


def _bears(token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return _same(given, token) and scheme.lower() == "bearer"


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


def _cookie() -> str:
    """Its name. Cookies are of a host, whatever its port (RFC 6265), and one machine has several such pages."""
    return f"token-{urlsplit(request.host_url).port or 80}"


def _without_token(token: str) -> Response:
    """To the same page, whose URL then holds no token; a cookie does, until the browser is closed."""
    others = [(name, value) for name, value in request.args.items(multi=True) if name != "token"]
    answer = redirect(f"{request.path}{'?' if others else ''}{urlencode(others)}", 303)
    answer.set_cookie(_cookie(), token, httponly=True, samesite="Strict")
    return Response(answer.get_data(), answer.status, answer.headers)
