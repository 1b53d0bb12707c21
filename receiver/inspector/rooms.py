"""What stands behind the inspector, and what of it may be shown.

In: the rooms of a running receiver. Out: deliveries, whole or in brief; without their values where that is asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from receiver.contract import Contract
from receiver.entry import Entry, Listed
from receiver.handlers import Handlers
from receiver.inbox import Inbox
from receiver.redact import known, redacted
from receiver.uptime import Heart


@dataclass(frozen=True, slots=True)
class Rooms:
    """What stands behind the inspector.

    `wake`: says to the worker that something is in line. `schemas`: the directory that replaces the shipped contract.
    `place`: where the handlers are. `hook`: the URL that webhooks are POSTed to. `redact`: show no values.
    """

    inbox: Inbox
    heart: Heart
    contract: Contract
    handlers: Handlers
    wake: Callable[[], None]
    schemas: Path | None
    place: str | None
    hook: str
    redact: bool

    def entry(self, id_: str) -> Entry:
        """The delivery whose id begins so, as it may be shown.

        Raises:
            InboxError: none does, or several do.
        """
        entry = self.inbox.entry(id_)
        return redacted(entry, self.contract) if self.redact else entry

    def shown(self, listed: Sequence[Listed]) -> tuple[Listed, ...]:
        """Deliveries in brief, as they may be shown."""
        if not self.redact:
            return tuple(listed)
        return tuple(replace(one, event=known(one.event, self.contract)) for one in listed)
