"""The hook: a Flask app that parses, judges, stores, answers; in that order, each once. It never calls a handler.

In: HTTP requests. Out: entries in the inbox, and an answer that says 2xx only for what is on disk. Shows nothing but
the hook.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

from flask import Flask, Request, Response, request
from werkzeug.exceptions import Forbidden, HTTPException

from receiver.contract import Contract, Judgement, Verdict
from receiver.delivery import MalformedBody, parse
from receiver.handlers import Handlers
from receiver.inbox import Entry, Inbox, Run, RunState
from receiver.report import Report
from receiver.store import StoreError, new_id, now
from receiver.terminal import as_json, escape
from receiver.violations import Violation

ID_HEADER = "Delivery-Id"
"""In every answer to what was stored."""

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110; Python before 3.13 has older names
_STATUSES = {Verdict.VALID: 202, Verdict.UNKNOWN_EVENT: 202, Verdict.INVALID: 422, Verdict.MALFORMED: 400}


@dataclass(frozen=True, slots=True)
class Intake:
    """What happens to one body; `stored` is called after each commit."""

    contract: Contract
    inbox: Inbox
    handlers: Handlers
    report: Report
    stored: Callable[[], None]
    lenient: bool
    max_body: int

    def receive(self, request: Request) -> Response:
        """Parses, judges and stores what was POSTed, then answers."""
        began = time.perf_counter()
        body = request.stream.read(self.max_body + 1)
        size = max(request.content_length or 0, len(body))
        status, judgement = self._judge(body, size, request)
        entry = Entry(
            id=new_id(),
            received_at=now(),
            event=judgement.event,
            verdict=judgement.verdict,
            status=202 if self.lenient and size <= self.max_body else status,
            size=size,
            headers=dict(request.headers),
            body=body[: self.max_body],
            violations=judgement.violations,
            runs=self._runs(judgement),
        )

        def announce() -> None:
            self.report.delivery(entry, (time.perf_counter() - began) * 1000)
            self.stored()

        try:
            self.inbox.store(entry, then=announce)
        except StoreError as error:
            self.report.refused(503, f"not stored: {error}")
            return _problem(Response(status=503), "Nothing was stored. The receiver's terminal says why.")
        return _answer(entry)

    def _judge(self, body: bytes, size: int, request: Request) -> tuple[int, Judgement]:
        if size > self.max_body:
            return 413, _malformed("max-body", f"larger than {self.max_body} bytes: only its head is kept")
        if not (request.mimetype == "application/json" or request.mimetype.endswith("+json")):
            return 415, _malformed("content-type", "the Content-Type is not application/json")
        try:
            judgement = self.contract.judge(parse(body))
        except MalformedBody as error:
            judgement = _malformed("json", str(error))
        return _STATUSES[judgement.verdict], judgement

    def _runs(self, judgement: Judgement) -> tuple[Run, ...]:
        if judgement.verdict not in {Verdict.VALID, Verdict.UNKNOWN_EVENT} or judgement.event is None:
            return ()
        return tuple(Run(handler.name, 1, RunState.PENDING) for handler in self.handlers.wanting(judgement.event))


def hook_app(intake: Intake, path: str) -> Flask:
    """The WSGI application whose one route is the hook."""
    app = Flask("receiver", static_folder=None)

    @app.post(path, provide_automatic_options=False)
    def hook() -> Response:
        if "Origin" in request.headers:  # a page in a browser, never the provider
            raise Forbidden("The request has an Origin header: a web page may not post to the hook.")
        return intake.receive(request)

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Response:
        response = Response(headers=error.get_headers())
        response.status_code = error.code or 500
        reason = "a web page tried" if isinstance(error, Forbidden) else f"the hook is POST {path}"
        intake.report.refused(response.status_code, f"{escape(request.method)} {escape(request.path)}: {reason}")
        return _problem(response, str(error.description))

    return app


def _malformed(keyword: str, message: str) -> Judgement:
    return Judgement(Verdict.MALFORMED, None, (Violation("", keyword, message),))


def _answer(entry: Entry) -> Response:
    members: dict[str, object] = {"delivery": entry.id, "verdict": entry.verdict}
    if entry.violations:
        members["violations"] = [asdict(violation) for violation in entry.violations]
    response = Response(status=entry.status, headers={ID_HEADER: entry.id})
    if entry.status != HTTPStatus.ACCEPTED:
        return _problem(response, _summary(entry), members)
    response.set_data(as_json(members) + "\n")
    response.mimetype = "application/json"
    return response


def _summary(entry: Entry) -> str:
    first = entry.violations[0]
    place = f"at {first.pointer}: " if first.pointer else ""
    more = f" (and {len(entry.violations) - 1} more)" if len(entry.violations) > 1 else ""
    return f"The payload is {entry.verdict}: {place}{first.message}{more}. It is kept, and will not be handled."


def _problem(response: Response, detail: str, members: Mapping[str, object] | None = None) -> Response:
    """Makes an answer an `application/problem+json` (RFC 9457)."""
    status = response.status_code
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    record = {"type": "about:blank", "title": title, "status": status, "detail": detail, **(members or {})}
    response.set_data(json.dumps(record, indent=2) + "\n")
    response.mimetype = "application/problem+json"
    return response
