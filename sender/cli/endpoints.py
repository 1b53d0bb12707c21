"""`sender endpoints`: the "Webhooks" tab, where its customers say which events go where."""

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from receiver.contract import Contract
from receiver.settings import Text
from receiver.store import new_id, now
from receiver.terminal import as_json
from sender.address import normalised
from sender.attempt import Attempt
from sender.cli.firing import fire_one
from sender.cli.options import (
    ca_option,
    event_names,
    header_option,
    header_pairs,
    json_option,
    schemas_option,
    state_option,
    timeout_option,
)
from sender.endpoints import EVERY, Endpoint, checked_events
from sender.ledger import Ledger
from sender.payload import bodies
from sender.report import endpoint_line, endpoint_lines, endpoint_record

event_option = click.option(
    "--event",
    "events",
    type=Text(),
    metavar="EVENT",
    multiple=True,
    shell_complete=event_names,
    help="Send this event type there; may be given several times.",
)
all_option = click.option("--all", "every", is_flag=True, help="Send every event there, also new types.")
secret_option = click.option("--secret", metavar="auto|VALUE", help="Sign what is sent there; auto makes a secret.")
force_option = click.option("--force", is_flag=True, help="Also where the URL gets some of these events already.")


def _endpoint_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    with closing(Ledger(ctx.params["state"])) as ledger:
        return [one.label for one in ledger.endpoints.all() if one.label.startswith(incomplete)]


def _check_name(_ctx: click.Context, _param: click.Parameter, name: str | None) -> str | None:
    if name is not None and not (0 < len(name) <= 80 and name.isprintable()):
        raise click.BadParameter("must be 1 to 80 printable characters")
    return name


name_option = click.option("--name", callback=_check_name, help="What to call it; else it has the beginning of its id.")
which_argument = click.argument("which", metavar="ENDPOINT", shell_complete=_endpoint_names)


@click.group()
def endpoints() -> None:
    """Say which events go to which URLs: the endpoints that `sender fire` and `sender play` send to.

    ENDPOINT is the name of one, its URL, or its id, which may be shortened.
    """


@endpoints.command()
@click.argument("url")
@event_option
@all_option
@name_option
@secret_option
@header_option
@click.option("--disabled", is_flag=True, help="Send nothing there until it is enabled.")
@force_option
@state_option
@schemas_option
@json_option
def add(
    url: str,
    events: tuple[str, ...],
    every: bool,
    name: str | None,
    secret: str | None,
    headers: tuple[str, ...],
    disabled: bool,
    force: bool,
    state: Path,
    schemas: Path | None,
    as_records: bool,
) -> None:
    """Make an endpoint: from now on these events are sent to URL."""
    endpoint = Endpoint(
        url=normalised(url),
        events=checked_events(Contract(schemas), _chosen(events, every=every)),
        name=name,
        secret=_secret(secret),
        headers=header_pairs(headers),
        enabled=not disabled,
    )
    with closing(Ledger(state)) as ledger:
        ledger.endpoints.add(endpoint, force=force)
    _tell(endpoint, as_records=as_records, secret=True)


@endpoints.command("list")
@state_option
@json_option
def list_(state: Path, as_records: bool) -> None:
    """List the endpoints."""
    with closing(Ledger(state)) as ledger:
        every = ledger.endpoints.all()
    for endpoint in every:
        _tell(endpoint, as_records=as_records)
    if not every and not as_records:
        click.echo("There is no endpoint yet: `sender endpoints add URL --all` makes one.", err=True)


@endpoints.command()
@which_argument
@state_option
@json_option
def show(which: str, state: Path, as_records: bool) -> None:
    """Show all of an endpoint, also its secret."""
    with closing(Ledger(state)) as ledger:
        endpoint = ledger.endpoints.find(which)
    _tell(endpoint, as_records=as_records, secret=True)


