"""Watching an inbox: each delivery as it is stored, and the first that fits what is waited for.

In: an inbox that a receiver writes, in this process or another. Out: entries, oldest first. It polls, and reads only
what is new. Moments to end at are of `time.monotonic`, in seconds.
"""

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from receiver.entry import Entry
from receiver.inbox import Inbox, InboxError
from receiver.match import Wanted

POLL_SECONDS = 0.02

MOST_OTHERS = 20
"""So many of what did not fit are remembered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a wait came to. `entry`: the first that fits, or None. `came`: how many did not fit before that. `others`:
    the last of those, each with why."""

    entry: Entry | None
    came: int
    others: tuple[tuple[Entry, str], ...]


def appearing(state: Path, until: float) -> tuple[Inbox, bool]:
    """The inbox in a state directory, waited for where it is missing; and whether it had to be.

    Raises:
        InboxError: there is none at that moment.
    """
    waited = False
    while time.monotonic() < until:
        with suppress(InboxError):
            return Inbox.existing(state), waited
        waited = True
        time.sleep(POLL_SECONDS)  # a poll: another process makes it
    return Inbox.existing(state), waited


def watch(inbox: Inbox, after: int, *, until: float = math.inf) -> Iterator[Entry]:
    """Every entry after that number, as it comes; ends at that moment, after a last look."""
    while True:
        ending = time.monotonic() >= until
        for number, entry in inbox.after(after):
            after = number
            yield entry
        if ending:
            return
        after = min(after, inbox.last())  # the numbers of what is pruned at the end are given again
        # A poll: another process stores them.
        time.sleep(max(0.0, min(POLL_SECONDS, until - time.monotonic())))


def wait(inbox: Inbox, wanted: Wanted, after: int, *, until: float, settled: bool = False) -> Answer:
    """The first entry after that number that fits, or what came instead of it until that moment.

    Args:
        settled: only once none of its handlers has a run in line or under way, however those ended.
    """
    others: deque[tuple[Entry, str]] = deque(maxlen=MOST_OTHERS)
    came = 0
    for entry in watch(inbox, after, until=until):
        reason = wanted.misfit(entry)
        now = _settling(inbox, entry, until) if settled and reason is None else entry
        if reason is None and (now.settled or not settled):
            return Answer(now, came, tuple(others))
        came += 1
        others.append((now, reason or "its handlers have not ended"))
    return Answer(None, came, tuple(others))


def _settling(inbox: Inbox, entry: Entry, until: float) -> Entry:
    """The entry as it is when its runs have ended, or at that moment."""
    while not entry.settled and time.monotonic() < until:
        time.sleep(POLL_SECONDS)  # a poll: another process may run them
        entry = inbox.entry(entry.id)
    return entry
