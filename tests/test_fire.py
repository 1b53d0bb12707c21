"""Firing: intent, one POST, outcome. What goes wrong with the ledger afterwards does not change what is told."""

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import BODY, SOON, Peer

from receiver.store import StoreError, now
from sender.attempt import Attempt
from sender.fire import fire
from sender.ledger import AlreadySent, Ledger
from sender.post import Poster, prepare

StartPeer = Callable[..., Peer]


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def fire_at(url: str, ledger: Ledger) -> Attempt:
    with Poster(SOON) as poster:
        return fire(ledger, poster, prepare(url, {}), Attempt("X", url, "a.b", BODY, now()))


def test_the_intent_is_in_the_ledger_before_the_request_arrives_and_the_outcome_after(
    peer: StartPeer, tmp_path: Path
) -> None:
    seen: list[str] = []

    def look(connection: socket.socket) -> None:
        with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as ledger:
            seen.extend(state for (state,) in ledger.execute("SELECT state FROM attempt"))
        ok(connection)

    receiver = peer(look)
    with closing(Ledger(tmp_path / "state")) as ledger:
        ended = fire_at(receiver.url, ledger)
        assert seen == ["sending"]
        assert ended.outcome.state == "delivered"
        assert ledger.attempt("X", receiver.url) == ended


def test_the_same_event_is_posted_once_and_the_next_one_is_told_so(peer: StartPeer, tmp_path: Path) -> None:
    receiver = peer(ok)
    with closing(Ledger(tmp_path / "state")) as ledger:
        fire_at(receiver.url, ledger)
        with pytest.raises(AlreadySent):
            fire_at(receiver.url, ledger)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("spelled", ["/%68ook", "/x/../hook", "/./hook", "/hook#part"])
def test_two_spellings_of_one_url_are_one_endpoint(peer: StartPeer, tmp_path: Path, spelled: str) -> None:
    receiver = peer(ok)
    with closing(Ledger(tmp_path / "state")) as ledger:
        fire_at(receiver.url, ledger)
        with pytest.raises(AlreadySent):
            fire_at(receiver.url.replace("/hook", spelled), ledger)
    assert len(receiver.requests) == 1


def test_ctrl_c_while_the_outcome_is_stored_does_not_hide_it(
    peer: StartPeer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = peer(ok)
    with closing(Ledger(tmp_path / "state")) as ledger:

        def pressed(attempt: Attempt) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(ledger, "conclude", pressed)
        ended = fire_at(receiver.url, ledger)
    assert ended.outcome.status == 202
    assert "stopped by Ctrl-C" in capsys.readouterr().err


def test_without_an_intent_nothing_is_sent(peer: StartPeer, tmp_path: Path) -> None:
    receiver = peer(ok)
    ledger = Ledger(tmp_path / "state")
    ledger.close()
    with pytest.raises(StoreError):
        fire_at(receiver.url, ledger)
    assert receiver.requests == []


def test_an_outcome_that_cannot_be_stored_is_told_all_the_same(
    peer: StartPeer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Ledger(tmp_path / "state")) as ledger:

        def close_first(connection: socket.socket) -> None:
            ledger.close()
            ok(connection)

        receiver = peer(close_first)
        ended = fire_at(receiver.url, ledger)
    assert ended.outcome.status == 202
    assert "the outcome may not be in the ledger" in capsys.readouterr().err
