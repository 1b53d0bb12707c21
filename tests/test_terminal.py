"""What reaches a terminal: colour only where it is wanted, text from outside only as printable ASCII, and never a
wait."""

import io
import os
import pty
import sys
import threading
import time
from pathlib import Path

import pytest

from receiver import terminal
from receiver.terminal import (
    LONGEST,
    WAITING_LINES,
    Printer,
    as_json,
    did_you_mean,
    escape,
    iso,
    printable,
    shorten,
    style,
)

HOSTILE = [
    "\x1b[31mred",
    "a\nb",
    "a\rb",
    "\x07",
    "\x7f",
    "\x9b31m",
    "\u202egnp.exe",
    "\u200b",
    "\x00",
    "\ud800",
    "é",
    "\U0001f600",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_is_printable_ascii(text: str) -> None:
    shown = escape(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert as_json({text: text}).isascii()
    assert as_json({text: text}).isprintable()


@pytest.mark.parametrize("text", HOSTILE)
def test_an_error_keeps_its_lines_and_letters_and_nothing_that_a_terminal_acts_on(text: str) -> None:
    assert printable(text).replace("\n", "").isprintable()
    assert printable('é\n\\d {}"') == 'é\n\\d {}"'


def test_text_from_outside_is_cut() -> None:
    assert len(escape("x" * 1000)) == LONGEST + 3
    assert escape('say "x" \\') == 'say "x" \\\\'


def test_colour_is_left_out_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def styled() -> str:
        terminal._coloured.cache_clear()
        return style("x", "red")

    ours, theirs = pty.openpty()
    with open(ours, "rb"), open(theirs, "w") as tty:  # noqa: PTH123 - descriptors, not paths
        monkeypatch.setattr(sys, "stdout", tty)
        assert styled() == "\x1b[31mx\x1b[0m"
        monkeypatch.setenv("NO_COLOR", "1")
        assert styled() == "x"
        monkeypatch.delenv("NO_COLOR")
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        assert styled() == "x"
    terminal._coloured.cache_clear()


def test_a_hint_names_the_nearest_or_all() -> None:
    assert did_you_mean("colour", ["color", "size"]) == "did you mean 'color'?"
    assert did_you_mean("zzz", ["b", "a"]) == "known are: a, b"
    assert did_you_mean("zzz", []) == "known are: none"


def test_moments_are_rfc_3339(tmp_path: Path) -> None:
    assert iso(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"


def test_paths_are_shown_from_here(tmp_path: Path) -> None:
    assert shorten(tmp_path / "a" / "b") == "a/b"
    assert shorten(Path("/nowhere/else")) == "/nowhere/else"


class TestPrinter:
    def test_writes_lines_in_their_order(self) -> None:
        stream = io.StringIO()
        with Printer(stream) as printer:
            for number in range(1000):
                printer.line(str(number))
        assert stream.getvalue() == "".join(f"{number}\n" for number in range(1000))

    def test_never_waits_for_a_terminal_that_takes_nothing(self, capfd: pytest.CaptureFixture[str]) -> None:
        reading, writing = os.pipe()  # holds 64 KiB, then blocks who writes
        with open(writing, "w") as stream, Printer(stream) as printer:  # noqa: PTH123 - a descriptor, not a path
            began = time.monotonic()
            for _ in range(3 * WAITING_LINES):
                printer.line("x" * 100)
            assert time.monotonic() - began < 10
            drain = threading.Thread(target=_drain, args=(reading,))
            drain.start()
        drain.join()
        assert "lines were not printed" in capfd.readouterr().err

    def test_goes_on_when_the_reader_has_gone(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        stream = os.fdopen(writing, "w")
        with Printer(stream) as printer:
            printer.line("x")
        with pytest.raises(BrokenPipeError):
            stream.close()


def _drain(descriptor: int) -> None:
    while os.read(descriptor, 1 << 16):
        pass
    os.close(descriptor)
