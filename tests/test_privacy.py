"""What is stored are customers' data: no value of them is in what a running receiver prints, nobody else can read the
files, and no name from outside leads out of its directory."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from conftest import JSON, SOON, Peer, called, command, printing, wait_for

SECRET = "NL91ABNA0417164300"
HANDLERS = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("transactions.fetched")
def raises(delivery):
    raise ValueError(delivery.data, delivery.headers, delivery.body)

@handlers.on("transactions.fetched")
def raises_on_several_lines(delivery):
    text = delivery.data["externalUserId"]
    error = ValueError(f"first\\n{text}\\n  File {text!r}, line 1")
    error.add_note(text)
    raise error from KeyError(text)

@handlers.on("transactions.fetched")
def raises_several(delivery):
    raise ExceptionGroup(delivery.data["externalUserId"], [KeyError(delivery.data["externalUserId"])])
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
        wait_for(
            lambda: shown().count("failed") == 3 and "405" in shown(), "the handlers' failures and the last refusal"
        )
        assert SECRET not in shown()
    assert (
        SECRET
        in called("receiver", "list", "--json", "--limit", "1").stdout + called("receiver", "show", _first_id()).stdout
    )  # asked for, it is shown


def _first_id() -> str:
    return str(json.loads(called("receiver", "list", "--json").stdout.splitlines()[-1])["id"])


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


OPENED = """
import sys
sys.addaudithook(lambda event, args: event == "open" and print("opened", repr(args[0]), file=sys.stderr))
from sender.cli import main
main({words})
"""


@pytest.mark.parametrize("name", ["../outside", "../../outside", "../../../outside"])
@pytest.mark.parametrize("words", [["NAME"], ["a", "--sample", "NAME"], ["NAME", "--sample", "NAME"]])
def test_a_name_from_outside_is_not_even_opened(name: str, words: list[str]) -> None:
    inside = ["own/schemas/a.json", "own/samples/a/default.json"]
    for place in (*inside, "outside.json", "own/outside.json", "outside/default.json", "own/outside/default.json"):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_text('{"event": "a", "data": {}}' if "default" in place else "{}")
    words = ["fire", *(word.replace("NAME", name) for word in words), "--schemas", "own/schemas", "--dry-run"]
    code = [sys.executable, "-c", OPENED.format(words=words)]
    ended = subprocess.run(code, capture_output=True, text=True, timeout=SOON, check=False)
    opened = {line for line in ended.stderr.splitlines() if line.startswith("opened ")}
    assert [line for line in opened if inside[0] in line]
    assert not [line for line in opened if "outside" in line]


def test_a_delivery_whose_event_is_a_path_is_kept_and_opens_nothing() -> None:
    words = [sys.executable, "-m", "receiver", "run", "--port", "0"]
    with printing(words) as shown:
        wait_for(lambda: "/webhook" in shown(), "its URL")
        url = f"http://127.0.0.1:{shown().split('127.0.0.1:')[1].split('/')[0]}/webhook"
        for event in ("../../etc/passwd", "/etc/passwd", "\0", "envelope", "a" * 100_000):
            answer = requests.post(url, json.dumps({"event": event, "data": {}}), headers=JSON, timeout=SOON)
            assert (answer.status_code, answer.json()["verdict"]) == (202, "unknown_event")
    assert [path.name for path in Path().iterdir()] == [".webhooks"]
