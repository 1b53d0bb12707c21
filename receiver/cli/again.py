"""Doing it again: `receiver retry` runs handlers again, `receiver judge` judges what is in quarantine again."""

import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.cli.options import dry_run_option, event_option, json_option, schemas_option, since_option, state_option
from receiver.contract import Contract
from receiver.entry import ENDED, RunState
from receiver.inbox import Inbox
from receiver.quarantine import judge_again
from receiver.retry import run_again
from receiver.terminal import as_json, escape, shorten

if TYPE_CHECKING:
    from receiver.entry import Latest, Run


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--failed", is_flag=True, help="All whose latest run failed.")
@click.option("--interrupted", is_flag=True, help="All whose latest run was interrupted.")
@click.option("--handler", help="Only this handler.")
@event_option
@since_option
@dry_run_option
@click.option("--handlers", type=click.Path(), help="Handlers to run here, if no receiver runs on this inbox.")
@state_option
@json_option
def retry(
    ids: tuple[str, ...],
    failed: bool,
    interrupted: bool,
    handler: str | None,
    event: str | None,
    since: int | None,
    dry_run: bool,
    handlers: str | None,
    state: Path,
    as_records: bool,
) -> None:
    """Run handlers again.

    For these deliveries, or for all whose run failed or was interrupted. A receiver that runs on the same inbox
    does it; else this command does, with --handlers. Every attempt is kept.

    Exit codes: 0 all done, 1 a handler failed again, 2 usage, or nobody to run them.
    """
    if not (ids or failed or interrupted):
        raise click.UsageError("say which: an ID, --failed or --interrupted")
    states = [RunState.FAILED] * failed + [RunState.INTERRUPTED] * interrupted
    with closing(Inbox.existing(state)) as inbox:
        whole = [inbox.entry(id_).id for id_ in ids] or None
        chosen = inbox.runs.latest(
            states or [*ENDED, RunState.PENDING], ids=whole, handler=handler, event=event, since=since
        )
        if dry_run or not chosen:
            _tell_of_runs(((one, one.run) for one in chosen), as_records)
            click.echo(f"{len(chosen)} would run." if chosen else "Nothing fits.", err=True)
        elif not _tell_of_runs(run_again(inbox, chosen, handlers), as_records):
            sys.exit(1)


def _tell_of_runs(runs: Iterable["tuple[Latest, Run]"], as_records: bool) -> bool:
    """Prints each run as it comes; whether all were done."""
    from receiver.report import run_line, run_record

    states = set()
    for one, run in runs:
        record = {"id": one.delivery, "event": one.event, **run_record(run)}
        click.echo(as_json(record) if as_records else f"{one.delivery[:8]}  {escape(one.event):28}  {run_line(run)}")
        states.add(run.state)
    return states <= {RunState.DONE}


@click.command()
@since_option
@click.option("--unverified", is_flag=True, help="Also what nobody signed: only if you know that it is the provider's.")
@dry_run_option
@schemas_option
@state_option
@json_option
def judge(
    since: int | None, unverified: bool, dry_run: bool, schemas: Path | None, state: Path, as_records: bool
) -> None:
    """Judge again what is in quarantine.

    After a schema was mended, or with other --schemas: each body that was stored whole is judged anew, also one
    that came with another Content-Type. What is now valid goes to its handlers, once: a running receiver takes it
    at once, the next one at its start.
    """
    from receiver.report import delivery_line, entry_record, violation_lines

    contract = Contract(schemas)
    routed = judged = 0
    with closing(Inbox.existing(state)) as inbox:
        for before, after in judge_again(inbox, contract, since=since, unverified=unverified, dry_run=dry_run):
            judged += 1
            routed += after.verdict.handled
            if as_records:
                click.echo(as_json(entry_record(after)))
            elif after != before:
                click.echo(delivery_line(after, f"was {before.verdict}", dated=True))
                click.echo("".join(f"  {line}\n" for line in violation_lines(after)), nl=False)
    go = "would go" if dry_run else "go"
    click.echo(f"{judged} judged by {shorten(contract.directory)}; {routed} {go} to their handlers.", err=True)
