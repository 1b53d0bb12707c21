"""Forwarding: what the receiver stored goes to the user's application, in order, each delivery once.

In: an inbox that a receiver may be writing. Out: a POST of each delivery's exact body, kept in the ledger under the
delivery's id. While the application is down nothing is sent and nothing is lost: the inbox holds it. What was sent and
not answered is `unknown`, and is sent again only by who asks for it.
"""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from receiver.entry import Entry
from receiver.inbox import Inbox
from receiver.match import fits
from receiver.store import now
from sender.attempt import Attempt, State
from sender.fire import fire
from sender.ledger import AlreadySent, Ledger
from sender.places import ForwardError, Look, Place
from sender.post import Poster, Target

POLL_SECONDS = 0.05
LONGEST_PAUSE = 2.0
"""Seconds after which an application that is down is tried again, at the latest."""
_PAGE = 50
"""Of the hundred deliveries that the inbox reads at a time, so that these are of one moment."""
_LATE = 10_000_000
"""Microseconds after which what was judged is in the inbox, also where its judge had to wait for a lock."""


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
        look = self._begin(from_start=from_start)
        while not self.stopped:
            look, page = self._page(look)
            moment, judged = now(), self._inbox.judged(look.place.judged_at)
            for seen, entry in page:
                if not (yield from self._passed(entry, seen, once=once)):
                    return
                look = self._kept(seen)
            for entry in judged:
                if not (yield from self._passed(entry, look, judged=True, once=once)):
                    return
            look = self._settled(look, moment, durably=bool(judged), ended=not page)
            if once and not page:
                return
            if not page:
                time.sleep(POLL_SECONDS)  # a poll: the receiver is another process

    def again(self, entry: Entry) -> Attempt:
        """Sends a delivery once more, whatever became of it before."""
        if not entry.verdict.handled:
            raise ForwardError(f"delivery {entry.id} is {entry.verdict}: `receiver judge` judges it again")
        copy = self._ledger.next_copy(entry.id, self._target.url)
        attempt = replace(self._attempt(entry), copy=copy)
        return fire(self._ledger, self._poster, self._for(entry), attempt, though_refused=True)

    def _begin(self, *, from_start: bool) -> Look:
        found = self._ledger.places.find(self._key, self._target.url)
        told_to = found.number if found else math.inf
        if found and not from_start:
            return Look(found, told_to=told_to)
        last = self._inbox.last()
        newest = next(self._inbox.after(last - 1), None)
        place = Place(0) if from_start else Place(now(), last, newest[1].id if newest else "", now())
        self._ledger.places.keep(self._key, self._target.url, place, synced=True)
        return Look(place, told_to=told_to)

    def _page(self, look: Look) -> tuple[Look, list[tuple[Look, Entry]]]:
        """What came next, each with the look after it; from the beginning, where the delivery of the place is gone.

        That delivery and what follows it are read together: between two reads its number may be given again.
        """
        rows = list(islice(self._inbox.after(look.place.number - 1), _PAGE))
        if look.place.delivery is not None:
            if not rows or rows[0][1].id != look.place.delivery:
                return self._page(look.from_the_beginning())
            rows = rows[1:]
        return look, [(look.at(number, entry.id), entry) for number, entry in rows]

    def _kept(self, look: Look) -> Look:
        if not look.again:
            self._ledger.places.keep(self._key, self._target.url, look.place)
        return look

    def _settled(self, look: Look, moment: int, *, durably: bool, ended: bool) -> Look:
        """After a page and what was judged again up to a moment."""
        place = look.place.judged(moment, _LATE)
        changed = place.began != look.place.began or (ended and look.again)
        look = replace(look, place=place, again_to=0 if ended else look.again_to)
        return self._kept(look) if durably or changed else look

    def _passed(self, entry: Entry, look: Look, *, once: bool, judged: bool = False) -> Generator[Attempt, None, bool]:
        """Whether the next one has its turn: a delivery was sent, is not to be sent, or was before."""
        if self.stopped:
            return False
        wanted = not self._patterns or any(fits(entry.event or "", pattern) for pattern in self._patterns)
        old = (judged or look.again) and (entry.judged_at or entry.received_at) < look.place.began
        if not wanted or not entry.verdict.handled or old:
            return True
        try:
            return (yield from self._sent(entry, once=once))
        except AlreadySent as before:
            untold = not judged and not look.again and look.place.number > look.told_to
            if untold and before.attempt.outcome.state is State.UNKNOWN:
                yield before.attempt
            return True

    def _sent(self, entry: Entry, *, once: bool) -> Generator[Attempt, None, bool]:
        """Whether a delivery was sent; tried again while the application is down, of which the first time is told."""
        pause, told = POLL_SECONDS, False
        while True:
            ended = fire(self._ledger, self._poster, self._for(entry), self._attempt(entry), though_refused=True)
            if ended.outcome.state is not State.REFUSED:
                yield ended
                return True
            if not told:
                told = True
                yield ended
            if once or not self._paused(pause):
                return False
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
