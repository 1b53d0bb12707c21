"""`python tests/benchmarks/sender.py`: the sender against plain `requests`, and the start of its command, in turns.

POSTs: a volley as `sender fire --count` makes it, each intent and each outcome synced to the disk, against
`requests.post`, which has a new session and a new connection for each and writes nothing down; from as many threads, to
a socket in another process that does nothing but answer.

Start-up: whole processes, from start to end, against a Python that imports what the command cannot do without.

A number is the median of the rounds, a ratio the median of the ratios within a round.
"""

import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

import requests
from load import JSON
from servers import BODY, PATIENCE, ROOT, sink

sys.path.insert(0, str(ROOT))

from receiver.store import new_id, now
from sender.attempt import Attempt
from sender.ledger import Ledger
from sender.post import Poster, prepare
from sender.volley import Shot, Volley

CONCURRENCY = (1, 4, 16)
POSTS = 1000
ROUNDS = 7
STARTS = 15
FIRE = ("-m", "sender", "fire", "transactions.fetched")

Action = Callable[[], object]


def main() -> None:
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as temporary, sink(Path(temporary)) as server:
        url = "http://{}:{}/".format(*server.address)
        for line in chain(posts(Path(temporary), url), starts(Path(temporary), url)):
            print(line, flush=True)


def posts(folder: Path, url: str) -> Iterator[str]:
    yield f"\n{'POSTs a second':24} | requests.post | sender  ratio"
    with closing(Ledger(folder / "posts")) as ledger, Poster(PATIENCE) as poster:
        for concurrency in CONCURRENCY:
            plain, ours = partial(plainly, url, concurrency), partial(volley, ledger, poster, url, concurrency)
            rounds = [(POSTS / seconds(plain), POSTS / seconds(ours)) for _ in range(ROUNDS)]
            plains, volleys, ratio = medians(rounds)
            yield f"{f'concurrency {concurrency}':24} | {plains:13,.0f} | {volleys:6,.0f} {ratio:6.2f}"


def plainly(url: str, concurrency: int) -> None:
    with ThreadPoolExecutor(concurrency) as threads:
        for status in threads.map(lambda _: post(url), range(POSTS)):
            expect(status, 202)


def post(url: str) -> int:
    return requests.post(url, data=BODY, headers=JSON, timeout=PATIENCE).status_code


def volley(ledger: Ledger, poster: Poster, url: str, concurrency: int) -> None:
    target = prepare(url, {})
    shots = (Shot(target, Attempt(new_id(), url, "transactions.fetched", BODY, now())) for _ in range(POSTS))
    for ended in Volley(ledger, poster, concurrency=concurrency).fire([shots]):
        expect(ended.attempt.outcome.status, 202)


def starts(folder: Path, url: str) -> Iterator[str]:
    yield f"\n{'start to end, ms':24} | Python alone | sender  ratio"
    for title, modules, more in (
        ("fire --dry-run : click", "click", ("--dry-run",)),
        ("fire : click, requests", "click, requests", ("--to", url)),
    ):
        python, fire = partial(run, folder, "-c", f"import {modules}"), partial(run, folder, *FIRE, *more)
        rounds = [(seconds(python) * 1000, seconds(fire) * 1000) for _ in range(STARTS)]
        alone, ours, ratio = medians(rounds)
        yield f"{title:24} | {alone:12.0f} | {ours:6.0f} {ratio:6.2f}"


def run(folder: Path, *words: str) -> None:
    """Runs a Python to its end. (With a time limit `subprocess` would look only every 50 ms.)"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *words], cwd=folder, env=env, stdout=subprocess.DEVNULL, check=True)


def seconds(action: Action) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def medians(rounds: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Of what is first in each round, of what is second, and of the second as a ratio to the first."""
    firsts, seconds_ = zip(*rounds, strict=True)
    ratio = statistics.median(second / first for first, second in rounds)
    return statistics.median(firsts), statistics.median(seconds_), ratio


def expect(status: int | None, wanted: int) -> None:
    if status != wanted:
        raise AssertionError(f"answered {status}, so that something else was measured")


if __name__ == "__main__":
    main()
