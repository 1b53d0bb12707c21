"""The one place that wires the receiver together: contract, inbox, handlers, worker, intake, and the listener in front
of them.

`serve` is the receiver with its own listener, a context manager; `create_app` is the same without one, for any WSGI
server.
"""

import atexit
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from click import unstyle
from flask import Flask

from receiver.contract import Contract
from receiver.entry import RunState
from receiver.handlers import Handlers
from receiver.inbox import Inbox
from receiver.intake import HookApp, Intake
from receiver.listener import listen, serving
from receiver.report import Report
from receiver.settings import HOST, MAX_BODY, PATH, PORT, STATE
from receiver.terminal import escape
from receiver.worker import Lock, Worker


@dataclass(frozen=True, slots=True)
class Server:
    """A receiver that listens.

    `leads`: whether this process runs the handlers. `interrupted`: how many runs an earlier process left unfinished.
    `orphaned`: how many runs wait for each handler that is not registered now.
    """

    url: str
    inbox: Inbox
    contract: Contract
    leads: bool
    interrupted: int
    orphaned: Mapping[str, int]


def create_app(
    handlers: Handlers | None = None,
    *,
    path: str = PATH,
    state: str | Path = STATE,
    schemas: str | Path | None = None,
    lenient: bool = False,
    max_body: int = MAX_BODY,
) -> Flask:
    """The receiver as a WSGI application, for a server of the user's own.

    The inbox is opened and the worker started here, so call it in the process that serves (not before a fork). Several
    processes can share one inbox: one of them runs the handlers. It ends with the process, or with
    `app.extensions["receiver"].close()`. What happens is logged as `receiver`, level INFO.

    Args:
        handlers: what runs for each event; none by default.
        path: of the hook.
        state: the directory of the inbox.
        schemas: a directory that replaces the shipped contract.
        lenient: answer 202 to everything that was stored whole.
        max_body: bytes; a longer body is answered 413 and its head is kept.

    Raises:
        ContractError, HandlersError, StoreError: what was given cannot be used.
    """
    log = logging.getLogger("receiver")
    report = Report(lambda line: log.info(unstyle(line)))
    rooms = _Rooms.open(
        handlers or Handlers(), report, Path(state), Path(schemas) if schemas else None, lenient, max_body
    )
    rooms.worker.lead()
    rooms.worker.start()
    atexit.register(rooms.close)
    app = HookApp(rooms.intake, path)
    app.extensions["receiver"] = rooms
    return app


@contextmanager
def serve(
    handlers: Handlers,
    report: Report,
    *,
    host: str = HOST,
    port: int = PORT,
    path: str = PATH,
    state: Path = STATE,
    schemas: Path | None = None,
    lenient: bool = False,
    max_body: int = MAX_BODY,
    ready: Callable[[Server], None] = lambda _: None,
) -> Iterator[Server]:
    """Serves the hook from a thread of its own until the block is left; then finishes what had begun.

    Args: as of `create_app`; `host` and `port` are where to listen, port 0 takes a free one; `ready` is called when the
    hook is served, before the first handler runs.

    Raises:
        ListenerError, ContractError, HandlersError, StoreError: before anything is served.
    """
    with listen(host, port) as listener:
        rooms = _Rooms.open(handlers, report, state, schemas, lenient, max_body)
        try:
            with serving(HookApp(rooms.intake, path), listener, max_body, rooms.refused):
                shown = f"[{host}]" if ":" in host else host
                url = f"http://{shown}:{listener.getsockname()[1]}{path}"
                server = rooms.served_at(url)
                ready(server)
                rooms.worker.start()
                yield server
        finally:
            rooms.close()


@dataclass(frozen=True, slots=True)
class _Rooms:
    """What stands behind a listener."""

    inbox: Inbox
    worker: Worker
    intake: Intake

    @classmethod
    def open(
        cls, handlers: Handlers, report: Report, state: Path, schemas: Path | None, lenient: bool, max_body: int
    ) -> "_Rooms":
        contract = Contract(schemas)
        handlers.check(contract)
        inbox = Inbox(state)
        worker = Worker(inbox, handlers, report, Lock(inbox.path.parent))
        intake = Intake(contract, inbox, handlers, report, worker.wake, lenient, max_body)
        return cls(inbox, worker, intake)

    def refused(self, status: int, reason: str) -> None:
        self.intake.report.refused(status, f"not HTTP: {escape(reason)}")

    def served_at(self, url: str) -> Server:
        leads = self.worker.lead()
        waiting = self.inbox.count(RunState.PENDING)
        return Server(
            url=url,
            inbox=self.inbox,
            contract=self.intake.contract,
            leads=leads,
            interrupted=sum(self.inbox.count(RunState.INTERRUPTED).values()),
            orphaned={name: runs for name, runs in waiting.items() if name not in self.intake.handlers.names()},
        )

    def close(self) -> None:
        self.worker.close()
        self.inbox.close()
