"""`sender serve`: the API, until it is stopped."""

import secrets
import signal
import threading
from contextlib import closing
from pathlib import Path

import click

from receiver.contract import Contract
from receiver.settings import HOST, MAX_BODY, Failure
from receiver.terminal import as_json, style
from sender.cli.options import json_option, schemas_option, state_option, timeout_option
from sender.ledger import Ledger

PORT = 8789


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port to listen at, on 127.0.0.1; 0 takes a free one.",
)
@click.option("--token", metavar="VALUE", help="What has to be sent as a bearer token.  [default: a new one, printed]")
@timeout_option
@state_option
@schemas_option
@json_option
def serve(port: int, token: str | None, timeout: float, state: Path, schemas: Path | None, as_records: bool) -> None:
    """Serve the provider's side as an HTTP API on this machine, for end-to-end tests in any language.

    GET /openapi.json describes it. Every other request needs the header `Authorization: Bearer TOKEN`.
    """
    from receiver.listener import ListenerError, listen, serving
    from sender.api import Rooms, create_api
    from sender.post import Poster

    chosen, stop = token or secrets.token_urlsafe(24), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with (
            closing(Ledger(state)) as ledger,
            Poster(timeout) as poster,
            listen(HOST, port) as listener,
            serving(create_api(Rooms(Contract(schemas), ledger, poster), chosen), listener, MAX_BODY),
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
