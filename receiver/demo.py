"""`receiver run --demo`: the sample handlers, and every sample fired once with the real command `sender`.

In: a receiver that listens. Out: the lines that a user would see in a second terminal. Nothing of the sender is
imported.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import join as quoted
from shutil import which

from receiver.contract import Contract
from receiver.entry import RunState
from receiver.server import Server
from receiver.settings import HOOK, STATE
from receiver.terminal import shorten, style

PATIENCE_SECONDS = 1.0

_NOT_ENDED = (RunState.PENDING, RunState.RUNNING)


def handlers_file() -> str:
    """The sample handlers."""
    return str(Contract().samples_directory / "handlers.py")


@contextmanager
def demonstrating(server: Server, write: Callable[[str], None]) -> Iterator[None]:
    """Fires the samples while the block runs; when it is left, those that were not fired yet are not."""
    stopping = threading.Event()
    thread = threading.Thread(target=_fire_all, args=(server, write, stopping), name="demo", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _fire_all(server: Server, write: Callable[[str], None], stopping: threading.Event) -> None:
    for event in server.contract.events:
        for sample in server.contract.samples(event):
            if stopping.is_set():
                return
            _fire(server, event, sample, write)
    again = quoted([_sender(), "fire", list(server.contract.events)[-1], *_places(server)])
    write(f"\nThat was every sample; the receiver goes on. In a second terminal: {again}")


def _fire(server: Server, event: str, sample: str, write: Callable[[str], None]) -> None:
    chosen = ["fire", event, *([] if sample == "default" else ["--sample", sample])]
    write(style(f"$ {quoted(['sender', *chosen, *_places(server)])}", "cyan"))
    # What is not said in the line is said in the command: the environment may have other defaults.
    places = ["--to", server.url, "--state", _state(server), "--schemas", str(server.contract.directory)]
    command = [sys.executable, "-m", "sender", *chosen, *places]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    _let_handlers_end(server)
    write((ended.stdout + ended.stderr).rstrip())


def _let_handlers_end(server: Server) -> None:
    """So that what the receiver tells of an event stands together; soon, or the demo goes on without."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and any(server.inbox.runs.count(state) for state in _NOT_ENDED):
        time.sleep(0.01)  # a poll: the worker tells nobody but the inbox


def _places(server: Server) -> list[str]:
    """The options that lead to this receiver, where it is not at its usual place."""
    to = [] if server.url == HOOK else ["--to", server.url]
    state = [] if _state(server) == str(STATE) else ["--state", _state(server)]
    own = server.contract.directory != Contract().directory
    return [*to, *state, *(["--schemas", str(server.contract.directory)] if own else [])]


def _state(server: Server) -> str:
    return str(server.inbox.path.parent)


def _sender() -> str:
    """The command as a second terminal, which may not be in this virtual environment, can type it."""
    return "sender" if which("sender") else shorten(Path(sys.executable).parent / "sender")
