"""The listener: waitress with limits that fit a webhook, told to keep the head of what is too large and to finish what
had begun.

In: a WSGI application and a socket. Knows nothing of what the application does.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import create_server
from waitress.utilities import RequestEntityTooLarge

DRAIN = 16
"""A body of up to so many times the limit is read to its end, so that its sender gets to see the answer; of a larger
one not."""

STOP_SECONDS = 10.0
"""How long a stopping listener goes on with requests that had begun."""

_LIMITS: dict[str, Any] = {
    "threads": 32,  # as many as connections that are expected to be busy at once
    "connection_limit": 200,
    "max_request_header_size": 32 << 10,
    "channel_timeout": 15,  # seconds without a byte
    "cleanup_interval": 5,  # seconds
    "ident": None,  # no Server header
    "asyncore_use_poll": True,  # select() fails on descriptors from 1024 on
}


class ListenerError(Exception):
    """The address cannot be listened at; the text says why and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free port.

    Raises:
        ListenerError: the port is taken or is no port, the host is not one of this machine's.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = (os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)).lower()
        raise ListenerError(
            f"cannot listen at {host}:{port}: {reason}; another --port may be free, 0 takes one that is"
        ) from error


@contextmanager
def serving(app: Any, listener: socket.socket, max_body: int) -> Iterator[None]:
    """Serves a WSGI application from threads of its own until the block is left; what had begun by then is still
    answered.

    The application reads at most `max_body` + 1 bytes of a body; if it reads that many, CONTENT_LENGTH tells how many
    were sent.
    """
    channels: dict[int, Any] = {}
    server: Any = create_server(
        app, map=channels, sockets=[listener], max_request_body_size=max_body * DRAIN, **_LIMITS
    )
    parser = staticmethod(partial(_Parser, keep=max_body + 1))
    server.channel_class = type("Channel", (HTTPChannel,), {"parser_class": parser})
    stopping = threading.Event()
    thread = threading.Thread(target=_serve, args=(server, channels, stopping), name="listener", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        server.pull_trigger()
        thread.join()
        server.task_dispatcher.shutdown()
        wasyncore.close_all(channels)


def _serve(server: Any, channels: dict[int, Any], stopping: threading.Event) -> None:
    while not stopping.is_set():
        wasyncore.loop(timeout=1, use_poll=True, map=channels, count=1)
    server.accepting = False
    until = time.monotonic() + STOP_SECONDS
    while time.monotonic() < until and any(_busy(channel) for channel in list(server.active_channels.values())):
        wasyncore.loop(timeout=0.05, use_poll=True, map=channels, count=1)


def _busy(channel: Any) -> bool:
    return bool(channel.requests or channel.request or channel.total_outbufs_len)


class _Parser(HTTPRequestParser):
    """Keeps the first bytes of a body and counts the rest, so that the application can tell of one that is too
    large."""

    def __init__(self, adj: Adjustments, keep: int) -> None:
        super().__init__(adj)
        self._keep = keep
        self._body: _Head | None = None

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.body_rcv is not None:
            self._body = self.body_rcv.buf = _Head(self.adj.inbuf_overflow, self._keep)

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        headers: Any = self.headers
        if self._body is not None and self.completed:
            headers["CONTENT_LENGTH"] = str(max(self.content_length, self._body.sent))
            if isinstance(self.error, RequestEntityTooLarge):
                self.error = None
                headers["CONNECTION"] = "close"  # what follows is the rest of this body, not a request
        return consumed


class _Head(OverflowableBuffer):
    """A buffer that holds no more than its first `keep` bytes; `sent` counts all."""

    def __init__(self, overflow: int, keep: int) -> None:
        super().__init__(overflow)
        self._keep = keep
        self.sent = 0

    def append(self, data: bytes) -> None:
        room = self._keep - len(self)
        self.sent += len(data)
        if room > 0:
            super().append(data[:room])
