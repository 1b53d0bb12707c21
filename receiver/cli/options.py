"""What the subcommands share: options, and how a shortened answer leads to another inbox."""

from pathlib import Path
from shlex import quote

import click

from receiver.contract import Contract
from receiver.settings import STATE, Duration
from receiver.store import now


def event_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in Contract().events if name.startswith(incomplete)]


def ago(_ctx: click.Context, _param: click.Parameter, seconds: float | None) -> int | None:
    """So many seconds ago, in microseconds since 1970."""
    return None if seconds is None else now() - int(seconds * 1e6)


state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=STATE,
    show_default=True,
    help="Directory of the inbox.",
)
schemas_option = click.option(
    "--schemas", type=click.Path(path_type=Path), help="Directory of schemas that replaces the shipped contract."
)
event_option = click.option("--event", help="Only this event type.", shell_complete=event_names)
since_option = click.option(
    "--since", type=Duration(), callback=ago, help="Only those received in the last 30s, 5m, 2h or 7d."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Change nothing, only tell what would be done.")
json_option = click.option("--json", "as_records", is_flag=True, help="Print one JSON object a line.")


def elsewhere(state: Path) -> str:
    """What a command needs to find this inbox."""
    return "" if state == STATE else f" --state {quote(str(state))}"
