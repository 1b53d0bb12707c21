"""Faults in serving HTTP."""

import re
import socket
import time
from typing import Any

from receivers.correct import MOST, Correct, planted

from receiver.delivery import parse

# HTTP


@planted("media-type/*")
class TakesAnyMediaType(Correct):
    def is_json(self, kind: str) -> bool:
        return True


@planted("method/GET", "method/DELETE", "method/PUT", "method/PATCH")
class AnswersEveryMethod(Correct):
    def do_GET(self) -> None:
        self.answer(200)

    do_PUT = do_PATCH = do_DELETE = do_GET


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
