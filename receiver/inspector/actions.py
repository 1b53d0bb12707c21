"""What is done from the inspector: handlers run again, bodies judged again, a sample made.

In: the rooms behind it, and which deliveries. Out: what was put in line, or what the new judgement is. The page and the
API do the same by this.
"""

from collections.abc import Sequence
from typing import Any

from receiver.contract import Contract, Verdict
from receiver.delivery import parse
from receiver.entry import ENDED, Entry
from receiver.inspector.rooms import Rooms
from receiver.quarantine import judge_one
from receiver.upkeep.sanitise import Sanitiser


class ActionError(Exception):
    """What is asked for cannot be done with that delivery; the text says why."""


def run_again(rooms: Rooms, ids: Sequence[str], handler: str | None = None) -> int:
    """Puts the next attempt of what has ended in line, for these deliveries; how many runs that are.

    Raises:
        ActionError: nothing of theirs has ended.
    """
    chosen = rooms.inbox.runs.latest(ENDED, ids=ids, handler=handler)
    if not chosen:
        raise ActionError("Nothing to run again: no handler's run has ended there. What is in line runs by itself.")
    rooms.inbox.runs.again(chosen)
    rooms.wake()
    return len(chosen)


def can_be_judged(entry: Entry) -> bool:
    """Whether it is in quarantine, and whole."""
    return not entry.verdict.handled and len(entry.body) == entry.size


def judge_again(rooms: Rooms, id_: str) -> Entry:
    """Judges a body in quarantine by the schemas as they are on disk now; what is now valid goes to its handlers.

    Raises:
        ActionError: it is not in quarantine, or its body is not there whole.
        ContractError: the schemas cannot be used.
        InboxError: there is no such delivery.
    """
    before = rooms.inbox.entry(id_)
    if not can_be_judged(before):
        raise ActionError("Only what is in quarantine, and there whole, is judged again.")
    after = judge_one(rooms.inbox, Contract(rooms.schemas), before)
    rooms.wake()
    return after


def sample(rooms: Rooms, id_: str) -> dict[str, Any]:
    """A sample made of a valid delivery, in which no real value is left.

    Raises:
        ActionError: it is not valid.
        InboxError, SanitiseError: there is none such, or none can be made of it.
    """
    entry = rooms.inbox.entry(id_)
    if entry.verdict is not Verdict.VALID:
        raise ActionError("A sample is made of a valid delivery only.")
    made, _ = Sanitiser(rooms.contract, str(entry.event)).sample(parse(entry.body))
    return made
