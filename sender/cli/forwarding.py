"""`sender forward`: from the receiver's inbox to the user's application."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from receiver.inbox import Inbox
from receiver.match import PATTERN_FORMS, is_pattern
from receiver.settings import INTERRUPTED, STATE, Text
from receiver.terminal import as_json
from sender.address import normalised
from sender.attempt import Attempt, State
from sender.cli.firing import ctrl_c_stops
from sender.cli.options import (
    ca_option,
    header_option,
    header_pairs,
    json_option,
    secret_option,
    state_option,
    timeout_option,
)
from sender.ledger import Ledger
from sender.report import attempt_record, exit_code, forwarded_lines

if TYPE_CHECKING:
    from sender.forward import Forwarding

_OF_THE_DELIVERY = {"content-type", "delivery-id"}


def _check_patterns(_ctx: click.Context, _param: click.Parameter, patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        if not is_pattern(pattern):
            raise click.BadParameter(f"{pattern!r}: {PATTERN_FORMS}")
    return patterns


@click.command()
@click.option(
    "--inbox",
    type=click.Path(path_type=Path, file_okay=False),
    default=STATE,
    show_default=True,
    help="State directory of the receiver.",
)
@click.option("--to", required=True, help="URL of your application.")
@click.option(
    "--event",
    "patterns",
    type=Text(),
    callback=_check_patterns,
    metavar="PATTERN",
    multiple=True,
    help="Only these events: an event type, or a prefix as in 'consent.*'.",
)
@click.option("--from-start", is_flag=True, help="Also all that is in the inbox and was not sent there yet.")
@click.option("--once", is_flag=True, help="Send what is there, and end.")
@click.option("--again", metavar="ID", help="Send this delivery once more, and end. ID may be shortened.")
@secret_option
@header_option
@timeout_option
@ca_option
@state_option
@json_option
def forward(
    inbox: Path,
    to: str,
    patterns: tuple[str, ...],
    from_start: bool,
    once: bool,
    again: str | None,
    secret: str | None,
    headers: tuple[str, ...],
    timeout: float,
    authorities: Path | None,
    state: Path,
    as_records: bool,
) -> None:
    """POST what the receiver stored to your application, in any language: each delivery's exact body, once, in order.

    It follows the inbox, also while the receiver runs, and goes on where it was: at first from now, or --from-start.
    What handlers get is sent: valid deliveries, and events that no schema knows. While the application is down they
    wait in the inbox. What was not answered is unknown, and sent again only by --again.

    Exit codes with --once and --again: as of `sender fire`, the worst of all. Without them 0 after SIGTERM, and 130
    after Ctrl-C; 130 also where --once was stopped.
    """
    from sender.forward import Forwarding
    from sender.places import alone
    from sender.post import Poster, prepare

    _check_headers(headers)
    target = prepare(normalised(to), header_pairs(headers), authorities, secret)
    with closing(Inbox.existing(inbox)) as stored, closing(Ledger(state)) as ledger, Poster(timeout) as poster:
        forwarding = Forwarding(stored, ledger, poster, target, patterns)
        if again:
            ended = forwarding.again(stored.entry(again))
            _tell(ended, forwarded_lines(ended, waits=False), as_records=as_records)
            sys.exit(exit_code(ended))
        with alone(state, target.url), ctrl_c_stops(forwarding), _sigterm_stops(forwarding) as terminated:
            worst = _followed(forwarding.run(from_start=from_start, once=once), as_records=as_records)
    if once:
        sys.exit(worst or (INTERRUPTED if forwarding.stopped else 0))
    sys.exit(0 if terminated.is_set() else INTERRUPTED)


def _check_headers(headers: tuple[str, ...]) -> None:
    for name in header_pairs(headers):
        if name.lower() in _OF_THE_DELIVERY:
            raise click.UsageError(f"--header {name!r}: is the delivery's, as it came; leave it out")


def _followed(attempts: Iterator[Attempt], *, as_records: bool) -> int:
    """Tells of attempts as they end; returns the worst exit code."""
    worst, down = 0, False
    for ended in attempts:
        refused = ended.outcome.state is State.REFUSED
        _tell(ended, forwarded_lines(ended, back=down and not refused), as_records=as_records)
        worst, down = max(worst, exit_code(ended)), refused
    return worst


def _tell(attempt: Attempt, lines: Iterator[str], *, as_records: bool) -> None:
    click.echo(as_json(attempt_record(attempt)) if as_records else "\n".join(lines))


@contextmanager
def _sigterm_stops(forwarding: "Forwarding") -> Iterator[Event]:
    """SIGTERM lets the one under way end; the event is set when it came."""
    came = Event()

    def stop(*_: object) -> None:
        came.set()
        forwarding.stop()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)
