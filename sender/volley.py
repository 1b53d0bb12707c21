"""A volley: many attempts side by side, in lanes, in constant memory.

In: lanes of shots, one for each endpoint, made one at a time and only when they are wanted. Out: what became of each,
as it ends. No lane waits for another, so a slow endpoint delays nobody else's; within a lane shots begin in order. Each
is fired as a single one is: its intent is on disk before its socket opens, its outcome after. Knows nothing of where
shots come from.
"""

import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sender.attempt import Attempt
from sender.fire import fire
from sender.ledger import AlreadySent, Ledger
from sender.post import Poster, Target

LATE_SECONDS = 0.1
"""Of the time lost to a slow receiver so much is made up for; the rest is not, or a rate would end in a burst."""

_NAP_SECONDS = 0.1
"""How soon a stop is noticed by who waits. (Not an Event: `stop` is called from a signal handler.)"""

_PATIENCE_SECONDS = 1.0
"""After a cut, how long one that does not end (in a name server) is waited for."""


@dataclass(frozen=True, slots=True)
class Shot:
    """An attempt to be made at a target, not before so many seconds after the volley began."""

    target: Target
    attempt: Attempt
    at: float = 0.0


S = TypeVar("S", bound=Shot)


@dataclass(frozen=True, slots=True)
class Ended(Generic[S]):
    """What became of a shot; `before` says that it was sent earlier, and not now."""

    shot: S
    attempt: Attempt
    before: bool = False


class Volley:
    """Fires each lane from `concurrency` threads, and starts at most `rate` of its shots a second, where one is given.
    Once."""

    def __init__(self, ledger: Ledger, poster: Poster, *, concurrency: int = 1, rate: float | None = None) -> None:
        self._ledger = ledger
        self._poster = poster
        self._concurrency = concurrency
        self._gap = 1 / rate if rate else 0.0
        self._working = 0
        self._ended: queue.Queue[Any] = queue.Queue()
        self._patient_until = float("inf")
        self._lanes: list[_Lane[Any]] = []
        self.stopped = False

    @property
    def begun(self) -> int:
        """How many shots have begun."""
        return sum(lane.begun for lane in self._lanes)

    def fire(self, lanes: Sequence[Iterable[S]]) -> Generator[Ended[S]]:
        """Fires them all, once, and yields what became of each. Where the caller goes away, no more are started.

        Raises:
            StoreError: the ledger does not take them; or whatever making a shot raised. No more were started, and those
                that had begun were waited for and yielded.
        """
        self._working = self._concurrency * len(lanes)
        self._ended = queue.Queue(2 * max(1, self._working))
        self._lanes = [_Lane(self, iter(lane), self._gap) for lane in lanes]
        for number, lane in enumerate(self._lanes * self._concurrency):
            threading.Thread(target=self._work, args=(lane,), name=f"volley {number}", daemon=True).start()
        failure = None
        try:
            for ended in self._until_all_ended():
                if isinstance(ended, Ended):
                    yield ended
                else:
                    failure = failure or ended
        finally:
            self.stop()
            for _ in self._until_all_ended():
                pass  # who went away lets those under way end
        if failure:
            raise failure

    def stop(self) -> None:
        """Starts no more; those under way end by themselves. May be called from a signal handler, as `cut` may."""
        self.stopped = True

    def cut(self) -> None:
        """Starts no more, and ends those under way at once; what they were sending is `unknown`."""
        self.stop()
        self._patient_until = time.monotonic() + _PATIENCE_SECONDS
        self._poster.cut()

    def _until_all_ended(self) -> Iterator[Ended[Any] | Exception]:
        while self._working and time.monotonic() < self._patient_until:
            try:
                ended = self._ended.get(timeout=_NAP_SECONDS)
            except queue.Empty:
                continue
            if ended is None:
                self._working -= 1
            else:
                yield ended

    def _work(self, lane: "_Lane[Any]") -> None:
        try:
            while (shot := lane.next()) is not None:
                self._ended.put(self._fired(shot))
        except Exception as error:  # noqa: BLE001 - told by `fire`, in the caller's thread
            self.stop()
            self._ended.put(error)
        finally:
            self._ended.put(None)

    def _fired(self, shot: S) -> Ended[S]:
        try:
            return Ended(shot, fire(self._ledger, self._poster, shot.target, shot.attempt))
        except AlreadySent as error:
            return Ended(shot, error.attempt, before=True)


class _Lane(Generic[S]):
    """Shots that begin in order, each when it is due, at whatever pace other lanes go."""

    def __init__(self, volley: Volley, source: Iterator[S], gap: float) -> None:
        self._volley = volley
        self._source = source
        self._turn = threading.Lock()
        self._began = time.monotonic()
        self._gap = gap
        self._due = self._began - gap
        self.begun = 0

    def next(self) -> S | None:
        """The next shot, when it is due."""
        with self._turn:
            self._due = max(self._due + self._gap, time.monotonic() - LATE_SECONDS)
            self._wait_until(self._due)
            shot = None if self._volley.stopped else next(self._source, None)
            if shot is not None:
                self._wait_until(self._began + shot.at)
            if shot is None or self._volley.stopped:
                return None
            self.begun += 1
            return shot

    def _wait_until(self, due: float) -> None:
        while not self._volley.stopped and (left := due - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))  # in naps, so that a stop is noticed
