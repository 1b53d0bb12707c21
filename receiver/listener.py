"""The listener: waitress with limits that fit a webhook, told to keep the head of what is too large and to finish what
had begun.

In: a WSGI application and a socket. Knows nothing of what the application does.
"""

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import create_server
from waitress.utilities import BadRequest, RequestEntityTooLarge

DRAIN = 16
"""A body of up to so many times the limit is read to its end, so that its sender gets to see the answer; of a larger
one not."""

STOP_SECONDS = 10.0
"""How long a stopping listener goes on with requests that had begun."""

REQUEST_SECONDS = 30.0
"""How long a request may take to come in, all in all, however steadily it drips."""

QUIET_ROUNDS = 3
"""So many looks in a row at which no connection had anything to read or write, before a stopping listener is done."""

THREADS = 32
"""As many as connections that are expected to be busy at once."""

CONNECTIONS = 400
"""With so many open, those that have been quiet for longest are closed to let others in."""

_LIMITS: dict[str, Any] = {
    "connection_limit": CONNECTIONS + 100,  # only reached if none of them is idle
    "max_request_header_size": 32 << 10,
    "channel_timeout": 15,  # seconds without a byte
    "cleanup_interval": 5,  # seconds
    "ident": None,  # no Server header
    "asyncore_use_poll": True,  # select() fails on descriptors from 1024 on
}


# waitress warns whenever a request waits for a thread, which under load is no trouble, but its own way of working.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)


_REMEDIES = {
    errno.EADDRINUSE: "another --port may be free, 0 takes one that is",
    errno.EACCES: "a --port below 1024 takes more rights; choose a higher one",
}


class ListenerError(Exception):
    """The address cannot be listened at; the text says why and what to do."""


def listen(host: str, *ports: int) -> socket.socket:
    """A listening socket, at the first of the ports that is free; port 0 takes a free port.

    Raises:
        ListenerError: the port is taken or is no port, the host is not one of this machine's.
    """
    *others, port = ports
    for other in others:
        with suppress(OSError):
            return _listener(host, other)
    try:
        return _listener(host, port)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "--host has to be an address of this machine")
        reason = "no such name" if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0).lower()
        raise ListenerError(f"cannot listen at {host}:{port}: {reason}; {remedy}") from error


def _listener(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


@contextmanager
def serving(
    app: Any,
    listener: socket.socket,
    max_body: int,
    refused: Callable[[int, str], None] = lambda _status, _reason: None,
    threads: int = THREADS,
) -> Iterator[None]:
    """Serves a WSGI application from threads of its own until the block is left; what had come by then is answered.

    The application reads at most `max_body` + 1 bytes of a body; if it reads that many, CONTENT_LENGTH tells how many
    were sent. `refused` is told of what never reaches it, as it is not HTTP.
    """
    channels: dict[int, Any] = {}
    limits = {**_LIMITS, "threads": threads, "max_request_body_size": max_body * DRAIN, "inbuf_overflow": max_body * 2}
    server: Any = create_server(app, map=channels, sockets=[listener], **limits)
    parser = staticmethod(partial(_Parser, keep=max_body + 1, refused=refused))
    server.channel_class = type("Channel", (_Channel,), {"parser_class": parser})
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
        _close_slow(server)
        _make_room(server)
    _accept_the_last(server)
    until = time.monotonic() + STOP_SECONDS
    quiet = 0
    while quiet < QUIET_ROUNDS and time.monotonic() < until:
        wasyncore.loop(timeout=0.01, use_poll=True, map=channels, count=1)
        busy = any(_is_busy(channel) for channel in list(server.active_channels.values()))
        quiet = 0 if busy else quiet + 1


def _accept_the_last(server: Any) -> None:
    """Takes the connections that were made before the stop, then closes the socket: whoever comes later is refused."""
    accepted = -1
    while accepted < (accepted := len(server.active_channels)):
        server.handle_accept()
    server.accepting = False
    server.del_channel()
    server.socket.close()


def _close_slow(server: Any) -> None:
    begun_before = time.monotonic() - REQUEST_SECONDS
    for channel in list(server.active_channels.values()):
        if channel.request is not None and channel.request.began < begun_before:
            channel.will_close = True


def _make_room(server: Any) -> None:
    if len(server.active_channels) < CONNECTIONS:
        return
    idle = [channel for channel in list(server.active_channels.values()) if not channel.requests]
    for channel in sorted(idle, key=lambda channel: channel.last_activity)[: CONNECTIONS // 10]:
        channel.will_close = True


def _is_busy(channel: Any) -> bool:
    return bool(channel.requests or channel.request or channel.total_outbufs_len)


class _Channel(HTTPChannel):
    """Serves a request that has come whole even if its sender has hung up since, where waitress would drop it."""

    def handle_close(self) -> None:
        if not self.requests:  # else the last one's answer comes back here
            super().handle_close()


class _Parser(HTTPRequestParser):
    """Keeps the first bytes of a body and counts the rest, so that the application can tell of one that is too
    large."""

    def __init__(self, adj: Adjustments, keep: int, refused: Callable[[int, str], None]) -> None:
        super().__init__(adj)
        self.began = time.monotonic()
        self._keep = keep
        self._refused = refused
        self._body: _Head | None = None

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # Python's own, of a target or a number that it does not take
            raise ParsingError("the request target or the Content-Length is invalid") from error
        if "TRANSFER_ENCODING" in self.headers:  # left alone by waitress: where its body ends is anyone's guess
            raise ParsingError("Transfer-Encoding in another version than HTTP/1.1")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            self._end_here()  # who has read the other of the two would take the next request to begin elsewhere
        if self.body_rcv is None:
            return
        self._body = self.body_rcv.buf = _Head(self.adj.inbuf_overflow, self._keep)
        most = self.adj.max_request_body_size - 1
        if self.content_length > most:
            self._end_after(most)

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if self._is_endless():
            self.completed, self.error = True, BadRequest("a chunk's size or the trailer is longer than a head may be")
        if self.completed and isinstance(self.error, RequestEntityTooLarge):
            self.error = None  # a chunked one: the application tells
            self._end_here()
        if self.completed and self.chunked and self._body is not None:
            self._set("CONTENT_LENGTH", str(self._body.sent))
        if self.completed and self.empty:
            self.empty, self.error = False, BadRequest("blank lines where a request should begin")
        if self.completed:
            self.expect_continue = False  # or waitress says 100 and waits for a body that has come, or never will
        if self.completed and self.error is not None:
            self._refused(self.error.code, self.error.body.partition(' "')[0])  # what it quotes may hold values
        return consumed

    def _is_endless(self) -> bool:
        """waitress searches all of such a line again with each part of it that comes."""
        receiver: Any = self.body_rcv
        return self.chunked and len(receiver.control_line) + len(receiver.trailer) > self.adj.max_request_header_size

    def _end_after(self, length: int) -> None:
        """Reads so much of a longer body; its true length stays in the header."""
        receiver: Any = self.body_rcv
        self.content_length = receiver.remain = length
        self._end_here()

    def _end_here(self) -> None:
        self._set("CONNECTION", "close")  # what follows is the rest of this body, not a request

    def _set(self, header: str, value: str) -> None:
        headers: Any = self.headers
        headers[header] = value


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
