"""The hook: parses, judges, stores, answers; in that order, each once. It never calls a handler.

In: WSGI requests, as many at once as came together. Out: entries in the inbox, in one commit, and an answer to each
that says 2xx only for what is on disk. The Flask app around it shows nothing else. The hook itself is answered before
Flask's routing, which costs more than all that is done here.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from receiver.contract import Contract, Judgement, Verdict
from receiver.delivery import MalformedBody, parse
from receiver.entry import Entry, Run, RunState
from receiver.handlers import Handlers
from receiver.inbox import Inbox
from receiver.report import Report
from receiver.signature import Flaw
from receiver.store import new_id, now
from receiver.terminal import as_json, escape, masked
from receiver.violations import Violation

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

Environ = dict[str, Any]
"""A request as WSGI has it (PEP 3333)."""

ID_HEADER = "Delivery-Id"
"""In every answer to what was stored."""

_ANSWER = "receiver.answer"  # where a request's environ holds its answer, once that is known
_LARGEST = 2**63 - 1  # what SQLite counts to
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110; Python before 3.13 has older names
_STATUSES = {
    Verdict.VALID: 202,
    Verdict.UNKNOWN_EVENT: 202,
    Verdict.INVALID: 422,
    Verdict.MALFORMED: 400,
    Verdict.UNVERIFIED: 401,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to a request: JSON where it is 2xx, else a problem (RFC 9457)."""

    status: int
    detail: str = ""
    members: Mapping[str, object] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def status_line(self) -> str:
        return f"{self.status} {_title(self.status)}"

    def content(self) -> tuple[str, bytes]:
        """The media type and the body."""
        if self.status < HTTPStatus.MULTIPLE_CHOICES:
            return "application/json", f"{as_json(self.members)}\n".encode()
        problem = {"type": "about:blank", "title": _title(self.status), "status": self.status, "detail": self.detail}
        return "application/problem+json", f"{json.dumps({**problem, **self.members}, indent=2)}\n".encode()


@dataclass(frozen=True, slots=True)
class Intake:
    """What happens to requests for the hook; `stored` is called when there is something for the handlers."""

    contract: Contract
    inbox: Inbox
    handlers: Handlers
    report: Report
    stored: Callable[[], None]
    lenient: bool
    max_body: int
    flaw: Flaw

    def answers(self, environs: Sequence[Environ]) -> list[Answer]:
        """Stores what was POSTed, in one commit, and says what each is; refuses other methods, and web pages."""
        began = time.perf_counter()
        taken = [self._refusal(environ) or self._entry(environ) for environ in environs]
        entries = [one for one in taken if isinstance(one, Entry)]
        said = {entry.id: _answer(entry) for entry in entries}

        def announce(entry: Entry) -> None:
            self.report.delivery(entry, (time.perf_counter() - began) * 1000)

        for id_, failure in self.inbox.store(entries, then=announce).items():
            self.report.refused(503, f"not stored: {failure}")
            said[id_] = Answer(503, "Nothing was stored. The receiver's terminal says why.")
        if any(entry.runs for entry in entries):
            self.stored()
        return [said[one.id] if isinstance(one, Entry) else one for one in taken]

    def _refusal(self, environ: Environ) -> Answer | None:
        """The answer to what is not to be stored."""
        if environ["REQUEST_METHOD"] != "POST":
            return self._refuse(Answer(405, "Webhooks are POSTed here.", headers=(("Allow", "POST"),)), environ)
        if "HTTP_ORIGIN" in environ:  # a page in a browser, never the provider
            return self._refuse(Answer(403, "The request has an Origin header: a web page may not post here."), environ)
        return None

    def _entry(self, environ: Environ) -> Entry:
        length = _length(environ)
        body = _read(environ, length, self.max_body + 1)
        size = max(length, len(body))
        headers = _headers(environ)
        status, judgement = self._unverified(body, size, headers) or self._judge(body, size, headers)
        return Entry(
            id=new_id(),
            received_at=now(),
            event=judgement.event,
            verdict=judgement.verdict,
            status=202 if self.lenient and size <= self.max_body and status != 401 else status,
            size=size,
            headers=headers,
            body=body[: self.max_body],
            violations=judgement.violations,
            runs=self._runs(judgement),
        )

    def _unverified(self, body: bytes, size: int, headers: Mapping[str, str]) -> tuple[int, Judgement] | None:
        """Whoever cannot sign learns nothing of what is thought of the body."""
        reason = self.flaw(body, headers) if size <= self.max_body else None
        if reason is None:
            return None
        return 401, Judgement(Verdict.UNVERIFIED, None, (Violation("", "signature", reason),))

    def _judge(self, body: bytes, size: int, headers: Mapping[str, str]) -> tuple[int, Judgement]:
        if size > self.max_body:
            return 413, _malformed("max-body", f"larger than {self.max_body} bytes, so only its head is kept")
        if not _is_json(headers.get("Content-Type", "")):
            return 415, _malformed("content-type", "the Content-Type is not application/json")
        if len(body) < size:
            return 400, _malformed("content-length", f"ended after {len(body)} of {size} bytes")
        try:
            judgement = self.contract.judge(parse(body))
        except MalformedBody as error:
            judgement = _malformed("json", str(error))
        except Exception as error:  # noqa: BLE001 - whatever a schema leads to, the body is stored before all else
            reason = f"could not be judged ({type(error).__name__}): mend the schema, then `receiver judge`"
            self.report.trouble(f"a body {reason}")
            judgement = Judgement(Verdict.INVALID, None, (Violation("", "schema", reason),))
        return _STATUSES[judgement.verdict], judgement

    def _runs(self, judgement: Judgement) -> tuple[Run, ...]:
        if not judgement.verdict.handled or judgement.event is None:
            return ()
        return tuple(Run(handler.name, 1, RunState.PENDING) for handler in self.handlers.wanting(judgement.event))

    def _refuse(self, answer: Answer, environ: Environ) -> Answer:
        self.report.refused(
            answer.status,
            f"{escape(environ['REQUEST_METHOD'])} {escape(masked(environ['PATH_INFO']))}: {answer.detail}",
        )
        return answer


