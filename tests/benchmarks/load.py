"""A load from one thread: so many keep-alive connections, each sending its next request when its last was answered."""

import selectors
import socket
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """What one run of load came to; latencies in milliseconds."""

    rate: float
    p50: float
    p99: float


class _Connection:
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
        self.socket.sendall(self._request)

    def close(self) -> None:
        self._selector.unregister(self.socket)
        self.socket.close()

    def _connect(self) -> None:
        self._closed = False
        self.socket = socket.create_connection(self._address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(self.socket, selectors.EVENT_READ, self)

    def receive(self) -> float | None:
        """The milliseconds that the answer took, once it is whole."""
        if not (part := self.socket.recv(65536)):
            raise ConnectionError("the server closed a kept connection")
        self._answer += part
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return None
        if not head.startswith(b"HTTP/1.1 20"):
            raise ValueError(head.decode())
        self._closed = b"connection: close" in head.lower()  # waitress closes after a 204
        return (time.perf_counter() - self._sent) * 1000


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n")[0]) if found else 0


def request(path: str, body: bytes, kind: str = "application/json") -> bytes:
    """The bytes of a POST that keeps its connection."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def load(address: tuple[str, int], sent: bytes, connections: int, seconds: float) -> Measured:
    """Loads a server; every answer has to be 2xx."""
    with selectors.DefaultSelector() as selector:
        opened = [_Connection(selector, address, sent) for _ in range(connections)]
        for connection in opened:
            connection.send()
        latencies: list[float] = []
        began = time.perf_counter()
        until = began + seconds
        while time.perf_counter() < until:
            for key, _ in selector.select(1):
                if (took := key.data.receive()) is not None:
                    latencies.append(took)
                    key.data.send()
        elapsed = time.perf_counter() - began
        for connection in opened:
            connection.close()
    latencies.sort()
    return Measured(
        len(latencies) / elapsed,
        latencies[len(latencies) // 2],
        latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)],
    )
