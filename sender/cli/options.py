"""What the subcommands share: options, and a progress bar."""

import sys
from pathlib import Path
from typing import Any

import click

from receiver.contract import Contract
from receiver.settings import STATE, Duration, Text

LONGEST_TIMEOUT = 86_400


def event_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in Contract().events if name.startswith(incomplete)]


def _check_secret(secret: str | None) -> str | None:
    if secret is None:
        return None
    from sender.signature import checked

    return checked(secret)


def _check_timeout(_ctx: click.Context, _param: click.Parameter, timeout: float) -> float:
    if not 0 < timeout <= LONGEST_TIMEOUT:
        raise click.BadParameter("must be more than 0 and at most a day")
    return timeout


state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=STATE,
    show_default=True,
    help="Directory of the ledger.",
)
schemas_option = click.option(
    "--schemas", type=click.Path(path_type=Path), help="Directory of schemas that replaces the shipped contract."
)
json_option = click.option("--json", "as_records", is_flag=True, help="Print one JSON object a line.")
to_option = click.option(
    "--to", show_default="the endpoints, or a local receiver", help="URL to post to, whatever endpoints there are."
)
secret_option = click.option(
    "--secret",
    callback=lambda _ctx, _param, secret: _check_secret(secret),
    metavar="VALUE",
    help="Sign what goes to the URL of --to; an endpoint has its own secret.",
)
header_option = click.option(
    "--header", "headers", type=Text(), metavar="'NAME: VALUE'", multiple=True, help="Send this header too."
)
timeout_option = click.option(
    "--timeout",
    callback=_check_timeout,
    type=Duration(),
    default="20",
    show_default="20s",
    help="Give up waiting for the answer after this long, all in all.",
)
ca_option = click.option(
    "--ca",
    "authorities",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Trust the certificates in this PEM file instead of the public ones.",
)


def header_pairs(headers: tuple[str, ...]) -> dict[str, str]:
    pairs = [header.partition(":") for header in headers]
    for name, colon, _ in pairs:
        if not colon:
            raise click.UsageError(f"--header {name!r}: write it as 'Name: value'")
    return {name.strip(): value.strip() for name, _, value in pairs}


def progress(count: int, *, as_records: bool) -> Any:
    """A bar on stderr, where that is a TTY and no records run down the same one."""
    hidden = not sys.stderr.isatty() or (as_records and sys.stdout.isatty())
    return click.progressbar(length=count, file=sys.stderr, hidden=hidden, update_min_steps=max(1, count // 1000))
