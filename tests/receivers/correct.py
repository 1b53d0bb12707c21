"""A correct receiver, and how a fault is planted in a copy of it: by a subclass that the decorator registers."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from receiver.contract import Contract, Judgement
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

    do_PUT = do_PATCH = do_DELETE = do_GET

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
