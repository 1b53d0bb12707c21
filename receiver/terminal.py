"""One way to write to a terminal: lines, JSON, colours, and text that came from outside.

What a webhook carries reaches a terminal only through `escape`: printable ASCII, so that no escape sequence, line break
or look-alike character of a payload is ever acted on. Knows nothing of deliveries or attempts.
"""

import io
import json
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import click

LONGEST = 120
"""Text from outside is cut after this many characters of a line."""

_LONG_PART = re.compile(r"(/[A-Za-z0-9_-]{3})[A-Za-z0-9._~-]{20,}")

LULL_SECONDS = 0.02
"""Lines that come within so much of the last ones are written together: each writing wakes a thread."""

WAITING_LINES = 10_000
"""Lines that may wait for a terminal that does not take them (Ctrl-S, a full pipe) before some are dropped."""


def escape(text: str, longest: int = LONGEST) -> str:
    """`text` as printable ASCII, escaped as in JSON (but for quotes) and cut after `longest` characters."""
    shown = json.dumps(text)[1:-1].replace("\x7f", "\\u007f").replace('\\"', '"')
    return shown if len(shown) <= longest else f"{shown[:longest]}..."


def masked(path: str) -> str:
    """A path or URL, in which of each long part, which may be a secret, only the beginning is left."""
    return _LONG_PART.sub(r"\1...", path)


def printable(text: str) -> str:
    """`text`, in which only what no terminal shows is escaped; line breaks stay."""
    return "".join(one if one.isprintable() or one == "\n" else escape(one) for one in text)


def style(text: str, colour: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
    """`text` in a colour where that is wanted: on a TTY, unless NO_COLOR is not empty (https://no-color.org)."""
    return click.style(text, fg=colour, bold=bold or None, dim=dim or None) if _coloured() else text


@cache
def _coloured() -> bool:
    """Asked once: a busy receiver styles thousands of lines a second."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def clock(micros: int) -> str:
    """The local time of day of a moment in microseconds since 1970, UTC: `16:34:35`."""
    return _clock(micros // 1_000_000)


@lru_cache(1000)
def _clock(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")


def moment(micros: int) -> str:
    """A moment in microseconds since 1970, UTC, as local date and time: `2026-11-24 16:34:35`."""
    return f"{datetime.fromtimestamp(micros // 1_000_000, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def span(micros: int) -> str:
    """A length of time in its two largest units: `3 s`, `1 h 5 min`, `2 d 0 h`."""
    seconds = max(0, micros // 1_000_000)
    units = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((place for place, (number, _) in enumerate(units) if number), 3)
    return " ".join(f"{number} {unit}" for number, unit in units[first : first + 2])


def iso(micros: int) -> str:
    """A moment in microseconds since 1970, UTC, as RFC 3339: `2026-11-24T16:34:35.000001Z`."""
    return datetime.fromtimestamp(micros / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def shorten(path: Path) -> str:
    """A path as seen from the current directory, where it lies below that."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def write_anyhow() -> None:
    """From now on what stdout and stderr cannot encode is escaped rather than an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def as_json(record: object) -> str:
    """A record as one line of printable ASCII JSON, for `--json`."""
    return json.dumps(record, separators=(", ", ": ")).replace("\x7f", "\\u007f")


def warn(text: str) -> None:
    """A line on stderr that asks for attention; what was asked for goes on."""
    click.echo(style("warning: ", "yellow") + text, err=True)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: the nearest known one, or all of them where none is near."""
    from difflib import get_close_matches

    names = sorted(known)
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names) or 'none'}"


class Printer:
    """Writes lines from a thread of its own, so that a terminal that stops taking them never stops what goes on.

    A context manager; on leaving it what still waits is written. Lines past `WAITING_LINES` are dropped and counted.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="printer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(queue.Full):
            self._lines.put(None, timeout=1)
            self._thread.join(timeout=1)

    def line(self, text: str) -> None:
        """Hands over a line; returns at once."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def _write(self) -> None:
        more = True
        with suppress(BrokenPipeError):  # who read our output has gone: go on without
            while more:
                waiting = [self._lines.get(), *(self._lines.get() for _ in range(self._lines.qsize()))]
                lines = [line for line in waiting if line is not None]
                more = len(lines) == len(waiting)
                if lines:
                    click.echo("\n".join(lines), file=self._stream)
                self._own_up()
                time.sleep(LULL_SECONDS)  # what comes meanwhile is written with the next

    def _own_up(self) -> None:
        if self._dropped:
            warn(f"{self._dropped} lines were not printed: the terminal did not take them")
            self._dropped = 0
