"""`python tests/benchmarks/inbox.py`: an inbox of 1,000,000 deliveries against one of 1,000, in turns.

The calls behind `receiver list` and `receiver show`, one more insert (durable), and what the worker asks for; then the
two commands as whole processes. Takes about two minutes and 1.3 GB of disk, for the filling.
"""

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # before this directory, where `receiver` is a benchmark

from receiver.contract import Verdict
from receiver.entry import Entry, Run, RunState
from receiver.inbox import FILE, Inbox
from receiver.store import new_id, now

SMALL, LARGE = 1_000, 1_000_000
ROUNDS = 100
COMMANDS = 9
DAY = 86_400_000_000
RARE = "consent.status.updated"
BODY = (ROOT / "samples" / "transactions.fetched" / "default.json").read_bytes()
HEADERS = {"Host": "127.0.0.1:8787", "Content-Type": "application/json", "Content-Length": str(len(BODY))}
FILL = """
INSERT INTO delivery (id, received_at, event, verdict, status, size, headers, body, violations)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, '[]')
"""
FILL_RUNS = """
INSERT INTO run (delivery, handler, attempt, state, started_at, milliseconds)
SELECT number, 'fetch', 1, CASE number % 47 WHEN 0 THEN 'failed' ELSE 'done' END, received_at, 1.5
FROM delivery WHERE verdict = 'valid'
"""


def main() -> None:
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as folder:
        states = [filled(Path(folder, str(size)), size) for size in (SMALL, LARGE)]
        inboxes = [Inbox(state) for state in states]
        print(f"{'':34} | {SMALL:>9,} | {LARGE:>9,} | ratio")
        for name, call in calls().items():
            tell(name, [partial_of(call, inbox) for inbox in inboxes], ROUNDS)
        newest = [inbox.entries(limit=1)[0].id for inbox in inboxes]
        for inbox in inboxes:
            inbox.close()
        tell("receiver list, the process", [command(["list"], state) for state in states], COMMANDS)
        shows = [command(["show", id_], state) for id_, state in zip(newest, states, strict=True)]
        tell("receiver show, the process", shows, COMMANDS)


def calls() -> dict[str, Callable[[Inbox], object]]:
    return {
        "list": lambda inbox: inbox.entries(),
        "list --event, of one in forty": lambda inbox: inbox.entries(event=RARE),
        "list --verdict invalid": lambda inbox: inbox.entries(verdict=Verdict.INVALID),
        "list --run failed": lambda inbox: inbox.entries(run=RunState.FAILED),
        "list --since 1h": lambda inbox: inbox.entries(since=now() - 3_600_000_000),
        "list --since 30d --event, none": lambda inbox: inbox.entries(since=now() - 30 * DAY, event="no.such.event"),
        "list --run failed --event, none": lambda inbox: inbox.entries(run=RunState.FAILED, event="no.such.event"),
        "list --verdict --event, few": lambda inbox: inbox.entries(verdict=Verdict.INVALID, event=RARE),
        "show": lambda inbox: inbox.entry(inbox.entries(limit=1)[0].id),
        "one more delivery, on disk": insert,
        "the worker's look for runs": lambda inbox: inbox.runs.claims(["fetch"], most=32),
    }


def insert(inbox: Inbox) -> None:
    runs = (Run("elsewhere", 1, RunState.PENDING),)
    entry = Entry(new_id(), now(), "transactions.fetched", Verdict.VALID, 202, len(BODY), HEADERS, BODY, (), runs)
    inbox.store([entry], then=lambda _: None)


def filled(state: Path, size: int) -> Path:
    """An inbox with a delivery a second up to now; one in forty is invalid, or of a rare event."""
    Inbox(state).close()
    began = time.perf_counter()
    with closing(sqlite3.connect(state / FILE)) as connection, connection:
        connection.executemany(FILL, rows(size))
        connection.execute(FILL_RUNS)
    print(f"filled {size:,} in {time.perf_counter() - began:.0f} s: {(state / FILE).stat().st_size / 1e6:,.0f} MB")
    return state


def rows(size: int) -> Iterator[tuple[Any, ...]]:
    first, headers = now() - size * 1_000_000, json.dumps(HEADERS)
    for number in range(size):
        event = RARE if number % 41 == 0 else "transactions.fetched"
        verdict, status = (Verdict.INVALID, 422) if number % 43 == 0 else (Verdict.VALID, 202)
        yield new_id(), first + number * 1_000_000, event, verdict, status, len(BODY), headers, BODY


def partial_of(call: Callable[[Inbox], object], inbox: Inbox) -> Callable[[], object]:
    return lambda: call(inbox)


def command(words: list[str], state: Path) -> Callable[[], object]:
    line = [sys.executable, "-m", "receiver", *words, "--state", str(state)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return lambda: subprocess.run(line, env=env, capture_output=True, check=False)


def tell(name: str, both: list[Callable[[], object]], rounds: int) -> None:
    times = [[took(one) for one in both] for _ in range(rounds)]
    small, large = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{name:34} | {small:6.2f} ms | {large:6.2f} ms | {large / small:5.2f}")


def took(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
