"""`sender serve`: the API, until it is stopped."""

import re
import secrets
import signal
import threading
from contextlib import closing
from pathlib import Path

import click

from receiver.contract import Contract
from receiver.settings import HOST, MAX_BODY, Failure
from receiver.terminal import as_json, style
from sender.cli.options import ca_option, json_option, schemas_option, state_option, timeout_option
from sender.ledger import Ledger

PORT = 8789

THREADS = 32
"""So many requests at the same time: one that fires waits for the slowest of its receivers."""


def _check_token(_ctx: click.Context, _param: click.Parameter, token: str | None) -> str | None:
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise click.BadParameter("must be ASCII without blanks, and not empty; without it one is made")
    return token


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port to listen at, on 127.0.0.1; 0 takes a free one.",
)
@click.option(
    "--token",
    callback=_check_token,
    metavar="VALUE",
    help="What has to be sent as a bearer token.  [default: a new one, printed]",
)
@timeout_option
@ca_option
@state_option
@schemas_option
@json_option
def serve(
    port: int,
    token: str | None,
    timeout: float,
    authorities: Path | None,
    state: Path,
    schemas: Path | None,
    as_records: bool,
) -> None:
    """Serve the provider's side as an HTTP API on this machine, for end-to-end tests in any language.

    GET /openapi.json describes it. Every other request needs the header `Authorization: Bearer TOKEN`.
    """
    from receiver.listener import ListenerError, listen, serving
    from sender.api import create_api
    from sender.post import Poster, prepare
    from sender.tab import Rooms

    prepare(f"https://{HOST}/", {}, authorities)  # so that a file that holds none is told now
    chosen, stop = token or secrets.token_urlsafe(24), _stop_signals()
    try:
        with (
            closing(Ledger(state)) as ledger,
            Poster(timeout) as poster,
            listen(HOST, port) as listener,
            serving(
                create_api(Rooms(Contract(schemas), ledger, poster, authorities), chosen),
                listener,
                MAX_BODY,
                threads=THREADS,
            ),
        ):
            url = f"http://{HOST}:{listener.getsockname()[1]}"
            if as_records:
                click.echo(as_json({"type": "ready", "url": url, "token": chosen}))
            else:
                click.echo(f"{style('sender', bold=True)} serves its API at {style(url, bold=True)}; Ctrl-C stops it")
                click.echo(f"  token        {chosen if token is None else 'as given'}")
                click.echo(f"  description  {url}/openapi.json")
            stop.wait()
    except ListenerError as error:
        raise Failure(error) from error


def _stop_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; a second one ends the process as if nobody had asked."""
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop
