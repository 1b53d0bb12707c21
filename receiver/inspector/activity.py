"""The activity: how many deliveries were received in each minute of the last hour, as a chart's bars; between them the
times when no receiver was up.

In: counts and gaps. Out: geometry, in units of the chart (`WIDTH` by `HEIGHT`). Pure. Times are whole microseconds
since 1970, UTC.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from receiver.contract import Verdict
from receiver.search import MINUTE
from receiver.terminal import clock, span
from receiver.uptime import Gap

MINUTES = 60
SLOT, HEIGHT = 12, 60
WIDTH = MINUTES * SLOT

_KINDS = {Verdict.VALID: "good", Verdict.UNKNOWN_EVENT: "warn"}
_LABELS = {"good": "valid", "warn": "unknown event", "bad": "not valid"}
_GAP_BETWEEN_BARS = 2
_LEAST = 1.5  # so high is a bar at least, so that one of thousands is seen


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar: `kind` is `good`, `warn` or `bad`; `y` is its upper end."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A minute: what it is, where its slot begins, its parts; `until` is the moment at which it ends."""

    title: str
    x: int
    parts: tuple[Part, ...]
    until: int


@dataclass(frozen=True, slots=True)
class Down:
    """A time when no receiver was up."""

    title: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Activity:
    """The chart. `since`: the time of day at which it begins; `totals`: how many deliveries, by their label and kind;
    `most`: in one minute."""

    since: str
    bars: tuple[Bar, ...]
    downs: tuple[Down, ...]
    totals: tuple[tuple[str, str, int], ...]
    most: int


def activity(counts: Mapping[int, Mapping[Verdict, int]], gaps: Iterable[Gap], at: int) -> Activity:
    """The chart of the hour before the end of the minute of that moment."""
    last = at // MINUTE
    first = last - MINUTES + 1
    minutes = {minute: _kinds(counts.get(minute, {})) for minute in range(first, last + 1)}
    most = max(kinds.total() for kinds in minutes.values())
    total = sum(minutes.values(), Counter[str]())
    return Activity(
        since=clock(first * MINUTE)[:5],
        bars=tuple(_bar(minute, kinds, first, most) for minute, kinds in minutes.items() if kinds),
        downs=tuple(_down(gap, first * MINUTE, at) for gap in gaps if (gap.until or at) > first * MINUTE),
        totals=tuple((label, kind, total[kind]) for kind, label in _LABELS.items() if total[kind]),
        most=most,
    )


def _kinds(verdicts: Mapping[Verdict, int]) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for verdict, number in verdicts.items():
        kinds[_KINDS.get(verdict, "bad")] += number
    return kinds


def _bar(minute: int, kinds: Counter[str], first: int, most: int) -> Bar:
    parts, y = [], float(HEIGHT)
    for kind in _LABELS:
        if kinds[kind]:
            height = round(max(_LEAST, kinds[kind] / most * HEIGHT), 2)
            y = round(y - height, 2)
            parts.append(Part(kind, y, height))
    told = ", ".join(f"{kinds[kind]:,} {label}" for kind, label in _LABELS.items() if kinds[kind])
    return Bar(f"{clock(minute * MINUTE)[:5]}: {told}", (minute - first) * SLOT, tuple(parts), (minute + 1) * MINUTE)


def _down(gap: Gap, start: int, at: int) -> Down:
    since, until = max(gap.since, start), gap.until or at
    x, end = ((moment - start) / MINUTE * SLOT for moment in (since, until))
    how_long = span((gap.until or at) - gap.since)
    title = f"no receiver was up from {clock(gap.since)} for {how_long}; what was sent then is lost here"
    return Down(title, round(x, 2), round(max(end - x, 1.0), 2))


def bar_width() -> int:
    """How wide a bar is in its slot."""
    return SLOT - _GAP_BETWEEN_BARS
