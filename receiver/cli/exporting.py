"""`receiver export`: what came, as samples in which no real value is left."""

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.options import as_document, event_argument, json_option, known, schemas_option, state_option, write
from receiver.contract import Contract
from receiver.delivery import MalformedBody, parse
from receiver.inbox import Inbox
from receiver.settings import Failure
from receiver.terminal import as_json, escape

if TYPE_CHECKING:
    from receiver.entry import Entry
    from receiver.upkeep.sanitise import Sanitiser, Step

_SHORT = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@click.command()
@event_argument
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--sanitise", is_flag=True, help="Replace every real value; nothing is exported otherwise.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write EVENT/NAME.json in this directory instead of printing; nothing is overwritten.",
)
@click.option("--name", default="captured", show_default=True, help="Name of the sample; of several NAME-1, NAME-2.")
@schemas_option
@state_option
@json_option
def export(
    event: str,
    ids: tuple[str, ...],
    sanitise: bool,
    output: Path | None,
    name: str,
    schemas: Path | None,
    state: Path,
    as_records: bool,
) -> None:
    """Make samples for a repository of deliveries of EVENT.

    With --sanitise, which has to be said: fields that the schema does not declare are left out, and every value is
    replaced by a neutral one that the schema allows. An id stays the same wherever it occurs, also in several samples
    made by one call. Only what the schema itself says stays. What was done is told on stderr, without a real value.
    """
    from receiver.upkeep.sanitise import SanitiseError, Sanitiser

    if not sanitise:
        raise click.UsageError("what came are people's bank data, which belong in no repository: add --sanitise")
    if not _NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r} is not made of letters, digits, '.', '_' and '-'", param_hint="--name")
    contract = Contract(schemas)
    sanitiser = Sanitiser(contract, known(contract, event))
    with closing(Inbox.existing(state)) as inbox:
        entries = [inbox.entry(id_) for id_ in ids]
    names = [f"{name}-{number}" for number in range(1, len(ids) + 1)] if len(ids) > 1 else [name]
    files = [output and output / event / f"{each}.json" for each in names]
    for file in files:
        if file and file.exists():
            raise Failure(f"{file} is there already, and nothing is overwritten; choose another --name")
    try:
        samples = [_sample(sanitiser, entry) for entry in entries]
    except SanitiseError as error:
        raise Failure(error) from error
    for entry, file, (sample, steps) in zip(entries, files, samples, strict=True):
        write(as_json(sample) + "\n" if as_records and not file else as_document(sample), file)
        click.echo(f"{entry.id[:_SHORT]}{f' to {file}' if file else ''}", err=True)
        for step in steps:
            click.echo(f"  {escape(step.pointer) or '(body)'}: {step.what}", err=True)


def _sample(sanitiser: "Sanitiser", entry: "Entry") -> "tuple[dict[str, object], list[Step]]":
    from receiver.upkeep.sanitise import SanitiseError

    try:
        return sanitiser.sample(parse(entry.body))
    except (MalformedBody, SanitiseError) as error:
        raise SanitiseError(f"delivery {entry.id[:_SHORT]}: {error}") from error
