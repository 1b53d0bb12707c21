"""The command `receiver`: each subcommand parses its options, makes one call, prints what came of it.

`serving` (run, url) · `looking` (list, show, gaps) · `waiting` (wait) · `again` (retry, judge) · `pruning` (prune) ·
`schemas` (schemas list, show, check) · `comparing` (schemas diff) · `captured` (schemas drift, infer) ·
`exporting` (export) · `options` (shared).
"""

import click

from receiver import __version__
from receiver.cli.again import judge, retry
from receiver.cli.exporting import export
from receiver.cli.looking import gaps, list_, show
from receiver.cli.pruning import prune
from receiver.cli.schemas import schemas
from receiver.cli.serving import run, url
from receiver.cli.waiting import wait
from receiver.contract import ContractError
from receiver.handlers import HandlersError
from receiver.inbox import InboxError
from receiver.match import MatchError
from receiver.retry import RetryError
from receiver.settings import Group
from receiver.signature import SignatureError
from receiver.store import StoreError
from receiver.upkeep.infer import InferError
from receiver.upkeep.revision import RevisionError

FAILURES = (
    ContractError,
    HandlersError,
    InboxError,
    InferError,
    MatchError,
    RetryError,
    RevisionError,
    SignatureError,
    StoreError,
)


@click.group(cls=Group, section="receiver", failures=FAILURES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="receiver")
def main() -> None:
    """Receive EnableNow's webhooks: validate, store durably, route to handlers.

    Options can also be set in the environment (RECEIVER_PORT=9000) and in pyproject.toml, under [tool.receiver].
    """


for command in (run, url, list_, show, wait, retry, judge, gaps, prune, schemas, export):
    main.add_command(command)
