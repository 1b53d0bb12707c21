"""`python tests/benchmarks/drift.py`: `receiver schemas drift` over 1,000, 10,000 and 100,000 deliveries.

The whole process, and its peak of memory: deliveries go through one at a time, so that stays. One delivery in ten has a
field that no schema declares, one in a hundred is invalid.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # instead of this directory, where `receiver` is a benchmark

from receiver.contract import Verdict
from receiver.inbox import FILE, Inbox
from receiver.store import new_id, now

SIZES = (1_000, 10_000, 100_000)
SAMPLE = json.loads((ROOT / "samples" / "transactions.fetched" / "default.json").read_bytes())
FILL = """
INSERT INTO delivery (id, received_at, event, verdict, status, size, headers, body, violations)
VALUES (?, ?, 'transactions.fetched', ?, ?, ?, '{}', ?, '[]')
"""


def main() -> None:
    print(f"{'deliveries':>10} | {'seconds':>7} | {'a second':>9} | {'peak MiB':>8}")
    for size in SIZES:
        with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as folder:
            state = Path(folder)
            Inbox(state).close()
            with closing(sqlite3.connect(state / FILE)) as connection, connection:
                connection.executemany(FILL, rows(size))
            began = time.perf_counter()
            peak = run(state)
            took = time.perf_counter() - began
            print(f"{size:>10,} | {took:>7.2f} | {size / took:>9,.0f} | {peak:>8.0f}")


def rows(size: int) -> Iterator[tuple[Any, ...]]:
    for number in range(size):
        data = dict(SAMPLE["data"], addedTransactionsCount=number)
        if number % 10 == 0:
            data["bankName"] = "x"
        if number % 100 == 0:
            data["consentId"] = 5
        body = json.dumps({"event": SAMPLE["event"], "data": data}).encode()
        verdict, status = (Verdict.INVALID, 422) if number % 100 == 0 else (Verdict.VALID, 202)
        yield new_id(), now() - size + number, verdict, status, len(body), body


def run(state: Path) -> float:
    """Runs the command; its peak of memory in MiB."""
    line = [sys.executable, "-m", "receiver", "schemas", "drift", "--state", str(state)]
    with subprocess.Popen(
        line, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 1, "there is drift"
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
