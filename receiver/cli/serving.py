"""`receiver run`: a receiver in this terminal, until it is stopped."""

import re
import signal
import sys
import threading
from contextlib import closing, nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver import __version__
from receiver.cli.options import elsewhere, json_option, redact_option, schemas_option, state_option
from receiver.handlers import Handlers, load
from receiver.secret import AUTO
from receiver.settings import HOST, PATH, PORT, Failure, Size, Text
from receiver.terminal import iso, masked, moment, shorten, span, style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receiver.server import Server

INSPECTOR_PORTS = (8788, 0)


def _check_path(_ctx: click.Context, _param: click.Parameter, path: str) -> str:
    if path != AUTO and not re.fullmatch(r"/[A-Za-z0-9._~/-]*", path):
        raise click.BadParameter("must begin with / and hold only letters, digits and . _ ~ - /; or be auto")
    return path


@click.command()
@click.argument("handlers", required=False, envvar="RECEIVER_HANDLERS", type=click.Path())
@click.option("--host", default=HOST, show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port to listen at; 0 takes a free one.",
)
@click.option(
    "--path",
    callback=_check_path,
    default=PATH,
    show_default=True,
    help="Path of the hook; auto is a secret one, which `receiver url` tells.",
)
@click.option(
    "--secret",
    "secrets",
    type=Text(),
    metavar="VALUE",
    multiple=True,
    help="Take only what is signed with this secret (Standard Webhooks); two while one replaces the other.",
)
@state_option
@schemas_option
@click.option("--lenient", is_flag=True, help="Answer 202 to all that was stored whole, valid or not.")
@click.option("--max-body", type=Size(), default="1MiB", show_default=True, help="Largest body that is accepted.")
@click.option(
    "--inspector-port",
    type=click.IntRange(0, 65535),
    show_default="8788, or a free one",
    help="Port of the inspector, a page on 127.0.0.1.",
)
@click.option("--no-inspector", is_flag=True, help="Serve the hook and nothing else.")
@click.option("--open", "open_", is_flag=True, help="Open the inspector in the browser.")
@redact_option
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
    secrets: tuple[str, ...],
    state: Path,
    schemas: Path | None,
    lenient: bool,
    max_body: int,
    inspector_port: int | None,
    no_inspector: bool,
    open_: bool,
    redact: bool,
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

    if no_inspector and inspector_port is not None:
        raise click.UsageError("--inspector-port and --no-inspector exclude each other")
    if no_inspector and open_:
        raise click.UsageError("--open and --no-inspector exclude each other")
    if demo and (secrets or path == AUTO):
        raise click.UsageError("--demo shows a receiver that anyone may post to: leave out --secret and --path auto")
    ports = INSPECTOR_PORTS if inspector_port is None else (inspector_port,)
    stop = _stop_signals()
    place = handlers or (handlers_file() if demo and not schemas else None)
    with Printer(sys.stdout) as printer, redirect_stdout(sys.stderr) if as_records else nullcontext():
        registry = load(place) if place else Handlers()
        report = Report(printer.line, as_records=as_records, show=f"receiver show{elsewhere(state)}")
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
                secrets=secrets,
                inspector_ports=() if no_inspector else ports,
                place=place,
                redact=redact,
                ready=lambda server: report.ready(
                    _ready_record(server), _ready_lines(server, place, len(registry), state)
                ),
            ) as server:
                if open_:
                    click.launch(_inspector_url(server))
                show = partial(click.echo, err=True) if as_records else printer.line
                with demonstrating(server, show) if demo else nullcontext():
                    stop.wait()
        except ListenerError as error:
            raise Failure(error) from error


@click.command()
@click.option("--host", default=HOST, show_default=True, help="Address that the receiver is reached at.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Port that it listens at.")
@state_option
def url(host: str, port: int, state: Path) -> None:
    """Print the whole URL of a receiver that runs with --path auto.

    Whoever knows it may post, so nothing else prints it.
    """
    from receiver.inbox import Inbox
    from receiver.secret import secret_path

    with closing(Inbox(state)):
        click.echo(f"http://{host}:{port}{secret_path(state)}")


def _ready_record(server: "Server") -> dict[str, object]:
    return {
        "url": masked(server.url),
        "inspector": server.inspector,
        "token": server.token,
        "interrupted": server.interrupted,
        "down_since": server.down and iso(server.down.since),
    }


def _ready_lines(server: "Server", place: str | None, handlers: int, state: Path) -> "Iterator[str]":
    shown = masked(server.url)
    yield f"{style('receiver', bold=True)} {__version__} listens at {style(shown, bold=True)}; Ctrl-C stops it"
    yield f"  contract     {len(server.contract.events)} event types in {shorten(server.contract.directory)}"
    where = f" in {shorten(Path(place))}" if place else ": deliveries are stored, judged and shown here"
    yield f"  handlers     {handlers or 'none'}{where}"
    if shown != server.url:
        yield f"  path         secret: `receiver url{elsewhere(state)}` tells the whole"
    yield f"  inbox        {shorten(server.inbox.path)}"
    if server.inspector:
        yield f"  inspector    {_inspector_url(server)}"
    if server.down and server.down.until:
        window = f"from {moment(server.down.since)} for {span(server.down.until - server.down.since)}"
        yield style(f"  down         {window}; fetch from the API what was sent then", "yellow")
    if not server.leads:
        yield style("  beside       another receiver, which runs the handlers until it ends", "yellow")
    if server.interrupted:
        command = f"receiver retry --interrupted{elsewhere(state)}"
        yield style(f"  interrupted  {server.interrupted}, run again by: {command}", "yellow")
    for handler, runs in server.orphaned.items():
        yield style(f"  waiting      {runs} for {handler}, which is not registered any more", "yellow")
    yield ""


def _inspector_url(server: "Server") -> str:
    """What lets who opens it in; the page that is shown then has a URL without the token."""
    return f"{server.inspector}?token={server.token}"


def _stop_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; a second one ends the process as if nobody had asked."""
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop
