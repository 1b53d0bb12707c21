"""Hostile bodies, generated: whatever is POSTed, the answer is no 5xx, its exact bytes are in the inbox under the id
that was answered, and the next good event is served."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import BODY, ROOT, SOON, Here
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.delivery import DEEPEST

GENERATED = settings(
    max_examples=150,
    derandomize=True,  # the same examples in each run
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
SAMPLES = [path.read_bytes() for path in sorted((ROOT / "samples").glob("*/*.json"))]

Post = Callable[..., int]

spaces = st.text(" \t\r\n", max_size=2)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
numbers = st.from_regex(r"-?(0|[1-9]\d{0,20})(\.\d{1,20})?([eE][+-]?\d{1,4})?", fullmatch=True)
words = st.sampled_from(["true", "null", "NaN", "-Infinity", "1e999", "01", "+1", ".5", "1.", "'x'", "undefined", ""])
escapes = st.sampled_from([r"\u0000", r"\ud800", r"\udc00\ud800", r"\ud83d\ude00", r"\/", r"\x", "\\", "\x00", "\x7f"])
strings = st.lists(escapes | st.text(max_size=5).map(lambda text: json.dumps(text)[1:-1]), max_size=3).map(
    lambda parts: f'"{"".join(parts)}"'
)


def objects(keys: st.SearchStrategy[str], members: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """The text of an object; a key may occur twice, in one spelling or in two."""
    pairs = st.tuples(spaces, keys, spaces, members).map(lambda parts: "{}{}:{}{}".format(*parts))
    return st.lists(pairs, max_size=4).map(lambda found: f"{{{','.join(found)}}}")


texts = st.recursive(
    numbers | words | strings,
    lambda inner: objects(strings, inner) | st.lists(inner, max_size=4).map(lambda found: f"[{','.join(found)}]"),
)
event_texts = objects(st.sampled_from(['"event"', r'"\u0065vent"', '"data"', '"consentId"']), texts)


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes], scraps: list[bytes]) -> bytes:
    """One of the originals, in which parts were cut, repeated, replaced, or bits flipped."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        before, part, after = data[:start], data[start:end], data[end:]
        flipped = bytes(byte ^ 1 << start % 8 for byte in part)
        scrap = draw(st.sampled_from(scraps) | st.binary(max_size=6))
        data = before + draw(st.sampled_from([b"", part * 2, flipped, scrap, scrap + part])) + after
    return data


@st.composite
def other_members(draw: st.DrawFn) -> bytes:
    """A sample of which keys were renamed, and values replaced."""
    payload = json.loads(draw(st.sampled_from(SAMPLES)))
    for holder in filter(None, (payload, payload["data"])):
        for key in draw(st.lists(st.sampled_from(list(holder)), max_size=2, unique=True)):
            value = holder.pop(key)
            holder[draw(st.just(key) | st.text(max_size=8))] = draw(st.just(value) | values)
    return json.dumps(payload, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")


@pytest.fixture
def post(here: Here) -> Iterator[Post]:
    """Posts a body on one connection and holds what has to hold for any; then a good one. Returns the first status."""
    with closing(HTTPConnection(urlsplit(here.server.url).netloc, timeout=SOON)) as line:

        def one(body: bytes, headers: dict[str, Any]) -> int:
            line.request("POST", "/webhook", body, headers)
            answer = line.getresponse()
            told = json.load(answer)
            entry = here.server.inbox.entry(answer.headers["Delivery-Id"])
            assert (entry.body, entry.size, entry.status) == (body, len(body), answer.status)
            assert (entry.id, entry.verdict) == (told["delivery"], told["verdict"])
            return answer.status

        def check(body: bytes, headers: dict[str, Any] | None = None) -> int:
            status = one(body, {"Content-Type": "application/json", **(headers or {})})
            assert one(BODY, {"Content-Type": "application/json"}) == 202
            return status

        yield check


def check_json(post: Post, body: bytes) -> None:
    """A body that was not called malformed is JSON to another parser too."""
    status = post(body)
    assert status in {202, 400, 422}
    if status != 400:
        json.loads(body.decode(), parse_constant=pytest.fail)


@GENERATED
@given(body=st.binary(max_size=2000))
def test_arbitrary_bytes_are_answered_and_kept(post: Post, body: bytes) -> None:
    check_json(post, body)


@GENERATED
@given(value=values)
def test_arbitrary_json_is_answered_and_kept(post: Post, value: object) -> None:
    check_json(post, json.dumps(value).encode())


@GENERATED
@given(data=st.dictionaries(st.text(max_size=8), values, max_size=4), event=st.text(max_size=20))
def test_any_event_with_any_data_is_answered_and_kept(post: Post, event: str, data: dict[str, Any]) -> None:
    check_json(post, json.dumps({"event": event, "data": data}).encode())


@GENERATED
@given(text=texts | event_texts)
def test_json_in_odd_spellings_is_answered_and_kept(post: Post, text: str) -> None:
    check_json(post, text.encode(errors="surrogatepass"))


@GENERATED
@given(body=mutated(SAMPLES, [b'"', b"{", b"}", b"[", b"\\", b"\\u", b",", b":", b"\xff", b"\xef\xbb\xbf", b"null"]))
def test_samples_of_which_bytes_were_changed_are_answered_and_kept(post: Post, body: bytes) -> None:
    check_json(post, body)


@GENERATED
@given(body=other_members())
def test_samples_of_which_members_were_changed_are_answered_and_kept(post: Post, body: bytes) -> None:
    check_json(post, body)


@GENERATED
@given(depth=st.integers(1, 3 * DEEPEST), brackets=st.sampled_from(["[]", "{}", '{"a":}', '[{"[":]']))
def test_any_depth_is_answered_and_kept(post: Post, depth: int, brackets: str) -> None:
    check_json(post, f"{brackets[:-1] * depth}{'0' if brackets[-2] == ':' else ''}{brackets[-1] * depth}".encode())


printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=40)
kinds = st.sampled_from(["application/json", "APPLICATION/JSON;", "application/x+json", "text/plain", ";", "a" * 4000])


@GENERATED
@given(kind=kinds | printable, charset=printable, body=st.sampled_from([BODY, b"", b"\xff"]))
def test_any_content_type_is_answered_and_its_body_kept(post: Post, kind: str, charset: str, body: bytes) -> None:
    assert post(body, {"Content-Type": f"{kind}; charset={charset}"}) in {202, 400, 415}


names = st.from_regex(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,30}", fullmatch=True).map(lambda name: f"X-{name}")


@GENERATED
@given(headers=st.dictionaries(names, printable, max_size=10), host=printable)
def test_any_headers_are_answered_and_their_body_kept(post: Post, headers: dict[str, str], host: str) -> None:
    encoded = {name: value.encode("latin-1") for name, value in {**headers, "Host": host}.items()}
    assert post(BODY, encoded) == 202
