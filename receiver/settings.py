"""Options: from the command line, else the environment, else the project file, else the default.

Their defaults stand here, where both halves see them. `RECEIVER_PORT=9000` or `port = 9000` under `[tool.receiver]` in
the current directory's pyproject.toml stand for `--port 9000`, on every command that has the option. Also the kinds of
values that options take. Knows nothing of what the commands do.
"""

import errno
import re
import tomllib
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from receiver.terminal import did_you_mean, printable, write_anyhow

HOST = "127.0.0.1"
PORT = 8787
PATH = "/webhook"
HOOK = f"http://{HOST}:{PORT}{PATH}"
"""Where `receiver run` listens, and `sender fire` sends, if nothing else is said."""
STATE = Path(".webhooks")
"""Where both halves keep what they know: the receiver its inbox, the sender its ledger."""
MAX_BODY = 1 << 20
"""Bytes of a body that the receiver accepts; of a longer one it keeps these, and its length."""

FAULT = 70
"""The exit code for a fault of the program itself: EX_SOFTWARE of sysexits.h."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

LONGEST_DURATION = 100 * 365 * 86400
LARGEST_SIZE = 512 << 20  # SQLite holds no value of more than 1e9 bytes

PROJECT_FILE = Path("pyproject.toml")

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class Failure(click.ClickException):
    """What stops a command, told on stderr; exit code 2."""

    exit_code = 2

    def __init__(self, error: object) -> None:
        super().__init__(printable(str(error)))


class Group(click.Group):
    """A command with subcommands and groups of them, whose options also come from environment and project file.

    Args:
        section: the project file's table, and in capitals the prefix of the environment's variables.
        failures: the rooms' exceptions that end a command with their text and exit code 2.
    """

    def __init__(self, *args: Any, section: str, failures: tuple[type[Exception], ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._section = section
        self._failures = failures

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        for command in _with_its_own(cmd):
            for param in command.params:
                if isinstance(param, click.Option):
                    param.envvar = f"{self._section}_{_key(param)}".upper().replace("-", "_")
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        write_anyhow()
        values = self._project_values()
        ctx.default_map = {name: _of_command(command, values) for name, command in self.commands.items()}
        try:
            return super().invoke(ctx)
        except click.BadParameter as error:
            raise _with_its_source(error) from error
        except self._failures as error:
            raise Failure(error) from error
        except OSError as error:  # a full disk under stdout; a closed pipe is click's to handle
            if error.errno == errno.EPIPE:
                raise
            raise Failure(error) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            traceback.print_exc()  # a fault of ours; but 1 would be one of `sender fire`'s truths
            raise click.exceptions.Exit(FAULT) from error

    def _project_values(self) -> dict[str, Any]:
        """The table of the project file, checked: an option that is not known, or not of its kind, is an error."""
        if not PROJECT_FILE.is_file():
            return {}
        try:
            project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Failure(f"{PROJECT_FILE}: {error}") from error
        tools = project.get("tool", {})
        values = tools.get(self._section, {}) if isinstance(tools, dict) else None
        if not isinstance(values, dict):
            raise Failure(f"{PROJECT_FILE}: [tool.{self._section}] must be a table")
        commands = [each for command in self.commands.values() for each in _with_its_own(command)]
        known = {_key(param): param for command in commands for param in command.params if param.envvar}
        for key, value in values.items():
            if key not in known:
                hint = did_you_mean(key, known)
                raise Failure(f"{PROJECT_FILE}: [tool.{self._section}] has no option {key!r}; {hint}")
            if not _is_of_its_kind(known[key], value):
                raise Failure(f"{PROJECT_FILE}: [tool.{self._section}] {key} = {value!r} is not of its kind")
        return values


def _with_its_own(command: click.Command) -> Iterator[click.Command]:
    """A command and, where it is a group, those in it."""
    yield command
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _with_its_own(inner)


def _key(param: click.Parameter) -> str:
    """What an option is called in the project file: its name on the command line."""
    return param.opts[0].removeprefix("--")


def _of_command(command: click.Command, values: Mapping[str, Any]) -> dict[str, Any]:
    """A command's share of the project file, by the names that click knows."""
    if isinstance(command, click.Group):
        return {name: _of_command(inner, values) for name, inner in command.commands.items()}
    given = [param for param in command.params if param.envvar and _key(param) in values]
    wanted = {param.name: (param, values[_key(param)]) for param in given}
    return {
        str(name): [value] if param.multiple and isinstance(value, str) else value
        for name, (param, value) in wanted.items()
    }


def _is_of_its_kind(param: click.Parameter, value: object) -> bool:
    if isinstance(param, click.Option) and param.is_flag:
        return isinstance(value, bool)
    if param.multiple and isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    if isinstance(param.type, click.types.IntParamType):
        return isinstance(value, int | str) and not isinstance(value, bool)
    if isinstance(param.type, Duration | Size | click.types.FloatParamType):
        return isinstance(value, int | float | str) and not isinstance(value, bool)
    return isinstance(value, str)


def _with_its_source(error: click.BadParameter) -> click.ClickException:
    """The same error, with where the value came from where that was not the command line."""
    name = error.param.name if error.param else None
    source = error.ctx.get_parameter_source(name) if error.ctx and name else None
    if error.param and source is ParameterSource.ENVIRONMENT:
        return Failure(f"{error.format_message()} (from the environment: {error.param.envvar})")
    if source is ParameterSource.DEFAULT_MAP:
        return Failure(f"{error.format_message()} (from {PROJECT_FILE})")
    return error


class Text(click.types.StringParamType):
    """A text; in the environment, where an option takes several, one a line."""

    envvar_list_splitter = "\n"


def seconds_of(value: object) -> float | None:
    """A length of time, `90`, `200ms`, `30s`, `5m`, `2h` or `7d`, in seconds; None where it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|[smhd]?)", str(value).strip())
    return float(found[1]) * _UNITS[found[2] or "s"] if found else None


class Duration(click.ParamType[float]):
    """A length of time, as `seconds_of` has it."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = seconds_of(value)
        if seconds is None:
            self.fail(f"{value!r} is not a length of time such as 30s, 5m, 2h or 7d", param, ctx)
        if seconds > LONGEST_DURATION:
            self.fail(f"{value!r} is longer than a hundred years", param, ctx)
        return seconds


class Size(click.ParamType[int]):
    """A number of bytes, `500`, `64KiB`, `1MiB` or `1GiB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+)\s*([a-z]*)", str(value).strip().lower())
        if not found or found[2] not in _SIZES:
            self.fail(f"{value!r} is not a size such as 500, 64KiB or 1MiB", param, ctx)
        if not 1 <= (size := int(found[1]) * _SIZES[found[2]]) <= LARGEST_SIZE:
            self.fail(f"{value!r} is not between 1 byte and 512MiB", param, ctx)
        return size
