"""Hostile HTTP at a raw socket: what is answered 2xx is stored, nothing in a body is taken for a request, nothing
crashes, and the next good event is served."""

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import BODY, SOON, Here, receiving_here, wait_for
from hypothesis import given
from test_hostile_bodies import GENERATED, mutated
from test_listener import HEAD, answer_of, connect

from receiver import listener

TO_HOOK = b"POST /webhook HTTP/1.1\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
SHORT = HEAD + b"Content-Length: 2\r\n\r\n{}"


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def framed(*headers: bytes, first: bytes = TO_HOOK, body: bytes = b"{}") -> bytes:
    return first + b"\r\n".join([b"Host: x", b"Content-Type: application/json", *headers, b"", body])


ODD = {
    framed(b"Content-Length: 2", b"Content-Length: 3"): [400],
    framed(b"Content-Length: 2", b"Content-Length: 2"): [400],
    framed(b"Content-Length: 2, 2"): [400],
    framed(b"Content-Length: x"): [400],
    framed(b"Content-Length: -2"): [400],
    framed(b"Content-Length: +2"): [400],
    framed(b"Content-Length: 0x2"): [400],
    framed(b"Content-Length: 2 2"): [400],
    framed(b"Content-Length: 0_2"): [400],
    framed(b"Content-Length:"): [400],
    framed(b"Content-Length: " + b"9" * 5000): [400],
    framed(b"Content-Length : 2"): [400],
    framed(b"Content-Length: 002"): [422],
    framed(b"Transfer-Encoding: gzip, chunked"): [501],
    framed(b"Transfer-Encoding: identity", b"Content-Length: 2"): [501],
    framed(b"Transfer-Encoding: \x0bchunked"): [400],
    framed(b"X: a\0b"): [400],
    framed(b"X: a\rb"): [400],
    framed(b"X: a\nb"): [400],
    framed(b" folded into nothing", first=TO_HOOK[:-2] + b"\r\n "): [400],
    (HEAD + b"X: ").ljust(32 << 10, b"y"): [431],
    CHUNKED + b"nonsense\r\n\r\n": [400],
    CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n": [400],
    CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n": [400],
    CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n": [400],
    CHUNKED + b"2;\xff\r\n{}\r\n0\r\n\r\n": [400],
    CHUNKED + b"2\r\n{}XX0\r\n\r\n": [400],
    CHUNKED + b"2;x=" + b"y" * (32 << 10): [400],
    CHUNKED + b"0\r\nX: " + b"y" * (32 << 10): [400],
    CHUNKED + b'2;a=b;c="d"\r\n{}\r\n0\r\n\r\n': [422],
    CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: 5\r\nX: y\r\n\r\n": [422],
    CHUNKED + b"F" * 5000 + b"\r\n{}": [],
    framed(first=b"POST http://[x/webhook HTTP/1.1\r\n"): [400],
    framed(first=b"POST http://[\x1b]/webhook HTTP/1.1\r\n"): [400],
    framed(first=b"post /webhook HTTP/1.1\r\n"): [400],
    framed(b"Content-Length: 2", first=b"POST http://x/webhook HTTP/1.1\r\n"): [422],
    framed(b"Content-Length: 2", first=b"POST x:443 HTTP/1.1\r\n"): [404],
    framed(b"Content-Length: 2", first=b"CONNECT x:443 HTTP/1.1\r\n"): [404],
    framed(b"Content-Length: 2", first=b"OPTIONS * HTTP/1.1\r\n"): [404],
    framed(b"Content-Length: 2", first=b"POST /web\0hook HTTP/1.1\r\n"): [404],
    framed(b"Content-Length: 2", first=b"POST /../webhook HTTP/1.1\r\n"): [404],
    framed(b"Content-Length: 2", first=b"GET /x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"): [404],
    framed(b"Content-Length: 2", first=b"POST /webhook\r\n"): [422],  # HTTP/0.9 had no headers, and no POST
    b"GET /webhook\r\n\r\n": [405],
    framed(b"Content-Length: 2", first=b"POST /webhook HTTP/1.0\r\n"): [422],
    framed(b"Content-Length: 2", first=b"POST /webhook HTTP/9.9\r\n"): [422],
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0": [404],
    b"nonsense\r\n\r\n": [400],
    b"\r\n\r\n": [400],
    b"\0" * 100 + b"\r\n\r\n": [400],
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\0" * 500: [],  # TLS
    SHORT.replace(b"\r\n", b"\n"): [],
}

EXPECTANT = {
    framed(b"Expect: 100-continue", b"Content-Length: 2"): [100, 422],
    framed(b"Expect: 100-continue", b"Content-Length: 0", body=b""): [400],
    framed(b"Expect: 100-continue", body=b""): [400],
    framed(b"Expect: 100-continue", b"Content-Length: x"): [400],
    framed(b"Expect: 100-continue", b"Transfer-Encoding: chunked", body=chunked(b"{}")): [100, 422],
    framed(b"Expect: 200-nonsense", b"Content-Length: 2"): [422],
    SHORT + framed(b"Expect: 100-continue", b"Content-Length: 2") + SHORT: [422, 422, 422],
}

