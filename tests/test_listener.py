"""The listener: where it listens, and that a stop finishes what had begun. What it is attacked with is in
test_hostile_http.py."""

import socket
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import BODY, JSON, SOON, Here, receiving_here, wait_for

from receiver.listener import Environ, ListenerError, listen, serving

HEAD = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


ONE = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


def connect(here: Here) -> socket.socket:
    port = int(here.server.url.rsplit(":", 1)[1].split("/")[0])
    return socket.create_connection(("127.0.0.1", port), timeout=SOON)


def answer_of(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def test_a_busy_port_is_told_with_what_to_do() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ListenerError, match="address already in use; another --port"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_a_host_that_is_not_this_machine_is_told() -> None:
    with pytest.raises(ListenerError, match="cannot listen at 192.0.2.1:0"):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_listens_at_each_spelling_of_this_machine(tmp_path: Path, host: str) -> None:
    with receiving_here(tmp_path / "state", host=host) as here:
        assert here.server.url.startswith(f"http://[{host}]:" if ":" in host else f"http://{host}:")
        assert here.post().status_code == 202


def test_a_request_that_had_begun_when_the_receiver_was_stopped_is_stored_and_answered(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state") as here:
        connection = connect(here)
        connection.sendall(HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY[:10])
        assert here.post().status_code == 202  # so the first one has been read up to there
        late = threading.Timer(0.3, connection.sendall, [BODY[10:]])
        late.start()
    with connection:
        assert answer_of(connection).startswith(b"HTTP/1.1 202 ")
    late.join()
    with receiving_here(tmp_path / "state") as again:
        assert [entry.body for entry in again.server.inbox.entries()] == [BODY, BODY]


def test_what_was_sent_before_the_stop_is_stored_and_answered_even_if_it_was_not_accepted_yet(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state") as here:
        connections = [connect(here) for _ in range(150)]
        for connection in connections:
            connection.sendall(ONE)
    answers = [answer_of(connection) for connection in connections]
    assert {answer.split(b" ")[1] for answer in answers} == {b"202"}
    for connection in connections:
        connection.close()


def test_who_comes_while_it_stops_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.listener.STOP_SECONDS", 2)
    with receiving_here(tmp_path / "state") as here:
        half = connect(here)
        half.sendall(HEAD + b"Content-Length: 10\r\n\r\n{")
        here.post()
        wait_for_the_close = threading.Thread(target=_expect_refusal, args=(here,))
        wait_for_the_close.start()
    wait_for_the_close.join()
    half.close()


def _expect_refusal(here: Here) -> None:
    def is_refused() -> bool:
        try:
            connect(here).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:  # the moment between the last accept and the close
            return False
        return False

    wait_for(is_refused, "the port to close", within=1.5)  # before the half request is given up


def test_idle_connections_do_not_delay_the_stop(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state") as here, requests.Session() as session:
        session.post(here.server.url, data=BODY, headers=JSON, timeout=SOON)
        idle = connect(here)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    idle.close()


def test_requests_that_come_together_are_stored_in_one_commit(here: Here) -> None:
    """While the first one waits for another process's transaction, the others come."""
    ran: list[str] = []
    here.server.inbox._store._writer.set_trace_callback(ran.append)
    with closing(sqlite3.connect(here.server.inbox.path, isolation_level=None)) as other, ExitStack() as stack:
        other.execute("BEGIN IMMEDIATE")
        connections = [stack.enter_context(connect(here)) for _ in range(20)]
        for number, connection in enumerate(connections):
            connection.sendall(ONE)
            if number == 0:
                wait_for(lambda: ran, "the first one to be stored")
        other.execute("COMMIT")
        answers = [answer_of(connection) for connection in connections]
    assert {answer.split(b" ")[1] for answer in answers} == {b"202"}
    assert len({answer.split(b"Delivery-Id: ")[1][:16] for answer in answers}) == 20
    assert ran.count("COMMIT") <= 3  # the first one; those whose connections were open by then; those taken since


def test_a_fault_of_one_request_takes_neither_those_that_came_with_it_nor_the_listener() -> None:
    def refuse(environs: Sequence[Environ]) -> None:
        for environ in environs:
            assert environ["PATH_INFO"] != "/fault"

    def app(environ: Environ, start_response: Any) -> list[bytes]:
        refuse([environ])
        start_response("202 Accepted", [("Content-Length", "0")])
        return []

    pipelined = [b"POST /%s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (b"good", b"good", b"fault")]
    with listen("127.0.0.1", 0) as socket_, serving(app, socket_, 1000, together=refuse):
        with socket.create_connection(socket_.getsockname(), timeout=SOON) as connection:
            connection.sendall(b"".join(pipelined))
            assert answer_of(connection).count(b"HTTP/1.1 202") == 2
        assert requests.post(f"http://127.0.0.1:{socket_.getsockname()[1]}/", timeout=SOON).status_code == 202
