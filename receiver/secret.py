"""Secrets that are made once and kept in the state directory: the path of `--path auto`, the tokens of pages.

In: where, and what to make. Out: the secret. Only its owner can read it there, and it is written whole only for
who asks.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from receiver.settings import PATH
from receiver.store import StoreError

AUTO = "auto"
"""The path that stands for the secret one."""


def secret_path(state: Path) -> str:
    """The secret path of the receiver whose inbox is there, for a provider that signs nothing.

    Raises:
        StoreError: it cannot be kept.
    """
    return kept(state / "path", lambda: f"{PATH}/{new_token()}")


def new_token() -> str:
    """32 characters that nobody guesses."""
    return secrets.token_urlsafe(24)


def kept(file: Path, make: Callable[[], str] = new_token) -> str:
    """The secret in a file, so that who knows it does so after a restart too; made where there is none yet.

    Raises:
        StoreError: it cannot be kept.
    """
    try:
        if not file.exists():
            _put(make(), file)
        return file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise StoreError(f"{file}: mend the permissions or choose another --state ({error})") from error


def _put(secret: str, file: Path) -> None:
    """Whole or not at all, and of two that make one at the same time the first wins."""
    made = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    made.touch(mode=0o600, exist_ok=False)
    try:
        made.write_text(f"{secret}\n", encoding="ascii")
        with suppress(FileExistsError):
            os.link(made, file)
    finally:
        made.unlink()
