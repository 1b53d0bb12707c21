"""Notation: one payload written as JSON in unusual ways, and texts made of it that are no JSON, or hardly.

In: a valid payload. Out: bytes by name, always the same. Pure.

What is legal here has to be read as the same payload, or as one that has but one member more, of the name `OWN`. The
grammar is RFC 8259's; what its grammar allows and its text warns of is in `ambiguous` and `beyond_limits`.
"""

import json
from collections.abc import Mapping
from typing import Any

OWN = "unknownField"
"""A member that no contract knows."""

Payload = Mapping[str, Any]


def compact(payload: object) -> bytes:
    """As the provider may send it: no white space, UTF-8."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def legal(payload: Payload) -> dict[str, bytes]:
    """The same payload, or one with one member more, in notations that every parser has to read."""
    text = json.dumps(payload, ensure_ascii=False)
    return {
        "key-order": compact(_reversed(payload)),
        "indented": json.dumps(payload, indent="\t", ensure_ascii=False).encode(),
        "crlf": json.dumps(payload, indent=2, ensure_ascii=False).replace("\n", "\r\n").encode(),
        "white-space-around": f" \t\r\n{text} \t\r\n".encode(),
        "escaped-ascii": _escaped(payload).encode(),
        "escaped-solidus": _with(payload, r'"a\/b"'),
        "escaped-nul": _with(payload, r'"a\u0000b"'),
        "control-escapes": _with(payload, r'"\b\f\n\r\t\"\\"'),
        "astral": _with(payload, '"\U0001f3e6 \U00020000"'),
        "surrogate-pair": _with(payload, r'"\ud83c\udfe6"'),
        "line-separators": _with(payload, '"\u2028\u2029"'),
        "right-to-left": _with(payload, '"\u202e\u05d0"'),
        "empty-key": _with(payload, '{"":0}'),
        "long-string": _with(payload, f'"{"x" * 10_000}"'),
        "exponent": _with(payload, "1E+2"),
        "fraction": _with(payload, "1.50"),
        "negative-zero": _with(payload, "-0"),
    }


def malformed(payload: Payload) -> dict[str, bytes]:
    """What no parser of JSON may read."""
    good = compact(payload)
    return {
        "empty": b"",
        "blank": b" \n",
        "truncated-by-one": good[:-1],
        "truncated-in-half": good[: len(good) // 2],
        "trailing-brace": good + b"}",
        "trailing-text": good + b" x",
        "two-documents": good + b"\n" + good,
        "leading-text": b"data: " + good,
        "lacking-a-comma": good.replace(b',"', b' "', 1),
        "lacking-a-colon": good.replace(b'":', b'" ', 1),
        "trailing-comma": good[:-1] + b",}",
        "comment": b"/* sent once */" + good,
        "single-quotes": good.replace(b'"', b"'"),
        "bare-key": good.replace(b'"event"', b"event", 1),
        "form": b"event=x&data=y",
        **{name: _with(payload, text) for name, text in _NO_VALUES.items()},
        "bad-utf-8": _with(payload, '"\xff"', "latin-1"),
        "overlong-utf-8": _with(payload, '"\xc0\xaf"', "latin-1"),
        "utf-8-of-a-surrogate": _with(payload, '"\xed\xa0\x80"', "latin-1"),
        "truncated-utf-8": _with(payload, '"\xf0\x9f\x8f"', "latin-1"),
        "utf-16": good.decode().encode("utf-16-le"),
        "utf-16-with-bom": good.decode().encode("utf-16"),
    }


_NO_VALUES = {
    "nan": "NaN",
    "infinity": "Infinity",
    "minus-infinity": "-Infinity",
    "python-literal": "True",
    "undefined": "undefined",
    "leading-zero": "01",
    "plus-sign": "+1",
    "hexadecimal": "0x1",
    "no-integer-part": ".5",
    "no-fraction": "1.",
    "no-exponent": "1e",
    "raw-newline": '"a\nb"',
    "raw-tab": '"a\tb"',
    "raw-nul": '"a\0b"',
    "unknown-escape": r'"\x41"',
    "short-unicode-escape": r'"\u12"',
    "unclosed-string": '"x',
    "unclosed-array": "[1",
    "mismatched-brackets": "[1}",
}


def ambiguous(payload: Payload) -> dict[str, bytes]:
    """What two parsers read differently: RFC 7493 forbids it."""
    event, data = compact(payload["event"]).decode(), compact(payload["data"]).decode()
    return {
        "duplicate-event": f'{{"event":"x","event":{event},"data":{data}}}'.encode(),
        "duplicate-data": f'{{"event":{event},"data":{{}},"data":{data}}}'.encode(),
        "duplicate-member": _with(payload, '{"a":1,"a":2}'),
        "duplicate-by-escape": _with(payload, r'{"a":1,"\u0061":2}'),
        "lone-high-surrogate": _with(payload, r'"\ud83c"'),
        "lone-low-surrogate": _with(payload, r'"\udfe6"'),
    }


def beyond_limits(payload: Payload) -> dict[str, bytes]:
    """What a parser may refuse, by RFC 8259, but must not break on."""
    nested = {f"nested-{depth}": _with(payload, "[" * depth + "]" * depth) for depth in (100, 2_000, 100_000)}
    return {
        "bom": b"\xef\xbb\xbf" + compact(payload),
        **nested,
        "nested-objects-2000": _with(payload, '{"a":' * 2_000 + "0" + "}" * 2_000),
        "unclosed-100000": b"[" * 100_000,
        "huge-number": _with(payload, "1e999"),
        "minus-huge-number": _with(payload, "-1e999"),
        "beyond-64-bits": _with(payload, "18446744073709551616"),
        "400-digits": _with(payload, "9" * 400),
        "5000-digits": _with(payload, "9" * 5_000),
        "5000-decimals": _with(payload, "0." + "3" * 5_000),
        "long-key": _with(payload, f'{{"{"k" * 65_536}":0}}'),
        "10000-members": _with(payload, "{" + ",".join(f'"k{number}":0' for number in range(10_000)) + "}"),
    }


def padded(payload: Payload, size: int) -> bytes:
    """The payload with a member more, so that it has just so many bytes, where that is more than it has."""
    bare = _with(payload, '""')
    return _with(payload, f'"{"x" * max(0, size - len(bare))}"')


def _with(payload: Payload, text: str, encoding: str = "utf-8") -> bytes:
    """The payload, to whose data a member is added whose value is written as `text`."""
    data = compact(payload["data"]).decode()[:-1]
    comma = "," if payload["data"] else ""
    head = f'{{"event":{compact(payload["event"]).decode()},"data":{data}{comma}"{OWN}":'
    return head.encode() + text.encode(encoding) + b"}}"


def _reversed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _reversed(member) for key, member in reversed(list(value.items()))}
    return value


def _escaped(value: Any) -> str:
    """With each character of each string, and of each key, as its `\\u` escape; with capital digits where it is odd."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_escaped(key)}:{_escaped(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_escaped, value)) + "]"
    if isinstance(value, str):
        units = memoryview(value.encode("utf-16-le")).cast("H")
        return '"' + "".join(f"\\u{unit:04X}" if unit % 2 else f"\\u{unit:04x}" for unit in units) + '"'
    return json.dumps(value)
