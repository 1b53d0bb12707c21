"""A peer: a TCP server that does just what a test tells it, and keeps what it was sent; and a page of another origin.
`conftest` has the fixtures."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

SOON = 20.0
"""Seconds within which what has to happen happens, however busy the machine is."""


@dataclass
class Peer:
    """A TCP server that reads whole requests, keeps each, and lets `answer` do what it likes with the connection."""

    url: str
    requests: list[bytes] = field(default_factory=list)


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Starts a peer; `answer(connection)` is called for each request read, `greet(connection)` for each connection."""
    with _peers(_serve) as start:
        yield start


@pytest.fixture
def peers() -> Iterator[Callable[..., Peer]]:
    """The same, but each connection has a thread of its own."""
    threads: list[threading.Thread] = []

    def serve(*what: Any) -> None:
        thread = threading.Thread(target=_serve, args=what)
        thread.start()
        threads.append(thread)

    with _peers(serve) as start:
        yield start
    for thread in threads:
        thread.join(SOON)


@contextmanager
def _peers(serve: Callable[..., None]) -> Iterator[Callable[..., Peer]]:
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(
        answer: Callable[[socket.socket], None], greet: Callable[[socket.socket], socket.socket] | None = None
    ) -> Peer:
        listener = socket.create_server(("127.0.0.1", 0))
        started = Peer(f"http://127.0.0.1:{listener.getsockname()[1]}/hook")
        thread = threading.Thread(
            target=_peer, args=(listener, serve, started, answer, greet or (lambda connection: connection))
        )
        thread.start()
        listeners.append(listener)
        threads.append(thread)
        return started

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(SOON)


def _peer(listener: socket.socket, serve: Callable[..., None], *what: Any) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        serve(connection, *what)


def _serve(
    connection: socket.socket,
    peer: Peer,
    answer: Callable[[socket.socket], None],
    greet: Callable[[socket.socket], socket.socket],
) -> None:
    with suppress(OSError), closing(connection), closing(greet(connection)) as greeted:
        greeted.settimeout(SOON)
        while request := read_request(greeted):
            peer.requests.append(request)
            answer(greeted)


def read_request(connection: socket.socket) -> bytes:
    """One whole request; empty when the connection ends before that."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (part := connection.recv(65536)):
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        if not (part := connection.recv(65536)):
            return b""
        body += part
    return head + b"\r\n\r\n" + body


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The URL of an empty page of another origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Empty)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>a page")

    def log_message(self, *_: object) -> None:
        """Says nothing."""
