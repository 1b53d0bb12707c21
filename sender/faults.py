"""What can be done wrong on purpose, to see what a receiver makes of it; named in the ledger, and still one POST.

In: a fault, a connection that is open, a request. Out: the request, written with that fault.
"""

import http.client
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum

from sender.attempt import Attempt

LARGE = 2 << 20
"""Bytes of a body that is made large."""

_PIECES = 20
_PIECE_SECONDS = 0.1


class Fault(StrEnum):
    """What is wrong with a POST."""

    CUT = "cut"
    """Half of the body is sent, and then no more comes."""
    CLOSE = "close"
    """The whole request is sent, and the connection is closed without waiting for the answer."""
    SLOW = "slow"
    """The body comes in 20 pieces, over two seconds."""
    MEDIA_TYPE = "media-type"
    """The Content-Type is text/plain."""
    CHUNKED = "chunked"
    """The body comes in chunks, without a Content-Length."""
    LARGE = "large"
    """Blanks after the JSON make the body 2 MiB long."""


class ClosedOnPurposeError(Exception):
    """The connection was closed as the fault demands, so there is no answer."""


def with_its_body(attempt: Attempt) -> Attempt:
    """The attempt with the body that its fault makes of it."""
    return replace(attempt, body=attempt.body.ljust(LARGE)) if attempt.fault == Fault.LARGE else attempt


def write(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    fault: str | None,
) -> None:
    """Writes a request, with a fault or without.

    Raises:
        ClosedOnPurposeError: there will be no answer.
    """
    length = {"Content-Length": str(len(body))}
    match fault:
        case Fault.CUT:
            connection.request(method, path, body[: len(body) // 2], {**headers, **length})
            connection.sock.shutdown(socket.SHUT_WR)
        case Fault.CLOSE:
            connection.request(method, path, body, headers)
            raise ClosedOnPurposeError("closed on purpose before the answer")
        case Fault.SLOW:
            connection.request(method, path, _slowly(body), {**headers, **length})
        case Fault.CHUNKED:
            chunked = {**headers, "Transfer-Encoding": "chunked"}
            connection.request(method, path, _pieces(body), chunked, encode_chunked=True)
        case Fault.MEDIA_TYPE:
            connection.request(method, path, body, {**headers, "Content-Type": "text/plain"})
        case _:
            connection.request(method, path, body, headers)


def _pieces(body: bytes) -> Iterator[bytes]:
    size = max(1, -(-len(body) // _PIECES))
    return (body[start : start + size] for start in range(0, len(body), size))


def _slowly(body: bytes) -> Iterator[bytes]:
    for piece in _pieces(body):
        time.sleep(_PIECE_SECONDS)  # being slow is what it is for
        yield piece
