"""The soak: a receiver under mixed good and hostile load, killed every few seconds; beside it senders, some of them
killed as well. It ends with a tally in which nothing is lost and nothing doubled.

`SOAK_SECONDS=60 pytest -m soak -s` for another length than ten minutes. What was answered is kept in a file, so
that a long one takes no more memory.
"""

import hashlib
import os
import random
import re
import resource
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, zip_longest
from pathlib import Path
from typing import Any

import click
import pytest
import requests
from conftest import JSON, SOON, Peer, command, wait_for
from load import INVALID, MALFORMED, UNKNOWN, VALID, bodies, exchange, odd_requests

from receiver.entry import RunState
from receiver.inbox import Inbox
from sender.attempt import State
from sender.ledger import Ledger

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
MAX_BODY = 2000
STATE = Path("state")
HANDLERS = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("*")
def note(delivery):
    with open("started", "a") as file:
        file.write(f"{delivery.id} {delivery.attempt}\\n")

@handlers.on("new.*")
def fails(delivery):
    raise ValueError
"""
OVERSIZED = VALID.replace("}}", f', "more": "{"x" * MAX_BODY}"}}}}')
KINDS = {"valid": VALID, "unknown": UNKNOWN, "invalid": INVALID, "malformed": MALFORMED, "oversized": OVERSIZED}
FIRED_ID = re.compile(rb'"externalUserId":"(fired-\d+)"')
DELIVERY_ID = re.compile(rb"^Delivery-Id: (\w{16})\r$", re.MULTILINE)


def digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


class Journal:
    """What was sent to the receiver and how it answered, on disk; at the end beside it what was stored and handled."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self._one_at_a_time = threading.Lock()
        self._tables = sqlite3.connect("journal.db", isolation_level=None, check_same_thread=False)
        self._tables.execute("PRAGMA synchronous = OFF")
        self._tables.execute("CREATE TABLE answered (id TEXT PRIMARY KEY, status INTEGER, digest BLOB)")
        self._tables.execute("CREATE TABLE started (id TEXT, attempt INTEGER)")
        self._tables.create_function("digest", 1, digest)
        self.close = self._tables.close

    def answered(self, status: int, id_: str | None, body: bytes) -> None:
        with self._one_at_a_time:
            self.statuses[status] += 1
            if id_:
                row = (id_, status, digest(body[:MAX_BODY]))
                self._tables.execute("INSERT INTO answered VALUES (?, ?, ?)", row)

    def compare_with(self, inbox: Path, started: Path) -> None:
        self._tables.execute(f"ATTACH '{inbox}' AS inbox")
        with started.open() as lines:
            self._tables.executemany("INSERT INTO started VALUES (?, ?)", map(str.split, lines))

    def number(self, of: str) -> int:
        return int(self._tables.execute(f"SELECT count(*) FROM {of}").fetchone()[0])

    def by(self, column: str, table: str) -> dict[str, int]:
        return dict(self._tables.execute(f"SELECT {column}, count(*) FROM {table} GROUP BY 1 ORDER BY 1"))

    def fired(self) -> list[bytes]:
        return [body for (body,) in self._tables.execute("SELECT body FROM delivery WHERE instr(body, 'fired-')")]


def free_port() -> int:
    """Below the ports that connections get, so that none of them takes it while the receiver is down."""
    for port in range(random.randrange(20_000, 30_000), 32_000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")


@dataclass
class Killed:
    """A receiver that is killed and started again, on one port and one inbox."""

    port: int = field(default_factory=free_port)
    kills: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhook"

    def start(self) -> None:
        options = ["--port", str(self.port), "--state", str(STATE), "--max-body", str(MAX_BODY), "--no-inspector"]
        words = [sys.executable, "-m", "receiver", "run", "mine.py", *options]
        with Path("errors").open("ab") as errors:
            self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=errors)

    def kill(self) -> None:
        if self.process:
            assert self.process.poll() is None, Path("errors").read_text()
            self.process.kill()
            self.process.wait()


def post(url: str, journal: Journal, stop: threading.Event) -> None:
    """Posts bodies of each verdict, each once."""
    with requests.Session() as session:
        for kind, body in zip(cycle(KINDS), bodies(*KINDS.values()), strict=False):
            if stop.is_set():
                return
            journal.sent[kind] += 1
            try:
                answer = session.post(url, data=body, headers=JSON, timeout=SOON)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                stop.wait(0.02)  # it is down
            else:
                journal.answered(answer.status_code, answer.headers.get("Delivery-Id"), body)


def be_odd(port: int, journal: Journal, stop: threading.Event) -> None:
    """Sends hostile and odd HTTP, each on a connection of its own."""
    for kind, request, expected in odd_requests():
        if stop.is_set():
            return
        journal.sent[kind] += 1
        try:
            answers = exchange(port, request)
        except ConnectionError:
            stop.wait(0.02)
            continue
        for answer, body in zip_longest(answers, expected[: len(answers)], fillvalue=b""):
            id_ = DELIVERY_ID.search(answer)
            journal.answered(int(answer[:3]), id_ and id_[1].decode(), body)