SMUGGLERS = [
    framed(b"Content-Length: %d" % len(GOOD), body=GOOD),
    framed(b"Content-Length: %d" % len(GOOD), first=b"GET /webhook HTTP/1.1\r\n", body=GOOD),
    framed(b"Content-Length: %d" % len(GOOD), first=b"POST /elsewhere HTTP/1.1\r\n", body=GOOD),
    framed(b"Content-Length: %d" % len(GOOD), b"Origin: null", body=GOOD),
    framed(b"Content-Length: %d" % len(GOOD), b"Transfer_Encoding: chunked", body=GOOD),
    framed(b"Transfer-Encoding: chunked", body=chunked(GOOD)),
    framed(b"Transfer-Encoding:\r\n chunked", body=chunked(GOOD)),
    framed(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=chunked(b"{}") + GOOD),
    framed(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=chunked(b"{}") + GOOD),
    framed(b"Transfer-Encoding: chunked", first=b"POST /webhook HTTP/1.0\r\nConnection: keep-alive\r\n", body=GOOD),
    framed(b"Transfer-Encoding: chunked", first=b"POST /webhook HTTP/1.2\r\nConnection: keep-alive\r\n", body=GOOD),
    framed(b"Transfer-Encoding: chunked", first=b"POST /webhook\r\nConnection: keep-alive\r\n", body=GOOD),
    framed(b"Transfer-Encoding: xchunked", body=GOOD),
    framed(b"Transfer-Encoding: gzip", b"Content-Length: 5", body=GOOD),
    framed(b"Content-Length: 5", b"Content-Length: 0", body=GOOD),
    framed(b"Content-Length: \x0b0", body=GOOD),
    framed(b"Content-Length: 0\0", body=GOOD),
    framed(b"Transfer-Encoding: chunked", body=b"2\r\n{}" + GOOD),
    framed(b"Transfer-Encoding: chunked", body=b"\r\n-0\r\n\r\n" + GOOD),
]


@pytest.fixture(autouse=True)
def nothing_crashed(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The listener's library logs what it did not catch."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


def exchange(here: Here, sent: bytes) -> list[int]:
    """Sends bytes and ends; the statuses that come, each of a stored body checked against the inbox."""
    answers = b""
    with connect(here) as line, suppress(ConnectionError):  # cut off while it still sent
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        answers = answer_of(line)
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answers)]
    for id_ in re.findall(rb"Delivery-Id: (\w+)", answers):
        assert here.server.inbox.entry(id_.decode()).status in statuses
    assert len(re.findall(rb"Delivery-Id", answers)) >= statuses.count(202)
    return statuses


def serves_on(here: Here) -> None:
    began = time.monotonic()
    assert here.post().status_code == 202
    assert time.monotonic() - began < 5  # a hundred times what it takes, for a busy machine


def test_what_is_not_quite_http_gets_a_clear_answer_and_the_next_good_one_is_served(here: Here) -> None:
    assert {sent: exchange(here, sent) for sent in ODD} == ODD
    assert len(here.server.inbox.entries()) == len([sent for sent in ODD if ODD[sent] == [422]])
    serves_on(here)


def test_who_expects_100_gets_it_only_where_a_body_is_to_come_and_an_answer_always(here: Here) -> None:
    assert {sent: exchange(here, sent) for sent in EXPECTANT} == EXPECTANT
    serves_on(here)


def test_nothing_that_stands_in_a_body_or_behind_a_doubtful_one_is_taken_for_a_request(here: Here) -> None:
    for sent in SMUGGLERS:
        assert 202 not in exchange(here, sent), sent
    assert here.server.inbox.entries(verdict="valid") == []
    serves_on(here)


