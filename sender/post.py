"""One POST: one connection, one request, one answer, and the truth about it.

In: a target and bytes. Out: an outcome. What lies above a bare connection (a `requests.Session`, its adapter, a pool)
may follow redirects, send again, read proxies and passwords from the environment, and wait as long as a slow peer
likes. So the URL and the headers are prepared as `requests` would, and the request is made on a connection that can do
none of it, is used once, and is cut at a deadline (tests/test_post.py counts at a raw socket). Knows nothing of the
ledger's file.
"""

import http.client
import re
import ssl
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
import urllib3

from receiver import __version__
from sender.address import EndpointError
from sender.attempt import Outcome, State
from sender.faults import write
from sender.wire import Wire

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
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True, slots=True)
class Target:
    """Where POSTs go and with which headers; `url` as it is on the wire, `tls` what is trusted there, `secret`
    signs what is sent. (What verifies a
    receiver uses another `method` too.)"""

    url: str
    host: str
    port: int
    path: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None
    method: str = "POST"
    secret: str | None = field(default=None, repr=False)


def prepare(url: str, headers: Mapping[str, str], authorities: Path | None = None, secret: str | None = None) -> Target:
    """The target of POSTs to a URL; `headers` come on top of ours, or in their place.

    `authorities` is a file of certificates (PEM) to trust instead of the public ones.

    Raises:
        EndpointError: a header, the URL or the file is not what it should be.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise EndpointError(f"header {name!r}: a name is letters, digits and -, a value is one line of Latin-1")
        if secret and name.lower().startswith("webhook-"):
            raise EndpointError(f"header {name!r}: is the signature's; leave it out, or the secret")
        if name.lower() in _FRAMING:
            raise EndpointError(f"header {name!r}: says how long the body is, which only the sender can")
    request = requests.PreparedRequest()
    try:
        request.prepare_url(url, None)
        request.prepare_headers({**_HEADERS, **headers})
        parts = urllib3.util.parse_url(str(request.url))._replace(fragment=None)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise EndpointError(f"{url}: {error}") from error  # a host name that IDNA does not take
    tls = _trusting(authorities) if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    host = str(parts.host).strip("[]")
    return Target(parts.url, host, port, parts.request_uri, dict(request.headers), tls, secret=secret)


def _trusting(authorities: Path | None) -> ssl.SSLContext:
    """TLS that checks certificate and name, and reads no environment (SSL_CERT_FILE, SSLKEYLOGFILE)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(authorities or requests.utils.DEFAULT_CA_BUNDLE_PATH)
    except OSError as error:  # ssl.SSLError is one
        reason = "holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise EndpointError(f"{authorities}: {reason}") from error
    return context


class Poster:
    """Makes POSTs, from any number of threads, each on a connection of its own and cut after so many `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._wires: dict[Wire, None] = {}  # oldest first
        self._closing = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="deadlines", daemon=True)
        self._watchdog.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._closing.set()
        self._watchdog.join()

    def post(self, target: Target, body: bytes, fault: str | None = None) -> Outcome:
        """Sends the body, once, with a fault where one is meant; returns in time (a slow name server aside, before
        anything was sent).

        `delivered`: the status line of an answer came, whatever became of the rest. `refused`: the connection was never
        ready, so no byte of the request left. `unknown`: anything in between, Ctrl-C too.
        """
        wire = Wire(self.seconds)
        self._wires[wire] = None
        try:
            with closing(wire), closing(_Connection(target, wire)) as connection:
                return _posted(connection, wire, target, body, fault)
        finally:
            del self._wires[wire]

    def cut(self) -> None:
        """Ends all that are under way, as Ctrl-C does; may be called from a signal handler."""
        for wire in list(self._wires):
            wire.cut("stopped by Ctrl-C")

    def _watch(self) -> None:
        """One thread for all deadlines: it wakes for the oldest, before which none that begins meanwhile is due."""
        left = self.seconds
        while not self._closing.wait(left):
            for wire in list(self._wires):
                if (left := wire.left()) > 0:
                    break
                wire.cut(wire.overdue)
            else:
                left = self.seconds


def _posted(connection: "_Connection", wire: Wire, target: Target, body: bytes, fault: str | None) -> Outcome:
    try:
        connection.connect()
        with suppress(BrokenPipeError, ConnectionResetError):  # who refuses a body may answer before it was read
            write(connection, target.method, target.path, body, target.headers, fault)
        answer = connection.getresponse()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it was, the POST may have been made
        state = State.DELIVERED if wire.status else State.UNKNOWN if wire.ready else State.REFUSED
        return Outcome(state, wire.milliseconds(), wire.status, reason=wire.reason(error))
    milliseconds = wire.milliseconds()
    with answer:
        return Outcome(
            state=State.DELIVERED,
            milliseconds=milliseconds,
            status=answer.status,
            delivery=answer.headers.get(ID_HEADER),
            answer=_body(answer),
            reason=_redirect(answer),
        )


def _redirect(answer: http.client.HTTPResponse) -> str | None:
    location = answer.headers.get("Location")
    return f"redirects to {location}, which is not followed" if location and answer.status in _REDIRECTS else None


def _body(answer: http.client.HTTPResponse) -> bytes:
    """The head of the answer's body; what came of it where it broke off, since the status stands all the same."""
    parts: list[bytes] = []
    room = MOST_ANSWER
    with suppress(OSError, ValueError, http.client.HTTPException, KeyboardInterrupt):
        while room > 0 and (part := answer.read1(room)):
            parts.append(part)
            room -= len(part)
    return b"".join(parts)


class _Connection(http.client.HTTPConnection):
    """A connection that opens on its wire, and tells it when it is ready for the request: after TLS's handshake."""

    auto_open = 0  # or http.client would open a closed one again

    def __init__(self, target: Target, wire: Wire) -> None:
        super().__init__(target.host, target.port)
        self.default_port = 443 if target.tls else 80
        self.response_class = partial(_FinalAnswer, wire=wire)  # type: ignore[assignment] # called as the class is
        self._tls = target.tls
        self._wire = wire

    def connect(self) -> None:
        line = self._wire.open(self.host, self.port)
        self.sock = self._tls.wrap_socket(line, server_hostname=self.host.rstrip(".")) if self._tls else line
        self._wire.ready = True


class _FinalAnswer(http.client.HTTPResponse):
    """http.client passes over 100 only; 102 and 103 are interim too (RFC 9110, 15.2)."""

    def __init__(self, *args: Any, wire: Wire, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wire = wire

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc] # not in typeshed
            if not 101 < status < 200:
                self._wire.status = status if status != http.client.CONTINUE else None
                return version, status, reason
            http.client.parse_headers(self.fp)
