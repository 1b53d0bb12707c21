"""The listener: waitress with limits that fit a webhook, told to finish what had begun.

In: a WSGI application and a socket. An application that can take several requests together gets those that came
together, in the listener's own thread: to hand a request to another thread and back takes longer than to answer a
webhook. Knows nothing of what the application does.
"""

import errno
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import WSGITask

from receiver.parser import Environ, Parser

DRAIN = 16
"""A body of up to so many times the limit is read to its end, so that its sender gets to see the answer; of a larger
one not."""

STOP_SECONDS = 10.0
"""How long a stopping listener goes on with requests that had begun."""

REQUEST_SECONDS = 30.0
"""How long a request may take to come in, all in all, however steadily it drips."""

QUIET_ROUNDS = 3
"""So many looks in a row at which no connection had anything to read or write, before a stopping listener is done."""

WHOLE = 1 << 20
"""Bytes of an answer that may wait for its end, so that its head does not leave alone."""

THREADS = 4
"""How many requests an application that takes one at a time answers at the same time, if nothing else is said."""

Together = Callable[[Sequence[Environ]], None]

CONNECTIONS = 400
"""With so many open, those that have been quiet for longest are closed to let others in."""

_LIMITS: dict[str, Any] = {
    "connection_limit": CONNECTIONS + 100,  # only reached if none of them is idle
    "max_request_header_size": 32 << 10,
    "outbuf_high_watermark": 1 << 40,  # the listener's thread must not wait for a client to read its answer
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
    together: Together | None = None,
    threads: int = THREADS,
) -> Iterator[None]:
    """Serves a WSGI application from threads of its own until the block is left; what had come by then is answered.

    The application reads at most `max_body` + 1 bytes of a body; if it reads that many, CONTENT_LENGTH tells how many
    were sent. `refused` is told of what never reaches it, as it is not HTTP. `together`, if there is one, is called
    with the environs of the requests that have come together, before the application is with each. `threads` requests
    are answered at the same time; an application whose answers wait for others takes more.
    """
    channels: dict[int, Any] = {}
    limits = {**_LIMITS, "threads": threads, "max_request_body_size": max_body * DRAIN, "inbuf_overflow": max_body * 2}
    rounds: Any = _Rounds(together) if together else None
    server: Any = create_server(app, map=channels, sockets=[listener], _dispatcher=rounds, **limits)
    server.adj.send_bytes = WHOLE  # (to give it as a limit is deprecated)
    parser = staticmethod(partial(Parser, keep=max_body + 1, refused=refused))
    server.channel_class = type("Channel", (_Channel,), {"parser_class": parser})
    server.handle_accept = partial(_accept_all, server, server.handle_accept)
    if rounds:
        server.pull_trigger = lambda: None  # which wakes the listener's thread; that is the one that would call it
    serve_round = rounds.serve if rounds else lambda: None
    stopping = threading.Event()
    thread = threading.Thread(
        target=_serve, args=(server, channels, serve_round, stopping), name="listener", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        server.trigger.pull_trigger()
        thread.join()
        server.task_dispatcher.shutdown()
        wasyncore.close_all(channels)


def _serve(server: Any, channels: dict[int, Any], serve_round: Callable[[], None], stopping: threading.Event) -> None:
    def look(seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=channels, count=1)
        serve_round()

    while not stopping.is_set():
        look(1)
        _close_slow(server)
        _make_room(server)
    _accept_the_last(server)
    until = time.monotonic() + STOP_SECONDS
    quiet = 0
    while quiet < QUIET_ROUNDS and time.monotonic() < until:
        look(0.01)
        busy = any(_is_busy(channel) for channel in list(server.active_channels.values()))
        quiet = 0 if busy else quiet + 1


def _accept_the_last(server: Any) -> None:
    """Takes the connections that were made before the stop, then closes the socket: whoever comes later is refused."""
    server.adj.connection_limit = sys.maxsize
    server.handle_accept()
    server.accepting = False
    server.del_channel()
    server.socket.close()


def _accept_all(server: Any, accept_one: Callable[[], None]) -> None:
    """Takes all connections that wait, and not one a look, so that what they bring is served together."""
    accepted = -1
    while accepted < (accepted := len(server.active_channels)) < server.adj.connection_limit:
        accept_one()


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


class _Rounds:
    """Serves requests in place of waitress's threads: those that one look at the connections has brought, together."""

    def __init__(self, together: Together) -> None:
        self._together = together
        self._channels: list[Any] = []

    def add_task(self, channel: Any) -> None:
        self._channels.append(channel)

    def serve(self) -> None:
        """Serves what has come; a pipelined request after the one before it."""
        while channels := self._channels:
            self._channels = []
            self._take_together([(channel, channel.requests[0]) for channel in channels])
            for channel in channels:
                channel.service()
                if channel.connected:
                    channel.handle_write()

    def _take_together(self, requests: Sequence[tuple[Any, Any]]) -> None:
        try:
            self._together([_Task(*request).get_environment() for request in requests if not request[1].error])
        except Exception:  # noqa: BLE001 - a fault of one must not end the listener; each is now called alone
            traceback.print_exc()

    def shutdown(self) -> None:
        """Nothing is left: the listener's thread has ended."""


class _Task(WSGITask):
    """Answers a request; its environ is made once."""

    def get_environment(self) -> Environ:
        request: Any = self.request
        if request.environ is None:
            request.environ = super().get_environment()
        environ: Environ = request.environ
        return environ


class _Channel(HTTPChannel):
    """Serves a request that has come whole even if its sender has hung up since, where waitress would drop it."""

    task_class = _Task

    def handle_close(self) -> None:
        if not self.requests:  # else the last one's answer comes back here
            super().handle_close()