def test_the_rest_of_a_body_that_is_too_large_is_not_taken_for_a_request(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state", max_body=10) as here:
        with connect(here) as connection:
            connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n" + GOOD)
            assert answer_of(connection).count(b"HTTP/1.1") == 1
        wait_for(here.server.inbox.entries, "the head to be kept")
        assert [entry.status for entry in here.server.inbox.entries()] == [413]


def test_good_and_bad_in_one_pipe_are_answered_in_order_until_it_is_unclear_where_one_begins(here: Here) -> None:
    elsewhere = framed(b"Content-Length: 2", first=b"POST /x HTTP/1.1\r\n")
    sent = GOOD + SHORT + elsewhere + GOOD + framed(b"Content-Length: x") + GOOD
    assert exchange(here, sent) == [202, 422, 404, 202, 400]
    assert [entry.status for entry in here.server.inbox.entries()] == [202, 422, 202]


@pytest.mark.parametrize(
    "head",
    [b"".join(b"X-%d: y\r\n" % number for number in range(2000)), b"X: y\r\n" * 5000, b"X: %s\r\n" % (b"y" * 31_000)],
)
def test_many_or_large_headers_cost_no_event(here: Here, head: bytes) -> None:
    assert exchange(here, TO_HOOK + head + GOOD.removeprefix(TO_HOOK)) == [202]


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (TO_HOOK, b"X: y\r\n"),
        (TO_HOOK + b"X: ", b"y"),
        (b"", b"\r\n"),
        (CHUNKED, b"f"),
        (CHUNKED, b"1\r\nx\r\n"),
        (CHUNKED + b"2;x=", b"y"),
        (CHUNKED + b"F" * 100 + b"\r\n", b"x"),
        (CHUNKED + b"0\r\n", b"X: y\r\n"),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"x"),
    ],
)
def test_what_never_ends_is_cut_off_and_keeps_nobody_waiting(tmp_path: Path, begin: bytes, more: bytes) -> None:
    with receiving_here(tmp_path / "state", max_body=64 << 10) as here, connect(here) as line:
        flood = threading.Thread(target=_flood, args=(line, begin, more * (65536 // len(more))))
        flood.start()
        while flood.is_alive():
            serves_on(here)


def _flood(line: socket.socket, begin: bytes, more: bytes) -> None:
    until = time.monotonic() + SOON
    with suppress(ConnectionError):
        line.sendall(begin)
        while time.monotonic() < until:
            line.sendall(more)
        raise AssertionError("it was not cut off")  # a warning of pytest's, and so an error


@pytest.mark.parametrize(
    ("begin", "more"),
    [(TO_HOOK + b"X: ", b"y"), (HEAD + b"Content-Length: 1000\r\n\r\n", b"{"), (CHUNKED, b"1\r\nx\r\n")],
)
def test_a_request_that_drips_in_is_cut_after_its_time(
    here: Here, monkeypatch: pytest.MonkeyPatch, begin: bytes, more: bytes
) -> None:
    monkeypatch.setattr("receiver.listener.REQUEST_SECONDS", 0.5)
    with connect(here) as line:
        line.sendall(begin)
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < SOON:
                line.sendall(more)
                time.sleep(0.05)  # it drips: that is the attack
    assert time.monotonic() - began < 10
    serves_on(here)


@pytest.mark.parametrize("begun", [b"", b"P", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"])
def test_hundreds_of_quiet_connections_do_not_keep_a_good_one_waiting(here: Here, begun: bytes) -> None:
    quiet = [connect(here) for _ in range(listener.CONNECTIONS + 50)]
    for line in quiet:
        with suppress(ConnectionError):  # the first ones had to make room
            line.sendall(begun)
    serves_on(here)
    for line in quiet:
        line.close()


@pytest.mark.parametrize("reset", [False, True])
def test_who_leaves_at_any_point_stops_nothing_and_what_came_whole_is_kept(here: Here, reset: bool) -> None:
    for end in range(len(GOOD) + 1):
        with connect(here) as line:
            if reset:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.sendall(GOOD[:end])
    wait_for(here.server.inbox.entries, "the whole one")
    serves_on(here)
    assert [entry.body for entry in here.server.inbox.entries()] == [BODY, BODY]


def test_each_of_many_that_leave_without_waiting_for_their_answer_is_kept(here: Here) -> None:
    for _ in range(100):
        with connect(here) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.sendall(GOOD)
    wait_for(lambda: len(here.server.inbox.entries(limit=200)) == 100, "all of them")


def test_a_half_close_gets_its_answer(here: Here) -> None:
    assert exchange(here, GOOD) == [202]


def test_the_reason_why_something_is_not_http_holds_none_of_it(here: Here) -> None:
    for sent in (
        framed(b"X: NL91\rNL91"),
        framed(b"X: NL91\nNL91"),
        b"POST /\r\n NL91\r\n\r\n",
        b"nl91 / HTTP/1.1\r\n\r\n",
    ):
        assert exchange(here, sent) == [400]
    reasons = [line["reason"] for line in here.told]
    assert [reason.startswith("not HTTP: ") for reason in reasons] == [True] * 4
    assert "nl91" not in "".join(reasons).lower()


SCRAPS = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"0\r\n\r\n",
        b"1\r\n",
        b"%00",
        b"//",
        b"[",
        b"#",
        b"?",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"HTTP/1.0",
        b"HTTP/2.0",
    ),
    *(
        b"Connection: keep-alive\r\n",
        b"Connection: close\r\n",
        b"Upgrade: websocket\r\n",
        b"Host: \xff\r\n",
        b"GET ",
        b"http://",
    ),
]
WHOLE = [
    GOOD,
    CHUNKED + chunked(BODY),
    GOOD + SHORT,
    framed(b"Expect: 100-continue", b"Content-Length: 2"),
    GOOD.replace(b"/webhook", b"/x"),
]


@GENERATED
@given(sent=mutated(WHOLE, SCRAPS))
def test_requests_of_which_bytes_were_changed_are_answered_without_a_5xx(here: Here, sent: bytes) -> None:
    assert not [status for status in exchange(here, sent) if status >= 500 and status not in {501, 505}]
    serves_on(here)
