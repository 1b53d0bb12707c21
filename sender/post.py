"""One POST: one connection, one request, one answer, and the truth about it.

In: a URL, bytes, headers. Out: an outcome. A `requests.Session` may follow redirects, read proxies and passwords from
the environment, and wait as long as a slow peer likes; its adapter alone, on a connection that is cut at a deadline,
does none of it (tests/test_post.py counts at a raw socket). Knows nothing of the ledger.
"""

import http.client
import re
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from receiver import __version__
from sender.endpoints import EndpointError
from sender.ledger import Outcome, State

CONNECT_SECONDS = 3.0
"""How long each address of the endpoint may take to accept the connection."""

MOST_ANSWER = 64 << 10
"""Bytes of an answer's body that are read."""

ID_HEADER = "Delivery-Id"
"""Where our receiver says under which id it keeps a delivery."""

_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"enablenow-webhooks/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_FRAMING = {"content-length", "transfer-encoding"}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.1
_HEADER_VALUE = re.compile(r"[\t -~\x80-\xff]*")  # RFC 9110, 5.5


def prepare(url: str, body: bytes, headers: Mapping[str, str]) -> requests.PreparedRequest:
    """The request as it will be sent, its `url` as it will be on the wire; `headers` come on top of ours, or in their
    place.

    Raises:
        EndpointError: a header or the URL is not HTTP.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise EndpointError(f"header {name!r}: a name is letters, digits and -, a value is one line of Latin-1")
        if name.lower() in _FRAMING:
            raise EndpointError(f"header {name!r}: says how long the body is, which only the sender can")
    try:
        request = requests.Request("POST", url, data=body, headers={**_HEADERS, **headers}).prepare()
        request.url = urllib3.util.parse_url(str(request.url))._replace(fragment=None).url
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise EndpointError(f"{url}: {error}") from error  # a host name that IDNA does not take
    return request


def post(request: requests.PreparedRequest, seconds: float) -> Outcome:
    """Sends the request, once, and returns within `seconds` (a slow name server aside, before anything was sent).

    `delivered`: the status line of an answer came, whatever became of the rest. `refused`: the connection was never
    ready, so no byte of the request left. `unknown`: anything in between, Ctrl-C too.
    """
    wire = _Wire(seconds)
    timeout = (min(CONNECT_SECONDS, seconds), seconds)
    with wire, _OneConnection(wire) as adapter:
        try:
            answer = adapter.send(request, stream=True, timeout=timeout)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it was, the POST may have been made
            return wire.outcome(error)
        milliseconds = wire.milliseconds()
        return Outcome(
            state=State.DELIVERED,
            milliseconds=milliseconds,
            status=answer.status_code,
            delivery=answer.headers.get(ID_HEADER),
            answer=_body(answer),
            reason=_redirect(answer),
        )


def _redirect(answer: requests.Response) -> str | None:
    location = answer.headers.get("Location")
    return f"redirects to {location}, which is not followed" if answer.is_redirect else None


def _body(answer: requests.Response) -> bytes:
    """The head of the answer's body; what came of it where it broke off, since the status stands all the same."""
    parts: list[bytes] = []
    room = MOST_ANSWER
    with suppress(urllib3.exceptions.HTTPError, OSError, http.client.HTTPException, KeyboardInterrupt):
        while room > 0 and (part := answer.raw.read1(room, decode_content=False)):
            parts.append(part)
            room -= len(part)
    return b"".join(parts)


class _Wire:
    """The connection under a POST: whether it got ready, the status that came, and the hand that cuts it at the
    deadline."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.perf_counter()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._late = False
        self._line: socket.socket | None = None
        self.ready = False
        self.status: int | None = None

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._line is not None:
            self._line.close()

    def watch(self, line: socket.socket) -> socket.socket:
        """Takes note of a new connection; a duplicate, since TLS takes the first one over, and either shuts down
        both."""
        self._line = line.dup()
        if self._late:
            line.close()
            raise TimeoutError
        return line

    def milliseconds(self) -> float:
        """How long it has taken so far."""
        return round((time.perf_counter() - self._began) * 1000, 3)

    def outcome(self, error: BaseException) -> Outcome:
        """What is known when no whole answer came."""
        state = State.DELIVERED if self.status else State.UNKNOWN if self.ready else State.REFUSED
        return Outcome(state, self.milliseconds(), self.status, reason=self._reason(error))

    def _reason(self, error: BaseException) -> str:
        """Why there was no answer, in a few words."""
        if isinstance(error, KeyboardInterrupt):
            return "stopped by Ctrl-C"
        if self._late:
            return f"no answer within {self._seconds:g} s"
        while cause := error.__cause__ or error.__context__:
            error = cause
        return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()

    def _cut(self) -> None:
        self._late = True
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)


class _OneConnection(HTTPAdapter):
    """An adapter that never retries and whose connections are watched."""

    def __init__(self, wire: _Wire) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._wire = wire

    def __enter__(self) -> "_OneConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        connection = _WatchedTLS if pool.scheme == "https" else _Watched
        pool.ConnectionCls = partial(connection, wire=self._wire)
        return pool


class _FinalAnswer(http.client.HTTPResponse):
    """http.client passes over 100 only; 102 and 103 are interim too (RFC 9110, 15.2)."""

    def __init__(self, *args: Any, wire: _Wire, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wire = wire

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc] # not in typeshed
            if not 101 < status < 200:
                self._wire.status = status if status != http.client.CONTINUE else None
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Watched(HTTPConnection):
    """A connection that tells its wire when it opens and when it is ready for the request."""

    def __init__(self, *args: Any, wire: _Wire, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wire = wire
        self.response_class: Any = partial(_FinalAnswer, wire=wire)

    def _new_conn(self) -> socket.socket:
        return self._wire.watch(super()._new_conn())

    def connect(self) -> None:
        super().connect()
        self._wire.ready = True


class _WatchedTLS(_Watched, HTTPSConnection):
    """The same over TLS; ready after the handshake."""
