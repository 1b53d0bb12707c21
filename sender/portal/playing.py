"""The stage: a scenario that is played in the background, one at a time, for who watches it or goes away meanwhile.

In: a scenario that is planned. Out: how far it is, what came of it, its last events; in constant memory, however long
it is.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from receiver.store import StoreError
from sender.attempt import Attempt, State
from sender.play import Cue, code_of, judged
from sender.scenario import ScenarioError
from sender.tab import CannotBeMet, Planned, Rooms
from sender.tally import Tally
from sender.volley import Ended, Volley

SHOWN = 12
"""So many of the last events are kept to be shown."""

MOST_MISSED = 50
"""So many of those that are not as expected are kept."""

STOP_SECONDS = 10.0
"""At the end of the process those under way are waited for so long, and then cut."""


class StillPlaying(CannotBeMet):
    """One is played already, or the process is about to end."""


@dataclass(frozen=True, slots=True)
class Line:
    """What became of an event of a step, and what of it was not as expected. `before`: it was sent earlier, not now."""

    attempt: Attempt
    missed: Sequence[str]
    expected: bool
    before: bool


class Playing:
    """A scenario that is played, or was."""

    def __init__(self, rooms: Rooms, planned: Planned) -> None:
        self.planned = planned
        self.tally = Tally()
        self.missed = 0
        self.last: deque[Line] = deque(maxlen=SHOWN)
        self.misses: list[Line] = []
        self.failure = ""
        self.seconds = 0.0
        self._began = time.monotonic()
        self._volley = Volley(rooms.ledger, rooms.poster, concurrency=planned.plan.scenario.concurrency)
        self._thread = threading.Thread(target=self._play, name="playing", daemon=True)

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended yet."""
        return self._thread.is_alive()

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop before its end."""
        return self._volley.stopped and self.tally.total < self.planned.total

    @property
    def outcomes(self) -> list[tuple[int | State, int]]:
        """How many ended how, by status or, where none came, by state; the most first."""
        return (self.tally.outcomes + self.tally.before).most_common()

    def start(self) -> None:
        """Begins; once."""
        self._thread.start()

    def stop(self) -> None:
        """Starts no more events; those under way end by themselves."""
        self._volley.stop()

    def end(self) -> None:
        """Stops, waits a while for those under way, and cuts them then: what they were sending is `unknown`."""
        self.stop()
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            self._volley.cut()
            self._thread.join(STOP_SECONDS)

    def _play(self) -> None:
        plan = self.planned.plan
        try:
            for ended in self._volley.fire([plan.lane(aim) for aim in self.planned.aims]):
                self._count(ended)
        except (StoreError, ScenarioError) as error:
            self.failure = str(error)
        finally:
            self.seconds = time.monotonic() - self._began

    def _count(self, ended: Ended[Cue]) -> None:
        step = ended.shot.step
        missed: list[str] = judged(step, ended.attempt.outcome)
        line = Line(ended.attempt, missed, step.expect is not None, ended.before)
        self.tally.add(ended.attempt, code_of(step, ended.attempt), before=ended.before)
        self.last.appendleft(line)
        if missed:
            self.missed += 1
            self.misses += [line] if self.missed <= MOST_MISSED else []
        self.seconds = time.monotonic() - self._began


class Stage:
    """Where one scenario at a time is played."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._taken = threading.Lock()
        self._closed = False
        self.playing: Playing | None = None

    def play(self, planned: Planned) -> Playing:
        """Begins to play a scenario.

        Raises:
            StillPlaying: one is being played.
        """
        with self._taken:
            if self._closed or (self.playing and self.playing.goes_on):
                raise StillPlaying("a scenario is being played already; stop it, or wait for its end")
            self.playing = Playing(self._rooms, planned)
            self.playing.start()
            return self.playing

    def close(self) -> None:
        """Ends what is played, and plays no more."""
        with self._taken:
            self._closed = True
            if self.playing:
                self.playing.end()
