"""`receiver export`: what came, as samples or as a scenario, in which no real value is left."""

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.options import (
    as_document,
    event_names,
    json_option,
    known,
    schemas_option,
    since_option,
    state_option,
    write,
)
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
@click.argument("event", metavar="[EVENT]", required=False, shell_complete=event_names)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--sanitise", is_flag=True, help="Replace every real value; no sample is exported otherwise.")
@click.option("--scenario", is_flag=True, help="Export what came (of EVENT, or --since) as steps for `sender play`.")
@since_option
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write EVENT/NAME.json, or NAME.jsonl of a scenario, in this directory instead of printing; nothing is"
    " overwritten.",
)
@click.option("--name", default="captured", show_default=True, help="Name of the sample; of several NAME-1, NAME-2.")
@schemas_option
@state_option
@json_option
def export(
    event: str | None,
    ids: tuple[str, ...],
    sanitise: bool,
    scenario: bool,
    since: int | None,
    output: Path | None,
    name: str,
    schemas: Path | None,
    state: Path,
    as_records: bool,
) -> None:
    """Make samples of deliveries of EVENT, by their ids, or a scenario of all that came.

    With --sanitise, which has to be said: fields that the schema does not declare are left out, and every value is
    replaced by a neutral one that the schema allows. An id stays the same wherever it occurs, also in several samples
    made by one call. Only what the schema itself says stays. What was done is told on stderr, without a real value.

    With --scenario the same is done with every delivery, and each id is a placeholder: a step for each, with the gaps
    in time between them. What is not valid cannot be cleared of real values, and is left out.
    """
    if not _NAME.fullmatch(name):
        raise click.BadParameter(f"{name!r} is not made of letters, digits, '.', '_' and '-'", param_hint="--name")
    contract = Contract(schemas)
    chosen = event and known(contract, event)
    if scenario:
        if ids:
            raise click.UsageError("a scenario is made of all that came: leave out the ids, or narrow it by --since")
        _export_scenario(contract, chosen, since, output and output / f"{name}.jsonl", state)
    elif not chosen or not ids or since is not None:
        raise click.UsageError("which deliveries? write EVENT ID..., or --scenario for all (--since 2h)")
    elif not sanitise:
        raise click.UsageError("what came are people's bank data, which belong in no repository: add --sanitise")
    else:
        _export_samples(contract, chosen, ids, output, name, state, as_records=as_records)


def _export_scenario(contract: Contract, event: str | None, since: int | None, file: Path | None, state: Path) -> None:
    from receiver.upkeep.scenario import steps

    left_out: list[str] = []
    with closing(Inbox.existing(state)) as inbox:
        lines = [as_json(step) for step in steps(contract, inbox.captured(event=event, since=since), left_out)]
    if not lines:
        raise Failure("no valid delivery came in that time, so there is no scenario")
    write("".join(f"{line}\n" for line in lines), file)
    click.echo(f"{len(lines):,} steps{f' to {file}' if file else ''}", err=True)
    if left_out:
        click.echo(f"{len(left_out):,} left out, which are not valid: {', '.join(left_out[:5])}", err=True)


def _export_samples(
    contract: Contract,
    event: str,
    ids: tuple[str, ...],
    output: Path | None,
    name: str,
    state: Path,
    *,
    as_records: bool,
) -> None:
    from receiver.upkeep.sanitise import SanitiseError, Sanitiser

    sanitiser = Sanitiser(contract, event)
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
