"""How requests are read: as waitress reads HTTP, but for where that ends in a guess or in a wait for ever.

In: what came over a connection. Out: requests, of a body that is too large its first bytes. Knows nothing of what they
ask.
"""

import time
from collections.abc import Callable
from typing import Any

from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, RequestEntityTooLarge

Environ = dict[str, Any]
"""A request as WSGI has it (PEP 3333)."""


class Parser(HTTPRequestParser):
    """Keeps the first bytes of a body and counts the rest, so that the application can tell of one that is too
    large."""

    def __init__(self, adj: Adjustments, keep: int, refused: Callable[[int, str], None]) -> None:
        super().__init__(adj)
        self.began = time.monotonic()
        self.environ: Environ | None = None
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
