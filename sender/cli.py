"""The command `sender`: each subcommand parses its options, makes one call, prints what came of it."""

import re
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from receiver import __version__
from receiver.contract import Contract, ContractError
from receiver.settings import HOOK, STATE, Duration, Group, Text
from receiver.store import StoreError, new_id, now
from receiver.terminal import as_json, style, warn
from sender.endpoints import EndpointError, is_local, normalised
from sender.ledger import Attempt, Ledger, LedgerError
from sender.payload import PayloadError, build
from sender.report import attempt_line, attempt_record, dry_record, exit_code, fired_lines, show_lines

LONGEST_TIMEOUT = 86_400
_ID = re.compile(r"[!-~]{1,200}")
FAILURES = (ContractError, EndpointError, LedgerError, PayloadError, StoreError)

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=STATE,
    show_default=True,
    help="Directory of the ledger.",
)
schemas_option = click.option(
    "--schemas", type=click.Path(path_type=Path), help="Directory of schemas that replaces the shipped contract."
)
json_option = click.option("--json", "as_records", is_flag=True, help="Print one JSON object a line.")


@click.group(cls=Group, section="sender", failures=FAILURES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sender")
def main() -> None:
    """Send webhooks as EnableNow does: exactly one POST per event and endpoint, never a retry.

    Options can also be set in the environment (SENDER_TO=http://127.0.0.1:9000/hook) and in pyproject.toml, under
    [tool.sender].
    """


def _event_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in Contract().events if name.startswith(incomplete)]


def _sample_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    contract, event = Contract(), str(ctx.params.get("event"))
    return [name for name in contract.samples(event) if name.startswith(incomplete)] if event in contract.events else []


def _check_timeout(_ctx: click.Context, _param: click.Parameter, timeout: float) -> float:
    if not 0 < timeout <= LONGEST_TIMEOUT:
        raise click.BadParameter("must be more than 0 and at most a day")
    return timeout


def _check_id(_ctx: click.Context, _param: click.Parameter, id_: str | None) -> str | None:
    if id_ is not None and not _ID.fullmatch(id_):
        raise click.BadParameter("must be 1 to 200 printable ASCII characters without a blank")
    return id_


@main.command()
@click.argument("event", shell_complete=_event_names)
@click.option("--to", default=HOOK, show_default=True, help="URL to post to.")
@click.option("--sample", metavar="NAME", shell_complete=_sample_names, help="Sample to send; see `sender events`.")
@click.option("--data", metavar="JSON|@FILE|-", help="Data to send instead of a sample's; - reads stdin.")
@click.option(
    "--set",
    "sets",
    type=Text(),
    metavar="PATH=VALUE",
    multiple=True,
    help="Set a field of the data; +PATH=VALUE adds one.",
)
@click.option("--unset", "unsets", type=Text(), metavar="PATH", multiple=True, help="Leave a field of the data out.")
@click.option(
    "--id",
    "id_",
    callback=_check_id,
    metavar="ID",
    help="The event's id; the same is sent to the same URL only once.",
)
@click.option("--header", "headers", type=Text(), metavar="'NAME: VALUE'", multiple=True, help="Send this header too.")
@click.option(
    "--timeout",
    callback=_check_timeout,
    type=Duration(),
    default="20",
    show_default="20s",
    help="Give up waiting for the answer after this long, all in all.",
)
@click.option(
    "--no-validate", is_flag=True, help="Send what violates the schema, and event types that no schema knows."
)
@click.option("--dry-run", is_flag=True, help="Print the body instead of sending it.")
@state_option
@schemas_option
@json_option
def fire(
    event: str,
    to: str,
    sample: str | None,
    data: str | None,
    sets: tuple[str, ...],
    unsets: tuple[str, ...],
    id_: str | None,
    headers: tuple[str, ...],
    timeout: float,
    no_validate: bool,
    dry_run: bool,
    state: Path,
    schemas: Path | None,
    as_records: bool,
) -> None:
    """POST one EVENT, once.

    Exit codes: 0 answered 2xx, 1 answered otherwise, 2 usage (nothing sent), 3 refused (certainly not delivered), 4
    unknown (may have arrived).
    """
    if sample is not None and data is not None:
        raise click.UsageError("--sample and --data exclude each other")
    url = normalised(to)
    body = build(
        Contract(schemas), event, sample=sample, data=_read(data), sets=sets, unsets=unsets, validate=not no_validate
    )
    attempt = Attempt(id_ or new_id(), url, event, body, now())
    if dry_run:
        click.echo(as_json(dry_record(attempt)) if as_records else body.decode())
        return
    if not is_local(url):
        warn(f"{url} is not on this machine; a payload may hold customers' data")

    from sender.fire import fire as fire_once

    with closing(Ledger(state)) as ledger:
        ended = fire_once(ledger, attempt, _header_pairs(headers), timeout)
        click.echo(as_json(attempt_record(ended)) if as_records else "\n".join(fired_lines(ended)))
    sys.exit(exit_code(ended))


@main.command()
@schemas_option
@json_option
def events(schemas: Path | None, as_records: bool) -> None:
    """List the event types: when each fires, its fields, its samples."""
    contract = Contract(schemas)
    for name, event_type in contract.events.items():
        samples = list(contract.samples(name))
        if as_records:
            fields = [asdict(field) for field in event_type.fields.values()]
            record = {"event": name, "title": event_type.title, "description": event_type.description}
            click.echo(as_json({**record, "fields": fields, "samples": samples}))
            continue
        click.echo(f"{style(name, bold=True)}  {event_type.title}")
        if event_type.description:
            click.echo(f"  {event_type.description}")
        for field in event_type.fields.values():
            click.echo(f"    {field.path:24} {field.type}{'' if field.required else ', optional'}")
        click.echo(f"  samples: {', '.join(samples) or 'none'}\n")


@main.command()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many, the newest.")
@state_option
@json_option
def log(limit: int, state: Path, as_records: bool) -> None:
    """List what was sent, newest first, with what became of it."""
    with closing(Ledger.existing(state)) as ledger:
        attempts = ledger.attempts(limit=limit)
    for attempt in attempts:
        click.echo(as_json(attempt_record(attempt)) if as_records else attempt_line(attempt, dated=True))


@main.command()
@click.argument("id_", metavar="ID")
@state_option
@json_option
def show(id_: str, state: Path, as_records: bool) -> None:
    """Show what was sent under an event's id, and what was answered. ID may be shortened while it is unambiguous."""
    with closing(Ledger.existing(state)) as ledger:
        attempts = ledger.attempts_of(id_)
    for attempt in attempts:
        click.echo(as_json(attempt_record(attempt)) if as_records else "\n".join(show_lines(attempt)))


def _read(data: str | None) -> str | bytes | None:
    """The JSON that --data gives, from a file where it begins with @, from stdin where it is -."""
    if data == "-":
        return sys.stdin.buffer.read()
    if data and data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise click.UsageError(f"--data {data}: {error.strerror}") from error
    return data


def _header_pairs(headers: tuple[str, ...]) -> dict[str, str]:
    pairs = [header.partition(":") for header in headers]
    for name, colon, _ in pairs:
        if not colon:
            raise click.UsageError(f"--header {name!r}: write it as 'Name: value'")
    return {name.strip(): value.strip() for name, _, value in pairs}
