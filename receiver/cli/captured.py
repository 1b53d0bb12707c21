"""What came, set against the contract: `receiver schemas drift`; or made into a draft: `receiver schemas infer`."""

import sys
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.options import (
    as_document,
    counted,
    event_argument,
    json_option,
    schemas_option,
    since_option,
    state_option,
    write,
)
from receiver.contract import Contract
from receiver.inbox import Inbox
from receiver.terminal import as_json, escape, iso, moment, shorten, style

if TYPE_CHECKING:
    from receiver.upkeep.drift import Finding

_SHORT = 8
_LONGEST = 1000


@click.command()
@since_option
@schemas_option
@state_option
@json_option
def drift(since: int | None, schemas: Path | None, state: Path, as_records: bool) -> None:
    """Tell where what came departs from the contract.

    \b
    undeclared     a field that the schema does not declare
    violation      a value, or the lack of one, that it does not allow
    unknown_event  an event type without a schema
    malformed      a body that is not JSON, or was not stored whole
    missing        a documented field that did not come; no drift by itself,
                   since optional fields may be missing

    Each with the number of deliveries, when it was seen first and last, and one of them, for `receiver show`. * stands
    for any index of an array. Names of fields are printed, and no value of a payload.

    Exit codes: 0 no drift, 1 drift, 2 usage.
    """
    from receiver.upkeep.drift import drift

    contract = Contract(schemas)
    with closing(Inbox.existing(state)) as inbox:
        found = drift(inbox.captured(since=since), contract)
    for event, findings in groupby(found.findings, key=lambda finding: finding.spot.event):
        if as_records:
            click.echo("\n".join(as_json(_record(finding)) for finding in findings))
        else:
            click.echo("\n".join([style(escape(event) or "(no event type)", bold=True), *map(_line, findings)]))
    more = f" And {found.left_out} times something else." if found.left_out else ""
    told = "drift" if found.any else "no drift"
    number = counted(found.deliveries, "delivery", "deliveries")
    click.echo(f"{number}, {told} from {shorten(contract.directory)}.{more}", err=True)
    if any(finding.spot.kind == "unknown_event" for finding in found.findings):
        click.echo("`receiver schemas infer EVENT` drafts a schema for an event type that has none.", err=True)
    sys.exit(1 if found.any else 0)


@click.command()
@event_argument
@click.option("--output", type=click.Path(path_type=Path), help="Write it to this file, which must not be there yet.")
@since_option
@state_option
@json_option
def infer(event: str, output: Path | None, since: int | None, state: Path, as_records: bool) -> None:
    """Draft a schema for EVENT from what came.

    It allows each of the deliveries that it is made of, is open to more, and holds names and types of fields, and no
    value. What was in all of them is required; a string has a format where all its values agree. It is a draft: look at
    each name (where it is a value, such as an account number, take it out), and compare it with the documentation.
    """
    from receiver.upkeep.infer import infer

    with closing(Inbox.existing(state)) as inbox:
        schema, number = infer(event, inbox.captured(event=event, since=since))
    write(f"{as_json(schema)}\n" if as_records and not output else as_document(schema), output)
    click.echo(
        f"Drafted from {counted(number, 'delivery', 'deliveries')}; `receiver schemas check` checks it.", err=True
    )


def _record(finding: "Finding") -> dict[str, Any]:
    spot = finding.spot
    return {
        "event": spot.event or None,
        "kind": spot.kind,
        "pointer": spot.pointer,
        "keyword": spot.keyword or None,
        "count": finding.count,
        "of": finding.of,
        "first_at": iso(finding.first_at),
        "last_at": iso(finding.last_at),
        "example": finding.example,
    }


def _line(finding: "Finding") -> str:
    spot = finding.spot
    kind = style(f"{spot.kind:13}", "yellow" if spot.kind.drift else None)
    where = f"{escape(spot.pointer, _LONGEST)} {spot.keyword}".strip()
    often = "never came" if _never_came(finding) else f"in {finding.count} of {finding.of}"
    when = f"{moment(finding.first_at)} to {moment(finding.last_at)}"
    return f"  {kind}  {where:32}  {often:14}  {when}  {finding.example[:_SHORT]}"


def _never_came(finding: "Finding") -> bool:
    return finding.spot.kind == "missing" and finding.count == finding.of and "*" not in finding.spot.pointer
