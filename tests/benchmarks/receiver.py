"""`python tests/benchmarks/receiver.py`: our receiver against bare waitress + Flask, in turns, at 1, 8 and 32
connections.

Ours validates, stores durably and runs a handler; the bare ones do nothing. Two of them, since waitress closes the
connection after each 204 (which has no Content-Length), so that its client has to connect again each time: one that
answers 204, and one that answers 202 with a body and keeps its connections. First the floor: how often the disk syncs a
small append.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from load import Measured, load, request

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 5
SECONDS = 2.0
BODY = (ROOT / "samples" / "transactions.fetched" / "default.json").read_bytes()
HANDLERS = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("*")
def nothing(delivery):
    pass
"""
BARE = """
import socket, sys
from flask import Flask
from waitress import serve

app = Flask("bare")

@app.post("/webhook")
def hook():
    return %s

listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
serve(app, sockets=[listener], threads=8)
"""


def main() -> None:
    with tempfile.TemporaryDirectory(dir=ROOT) as folder, ExitStack() as stack:
        print(f"the disk syncs {syncs_a_second(Path(folder)):,.0f} times a second")
        servers = [
            stack.enter_context(server) for server in (ours(folder), bare('"", 204', folder), bare('"{}", 202', folder))
        ]
        print("connections | ours/s   p50    p99 | bare 204/s  ratio | bare 202, kept/s  ratio | RSS MiB")
        for connections in (1, 8, 32):
            rounds = [[one(connections) for one, _ in servers] for _ in range(ROUNDS)]
            print(line(connections, rounds, servers[0][1]))


def line(connections: int, rounds: list[list[Measured]], process: int) -> str:
    def median(value: Callable[[Measured, Measured, Measured], float]) -> float:
        return statistics.median(value(*measured) for measured in rounds)

    return (
        f"{connections:11} | {median(lambda a, *_: a.rate):6,.0f} {median(lambda a, *_: a.p50):5.2f} "
        f"{median(lambda a, *_: a.p99):6.2f} | {median(lambda _, b, __: b.rate):10,.0f} "
        f"{median(lambda a, b, _: a.rate / b.rate):6.2f} | {median(lambda _, __, c: c.rate):16,.0f} "
        f"{median(lambda a, _, c: a.rate / c.rate):6.2f} | {resident(process):7.0f}"
    )


def syncs_a_second(folder: Path) -> float:
    with (folder / "synced").open("wb", buffering=0) as file:
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 1:
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)


def resident(process: int) -> float:
    """The memory of a process in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@contextmanager
def ours(folder: str) -> Iterator[tuple[Callable[[int], Measured], int]]:
    Path(folder, "handlers.py").write_text(HANDLERS, encoding="utf-8")
    with running([sys.executable, "-m", "receiver", "run", "handlers.py", "--port", "0"], folder) as (process, first):
        yield loading(int(first.split("127.0.0.1:")[1].split("/")[0])), process.pid


@contextmanager
def bare(answer: str, folder: str) -> Iterator[tuple[Callable[[int], Measured], int]]:
    with running([sys.executable, "-c", BARE % answer], folder) as (process, first):
        yield loading(int(first)), process.pid


@contextmanager
def running(words: list[str], folder: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """A server whose output goes to a file; with the first line of it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        tempfile.NamedTemporaryFile(dir=folder) as output,
        subprocess.Popen(words, cwd=folder, env=env, stdout=output, stderr=subprocess.DEVNULL) as process,
    ):
        try:
            while not (first := Path(output.name).read_text(encoding="utf-8").partition("\n")[0]):
                time.sleep(0.01)  # a poll, until the server says where it listens
            yield process, first
        finally:
            process.kill()


def loading(port: int) -> Callable[[int], Measured]:
    return lambda connections: load(("127.0.0.1", port), request("/webhook", BODY), connections, SECONDS)


if __name__ == "__main__":
    main()
