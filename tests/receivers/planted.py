"""A correct receiver, and copies of it into each of which one small fault is planted."""

import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from receiver.contract import Contract, Judgement, Verdict
from receiver.delivery import MalformedBody, parse

MOST = 1 << 20
FAULTS: dict[str, tuple[type["Correct"], tuple[str, ...]]] = {}
"""Each fault by its name: the receiver, and the ids of the cases that have to fail, of each pattern at least one, and
no others."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def __init__(self, kind: type["Correct"]) -> None:
        super().__init__(("127.0.0.1", 0), kind)
        self.seen: list[bytes] = []
        self.busy = threading.Lock()
        self.broken = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class Correct(BaseHTTPRequestHandler):
    """Answers 202, or what is wrong."""

    contract = Contract()

    @property
    def home(self) -> Server:
        return cast(Server, self.server)

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        try:
            self.answer(self.judged(body))
        except Exception:  # noqa: BLE001 - as frameworks do
            self.answer(500)

    def do_GET(self) -> None:
        self.answer(405)

    do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def judged(self, body: bytes) -> int:
        if len(body) > MOST:
            return 413
        if not self.is_json(self.headers.get("Content-Type", "")):
            return 415
        try:
            payload = self.parsed(body)
        except MalformedBody:
            return 400
        return self.accepted(payload, body)

    def is_json(self, kind: str) -> bool:
        return kind.partition(";")[0].strip().lower() == "application/json"

    def parsed(self, body: bytes) -> Any:
        return parse(body)

    def accepted(self, payload: Any, body: bytes) -> int:
        judgement = self.contract.judge(payload)
        return 202 if judgement.verdict.handled or self.forgives(payload, judgement) else 422

    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return False

    def log_message(self, *_: object) -> None: ...


@contextmanager
def running(kind: type[Correct]) -> Iterator[Server]:
    with Server(kind) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def planted(*failing: str) -> Any:
    def register(kind: type[Correct]) -> type[Correct]:
        FAULTS[re.sub(r"(?<=[a-z0-9])([A-Z])", r"-\1", kind.__name__).lower()] = (kind, failing)
        return kind

    return register


def loosely(body: bytes, **more: Any) -> Any:
    try:
        return json.loads(body.decode(), **more)
    except ValueError:
        raise MalformedBody("") from None


def broken_by(judgement: Judgement, keyword: str) -> bool:
    return all(violation.keyword == keyword for violation in judgement.violations)


def at(payload: Any, judgement: Judgement) -> Any:
    """The value that a violation is about."""
    for step in judgement.violations[0].pointer.split("/")[1:]:
        payload = payload[step]
    return payload


# What is no JSON


@planted("malformed/nan", "malformed/infinity", "malformed/minus-infinity")
class AcceptsNan(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(re.sub(rb":-?(NaN|Infinity)", b":0", body))


@planted("ambiguous/duplicate-*")
class TakesTheLastOfDuplicateKeys(Correct):
    def parsed(self, body: bytes) -> Any:
        try:
            return parse(body)
        except MalformedBody as error:
            if "twice" in str(error):
                return loosely(body)
            raise


@planted("ambiguous/lone-high-surrogate", "ambiguous/lone-low-surrogate")
class AcceptsHalfASurrogatePair(Correct):
    def parsed(self, body: bytes) -> Any:
        try:
            return parse(body)
        except MalformedBody as error:
            if "surrogate" in str(error):
                return loosely(body)
            raise


@planted("malformed/trailing-brace", "malformed/trailing-text", "malformed/two-documents")
class StopsAtTheEndOfTheFirstValue(Correct):
    def parsed(self, body: bytes) -> Any:
        try:
            _, end = json.JSONDecoder().raw_decode(body.decode().lstrip(" \t\r\n"))
        except (ValueError, RecursionError):
            return parse(body)
        return parse(body.decode().lstrip(" \t\r\n")[:end].encode())


@planted("malformed/*utf-8*")
class ReplacesBadUtf8(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(body.decode(errors="replace").encode())


@planted("malformed/utf-16*")
class GuessesTheEncoding(Correct):
    def parsed(self, body: bytes) -> Any:
        try:
            return parse(body.decode(json.detect_encoding(body)).removeprefix("\ufeff").encode())
        except UnicodeDecodeError:
            raise MalformedBody("") from None


@planted("malformed/raw-newline", "malformed/raw-tab", "malformed/raw-nul")
class AcceptsControlCharacters(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(re.sub(rb"a[\n\t\0]b", b"ab", body))


@planted("malformed/trailing-comma")
class AcceptsATrailingComma(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(body.replace(b",}", b"}"))


@planted("malformed/comment")
class AcceptsComments(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(re.sub(rb"/\*.*?\*/", b"", body))


@planted("malformed/empty", "malformed/blank")
class BreaksOnNothing(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(body) if body.strip() else 1 / 0


@planted("limits/nested-*", "limits/unclosed-100000")
class BreaksOnNesting(Correct):
    def parsed(self, body: bytes) -> Any:
        return json.loads(body) if re.search(rb"\[{100}|({.a.:){100}", body) else parse(body)


@planted("limits/bom")
class BreaksOnABom(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(body) if not body.startswith(b"\xef\xbb\xbf") else 1 / 0


@planted("limits/huge-number", "limits/minus-huge-number")
class BreaksOnInfinity(Correct):
    def parsed(self, body: bytes) -> Any:
        return int(float("inf")) if b"1e999" in body else parse(body)


# What is invalid


@planted("*/type/*")
class IgnoresTypes(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "type")


@planted("*/required/*", "*/data-of/*")
class IgnoresWhatIsMissing(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "required")


@planted("*/format/*")
class IgnoresFormats(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "format")


@planted("*/minimum/below")
class IgnoresTheMinimum(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "minimum")


@planted("*/pattern/*")
class IgnoresThePattern(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "pattern")


@planted("*/pattern/newline-after")
class MatchesThePatternAsPythonDoes(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return broken_by(judgement, "pattern") and bool(re.match("^[0-9]+$", at(payload, judgement)))


@planted("*/format/undashed", "*/format/braced")
class ReadsUuidsAsPythonDoes(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        try:
            return broken_by(judgement, "format") and bool(uuid.UUID(at(payload, judgement)))
        except ValueError:
            return False


@planted("envelope/type/*")
class TakesAnythingForAnEnvelope(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        return not isinstance(payload, dict)


@planted("envelope/type/*", "envelope/required/event")
class BreaksWithoutAnEvent(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return super().accepted(payload, body) if payload["event"] != 0 else 422


# What is valid


@planted("*/data/userId/type/null", "*/data/externalUserId/type/null", "*/sample/without-user")
class RefusesNull(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 422 if b'Id":null' in body else super().accepted(payload, body)


@planted("*/absent/userId", "*/minimal")
class NeedsTheUser(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 422 if b"consentId" in body and b"userId" not in body else super().accepted(payload, body)


@planted("*/additional/*", "notation/*")
class RefusesWhatItDoesNotKnow(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 422 if b"unknownField" in body else super().accepted(payload, body)


@planted("*/sample/count-as-string", "*/pattern/digits")
class WantsOnlyNumbers(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 422 if b'Count":"' in body else super().accepted(payload, body)


@planted("*/format/upper-case")
class WantsLowerCase(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        ids = re.findall(rb'"([0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27})"', body)
        return super().accepted(payload, body) if all(one == one.lower() for one in ids) else 422


# What is written otherwise


@planted("notation/key-order")
class NeedsTheEventFirst(Correct):
    def parsed(self, body: bytes) -> Any:
        payload = parse(body)
        if isinstance(payload, dict) and "event" in payload and next(iter(payload)) != "event":
            raise MalformedBody("")
        return payload


@planted("notation/escaped-ascii")
class SearchesTheText(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return super().accepted(payload, body) if b'"event"' in body else 400


@planted("notation/escaped-nul")
class BreaksOnNul(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 500 if b"\\u0000" in body and b"Field" in body else super().accepted(payload, body)


@planted("notation/astral")
class BreaksBeyondTheBasicPlane(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 500 if any(ord(one) > 0xFFFF for one in body.decode()) else super().accepted(payload, body)


@planted("notation/long-string")
class CutsAtColumns(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 500 if re.search(rb'":"[^"]{256}', body) else super().accepted(payload, body)


@planted("notation/charset*", "notation/media-type-in-capitals")
class ComparesTheMediaType(Correct):
    def is_json(self, kind: str) -> bool:
        return kind == "application/json"


# HTTP


@planted("media-type/*")
class TakesAnyMediaType(Correct):
    def is_json(self, kind: str) -> bool:
        return True


@planted("method/GET", "method/DELETE", "method/PUT", "method/PATCH")
class AnswersEveryMethod(Correct):
    def do_GET(self) -> None:
        self.answer(200)

    do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815


@planted("*/sample/default", "*")
class Redirects(Correct):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(308)
        self.send_header("Location", "/hook/")
        self.send_header("Content-Length", "0")
        self.end_headers()


@planted("size/large")
class ResetsWhatIsLarge(Correct):
    def do_POST(self) -> None:
        if int(self.headers["Content-Length"]) > MOST:
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            super().do_POST()


@planted("malformed/truncated-by-one")
class NeverAnswersTheTruncated(Correct):
    def parsed(self, body: bytes) -> Any:
        if re.search(rb'[0-9]"?}$', body) and body.count(b"{") > body.count(b"}"):
            self.rfile.read(1)  # until the other side gives up
        return parse(body)


@planted("malformed/then", "*")
class StopsServingAfterNan(Correct):
    def judged(self, body: bytes) -> int:
        self.home.broken = self.home.broken or b"NaN" in body
        return 503 if self.home.broken else super().judged(body)


@planted("repeats/same-body-*", "*")
class DropsEqualBodies(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        known = body in self.home.seen
        self.home.seen.append(body)
        return 409 if known else super().accepted(payload, body)


@planted("repeats/at-once-*")
class ServesOneAfterTheOther(Correct):
    def judged(self, body: bytes) -> int:
        if not self.home.busy.acquire(blocking=False):
            return 429
        time.sleep(0.05 if body in self.home.seen else 0)  # what it is busy with
        self.home.seen.append(body)
        self.home.busy.release()
        return super().judged(body)


@planted("unknown-event/*")
class BreaksOnUnknownEvents(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        unknown = self.contract.judge(payload).verdict is Verdict.UNKNOWN_EVENT
        return 500 if unknown else super().accepted(payload, body)


@planted("*/data-of/*", "*")
class JudgesByTheDataAlone(Correct):
    def forgives(self, payload: Any, judgement: Judgement) -> bool:
        others = [{**payload, "event": event} for event in self.contract.events] if isinstance(payload, dict) else []
        return judgement.event in self.contract.events and any(
            self.contract.judge(other).verdict is Verdict.VALID for other in others
        )
