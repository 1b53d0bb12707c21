"""`receiver schemas diff`: what a new version of the contract means for who relies on the old one."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from receiver.cli.options import counted, json_option
from receiver.terminal import as_json, escape, style

if TYPE_CHECKING:
    from receiver.upkeep.compatibility import Comparison

READERS = ("strict", "tolerant", "replay")
COUNTED = ("tolerant", "replay")
_COLOURS = {"compatible": "green", "breaking": "red", "undecided": "yellow"}
_LONGEST = 4000


@click.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--for",
    "readers",
    type=click.Choice(READERS),
    multiple=True,
    default=COUNTED,
    show_default=True,
    help="Whose verdict counts for the exit code; may be given several times.",
)
@json_option
def diff(old: str, new: str, readers: tuple[str, ...], as_records: bool) -> None:
    """Compare two versions of the contract: who can go on?

    OLD and NEW are directories of schemas or git revisions: REV, or REV:path. Per event type there are three verdicts:

    \b
    strict    a consumer that validates by OLD and refuses fields that OLD does
              not declare takes all that NEW declares
    tolerant  a consumer that validates by OLD as it is written takes all that
              NEW allows
    replay    what was stored as valid by OLD is valid by NEW

    Each is compatible, breaking, or undecided, which counts as breaking. The contract is open to growth, so strict is
    shown and does not count, unless --for says so. A payload is shown where one was found that breaks it; both versions
    have judged it. Of an event whose fields OLD does not declare at all, a strict consumer refuses none.

    Exit codes: 0 compatible, 1 breaking or undecided, 2 usage.
    """
    from receiver.upkeep.compatibility import compare
    from receiver.upkeep.revision import contract_at

    with contract_at(old) as before, contract_at(new) as after:
        comparisons = list(compare(before, after))
    for one in comparisons:
        click.echo(as_json(_record(one)) if as_records else "\n".join(_lines(one)))
    against = {
        one.event
        for one in comparisons
        for reader, answer in one.answers.items()
        if reader in readers and not answer.ok
    }
    click.echo(f"for {' and '.join(readers)}: {counted(len(against), 'event type')} not compatible.", err=True)
    sys.exit(1 if against else 0)


def _record(one: "Comparison") -> dict[str, Any]:
    answers: dict[str, Any] = {
        str(reader): {"verdict": answer.outcome, "reason": answer.reason, "payload": answer.payload}
        for reader, answer in one.answers.items()
    }
    return {
        "event": one.event,
        "change": one.change,
        **answers,
        "changes": [{"pointer": place, "what": text} for place, text in one.changes],
    }


def _lines(one: "Comparison") -> Iterator[str]:
    yield f"{style(escape(one.event), bold=True)}  {one.change}"
    if one.change == "same":
        return
    for reader, answer in one.answers.items():
        verdict = style(f"{answer.outcome:10}", _COLOURS[answer.outcome])
        yield f"  {reader:8}  {verdict}  {escape(answer.reason, 1000)}".rstrip()
        if answer.payload is not None:
            yield f"            {escape(as_json(answer.payload), _LONGEST)}"
    for place, text in one.changes:
        yield f"  {escape(place, 1000) or '(file)'}: {escape(text)}"
