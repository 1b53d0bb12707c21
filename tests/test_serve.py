"""`sender serve`, in a process of its own."""

import json
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from conftest import ROOT, SOON, Peer, called, command, fake_browser, printing, wait_for

FETCHED = "transactions.fetched"
StartPeer = Callable[..., Peer]


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


class Asking:
    """Asks a process as its first line says."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.url = ready["url"]
        self._headers = {"Authorization": f"Bearer {ready['token']}"}

    def __call__(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(method, self.url + path, json=body, headers=self._headers, timeout=SOON)


@contextmanager
def serving(*options: str) -> Iterator[Asking]:
    with printing([sys.executable, "-m", "sender", "serve", "--port", "0", "--json", *options]) as printed:
        yield Asking(json.loads(wait_for(printed, "the first line").splitlines()[0]))


def test_it_serves_until_it_is_stopped() -> None:
    with serving() as ask:
        assert FETCHED in [event["event"] for event in ask("GET", "/api/events").json()]
        taken = command("sender", "serve", "--port", ask.url.rpartition(":")[2])
        assert taken.returncode == 2
        assert "another --port may be free" in taken.stderr


def test_it_prints_where_the_portal_is_first_and_keeps_its_token() -> None:
    opened = []
    for _ in range(2):
        with printing([sys.executable, "-m", "sender", "serve", "--port", "0"]) as printed:
            told = wait_for(lambda: "openapi.json" in printed() and printed(), "the lines")
            found = re.search(r"portal +(http://127\.0\.0\.1:\d+)(/\?token=\S+)", told.splitlines()[1])
            assert found, told
            opened.append(found[2])
            assert requests.get(found[1] + found[2], timeout=SOON).status_code == 200
            assert requests.get(f"{found[1]}/", timeout=SOON).status_code == 401
    assert opened[0] == opened[1]
    assert Path(".webhooks/portal-token").stat().st_mode & 0o777 == 0o600
    with printing([sys.executable, "-m", "sender", "serve", "--port", "0", "--token", "given"]) as printed:
        wait_for(lambda: "openapi.json" in printed(), "the lines")
        assert "given" not in printed().replace("as given", "")


def test_it_opens_the_portal_in_the_browser_where_that_is_asked_for(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sender", "serve", "--port", "0", "--open"]
    with printing(words, env=fake_browser(tmp_path)) as printed:
        url = wait_for(lambda: (tmp_path / "opened").is_file() and (tmp_path / "opened").read_text(), "it to be opened")
        assert url.strip() in printed()


def test_it_ends_in_the_middle_of_a_scenario_and_knows_what_became_of_each_event(peers: StartPeer) -> None:
    asked: list[socket.socket] = []
    receiver = peers(lambda connection: (asked.append(connection), time.sleep(0.3), ok(connection)))  # slow on purpose
    words = [sys.executable, "-m", "sender", "serve", "--port", "0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        assert ready["portal"] == f"{ready['url']}/"
        text = json.dumps({"steps": [{"event": FETCHED, "count": 1000}]})
        form = {"scenario": ":pasted", "text": text, "where": "url", "to": receiver.url, "loops": "1", "speed": "1"}
        headers = {"Authorization": f"Bearer {ready['token']}", "Origin": ready["url"]}
        requests.post(f"{ready['url']}/scenarios", data=form, headers=headers, timeout=SOON)
        wait_for(lambda: len(asked) > 1, "the second POST")
        process.terminate()
        assert process.wait(SOON) == 0
    with closing(sqlite3.connect(".webhooks/ledger.db")) as ledger:
        assert {state for (state,) in ledger.execute("SELECT state FROM attempt")} == {"delivered"}
        (count,) = ledger.execute("SELECT count(*) FROM attempt").fetchone()
    assert 2 <= count == len(receiver.requests) < 1000


@pytest.mark.parametrize("token", ["", "a b", "é", "a\nb"])
def test_it_wants_a_token_that_a_header_can_hold(token: str) -> None:
    ended = command("sender", "serve", "--port", "0", "--token", token)
    assert (ended.returncode, "must be ASCII without blanks" in ended.stderr) == (2, True)


def test_it_trusts_the_authorities_that_it_is_given(tmp_path: Path, peer: StartPeer) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    receiver = peer(ok, lambda connection: context.wrap_socket(connection, server_side=True))
    fire = {"event": FETCHED, "to": receiver.url.replace("http:", "https:")}
    for options, state in (([], "refused"), (["--ca", str(tmp_path / "ca.pem")], "delivered")):
        with serving(*options) as ask:
            (attempt,) = ask("POST", "/api/fire", fire).json()["attempts"]
        assert attempt["state"] == state
    assert len(receiver.requests) == 1


def test_it_tells_at_once_of_authorities_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("x")
    for name, told in (("x.pem", "holds no certificate"), ("y.pem", "No such file")):
        ended = command("sender", "serve", "--port", "0", "--ca", str(tmp_path / name))
        assert (ended.returncode, told in ended.stderr) == (2, True)


def test_a_sample_that_was_broken_meanwhile_is_named(tmp_path: Path) -> None:
    for room in ("schemas", "samples"):
        shutil.copytree(ROOT / room, tmp_path / room)
    with serving("--schemas", str(tmp_path / "schemas")) as ask:
        (tmp_path / "samples" / FETCHED / "default.json").write_text("{")
        for answer in (ask("GET", "/api/events"), ask("POST", "/api/fire", {"event": FETCHED})):
            assert (answer.status_code, "default.json: not readable as JSON" in answer.json()["detail"]) == (500, True)


def test_a_second_signal_ends_it_at_once_and_what_it_was_sending_is_unknown(peers: StartPeer) -> None:
    asked: list[socket.socket] = []
    receiver = peers(lambda connection: (asked.append(connection), connection.recv(1)))
    words = [sys.executable, "-m", "sender", "serve", "--port", "0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        body, head = json.dumps({"event": FETCHED, "to": receiver.url}), f"Authorization: Bearer {ready['token']}"
        with closing(socket.create_connection(("127.0.0.1", int(ready["url"].rpartition(":")[2])))) as client:
            client.sendall(
                f"POST /api/fire HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            wait_for(lambda: asked, "the POST")
            process.terminate()
            # A poll, since a signal that comes before the first was handled is one with it.
            wait_for(lambda: process.poll() is not None or process.terminate(), "its end")
    with closing(sqlite3.connect(".webhooks/ledger.db")) as ledger:
        assert ledger.execute("SELECT state FROM attempt").fetchall() == [("sending",)]
    (line,) = called("sender", "log", "--json").stdout.splitlines()
    assert json.loads(line)["state"] == "unknown"
    assert len(receiver.requests) == 1
