"""What the subcommands share: options, documents that are written, how a shortened answer leads to another inbox."""

import json
from pathlib import Path
from shlex import quote

import click

from receiver.contract import Contract
from receiver.settings import STATE, Duration, Failure
from receiver.store import now
from receiver.terminal import did_you_mean


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
event_argument = click.argument("event", metavar="EVENT", shell_complete=event_names)
dry_run_option = click.option("--dry-run", is_flag=True, help="Change nothing, only tell what would be done.")
redact_option = click.option(
    "--redact", is_flag=True, help="Show no ids and no free text of what came; the inbox keeps the bytes."
)
json_option = click.option("--json", "as_records", is_flag=True, help="Print one JSON object a line.")


def counted(number: int, word: str, words: str = "") -> str:
    """`1 field`, `2 fields`; `words` is the plural where that is not so regular."""
    return f"{number:,} {word if number == 1 else words or f'{word}s'}"


def as_document(value: object) -> str:
    """A value as JSON that people read, in printable ASCII."""
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f") + "\n"


def write(text: str, output: Path | None) -> None:
    """Prints a text, or writes it to a file that is new.

    Raises:
        Failure: the file is there, or cannot be made.
    """
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Failure(f"{output} is there already, and nothing is overwritten; choose another name") from None


def elsewhere(state: Path) -> str:
    """What a command needs to find this inbox."""
    return "" if state == STATE else f" --state {quote(str(state))}"


def known(contract: Contract, event: str) -> str:
    """`event`, where the contract has it.

    Raises:
        BadParameter: it has not.
    """
    if event not in contract.events:
        raise click.BadParameter(f"no such event type {event!r}; {did_you_mean(event, contract.events)}")
    return event
