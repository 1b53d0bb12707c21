"""A volley: many attempts side by side, at a rate, in constant memory.

In: shots, made one at a time and only when they are wanted. Out: what became of each, as it ends. Each is fired as a
single one is: its intent is on disk before its socket opens, its outcome after. Knows nothing of where shots come from.
"""

import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

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

Shot = tuple[Target, Attempt]


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a shot; `before` says that it was sent earlier, and not now."""

    attempt: Attempt
    before: bool = False


class Volley:
    """Fires shots from `concurrency` threads, and starts at most `rate` of them a second, where one is given. Once."""

    def __init__(self, ledger: Ledger, poster: Poster, *, concurrency: int = 1, rate: float | None = None) -> None:
        self._ledger = ledger
        self._poster = poster
        self._working = concurrency
        self._gap = 1 / rate if rate else 0.0
        self._due = time.monotonic() - self._gap
        self._turn = threading.Lock()
        self._ended: queue.Queue[Ended | Exception | None] = queue.Queue(2 * concurrency)
        self._patient_until = float("inf")
        self.stopped = False
        self.begun = 0

    def fire(self, shots: Iterable[Shot]) -> Generator[Ended]:
        """Fires them all, once, and yields what became of each. Where the caller goes away, no more are started.

        Raises:
            StoreError: the ledger does not take them; or whatever making a shot raised. No more were started, and those
                that had begun were waited for and yielded.
        """
        source = iter(shots)
        for number in range(self._working):
            threading.Thread(target=self._work, args=(source,), name=f"volley {number}", daemon=True).start()
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

    def _until_all_ended(self) -> Iterator[Ended | Exception]:
        while self._working and time.monotonic() < self._patient_until:
            try:
                ended = self._ended.get(timeout=_NAP_SECONDS)
            except queue.Empty:
                continue
            if ended is None:
                self._working -= 1
            else:
                yield ended

    def _work(self, source: Iterator[Shot]) -> None:
        try:
            while (shot := self._next(source)) is not None:
                self._ended.put(self._fired(*shot))
        except Exception as error:  # noqa: BLE001 - told by `fire`, in the caller's thread
            self.stop()
            self._ended.put(error)
        finally:
            self._ended.put(None)

    def _fired(self, target: Target, attempt: Attempt) -> Ended:
        try:
            return Ended(fire(self._ledger, self._poster, target, attempt))
        except AlreadySent as error:
            return Ended(error.attempt, before=True)

    def _next(self, source: Iterator[Shot]) -> Shot | None:
        """The next shot, when it is due."""
        with self._turn:
            self._wait_until_due()
            shot = None if self.stopped else next(source, None)
            self.begun += shot is not None
            return shot

    def _wait_until_due(self) -> None:
        self._due = max(self._due + self._gap, time.monotonic() - LATE_SECONDS)
        while not self.stopped and (left := self._due - time.monotonic()) > 0:
            time.sleep(min(left, _NAP_SECONDS))  # in naps, so that a stop is noticed
