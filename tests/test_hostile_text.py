"""Text from outside, planted wherever a terminal may show it: no command lets it act on that, or begin a line."""

import itertools
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from conftest import JSON, SOON, Peer, Process, printing, wait_for

HOSTILE = "\x1b[31m\x1b]0;title\x07\r\nFORGED\u2028FORGED\x85FORGED\u202e\x00\x7f\x9b2J\ufeff"
OURS = set("✓✗·…≤█")
HANDLERS = f"""
from receiver import Handlers
handlers = Handlers()
Odd = type({HOSTILE.replace(chr(0), "")!r}, (Exception,), {{}})

@handlers.on("*")
def odd(delivery):
    raise Odd({HOSTILE!r})
"""


def is_clean(shown: bytes) -> bool:
    text = shown.decode()
    harmless = all(one == "\n" or (one.isprintable() and one.isascii()) or one in OURS for one in text)
    return harmless and not re.search("^FORGED", text, re.MULTILINE)


def output(*words: str) -> bytes:
    """All that a command prints."""
    ended = subprocess.run(
        [sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
    )
    assert ended.stdout, words
    assert b"Traceback (most recent call last)\n" not in ended.stdout
    return ended.stdout


def attack(url: str) -> None:
    """Hostile text as an event, as keys and values, in headers, in a path, in what is not JSON or not HTTP."""
    whole = {"event": HOSTILE, "data": {HOSTILE: HOSTILE, "consentId": "x"}}
    headers = {**JSON, "X-Odd": "\x9b31m\x85FORGED\xad".encode("latin-1")}
    for payload in (whole, {**whole, "event": "order.created"}, {HOSTILE: 1}):
        requests.post(url, json.dumps(payload), headers=headers, timeout=SOON)
    requests.post(url, HOSTILE.encode(), headers=headers, timeout=SOON)
    requests.post(url, b"{}", headers={"Content-Type": b"\x9b31m"}, timeout=SOON)
    requests.post(f"{url}/{quote(HOSTILE)}", b"{}", timeout=SOON)
    host, port = url.split("/")[2].split(":")
    for head in (b"POST /\x1b[31m\x9b HTTP/1.1", b"FORGED\x1b /", b"POST / HTTP/1.1\r\nX: \x1b[31m\nFORGED"):
        with socket.create_connection((host, int(port)), timeout=SOON) as line:
            line.sendall(head + b"\r\n\r\n")
            assert line.recv(100)


@pytest.fixture
def own_schemas() -> None:
    Path("own").mkdir()
    strict = {"properties": {"data": {"additionalProperties": {"type": "integer"}}}}
    Path("own/order.created.json").write_text(json.dumps(strict))
    Path("mine.py").write_text(HANDLERS)


@pytest.mark.usefixtures("own_schemas")
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_running_receiver_prints_nothing_that_acts_on_a_terminal(as_json: list[str]) -> None:
    words = [sys.executable, "-m", "receiver", "run", "mine.py", "--port", "0", "--schemas", "own", *as_json]
    with printing(words) as shown:
        attack(wait_for(lambda: re.search(r"http://\S+/webhook", shown()), "its URL")[0])
        wait_for(lambda: "failed" in shown() and "Bare CR" in shown(), "the handler's outcome and the last refusal")
        assert is_clean(shown().encode())


@pytest.mark.usefixtures("own_schemas")
def test_no_command_prints_anything_of_the_inbox_that_acts_on_a_terminal(receiving: Callable[..., Process]) -> None:
    process = receiving("mine.py", "--schemas", "own")
    attack(process.url)
    process.wait(type="run", state="failed")
    wait_for(lambda: len(process.find(type="delivery")) == 5, "all that was stored")
    ids = [line["id"] for line in process.find(type="delivery")]
    looks = [
        ["list"],
        ["list", "--json"],
        ["retry", "--failed"],
        ["retry", "--failed", "--dry-run", "--json"],
        ["gaps"],
    ]
    looks += [["show", id_] for id_ in ids[:4]] + [["show", ids[0], "--json"], ["judge", "--schemas", "own", "--json"]]
    for look in looks:
        assert is_clean(output("receiver", *look)), look
    Path("own/order.created.json").write_text("{}")
    assert is_clean(judged := output("receiver", "judge", "--schemas", "own"))
    assert b"was invalid" in judged


@pytest.mark.slow
@pytest.mark.usefixtures("own_schemas")
def test_the_sender_prints_nothing_of_an_answer_or_of_data_that_acts_on_a_terminal(peer: Callable[..., Peer]) -> None:
    odd = HOSTILE.encode()
    head = b"HTTP/1.1 %s \x1b[31mFORGED\r\nDelivery-Id: \x1b[31m\x9b\r\nLocation: http://\x1b[31m\x9b/\r\n\r\n"
    answers = itertools.cycle(
        [head % b"302" + odd, head % b"202" + odd, head % b"500" + odd, b"\x1b[31m\x9b nonsense\r\n\r\n"]
    )

    def answer(line: socket.socket) -> None:
        line.sendall(next(answers))
        line.shutdown(socket.SHUT_RDWR)

    url = peer(answer).url
    fire = ["sender", "fire", "transactions.fetched", "--to", url]
    for words in (fire, fire, [*fire, "--json"], fire, [*fire, "--count", "4"], [*fire, "--count", "4", "--json"]):
        assert is_clean(output(*words))
    (newest, *_) = map(json.loads, output("sender", "log", "--json").splitlines())
    for look in (["log"], ["log", "--json"], ["show", newest["id"]], ["show", newest["id"], "--json"]):
        assert is_clean(output("sender", *look)), look
    hostile_data = json.dumps({HOSTILE: HOSTILE})
    refused = output("sender", "fire", "order.created", "--schemas", "own", "--data", hostile_data, "--to", url)
    assert b"must be integer" in refused
    assert not re.search(rb"[^\n -~]", refused)
