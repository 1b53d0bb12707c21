"""The one place that wires the receiver together: contract, inbox, handlers, worker, heart, intake, and the listeners
in front of them.

`serve` is the receiver with its own listener, a context manager; `create_app` is the same without one, for any WSGI
server.
"""

import atexit
import logging
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from click import unstyle
from flask import Flask

from receiver.contract import Contract
from receiver.entry import RunState
from receiver.handlers import Handlers
from receiver.inbox import Inbox
from receiver.inspector.app import create_inspector
from receiver.inspector.rooms import Rooms
from receiver.intake import HookApp, Intake
from receiver.listener import listen, serving
from receiver.redact import known
from receiver.report import Report
from receiver.secret import AUTO, kept, secret_path
from receiver.settings import HOST, MAX_BODY, PATH, PORT, STATE
from receiver.signature import checking
from receiver.store import now
from receiver.terminal import escape, moment, span
from receiver.uptime import Gap, Heart
from receiver.worker import Lock, Worker


@dataclass(frozen=True, slots=True)
class Server:
    """A receiver that listens.

    `inspector`: its root's URL, where there is one, and `token` what to prove there. `leads`: whether this process runs
    the handlers. `interrupted`: how many runs an earlier process left unfinished. `orphaned`: how many runs wait for
    each handler that is not registered now. `down`: the time before this start in which no receiver was up.
    """

    url: str
    inspector: str | None
    token: str | None
    inbox: Inbox
    contract: Contract
    leads: bool
    interrupted: int
    orphaned: Mapping[str, int]
    down: Gap | None


def create_app(
    handlers: Handlers | None = None,
    *,
    path: str = PATH,
    state: str | Path = STATE,
    schemas: str | Path | None = None,
    lenient: bool = False,
    max_body: int = MAX_BODY,
    secrets: Sequence[str] = (),
) -> Flask:
    """The receiver as a WSGI application, for a server of the user's own.

    The inbox is opened and the worker started here, so call it in the process that serves (not before a fork). Several
    processes can share one inbox: one of them runs the handlers. It ends with the process, or with
    `app.extensions["receiver"].close()`. What happens is logged as `receiver`, level INFO.

    Args:
        handlers: what runs for each event; none by default.
        path: of the hook; "auto" is a secret one that is kept with the inbox, and told by `receiver url`.
        state: the directory of the inbox.
        schemas: a directory that replaces the shipped contract.
        lenient: answer 202 to everything that was stored whole.
        max_body: bytes; a longer body is answered 413 and its head is kept.
        secrets: what is not signed with one of them (Standard Webhooks) is answered 401 and not handled.

    Raises:
        ContractError, HandlersError, SignatureError, StoreError: what was given cannot be used.
    """
    log = logging.getLogger("receiver")
    report = Report(lambda line: log.info(unstyle(line)))
    rooms = _Rooms.open(
        handlers or Handlers(), report, Path(state), Path(schemas) if schemas else None, lenient, max_body, secrets
    )
    if gap := rooms.heart.start(alone=rooms.worker.lead()):
        _tell_of_gap(report, gap)
    rooms.worker.start()
    atexit.register(rooms.close)
    app = HookApp(rooms.intake, rooms.path(path))
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
    secrets: Sequence[str] = (),
    inspector_ports: Sequence[int] = (),
    place: str | None = None,
    redact: bool = False,
    ready: Callable[[Server], None] = lambda _: None,
) -> Iterator[Server]:
    """Serves the hook from a thread of its own until the block is left; then finishes what had begun.

    Args: as of `create_app`; `host` and `port` are where to listen, port 0 takes a free one; the inspector takes the
    first of its ports that is free, on loopback, and there is none without one; `place` is where the handlers are, for
    the tests that it writes; `redact` shows no values in it and in the report; `ready` is called when the hook is
    served, before the first handler runs.

    Raises:
        ListenerError, ContractError, HandlersError, SignatureError, StoreError: before anything is served.
    """
    with listen(host, port) as listener:
        rooms = _Rooms.open(handlers, report, state, schemas, lenient, max_body, secrets, redact=redact)
        try:
            path = rooms.path(path)
            app, url = HookApp(rooms.intake, path), _url(host, listener, path)
            token = kept(rooms.inbox.path.parent / "inspector-token") if inspector_ports else None
            with (
                _inspected(inspector_ports, rooms.shown(schemas, place, url, redact=redact), token) as inspector,
                serving(app, listener, max_body, rooms.refused, together=app.take),
            ):
                server = rooms.served_at(url, inspector, token)
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
    heart: Heart
    intake: Intake

    @classmethod
    def open(
        cls,
        handlers: Handlers,
        report: Report,
        state: Path,
        schemas: Path | None,
        lenient: bool,
        max_body: int,
        secrets: Sequence[str],
        *,
        redact: bool = False,
    ) -> "_Rooms":
        contract, flaw = Contract(schemas), checking(secrets)
        report = report.redacted(partial(known, contract=contract)) if redact else report
        handlers.check(contract)
        inbox = Inbox(state)
        worker = Worker(inbox, handlers, report, Lock(inbox.path.parent))
        heart = Heart(inbox.uptime, partial(_tell_of_gap, report))
        intake = Intake(contract, inbox, handlers, report, worker.wake, lenient, max_body, flaw)
        return cls(inbox, worker, heart, intake)

    def path(self, asked: str) -> str:
        """Of the hook."""
        return secret_path(self.inbox.path.parent) if asked == AUTO else asked

    def refused(self, status: int, reason: str) -> None:
        self.intake.report.refused(status, f"not HTTP: {escape(reason)}")

    def shown(self, schemas: Path | None, place: str | None, hook: str, *, redact: bool) -> Rooms:
        """What the inspector shows."""
        contract, handlers = self.intake.contract, self.intake.handlers
        return Rooms(self.inbox, self.heart, contract, handlers, self.worker.wake, schemas, place, hook, redact)

    def served_at(self, url: str, inspector: str | None, token: str | None) -> Server:
        leads = self.worker.lead()
        down = self.heart.start(alone=leads)
        waiting = self.inbox.runs.count(RunState.PENDING)
        return Server(
            url=url,
            inspector=inspector,
            token=token,
            inbox=self.inbox,
            contract=self.intake.contract,
            leads=leads,
            interrupted=sum(self.inbox.runs.count(RunState.INTERRUPTED).values()),
            orphaned={name: runs for name, runs in waiting.items() if name not in self.intake.handlers.names()},
            down=down,
        )

    def close(self) -> None:
        self.heart.close()
        self.worker.close()
        self.inbox.close()


@contextmanager
def _inspected(ports: Sequence[int], rooms: Rooms, token: str | None) -> Iterator[str | None]:
    """Serves the inspector while the block runs; its root's URL. None where there is no token to ask for."""
    if token is None:
        yield None
        return
    with listen(HOST, *ports) as listener, serving(create_inspector(rooms, token), listener, MAX_BODY):
        yield _url(HOST, listener, "/")


def _url(host: str, listener: socket.socket, path: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}{path}"


def _tell_of_gap(report: Report, gap: Gap) -> None:
    since, length = moment(gap.since), span((gap.until or now()) - gap.since)
    report.trouble(f"nobody listened from {since} for {length}; fetch from the API what was sent then")
