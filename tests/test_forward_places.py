"""How far an inbox was forwarded: whatever is pruned, numbered again or judged again, and whatever the clock does."""

import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import SOON, Here, Peer, called, command, receiving_here, wait_for
from forwarding import STATUS, application, body, forward, forwarding, free_port, numbers, ok

StartPeer = Callable[..., Peer]
AN_HOUR_AHEAD = "UPDATE place SET began = began + 3600000000, judged_at = judged_at + 3600000000"
ODD = b'{"event": "consent.status.updated", "data": {"status": %d}}'


@pytest.fixture
def inbox() -> Iterator[Here]:
    with receiving_here(Path("in")) as here:
        yield here


def change(file: str, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


def judge(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / f"{STATUS}.json").write_text("{}")
    assert command("receiver", "judge", "--state", "in", "--schemas", str(directory)).returncode == 0


def bodies(app: Peer) -> list[bytes]:
    return [one.partition(b"\r\n\r\n")[2] for one in app.requests]


class TestPruned:
    def test_a_number_that_is_given_again_hides_nothing(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        for number in range(5):
            inbox.post(body(number))
        forward(app.url, "--once", "--from-start")
        change("in/inbox.db", "DELETE FROM delivery WHERE number > 2")
        for number in range(5, 8):
            inbox.post(body(number))
        forward(app.url, "--once")
        assert numbers(app.requests) == list(range(8))

    def test_nor_one_that_is_given_again_while_the_application_is_down(self, inbox: Here) -> None:
        port = free_port()
        for number in range(3):
            inbox.post(body(number))
        with forwarding(f"http://127.0.0.1:{port}/", "--from-start") as process:
            wait_for(lambda: b"refused" in called("sender", "log").stdout.encode(), "the first try")
            change("in/inbox.db", "DELETE FROM delivery")
            for number in range(3, 9):
                inbox.post(body(number))
            with application(port) as came:
                wait_for(lambda: 8 in numbers(came), "the last")
            process.send_signal(signal.SIGTERM)
            process.wait(SOON)
        assert numbers(came)[-6:] == list(range(3, 9))

    def test_what_came_before_the_beginning_is_not_sent(self, inbox: Here, peer: StartPeer) -> None:
        """Where the place is gone all is looked at again, and the ledger knows nothing of what was never sent."""
        app = peer(ok)
        for number in range(4):
            inbox.post(body(number))
        forward(app.url, "--once")
        change("in/inbox.db", "DELETE FROM delivery WHERE number = 4")
        for _ in range(2):
            forward(app.url, "--once")
        inbox.post(body(4))
        inbox.post(body(5))
        forward(app.url, "--once")
        assert numbers(app.requests) == [4, 5]

    def test_nor_is_it_after_a_kill_while_all_is_looked_at_again(
        self, inbox: Here, peers: StartPeer, tmp_path: Path
    ) -> None:
        app = peers(lambda connection: None)
        for one in (body(0), ODD % 1, body(1), body(2)):
            inbox.post(one)
        forward(app.url, "--once")
        judge(tmp_path / "own")
        change("in/inbox.db", "DELETE FROM delivery WHERE number = 4")
        with forwarding(app.url) as process:
            wait_for(lambda: app.requests, "what was judged")
            process.kill()
            process.wait()
        forward(app.url, "--once", "--timeout", "1s")
        assert bodies(app) == [ODD % 1]


class TestClock:
    """What began in the future began before the clock was set back."""

    def test_that_is_set_back_hides_nothing_that_comes(self, inbox: Here, peer: StartPeer) -> None:
        app = peer(ok)
        inbox.post(body(0))
        forward(app.url, "--once")
        change(".webhooks/ledger.db", AN_HOUR_AHEAD)
        inbox.post(body(1))
        forward(app.url, "--once")
        assert numbers(app.requests) == [1]

    def test_nor_what_is_judged(self, inbox: Here, peer: StartPeer, tmp_path: Path) -> None:
        app = peer(ok)
        inbox.post(ODD % 1)
        forward(app.url, "--once")
        change(".webhooks/ledger.db", AN_HOUR_AHEAD)
        forward(app.url, "--once")
        judge(tmp_path / "own")
        forward(app.url, "--once")
        assert bodies(app) == [ODD % 1]


class TestJudged:
    def test_what_is_judged_valid_later_is_sent_then(self, inbox: Here, peer: StartPeer, tmp_path: Path) -> None:
        app = peer(ok)
        inbox.post(ODD % 1)
        forward(app.url, "--once", "--from-start")
        assert app.requests == []
        inbox.post(body(1))
        judge(tmp_path / "own")
        for _ in range(2):
            forward(app.url, "--once")
        assert bodies(app) == [body(1), ODD % 1]

    def test_at_the_same_moment_as_another_it_is_sent_though_a_kill_was_between(
        self, inbox: Here, peer: StartPeer, tmp_path: Path
    ) -> None:
        """One of two judges that write at once may commit the earlier moment later."""
        app = peer(ok)
        for number in range(3):
            inbox.post(ODD % number)
        inbox.post(body(0))
        forward(app.url, "--once")
        judge(tmp_path / "own")
        change("in/inbox.db", "CREATE TABLE late AS SELECT * FROM delivery WHERE number IN (2, 3)")
        change("in/inbox.db", "UPDATE late SET judged_at = (SELECT max(judged_at) FROM delivery) - number + 2")
        change("in/inbox.db", "DELETE FROM delivery WHERE number IN (2, 3)")
        change("in/inbox.db", "UPDATE delivery SET judged_at = (SELECT max(judged_at) FROM late) WHERE number = 1")
        forward(app.url, "--once")
        assert bodies(app) == [ODD % 0]
        change("in/inbox.db", "INSERT INTO delivery SELECT * FROM late")
        forward(app.url, "--once")
        assert sorted(bodies(app)) == [ODD % number for number in range(3)]

    def test_before_the_beginning_it_is_not_sent(self, inbox: Here, peer: StartPeer, tmp_path: Path) -> None:
        app = peer(ok)
        inbox.post(ODD % 1)
        judge(tmp_path / "own")
        forward(app.url, "--once")
        with forwarding(app.url):
            for number in range(2):
                inbox.post(body(number))
                wait_for(lambda number=number: len(app.requests) > number, "it")
        assert numbers(app.requests) == [0, 1]
        forward(app.url, "--once", "--from-start")
        assert bodies(app) == [body(0), body(1), ODD % 1]
