"""A path of the hook that nobody guesses, for a provider that signs nothing: made once, and kept beside the inbox.

In: the directory of an inbox. Out: the path. Whoever knows it may post, so it is written whole only for who asks.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from receiver.settings import PATH
from receiver.store import StoreError

FILE = "path"
AUTO = "auto"
"""The path that stands for the secret one."""


def secret_path(state: Path) -> str:
    """The secret path of the receiver whose inbox is there; made where there is none yet.

    Raises:
        StoreError: it cannot be kept.
    """
    file = state / FILE
    try:
        if not file.exists():
            _make(file)
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StoreError(f"{file}: mend the permissions or choose another --state ({error})") from error


def _make(file: Path) -> None:
    """Whole or not at all, and of two that make one at the same time the first wins."""
    made = file.with_name(f"{FILE}.{secrets.token_hex(4)}")
    made.touch(mode=0o600, exist_ok=False)
    try:
        made.write_text(f"{PATH}/{secrets.token_urlsafe(24)}\n", encoding="ascii")
        with suppress(FileExistsError):
            os.link(made, file)
    finally:
        made.unlink()
