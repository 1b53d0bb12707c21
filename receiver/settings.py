"""Options: from the command line, else the environment, else the project file, else the default.

Their defaults stand here, where both halves see them. `RECEIVER_PORT=9000` or `port = 9000` under `[tool.receiver]` in
the current directory's pyproject.toml stand for `--port 9000`, on every command that has the option. Also the kinds of
values that options take. Knows nothing of what the commands do.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import click

from receiver.terminal import did_you_mean, write_anyhow

HOST = "127.0.0.1"
PORT = 8787
PATH = "/webhook"
STATE = Path(".webhooks")
"""Where both halves keep what they know: the receiver its inbox, the sender its ledger."""
MAX_BODY = 1 << 20
"""Bytes of a body that the receiver accepts; of a longer one it keeps these, and its length."""

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""

PROJECT_FILE = Path("pyproject.toml")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class Failure(click.ClickException):
    """What stops a command, told on stderr; exit code 2."""

    exit_code = 2

    def __init__(self, error: object) -> None:
        super().__init__(str(error))


class Group(click.Group):
    """A command with subcommands, whose options also come from the environment and the project file.

    Args:
        section: the project file's table, and in capitals the prefix of the environment's variables.
        failures: the rooms' exceptions that end a command with their text and exit code 2.
    """

    def __init__(self, *args: Any, section: str, failures: tuple[type[Exception], ...], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._section = section
        self._failures = failures

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        cmd.context_settings.setdefault("auto_envvar_prefix", self._section.upper())
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        write_anyhow()
        values = self._project_values()
        ctx.default_map = dict.fromkeys(self.commands, values)
        try:
            return super().invoke(ctx)
        except self._failures as error:
            raise Failure(error) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None

    def _project_values(self) -> dict[str, Any]:
        if not PROJECT_FILE.is_file():
            return {}
        try:
            project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise Failure(f"{PROJECT_FILE}: {error}") from error
        values = project.get("tool", {}).get(self._section, {})
        known = {param.name for command in self.commands.values() for param in command.params if param.name}
        for key in values:
            if key.replace("-", "_") not in known:
                raise Failure(
                    f"{PROJECT_FILE}: [tool.{self._section}] has no option {key!r}; {did_you_mean(key, known)}"
                )
        return {key.replace("-", "_"): value for key, value in values.items()}


class Duration(click.ParamType[float]):
    """A length of time, `90`, `30s`, `5m`, `2h` or `7d`, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(value).strip())
        if not found:
            self.fail(f"{value!r} is not a length of time such as 30s, 5m, 2h or 7d", param, ctx)
        return float(found[1]) * _UNITS[found[2] or "s"]


class Size(click.ParamType[int]):
    """A number of bytes, `500`, `64KiB`, `1MiB` or `1GiB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d+)\s*([a-z]*)", str(value).strip().lower())
        if not found or found[2] not in _SIZES:
            self.fail(f"{value!r} is not a size such as 500, 64KiB or 1MiB", param, ctx)
        return int(found[1]) * _SIZES[found[2]]
