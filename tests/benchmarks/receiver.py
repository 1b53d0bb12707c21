"""`python tests/benchmarks/receiver.py [--peers [--install]] [--pinned]`: our receiver against bare waitress + Flask,
and against its peers, in turns, at 1, 8 and 32 connections.

The bare one answers 204 and does nothing. waitress closes the connection after each 204 (which has no Content-Length),
so that its client has to connect again; the second bare one answers 202 with a body and keeps its connections, as ours
does.

A number is the median of the rounds, a ratio the median of the ratios within a round. What a server does after it has
answered takes it `behind` seconds longer than the load; `done/s` counts until then.

`--pinned` keeps all servers on the first core and the load on the second. Without it the system moves threads between
cores, as it does for a user: threads that hand a lock to each other, as Python's do, then take longer for the same.
"""

import argparse
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from peers import PEERS, Missing, install
from servers import BODY, ROOT, Server, Turn, bare, ours, sink, turn

CONNECTIONS = (1, 8, 32)
ROUNDS = 5
WARM_UP_SECONDS = 0.5


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        if options.install:
            install(folder)
        for line in floors(folder):
            print(line, flush=True)
        if options.pinned:
            os.sched_setaffinity(0, {0})  # what is started from here on stays there
        starts = (
            bare(folder, "waitress + Flask, 204", "'', 204"),
            bare(folder, "waitress + Flask, 202", "'{}', 202"),
            ours(folder),
        )
        servers = [stack.enter_context(start) for start in starts]
        servers += started_peers(folder, stack) if options.peers else []
        if options.pinned:
            os.sched_setaffinity(0, {1})
        turns = [turn(server, max(CONNECTIONS), WARM_UP_SECONDS) for server in servers]
        for connections in CONNECTIONS:
            rounds = [[turn(server, connections) for server in servers] for _ in range(ROUNDS)]
            for line in table(connections, servers, rounds):
                print(line, flush=True)
            turns += [one for each in rounds for one in each]
        check(folder, sum(one.load.answered for one in turns[2 :: len(servers)]))
        for server in servers:
            print(f"{server.name:24}  {server.does}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Our receiver against bare waitress + Flask, in turns.")
    parser.add_argument("--peers", action="store_true", help="and against other receivers of webhooks")
    parser.add_argument("--install", action="store_true", help="install those (webhook, by apt-get, for good)")
    parser.add_argument("--pinned", action="store_true", help="keep the servers on one core, the load on another")
    return parser.parse_args()


def started_peers(folder: Path, stack: ExitStack) -> Iterator[Server]:
    for start in PEERS:
        try:
            yield stack.enter_context(start(folder))
        except Missing as why:
            print(f"not measured: {why}; --install does it")


def floors(folder: Path) -> Iterator[str]:
    """What no server here can be faster than."""
    yield f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    yield f"the disk syncs {syncs(folder):,.0f} times a second"
    yield f"SQLite commits {commits(folder):,.0f} times a second (WAL, synchronous=FULL, one row each)"
    with sink(folder) as server:
        rates = " / ".join(f"{turn(server, connections, 1).load.rate:,.0f}" for connections in CONNECTIONS)
    yield f"a socket that does nothing answers this load {rates} times a second, at 1 / 8 / 32 connections"


def syncs(folder: Path) -> float:
    with (folder / "synced").open("wb", buffering=0) as file:

        def append() -> None:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())

        return a_second(append)


def commits(folder: Path) -> float:
    with closing(sqlite3.connect(folder / "commits.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE delivery (body BLOB)")
        return a_second(lambda: connection.execute("INSERT INTO delivery VALUES (?)", (BODY,)))


def a_second(action: Callable[[], object]) -> float:
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < 1:
        action()
        count += 1
    return count / (time.perf_counter() - began)


def table(connections: int, servers: list[Server], rounds: list[list[Turn]]) -> Iterator[str]:
    title = f"{connections} connection{'s' * (connections > 1)}"
    yield f"\n{title:24} | requests/s  ratio | done/s  ratio  behind |  p50 ms  p99 ms | CPU us/request |  MiB"
    for server, turns in zip(servers, zip(*rounds, strict=True), strict=True):
        bare_rates = [first.load.rate for first, *_ in rounds]
        yield f"{server.name:24} | {row(turns, bare_rates)}"


def row(turns: tuple[Turn, ...], bare_rates: list[float]) -> str:
    def median(value: Callable[[Turn], float]) -> float:
        return statistics.median(map(value, turns))

    def ratio(value: Callable[[Turn], float]) -> float:
        return statistics.median(value(one) / rate for one, rate in zip(turns, bare_rates, strict=True))

    return " | ".join(
        (
            f"{median(lambda t: t.load.rate):10,.0f} {ratio(lambda t: t.load.rate):6.2f}",
            f"{median(lambda t: t.done):6,.0f} {ratio(lambda t: t.done):6.2f} {median(lambda t: t.behind):7.2f}",
            f"{median(lambda t: t.load.p50):7.2f} {median(lambda t: t.load.p99):7.2f}",
            f"{median(lambda t: t.cpu):14,.0f}",
            f"{median(lambda t: t.memory):4,.0f}",
        )
    )


def check(folder: Path, answered: int) -> None:
    """What the receiver answered it must have stored and handled, or it was measured at something else."""
    with closing(sqlite3.connect(folder / ".webhooks" / "inbox.db")) as inbox:
        ((handled,),) = inbox.execute("SELECT count(DISTINCT delivery) FROM run WHERE state = 'done'")
    if handled != answered:
        raise AssertionError(f"{answered} answered, {handled} stored and handled")
    print(f"\nAll {answered:,} deliveries that the receiver answered are in its inbox, and were handled.\n")


if __name__ == "__main__":
    main()
