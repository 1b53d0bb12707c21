"""The map of the rooms in CONTRIBUTING.md, held: what may import what, and what each command may not pay for."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SOON


def allowed() -> dict[str, set[str]]:
    """What `rooms.txt` says: of each file the rooms that it may import."""
    lines = (ROOT / "tests" / "rooms.txt").read_text(encoding="utf-8").splitlines()[1:]
    parts = [line.partition(":") for line in lines]
    return {
        path: {f"{path.split('/')[0]}{name}" if name.startswith(".") else name for name in names.split()}
        for path, _, names in parts
    }


FILES = sorted(path for room in ("receiver", "sender") for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in {"receiver", "sender"}}


def test_each_file_imports_just_the_rooms_that_it_may() -> None:
    assert {str(path.relative_to(ROOT)): imported(path) for path in FILES} == allowed()


COMMON = {"contract", "delivery", "entry", "inbox", "instances", "listener", "match", "outline", "page", "settings"}
COMMON |= {"secret", "store", "terminal", "violations"}


def test_the_sender_stands_on_these_rooms_of_the_receiver_and_the_receiver_on_none_of_the_sender() -> None:
    for path in FILES:
        half, others = path.relative_to(ROOT).parts[0], imported(path)
        if half == "receiver":
            assert not [name for name in others if name.split(".")[0] == "sender"], path
        elif path.name != "pytest_plugin.py":  # which stands on the receiver's plugin
            assert {name.split(".")[1] for name in others if name.startswith("receiver.")} <= COMMON


def test_contributing_tells_these_rooms() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"The sender stands on the receiver's (.*?) \(", text, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", sentence)) == COMMON


def test_contributing_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in FILES:
        if not path.name.startswith("__"):
            assert re.search(rf"`(\w+/)?{path.parent.name}/{path.name}`|`{path.name}`", text), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_grows_past_what_one_can_hold_in_mind(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 310


@pytest.mark.parametrize(
    ("code", "costs"),
    [
        ("import receiver, sender", {"click", "flask", "requests", "jsonschema_rs", "sqlite3", "waitress"}),
        ("from receiver import Handlers", {"flask", "requests", "jsonschema", "sqlite3", "waitress"}),
        (
            "from sender.cli import main; main(['fire', 'transactions.fetched', '--dry-run'])",
            {"flask", "requests", "jsonschema"},
        ),
        (
            "from sender.cli import main; main(['fire', 'transactions.fetched'])",
            {"flask", "jsonschema", "waitress", "referencing"},
        ),
        ("from receiver.cli import main; main(['list'])", {"flask", "requests", "jsonschema", "waitress"}),
        (
            "from receiver.cli import main; main(['schemas', 'list'])",
            {"flask", "requests", "jsonschema", "waitress", "genson"},
        ),
    ],
)
def test_a_command_does_not_import_what_it_does_not_need(code: str, costs: set[str]) -> None:
    ending = f"import sys, atexit; atexit.register(lambda: print('costs', *({costs} & set(sys.modules))))\n{code}"
    ended = subprocess.run([sys.executable, "-c", ending], capture_output=True, text=True, timeout=SOON, check=False)
    assert ended.stdout.splitlines()[-1] == "costs"
