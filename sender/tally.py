"""The tally of a volley: how many ended how, and how quickly they were answered; in constant memory.

In: what became of each attempt. Out: numbers. Latencies are kept in buckets, each 5 % wider than the one before,
so that a percentile is true to 2.5 %.
"""

import math
from collections import Counter
from collections.abc import Iterator

from sender.attempt import Attempt, State

MOST_FAILURES = 10
"""So many failed attempts are kept to be shown."""

_STEP = math.log(1.05)
_FINEST = 0.01  # milliseconds


class Tally:
    """Counts attempts as they end. `outcomes` is by status, or by the state where none came; of those that were sent
    earlier, and not now, `before` is the like."""

    def __init__(self) -> None:
        self.outcomes: Counter[int | State] = Counter()
        self.before: Counter[int | State] = Counter()
        self.failures: list[Attempt] = []
        self.failed = 0
        self.exit_code = 0
        self._buckets: Counter[int] = Counter()

    def add(self, attempt: Attempt, exit_code: int, *, before: bool = False) -> None:
        """Counts an attempt; the exit code is the worst of all, which is the highest."""
        outcome = attempt.outcome
        (self.before if before else self.outcomes)[outcome.status or outcome.state] += 1
        self.exit_code = max(self.exit_code, exit_code)
        if before:
            return
        if exit_code:
            self.failed += 1
            self.failures += [attempt] if self.failed <= MOST_FAILURES else []
        if outcome.status and outcome.milliseconds is not None:
            self._buckets[_bucket(outcome.milliseconds)] += 1

    def abandon(self, number: int) -> None:
        """Counts those that had begun and were not waited for to their end."""
        if number:
            self.outcomes[State.UNKNOWN] += number
            self.exit_code = max(self.exit_code, 4)

    @property
    def sent(self) -> int:
        """How many were tried now."""
        return self.outcomes.total()

    @property
    def total(self) -> int:
        """How many were counted."""
        return self.outcomes.total() + self.before.total()

    def percentile(self, percent: float) -> float | None:
        """The milliseconds within which so many of a hundred answers came; None without an answer."""
        wanted = self._buckets.total() * percent / 100
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return _middle(bucket)
        return None

    def histogram(self) -> Iterator[tuple[float, int]]:
        """Rows of up to how many milliseconds (1, 2, 5, 10, ...), and how many answers took so long."""
        rows: Counter[float] = Counter()
        for bucket, count in self._buckets.items():
            rows[_row(_middle(bucket))] += count
        row = min(rows, default=math.inf)
        while row <= max(rows, default=0):
            yield row, rows[row]
            row = _row(row * 1.1)


def _bucket(milliseconds: float) -> int:
    return int(math.log(max(milliseconds, _FINEST) / _FINEST) / _STEP)


def _middle(bucket: int) -> float:
    return _FINEST * math.exp((bucket + 0.5) * _STEP)


def _row(milliseconds: float) -> float:
    """The least of 1, 2, 5, 10, 20, ... (and 0.5, 0.2, ...) that is not less."""
    power = 10.0 ** math.floor(math.log10(milliseconds))
    return next(round(step * power, 6) for step in (1, 2, 5, 10) if milliseconds <= step * power * (1 + 1e-9))
