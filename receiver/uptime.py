"""When the receiver was up, and the gaps between: the provider does not resend what came while nobody listened.

A receiver that is up says so every few seconds in the inbox's file; what lies between one's last word and the next
one's first is a gap. It knows of itself only: not of a tunnel, a firewall or a URL that was not registered. Times are
whole microseconds since 1970, UTC.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from receiver.store import Store, StoreError, new_id, now

TABLES = (
    """
CREATE TABLE uptime (
    id TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    ended INTEGER NOT NULL
) STRICT, WITHOUT ROWID
""",
)

BEAT_SECONDS = 5.0
"""How often a receiver says that it is up. After a kill the gap begins at most so much too early."""

LATE = 3
"""So many beats without a word, and nobody was up: the process was dead, or the machine asleep."""

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Nobody sets it, and it goes on while the machine sleeps: on Linux the former does so, on macOS the latter."""

_SAY = """
INSERT INTO uptime (id, since, until, ended) VALUES (:id, :at, :at, :ended)
ON CONFLICT (id) DO UPDATE SET until = max(until, excluded.until), ended = excluded.ended
"""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which no receiver was up; `until` is None while that lasts."""

    since: int
    until: int | None


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which one receiver was up; `ended` once it has said that it goes."""

    since: int
    until: int
    ended: bool


def gaps(windows: Iterable[Window], at: int) -> Iterator[Gap]:
    """What no window covers, from the first one's start to the moment `at`; the windows by their start."""
    up_until: int | None = None
    for window in windows:
        if window.since > at:  # as a clock said that was ahead, and has been set since
            break
        if up_until is not None and window.since > up_until:
            yield Gap(up_until, window.since)
        is_up = not (window.ended or is_late(window.until, at))
        up_until = max(up_until or 0, at if is_up else window.until)
    if up_until is not None and up_until < at:
        yield Gap(up_until, None)


def is_late(said: int, at: int, beat_seconds: float = BEAT_SECONDS) -> bool:
    """Whether the last word came so long ago that nobody is up any more."""
    return at - said > LATE * beat_seconds * 1e6


class Uptime:
    """The table of windows in an inbox's file."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def say(self, window: str, at: int, *, ended: bool = False) -> None:
        """Records that the receiver of this window was up at that moment; the first word begins the window."""
        self._store.write((_SAY, {"id": window, "at": at, "ended": ended}), synced=False)

    def windows(self) -> list[Window]:
        """All windows, by their start."""
        rows = self._store.read("SELECT since, until, ended FROM uptime ORDER BY since")
        return [Window(row["since"], row["until"], bool(row["ended"])) for row in rows]

    def end(self) -> int | None:
        """Ends all windows (one that is up all the same says so with its next beat); when the last word was, if any."""
        self._store.write(("UPDATE uptime SET ended = 1", ()), synced=False)
        last: int | None = self._store.read("SELECT max(until) FROM uptime")[0][0]
        return last


def ticks() -> float:
    """Seconds that have passed since some moment, whatever became of the wall clock."""
    return time.clock_gettime(_CLOCK)


class Heart:
    """Says every `beat_seconds` that the receiver is up, from `start` until `close`.

    `slept` is called with a gap that this process itself has lived through: the machine was asleep, or the disk full.
    """

    def __init__(self, uptime: Uptime, slept: Callable[[Gap], None], beat_seconds: float = BEAT_SECONDS) -> None:
        self._uptime = uptime
        self._slept = slept
        self._beat_seconds = beat_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)
        self._window = new_id()
        self._said, self._ticks = now(), ticks()
        self._heard = False

    def start(self, *, alone: bool) -> Gap | None:
        """Says the first word; returns the gap that ends with it, where no other receiver can have been up."""
        last = self._uptime.end() if alone else None
        self._say()
        self._thread.start()
        return Gap(last, self._said) if last and last < self._said else None

    def beats(self) -> bool:
        """Whether the inbox took the last word, so that it would take a delivery as well."""
        return self._heard and not self._is_late()

    def close(self) -> None:
        """Says that the receiver goes."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
            self._say(ended=True)

    def _beat(self) -> None:
        while not self._stopping.wait(self._beat_seconds):
            if self._is_late():
                at = now()
                self._slept(Gap(at - self._silence(), at))
                self._window = new_id()
            self._say()

    def _say(self, *, ended: bool = False) -> None:
        at, at_ticks = now(), ticks()
        try:
            self._uptime.say(self._window, at, ended=ended)
        except StoreError:  # `beats` tells
            self._heard = False
        else:
            self._heard, self._said, self._ticks = True, at, at_ticks

    def _silence(self) -> int:
        """How long ago the last word was, in microseconds; the wall clock would not know, since it can be set."""
        return int((ticks() - self._ticks) * 1e6)

    def _is_late(self) -> bool:
        return is_late(0, self._silence(), self._beat_seconds)
