"""A contract from a directory, or as git has it at a revision.

In: `DIR`, `REV` or `REV:path`. Out: a contract. git is only asked for what it has, in a process of its own; nothing is
checked out, and nothing is fetched.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from receiver.contract import Contract, ContractError

DEFAULT_PATH = "schemas"
"""Where the schemas are in a revision for which nothing else is said, seen from the top of the repository."""

SECONDS = 30
"""Longer than this no answer of git is waited for."""


class RevisionError(Exception):
    """There is no such directory or revision, or no contract in it; the text says what to give instead."""


@contextmanager
def contract_at(where: str) -> Iterator[Contract]:
    """The contract in a directory, or, where there is no such directory, in a git revision; valid in the block.

    Raises:
        RevisionError: it cannot be had.
    """
    if Path(where).is_dir():
        yield Contract(Path(where))
        return
    with TemporaryDirectory(prefix="receiver-") as folder:
        directory = Path(folder, "schemas")
        directory.mkdir()
        for name, content in _files(where):
            (directory / name).write_bytes(content)
        try:
            contract = Contract(directory)
        except ContractError as error:
            raise RevisionError(str(error).replace(str(directory), where)) from error
        yield contract


def _files(where: str) -> Iterator[tuple[str, bytes]]:
    """The `.json` files that lie directly in a directory of a revision."""
    revision, _, path = where.partition(":")
    try:
        tree = _git("rev-parse", "--verify", "--end-of-options", f"{revision}:{path or DEFAULT_PATH}").decode().strip()
        for line in _git("ls-tree", "-z", tree).split(b"\0")[:-1]:
            about, _, name = line.partition(b"\t")
            _, kind, blob = about.split()
            if kind == b"blob" and name.endswith(b".json"):
                yield name.decode(errors="replace"), _git("cat-file", "blob", blob.decode())
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip() or str(error)
        raise RevisionError(
            f"{where}: no such directory, and in git there is no such revision with such a directory "
            f"({said.splitlines()[-1]}); give DIR, REV or REV:path (of REV alone it is REV:{DEFAULT_PATH})"
        ) from error


def _git(*words: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise FileNotFoundError("git is not installed")
    return subprocess.run([git, *words], capture_output=True, check=True, timeout=SECONDS).stdout  # noqa: S603 - no shell, and what is given cannot be an option
