"""Forwarding: what the receiver stored goes to the user's application, in order, each delivery once.

In: an inbox that a receiver may be writing. Out: a POST of each delivery's exact body, kept in the ledger under the
delivery's id. While the application is down nothing is sent and nothing is lost: the inbox holds it. What was sent and
not answered is `unknown`, and is sent again only by who asks for it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from receiver.entry import Entry
from receiver.inbox import Inbox
from receiver.match import fits
from receiver.store import now
from sender.attempt import Attempt, State
from sender.fire import fire
from sender.ledger import AlreadySent, Ledger
from sender.places import ForwardError, Place
from sender.post import Poster, Target

POLL_SECONDS = 0.05
LONGEST_PAUSE = 2.0
"""Seconds after which an application that is down is tried again, at the latest."""


class Forwarding:
    """The forwarding of an inbox to a target; of events that fit one of the patterns, or of all."""

    def __init__(
        self, inbox: Inbox, ledger: Ledger, poster: Poster, target: Target, patterns: Sequence[str] = ()
    ) -> None:
        self._inbox = inbox
        self._ledger = ledger
        self._poster = poster
        self._target = target
        self._patterns = patterns
        self._key = str(inbox.path.resolve())
        self.stopped = False

    def stop(self) -> None:
        """Sends no more; the one under way ends by itself. May be called from a signal handler, as `cut` may."""
        self.stopped = True

    def cut(self) -> None:
        """Sends no more, and ends the one under way at once, as `unknown`."""
        self.stop()
        self._poster.cut()

    def run(self, *, from_start: bool = False, once: bool = False) -> Iterator[Attempt]:
        """Forwards until it is stopped, or once all that is there; yields what became of each.

        It goes on where it was for this inbox and URL; at first from now, or from the oldest. Of an application that
        is down the first refusal is yielded; with `once` that ends it.
        """
        place = self._begin(from_start=from_start)
        while True:
            place = self._still_there(place)
            for seen, entry in self._new(place):
                if self.stopped:
                    return
                waits = False
                for attempt in self._sent(entry, place, once=once):
                    waits = attempt.outcome.state is State.REFUSED
                    yield attempt
                if waits:
                    return
                place = seen
                self._ledger.places.keep(self._key, self._target.url, place)
            if once or self.stopped:
                return
            time.sleep(POLL_SECONDS)  # a poll: the receiver is another process

    def again(self, entry: Entry) -> Attempt:
        """Sends a delivery once more, whatever became of it before."""
        if not entry.verdict.handled:
            raise ForwardError(f"delivery {entry.id} is {entry.verdict}: `receiver judge` judges it again")
        copy = self._ledger.next_copy(entry.id, self._target.url)
        return fire(self._ledger, self._poster, self._for(entry), replace(self._attempt(entry), copy=copy))

    def _begin(self, *, from_start: bool) -> Place:
        found = self._ledger.places.find(self._key, self._target.url)
        if found and not from_start:
            return found
        last = self._inbox.last()
        newest = next(self._inbox.after(last - 1), None)
        place = Place(0) if from_start else Place(now(), last, newest[1].id if newest else None, now())
        self._ledger.places.keep(self._key, self._target.url, place, synced=True)
        return place

    def _still_there(self, place: Place) -> Place:
        """The place, or the beginning where its delivery was pruned: another may have its number now."""
        found = next(self._inbox.after(place.number - 1), None)
        same = found is not None and (found[0], found[1].id) == (place.number, place.delivery)
        return place if same else replace(place, number=0, delivery=None)

    def _new(self, place: Place) -> Iterator[tuple[Place, Entry]]:
        """What came, then what was judged again, since; each with the place after it."""
        for number, entry in self._inbox.after(place.number):
            place = replace(place, number=number, delivery=entry.id)
            yield place, entry
        for entry in self._inbox.judged(place.judged_at):
            place = replace(place, judged_at=entry.judged_at or 0)
            yield place, entry

    def _sent(self, entry: Entry, place: Place, *, once: bool) -> Iterator[Attempt]:
        """What became of a delivery; nothing where it is not to be sent, or was before."""
        wanted = not self._patterns or any(fits(entry.event or "", pattern) for pattern in self._patterns)
        if not (wanted and entry.verdict.handled and (entry.judged_at or entry.received_at) >= place.began):
            return
        pause = POLL_SECONDS
        told = False
        while True:
            try:
                ended = fire(self._ledger, self._poster, self._for(entry), self._attempt(entry), though_refused=True)
            except AlreadySent:
                return
            if ended.outcome.state is not State.REFUSED or not told:
                told = True
                yield ended
            if ended.outcome.state is not State.REFUSED or once:
                return
            if not self._paused(pause):
                return
            pause = min(2 * pause, LONGEST_PAUSE)

    def _paused(self, seconds: float) -> bool:
        """Waits so long; False where it is stopped meanwhile."""
        until = time.monotonic() + seconds
        while not self.stopped and time.monotonic() < until:
            time.sleep(POLL_SECONDS)  # in naps, so that a stop is noticed
        return not self.stopped

    def _for(self, entry: Entry) -> Target:
        kind = entry.headers.get("Content-Type", "application/json")
        return replace(self._target, headers={**self._target.headers, "Content-Type": kind, "Delivery-Id": entry.id})

    def _attempt(self, entry: Entry) -> Attempt:
        return Attempt(entry.id, self._target.url, entry.event or "", entry.body, now())
