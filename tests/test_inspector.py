"""The inspector: on a listener of its own, on loopback, for this machine's own names only."""

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from conftest import SOON, Here, Process, command, fake_browser, receiving_here, wait_for

from receiver import Delivery, Handlers
from receiver.entry import RunState


def failing() -> Handlers:
    handlers = Handlers()

    @handlers.on("*")
    def fails(delivery: Delivery) -> None:
        raise ValueError

    return handlers


def bearer(here: Here) -> dict[str, str]:
    return {"Authorization": f"Bearer {here.server.token}"}


def health(here: Here, **headers: str) -> requests.Response:
    return requests.get(f"{here.server.inspector}health", headers=headers, timeout=SOON)


def test_health_is_200_with_what_is_not_done(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state", failing(), inspector_ports=(0,)) as here:
        here.post()
        here.wait(type="run", state="failed")
        answer = health(here)
    assert answer.status_code == 200
    assert answer.json() == {"status": "up", "runs": {"pending": 0, "running": 0, "failed": 1, "interrupted": 0}}
    assert answer.headers["Cache-Control"] == "no-store"


def test_health_no_longer_tells_of_a_failed_run_that_was_repeated(tmp_path: Path) -> None:
    handlers, outcomes = Handlers(), iter([ValueError(), None])

    @handlers.on("*")
    def fails_once(delivery: Delivery) -> None:
        if error := next(outcomes):
            raise error

    with receiving_here(tmp_path / "state", handlers, inspector_ports=(0,)) as here:
        here.post()
        here.wait(type="run", state="failed")
        here.server.inbox.runs.again(here.server.inbox.runs.latest([RunState.FAILED]))
        here.wait(type="run", state="done")
        assert health(here).json()["runs"] == {"pending": 0, "running": 0, "failed": 0, "interrupted": 0}


@pytest.mark.slow
def test_health_is_503_once_the_inbox_takes_nothing_more(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state", inspector_ports=(0,)) as here:
        assert health(here).status_code == 200
        (tmp_path / "state" / "inbox.db").rename(tmp_path / "state" / "away")
        assert wait_for(lambda: health(here).status_code == 503, "the beats to be missed", within=40)
        assert health(here).json()["status"] == "down"


def test_its_usual_port_may_be_taken_the_hook_is_served_all_the_same(receiving: Callable[..., Process]) -> None:
    first, second = receiving(), receiving("--state", "other")
    urls = {first.wait(type="ready")["inspector"], second.wait(type="ready")["inspector"]}
    assert len(urls) == 2
    assert all(requests.get(f"{url}health", timeout=SOON).status_code == 200 for url in urls)
    port = str(first.wait(type="ready")["inspector"]).rstrip("/").rpartition(":")[2]
    ended = command("receiver", "run", "--port", "0", "--state", "third", "--inspector-port", port)
    assert (ended.returncode, "address already in use" in ended.stderr) == (2, True)


def test_it_is_opened_in_the_browser_where_that_is_asked_for(receiving: Callable[..., Process], tmp_path: Path) -> None:
    process = receiving("--open", env=fake_browser(tmp_path))
    ready = process.wait(type="ready")
    url = wait_for(lambda: (tmp_path / "opened").is_file() and (tmp_path / "opened").read_text(), "it to be opened")
    assert url == f"{ready['inspector']}?token={ready['token']}\n"
    both = command("receiver", "run", "--no-inspector", "--open")
    assert (both.returncode, "exclude each other" in both.stderr) == (2, True)


def test_there_need_be_none(receiving: Callable[..., Process]) -> None:
    assert receiving("--no-inspector").wait(type="ready")["inspector"] is None
    both = command("receiver", "run", "--no-inspector", "--inspector-port", "9000")
    assert (both.returncode, "exclude each other" in both.stderr) == (2, True)
