"""`sender serve`: the portal and the API, until it is stopped."""

import re
import signal
import threading
from contextlib import closing
from pathlib import Path

import click

from receiver.contract import Contract
from receiver.secret import kept
from receiver.settings import HOST, MAX_BODY, Failure
from receiver.terminal import as_json, style
from sender.cli.options import ca_option, json_option, schemas_option, state_option, timeout_option
from sender.ledger import Ledger

PORT = 8789

KEPT = "portal-token"
"""The file of the token, so that who has opened the portal once still has it open after a restart."""

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
    help="What opens the portal, and is the API's bearer token.  [default: a new one, kept in --state]",
)
@click.option("--open", "opens", is_flag=True, help="Open the portal in the browser.")
@timeout_option
@ca_option
@state_option
@schemas_option
@json_option
def serve(
    port: int,
    token: str | None,
    opens: bool,
    timeout: float,
    authorities: Path | None,
    state: Path,
    schemas: Path | None,
    as_records: bool,
) -> None:
    """Serve the provider's side on this machine: a portal for the browser, its "Webhooks" tab, and an HTTP API for
    end-to-end tests in any language.

    GET /openapi.json describes the API. Every request to it needs the header `Authorization: Bearer TOKEN`.
    """
    from receiver.listener import ListenerError, listen, serving
    from sender.portal.app import create_portal
    from sender.portal.playing import Stage
    from sender.post import Poster, prepare
    from sender.tab import Rooms

    prepare(f"https://{HOST}/", {}, authorities)  # so that a file that holds none is told now
    stop = _stop_signals()
    try:
        with (
            closing(Ledger(state)) as ledger,
            Poster(timeout) as poster,
            listen(HOST, port) as listener,
        ):
            chosen = token or kept(state / KEPT)
            rooms = Rooms(Contract(schemas), ledger, poster, authorities)
            stage = Stage(rooms)
            app = create_portal(rooms, stage, chosen)
            with serving(app, listener, MAX_BODY, threads=THREADS), closing(stage):
                url = f"http://{HOST}:{listener.getsockname()[1]}"
                _tell(url, chosen, given=token is not None, as_records=as_records)
                if opens:
                    click.launch(f"{url}/?token={chosen}")
                stop.wait()
    except ListenerError as error:
        raise Failure(error) from error


def _tell(url: str, token: str, *, given: bool, as_records: bool) -> None:
    """Where it is, and what opens it; a token that was given is not told again."""
    if as_records:
        click.echo(as_json({"type": "ready", "url": url, "token": token, "portal": f"{url}/"}))
        return
    shown = "TOKEN" if given else token
    click.echo(f"{style('sender', bold=True)} serves the portal and its API; Ctrl-C stops it")
    click.echo(f"  portal       {style(f'{url}/?token={shown}', bold=True)}")
    click.echo(f"  token        {'as given' if given else token}")
    click.echo(f"  description  {url}/openapi.json")


def _stop_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; a second one ends the process as if nobody had asked."""
    stop = threading.Event()

    def ask(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop
