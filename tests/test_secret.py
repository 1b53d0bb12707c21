"""`--path auto`: a path that nobody guesses, kept, and written whole only for who asks."""

import re
from collections.abc import Callable
from pathlib import Path

import requests
from conftest import BODY, JSON, SOON, Process, called, command, receiving_here, wait_for

from receiver.secret import secret_path
from receiver.terminal import masked

Receiving = Callable[..., Process]


def test_it_is_kept_across_restarts_and_served_alone(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state", path="auto") as here:
        first = here.server.url
        assert here.post().status_code == 202
        root = first.rpartition("/")[0]
        assert requests.post(root, data=BODY, headers=JSON, timeout=SOON).status_code == 404
    with receiving_here(tmp_path / "state", path="auto") as here:
        assert here.server.url.partition("/webhook/")[2] == first.partition("/webhook/")[2]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/webhook/[A-Za-z0-9_-]{32}", first)


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    path = secret_path(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["path"]
    assert (tmp_path / "path").stat().st_mode & 0o777 == 0o600
    assert secret_path(tmp_path) == path


def test_no_line_of_the_receiver_holds_it_whole(receiving: Receiving, tmp_path: Path) -> None:
    """Neither its start, nor a delivery, nor a request with another method or to a path beside it."""
    state = str(tmp_path / "state")
    process = receiving("--path", "auto", "--state", state)
    shown = process.url
    whole = called("receiver", "url", "--state", state, "--port", shown.split(":")[2].partition("/")[0]).stdout.strip()
    secret = whole.rpartition("/")[2]
    assert shown == whole.replace(secret, f"{secret[:3]}...")
    assert requests.post(whole, data=BODY, headers=JSON, timeout=SOON).status_code == 202
    assert requests.get(whole, timeout=SOON).status_code == 405
    assert requests.get(whole + "/x", timeout=SOON).status_code == 404
    assert requests.post(whole, data=BODY, headers={**JSON, "Origin": "http://a"}, timeout=SOON).status_code == 403
    wait_for(lambda: len(process.find(type="refused")) == 3, "the refusals")
    assert process.stop() == 0
    assert secret not in str(process.lines) + str(process.errors)


def test_the_terminal_tells_where_it_is_told(tmp_path: Path) -> None:
    assert command("receiver", "run", "--path", "auto", "--demo").returncode == 2
    assert command("receiver", "run", "--path", "aut").returncode == 2


def test_only_long_parts_are_masked() -> None:
    assert masked("http://127.0.0.1:8787/webhook") == "http://127.0.0.1:8787/webhook"
    assert masked("/webhook/abcdefghijklmnopqrstuvwxyz") == "/webhook/abc..."
