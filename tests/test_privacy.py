"""What is stored are customers' data: no value of them is in what a running receiver prints, nobody else can read the
files, and no name from outside leads out of its directory."""

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from conftest import JSON, SOON, Peer, command, printing, wait_for

SECRET = "NL91ABNA0417164300"
HANDLERS = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("transactions.fetched")
def raises(delivery):
    raise ValueError(delivery.data, delivery.headers, delivery.body)
"""
VALID = {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90", "userId": None, "externalUserId": SECRET, "extra": SECRET}
BODIES = [
    json.dumps({"event": "transactions.fetched", "data": VALID}),
    json.dumps({"event": "transactions.fetched", "data": {"consentId": SECRET, "addedTransactionsCount": SECRET}}),
    json.dumps({"event": "consent.status.updated", "data": SECRET}),
    json.dumps({"event": {"name": SECRET}, "data": {}}),
    json.dumps({"event": "order.created", "data": {"iban": SECRET}}),
    f'{{"event": "transactions.fetched", "data": {{"iban": "{SECRET}"',
    f'{{"iban": "{SECRET}", "iban": 1}}',
    SECRET,
]


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_running_receiver_prints_no_value_of_what_it_received(as_json: list[str]) -> None:
    Path("mine.py").write_text(HANDLERS)
    words = [sys.executable, "-m", "receiver", "run", "mine.py", "--port", "0", "--max-body", "1000", *as_json]
    with printing(words) as shown:
        wait_for(lambda: "/webhook" in shown(), "its URL")
        url = f"http://127.0.0.1:{shown().split('127.0.0.1:')[1].split('/')[0]}/webhook"
        headers = {**JSON, "X-Secret": SECRET, "Authorization": SECRET}
        for body in (*BODIES, SECRET * 100):
            assert requests.post(url, body, headers=headers, timeout=SOON).status_code < 500
        requests.post(url, BODIES[0], headers={"Content-Type": SECRET}, timeout=SOON)
        requests.get(f"{url}?iban={SECRET}", headers=headers, timeout=SOON)
        wait_for(lambda: "failed" in shown() and "405" in shown(), "the handler's failure and the last refusal")
        assert SECRET not in shown()
    assert (
        SECRET
        in command("receiver", "list", "--json", "--limit", "1").stdout
        + command("receiver", "show", _first_id()).stdout
    )  # asked for, it is shown


def _first_id() -> str:
    return str(json.loads(command("receiver", "list", "--json").stdout.splitlines()[-1])["id"])


def test_nobody_else_can_read_what_either_half_writes_whatever_the_umask(peer: Callable[..., Peer]) -> None:
    url = peer(lambda line: line.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")).url
    words = [sys.executable, "-m", "receiver", "run", "--port", "0", "--state", "deep/state"]
    with printing(words, umask=0) as shown:
        wait_for(lambda: "/webhook" in shown(), "its URL")
        assert (
            command("sender", "fire", "transactions.fetched", "--to", url, "--state", "deep/state", umask=0).returncode
            == 0
        )
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path("deep/state").iterdir()}
    assert stat.S_IMODE(Path("deep/state").stat().st_mode) == 0o700
    assert set(found.values()) == {0o600}
    assert {"inbox.db", "inbox.db-wal", "worker.lock", "ledger.db"} <= set(found)


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "..", ".", "a/b", "a\\b", "%2e%2e", "a" * 5000])
def test_no_name_from_outside_leads_out_of_its_directory(name: str) -> None:
    Path("own/schemas").mkdir(parents=True)
    Path("own/schemas/a.json").write_text("{}")
    Path("outside.json").write_text(json.dumps({"event": "a", "data": {"read": SECRET}}))
    own = ("--schemas", "own/schemas", "--dry-run")
    for words in (("fire", name, *own), ("fire", "a", "--sample", name, *own), ("fire", name, "--sample", name, *own)):
        ended = command("sender", *words)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert SECRET not in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_delivery_whose_event_is_a_path_is_kept_and_opens_nothing() -> None:
    words = [sys.executable, "-m", "receiver", "run", "--port", "0"]
    with printing(words) as shown:
        wait_for(lambda: "/webhook" in shown(), "its URL")
        url = f"http://127.0.0.1:{shown().split('127.0.0.1:')[1].split('/')[0]}/webhook"
        for event in ("../../etc/passwd", "/etc/passwd", "\0", "envelope", "a" * 100_000):
            answer = requests.post(url, json.dumps({"event": event, "data": {}}), headers=JSON, timeout=SOON)
            assert (answer.status_code, answer.json()["verdict"]) == (202, "unknown_event")
    assert [path.name for path in Path().iterdir()] == [".webhooks"]
