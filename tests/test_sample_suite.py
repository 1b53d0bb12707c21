"""The sample suite, run as a user would: from a clone, and by the workflow in a project of one's own."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SOON, command

from receiver.contract import Contract
from sender.verify.testing import contract_cases

SAMPLES = ROOT / "samples"


@pytest.fixture(autouse=True)
def as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.slow
def test_in_a_clone(tmp_path: Path) -> None:
    copied(SAMPLES, tmp_path / "samples")
    ended = command("pytest", "-W", "error", "samples/testing")
    assert ended.returncode == 0, ended.stdout
    samples = sum(len(list((SAMPLES / event).glob("*.json"))) for event in Contract().events)
    tests = sum(path.read_text().count("\ndef test") for path in (SAMPLES / "testing").glob("test_*.py"))
    cases = len(list(contract_cases(Contract(), events=["transactions.fetched"], only=["samples", "malformed"])))
    assert f"{samples + cases + tests - 2} passed" in ended.stdout


@pytest.mark.slow
def test_by_the_workflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its commands but the first, which installs what is installed here already."""
    copied(SAMPLES / "testing", tmp_path / "tests")
    shutil.copy(SAMPLES / "handlers.py", tmp_path)
    install, *steps = re.findall(r"^ +- run: (.*)$", (tmp_path / "tests" / "ci.yml").read_text(), re.MULTILINE)
    assert install == "pip install enablenow-webhooks pytest"
    assert steps
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    monkeypatch.setenv("RECEIVER_PORT", port)
    for step in steps:
        words = ["bash", "-ec", step.replace("8787", port)]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=SOON * 3, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "383 passed" in ended.stdout


def test_it_notices_when_a_handler_breaks(tmp_path: Path) -> None:
    copied(SAMPLES / "testing", tmp_path / "tests")
    text = (SAMPLES / "handlers.py").read_text()
    (tmp_path / "handlers.py").write_text(text.replace('delivery.data["consentId"]', 'delivery.data["consent_id"]'))
    ended = command("pytest", "tests")
    assert ended.returncode == 1
    failed = re.findall(r"^(?:FAILED|ERROR) tests/test_(\w+)\.py::(\w+)", ended.stdout, re.MULTILINE)
    assert ("handlers", "test_every_sample_has_a_handler_that_takes_it") in failed
    assert ("webhooks", "test_a_consent_that_changed_is_read_again") in failed