def fire(urls: Sequence[str], stop: threading.Event) -> Counter[str]:
    """Fires events, each one twice: one after the other, or at once, or after the first sender was killed."""
    done: Counter[str] = Counter()
    while not stop.is_set():
        id_ = f"fired-{done['fired']}"
        words = ["sender", "fire", "transactions.fetched", "--state", str(STATE), "--id", id_, "--to"]
        words += [random.choice(urls), "--set", f"externalUserId={id_}", "--timeout", "5"]
        first = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        how = random.choice(["after", "killed", "at once"])
        if how == "after":
            first.wait(SOON)
        elif how == "killed":
            stop.wait(random.uniform(0.1, 0.6))
            first.kill()
        second = command(*words)
        done["fired"] += 1
        done["killed"] += first.wait(SOON) < 0
        assert second.returncode == 2 if how == "after" else second.returncode in {0, 1, 2, 3, 4}, second.stderr
    return done


def answer_or_not(connection: socket.socket) -> None:
    if random.random() < 0.75:
        connection.sendall(b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n")
    else:
        connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.soak
def test_nothing_is_lost_and_nothing_is_doubled(peer: Callable[..., Peer]) -> None:
    Path("mine.py").write_text(HANDLERS)
    receiver, raw, stop = Killed(), peer(answer_or_not), threading.Event()
    with closing(Journal()) as journal, ThreadPoolExecutor() as threads:
        receiver.start()
        posting = [threads.submit(post, receiver.url, journal, stop) for _ in range(3)]
        posting.append(threads.submit(be_odd, receiver.port, journal, stop))
        firing = threads.submit(fire, [receiver.url, raw.url], stop)
        try:
            kill_again_and_again(receiver, [*posting, firing])
            stop.set()
            for thread in posting:
                thread.result()
            finish(receiver)
        finally:
            stop.set()
            receiver.kill()
        journal.compare_with(STATE / "inbox.db", Path("started"))
        tell_of_receiver(receiver, journal)
        tell_of_sender(firing.result(), journal.fired(), raw.requests)


def kill_again_and_again(receiver: Killed, threads: Sequence["Future[Any]"]) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and not any(thread.done() for thread in threads):
        wait(threads, timeout=random.uniform(1, 4), return_when=FIRST_COMPLETED)
        receiver.kill()
        receiver.start()
        receiver.kills += 1


def finish(receiver: Killed) -> None:
    """Lets the handlers see all that is in line, and once more what was interrupted."""
    with closing(Inbox.existing(STATE)) as inbox:
        in_line = partial(inbox.runs.count, RunState.PENDING)
        wait_for(lambda: not in_line(), "the handlers to be done", within=SOON + SECONDS)
    asked = command("receiver", "retry", "--interrupted", "--state", str(STATE))
    assert asked.returncode in {0, 1}, asked.stderr  # `fails` fails again


def tell_of_receiver(receiver: Killed, journal: Journal) -> None:
    lost = journal.number(
        "answered LEFT JOIN delivery USING (id) "
        "WHERE digest(ifnull(delivery.body, x'')) != answered.digest OR delivery.status != answered.status"
    )
    doubled = journal.number("(SELECT 1 FROM delivery GROUP BY body HAVING count(*) > 1)")
    forgotten = journal.number("answered WHERE status = 202 AND id NOT IN (SELECT id FROM started)")
    repeated = journal.number("(SELECT 1 FROM started GROUP BY id, attempt HAVING count(*) > 1)")
    tell("receiver, sent", journal.sent)
    tell("answered", journal.statuses)
    tell("stored", journal.by("verdict", "delivery"))
    tell("runs", journal.by("state", "run"))
    started = journal.number("started")
    tell("", {"kills": receiver.kills, "restarts": receiver.kills, "handlers started": started})
    tell("", {"lost": lost, "doubled": doubled, "forgotten by handlers": forgotten, "run twice": repeated})
    assert journal.number("answered") > 0
    assert not any(status >= 500 for status in journal.statuses)
    assert (lost, doubled, forgotten, repeated) == (0, 0, 0, 0)


def tell_of_sender(done: Counter[str], received: Sequence[bytes], at_peer: Sequence[bytes]) -> None:
    with closing(Ledger.existing(STATE)) as ledger:
        attempts = ledger.attempts(limit=done["fired"] + 1)
    arrived = Counter(FIRED_ID.findall(b"".join([*received, *at_peer])))
    lost = [one.id for one in attempts if one.outcome.status == 202 and not arrived[one.id.encode()]]
    invented = [one.id for one in attempts if one.outcome.state is State.REFUSED and arrived[one.id.encode()]]
    doubled = [id_ for id_, times in arrived.items() if times > 1]
    tell("sender", done)
    tell("attempts", Counter(one.outcome.state for one in attempts))
    tell("", {"arrived": len(arrived), "lost": len(lost), "though refused": len(invented), "doubled": len(doubled)})
    tell("", {"MB of the test's memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10})
    assert len({one.id for one in attempts}) == done["fired"]
    assert State.SENDING not in {one.outcome.state for one in attempts}
    assert (lost, invented, doubled) == ([], [], [])


def tell(title: str, counts: Mapping[Any, int]) -> None:
    click.echo(f"{title:16} " + ", ".join(f"{what} {number:,}" for what, number in counts.items()))
