"""The hook, over real HTTP: every body that reached it is in the inbox, with its exact bytes, before the answer
leaves."""

import contextlib
import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import BODY, JSON, Here, receiving_here
from test_delivery import LEGAL, MALFORMED
from test_listener import connect

from receiver.quarantine import judge_again

CONSENT = "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"


def body(event: str = "transactions.fetched", **data: Any) -> bytes:
    return json.dumps({"event": event, "data": {"consentId": CONSENT, **data}}).encode()


class TestAnswers:
    def test_valid_is_202_and_on_disk(self, here: Here) -> None:
        answer = here.post()
        assert answer.status_code == 202
        assert answer.json() == {"delivery": answer.headers["Delivery-Id"], "verdict": "valid"}
        entry = here.server.inbox.entry(answer.headers["Delivery-Id"])
        assert (entry.body, entry.verdict, entry.status, entry.event) == (BODY, "valid", 202, "transactions.fetched")
        assert entry.headers["Content-Type"] == "application/json"
        assert entry.size == len(BODY)

    def test_invalid_is_422_with_every_violation_and_is_kept(self, here: Here) -> None:
        answer = here.post(sent := body(userId=5, addedTransactionsCount="secret"))
        assert answer.status_code == 422
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert {v["pointer"] for v in problem["violations"]} == {"/data/userId", "/data/addedTransactionsCount"}
        assert all(set(v) == {"pointer", "keyword", "message"} for v in problem["violations"])
        assert (problem["status"], problem["verdict"], problem["type"]) == (422, "invalid", "about:blank")
        assert "secret" not in answer.text
        assert here.server.inbox.entry(problem["delivery"]).body == sent

    def test_an_unknown_event_is_202_and_reported(self, here: Here) -> None:
        answer = here.post(body("analysis.completed"))
        assert (answer.status_code, answer.json()["verdict"]) == (202, "unknown_event")
        assert here.wait(type="delivery", verdict="unknown_event")["event"] == "analysis.completed"

    @pytest.mark.parametrize("name", MALFORMED)
    def test_malformed_is_400_with_its_exact_bytes_kept(self, here: Here, name: str) -> None:
        sent, reason = MALFORMED[name]
        answer = here.post(sent)
        assert answer.status_code == 400
        assert reason in answer.json()["detail"]
        entry = here.server.inbox.entry(answer.headers["Delivery-Id"])
        assert (entry.body, entry.verdict, entry.event, entry.size) == (sent, "malformed", None, len(sent))

    @pytest.mark.parametrize("name", LEGAL)
    def test_json_that_is_no_event_is_422_with_its_exact_bytes_kept(self, here: Here, name: str) -> None:
        answer = here.post(LEGAL[name])
        assert answer.status_code == 422
        assert here.server.inbox.entry(answer.headers["Delivery-Id"]).body == LEGAL[name]

    @pytest.mark.parametrize(
        "value", ["9223372036854775808", "1" + "0" * 300, "-5e-324", '"\\u0000"', '"\\ud83d\\ude00"']
    )
    def test_odd_values_that_are_json_are_judged_and_kept(self, here: Here, value: str) -> None:
        sent = f'{{"event": "consent.accounts.updated", "data": {{"consentId": "{CONSENT}", "new": {value}}}}}'.encode()
        answer = here.post(sent)
        assert answer.status_code == 202
        assert here.server.inbox.entry(answer.headers["Delivery-Id"]).body == sent

    @pytest.mark.parametrize(
        "kind",
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonx"],
    )
    def test_another_content_type_is_415_and_kept(self, here: Here, kind: str) -> None:
        answer = here.post(headers={"Content-Type": kind})
        assert answer.status_code == 415
        assert here.server.inbox.entry(answer.headers["Delivery-Id"]).body == BODY

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"])
    def test_json_by_another_spelling_is_taken(self, here: Here, kind: str) -> None:
        assert here.post(headers={"Content-Type": kind}).status_code == 202

    def test_a_request_from_a_web_page_is_refused_and_not_kept(self, here: Here) -> None:
        answer = here.post(headers={**JSON, "Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert here.server.inbox.entries() == []

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
    def test_another_method_is_405_and_says_which_is_right(self, here: Here, method: str) -> None:
        answer = requests.request(method, here.server.url, data=BODY, headers=JSON, timeout=5)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
        assert here.server.inbox.entries() == []

    def test_another_path_is_404_and_the_terminal_says_which_is_right(self, here: Here) -> None:
        answer = requests.post(here.server.url + "/x\x1b[31m", data=BODY, headers=JSON, timeout=5)
        assert answer.status_code == 404
        assert "the hook is POST /webhook" in here.wait(type="refused", status=404)["reason"]
        assert "\x1b" not in here.told[-1]["reason"]

    def test_equal_bodies_are_two_deliveries(self, here: Here) -> None:
        assert here.post().json()["delivery"] != here.post().json()["delivery"]
        assert len(here.server.inbox.entries()) == 2

    def test_no_answer_names_the_software(self, here: Here) -> None:
        assert "Server" not in here.post().headers


@pytest.mark.parametrize(
    "head",
    [
        b"Host: a..b\r\n",
        b"Host: " + b"a" * 300 + b"\r\n",
        b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        b"Host: x\r\nX-Odd: \xe9\xff\r\n",
    ],
)
def test_an_odd_head_loses_no_body(here: Here, head: bytes) -> None:
    sent = b"POST /webhook HTTP/1.1\r\n" + head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with connect(here) as connection:
        connection.sendall(sent % len(BODY) + BODY)
        assert connection.recv(65536).startswith(b"HTTP/1.1 202 ")
    assert here.server.inbox.entries()[0].body == BODY


def test_a_length_that_no_table_can_hold_is_413_and_stops_nothing(here: Here) -> None:
    head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with connect(here) as connection:
        connection.sendall(head % 2**64 + b"{}")
        assert here.post().status_code == 202
        connection.shutdown(socket.SHUT_WR)
    assert here.post().status_code == 202


class TestLimits:
    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_body_that_is_too_large_is_413_and_its_head_and_length_are_kept(
        self, tmp_path: Path, chunked: bool
    ) -> None:
        sent = body(note="x" * 5000)
        with receiving_here(tmp_path / "state", max_body=1000) as here:
            answer = here.post(iter([sent]) if chunked else sent)
            assert answer.status_code == 413
            entry = here.server.inbox.entry(answer.headers["Delivery-Id"])
            assert (entry.body, entry.size, entry.verdict) == (sent[:1000], len(sent), "malformed")
            assert here.post(body()).status_code == 202

    def test_a_body_of_just_the_limit_is_taken(self, tmp_path: Path) -> None:
        with receiving_here(tmp_path / "state", max_body=len(BODY)) as here:
            assert here.post(BODY).status_code == 202
            assert here.post(BODY + b" ").status_code == 413

    @pytest.mark.parametrize("chunked", [False, True])
    def test_a_body_beyond_all_bounds_is_413_and_the_next_one_is_served(self, tmp_path: Path, chunked: bool) -> None:
        """It is not read to its end, so its sender may see a reset instead of the answer; that it came is kept all the
        same."""
        sent = b"x" * 100_000
        with receiving_here(tmp_path / "state", max_body=100) as here:
            with contextlib.suppress(requests.ConnectionError):
                assert here.post(iter([sent]) if chunked else sent).status_code == 413
            here.wait(type="delivery", status=413)
            (entry,) = here.server.inbox.entries()
            assert entry.size == 100_000 or (chunked and entry.size > 100)
            assert len(entry.body) == 100
            assert sent.startswith(entry.body)
            assert here.post(b"{}").status_code == 422


class TestLenient:
    @pytest.mark.parametrize("sent", [b"nonsense", body(userId=5), body("new.event"), BODY])
    def test_everything_that_was_stored_whole_is_202(self, tmp_path: Path, sent: bytes) -> None:
        with receiving_here(tmp_path / "state", lenient=True) as here:
            answer = here.post(sent, headers={})
            assert answer.status_code == 202
            assert here.server.inbox.entry(answer.json()["delivery"]).body == sent

    def test_what_is_not_valid_is_told_all_the_same(self, tmp_path: Path) -> None:
        with receiving_here(tmp_path / "state", lenient=True) as here:
            assert here.post(body(userId=5)).json()["violations"][0]["pointer"] == "/data/userId"


def test_what_cannot_be_stored_is_503_and_told(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process holds the database for longer than the receiver waits."""
    held = sqlite3.connect(here.server.inbox.path, isolation_level=None)
    here.server.inbox._store._writer.execute("PRAGMA busy_timeout = 50")
    held.execute("BEGIN IMMEDIATE")
    answer = here.post()
    held.execute("ROLLBACK")
    held.close()
    assert answer.status_code == 503
    assert "Delivery-Id" not in answer.headers
    assert "another process holds it" in here.wait(type="refused", status=503)["reason"]
    assert here.server.inbox.entries() == []
    assert here.post().status_code == 202


def test_what_cannot_be_judged_is_kept_whole_and_told(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise RecursionError

    with monkeypatch.context() as patched:
        patched.setattr(type(here.server.contract), "judge", fault)
        answer = here.post()
    assert answer.status_code == 422
    assert "could not be judged (RecursionError): mend the schema" in answer.json()["detail"]
    (entry,) = here.server.inbox.entries()
    assert entry.body == BODY
    assert [after.verdict for _, after in judge_again(here.server.inbox, here.server.contract)] == ["valid"]
