"""The command `receiver`: each subcommand parses its options, makes one call, prints what came of it."""

import re
import signal
import sys
import threading
from contextlib import closing, nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from receiver import __version__
from receiver.contract import Contract, ContractError, Verdict
from receiver.entry import ENDED, RunState
from receiver.handlers import Handlers, HandlersError, load
from receiver.inbox import Inbox, InboxError
from receiver.retry import RetryError, run_again
from receiver.settings import HOST, PATH, PORT, STATE, Duration, Failure, Group, Size
from receiver.store import StoreError, now
from receiver.terminal import as_json, escape, shorten, style

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from receiver.entry import Latest, Run
    from receiver.server import Server

FAILURES = (ContractError, HandlersError, InboxError, RetryError, StoreError)

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=STATE,
    show_default=True,
    help="Directory of the inbox.",
)
json_option = click.option("--json", "as_records", is_flag=True, help="Print one JSON object a line.")


@click.group(cls=Group, section="receiver", failures=FAILURES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="receiver")
def main() -> None:
    """Receive EnableNow's webhooks: validate, store durably, route to handlers.

    Options can also be set in the environment (RECEIVER_PORT=9000) and in pyproject.toml, under [tool.receiver].
    """


def _check_path(_ctx: click.Context, _param: click.Parameter, path: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9._~/-]*", path):
        raise click.BadParameter("must begin with / and hold only letters, digits and . _ ~ - /")
    return path


def _event_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in Contract().events if name.startswith(incomplete)]


@main.command()
@click.argument("handlers", required=False, envvar="RECEIVER_HANDLERS", type=click.Path())
@click.option("--host", default=HOST, show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port to listen at; 0 takes a free one.",
)
@click.option("--path", callback=_check_path, default=PATH, show_default=True, help="Path of the hook.")
@state_option
@click.option(
    "--schemas", type=click.Path(path_type=Path), help="Directory of schemas that replaces the shipped contract."
)
@click.option("--lenient", is_flag=True, help="Answer 202 to all that was stored whole, valid or not.")
@click.option("--max-body", type=Size(), default="1MiB", show_default=True, help="Largest body that is accepted.")
@json_option
@click.option(
    "--demo",
    is_flag=True,
    help="Fire every sample once with the command `sender`, at the sample handlers unless others are given.",
)
def run(
    handlers: str | None,
    host: str,
    port: int,
    path: str,
    state: Path,
    schemas: Path | None,
    lenient: bool,
    max_body: int,
    as_records: bool,
    demo: bool,
) -> None:
    """Receive webhooks at http://HOST:PORT/PATH until Ctrl-C or SIGTERM.

    HANDLERS is a Python file (samples/handlers.py), or package.module:name. Without it deliveries are stored, judged
    and printed.
    """
    from receiver.demo import demonstrating, handlers_file
    from receiver.listener import ListenerError
    from receiver.report import Report
    from receiver.server import serve
    from receiver.terminal import Printer

    stop = _stop_signals()
    place = handlers or (handlers_file() if demo and not schemas else None)
    with Printer(sys.stdout) as printer, redirect_stdout(sys.stderr) if as_records else nullcontext():
        registry = load(place) if place else Handlers()
        report = Report(printer.line, as_records=as_records, show=f"receiver show{_elsewhere(state)}")
        try:
            with serve(
                registry,
                report,
                host=host,
                port=port,
                path=path,
                state=state,
                schemas=schemas,
                lenient=lenient,
                max_body=max_body,
                ready=lambda server: report.ready(server.url, _ready_lines(server, place, len(registry), state)),
            ) as server:
                show = partial(click.echo, err=True) if as_records else printer.line
                with demonstrating(server, show) if demo else nullcontext():
                    stop.wait()
        except ListenerError as error:
            raise Failure(error) from error


