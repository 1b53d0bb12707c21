"""Strict JSON: what two parsers would read differently is refused, with the reason and without a value."""

import dataclasses
import json
import time
from datetime import UTC, datetime

import pytest

from receiver.delivery import DEEPEST, Delivery, MalformedBody, parse

MALFORMED = {
    "empty": (b"", "the body is empty"),
    "white space": (b" \n", "expecting value"),
    "NaN": (b'{"a": NaN}', "NaN is not JSON"),
    "Infinity": (b'{"a": Infinity}', "Infinity is not JSON"),
    "-Infinity": (b'{"a": -Infinity}', "-Infinity is not JSON"),
    "1e999": (b'{"a": 1e999}', "a number is too large"),
    "duplicate keys": (b'{"secret": 1, "secret": 2}', "a key occurs twice"),
    "duplicate keys, one escaped": (b'{"a": 1, "\\u0061": 2}', "a key occurs twice"),
    "duplicate keys, deep": (b'{"x": [{"a": 1, "a": 1}]}', "a key occurs twice"),
    "lone surrogate": (b'{"a": "\\ud800"}', "half a surrogate pair"),
    "lone surrogate as a key": (b'{"\\udfff": 1}', "half a surrogate pair"),
    "surrogate as UTF-8": (b'{"a": "\xed\xa0\x80"}', "not UTF-8 at byte 7"),
    "nesting 2,000": (b"[" * 2000 + b"]" * 2000, "nested deeper than 64"),
    "nesting 100,000": (b'{"a":' * 100_000, "nested deeper than 64"),
    "nesting one too deep": (b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1), "nested deeper than 64"),
    "integer of 4,301 digits": (b"9" * 4301, "too many digits"),
    "byte order mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8 at byte 0"),
    "UTF-16 without a mark": ('{"a": 1}'.encode("utf-16-le"), "line 1, column 2"),
    "UTF-32": ('{"a": 1}'.encode("utf-32"), "not UTF-8 at byte 0"),
    "overlong UTF-8": (b'"\xc0\xaf"', "not UTF-8 at byte 1"),
    "truncated": (b'{"event": "x", "data": {', "expecting property name"),
    "trailing bytes": (b"{} {}", "extra data at line 1, column 4"),
    "the documentation's own example": (b'{\n"userId": "u"\n"consentId": "c"}', "expecting ',' delimiter at line 3"),
    "single quotes": (b"{'a': 1}", "expecting property name"),
    "control character": (b'"a\nb"', "invalid control character"),
    "comment": (b"{} // x", "extra data"),
    "trailing comma": (b"[1,]", "line 1"),
}

LEGAL = {
    "null": b"null",
    "a string": b'"x"',
    "an integer of 2^63": b'{"a": 9223372036854775808}',
    "an integer of 4,300 digits": b"9" * 4300,
    "as deep as allowed": b"[" * DEEPEST + b"]" * DEEPEST,
    "many brackets side by side": b"[" + b"[],{}," * 500 + b"[]]",
    "brackets in strings": json.dumps({"a": '[{"' * 100}).encode(),
    "a whole surrogate pair": b'"\\ud83d\\ude00"',
    "astral characters": '"\U0001f600"'.encode(),
    "white space everywhere": b' {\t"a"\r\n: [ 1 , 2 ] } ',
    "a tiny number": b"1e-999",
    "an escaped NUL": b'"\\u0000"',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_json_is_malformed_and_told_why(name: str) -> None:
    body, reason = MALFORMED[name]
    with pytest.raises(MalformedBody) as error:
        parse(body)
    assert reason in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_json_is_read_as_json_has_it(name: str) -> None:
    assert parse(LEGAL[name]) == json.loads(LEGAL[name])


@pytest.mark.parametrize(
    "hostile",
    [
        b"[" * (1 << 20),
        b"[]" * (1 << 19),
        b'"\\"' * (1 << 18),
        b'{"a":' * (1 << 17),
        b"[" * 70 + b'"' + b'\\"' * (1 << 19),
        b"[" * 70 + b'"' * (1 << 19) + b"\\",
    ],
)
def test_a_megabyte_of_brackets_takes_no_longer_than_a_megabyte_of_data(hostile: bytes) -> None:
    """The depth is counted in linear time; a bound a hundred times over what was measured (0.05 s)."""
    began = time.perf_counter()
    with pytest.raises(MalformedBody):
        parse(hostile)
    assert time.perf_counter() - began < 5


def test_a_delivery_is_frozen() -> None:
    delivery = Delivery("1", "a", {}, b"{}", {}, datetime.now(UTC))
    assert delivery.attempt == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        delivery.id = "2"


def test_a_delivery_for_a_test_is_as_one_that_came() -> None:
    delivery = Delivery.of("transactions.fetched", {"consentId": "ü", "counts": (1, 2)})
    assert delivery.body == '{"event":"transactions.fetched","data":{"consentId":"ü","counts":[1,2]}}'.encode()
    assert parse(delivery.body) == {"event": delivery.event, "data": delivery.data}
    assert delivery == Delivery.of("transactions.fetched", {"consentId": "ü", "counts": [1, 2]})
    assert delivery.id != Delivery.of("transactions.fetched", {}).id
    assert len(delivery.id) == 16
    assert (delivery.headers["Content-Type"], delivery.received_at.tzinfo) == ("application/json", UTC)


def test_what_is_not_json_is_no_delivery() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        Delivery.of("a.b", {"x": float("nan")})
    with pytest.raises(TypeError, match="not JSON serializable"):
        Delivery.of("a.b", {"x": object()})
