"""What the pytest plugins cost a run that uses none of it: pytest's start to its end, with them and without, in turns.

    python tests/benchmarks/plugin.py

Ours are found by their entry points, as in any run of pytest where they are installed. It is processor time, since what
is looked for is less than a busy machine adds.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 60
WITHOUT = ["-p", "no:enablenow_receiver", "-p", "no:enablenow_sender"]
OTHERS = ["-p", "no:xdist", "-p", "no:hypothesispytest"]
"""What the tests of this repository need, and a bare pytest has not."""


def run(directory: Path, options: list[str]) -> float:
    """Milliseconds of processor time of one run."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OTHERS, *options]
    before = _spent()
    subprocess.run(words, cwd=directory, check=True, capture_output=True)
    return (_spent() - before) * 1000


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    times: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "pytest.ini").write_text("[pytest]\n")
        (directory / "test_it.py").write_text("def test_it(): ...\n")
        run(directory, [])  # compiles what is not yet
        for _ in range(ROUNDS):
            times["without"].append(run(directory, WITHOUT))
            times["with"].append(run(directory, []))
    print(f"{'the plugins':12} {'median ms':>10} {'fastest ms':>11}   of processor time, start to end")
    for kind, taken in times.items():
        print(f"{kind:12} {statistics.median(taken):10.1f} {min(taken):11.1f}")
    difference = statistics.median(b - a for a, b in zip(times["without"], times["with"], strict=True))
    print(f"\nthey cost {difference:.1f} ms (the median of {ROUNDS} pairs)")


if __name__ == "__main__":
    main()
