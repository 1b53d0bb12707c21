"""What arrived: bytes and headers in, a frozen `Delivery` out. Pure: no files, no sockets, no clock.

`parse` reads JSON as RFC 8259 has it and nothing beside: what two parsers would read differently is refused here,
before anything acts on it. (What `flask.Request.get_json` lets through is the list in tests/test_delivery.py.)
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import isinf
from typing import Any, NoReturn, Self

DEEPEST = 64
"""Objects and arrays nested deeper than this are refused: parsers differ in when they give up."""

# A string that never ends is taken as one too, or each quote in it would be the start of another search to the end.
_STRING_OR_OTHER = re.compile(r'[^"\[\]{}]+|"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)


class MalformedBody(Exception):
    """A body that is not JSON; the text says why and where, and holds no value of the body. `at`: how many bytes are
    before the place where it goes wrong, where that is one place."""

    def __init__(self, reason: str, at: int | None = None) -> None:
        super().__init__(reason)
        self.at = at


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook that arrived, as a handler gets it.

    The same delivery keeps its `id` through every attempt, so it serves as the key for idempotency: the provider sends
    none.
    """

    id: str
    """16 hexadecimal digits, ours."""
    event: str
    """The event type, e.g. `transactions.fetched`."""
    data: dict[str, Any]
    """The payload's `data`, the handler's own copy."""
    body: bytes
    """The request's body, byte for byte."""
    headers: Mapping[str, str]
    """The request's headers in their order, names as in `Content-Type`; repeated ones joined by a comma."""
    received_at: datetime
    """When the request was complete, UTC."""
    attempt: int = 1
    """1 for a handler's first run for this delivery, 2 for its second."""

    @classmethod
    def of(cls, event: str, data: Mapping[str, Any]) -> Self:
        """A delivery for a test, without a receiver: the same for the same data, received at a fixed moment.
        `dataclasses.replace` gives it another `id` or `attempt`.

        Raises:
            TypeError, ValueError: the data cannot be written as JSON.
        """
        payload = {"event": event, "data": data}
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        return cls(
            id=sha256(body).hexdigest()[:16],
            event=event,
            data=json.loads(body)["data"],
            body=body,
            headers={"Content-Type": "application/json"},
            received_at=datetime(2026, 1, 1, tzinfo=UTC),
        )


def parse(body: bytes) -> object:
    """The JSON value of a body.

    Raises:
        MalformedBody: not UTF-8, a byte order mark, not JSON, NaN or Infinity, a number that no double holds or that
            has more than 4,300 digits, a key that occurs twice, half a surrogate pair, or nesting deeper than
            `DEEPEST`.
    """
    text = _text(body)
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedBody(
            f"{error.msg.lower().removesuffix(' at')} at line {error.lineno}, column {error.colno}",
            at=len(text[: error.pos].encode()),
        ) from None
    except (
        ValueError
    ):  # int() has a limit on digits: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
        raise MalformedBody("a number has too many digits") from None
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _text(body: bytes) -> str:
    if not body:
        raise MalformedBody("the body is empty")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"not UTF-8 at byte {error.start}", at=error.start) from None
    if text.startswith("\ufeff"):
        raise MalformedBody("starts with a byte order mark", at=0)
    return text


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= DEEPEST:
        return
    depth = 0
    for bracket in _STRING_OR_OTHER.sub("", text):
        depth += 1 if bracket in "{[" else -1
        if depth > DEEPEST:
            raise MalformedBody(f"nested deeper than {DEEPEST} levels")


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MalformedBody("a string holds half a surrogate pair") from None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedBody("a key occurs twice in one object")
    return members


def _float(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise MalformedBody("a number is too large")
    return number


def _constant(name: str) -> NoReturn:
    raise MalformedBody(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=_float, parse_constant=_constant)
