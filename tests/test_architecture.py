"""The map of the rooms in CONTRIBUTING.md, held: what may import what, and what each command may not pay for."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SOON

ROOMS = {
    "receiver/__init__.py": {"receiver.delivery", "receiver.handlers", "receiver.server"},
    "receiver/__main__.py": {"receiver.cli"},
    "receiver/violations.py": set(),
    "receiver/documents.py": set(),
    "receiver/contract.py": {"receiver.documents", "receiver.violations"},
    "receiver/outline.py": {"receiver.contract"},
    "receiver/instances.py": {"receiver.contract", "receiver.outline"},
    "receiver/upkeep/__init__.py": set(),
    "receiver/upkeep/changes.py": {"receiver.contract", "receiver.outline", "receiver.violations"},
    "receiver/upkeep/containment.py": {"receiver.upkeep.changes", "receiver.contract", "receiver.outline"},
    "receiver/upkeep/compatibility.py": {
        "receiver.upkeep.changes",
        "receiver.upkeep.containment",
        "receiver.contract",
        "receiver.instances",
        "receiver.outline",
        "receiver.violations",
    },
    "receiver/upkeep/drift.py": {
        "receiver.contract",
        "receiver.delivery",
        "receiver.entry",
        "receiver.outline",
        "receiver.violations",
    },
    "receiver/upkeep/infer.py": {"receiver.documents", "receiver.entry", "receiver.terminal"},
    "receiver/upkeep/sanitise.py": {
        "receiver.upkeep.changes",
        "receiver.contract",
        "receiver.instances",
        "receiver.outline",
        "receiver.violations",
    },
    "receiver/upkeep/revision.py": {"receiver.contract"},
    "receiver/upkeep/lint.py": {
        "receiver.delivery",
        "receiver.documents",
        "receiver.outline",
        "receiver.terminal",
        "receiver.violations",
    },
    "receiver/delivery.py": set(),
    "receiver/commits.py": set(),
    "receiver/store.py": {"receiver.commits"},
    "receiver/terminal.py": set(),
    "receiver/settings.py": {"receiver.terminal"},
    "receiver/entry.py": {"receiver.contract", "receiver.delivery", "receiver.violations"},
    "receiver/runs.py": {"receiver.commits", "receiver.delivery", "receiver.entry", "receiver.store"},
    "receiver/uptime.py": {"receiver.store"},
    "receiver/inbox.py": {
        "receiver",
        "receiver.commits",
        "receiver.contract",
        "receiver.entry",
        "receiver.runs",
        "receiver.store",
        "receiver.uptime",
        "receiver.violations",
    },
    "receiver/quarantine.py": {"receiver.contract", "receiver.delivery", "receiver.entry", "receiver.inbox"},
    "receiver/inspector.py": {
        "receiver.entry",
        "receiver.inbox",
        "receiver.store",
        "receiver.terminal",
        "receiver.uptime",
    },
    "receiver/match.py": {"receiver.entry"},
    "receiver/watch.py": {"receiver.entry", "receiver.inbox", "receiver.match"},
    "receiver/handlers.py": {"receiver.contract", "receiver.delivery", "receiver.match", "receiver.terminal"},
    "receiver/report.py": {
        "receiver.contract",
        "receiver.delivery",
        "receiver.entry",
        "receiver.store",
        "receiver.terminal",
    },
    "receiver/worker.py": {
        "receiver.entry",
        "receiver.handlers",
        "receiver.inbox",
        "receiver.report",
        "receiver.store",
    },
    "receiver/retry.py": {
        "receiver.entry",
        "receiver.handlers",
        "receiver.inbox",
        "receiver.report",
        "receiver.terminal",
        "receiver.worker",
    },
    "receiver/intake.py": {
        "receiver.contract",
        "receiver.delivery",
        "receiver.entry",
        "receiver.handlers",
        "receiver.inbox",
        "receiver.report",
        "receiver.store",
        "receiver.terminal",
        "receiver.violations",
    },
    "receiver/parser.py": set(),
    "receiver/listener.py": {"receiver.parser"},
    "receiver/server.py": {
        "receiver.contract",
        "receiver.entry",
        "receiver.handlers",
        "receiver.inbox",
        "receiver.inspector",
        "receiver.intake",
        "receiver.listener",
        "receiver.report",
        "receiver.settings",
        "receiver.store",
        "receiver.terminal",
        "receiver.uptime",
        "receiver.worker",
    },
    "receiver/testing.py": {
        "receiver.entry",
        "receiver.handlers",
        "receiver.match",
        "receiver.report",
        "receiver.server",
        "receiver.terminal",
        "receiver.watch",
    },
    "receiver/pytest_plugin.py": {
        "receiver.contract",
        "receiver.delivery",
        "receiver.handlers",
        "receiver.terminal",
        "receiver.testing",
    },
    "receiver/demo.py": {
        "receiver.contract",
        "receiver.entry",
        "receiver.server",
        "receiver.settings",
        "receiver.terminal",
    },
    "receiver/cli/__init__.py": {
        "receiver",
        "receiver.cli.again",
        "receiver.cli.exporting",
        "receiver.cli.looking",
        "receiver.cli.pruning",
        "receiver.cli.schemas",
        "receiver.cli.serving",
        "receiver.cli.waiting",
        "receiver.contract",
        "receiver.handlers",
        "receiver.inbox",
        "receiver.upkeep.infer",
        "receiver.match",
        "receiver.retry",
        "receiver.upkeep.revision",
        "receiver.settings",
        "receiver.store",
    },
    "receiver/cli/captured.py": {
        "receiver.cli.options",
        "receiver.contract",
        "receiver.upkeep.drift",
        "receiver.inbox",
        "receiver.upkeep.infer",
        "receiver.terminal",
    },
    "receiver/cli/exporting.py": {
        "receiver.cli.options",
        "receiver.contract",
        "receiver.delivery",
        "receiver.entry",
        "receiver.inbox",
        "receiver.upkeep.sanitise",
        "receiver.settings",
        "receiver.terminal",
    },
    "receiver/cli/comparing.py": {
        "receiver.cli.options",
        "receiver.upkeep.compatibility",
        "receiver.upkeep.revision",
        "receiver.terminal",
    },
    "receiver/cli/options.py": {"receiver.contract", "receiver.settings", "receiver.store", "receiver.terminal"},
    "receiver/cli/schemas.py": {
        "receiver.cli.captured",
        "receiver.cli.comparing",
        "receiver.cli.options",
        "receiver.contract",
        "receiver.documents",
        "receiver.upkeep.lint",
        "receiver.outline",
        "receiver.terminal",
        "receiver.violations",
    },
    "receiver/cli/serving.py": {
        "receiver",
        "receiver.cli.options",
        "receiver.demo",
        "receiver.handlers",
        "receiver.listener",
        "receiver.report",
        "receiver.server",
        "receiver.settings",
        "receiver.terminal",
    },
    "receiver/cli/looking.py": {
        "receiver.cli.options",
        "receiver.contract",
        "receiver.entry",
        "receiver.inbox",
        "receiver.report",
        "receiver.settings",
        "receiver.store",
        "receiver.terminal",
        "receiver.uptime",
        "receiver.watch",
    },
    "receiver/cli/waiting.py": {
        "receiver.cli.options",
        "receiver.entry",
        "receiver.match",
        "receiver.report",
        "receiver.settings",
        "receiver.terminal",
        "receiver.watch",
    },
    "receiver/cli/again.py": {
        "receiver.cli.options",
        "receiver.contract",
        "receiver.entry",
        "receiver.inbox",
        "receiver.quarantine",
        "receiver.report",
        "receiver.retry",
        "receiver.terminal",
    },
    "receiver/cli/pruning.py": {
        "receiver.cli.options",
        "receiver.contract",
        "receiver.inbox",
        "receiver.settings",
        "receiver.terminal",
    },
    "sender/__init__.py": set(),
    "sender/__main__.py": {"sender.cli"},
    "sender/payload.py": {"receiver.contract", "receiver.terminal"},
    "sender/endpoints.py": set(),
    "sender/ledger.py": {"receiver.store", "receiver.terminal"},
    "sender/wire.py": set(),
    "sender/post.py": {"receiver", "sender.endpoints", "sender.ledger", "sender.wire"},
    "sender/fire.py": {"receiver.store", "receiver.terminal", "sender.ledger", "sender.post"},
    "sender/volley.py": {"sender.fire", "sender.ledger", "sender.post"},
    "sender/tally.py": {"sender.ledger"},
    "sender/report.py": {"receiver.terminal", "sender.endpoints", "sender.ledger", "sender.tally"},
    "sender/verify/__init__.py": set(),
    "sender/verify/rules.py": set(),
    "sender/verify/notation.py": set(),
    "sender/verify/values.py": {"receiver.contract"},
    "sender/verify/shapes.py": {
        "receiver.contract",
        "receiver.instances",
        "receiver.outline",
        "sender.verify.notation",
        "sender.verify.values",
    },
    "sender/verify/cases.py": {
        "receiver.contract",
        "sender.verify",
        "sender.verify.notation",
        "sender.verify.rules",
        "sender.verify.shapes",
    },
    "sender/verify/runner.py": {"sender.ledger", "sender.post", "sender.verify.cases", "sender.verify.rules"},
    "sender/verify/record.py": {"sender.verify.cases", "sender.verify.rules", "sender.verify.runner"},
    "sender/verify/report.py": {
        "receiver.terminal",
        "sender.verify.cases",
        "sender.verify.rules",
        "sender.verify.runner",
    },
    "sender/verify/junit.py": {"sender.verify.report", "sender.verify.rules", "sender.verify.runner"},
    "sender/testing.py": {
        "receiver.contract",
        "receiver.store",
        "receiver.terminal",
        "sender.endpoints",
        "sender.fire",
        "sender.ledger",
        "sender.payload",
        "sender.post",
    },
    "sender/pytest_plugin.py": {
        "receiver.contract",
        "receiver.pytest_plugin",
        "sender.testing",
        "sender.verify.shapes",
        "sender.verify.testing",
    },
    "sender/verify/testing.py": {
        "receiver.contract",
        "sender.endpoints",
        "sender.ledger",
        "sender.post",
        "sender.verify.cases",
        "sender.verify.report",
        "sender.verify.rules",
        "sender.verify.runner",
    },
    "sender/cli/__init__.py": {
        "receiver",
        "receiver.contract",
        "receiver.settings",
        "receiver.store",
        "sender.cli.firing",
        "sender.cli.looking",
        "sender.cli.verifying",
        "sender.endpoints",
        "sender.ledger",
        "sender.payload",
        "sender.verify.shapes",
    },
    "sender/cli/options.py": {"receiver.contract", "receiver.settings"},
    "sender/cli/verifying.py": {
        "receiver.contract",
        "receiver.settings",
        "receiver.terminal",
        "sender.cli.options",
        "sender.endpoints",
        "sender.post",
        "sender.verify.cases",
        "sender.verify.junit",
        "sender.verify.record",
        "sender.verify.report",
        "sender.verify.rules",
        "sender.verify.runner",
    },
    "sender/cli/firing.py": {
        "receiver.contract",
        "receiver.settings",
        "receiver.store",
        "receiver.terminal",
        "sender.cli.options",
        "sender.endpoints",
        "sender.fire",
        "sender.ledger",
        "sender.payload",
        "sender.post",
        "sender.report",
        "sender.tally",
        "sender.volley",
    },
    "sender/cli/looking.py": {
        "receiver.contract",
        "receiver.terminal",
        "sender.cli.options",
        "sender.ledger",
        "sender.report",
    },
}
"""Every file, and the rooms that it may import. The receiver knows nothing of the sender."""

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
    assert {str(path.relative_to(ROOT)): imported(path) for path in FILES} == ROOMS


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
