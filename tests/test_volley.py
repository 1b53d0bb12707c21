"""A volley: many attempts side by side, each once, at a rate, in constant memory; and what it came to."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from conftest import BODY, SOON, Peer, called, command, wait_for

from receiver.store import StoreError, now
from sender.attempt import Attempt, Outcome, State
from sender.ledger import Ledger
from sender.post import Poster, prepare
from sender.report import exit_code, summary_lines
from sender.tally import MOST_FAILURES, Tally
from sender.volley import Ended, Shot, Volley

FETCHED = "transactions.fetched"
StartPeer = Callable[..., Peer]


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def volley(concurrency: int = 1, rate: float | None = None, seconds: float = SOON) -> Iterator[Volley]:
    with closing(Ledger(Path("state"))) as ledger, Poster(seconds) as poster:
        yield Volley(ledger, poster, concurrency=concurrency, rate=rate)


def shots(url: str, count: int | None = None) -> Iterator[Shot]:
    target = prepare(url, {})
    numbers = itertools.count() if count is None else range(count)
    return (Shot(target, Attempt(str(number), url, "a.b", BODY, now())) for number in numbers)


def fire(*words: str) -> "subprocess.CompletedProcess[str]":
    return command("sender", "fire", FETCHED, *words)


class Gate:
    """Answers nobody until it is opened, and knows how many wait at the same time."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.waiting = 0
        self.most = 0
        self.lock = threading.Lock()

    def answer(self, connection: socket.socket) -> None:
        with self.lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        self.opened.wait(SOON)
        with self.lock:
            self.waiting -= 1
        ok(connection)


