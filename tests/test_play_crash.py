"""A scenario killed in the middle and played again: each event at most once to each endpoint, and none forgotten."""

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Peer, called, command, wait_for

from sender.attempt import State
from sender.ledger import Ledger

FETCHED = "transactions.fetched"
STEPS = 500
KILLS = 3
StartPeer = Callable[..., Peer]


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def slowly(connection: socket.socket) -> None:
    time.sleep(0.005)  # not to wait for anything: it is slow
    ok(connection)


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.slow
def test_a_scenario_to_five_endpoints_killed_again_and_again(peer: StartPeer) -> None:
    good, other, slow, dead = peer(ok), peer(ok), peer(slowly), peer(hang_up)
    nobody = "http://127.0.0.1:9/"
    for url in (good.url, other.url, slow.url, dead.url, nobody):
        assert called("sender", "endpoints", "add", url, "--all").returncode == 0
    Path("s.jsonl").write_text("".join(json.dumps({"event": FETCHED, "after": 0.001}) + "\n" for _ in range(STEPS)))
    words = [sys.executable, "-m", "sender", "play", "s.jsonl", "--id", "X"]
    for kill in range(1, KILLS + 1):
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as playing:
            wait_for(lambda kill=kill: len(slow.requests) >= kill * 60, "the slow one to have had some")
            playing.kill()
    told = command("sender", "play", "s.jsonl", "--id", "X", "--json")
    assert told.returncode == 4, told.stderr

    for each in (good, other, slow, dead):
        assert max(Counter(request.partition(b"\r\n\r\n")[2] for request in each.requests).values()) == 1
    with closing(Ledger(Path(".webhooks"))) as ledger:
        attempts = ledger.attempts(limit=10 * STEPS)
    assert Counter(attempt.url for attempt in attempts) == dict.fromkeys(
        (good.url, other.url, slow.url, dead.url, nobody), STEPS
    )
    states = {url: Counter(one.outcome.state for one in attempts if one.url == url) for url in (good.url, nobody)}
    assert states[good.url][State.DELIVERED] >= STEPS - KILLS
    assert states[nobody][State.REFUSED] >= STEPS - KILLS
    assert not [attempt for attempt in attempts if attempt.outcome.state is State.SENDING]
    assert json.loads(told.stdout.splitlines()[-1])["already_sent"] > KILLS * 60


def test_order_at_each_endpoint_is_the_order_of_the_steps_also_after_a_kill(peer: StartPeer) -> None:
    one, slow = peer(ok), peer(slowly)
    for url in (one.url, slow.url):
        assert called("sender", "endpoints", "add", url, "--all").returncode == 0
    steps = [{"event": FETCHED, "data": {"consentId": "${c}", "addedTransactionsCount": n}} for n in range(200)]
    Path("s.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    words = [sys.executable, "-m", "sender", "play", "s.jsonl", "--speed", "max", "--id", "X"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as playing:
        wait_for(lambda: len(slow.requests) >= 50, "some")
        playing.kill()
    command(*words[2:])
    for each in (one, slow):
        bodies = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in each.requests]
        numbers = [body["data"]["addedTransactionsCount"] for body in bodies]
        assert numbers == sorted(set(numbers))
        assert len(numbers) >= 199
