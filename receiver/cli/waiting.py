"""`receiver wait`: blocks until a delivery came, was handled, or did not come; for scripts and CI."""

import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from receiver.cli.options import ago, elsewhere, event_names, json_option, state_option
from receiver.entry import RunState
from receiver.match import Condition, Wanted
from receiver.settings import Duration, Text
from receiver.terminal import as_json, escape
from receiver.watch import Answer, appearing
from receiver.watch import wait as wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receiver.entry import Entry


@click.command()
@click.argument("event", shell_complete=event_names)
@click.option(
    "--where",
    "conditions",
    metavar="PATH=VALUE",
    type=Text(),
    multiple=True,
    help="Only with this value at that dotted path of the data: that text, or that JSON.",
)
@click.option("--handled", is_flag=True, help="Until all its handlers are done; 1 if one of them failed.")
@click.option(
    "--since", type=Duration(), callback=ago, help="Also those received in the last 30s, 5m, 2h or 7d, at the start."
)
@click.option("--timeout", type=Duration(), default="10", show_default="10s", help="Give up after this long.")
@click.option("--none", is_flag=True, help="Wait that none comes, with whatever verdict, --within a time.")
@click.option("--within", type=Duration(), help="How long none may come, with --none: 2s.")
@state_option
@json_option
@click.pass_context
def wait(
    ctx: click.Context,
    event: str,
    conditions: tuple[str, ...],
    handled: bool,
    since: int | None,
    timeout: float,
    none: bool,
    within: float | None,
    state: Path,
    as_records: bool,
) -> None:
    """Wait until a delivery of EVENT came that handlers get, and print it.

    EVENT is an event type, a prefix as in 'consent.*', or '*'. What came before the command began does not count,
    unless --since says so; a receiver may start later.

    Exit codes: 0 it came, 1 it did not in time (stderr tells what did), or a handler failed, 2 usage, or no inbox;
    with --none 0 none came, 1 one did.
    """
    _check_together(ctx, none=none)
    wanted = Wanted(event, tuple(map(Condition.parse, conditions)), any_verdict=none)
    seconds = (within or 0.0) if none else timeout
    until = time.monotonic() + seconds
    inbox, appeared = appearing(state, until)
    with closing(inbox):
        after = 0 if appeared else inbox.last(before=since)
        answer = wait_for(inbox, wanted, after, until=until, settled=handled)
    if answer.entry is None:
        click.echo("\n".join(_timeout_lines(wanted, seconds, answer, none=none)), err=True)
        sys.exit(0 if none else 1)
    _print(answer.entry, as_records=as_records)
    if failures := _failures(answer.entry) if handled else []:
        show = f"`receiver show {answer.entry.id[:8]}{elsewhere(state)}` tells more"
        click.echo(f"{'; '.join(failures)}: {show}", err=True)
    sys.exit(1 if failures or none else 0)


def _check_together(ctx: click.Context, *, none: bool) -> None:
    """Refuses options of the one kind of waiting on the command line of the other."""
    said = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if none and (wrong := said & {"timeout", "handled"}):
        raise click.UsageError(f"--none and --{min(wrong)} exclude each other; --within says how long none may come")
    if none and ctx.params["within"] is None:
        raise click.UsageError("--none needs to know how long none may come: --within 2s")
    if not none and "within" in said:
        raise click.UsageError("--within goes with --none; --timeout says how long to wait for one")


def _print(entry: "Entry", *, as_records: bool) -> None:
    from receiver.report import delivery_line, full_record, run_marks

    click.echo(as_json(full_record(entry)) if as_records else delivery_line(entry, run_marks(entry), dated=True))


def _failures(entry: "Entry") -> list[str]:
    return [
        f"{run.handler} {run.state}" + (f" ({escape(run.failure)})" if run.failure else "")
        for run in entry.latest
        if run.state is not RunState.DONE
    ]


def _timeout_lines(wanted: Wanted, seconds: float, answer: Answer, *, none: bool) -> "Iterator[str]":
    from receiver.report import delivery_line, run_marks, violation_lines

    instead = "" if none or answer.came else ", nor anything else"
    yield f"No {escape(str(wanted))} came within {seconds:g} s{instead}."
    if none or not answer.came:
        return
    shown = len(answer.others)
    yield f"Instead came {answer.came}" + (":" if answer.came == shown else f", the last {shown} of them:")
    for entry, reason in answer.others:
        marks = run_marks(entry)
        yield delivery_line(entry, f"{reason}  {marks}" if marks else reason, dated=True)
        yield from (f"  {line}" for line in violation_lines(entry))
