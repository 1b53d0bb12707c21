"""`sender forward`: from the receiver's inbox to the user's application."""

import signal
import sys
from contextlib import closing
from pathlib import Path

import click

from receiver.inbox import Inbox
from receiver.match import PATTERN_FORMS, is_pattern
from receiver.settings import STATE, Text
from receiver.terminal import as_json
from sender.address import normalised
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

    Exit codes with --once and --again: as of `sender fire`, the worst of all.
    """
    from sender.forward import Forwarding
    from sender.places import alone
    from sender.post import Poster, prepare

    target = prepare(normalised(to), header_pairs(headers), authorities, secret)
    worst = 0
    with closing(Inbox.existing(inbox)) as stored, closing(Ledger(state)) as ledger, Poster(timeout) as poster:
        forwarding = Forwarding(stored, ledger, poster, target, patterns)
        if again:
            ended = forwarding.again(stored.entry(again))
            click.echo(as_json(attempt_record(ended)) if as_records else "\n".join(forwarded_lines(ended)))
            sys.exit(exit_code(ended))
        with alone(state, target.url), ctrl_c_stops(forwarding):
            signal.signal(signal.SIGTERM, lambda *_: forwarding.stop())
            for ended in forwarding.run(from_start=from_start, once=once):
                worst = max(worst, exit_code(ended))
                click.echo(as_json(attempt_record(ended)) if as_records else "\n".join(forwarded_lines(ended)))
    sys.exit(worst if once else 0)
