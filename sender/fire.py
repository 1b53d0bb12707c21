"""Firing: intent on disk, one POST, outcome on disk. In that order, once."""

from dataclasses import replace

from receiver.store import StoreError, now
from receiver.terminal import warn
from sender.attempt import Attempt
from sender.faults import with_its_body
from sender.ledger import Ledger
from sender.post import Poster, Target
from sender.signature import signed


def fire(ledger: Ledger, poster: Poster, target: Target, attempt: Attempt, *, though_refused: bool = False) -> Attempt:
    """POSTs an attempt's body to the target, at most once ever for its event id and URL; returns it with its outcome.

    What was refused before never left; only where asked for it is tried again.

    Raises:
        AlreadySent, StoreError: nothing was sent.
    """
    # As on the wire, or two spellings would be two endpoints.
    attempt = with_its_body(replace(attempt, url=target.url, started_at=now()))
    ledger.intend(attempt, though_refused=though_refused)
    outcome = poster.post(signed(target, attempt), attempt.body, attempt.fault)
    ended = replace(attempt, outcome=outcome)
    try:
        ledger.conclude(ended)
    except (StoreError, KeyboardInterrupt) as error:
        reason = str(error) or "stopped by Ctrl-C"
        warn(f"the outcome may not be in the ledger, where this attempt will then be `unknown`: {reason}")
    return ended
