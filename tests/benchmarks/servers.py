"""The servers that are measured against each other, each in a process of its own, and one turn of load on one of them.

For Linux: what a process used is read from /proc.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

from load import Measured, load, request

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 2.0
PATIENCE = 60.0
POLL = 0.02
BODY = (ROOT / "samples" / "transactions.fetched" / "default.json").read_bytes()
HANDLERS = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("*")
def nothing(delivery):
    pass
"""
BARE = """
import socket
from flask import Flask
from waitress import serve

app = Flask("bare")

@app.post("/webhook")
def hook():
    return %s

listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
serve(app, sockets=[listener], threads=8)
"""
SINK = """
import selectors, socket

listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is listener:
            selector.register(listener.accept()[0], selectors.EVENT_READ)
        elif part := key.fileobj.recv(65536):
            if part.rstrip().endswith(b"}"):  # some clients send the head by itself
                key.fileobj.send(b"HTTP/1.1 202 Accepted\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
        else:
            selector.unregister(key.fileobj)
            key.fileobj.close()
"""


@dataclass(frozen=True)
class Server:
    """A server that listens; `does` says what it does with a request, `busy` whether some of that is still to be done
    for those that it has answered, `inspector` the URL of its page."""

    name: str
    does: str
    address: tuple[str, int]
    request: bytes
    process: int
    busy: Callable[[], bool] = lambda: False
    inspector: str = ""


@dataclass(frozen=True)
class Turn:
    """One turn of load on one server.

    `behind`: so many seconds after the load it went on with what it had answered; `done`: requests a second until then;
    `cpu`: microseconds of processor time for a request, all in all; `memory`: MiB, after it.
    """

    load: Measured
    behind: float
    done: float
    cpu: float
    memory: float


def turn(server: Server, connections: int, seconds: float = SECONDS) -> Turn:
    """Loads a server and waits until it has nothing more to do, so that the next one has the machine for itself."""
    used, began = processor_time(server.process), time.perf_counter()
    measured = load(server.address, server.request, connections, seconds)
    ended = time.perf_counter()
    wait_until(lambda: not server.busy(), f"{server.name} to do what it had answered")
    done = time.perf_counter()
    cpu = (processor_time(server.process) - used) / measured.answered * 1e6
    return Turn(measured, done - ended, measured.answered / (done - began), cpu, resident(server.process))


def processor_time(process: int) -> float:
    """The seconds that a process and the ended ones of its children have used, in user mode and in the kernel."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> float:
    """The memory of a process in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@contextmanager
def ours(folder: Path, *options: str, body: bytes = BODY) -> Iterator[Server]:
    (folder / "handlers.py").write_text(HANDLERS, encoding="utf-8")
    words = [sys.executable, "-m", "receiver", "run", "handlers.py", "--port", "0", "--inspector-port", "0", *options]
    with running(words, folder) as (process, said):
        inspector = said(r"http://127.0.0.1:\d+/\?token=\S+")[0]
        health = f"{inspector.partition('?')[0]}health"
        port = int(said(r"http://127.0.0.1:(\d+)/webhook")[1])
        does = "strict JSON and schema; body, headers and verdict on disk before the answer; a handler after it"
        sent = request("/webhook", body)
        yield Server("receiver", does, ("127.0.0.1", port), sent, process, lambda: _has_runs(health), inspector)


def _has_runs(health: str) -> bool:
    with urlopen(health, timeout=PATIENCE) as answer:  # noqa: S310 - our own server's
        runs = json.load(answer)["runs"]
    return bool(runs["pending"] + runs["running"])


@contextmanager
def bare(folder: Path, name: str, answer: str) -> Iterator[Server]:
    """waitress and a Flask view that does nothing."""
    with running([sys.executable, "-c", BARE % answer], folder) as (process, said):
        address = "127.0.0.1", int(said(r"port (\d+)")[1])
        yield Server(name, "nothing", address, request("/webhook", BODY), process)


@contextmanager
def sink(folder: Path) -> Iterator[Server]:
    """A socket that answers whatever ends as a body does."""
    with running([sys.executable, "-c", SINK], folder) as (process, said):
        address = "127.0.0.1", int(said(r"port (\d+)")[1])
        yield Server("sink", "not even HTTP", address, request("/", BODY), process)


@contextmanager
def running(words: list[str], folder: Path) -> Iterator[tuple[int, Callable[[str], re.Match[str]]]]:
    """A process whose output goes to a file: its id, and what waits until it has said something."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        tempfile.NamedTemporaryFile(dir=folder) as output,
        subprocess.Popen(words, cwd=folder, env=env, stdout=output, stderr=output) as process,
    ):

        def said(pattern: str) -> re.Match[str]:
            def search() -> re.Match[str] | None:
                text = Path(output.name).read_text(encoding="utf-8")
                if process.poll() is not None:
                    raise ChildProcessError(f"{words} ended: {text}")
                return re.search(pattern, text)

            return wait_until(search, f"{words} to say {pattern}")

        try:
            yield process.pid, said
        finally:
            process.kill()


def wait_until(condition: Callable[[], T | None], what: str) -> T:
    """The first true value of `condition`."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(POLL)
    raise TimeoutError(f"waited {PATIENCE:g} s for {what}")
