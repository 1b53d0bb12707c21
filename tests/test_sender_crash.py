"""The sender killed with SIGKILL under load, ten of it at once, ledgers that fail: no event arrives twice."""

import json
import secrets
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import SOON, Peer, wait_for

from sender.attempt import Attempt, State
from sender.ledger import Ledger

StartPeer = Callable[..., Peer]

LEDGER = Path(".webhooks/ledger.db")
EVENTS = 300
KILLS = 8
CONCURRENCY = 4


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def volley(url: str, *more: str, count: int = EVENTS) -> list[str]:
    """The command that fires the events X-1, X-2, ...; each run of it makes bodies of its own for them."""
    many = ["--id", "X", "--count", str(count), "--concurrency", str(CONCURRENCY)]
    return [sys.executable, "-m", "sender", "fire", "transactions.fetched", "--to", url, "--json", *many, *more]


def run(words: list[str], **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **more)


def summary(output: str) -> dict[str, Any]:
    return dict(json.loads(output.splitlines()[-1]))


def recorded() -> list[Attempt]:
    with closing(Ledger.existing(LEDGER.parent)) as ledger:
        return ledger.attempts(limit=10_000)


def arrived(receiver: Peer) -> list[bytes]:
    return [request.partition(b"\r\n\r\n")[2] for request in receiver.requests]


def wait_for_more(receiver: Peer, more: int) -> None:
    enough = len(receiver.requests) + more
    wait_for(lambda: len(receiver.requests) >= enough, f"{more} more requests")


def check_once(receiver: Peer, attempts: list[Attempt]) -> None:
    """What arrived is what the ledger holds: of an event that was sent twice it would hold but one of the bodies."""
    bodies = arrived(receiver)
    assert len(set(bodies)) == len(bodies)
    assert set(bodies) <= {attempt.body for attempt in attempts}
    assert {attempt.outcome.state for attempt in attempts} <= {State.DELIVERED, State.UNKNOWN}
    delivered = {attempt.body for attempt in attempts if attempt.outcome.state is State.DELIVERED}
    assert delivered <= set(bodies)


def test_killed_again_and_again_a_volley_sends_each_event_once_and_none_is_called_delivered_that_is_not(
    peers: StartPeer,
) -> None:
    receiver = peers(ok)
    for _ in range(KILLS):
        with subprocess.Popen(volley(receiver.url), stdout=subprocess.DEVNULL) as process:
            wait_for_more(receiver, 1 + secrets.randbelow(EVENTS // KILLS))
            process.kill()
        assert process.returncode == -9
    last = run(volley(receiver.url))
    attempts = recorded()
    check_once(receiver, attempts)
    assert {attempt.id for attempt in attempts} == {f"X-{number}" for number in range(1, EVENTS + 1)}
    unknown = [attempt.id for attempt in attempts if attempt.outcome.state is State.UNKNOWN]
    assert 0 < len(unknown) <= KILLS * CONCURRENCY
    assert last.returncode == 4
    again = summary(run(volley(receiver.url)).stdout)
    assert (again["sent"], again["already_sent"]) == (0, EVENTS)
    listed = run([sys.executable, "-m", "sender", "log", "--unknown", "--json", "--limit", str(EVENTS)])
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == unknown


def test_of_ten_volleys_at_once_with_the_same_ids_one_sends_each_event(peers: StartPeer) -> None:
    """All of them are in the middle of their first POSTs when the first answer comes."""
    first, count = 10 * CONCURRENCY, 60
    all_wait = threading.Event()

    def answer(connection: socket.socket) -> None:
        all_wait.wait(SOON)
        ok(connection)

    receiver = peers(answer)
    words = volley(receiver.url, count=count)
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(10)]
    try:
        wait_for(lambda: len(receiver.requests) == first, "all of them to wait for an answer")
    finally:
        all_wait.set()
        summaries = [summary(process.communicate(timeout=SOON)[0]) for process in processes]
    check_once(receiver, recorded())
    assert len(receiver.requests) == count
    assert sum(one["sent"] for one in summaries) == count
    assert sum(one["already_sent"] for one in summaries) == 9 * count


def damaged() -> None:
    LEDGER.write_bytes(LEDGER.read_bytes()[:4096] + b"\xff" * 8192)


def no_database() -> None:
    LEDGER.write_bytes(b"dear diary" * 100)


def of_a_newer_version() -> None:
    with closing(sqlite3.connect(LEDGER)) as file:
        file.execute("PRAGMA user_version = 99")


def gone() -> None:
    LEDGER.unlink()
    LEDGER.mkdir()


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        (damaged, "the file is damaged; move it and its -wal away"),
        (no_database, "it is no SQLite database; move it and its -wal away"),
        (of_a_newer_version, "upgrade enablenow-webhooks or choose another --state"),
        (gone, "it is no SQLite database; move it and its -wal away"),
    ],
)
@pytest.mark.parametrize("count", [1, 50])
def test_with_a_spoilt_ledger_nothing_is_sent(
    peers: StartPeer, spoil: Callable[[], None], remedy: str, count: int
) -> None:
    Ledger(LEDGER.parent).close()
    spoil()
    receiver = peers(ok)
    check_refused(run(volley(receiver.url, count=count)), remedy)
    assert receiver.requests == []


