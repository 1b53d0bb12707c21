"""Exactly one POST over TLS, and the truth about it: counted at a raw socket, with real certificates."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from conftest import BODY, SOON, Peer, command

from sender.address import EndpointError
from sender.attempt import Outcome
from sender.post import Poster, prepare

StartPeer = Callable[..., Peer]
OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pem(authority: trustme.CA, tmp_path: Path) -> Path:
    """The file that a user would give as --ca."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


def serving(certificate: trustme.LeafCert) -> Callable[[socket.socket], socket.socket]:
    """What greets each connection: the handshake, with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return lambda connection: context.wrap_socket(connection, server_side=True)


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(answer)


def send(url: str, authorities: Path | None, seconds: float = SOON) -> Outcome:
    with Poster(seconds) as poster:
        return poster.post(prepare(url.replace("http:", "https:"), {}, authorities), BODY)


class TestDelivered:
    def test_a_2xx_is_delivered_each_post_on_a_connection_and_a_handshake_of_its_own(
        self, peer: StartPeer, authority: trustme.CA, pem: Path
    ) -> None:
        resumed: list[bool | None] = []

        def answer(connection: ssl.SSLSocket) -> None:
            resumed.append(connection.session_reused)
            connection.sendall(OK)

        receiver = peer(answer, serving(authority.issue_cert("127.0.0.1")))
        target = prepare(receiver.url.replace("http:", "https:"), {}, pem)
        with Poster(SOON) as poster:
            outcomes = [poster.post(target, BODY) for _ in range(3)]
        assert [(one.state, one.status, one.answer) for one in outcomes] == [("delivered", 202, b"ok")] * 3
        assert len(receiver.requests) == 3
        assert resumed == [False] * 3

    @pytest.mark.parametrize("rest", [b"\r\n\r\nok", b"\r\nContent-Length: 99\r\n\r\nok"])
    def test_a_close_without_a_word_after_the_answer_does_not_change_it(
        self, peer: StartPeer, authority: trustme.CA, pem: Path, rest: bytes
    ) -> None:
        """The connection just ends, without TLS's close_notify, where the answer has no length or a longer one."""

        def answer(connection: ssl.SSLSocket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK" + rest)
            connection.close()

        receiver = peer(answer, serving(authority.issue_cert("127.0.0.1")))
        outcome = send(receiver.url, pem)
        assert (len(receiver.requests), outcome.state, outcome.status, outcome.answer) == (1, "delivered", 200, b"ok")

    def test_a_redirect_to_http_is_not_followed(self, peer: StartPeer, authority: trustme.CA, pem: Path) -> None:
        other = peer(saying(OK))
        redirect = b"HTTP/1.1 307 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % other.url.encode()
        receiver = peer(saying(redirect), serving(authority.issue_cert("127.0.0.1")))
        assert send(receiver.url, pem).status == 307
        assert (len(receiver.requests), len(other.requests)) == (1, 0)


class TestUnknown:
    def test_a_record_damaged_after_the_whole_post_is_unknown_and_the_post_is_one(
        self, peer: StartPeer, authority: trustme.CA, pem: Path
    ) -> None:
        """To some clients that is an error of the connection, upon which they send it again."""
        receiver = peer(saying(OK), serving(authority.issue_cert("127.0.0.1")))
        with damaging(receiver) as (url, connections):
            outcome = send(url, pem)
        assert (len(receiver.requests), outcome.state, outcome.status) == (1, "unknown", None)
        assert "bad record mac" in str(outcome.reason).replace("_", " ")
        assert len(connections) == 1

    def test_an_end_or_an_alert_instead_of_an_answer_is_unknown(
        self, peer: StartPeer, authority: trustme.CA, pem: Path
    ) -> None:
        for end in (lambda line: line.shutdown(socket.SHUT_RDWR), lambda line: line.unwrap()):
            receiver = peer(end, serving(authority.issue_cert("127.0.0.1")))
            outcome = send(receiver.url, pem)
            assert (len(receiver.requests), outcome.state) == (1, "unknown")

    def test_silence_after_the_handshake_is_unknown_at_the_deadline(
        self, peer: StartPeer, authority: trustme.CA, pem: Path
    ) -> None:
        receiver = peer(lambda connection: connection.recv(1), serving(authority.issue_cert("127.0.0.1")))
        outcome = send(receiver.url, pem, seconds=1)
        assert (len(receiver.requests), outcome.state, outcome.reason) == (1, "unknown", "no answer within 1 s")


class TestRefused:
    @pytest.mark.parametrize(
        ("name", "days", "trusted", "reason"),
        [
            ("127.0.0.1", 30, False, "self-signed certificate in certificate chain|unable to get"),
            ("other.example", 30, True, "127.0.0.1"),
            ("127.0.0.1", -1, True, "expired"),
        ],
        ids=["not trusted", "another name", "expired"],
    )
    def test_without_a_certificate_that_holds_no_byte_of_the_request_leaves(
        self, peer: StartPeer, authority: trustme.CA, pem: Path, name: str, days: int, trusted: bool, reason: str
    ) -> None:
        until = datetime.now(UTC) + timedelta(days=days)
        receiver = peer(saying(OK), serving(authority.issue_cert(name, not_after=until)))
        outcome = send(receiver.url, pem if trusted else None)
        assert (len(receiver.requests), outcome.state) == (0, "refused")
        assert any(part in str(outcome.reason) for part in reason.split("|"))
        assert "its certificate is not trusted" in str(outcome.reason)

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_no_environment_makes_it_trusted(
        self, peer: StartPeer, authority: trustme.CA, pem: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, str(pem))
        receiver = peer(saying(OK), serving(authority.issue_cert("127.0.0.1")))
        assert send(receiver.url, None).state == "refused"

    def test_the_keys_are_written_nowhere(
        self, peer: StartPeer, authority: trustme.CA, pem: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
        receiver = peer(saying(OK), serving(authority.issue_cert("127.0.0.1")))
        assert send(receiver.url, pem).status == 202
        assert not (tmp_path / "keys").exists()

    def test_a_handshake_that_stalls_is_refused_at_the_deadline(self, peer: StartPeer, pem: Path) -> None:
        greeted: list[bytes] = []

        def stall(connection: socket.socket) -> socket.socket:
            greeted.append(connection.recv(65536))
            connection.recv(1)
            return connection

        receiver = peer(saying(OK), stall)
        began = time.monotonic()
        outcome = send(receiver.url, pem, seconds=0.5)
        assert time.monotonic() - began < 3
        assert (outcome.state, outcome.reason) == ("refused", "no answer within 0.5 s")
        assert (len(greeted), BODY in greeted[0]) == (1, False)

    @pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
    def test_what_ends_or_is_no_tls_during_the_handshake_is_refused(
        self, peer: StartPeer, pem: Path, before: bytes
    ) -> None:
        """Nothing, plain HTTP, or an alert; and one connection only."""
        connections: list[socket.socket] = []

        def break_off(connection: socket.socket) -> socket.socket:
            connections.append(connection)
            connection.recv(65536)
            connection.sendall(before)
            connection.shutdown(socket.SHUT_RDWR)
            return connection

        receiver = peer(saying(OK), break_off)
        outcome = send(receiver.url, pem)
        assert (len(receiver.requests), outcome.state, len(connections)) == (0, "refused", 1)

    def test_an_old_version_of_tls_is_refused(self, peer: StartPeer, authority: trustme.CA, pem: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        authority.issue_cert("127.0.0.1").configure_cert(context)
        receiver = peer(saying(OK), lambda connection: context.wrap_socket(connection, server_side=True))
        assert send(receiver.url, pem).state == "refused"
        assert receiver.requests == []


class TestTheOption:
    def test_ca_trusts_the_users_own_authority_and_the_exit_code_tells(
        self, peer: StartPeer, authority: trustme.CA, pem: Path
    ) -> None:
        receiver = peer(saying(OK), serving(authority.issue_cert("127.0.0.1")))
        words = ["sender", "fire", "transactions.fetched", "--to", receiver.url.replace("http:", "https:")]
        assert command(*words).returncode == 3
        assert command(*words, "--ca", str(pem)).returncode == 0
        assert len(receiver.requests) == 1

    def test_a_file_that_holds_no_certificate_is_told_before_anything_is_sent(self, tmp_path: Path) -> None:
        (tmp_path / "empty.pem").touch()
        for name, reason in (("empty.pem", "holds no certificate"), ("none.pem", "No such file")):
            with pytest.raises(EndpointError, match=f"{name}: {reason}"):
                prepare("https://127.0.0.1:9/", {}, tmp_path / name)


@contextmanager
def damaging(receiver: Peer) -> Iterator[tuple[str, list[socket.socket]]]:
    """A line to the receiver that flips a bit in what it answers once it has read a POST."""
    place = ("127.0.0.1", int(receiver.url.split(":")[2].split("/")[0]))
    connections: list[socket.socket] = []

    def back(there: socket.socket, here: socket.socket) -> None:
        with suppress(OSError):
            while data := there.recv(65536):
                here.sendall(data[:-1] + bytes([data[-1] ^ 1]) if receiver.requests else data)

    def carry(here: socket.socket) -> None:
        with here, socket.create_connection(place) as there, suppress(OSError):
            answering = threading.Thread(target=back, args=(there, here))
            answering.start()
            while data := here.recv(65536):
                there.sendall(data)
            there.shutdown(socket.SHUT_RDWR)
            answering.join(SOON)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connections.append(listener.accept()[0])
                threading.Thread(target=carry, args=connections[-1:]).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook", connections
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(SOON)
