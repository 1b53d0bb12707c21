"""`receiver run --demo`: the sample handlers, and every sample fired once with the real command `sender`.

In: a receiver that listens. Out: the lines that a user would see in a second terminal. Nothing of the sender is
imported.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from receiver.contract import Contract
from receiver.server import Server
from receiver.terminal import shorten, style


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
    write(f"\nThat was every sample; the receiver goes on. In a second terminal: {_sender()} fire transactions.fetched")


def _sender() -> str:
    """The command as a second terminal, which may not be in this virtual environment, can type it."""
    return "sender" if which("sender") else shorten(Path(sys.executable).parent / "sender")


def _fire(server: Server, event: str, sample: str, write: Callable[[str], None]) -> None:
    chosen = [] if sample == "default" else ["--sample", sample]
    write(style(f"$ {' '.join(['sender', 'fire', event, *chosen])}", "cyan"))
    places = ["--to", server.url, "--state", str(server.inbox.path.parent), "--schemas", str(server.contract.directory)]
    command = [sys.executable, "-m", "sender", "fire", event, *chosen, *places]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    write((ended.stdout + ended.stderr).rstrip())
