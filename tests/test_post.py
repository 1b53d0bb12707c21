"""Exactly one POST, and the truth about it: every row is counted at a raw socket."""

import gzip
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from conftest import BODY, SOON, Peer, wait_for

from sender.address import EndpointError
from sender.attempt import Outcome
from sender.post import MOST_ANSWER, Poster, prepare
from sender.wire import Wire

StartPeer = Callable[..., Peer]
OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"


def send(url: str, seconds: float = SOON, headers: dict[str, str] | None = None) -> Outcome:
    with Poster(seconds) as poster:
        return poster.post(prepare(url, headers or {}), BODY)


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    def say(connection: socket.socket) -> None:
        connection.sendall(answer)

    return say


def hanging_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def resetting(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    connection.close()


def silent(connection: socket.socket) -> None:
    connection.recv(1)


def dripping(head: bytes, drop: bytes) -> Callable[[socket.socket], None]:
    """Sends a byte or so every 50 ms, for ever: each read is in time, all of them never end."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(head)
        connection.settimeout(0.05)
        while True:
            connection.sendall(drop)
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue

    return drip


def _answering_at_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


class TestTheRequest:
    def test_is_the_body_and_nothing_that_the_provider_does_not_send(self, peer: StartPeer) -> None:
        receiver = peer(saying(OK))
        outcome = send(receiver.url, headers={"X-Own": "1", "content-type": "application/json; charset=utf-8"})
        assert (outcome.state, outcome.status, outcome.answer) == ("delivered", 202, b"ok")
        (request,) = receiver.requests
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /hook HTTP/1.1\r\n")
        assert body == BODY
        names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
        ours = {
            b"host",
            b"user-agent",
            b"accept",
            b"accept-encoding",
            b"connection",
            b"content-type",
            b"content-length",
        }
        assert names == ours | {b"x-own"}
        assert head.lower().count(b"content-type") == 1
        assert b"idempotency" not in head.lower()

    def test_keeps_the_receivers_id(self, peer: StartPeer) -> None:
        receiver = peer(saying(b"HTTP/1.1 202 Accepted\r\nDelivery-Id: abc\r\nContent-Length: 0\r\n\r\n"))
        assert send(receiver.url).delivery == "abc"

    @pytest.mark.parametrize(
        "header",
        [
            {"Bad Name": "x"},
            {"X": "a\r\nY: b"},
            {"X": "a\nb"},
            {"X": "\u20ac"},
            {"": ""},
            {"Content-Length": "5"},
            {"transfer-encoding": "chunked"},
        ],
    )
    def test_a_header_that_is_not_http_is_refused_before_anything_is_sent(self, header: dict[str, str]) -> None:
        with pytest.raises(EndpointError):
            prepare("http://127.0.0.1:9/", header)


class TestOnePost:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("location", [b"/elsewhere", b"http://[broken", b"http://127.0.0.1:1/"])
    def test_a_redirect_is_an_answer_and_not_followed(self, peer: StartPeer, status: int, location: bytes) -> None:
        receiver = peer(
            saying(b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 2\r\n\r\nno" % (status, location))
        )
        outcome = send(receiver.url)
        assert (len(receiver.requests), outcome.state, outcome.status) == (1, "delivered", status)

    @pytest.mark.parametrize("status", [401, 408, 413, 429, 500, 503])
    def test_an_error_is_an_answer_and_not_retried(self, peer: StartPeer, status: int) -> None:
        head = b"HTTP/1.1 %d No\r\nRetry-After: 0\r\n" % status
        digest = b'WWW-Authenticate: Digest realm="x", nonce="y"\r\n'
        receiver = peer(saying(head + digest + b"Content-Length: 5\r\n\r\nwrong"))
        outcome = send(receiver.url)
        assert (len(receiver.requests), outcome.status, outcome.answer) == (1, status, b"wrong")

    def test_an_answer_that_comes_before_the_body_was_read_is_an_answer(self) -> None:
        """As a receiver does with a body that is too large: it answers, reads no further, and hangs up."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            receiver = threading.Thread(target=_answering_at_once, args=(listener,))
            receiver.start()
            with Poster(SOON) as poster:
                target = prepare(f"http://127.0.0.1:{listener.getsockname()[1]}/", {})
                outcome = poster.post(target, b" " * (64 << 20))
            receiver.join(SOON)
        assert (outcome.state, outcome.status) == ("delivered", 413)

    @pytest.mark.parametrize("end", [hanging_up, resetting])
    def test_a_connection_that_ends_instead_of_an_answer_is_unknown(
        self, peer: StartPeer, end: Callable[[socket.socket], None]
    ) -> None:
        receiver = peer(end)
        outcome = send(receiver.url)
        assert (len(receiver.requests), outcome.state, outcome.status) == (1, "unknown", None)
        assert outcome.reason

    def test_silence_is_unknown(self, peer: StartPeer) -> None:
        receiver = peer(silent)
        outcome = send(receiver.url, seconds=1)
        assert (len(receiver.requests), outcome.state, outcome.reason) == (1, "unknown", "no answer within 1 s")

    def test_a_peer_that_keeps_connections_gets_one_request_a_connection(self, peer: StartPeer) -> None:
        """A kept connection may close under the second request, and nobody knows then whether it arrived."""
        receiver = peer(saying(OK))
        assert [send(receiver.url).status for _ in range(3)] == [202] * 3
        assert all(b"Connection: close" in request for request in receiver.requests)

    def test_nothing_listens_is_refused(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        outcome = send(f"http://127.0.0.1:{port}/")
        assert (outcome.state, outcome.reason) == ("refused", "connection refused")

    def test_a_name_that_does_not_resolve_is_refused(self) -> None:
        assert send("http://nowhere.invalid/").state == "refused"

    def test_addresses_that_do_not_answer_take_no_longer_than_the_deadline(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
            for _ in range(4):  # fill its queue, and the next one waits
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                with suppress(BlockingIOError):
                    waiting.connect(listener.getsockname())
            address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", listener.getsockname())
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: [address] * 5)
            began = time.monotonic()
            outcome = send("http://five.example/", seconds=0.5)
            assert time.monotonic() - began < 3
            assert (outcome.state, outcome.reason) == ("refused", "no answer within 0.5 s")

    def test_a_second_address_is_tried_only_before_the_request(
        self, peer: StartPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name with two addresses: the first reads the POST and dies. The resolver is the operating system's,
        answered by us."""
        receiver = peer(hanging_up)
        port = int(receiver.url.split(":")[2].split("/")[0])
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: [address, address])
        assert send(f"http://two.example:{port}/").state == "unknown"
        assert len(receiver.requests) == 1


class TestTheEnvironment:
    @pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
    @pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
    def test_a_proxy_does_not_divert_it(
        self, peer: StartPeer, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
    ) -> None:
        asked: list[socket.socket] = []

        def note(connection: socket.socket) -> socket.socket:
            asked.append(connection)
            return connection

        proxy, receiver = peer(saying(OK), note), peer(saying(OK))
        monkeypatch.setenv(name, proxy.url.replace("http", scheme))
        assert send(receiver.url).status == 202
        assert (len(asked), len(receiver.requests)) == (0, 1)

    def test_netrc_does_not_replace_the_users_header(
        self, peer: StartPeer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        receiver = peer(saying(OK))
        send(receiver.url, headers={"Authorization": "Bearer mine"})
        send(receiver.url)
        assert b"Authorization: Bearer mine" in receiver.requests[0]
        assert b"authorization" not in receiver.requests[1].lower()


class TestTheAnswer:
    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", b"nope"),
            (b"Content-Length: 100\r\n\r\nshort", b"short"),
            (b"Transfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n9\r\ncut", b"chunk"),
            (b"Transfer-Encoding: chunked\r\n\r\nnonsense", b""),
            (b"Content-Length: 0\r\n\r\n", b""),
        ],
    )
    def test_a_2xx_counts_even_if_its_body_is_broken(self, peer: StartPeer, answer: bytes, text: bytes) -> None:
        def say(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + answer)
            hanging_up(connection)

        receiver = peer(say)
        outcome = send(receiver.url)
        assert (len(receiver.requests), outcome.state, outcome.status) == (1, "delivered", 200)
        assert outcome.answer.startswith(text)

    @pytest.mark.parametrize("interim", [100, 102, 103])
    def test_an_interim_answer_is_not_the_answer(self, peer: StartPeer, interim: int) -> None:
        receiver = peer(saying(b"HTTP/1.1 %d Wait\r\nLink: </x>\r\n\r\n" % interim * 3 + OK))
        outcome = send(receiver.url)
        assert (len(receiver.requests), outcome.status, outcome.answer) == (1, 202, b"ok")

    @pytest.mark.parametrize(
        ("drip", "state", "status"),
        [
            (dripping(b"", b"H"), "unknown", None),
            (dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), "delivered", 200),
            (dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "unknown", None),
            (dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"x"), "delivered", 200),
        ],
    )
    def test_a_dripping_answer_ends_at_the_deadline(
        self, peer: StartPeer, drip: Callable[[socket.socket], None], state: str, status: int | None
    ) -> None:
        receiver = peer(drip)
        began = time.monotonic()
        outcome = send(receiver.url, seconds=1)
        assert time.monotonic() - began < 3
        assert (len(receiver.requests), outcome.state, outcome.status) == (1, state, status)

    def test_an_endless_answer_is_cut_at_its_limit(self, peer: StartPeer) -> None:
        def flood(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)

        outcome = send(peer(flood).url)
        assert (outcome.status, len(outcome.answer)) == (200, MOST_ANSWER)

    def test_a_compressed_answer_is_not_unpacked(self, peer: StartPeer) -> None:
        bomb = gzip.compress(b"\0" * 10_000_000)
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
        assert send(peer(saying(head + bomb)).url).answer == bomb

    @pytest.mark.parametrize("nonsense", [b"nonsense\r\n\r\n", b"\0" * 100, b"HTTP/1.1 999999 X\r\n\r\n", b"\r\n"])
    def test_what_is_not_http_is_unknown(self, peer: StartPeer, nonsense: bytes) -> None:
        def say(connection: socket.socket) -> None:
            connection.sendall(nonsense)
            hanging_up(connection)

        receiver = peer(say)
        assert send(receiver.url).state == "unknown"
        assert len(receiver.requests) == 1

    @pytest.mark.parametrize(
        "rest",
        [
            b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n",
            b"X: " + b"y" * 70_000 + b"\r\n\r\n",
            b"X: cut",
        ],
    )
    def test_a_status_that_came_stands_whatever_comes_after_it(self, peer: StartPeer, rest: bytes) -> None:
        def say(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 202 Accepted\r\n" + rest)
            hanging_up(connection)

        receiver = peer(say)
        outcome = send(receiver.url)
        assert (len(receiver.requests), outcome.state, outcome.status) == (1, "delivered", 202)

    def test_a_redirect_is_told_with_its_target(self, peer: StartPeer) -> None:
        answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
        assert send(peer(saying(answer)).url).reason == "redirects to /elsewhere, which is not followed"

    def test_no_connection_is_left_open(self, peer: StartPeer) -> None:
        receiver = peer(saying(OK))
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(10):
            send(receiver.url)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_a_socket_that_notices_the_deadline_first_gives_the_same_reason() -> None:
    wire = Wire(0.001)
    wait_for(lambda: wire.left() <= 0, "the deadline")
    assert wire.reason(TimeoutError("_ssl.c:989: the handshake operation timed out")) == "no answer within 0.001 s"
