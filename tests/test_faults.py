"""What is done wrong on purpose: just that, on one connection, once; and our receiver serves on."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from conftest import SOON, command, receiving_here, wait_for

from sender.attempt import Attempt, State
from sender.faults import LARGE, Fault
from sender.fire import fire
from sender.ledger import Ledger
from sender.post import Poster, prepare

BODY = b'{"event":"a.b","data":{}}'


class Raw:
    """Takes connections, and keeps every byte of each until it ends or nothing more comes; answers once."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.came: list[bytes] = []
        self.ended: list[bool] = []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with closing(connection):
                self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        connection.settimeout(0.6)  # longer than between two pieces of a slow body
        data, ended = b"", False
        try:
            while part := connection.recv(1 << 20):
                data += part
            ended = True
        except TimeoutError:
            pass
        self.came.append(data)
        self.ended.append(ended)
        with suppress(OSError):
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(SOON)


@pytest.fixture
def raw() -> Iterator[Raw]:
    server = Raw()
    yield server
    server.close()


def fired(url: str, fault: Fault | None, seconds: float = SOON) -> Attempt:
    with closing(Ledger(Path("state"))) as ledger, Poster(seconds) as poster:
        return fire(ledger, poster, prepare(url, {}), Attempt("X", url, "a.b", BODY, 0, fault=fault))


def parts(request: bytes) -> tuple[bytes, bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    return head.lower(), body


@pytest.mark.parametrize("fault", [None, *Fault])
def test_is_one_post_on_one_connection_and_named_in_the_ledger(raw: Raw, fault: Fault | None) -> None:
    ended = fired(raw.url, fault)
    wait_for(lambda: raw.came, "the connection to have ended")
    assert len(raw.came) == raw.came[0].count(b"POST /") == 1
    with closing(Ledger(Path("state"))) as ledger:
        (kept,) = ledger.attempts_of("X")
    assert kept == ended
    assert kept.fault == fault


def test_a_cut_body_is_half_of_what_its_length_says(raw: Raw) -> None:
    ended = fired(raw.url, Fault.CUT)
    head, body = parts(raw.came[0])
    assert f"content-length: {len(BODY)}".encode() in head
    assert body == BODY[: len(BODY) // 2]
    assert raw.ended == [True]
    assert ended.outcome.status == 202  # who answers all the same is believed


def test_a_closed_one_is_whole_and_not_waited_for(raw: Raw) -> None:
    ended = fired(raw.url, Fault.CLOSE)
    wait_for(lambda: raw.came, "the connection to have ended")
    assert parts(raw.came[0])[1] == BODY
    assert raw.ended == [True]
    assert ended.outcome.state is State.UNKNOWN
    assert ended.outcome.reason == "closed on purpose before the answer"


def test_a_slow_one_is_whole_after_a_while(raw: Raw) -> None:
    began = time.monotonic()
    assert fired(raw.url, Fault.SLOW).outcome.status == 202
    assert time.monotonic() - began > 1.2
    assert parts(raw.came[0])[1] == BODY


def test_a_slow_one_ends_at_its_deadline(raw: Raw) -> None:
    began = time.monotonic()
    ended = fired(raw.url, Fault.SLOW, seconds=0.5)
    assert ended.outcome.state is State.UNKNOWN
    assert time.monotonic() - began < SOON / 4


def test_a_chunked_one_has_no_length_and_the_same_body(raw: Raw) -> None:
    fired(raw.url, Fault.CHUNKED)
    head, body = parts(raw.came[0])
    assert b"transfer-encoding: chunked" in head
    assert b"content-length" not in head
    pieces = body.split(b"\r\n")
    assert b"".join(pieces[1::2]) == BODY
    assert len(pieces) > 8
    assert body.endswith(b"0\r\n\r\n")


def test_one_with_another_media_type_has_only_one(raw: Raw) -> None:
    fired(raw.url, Fault.MEDIA_TYPE)
    head, body = parts(raw.came[0])
    assert head.count(b"content-type") == 1
    assert b"content-type: text/plain" in head
    assert body == BODY


def test_a_large_one_is_the_same_json(raw: Raw) -> None:
    fired(raw.url, Fault.LARGE)
    body = parts(raw.came[0])[1]
    assert len(body) == LARGE
    assert json.loads(body) == json.loads(BODY)


@pytest.mark.parametrize("fault", list(Fault))
def test_our_receiver_serves_on_after_each(tmp_path: Path, fault: Fault) -> None:
    with receiving_here(tmp_path / "r") as here:
        words = ("transactions.fetched", "--to", here.server.url, "--json")
        first = json.loads(command("sender", "fire", *words, "--fault", fault).stdout)
        assert first["fault"] == fault
        assert (first["status"] or 0) < 500
        assert command("sender", "fire", *words).returncode == 0


def test_a_fault_that_is_none_is_told() -> None:
    assert "'cut'" in command("sender", "fire", "transactions.fetched", "--fault", "x").stderr


def test_log_and_show_name_it(raw: Raw) -> None:
    command("sender", "fire", "transactions.fetched", "--to", raw.url, "--fault", "chunked", "--id", "X")
    for words in (["log"], ["show", "X"]):
        assert "transactions.fetched (chunked)" in command("sender", *words).stdout