@pytest.mark.slow
def test_while_another_process_holds_the_ledger_nothing_is_sent(peers: StartPeer) -> None:
    Ledger(LEDGER.parent).close()
    receiver = peers(ok)
    with closing(sqlite3.connect(LEDGER, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ended = run(volley(receiver.url, "--concurrency", "1"))
    check_refused(ended, "another process holds it; wait for that to end or stop it")
    assert receiver.requests == []


MOUNTED = "mount -t tmpfs -o size=%s none small || exit 77; "


def in_small(size: str, script: str, words: list[str]) -> "subprocess.CompletedProcess[str]":
    """Runs a shell script that finds a file system of its own in `small`, and a command as its arguments."""
    Path("small").mkdir()
    shell = ["unshare", "-rm", "sh", "-c", MOUNTED % size + script, "sh", *words, "--state", "small/state"]
    try:
        ended = run(shell)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if ended.returncode == 77 or ended.stderr.startswith("unshare:"):
        pytest.skip(f"no file system can be mounted here: {ended.stderr.strip()}")
    return ended


def test_on_a_full_disk_no_more_is_sent_and_what_was_sent_is_in_the_ledger(peers: StartPeer) -> None:
    """It gets full in the middle of the volley."""
    receiver = peers(ok)
    keep = '"$@"; code=$?; cp -r small/state kept; exit $code'
    ended = in_small("400k", keep, volley(receiver.url, count=10_000))
    check_refused(ended, "the disk is full; free some space")
    assert summary(ended.stdout)["sent"] < 10_000
    with closing(Ledger.existing(Path("kept"))) as ledger:
        check_once(receiver, ledger.attempts(limit=10_000))
    assert receiver.requests


def test_where_the_disk_is_full_before_it_begins_nothing_is_sent(peers: StartPeer) -> None:
    receiver = peers(ok)
    fill = 'cat /dev/zero > small/all 2> /dev/null; "$@"'
    check_refused(in_small("64k", fill, volley(receiver.url)), "free some space")
    assert receiver.requests == []


def test_where_the_ledger_is_read_only_nothing_is_sent(peers: StartPeer) -> None:
    receiver = peers(ok)
    Ledger(LEDGER.parent).close()
    protect = f'cp -r {LEDGER.parent} small/state; mount -o remount,ro small; "$@"'
    ended = in_small("1m", protect, volley(receiver.url))
    check_refused(ended, "mend the permissions or choose another --state")
    assert receiver.requests == []


def check_refused(ended: "subprocess.CompletedProcess[str]", remedy: str) -> None:
    assert ended.returncode == 2
    assert remedy in ended.stderr
    assert "Traceback" not in ended.stderr
