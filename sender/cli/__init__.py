"""The command `sender`: each subcommand parses its options, makes one call, prints what came of it.

`firing` (fire) · `playing` (play) · `endpoints` · `forwarding` (forward) · `serving` (serve) · `verifying` (verify) ·
`looking` (events, log, show) · `options` (shared).
"""

import click

from receiver import __version__
from receiver.contract import ContractError
from receiver.inbox import InboxError
from receiver.settings import Group
from receiver.store import StoreError
from sender.address import EndpointError
from sender.cli.endpoints import endpoints
from sender.cli.firing import fire
from sender.cli.forwarding import forward
from sender.cli.looking import events, log, show
from sender.cli.playing import play
from sender.cli.serving import serve
from sender.cli.verifying import verify
from sender.ledger import LedgerError
from sender.payload import PayloadError
from sender.places import ForwardError
from sender.scenario import ScenarioError
from sender.verify.shapes import ShapeError

FAILURES = (
    ContractError,
    EndpointError,
    ForwardError,
    InboxError,
    LedgerError,
    PayloadError,
    ScenarioError,
    ShapeError,
    StoreError,
)


@click.group(cls=Group, section="sender", failures=FAILURES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sender")
def main() -> None:
    """Send webhooks as EnableNow does: exactly one POST per event and endpoint, never a retry.

    Options can also be set in the environment (SENDER_TO=http://127.0.0.1:9000/hook) and in pyproject.toml, under
    [tool.sender].
    """


for command in (fire, play, endpoints, forward, serve, verify, events, log, show):
    main.add_command(command)
