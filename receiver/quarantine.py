"""Quarantine: what was stored and not handled, judged again after a schema was mended.

In: the inbox and a contract. Out: each quarantined entry as it is then. What is now to be handled is routed once, by
the receiver that runs the handlers (or by the next one).
"""

from collections.abc import Iterator
from dataclasses import replace

from receiver.contract import Contract, Judgement
from receiver.delivery import MalformedBody, parse
from receiver.entry import Entry
from receiver.inbox import Inbox


def judge_again(
    inbox: Inbox, contract: Contract, *, since: int | None = None, unverified: bool = False, dry_run: bool = False
) -> Iterator[tuple[Entry, Entry]]:
    """Judges the bodies in quarantine by `contract`, records what has changed, and yields each entry before and after.

    It is the body that is judged: one that was stored as malformed for its Content-Type alone may be valid.
    What nobody signed is left as it is, unless `unverified` holds.
    """
    for before in inbox.quarantined(since=since, unverified=unverified):
        after = _judged(before, contract)
        if after == before or dry_run or _record(inbox, after):
            yield before, after


def judge_one(inbox: Inbox, contract: Contract, before: Entry) -> Entry:
    """Judges one body in quarantine by `contract`, whoever sent it, and records what has changed; the entry after."""
    after = _judged(before, contract)
    return after if after == before or _record(inbox, after) else inbox.entry(before.id)


def _record(inbox: Inbox, after: Entry) -> bool:
    """False where another process was first."""
    return inbox.judge(after.id, Judgement(after.verdict, after.event, after.violations))


def _judged(entry: Entry, contract: Contract) -> Entry:
    try:
        judgement = contract.judge(parse(entry.body))
    except MalformedBody:
        return entry
    return replace(entry, verdict=judgement.verdict, event=judgement.event, violations=judgement.violations)