class TestTheVolley:
    def test_fires_each_once_and_yields_it_as_it_ended(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        with volley(concurrency=4) as one:
            ended = list(one.fire([shots(receiver.url, 50)]))
        assert sorted(int(each.attempt.id) for each in ended) == list(range(50))
        assert {each.attempt.outcome.status for each in ended} == {202}
        assert len(receiver.requests) == 50

    def test_posts_as_many_at_the_same_time_as_it_may_and_no_more(self, peers: StartPeer) -> None:
        gate = Gate()
        receiver = peers(gate.answer)
        with volley(concurrency=5) as one, closing(one.fire([shots(receiver.url, 20)])) as all_:
            threading.Thread(
                target=lambda: (wait_for(lambda: gate.waiting == 5, "five"), gate.opened.set()), daemon=True
            ).start()
            assert len(list(all_)) == 20
        assert gate.most == 5

    def test_begins_no_faster_than_its_rate_and_not_much_slower(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        with volley(concurrency=4, rate=50) as one:
            began = time.monotonic()
            count = len(list(one.fire([shots(receiver.url, 40)])))
            took = time.monotonic() - began
        assert count == 40
        assert 39 / 50 - 0.11 <= took < 3

    def test_what_was_sent_earlier_is_not_sent_again_and_told_as_it_ended_then(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        with volley() as one:
            list(one.fire([shots(receiver.url, 3)]))
        with volley() as one:
            ended = {each.attempt.id: each for each in one.fire([shots(receiver.url, 5)])}
        assert [ended[str(number)].before for number in range(5)] == [True, True, True, False, False]
        assert ended["0"].attempt.outcome.status == 202
        assert len(receiver.requests) == 5

    def test_makes_shots_only_as_they_are_wanted(self, peer: StartPeer) -> None:
        """So it needs no more memory for many than for few; here they never end."""
        receiver = peer(ok)
        made: list[Shot] = []
        with volley(concurrency=3) as one, closing(one.fire([map(noted(made), shots(receiver.url))])) as all_:
            for _ in range(30):
                next(all_)
        assert len(made) < 30 + 6 * 3

    def test_who_goes_away_gets_no_more_begun_and_those_under_way_ended(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        with volley(concurrency=3) as one:
            with closing(one.fire([shots(receiver.url)])) as all_:
                next(all_)
            count = len(receiver.requests)
            assert one.begun == count
        with closing(Ledger(Path("state"))) as ledger:
            assert {attempt.outcome.state for attempt in ledger.attempts(limit=100)} == {State.DELIVERED}

    def test_a_shot_that_cannot_be_made_ends_it_after_those_under_way(self, peer: StartPeer) -> None:
        receiver = peer(ok)

        def broken() -> Iterator[Shot]:
            yield from shots(receiver.url, 5)
            raise LookupError("no sixth")

        ended: list[Ended] = []
        with volley(concurrency=2) as one, pytest.raises(LookupError, match="no sixth"):
            ended.extend(one.fire([broken()]))
        assert len(receiver.requests) == 5

    def test_a_ledger_that_fails_in_the_middle_ends_it(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        with volley(concurrency=2) as one, closing(one.fire([shots(receiver.url)])) as all_:
            next(all_)
            Path("state/ledger.db").unlink()
            with pytest.raises(StoreError, match="was deleted or moved"):
                list(all_)
        assert len(receiver.requests) < 20

    def test_a_cut_ends_what_waits_for_an_answer_at_once_as_unknown(self, peers: StartPeer) -> None:
        receiver = peers(lambda connection: connection.recv(1))
        with volley(concurrency=3) as one:
            threading.Thread(
                target=lambda: (wait_for(lambda: len(receiver.requests) == 3, "three"), one.cut()), daemon=True
            ).start()
            ended = list(one.fire([shots(receiver.url)]))
        assert [(each.attempt.outcome.state, each.attempt.outcome.reason) for each in ended] == [
            ("unknown", "stopped by Ctrl-C")
        ] * 3


def noted(made: list[Shot]) -> Callable[[Shot], Shot]:
    def note(shot: Shot) -> Shot:
        made.append(shot)
        return shot

    return note


class TestTheTally:
    def test_percentiles_are_true_to_their_promise(self) -> None:
        tally = Tally()
        for milliseconds in range(1, 1001):
            tally.add(answered(milliseconds), 0)
        for percent in (1, 50, 99, 100):
            assert tally.percentile(percent) == pytest.approx(percent * 10, rel=0.026)
        assert Tally().percentile(50) is None

    def test_the_histogram_counts_every_answer_in_its_row_and_leaves_out_no_row_between(self) -> None:
        tally = Tally()
        for milliseconds in (0.09, 0.9, 1.9, 1.8, 4, 90):
            tally.add(answered(milliseconds), 0)
        rows = dict(tally.histogram())
        assert list(rows) == [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
        assert (rows[1], rows[2], rows[5], rows[10], rows[100]) == (1, 2, 1, 0, 1)
        assert list(Tally().histogram()) == []

    def test_it_holds_no_more_after_a_hundred_thousand_than_after_a_thousand(self) -> None:
        tally, sizes = Tally(), []
        for number in range(100_000):
            tally.add(answered(1 + number % 1000, status=500), 1)
            if number in {1000, 99_999}:
                sizes.append((len(tally._buckets), len(tally.failures), len(tally.outcomes)))
        assert sizes[0] == sizes[1]
        assert len(tally.failures) == MOST_FAILURES
        assert any("and 99,990 more" in line for line in summary_lines(tally, 1))

    def test_the_exit_code_is_the_worst_also_of_what_was_sent_before(self) -> None:
        tally = Tally()
        unknown = Attempt("X", "http://a/", "a.b", b"", 0, Outcome(State.UNKNOWN))
        for attempt, before in ((answered(1), False), (unknown, True), (answered(1, status=500), False)):
            tally.add(attempt, exit_code(attempt), before=before)
        assert tally.exit_code == 4


def answered(milliseconds: float, status: int = 202) -> Attempt:
    return Attempt("X", "http://a/", "a.b", b"", 0, Outcome(State.DELIVERED, milliseconds, status))


class TestTheCommand:
    def test_tells_of_many_in_a_summary_and_is_silent_on_stderr(self, peers: StartPeer) -> None:
        receiver = peers(ok)
        ended = fire("--to", receiver.url, "--count", "60", "--concurrency", "4")
        assert (ended.returncode, ended.stderr) == (0, "")
        first, counted, percentiles, *rows = ended.stdout.splitlines()
        assert first.startswith("60 sent in ")
        assert counted.split() == ["60", "✓", "202"]
        assert "(p50)" in percentiles
        assert sum(int(row.split()[-1]) for row in rows) == 60
        bodies = {json.loads(request.partition(b"\r\n\r\n")[2])["data"]["consentId"] for request in receiver.requests}
        assert len(bodies) == len(receiver.requests) == 60

    def test_run_again_with_the_same_id_sends_only_what_was_not_sent(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        fire("--to", receiver.url, "--id", "X", "--count", "5")
        again = fire("--to", receiver.url, "--id", "X", "--count", "8", "--json")
        *lines, summary = map(json.loads, again.stdout.splitlines())
        assert {line["id"]: line["already_sent"] for line in lines} == {f"X-{n}": n <= 5 for n in range(1, 9)}
        assert (summary["type"], summary["sent"], summary["already_sent"]) == ("summary", 3, 5)
        assert summary["answered"] == {"202": 3}
        assert len(receiver.requests) == 8

    def test_shows_the_first_failures_and_exits_as_the_worst(self, peer: StartPeer) -> None:
        answers = itertools.chain([b"202", b"500"], itertools.repeat(b"202"))
        receiver = peer(
            lambda connection: connection.sendall(b"HTTP/1.1 %s X\r\n\r\n" % next(answers)) or end(connection)
        )
        ended = fire("--to", receiver.url, "--count", "4")
        assert ended.returncode == 1
        assert "✗ 500  sent" in ended.stdout.splitlines()[0]
        assert "1  ✗ 500" in ended.stdout

    def test_a_payload_that_cannot_be_made_or_sent_sends_nothing(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        for words in (["--set", "bla=1"], ["--count", "0"], ["--rate", "0"], ["--ca", "none.pem"]):
            assert fire("--to", receiver.url.replace("http", "https"), "--count", "5", *words).returncode == 2
        assert receiver.requests == []
        with closing(Ledger(Path(".webhooks"))) as ledger:
            assert ledger.attempts(limit=1) == []

    def test_a_dry_run_prints_as_many_bodies(self) -> None:
        lines = fire("--dry-run", "--count", "3").stdout.splitlines()
        assert len({json.loads(line)["data"]["consentId"] for line in lines}) == 3

    def test_ctrl_c_begins_no_more_and_lets_those_under_way_end(self, peers: StartPeer) -> None:
        gate = Gate()
        receiver = peers(gate.answer)
        with started("--to", receiver.url, "--count", "1000", "--concurrency", "3") as process:
            wait_for(lambda: len(receiver.requests) == 3, "three requests")
            process.send_signal(signal.SIGINT)
            assert "No more are begun" in process.stderr.readline() + process.stderr.readline()
            gate.opened.set()
            output, _ = process.communicate(timeout=SOON)
        assert process.returncode == 130
        assert output.splitlines()[1].split() == ["3", "✓", "202"]
        assert len(receiver.requests) == 3

    def test_ctrl_c_while_it_waits_for_its_rate_ends_it(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        with started("--to", receiver.url, "--count", "10", "--rate", "0.01") as process:
            wait_for(lambda: receiver.requests, "the first")
            process.send_signal(signal.SIGINT)
            assert process.wait(SOON) == 130

    def test_a_second_ctrl_c_cuts_them_off_and_they_are_unknown(self, peers: StartPeer) -> None:
        receiver = peers(lambda connection: connection.recv(1))
        with started("--to", receiver.url, "--count", "1000", "--concurrency", "3") as process:
            wait_for(lambda: len(receiver.requests) == 3, "three requests")
            process.send_signal(signal.SIGINT)
            process.stderr.readline()
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=5)
        assert process.returncode == 4
        assert "3  ? unknown" in output
        unknown = called("sender", "log", "--unknown", "--json").stdout.splitlines()
        assert [json.loads(line)["state"] for line in unknown] == ["unknown"] * 3

    def test_who_reads_only_the_head_of_the_records_stops_it(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        words = [sys.executable, "-m", "sender", "fire", FETCHED, "--to", receiver.url, "--count", "100000", "--json"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            process.stdout.close()
            process.wait(SOON)
            assert b"Traceback" not in process.stderr.read()  # type: ignore[union-attr]

    def test_a_bar_is_drawn_on_a_tty_and_only_there(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        main, other = os.openpty()
        words = [sys.executable, "-m", "sender", "fire", FETCHED, "--to", receiver.url, "--count", "5"]
        ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=other, timeout=SOON, check=True)
        os.close(other)
        drawn = os.read(main, 65536)
        os.close(main)
        assert b"100%" in drawn
        assert ended.stdout.startswith(b"5 sent in ")


def end(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def started(*words: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", "sender", "fire", FETCHED, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
