"""A forwarder in a process of its own, and the application that it forwards to."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from conftest import SOON, command
from peering import read_request

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
CONSENT = "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2"


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def body(number: int = 0, event: str = FETCHED) -> bytes:
    return json.dumps({"event": event, "data": {"consentId": CONSENT, "addedTransactionsCount": number}}).encode()


def numbers(requests: list[bytes]) -> list[int]:
    return [json.loads(one.partition(b"\r\n\r\n")[2])["data"]["addedTransactionsCount"] for one in requests]


def forward(url: str, *words: str) -> Any:
    return command("sender", "forward", "--inbox", "in", "--to", url, *words)


@contextmanager
def forwarding(url: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
    line = [sys.executable, "-m", "sender", "forward", "--inbox", "in", "--to", url, *words]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def application(port: int) -> Iterator[list[bytes]]:
    """An application at a port, as long as the block runs; what it was sent."""
    came: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with closing(connection):
                if request := read_request(connection):
                    came.append(request)
                    ok(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield came
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(SOON)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