@endpoints.command()
@which_argument
@click.option("--url", help="Send to this URL instead.")
@event_option
@all_option
@name_option
@secret_option
@click.option("--no-secret", is_flag=True, help="Sign nothing any more.")
@header_option
@click.option("--no-headers", is_flag=True, help="Send none of its headers any more.")
@force_option
@state_option
@schemas_option
@json_option
def edit(
    which: str,
    url: str | None,
    events: tuple[str, ...],
    every: bool,
    name: str | None,
    secret: str | None,
    no_secret: bool,
    headers: tuple[str, ...],
    no_headers: bool,
    force: bool,
    state: Path,
    schemas: Path | None,
    as_records: bool,
) -> None:
    """Change an endpoint: what is given takes the place of what was.

    What was sent to its URL stays known, and is not sent there again.
    """
    changes: dict[str, Any] = {}
    if url:
        changes["url"] = normalised(url)
    if events or every:
        changes["events"] = checked_events(Contract(schemas), _chosen(events, every=every))
    if name:
        changes["name"] = name
    if secret or no_secret:
        changes["secret"] = None if no_secret else _secret(secret)
    if headers or no_headers:
        changes["headers"] = {} if no_headers else header_pairs(headers)
    if not changes:
        raise click.UsageError("nothing to change was given")
    _change(which, state, lambda endpoint: replace(endpoint, **changes), force=force, as_records=as_records)


@endpoints.command()
@which_argument
@state_option
@json_option
def enable(which: str, state: Path, as_records: bool) -> None:
    """Send there from now on."""
    _change(which, state, lambda endpoint: replace(endpoint, enabled=True), as_records=as_records)


@endpoints.command()
@which_argument
@state_option
@json_option
def disable(which: str, state: Path, as_records: bool) -> None:
    """Send nothing there until it is enabled."""
    _change(which, state, lambda endpoint: replace(endpoint, enabled=False), as_records=as_records)


@endpoints.command()
@which_argument
@state_option
@json_option
def remove(which: str, state: Path, as_records: bool) -> None:
    """Remove an endpoint. What was sent to its URL stays in the ledger, and is not sent there again."""
    with closing(Ledger(state)) as ledger:
        endpoint = ledger.endpoints.find(which)
        ledger.endpoints.remove(endpoint)
    click.echo(as_json(endpoint_record(endpoint)) if as_records else f"removed  {endpoint_line(endpoint)}")


@endpoints.command()
@which_argument
@click.option("--event", help="The event to send; by default the first of its events.", shell_complete=event_names)
@timeout_option
@ca_option
@state_option
@schemas_option
@json_option
def test(
    which: str,
    event: str | None,
    timeout: float,
    authorities: Path | None,
    state: Path,
    schemas: Path | None,
    as_records: bool,
) -> None:
    """POST one event to an endpoint, enabled or not, to see that it answers. Exit codes as of `sender fire`."""
    from sender.aim import aim_at
    from sender.post import Poster

    contract = Contract(schemas)
    with closing(Ledger(state)) as ledger, Poster(timeout) as poster:
        endpoint = ledger.endpoints.find(which)
        chosen = event or _first(endpoint, contract)
        attempt = Attempt(new_id(), endpoint.url, chosen, next(bodies(contract, chosen)), now())
        aim = aim_at(endpoint, {}, authorities)
        sys.exit(fire_one(ledger, poster, aim, attempt, as_records=as_records))


def _first(endpoint: Endpoint, contract: Contract) -> str:
    return next(iter(contract.events)) if EVERY in endpoint.events else endpoint.events[0]


def _chosen(events: tuple[str, ...], *, every: bool) -> tuple[str, ...]:
    if bool(events) == every:
        raise click.UsageError("say which events go there: --event EVENT (`sender events` lists them), or --all")
    return (EVERY,) if every else events


def _secret(given: str | None) -> str | None:
    if given is None:
        return None
    from sender.signature import checked, new_secret

    return new_secret() if given == "auto" else checked(given)


def _change(
    which: str, state: Path, changed: Callable[[Endpoint], Endpoint], *, as_records: bool, force: bool = False
) -> None:
    with closing(Ledger(state)) as ledger:
        endpoint = ledger.endpoints.change(ledger.endpoints.find(which).id, changed, force=force)
    _tell(endpoint, as_records=as_records)


def _tell(endpoint: Endpoint, *, as_records: bool, secret: bool = False) -> None:
    if as_records:
        click.echo(as_json(endpoint_record(endpoint, secret=secret)))
    else:
        click.echo("\n".join(endpoint_lines(endpoint)) if secret else endpoint_line(endpoint))
