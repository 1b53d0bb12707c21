"""Looking into the inbox: `receiver list`, `show` and `gaps`; also while a receiver runs."""

import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.options import (
    ago,
    event_option,
    json_option,
    redact_option,
    schemas_option,
    since_option,
    state_option,
)
from receiver.contract import Contract, Verdict
from receiver.entry import RunState
from receiver.inbox import Inbox
from receiver.settings import Duration
from receiver.store import now
from receiver.terminal import as_json, iso, moment, span
from receiver.uptime import gaps as gaps_between
from receiver.watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from receiver.entry import Entry

_NOTHING_FITS = "No delivery fits. With the receiver running, `sender fire transactions.fetched` sends one."


@click.command("list")
@event_option
@click.option("--verdict", type=click.Choice([str(verdict) for verdict in Verdict]), help="Only with this verdict.")
@click.option(
    "--run",
    type=click.Choice([str(state) for state in RunState]),
    help="Only those with a handler's run in this state.",
)
@since_option
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="At most so many.")
@click.option("--follow", is_flag=True, help="Oldest first, then each new one as it comes, until Ctrl-C.")
@redact_option
@schemas_option
@state_option
@json_option
def list_(
    event: str | None,
    verdict: str | None,
    run: str | None,
    since: int | None,
    limit: int,
    follow: bool,
    redact: bool,
    schemas: Path | None,
    state: Path,
    as_records: bool,
) -> None:
    """List what was received, newest first; also while the receiver runs.

    The mark of a handler's latest run: ✓ done, ✗ failed, · pending, > running, ! interrupted.
    """
    from receiver.report import delivery_line, entry_record, run_marks

    shown = _shown(schemas, redact=redact)

    def tell(stored: "Entry") -> None:
        entry = shown(stored)
        click.echo(as_json(entry_record(entry)) if as_records else delivery_line(entry, run_marks(entry), dated=True))

    if follow and run:
        raise click.UsageError("--follow and --run exclude each other: a delivery is printed before its handlers ran")
    with closing(Inbox.existing(state)) as inbox:
        last = inbox.last()
        entries = inbox.entries(event=event, verdict=verdict, run=run, since=since, limit=limit)
        for entry in reversed(entries) if follow else entries:
            tell(entry)
        if not follow and not entries and not as_records:
            click.echo(_NOTHING_FITS, err=True)
        there = {entry.id for entry in entries}
        for entry in watch(inbox, last) if follow else ():
            if entry.id not in there and event in {None, entry.event} and verdict in {None, entry.verdict}:
                tell(entry)


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--raw", is_flag=True, help="Write the exact bytes of the body to stdout, and nothing else.")
@redact_option
@schemas_option
@state_option
@json_option
def show(id_: str, raw: bool, redact: bool, schemas: Path | None, state: Path, as_records: bool) -> None:
    """Show one delivery, whole. ID may be shortened while it is unambiguous."""
    from receiver.report import full_record, show_lines

    if raw and as_records:
        raise click.UsageError("--raw and --json exclude each other")
    if raw and redact:
        raise click.UsageError("--raw and --redact exclude each other")
    with closing(Inbox.existing(state)) as inbox:
        entry = _shown(schemas, redact=redact)(inbox.entry(id_))
    if raw:
        sys.stdout.buffer.write(entry.body)
    elif as_records:
        click.echo(as_json(full_record(entry)))
    else:
        click.echo("\n".join(show_lines(entry)))


@click.command()
@click.option("--since", type=Duration(), callback=ago, help="Only those that reach into the last 30s, 5m, 2h or 7d.")
@state_option
@json_option
def gaps(since: int | None, state: Path, as_records: bool) -> None:
    """List the times in which no receiver was up, oldest first.

    EnableNow does not resend what came meanwhile: fetch from its API what you may have missed. Only the receiver itself
    is known of here, not the tunnel or the network before it. After a kill, a gap begins up to 5 s early.
    """
    with closing(Inbox.existing(state)) as inbox:
        windows = inbox.uptime.windows()
    at = now()
    found = [gap for gap in gaps_between(windows, at) if (gap.until or at) >= (since or 0)]
    for gap in found:
        if as_records:
            click.echo(as_json({"since": iso(gap.since), "until": gap.until and iso(gap.until)}))
        else:
            until = moment(gap.until) if gap.until else "now" + " " * 16
            click.echo(f"{moment(gap.since)}  to  {until}  {span((gap.until or at) - gap.since)}")
    if not found and not as_records:
        click.echo("No gap is known.", err=True)


def _shown(schemas: Path | None, *, redact: bool) -> "Callable[[Entry], Entry]":
    """What is shown of an entry."""
    if not redact:
        return lambda entry: entry
    from receiver.redact import redacted

    return partial(redacted, contract=Contract(schemas))
