"""The README: its commands are run, its session is what is really printed, and it documents each command and option."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import ROOT, SOON, command, wait_for

from receiver.cli import main as receiver
from sender.cli import main as sender

README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(group: click.Group, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command of a group, also of the groups in it, after the words that call it."""
    for name, sub in group.commands.items():
        yield (*words, name), sub
        if isinstance(sub, click.Group):
            yield from commands(sub, *words, name)


COMMANDS = dict([*commands(receiver, "receiver"), *commands(sender, "sender")])


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def prompt_and_output(block: str) -> tuple[str, str]:
    prompt, _, output = block.partition("\n")
    return prompt.removeprefix("$ "), output


def normal(text: str) -> list[str]:
    """The lines, with what differs from run to run made equal: times, ids, tokens, milliseconds, ports (and that it
    is another one)."""
    text = re.sub(r"\d{4}-\d\d-\d\d", "DAY", text)
    text = re.sub(r"\d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"\b([0-9a-f]{16}|[0-9a-f]{8})\b", "ID", text)
    text = text.replace("  (the default: there is no endpoint)", "")  # the tests' receiver is named
    text = re.sub(r"127\.0\.0\.1:\d+", "HERE", text).replace(" --to http://HERE/webhook", "")
    text = re.sub(r"token=\S+", "token=TOKEN", text)
    return re.sub(r"\b\d+ ms\b", "N ms", text).strip().splitlines()


def bare_copy(target: Path) -> Path:
    """What a newcomer gets: the files, and nothing that was installed or made since."""
    unwanted = shutil.ignore_patterns(".git", ".venv", ".nox", ".schemathesis", ".webhooks", "__pycache__", ".*_cache")
    return Path(shutil.copytree(ROOT, target, ignore=unwanted))


@pytest.mark.slow
def test_the_session_in_the_readme_is_what_a_newcomer_sees(tmp_path: Path) -> None:
    """The set-up command as written, then the second terminal's commands, each against what the README shows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["PATH"] = os.pathsep.join(p for p in env["PATH"].split(os.pathsep) if not (Path(p) / "sender").exists())
    env |= {"RECEIVER_PORT": str(port), "SENDER_TO": f"http://127.0.0.1:{port}/webhook"}
    clone, log = bare_copy(tmp_path / "clone"), tmp_path / "first-terminal"
    (demo, first_screen), *seconds = map(prompt_and_output, blocks("console"))
    with log.open("w") as stdout:
        first = subprocess.Popen(
            ["bash", "-c", demo], cwd=clone, env=env, stdout=stdout, stderr=subprocess.DEVNULL, start_new_session=True
        )
    try:
        wait_for(lambda: "That was every sample" in log.read_text(), "the demo to end", within=150)
        for line, output in seconds:
            words = ["bash", "-c", f"{line} 2>&1"]
            ended = subprocess.run(words, cwd=clone, env=env, capture_output=True, text=True, timeout=SOON, check=False)
            assert normal(ended.stdout) == normal(output), line
        expected = normal(first_screen + blocks("text")[0])
        wait_for(lambda: len(normal(log.read_text())) >= len(expected), "the receiver to tell of them")
    finally:
        os.killpg(first.pid, signal.SIGTERM)
        first.wait(SOON)
    # Which of two processes is first to tell of the same event is not for sure on a busy machine.
    assert sorted(filter(None, normal(log.read_text()))) == sorted(filter(None, expected))


def test_ci_runs_the_readmes_test_command() -> None:
    (line,) = [block.strip() for block in blocks("sh") if "pytest" in block]
    assert f"\n{line}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_command_is_documented_as_its_help_has_it(words: tuple[str, ...]) -> None:
    shown = command(*words, "--help").stdout
    assert shown.replace("Usage: python -m ", "Usage: ") in README


@pytest.mark.parametrize("code", ["0", "1", "2", "3", "4", "70", "130"])
def test_each_exit_code_is_documented(code: str) -> None:
    assert re.search(rf"^\| {code} \|", README, re.MULTILINE)


@pytest.mark.parametrize("code", blocks("python"))
def test_each_python_example_runs(code: str) -> None:
    compile(code, "README", "exec")
    names: dict[str, Any] = {}
    exec(code, names)
    if "app" in names:
        names["app"].extensions["receiver"].close()


@pytest.mark.parametrize("status", ["202", "400", "401", "403", "404", "405", "413", "415", "422", "503"])
def test_each_answer_is_documented(status: str) -> None:
    assert re.search(rf"^\| {status} \|", README, re.MULTILINE)


def test_every_link_to_a_file_leads_somewhere() -> None:
    for target in re.findall(r'(?:\]\(|src="|srcset=")(?!http)([^)#"]+)[)"]', README):
        assert (ROOT / target).exists(), target


def test_every_command_has_a_help_text_for_each_option() -> None:
    for sub in COMMANDS.values():
        assert sub.help
        assert all(param.help for param in sub.params if isinstance(param, click.Option))


def test_every_promise_names_a_test_that_is_there() -> None:
    _, _, table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| promise | test |\n|---|---|\n")
    for row in table.partition("\n\n")[0].splitlines():
        promise, tests = row.strip("| ").split(" | ")
        named = re.findall(r"`(test_\w+\.py)`", tests)
        assert named, promise
        assert all((ROOT / "tests" / name).is_file() for name in named), promise
