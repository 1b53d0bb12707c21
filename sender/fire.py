"""Firing: intent on disk, one POST, outcome on disk. In that order, once."""

from collections.abc import Mapping
from dataclasses import replace

from receiver.store import StoreError
from receiver.terminal import warn
from sender.ledger import Attempt, Ledger
from sender.post import post, prepare

SLACK_SECONDS = 10.0
"""An attempt past its time limit by so much is nobody's any more: its sender is dead, even if its process id lives
again."""


def fire(ledger: Ledger, attempt: Attempt, headers: Mapping[str, str], seconds: float) -> Attempt:
    """POSTs an attempt's body to its URL, at most once ever for its event id and URL, and returns it with its outcome.

    Raises:
        AlreadySent, EndpointError, StoreError: nothing was sent.
    """
    request = prepare(attempt.url, attempt.body, headers)
    attempt = replace(attempt, url=str(request.url))  # as on the wire, or two spellings would be two endpoints
    ledger.intend(attempt, seconds + SLACK_SECONDS)
    outcome = post(request, seconds)
    ended = replace(attempt, outcome=outcome)
    try:
        ledger.conclude(ended)
    except (StoreError, KeyboardInterrupt) as error:
        reason = str(error) or "stopped by Ctrl-C"
        warn(f"the outcome may not be in the ledger, where this attempt will then be `unknown`: {reason}")
    return ended
