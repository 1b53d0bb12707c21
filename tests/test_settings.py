"""Options: the command line before the environment before the project file before the default; what is not known is
told."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from receiver.settings import Duration, Group, Size, Text


class Odd(Exception):
    """A room's exception."""


@click.group(cls=Group, section="receiver", failures=(Odd,))
def main() -> None: ...


@main.command()
@click.argument("handlers", required=False, envvar="RECEIVER_HANDLERS")
@click.option("--port", default=1)
@click.option("--max-body", type=Size(), default=5)
@click.option("--note", "notes", type=Text(), multiple=True)
@click.option("--fail", is_flag=True)
def run(handlers: str | None, port: int, max_body: int, notes: tuple[str, ...], fail: bool) -> None:
    if fail:
        raise Odd("it went wrong; do this")
    if port == 0:
        raise ZeroDivisionError
    click.echo(f"{handlers} {port} {max_body}" + (f" {notes}" if notes else ""))


@main.command("list")
@click.option("--since", type=Duration())
@click.option("--event")
def list_(since: float | None, event: str | None) -> None:
    if since == 0:
        raise KeyboardInterrupt
    click.echo(since)


@main.group()
def contract() -> None: ...


@contract.command()
@click.argument("event", required=False)
@click.option("--schemas")
@click.option("--port", default=1)
def check(event: str | None, schemas: str | None, port: int) -> None:
    click.echo(f"{event} {schemas} {port}")


main.add_command(contract)


def result(*words: str, **env: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, words, env=env)
    return result.exit_code, result.output.strip()


def test_the_command_line_goes_before_the_environment_before_the_project_file(tmp_path: Path) -> None:
    assert result("run") == (0, "None 1 5")
    Path("pyproject.toml").write_text('[tool.receiver]\nport = 2\nmax-body = "2KiB"\nhandlers = "app.py"\n')
    assert result("run") == (0, "app.py 2 2048")
    assert result("run", RECEIVER_PORT="3", RECEIVER_HANDLERS="env.py") == (0, "env.py 3 2048")
    assert result("run", "me.py", "--port", "4", RECEIVER_PORT="3") == (0, "me.py 4 2048")


def test_a_command_of_a_group_has_them_too() -> None:
    Path("pyproject.toml").write_text('[tool.receiver]\nport = 2\nschemas = "a"\n')
    assert result("contract", "check") == (0, "None a 2")
    assert result("contract", "check", RECEIVER_SCHEMAS="b", RECEIVER_PORT="3") == (0, "None b 3")
    assert result("contract", "check", "--schemas", "c", RECEIVER_SCHEMAS="b") == (0, "None c 2")
    code, output = result("contract", "check", RECEIVER_PORT="x")
    assert code == 2
    assert "(from the environment: RECEIVER_PORT)" in output


def test_an_option_in_the_project_file_is_no_argument_of_another_command() -> None:
    Path("pyproject.toml").write_text('[tool.receiver]\nport = 2\nevent = "a"\n')
    assert result("contract", "check") == (0, "None None 2")


def test_a_project_file_without_our_table_changes_nothing() -> None:
    Path("pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert result("run") == (0, "None 1 5")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[tool.receiver]\nprot = 1\n", "pyproject.toml: [tool.receiver] has no option 'prot'; did you mean 'port'?"),
        ("[tool.receiver\n", "pyproject.toml: "),
        ("tool = 3\n", "[tool.receiver] must be a table"),
        ("[tool]\nreceiver = 3\n", "[tool.receiver] must be a table"),
        ("[tool.receiver]\nport = true\n", "port = True is not of its kind"),
        ("[tool.receiver]\nhandlers = ['a.py']\n", "is not of its kind"),
        ("[tool.receiver]\nfail = 1\n", "fail = 1 is not of its kind"),
        ("[tool.receiver]\nhandlers = 5\n", "handlers = 5 is not of its kind"),
        ("[tool.receiver]\nport = 1.5\n", "port = 1.5 is not of its kind"),
        ("[tool.receiver.run]\nport = 1\n", "has no option 'run'"),
        ("[tool.receiver]\nport = 'abc'\n", "'abc' is not a valid integer. (from pyproject.toml)"),
    ],
)
def test_a_project_file_that_cannot_be_meant_is_told(text: str, reason: str) -> None:
    Path("pyproject.toml").write_text(text)
    code, output = result("run")
    assert code == 2
    assert reason in output


def test_an_option_is_called_there_as_on_the_command_line() -> None:
    assert result("run", RECEIVER_NOTE="a b\nc") == (0, "None 1 5 ('a b', 'c')")
    Path("pyproject.toml").write_text('[tool.receiver]\nnote = "a"\n')
    assert result("run") == (0, "None 1 5 ('a',)")
    Path("pyproject.toml").write_text('[tool.receiver]\nnote = ["a", "b"]\n')
    assert result("run") == (0, "None 1 5 ('a', 'b')")


def test_a_value_of_the_environment_that_cannot_be_meant_is_told_with_its_variable() -> None:
    code, output = result("run", RECEIVER_PORT="abc")
    assert code == 2
    assert "'abc' is not a valid integer. (from the environment: RECEIVER_PORT)" in output


def test_a_rooms_exception_ends_the_command_with_its_text_and_2() -> None:
    assert result("run", "--fail") == (2, "Error: it went wrong; do this")


def test_a_fault_of_the_program_ends_the_command_with_70(capsys: pytest.CaptureFixture[str]) -> None:
    """Not with 1, which would say something that is not so of what was sent."""
    assert result("run", "--port", "0")[0] == 70


def test_ctrl_c_ends_the_command_with_130() -> None:
    assert result("list", "--since", "0s")[0] == 130


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("7d", 604800)])
def test_durations(text: str, seconds: float) -> None:
    assert result("list", "--since", text) == (0, str(float(seconds)))


@pytest.mark.parametrize(("text", "size"), [("500", 500), ("64KiB", 65536), ("1 mib", 1048576), ("512MiB", 536870912)])
def test_sizes(text: str, size: int) -> None:
    assert result("run", "--max-body", text) == (0, f"None 1 {size}")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("list", "--since", "soon"), "30s, 5m"),
        (("run", "--max-body", "big"), "1MiB"),
        (("run", "--max-body", "0"), "512MiB"),
        (("run", "--max-body", "1GiB"), "512MiB"),
        (("list", "--since", "99999999d"), "hundred years"),
    ],
)
def test_what_is_no_duration_or_size_is_told_with_examples(words: tuple[str, ...], kind: str) -> None:
    code, output = result(*words)
    assert code == 2
    assert kind in output
