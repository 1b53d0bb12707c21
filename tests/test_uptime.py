"""When the receiver was up: what lies between is told, since the provider does not resend what came then."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Process, called, receiving_here, wait_for

from receiver.inbox import Inbox
from receiver.store import now
from receiver.uptime import BEAT_SECONDS, LATE, Gap, Heart, Window, gaps, ticks

SECOND = 1_000_000
LONG = int(BEAT_SECONDS * LATE * SECOND) + 1


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path / "state")) as inbox:
        yield inbox


def told_gaps(*words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in called("receiver", "gaps", "--json", *words).stdout.splitlines()]


class TestGaps:
    def test_lie_between_windows(self) -> None:
        windows = [Window(0, 10, True), Window(20, 30, True), Window(35, 40, False)]
        assert list(gaps(windows, 45)) == [Gap(10, 20), Gap(30, 35)]

    def test_are_not_where_another_receiver_was_up(self) -> None:
        windows = [Window(0, 100, True), Window(10, 20, True), Window(50, 150, False)]
        assert list(gaps(windows, 150)) == []

    def test_the_last_one_lasts_while_nobody_is_up(self) -> None:
        assert list(gaps([Window(0, 10, True)], 11)) == [Gap(10, None)]
        assert list(gaps([Window(0, 10, False)], 10 + LONG)) == [Gap(10, None)]
        assert list(gaps([Window(0, 10, False)], 11)) == []

    def test_there_is_none_before_the_first_start(self) -> None:
        assert list(gaps([], 100)) == []


class TestHeart:
    def test_says_that_it_is_up_until_it_goes(self, inbox: Inbox) -> None:
        heart = Heart(inbox.uptime, slept=lambda gap: None, beat_seconds=0.01)
        heart.start(alone=True)
        (first,) = inbox.uptime.windows()
        wait_for(lambda: inbox.uptime.windows()[0].until > first.until, "a beat")
        assert heart.beats()
        heart.close()
        (window,) = inbox.uptime.windows()
        assert (window.since, window.ended) == (first.since, True)
        assert inbox.uptime.end() == window.until <= now()

    def test_a_time_without_a_beat_is_a_gap_of_its_own(self, inbox: Inbox) -> None:
        """As when the machine sleeps: here the file is away, so that no beat is stored."""
        slept: list[Gap] = []
        heart = Heart(inbox.uptime, slept.append, beat_seconds=0.3)
        heart.start(alone=True)
        moved = inbox.path.rename(inbox.path.with_name("away"))
        wait_for(lambda: slept, "the beats to be late")
        moved.rename(inbox.path)
        wait_for(lambda: len(inbox.uptime.windows()) > 1, "a window of its own")
        heart.close()
        assert slept[0].until - slept[0].since > 0.3 * LATE * SECOND

    @pytest.mark.parametrize("jump", [3600 * SECOND, -3600 * SECOND])
    def test_a_clock_that_is_set_makes_no_gap(self, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, jump: int) -> None:
        slept: list[Gap] = []
        beats: list[int] = []

        def jumped() -> int:
            beats.append(now() + jump)
            return beats[-1]

        with closing(Heart(inbox.uptime, slept.append, beat_seconds=0.3)) as heart:
            heart.start(alone=True)
            monkeypatch.setattr("receiver.uptime.now", jumped)
            wait_for(lambda: len(beats) > 2, "some beats")
            assert heart.beats()
        (window,) = inbox.uptime.windows()
        assert (slept, list(gaps([window], window.until))) == ([], [])

    @pytest.mark.parametrize("jump", [0, 7200 * SECOND, -7200 * SECOND])
    def test_a_sleep_is_a_gap_of_its_length_whatever_became_of_the_clock(
        self, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, jump: int
    ) -> None:
        slept: list[Gap] = []
        with closing(Heart(inbox.uptime, slept.append, beat_seconds=0.01)) as heart:
            heart.start(alone=True)
            monkeypatch.setattr("receiver.uptime.now", lambda: now() + 3600 * SECOND + jump)
            monkeypatch.setattr("receiver.uptime.ticks", lambda: ticks() + 3600)
            wait_for(lambda: len(inbox.uptime.windows()) == 2, "a window of its own")
        (gap,) = slept
        assert 3600 * SECOND < gap.until - gap.since < 3610 * SECOND

    def test_one_that_has_not_said_a_word_yet_tells_of_no_gap_before_its_start(self, inbox: Inbox) -> None:
        slept: list[Gap] = []
        started = now()
        moved = inbox.path.rename(inbox.path.with_name("away"))
        with closing(Heart(inbox.uptime, slept.append, beat_seconds=0.01)) as heart:
            assert heart.start(alone=False) is None
            wait_for(lambda: slept, "the beats to be late")
            moved.rename(inbox.path)
        assert all(gap.since >= started for gap in slept)

    def test_a_last_word_from_the_future_is_no_gap(self, inbox: Inbox) -> None:
        inbox.uptime.say("a", now() + 3600 * SECOND)
        with closing(Heart(inbox.uptime, slept=lambda gap: None)) as heart:
            assert heart.start(alone=True) is None
            assert list(gaps(inbox.uptime.windows(), now())) == []

    def test_a_clock_that_jumps_back_shortens_no_window(self, inbox: Inbox) -> None:
        inbox.uptime.say("a", 100)
        inbox.uptime.say("a", 50)
        assert inbox.uptime.windows() == [Window(100, 100, False)]


def test_a_restart_tells_how_long_nobody_listened_and_gaps_lists_it(receiving: Callable[..., Process]) -> None:
    first = receiving()
    assert first.wait(type="ready")["down_since"] is None
    assert told_gaps() == []
    assert first.stop() == 0
    (gap,) = told_gaps()
    assert gap["until"] is None
    second = receiving()
    assert second.wait(type="ready")["down_since"] == gap["since"]
    (gap,) = told_gaps()
    assert gap["until"] is not None
    shown = called("receiver", "gaps").stdout
    assert " to " in shown
    assert told_gaps("--since", "0s") == []


def test_after_a_kill_the_gap_begins_with_the_last_word(receiving: Callable[..., Process]) -> None:
    first = receiving()
    assert first.url
    first.kill()
    second = receiving()
    assert second.wait(type="ready")["down_since"]
    assert len(told_gaps()) == 1


def test_one_that_starts_beside_another_tells_of_no_gap(receiving: Callable[..., Process]) -> None:
    assert receiving().url
    assert receiving().wait(type="ready")["down_since"] is None
    assert told_gaps() == []


def test_where_there_was_no_gap_it_says_so(tmp_path: Path) -> None:
    with receiving_here(Path(".webhooks")):
        ended = called("receiver", "gaps")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "No gap is known.\n")


@pytest.mark.slow
def test_a_receiver_that_was_stopped_for_a_while_says_so_when_it_goes_on(receiving: Callable[..., Process]) -> None:
    process = receiving()
    assert process.url
    process.popen.send_signal(signal.SIGSTOP)
    time.sleep(BEAT_SECONDS * LATE + 1)  # the time itself is what is tested
    process.popen.send_signal(signal.SIGCONT)
    trouble = wait_for(lambda: process.find(type="trouble"), "it to tell")[0]
    assert "nobody listened from" in trouble["reason"]
    assert len(told_gaps()) == 1