class HookApp(Flask):
    """The WSGI application: the hook at its path, and beside it nothing, or what its user adds."""

    def __init__(self, intake: Intake, path: str) -> None:
        super().__init__("receiver", static_folder=None)
        self._intake = intake
        self._path = path
        self.register_error_handler(HTTPException, self._refuse)

    def take(self, environs: Sequence[Environ]) -> None:
        """Takes in, together, those of the requests that are for the hook; each is answered when it is called with."""
        hooked = [environ for environ in environs if environ["PATH_INFO"] == self._path]
        for environ, answer in zip(hooked, self._intake.answers(hooked), strict=True):
            environ[_ANSWER] = answer

    def wsgi_app(self, environ: Environ, start_response: "StartResponse") -> Iterable[bytes]:
        """Answers the hook, and leaves every other path to Flask."""
        if environ["PATH_INFO"] != self._path:
            return super().wsgi_app(environ, start_response)
        if _ANSWER not in environ:  # another server than ours, which gives one request at a time
            self.take([environ])
        answer: Answer = environ[_ANSWER]
        kind, content = answer.content()
        headers = [("Content-Type", kind), ("Content-Length", str(len(content))), *answer.headers]
        start_response(answer.status_line, headers)
        return [content]

    def _refuse(self, error: HTTPException) -> Response:
        from flask import request

        answer = Answer(error.code or 500, "Nothing is here: webhooks are POSTed to the hook's own path.")
        where = f"{escape(request.method)} {escape(masked(request.path))}"
        self._intake.report.refused(answer.status, f"{where}: the hook is POST {masked(self._path)}")
        kind, content = answer.content()
        return Response(content, answer.status, mimetype=kind)


def _answer(entry: Entry) -> Answer:
    members: dict[str, Any] = {"delivery": entry.id, "verdict": entry.verdict}
    if entry.violations:
        members["violations"] = [asdict(violation) for violation in entry.violations]
    return Answer(entry.status, _summary(entry) if entry.violations else "", members, ((ID_HEADER, entry.id),))


def _summary(entry: Entry) -> str:
    first = entry.violations[0]
    place = f"{first.pointer} " if first.pointer else ""
    more = f" (and {len(entry.violations) - 1} more)" if len(entry.violations) > 1 else ""
    return f"The payload is {entry.verdict}: {place}{first.message}{more}. It is in quarantine: kept, not handled."


def _malformed(keyword: str, message: str) -> Judgement:
    return Judgement(Verdict.MALFORMED, None, (Violation("", keyword, message),))


def _is_json(kind: str) -> bool:
    media = kind.partition(";")[0].strip().lower()
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))


def _length(environ: Environ) -> int:
    """What the request says of its body's length; 0 where it says nothing that is a number."""
    said = environ.get("CONTENT_LENGTH") or "0"
    return min(int(said), _LARGEST) if said.isdecimal() and len(said) < 100 else 0


def _read(environ: Environ, length: int, most: int) -> bytes:
    """At most so many bytes of the body. Only some servers end the stream where the body ends (PEP 3333)."""
    room = most if environ.get("wsgi.input_terminated") else min(length, most)
    parts: list[bytes] = []
    while room > 0 and (part := environ["wsgi.input"].read(room)):
        parts.append(part)
        room -= len(part)
    return b"".join(parts)


def _headers(environ: Environ) -> dict[str, str]:
    """The request's headers in their order, as far as WSGI tells it, with names as in `Content-Type`."""
    named = ((_header_name(key), value) for key, value in environ.items() if isinstance(value, str))
    return {name: value for name, value in named if name and value}


@lru_cache(1000)
def _header_name(key: str) -> str:
    if key in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
        return key.replace("_", "-").title()
    return key[5:].replace("_", "-").title() if key.startswith("HTTP_") else ""


@cache
def _title(status: int) -> str:
    return _TITLES.get(status) or HTTPStatus(status).phrase
