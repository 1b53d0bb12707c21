"""Signatures: what is not signed by who knows the secret is kept, and never handled."""

import base64
import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from conftest import BODY, JSON, SOON, Peer, called, command, receiving_here
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from receiver.handlers import Handlers
from receiver.signature import SignatureError, checking
from sender.address import EndpointError
from sender.attempt import Attempt
from sender.post import prepare
from sender.signature import checked, new_secret, signed

FETCHED = "transactions.fetched"
SECRET, OTHER = new_secret(), new_secret()
StartPeer = Callable[..., Peer]


def headers(body: bytes = BODY, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    moment = datetime.fromtimestamp(int(at or time.time()), UTC)
    signature = Webhook(secret).sign("msg_1", moment, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(moment.timestamp())), "webhook-signature": signature}


class TestChecking:
    def test_takes_what_is_signed_with_any_of_the_secrets(self) -> None:
        for secrets in ([SECRET], [OTHER, SECRET], [SECRET, OTHER], []):
            assert checking(secrets)(BODY, headers()) is None

    def test_takes_the_example_of_the_specification_but_for_its_age(self) -> None:
        """https://github.com/standard-webhooks/standard-webhooks, the libraries' common vector."""
        signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        at = datetime.fromtimestamp(1614265330, UTC)
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        assert Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, '{"test": 2432232314}') == signature

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"webhook-id": "msg_2"}, "no matching signature"),
            ({"webhook-signature": ""}, "missing required headers"),
            ({"webhook-signature": "v1,"}, "no matching signature"),
            ({"webhook-signature": "v1"}, "malformed signature headers"),
            ({"webhook-signature": "v1,é,x"}, "malformed signature headers"),
            ({"webhook-signature": "v2," + base64.b64encode(b"x" * 32).decode()}, "no matching signature"),
            ({"webhook-timestamp": "yesterday"}, "invalid signature headers"),
            ({"webhook-timestamp": "1e999"}, "invalid signature headers"),
            ({"webhook-timestamp": "nan"}, "invalid signature headers"),
            (headers(at=time.time() - 400), "too old"),
            (headers(at=time.time() + 4000), "too new"),
            (headers(secret=OTHER), "no matching signature"),
            (headers(BODY + b" "), "no matching signature"),
        ],
    )
    def test_tells_what_is_wrong(self, changed: dict[str, str], told: str) -> None:
        assert told in str(checking([SECRET])(BODY, {**headers(), **changed}))

    @given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()))
    @settings(max_examples=300, deadline=None)
    def test_takes_no_garbage_and_raises_nothing(self, garbage: dict[str, str]) -> None:
        assert checking([SECRET])(BODY, {**headers(secret=OTHER), **garbage})

    def test_of_a_secret_that_is_none_is_refused_without_telling_it(self) -> None:
        for secret in ("whsec_", "é", "x"):
            with pytest.raises(SignatureError, match="a secret is base64") as told:
                checking([secret])
            assert f"'{secret}'" not in str(told.value)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[str]:
    with receiving_here(tmp_path / "strict", secrets=(SECRET,)) as here:
        yield here.server.url


class TestTheReceiver:
    def test_handles_what_is_signed_and_quarantines_the_rest(self, tmp_path: Path) -> None:
        handlers = Handlers()
        handled: list[str] = []
        handlers.on("*")(lambda delivery: handled.append(delivery.id))
        with receiving_here(tmp_path / "state", handlers, secrets=(SECRET,)) as here:
            good = here.post(headers={**JSON, **headers()})
            here.wait(type="run", state="done")
            bad = [
                here.post(),
                here.post(headers={**JSON, **headers(secret=OTHER)}),
                here.post(headers={**JSON, **headers(at=time.time() - 400)}),
                here.post(b'{"event": "consent.status.updated", "data": {"status": 5}}'),
                here.post(b"\xff no json"),
                here.post(headers={}),
            ]
            entries = [entry for _, entry in here.server.inbox.after(0)]
        assert good.status_code == 202
        assert handled == [good.json()["delivery"]]
        assert {answer.status_code for answer in bad} == {401}
        assert [str(entry.verdict) for entry in entries[1:]] == ["unverified"] * 6
        assert entries[5].body == b"\xff no json"
        for answer in bad:
            (violation,) = answer.json()["violations"]
            assert violation["keyword"] == "signature"
            assert SECRET[6:] not in answer.text

    def test_is_not_made_to_handle_a_forged_body_by_leniency_or_by_judging_again(self, tmp_path: Path) -> None:
        with receiving_here(tmp_path / "state", secrets=(SECRET,), lenient=True) as here:
            assert here.post().status_code == 401
        state = ("--state", str(tmp_path / "state"))
        assert "0 judged" in command("receiver", "judge", *state).stderr
        assert json.loads(called("receiver", "list", "--json", *state).stdout)["verdict"] == "unverified"
        assert "drift" not in called("receiver", "export", "--scenario", *state).stdout
        assert "1 judged" in (trusted := command("receiver", "judge", "--unverified", *state).stderr)
        assert "1 go to their handlers" in trusted

    @given(
        st.dictionaries(
            st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
            st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=["Cc"]), max_size=40),
        ),
        st.binary(max_size=50),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_answers_401_whatever_the_headers_and_the_body(
        self, strict: str, garbage: dict[str, str], body: bytes
    ) -> None:
        encoded = {name: value.encode("latin-1") for name, value in garbage.items()}
        assert requests.post(strict, data=body, headers={**JSON, **encoded}, timeout=SOON).status_code == 401


class TestTheSender:
    def test_signs_the_exact_body_for_an_endpoint_with_a_secret(self, tmp_path: Path) -> None:
        with receiving_here(tmp_path / "r", secrets=(SECRET,)) as here:
            url = here.server.url
            assert called("sender", "endpoints", "add", url, "--all", "--secret", SECRET).returncode == 0
            assert command("sender", "fire", FETCHED, "--set", "externalUserId=é").returncode == 0
            assert command("sender", "play", "consent-life", "--speed", "max").returncode == 0
            assert command("sender", "fire", FETCHED, "--to", url, "--secret", SECRET).returncode == 0
            assert command("sender", "fire", FETCHED, "--to", url).returncode == 1
            assert command("sender", "fire", FETCHED, "--to", url, "--secret", OTHER).returncode == 1

    def test_adds_nothing_without_a_secret(self, peer: StartPeer) -> None:
        def ok(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

        receiver = peer(ok)
        assert command("sender", "fire", FETCHED, "--to", receiver.url).returncode == 0
        assert b"webhook-" not in receiver.requests[0].lower()

    def test_refuses_secrets_that_are_none_and_headers_of_the_signatures(self) -> None:
        for secret in ("whsec_", "short", "whsec_" + base64.b64encode(b"x" * 65).decode(), "whsec_é"):
            with pytest.raises(EndpointError, match="24 to 64 bytes"):
                checked(secret)
        with pytest.raises(EndpointError, match="is the signature's"):
            prepare("http://a/", {"Webhook-Id": "1"}, secret=SECRET)

    def test_shows_no_secret(self) -> None:
        target = prepare("http://a/", {}, secret=SECRET)
        assert SECRET not in repr(target)
        assert SECRET not in repr(signed(target, Attempt("X", "http://a/", "a.b", b"{}", 0)))
