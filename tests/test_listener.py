"""The listener: where it listens, and that a stop finishes what had begun. What it is attacked with is in
test_hostile_http.py."""

import socket
import threading
import time
from pathlib import Path

import pytest
import requests
from conftest import BODY, JSON, SOON, Here, receiving_here, wait_for

from receiver.listener import ListenerError, listen

HEAD = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


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
    one = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
    with receiving_here(tmp_path / "state") as here:
        connections = [connect(here) for _ in range(150)]
        for connection in connections:
            connection.sendall(one)
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
