"""`receiver schemas`: the contract itself. `list` and `show` tell what it says, `check` what is wrong with it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from receiver.cli.captured import drift, infer
from receiver.cli.comparing import diff
from receiver.cli.options import counted, event_argument, json_option, known, schemas_option
from receiver.contract import Contract, EventType
from receiver.documents import shipped
from receiver.outline import subschemas
from receiver.terminal import as_json, escape, shorten, style
from receiver.violations import pointer


@click.group()
def schemas() -> None:
    """Look at the contract, check it, compare it, and set it against what came."""


@schemas.command("list")
@schemas_option
@json_option
def list_(schemas: Path | None, as_records: bool) -> None:
    """List the event types: how many fields are documented, how many samples there are."""
    contract = Contract(schemas)
    for name, event_type in contract.events.items():
        brief = contract.brief(name)
        if as_records:
            click.echo(as_json(brief))
            continue
        fields = (
            counted(len(event_type.fields), "field") if event_type.documented else style("not documented", "yellow")
        )
        samples = counted(len(brief["samples"]), "sample")
        click.echo(f"{style(f'{name:28}', bold=True)}  {fields:14}  {samples:10}  {escape(event_type.title)}")


@schemas.command()
@event_argument
@schemas_option
@json_option
def show(event: str, schemas: Path | None, as_records: bool) -> None:
    """Show what is documented of EVENT, and what is not. --json prints its schema."""
    contract = Contract(schemas)
    event_type = contract.events[known(contract, event)]
    if as_records:
        click.echo(as_json(event_type.schema))
    else:
        click.echo("\n".join(_lines(event_type, list(contract.samples(event)))))


@schemas.command()
@schemas_option
@json_option
def check(schemas: Path | None, as_records: bool) -> None:
    """Check the schemas and their samples, and tell all that is wrong.

    Each schema against its metaschema, its name, its references (nothing is fetched), its examples; each sample in
    samples/ beside the schemas against the schema of its event type.

    Exit codes: 0 nothing is wrong (there may be warnings), 1 something is, 2 usage.
    """
    from receiver.upkeep.lint import problems

    directory = schemas or shipped("schemas")
    found = list(problems(directory))
    for one in found:
        where, place = shorten(one.file), escape(one.pointer) or "(file)"
        record = {"file": where, "pointer": one.pointer, "problem": one.text, "warning": one.warning}
        mark = style("warning: ", "yellow") if one.warning else ""
        click.echo(as_json(record) if as_records else f"{escape(where, 1000)}: {place}: {mark}{escape(one.text, 1000)}")
    wrong = sum(not one.warning for one in found)
    click.echo(
        f"{shorten(directory)}: {counted(wrong, 'problem')}, {counted(len(found) - wrong, 'warning')}.", err=True
    )
    sys.exit(1 if wrong else 0)


for command in (diff, drift, infer):
    schemas.add_command(command)


def _lines(event_type: EventType, samples: list[str]) -> Iterator[str]:
    yield f"{style(event_type.name, bold=True)}  {escape(event_type.title)}"
    if event_type.description:
        yield f"  {escape(event_type.description, 1000)}"
    rows = [("field of data", "type", "required", "")]
    rows += [(f.path, f.type, "yes" if f.required else "no", f.description) for f in event_type.fields.values()]
    widths = [max(len(escape(row[column])) for row in rows) for column in range(3)]
    for number, row in enumerate(rows if event_type.documented else []):
        *cells, description = (escape(cell, 1000) for cell in row)
        line = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True))
        yield f"  {style(line, bold=not number)}  {description}".rstrip()
    for place, comment in _comments(event_type):
        yield f"  {place or 'note'}: {escape(comment, 1000)}"
    yield f"  samples: {', '.join(map(escape, samples)) or 'none'}"


def _comments(event_type: EventType) -> Iterator[tuple[str, str]]:
    for path, schema in subschemas(event_type.schema):
        if comment := schema.get("$comment"):
            yield pointer(step for step in path if step != "properties"), str(comment)
