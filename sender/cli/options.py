"""What the subcommands share: options."""

from pathlib import Path

import click

from receiver.settings import STATE

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
