"""Faults in reading a body: JSON that is none, and JSON that is written otherwise."""

import json
import re
from typing import Any

from receivers.correct import Correct, planted

from receiver.delivery import MalformedBody, parse


def loosely(body: bytes, **more: Any) -> Any:
    try:
        return json.loads(body.decode(), **more)
    except ValueError:
        raise MalformedBody("") from None


# What is no JSON


@planted("malformed/nan", "malformed/infinity", "malformed/minus-infinity")
class AcceptsNan(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(re.sub(rb":-?(NaN|Infinity)", b":0", body))


@planted("ambiguous/duplicate-*")
class TakesTheLastOfDuplicateKeys(Correct):
    def parsed(self, body: bytes) -> Any:
        try:
            return parse(body)
        except MalformedBody as error:
            if "twice" in str(error):
                return loosely(body)
            raise


@planted("ambiguous/lone-high-surrogate", "ambiguous/lone-low-surrogate")
class AcceptsHalfASurrogatePair(Correct):
    def parsed(self, body: bytes) -> Any:
        try:
            return parse(body)
        except MalformedBody as error:
            if "surrogate" in str(error):
                return loosely(body)
            raise


@planted("malformed/trailing-brace", "malformed/trailing-text", "malformed/two-documents")
class StopsAtTheEndOfTheFirstValue(Correct):
    def parsed(self, body: bytes) -> Any:
        try:
            _, end = json.JSONDecoder().raw_decode(body.decode().lstrip(" \t\r\n"))
        except (ValueError, RecursionError):
            return parse(body)
        return parse(body.decode().lstrip(" \t\r\n")[:end].encode())


@planted("malformed/*utf-8*")
class ReplacesBadUtf8(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(body.decode(errors="replace").encode())


@planted("malformed/utf-16*")
class GuessesTheEncoding(Correct):
    def parsed(self, body: bytes) -> Any:
        try:
            return parse(body.decode(json.detect_encoding(body)).removeprefix("\ufeff").encode())
        except UnicodeDecodeError:
            raise MalformedBody("") from None


@planted("malformed/raw-newline", "malformed/raw-tab", "malformed/raw-nul")
class AcceptsControlCharacters(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(re.sub(rb"a[\n\t\0]b", b"ab", body))


@planted("malformed/trailing-comma")
class AcceptsATrailingComma(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(body.replace(b",}", b"}"))


@planted("malformed/comment")
class AcceptsComments(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(re.sub(rb"/\*.*?\*/", b"", body))


@planted("malformed/empty", "malformed/blank")
class BreaksOnNothing(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(body) if body.strip() else 1 / 0


@planted("limits/nested-*", "limits/unclosed-100000")
class BreaksOnNesting(Correct):
    def parsed(self, body: bytes) -> Any:
        return json.loads(body) if re.search(rb"\[{100}|({.a.:){100}", body) else parse(body)


@planted("limits/bom")
class BreaksOnABom(Correct):
    def parsed(self, body: bytes) -> Any:
        return parse(body) if not body.startswith(b"\xef\xbb\xbf") else 1 / 0


@planted("limits/huge-number", "limits/minus-huge-number")
class BreaksOnInfinity(Correct):
    def parsed(self, body: bytes) -> Any:
        return int(float("inf")) if b"1e999" in body else parse(body)


# What is written otherwise


@planted("notation/key-order")
class NeedsTheEventFirst(Correct):
    def parsed(self, body: bytes) -> Any:
        payload = parse(body)
        if isinstance(payload, dict) and "event" in payload and next(iter(payload)) != "event":
            raise MalformedBody("")
        return payload


@planted("notation/escaped-ascii")
class SearchesTheText(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return super().accepted(payload, body) if b'"event"' in body else 400


@planted("notation/escaped-nul")
class BreaksOnNul(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 500 if b"\\u0000" in body and b"Field" in body else super().accepted(payload, body)


@planted("notation/astral")
class BreaksBeyondTheBasicPlane(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 500 if any(ord(one) > 0xFFFF for one in body.decode()) else super().accepted(payload, body)


@planted("notation/long-string")
class CutsAtColumns(Correct):
    def accepted(self, payload: Any, body: bytes) -> int:
        return 500 if re.search(rb'":"[^"]{256}', body) else super().accepted(payload, body)


@planted("notation/charset*", "notation/media-type-in-capitals")
class ComparesTheMediaType(Correct):
    def is_json(self, kind: str) -> bool:
        return kind == "application/json"
