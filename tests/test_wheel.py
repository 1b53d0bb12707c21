"""What is shipped: the exact contents of the wheel, and a run from it, outside the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, Process, command, wait_for

from receiver import __version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(words, check=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_both_packages_their_data_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"enablenow_webhooks-{__version__}-py3-none-any.whl"
    info = f"enablenow_webhooks-{__version__}.dist-info"
    meta = {f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    code = {str(path.relative_to(ROOT)) for half in ("receiver", "sender") for path in (ROOT / half).rglob("*.py")}
    data = {
        f"receiver/{path.relative_to(ROOT)}"
        for room in ("schemas", "samples")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    pages = {
        str(path.relative_to(ROOT))
        for half in ("receiver", "sender")
        for room in ("static", "templates")
        for path in (ROOT / half).rglob(f"{room}/*")
    }
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == meta | code | data | pages | {"receiver/py.typed", "sender/py.typed"}
        scripts = archive.read(f"{info}/entry_points.txt").decode()
        about = archive.read(f"{info}/METADATA").decode()
    assert "receiver = receiver.__main__:main" in scripts
    assert "sender = sender.__main__:main" in scripts
    assert f"Version: {__version__}" in about


@pytest.mark.slow
def test_it_runs_from_an_installed_wheel(wheel: Path, tmp_path: Path, receiving: Callable[..., Process]) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    env = {**os.environ, "PYTHONPATH": str(site)}
    receiver = receiving("--demo", env=env)
    wait_for(lambda: any("That was every sample" in line for line in receiver.errors), "the demo to end")
    samples = len(list(site.rglob("samples/*/*.json")))
    wait_for(lambda: len(receiver.find(type="run", state="done")) == samples, "each sample's handler")
    fired = command("sender", "fire", "transactions.fetched", "--to", receiver.url, "--json", env=env)
    assert json.loads(fired.stdout)["status"] == 202
    where = subprocess.run(
        [sys.executable, "-c", "from receiver.contract import Contract; print(Contract().directory)"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.strip() == str(site / "receiver" / "schemas")
