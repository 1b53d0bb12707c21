"""`receiver prune`: deletes what is old and settled."""

from contextlib import closing
from pathlib import Path

import click

from receiver.cli.options import ago, dry_run_option, json_option, state_option
from receiver.contract import Verdict
from receiver.inbox import Inbox
from receiver.settings import Duration
from receiver.terminal import as_json


@click.command()
@click.option(
    "--older-than", "before", type=Duration(), callback=ago, required=True, help="Those received before 30d, 12h, ..."
)
@click.option("--verdict", type=click.Choice([str(verdict) for verdict in Verdict]), help="Only with this verdict.")
@dry_run_option
@state_option
@json_option
def prune(before: int, verdict: str | None, dry_run: bool, state: Path, as_records: bool) -> None:
    """Delete old deliveries for good.

    With their runs, and also while a receiver runs. One whose handlers have not run stays. The freed room is
    overwritten and used for what comes next; the file does not shrink.
    """
    with closing(Inbox.existing(state)) as inbox:
        older = inbox.older(before, verdict)
        pruned = sum(len(page) if dry_run else inbox.prune(page) for page in inbox.settled(before, verdict))
        if not dry_run:
            inbox.tidy()
    if as_records:
        click.echo(as_json({"pruned": pruned, "kept": older - pruned}))
    else:
        done = "would be deleted" if dry_run else "deleted"
        kept = f"; {older - pruned} stay, since their handlers have not run" if older > pruned else ""
        click.echo(f"{pruned} {done}{kept}.")
