"""`python tests/benchmarks/scenario.py`: a load profile against `sender fire --count`, in turns, and its memory.

Whole commands, from start to end, to a socket in another process that does nothing but answer: as many events, as many
under way. The memory is the largest resident set of the command, for few steps and for many. A number is the median of
the rounds, a ratio the median of the ratios within a round.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from servers import ROOT, sink

EVENT = "transactions.fetched"
CONCURRENCY = 16
EVENTS = 5000
MANY = 100_000
ROUNDS = 3


def main() -> None:
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {CONCURRENCY} under way")
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as temporary, sink(Path(temporary)) as server:
        url = "http://{}:{}/".format(*server.address)
        for line in chain(speeds(Path(temporary), url), memory(Path(temporary), url)):
            print(line, flush=True)


def speeds(folder: Path, url: str) -> Iterator[str]:
    yield f"\n{'events a second':32} | fire --count | play  ratio"
    written = lines(folder, EVENTS)
    one = profile(folder, EVENTS)
    for title, file in (("one step, its count", one), ("a step for each, in JSON Lines", written)):
        rounds = []
        for _ in range(ROUNDS):
            fired = run(folder, "fire", EVENT, "--count", str(EVENTS), "--concurrency", str(CONCURRENCY), "--to", url)[
                0
            ]
            rounds.append((EVENTS / fired, EVENTS / run(folder, "play", str(file), "--speed", "max", "--to", url)[0]))
        fire, play = (statistics.median(numbers) for numbers in zip(*rounds, strict=True))
        ratio = statistics.median(second / first for first, second in rounds)
        yield f"{title:32} | {fire:12,.0f} | {play:4,.0f} {ratio:6.2f}"


def memory(folder: Path, url: str) -> Iterator[str]:
    yield f"\n{'steps, in JSON Lines':32} |   MiB | seconds"
    for count in (100, EVENTS, MANY):
        took, mib = run(folder, "play", str(lines(folder, count)), "--speed", "max", "--to", url)
        yield f"{count:32,} | {mib:5.0f} | {took:7.1f}"


def profile(folder: Path, count: int) -> Path:
    file = folder / "profile.yaml"
    file.write_text(f"concurrency: {CONCURRENCY}\nsteps:\n- {{event: {EVENT}, count: {count}}}\n")
    return file


def lines(folder: Path, count: int) -> Path:
    file = folder / f"{count}.jsonl"
    step = json.dumps({"event": EVENT, "data": {"consentId": "${consent}"}})
    file.write_text(f'{{"concurrency": {CONCURRENCY}}}\n' + f"{step}\n" * count)
    return file


def run(folder: Path, *words: str) -> tuple[float, float]:
    """Runs a command of the sender to its end; the seconds that it took, and its largest resident set in MiB."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "sender", *words],
        cwd=folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise AssertionError(f"{words} ended with {process.returncode}, so that something else was measured")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
