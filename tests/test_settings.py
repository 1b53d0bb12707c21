"""Options: the command line before the environment before the project file before the default; what is not known is
told."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from receiver.settings import Duration, Group, Size


class Odd(Exception):
    """A room's exception."""


@click.group(cls=Group, section="receiver", failures=(Odd,))
def main() -> None: ...


@main.command()
@click.argument("handlers", required=False, envvar="RECEIVER_HANDLERS")
@click.option("--port", default=1)
@click.option("--max-body", type=Size(), default=5)
@click.option("--fail", is_flag=True)
def run(handlers: str | None, port: int, max_body: int, fail: bool) -> None:
    if fail:
        raise Odd("it went wrong; do this")
    click.echo(f"{handlers} {port} {max_body}")


@main.command("list")
@click.option("--since", type=Duration())
def list_(since: float | None) -> None:
    if since == 0:
        raise KeyboardInterrupt
    click.echo(since)


def result(*words: str, **env: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, words, env=env)
    return result.exit_code, result.output.strip()


def test_the_command_line_goes_before_the_environment_before_the_project_file(tmp_path: Path) -> None:
    assert result("run") == (0, "None 1 5")
    Path("pyproject.toml").write_text('[tool.receiver]\nport = 2\nmax-body = "2KiB"\nhandlers = "app.py"\n')
    assert result("run") == (0, "app.py 2 2048")
    assert result("run", RECEIVER_PORT="3", RECEIVER_HANDLERS="env.py") == (0, "env.py 3 2048")
    assert result("run", "me.py", "--port", "4", RECEIVER_PORT="3") == (0, "me.py 4 2048")


def test_a_project_file_without_our_table_changes_nothing() -> None:
    Path("pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert result("run") == (0, "None 1 5")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[tool.receiver]\nprot = 1\n", "pyproject.toml: [tool.receiver] has no option 'prot'; did you mean 'port'?"),
        ("[tool.receiver\n", "pyproject.toml: "),
    ],
)
def test_a_project_file_that_cannot_be_meant_is_told(text: str, reason: str) -> None:
    Path("pyproject.toml").write_text(text)
    code, output = result("run")
    assert code == 2
    assert reason in output


def test_a_rooms_exception_ends_the_command_with_its_text_and_2() -> None:
    assert result("run", "--fail") == (2, "Error: it went wrong; do this")


def test_ctrl_c_ends_the_command_with_130() -> None:
    assert result("list", "--since", "0s")[0] == 130


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("7d", 604800)])
def test_durations(text: str, seconds: float) -> None:
    assert result("list", "--since", text) == (0, str(float(seconds)))


@pytest.mark.parametrize(("text", "size"), [("500", 500), ("64KiB", 65536), ("1 mib", 1048576), ("2GiB", 2147483648)])
def test_sizes(text: str, size: int) -> None:
    assert result("run", "--max-body", text) == (0, f"None 1 {size}")


@pytest.mark.parametrize(
    ("words", "kind"), [(("list", "--since", "soon"), "30s, 5m"), (("run", "--max-body", "big"), "1MiB")]
)
def test_what_is_no_duration_or_size_is_told_with_examples(words: tuple[str, ...], kind: str) -> None:
    code, output = result(*words)
    assert code == 2
    assert kind in output