@main.command("list")
@click.option("--event", help="Only this event type.", shell_complete=_event_names)
@click.option("--verdict", type=click.Choice([str(verdict) for verdict in Verdict]), help="Only with this verdict.")
@click.option(
    "--run",
    type=click.Choice([str(state) for state in RunState]),
    help="Only those with a handler's run in this state.",
)
@click.option("--since", type=Duration(), help="Only those received in the last 30s, 5m, 2h or 7d.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="At most so many.")
@state_option
@json_option
def list_(
    event: str | None,
    verdict: str | None,
    run: str | None,
    since: float | None,
    limit: int,
    state: Path,
    as_records: bool,
) -> None:
    """List what was received, newest first; also while the receiver runs.

    The mark of a handler's latest run: ✓ done, ✗ failed, · pending, > running, ! interrupted.
    """
    from receiver.report import delivery_line, entry_record, run_marks

    with closing(Inbox.existing(state)) as inbox:
        entries = inbox.entries(event=event, verdict=verdict, run=run, since=_moment(since), limit=limit)
    for entry in entries:
        click.echo(as_json(entry_record(entry)) if as_records else delivery_line(entry, run_marks(entry), dated=True))
    if not entries and not as_records:
        click.echo(
            "No delivery fits. With the receiver running, `sender fire transactions.fetched` sends one.", err=True
        )


@main.command()
@click.argument("id_", metavar="ID")
@click.option("--raw", is_flag=True, help="Write the exact bytes of the body to stdout, and nothing else.")
@state_option
@json_option
def show(id_: str, raw: bool, state: Path, as_records: bool) -> None:
    """Show one delivery, whole. ID may be shortened while it is unambiguous."""
    from receiver.report import full_record, show_lines

    if raw and as_records:
        raise click.UsageError("--raw and --json exclude each other")
    with closing(Inbox.existing(state)) as inbox:
        entry = inbox.entry(id_)
    if raw:
        sys.stdout.buffer.write(entry.body)
    elif as_records:
        click.echo(as_json(full_record(entry)))
    else:
        click.echo("\n".join(show_lines(entry)))


@main.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--failed", is_flag=True, help="All whose latest run failed.")
@click.option("--interrupted", is_flag=True, help="All whose latest run was interrupted.")
@click.option("--handler", help="Only this handler.")
@click.option("--event", help="Only this event type.", shell_complete=_event_names)
@click.option("--since", type=Duration(), help="Only those received in the last 30s, 5m, 2h or 7d.")
@click.option("--dry-run", is_flag=True, help="Only list what would run.")
@click.option("--handlers", type=click.Path(), help="Handlers to run here, if no receiver runs on this inbox.")
@state_option
@json_option
def retry(
    ids: tuple[str, ...],
    failed: bool,
    interrupted: bool,
    handler: str | None,
    event: str | None,
    since: float | None,
    dry_run: bool,
    handlers: str | None,
    state: Path,
    as_records: bool,
) -> None:
    """Run handlers again: for these deliveries, or for all whose run failed or was interrupted.

    A receiver that runs on the same inbox does it; else this command does, with --handlers. Every attempt is kept.

    Exit codes: 0 all done, 1 a handler failed again, 2 usage, or nobody to run them.
    """
    if not (ids or failed or interrupted):
        raise click.UsageError("say which: an ID, --failed or --interrupted")
    states = [RunState.FAILED] * failed + [RunState.INTERRUPTED] * interrupted
    with closing(Inbox.existing(state)) as inbox:
        whole = [inbox.entry(id_).id for id_ in ids] or None
        chosen = inbox.latest(
            states or [*ENDED, RunState.PENDING], ids=whole, handler=handler, event=event, since=_moment(since)
        )
        if dry_run or not chosen:
            _tell_of_runs(((one, one.run) for one in chosen), as_records)
            click.echo(f"{len(chosen)} would run." if chosen else "Nothing fits.", err=True)
        elif not _tell_of_runs(run_again(inbox, chosen, handlers), as_records):
            sys.exit(1)


def _tell_of_runs(runs: "Iterable[tuple[Latest, Run]]", as_records: bool) -> bool:
    """Prints each run as it comes; whether all were done."""
    from receiver.report import run_line, run_record

    states = set()
    for one, run in runs:
        record = {"id": one.delivery, "event": one.event, **run_record(run)}
        click.echo(as_json(record) if as_records else f"{one.delivery[:8]}  {escape(one.event):28}  {run_line(run)}")
        states.add(run.state)
    return states <= {RunState.DONE}


def _moment(since: float | None) -> int | None:
    """So many seconds ago, in microseconds since 1970."""
    return None if since is None else now() - int(since * 1e6)


def _ready_lines(server: "Server", place: str | None, handlers: int, state: Path) -> "Iterator[str]":
    yield f"{style('receiver', bold=True)} {__version__} listens at {style(server.url, bold=True)}; Ctrl-C stops it"
    yield f"  contract     {len(server.contract.events)} event types in {shorten(server.contract.directory)}"
    where = f" in {shorten(Path(place))}" if place else ": deliveries are stored, judged and shown here"
    yield f"  handlers     {handlers or 'none'}{where}"
    yield f"  inbox        {shorten(server.inbox.path)}"
    if not server.leads:
        yield style("  beside       another receiver, which runs the handlers until it ends", "yellow")
    if server.interrupted:
        command = f"receiver retry --interrupted{_elsewhere(state)}"
        yield style(f"  interrupted  {server.interrupted}, run again by: {command}", "yellow")
    for handler, runs in server.orphaned.items():
        yield style(f"  waiting      {runs} for {handler}, which is not registered any more", "yellow")
    yield ""


def _elsewhere(state: Path) -> str:
    """What a command needs to find this inbox."""
    return "" if state == STATE else f" --state {quote(str(state))}"


def _stop_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; a second one ends the process as if nobody had asked."""
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop
