"""Looking at what can be sent and what was: `sender events`, `log` and `show`."""

from contextlib import closing
from pathlib import Path

import click

from receiver.contract import Contract
from receiver.terminal import as_json, style
from sender.attempt import State
from sender.cli.options import json_option, schemas_option, state_option
from sender.ledger import Ledger
from sender.report import attempt_line, attempt_record, show_lines


@click.command()
@schemas_option
@json_option
def events(schemas: Path | None, as_records: bool) -> None:
    """List the event types: when each fires, its fields, its samples."""
    contract = Contract(schemas)
    for name, event_type in contract.events.items():
        if as_records:
            click.echo(as_json(contract.brief(name)))
            continue
        click.echo(f"{style(name, bold=True)}  {event_type.title}")
        if event_type.description:
            click.echo(f"  {event_type.description}")
        for field in event_type.fields.values():
            click.echo(f"    {field.path:24} {field.type}{'' if field.required else ', optional'}")
        click.echo(f"  samples: {', '.join(contract.samples(name)) or 'none'}\n")


@click.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many, the newest.")
@click.option("--unknown", is_flag=True, help="Only what may have arrived, and is never sent again.")
@state_option
@json_option
def log(limit: int, unknown: bool, state: Path, as_records: bool) -> None:
    """List what was sent, newest first, with what became of it."""
    with closing(Ledger.existing(state)) as ledger:
        attempts = ledger.attempts(limit=limit, state=State.UNKNOWN if unknown else None)
    for attempt in attempts:
        click.echo(as_json(attempt_record(attempt)) if as_records else attempt_line(attempt, dated=True))
    if not attempts and not as_records:
        click.echo("Nothing is unknown." if unknown else "Nothing was sent yet.", err=True)


@click.command()
@click.argument("id_", metavar="ID")
@state_option
@json_option
def show(id_: str, state: Path, as_records: bool) -> None:
    """Show what was sent under an event's id, and what was answered. ID may be shortened while it is unambiguous."""
    with closing(Ledger.existing(state)) as ledger:
        attempts = ledger.attempts_of(id_)
    for attempt in attempts:
        click.echo(as_json(attempt_record(attempt)) if as_records else "\n".join(show_lines(attempt)))
