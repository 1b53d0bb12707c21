"""A load from one thread: so many connections, each sending its next request when its last was answered.

Leaner than any server that it loads: tests/benchmarks/receiver.py prints how many requests a second it makes of a
socket that does nothing.
"""

import selectors
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

SILENCE = 10.0
"""Seconds without an answer on any connection, after which the server has failed."""

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Measured:
    """What one run of load came to: requests a second, and latencies in milliseconds."""

    answered: int
    rate: float
    p50: float
    p99: float


class _Connection:
    _socket: socket.socket
    _closed: bool

    def __init__(self, selector: selectors.BaseSelector, address: tuple[str, int], request: bytes) -> None:
        self._selector = selector
        self._address = address
        self._request = request
        self._connect()

    def send(self) -> None:
        self._answer = b""
        self._sent = time.perf_counter()
        if self._closed:
            self.close()
            self._connect()
        self._socket.sendall(self._request)

    def receive(self) -> float | None:
        """The milliseconds that the answer took, once it is whole."""
        if not (part := self._socket.recv(65536)):
            raise ConnectionError(f"the server closed the connection after {self._answer!r}")
        self._answer += part
        head, end, body = self._answer.partition(b"\r\n\r\n")
        headers = head.lower()
        if not end or len(body) < _length(headers):
            return None
        if not headers.startswith((b"http/1.1 20", b"http/1.0 20")):
            raise ValueError(self._answer.decode())
        self._closed = b"connection: close" in headers
        return (time.perf_counter() - self._sent) * 1000

    def close(self) -> None:
        self._selector.unregister(self._socket)
        self._socket.close()

    def _connect(self) -> None:
        self._closed = False
        self._socket = socket.create_connection(self._address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(self._socket, selectors.EVENT_READ, self)


def _length(headers: bytes) -> int:
    _, found, rest = headers.partition(b"content-length:")
    return int(rest.split(b"\r\n")[0]) if found else 0


def request(path: str, body: bytes, headers: Mapping[str, str] = JSON) -> bytes:
    """The bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def load(address: tuple[str, int], sent: bytes, connections: int, seconds: float) -> Measured:
    """Loads a server so long, and leaves it when all that was sent is answered; every answer has to be 2xx."""
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        until = time.perf_counter() + seconds
        for opened in [_Connection(selector, address, sent) for _ in range(connections)]:
            opened.send()
        while selector.get_map():
            if not (ready := selector.select(SILENCE)):
                raise TimeoutError(f"no answer for {SILENCE:g} s")
            for key, _ in ready:
                if (took := key.data.receive()) is not None:
                    latencies.append(took)
                    proceed = key.data.send if time.perf_counter() < until else key.data.close
                    proceed()
    in_time = len(latencies) - connections  # each connection's last answer came after the end
    latencies.sort()
    return Measured(
        len(latencies), in_time / seconds, latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    )
