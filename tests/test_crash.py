"""The receiver killed with SIGKILL: what it answered 2xx to is there, and its handlers run after the restart."""

import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import requests
from conftest import BODY, JSON, SOON, Process, command, wait_for

HANDLERS = """
import os, time
from receiver import Handlers

handlers = Handlers()

@handlers.on("consent.*")
def hold(delivery):
    if os.environ.get("HOLD"):
        print("holding", flush=True)
        time.sleep(60)

@handlers.on("transactions.fetched")
def note(delivery):
    with open("started", "a") as file:
        file.write(delivery.id + "\\n")
"""
HOLDING = b'{"event": "consent.accounts.updated", "data": {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"}}'


def post(url: str, body: bytes = BODY) -> str:
    answer = requests.post(url, data=body, headers=JSON, timeout=SOON)
    assert answer.status_code == 202
    return answer.headers["Delivery-Id"]


def started() -> Counter[str]:
    return Counter(Path("started").read_text().split() if Path("started").exists() else [])


def test_killed_right_after_a_202_the_delivery_is_there_and_its_handler_runs_after_the_restart(
    receiving: Callable[..., Process],
) -> None:
    Path("mine.py").write_text(HANDLERS)
    first = receiving("mine.py", env={**os.environ, "HOLD": "1"})
    held = post(first.url, HOLDING)
    wait_for(lambda: "holding\n" in first.errors, "the handler before it to hold the worker")
    waiting = post(first.url)
    first.kill()
    assert started() == {}
    second = receiving("mine.py")
    second.wait(type="run", id=waiting, state="done")
    assert started() == {waiting: 1}
    assert second.find(type="run", id=held) == []  # interrupted: run again only when asked
    third = receiving("mine.py")  # beside the second, on the same inbox
    assert third.url
    assert second.stop() == 0


def test_killed_again_and_again_under_load_nothing_acknowledged_is_lost_and_every_handler_was_started(
    receiving: Callable[..., Process],
) -> None:
    Path("mine.py").write_text(HANDLERS)
    acknowledged: list[str] = []
    for _ in range(5):
        receiver = receiving("mine.py")
        url = receiver.url
        before = len(acknowledged)
        posters = [threading.Thread(target=_post_until_it_dies, args=(url, acknowledged)) for _ in range(4)]
        for poster in posters:
            poster.start()
        wait_for(lambda before=before: len(acknowledged) > before + 30, "some to be acknowledged")
        receiver.kill()
        for poster in posters:
            poster.join()
    last = receiving("mine.py")
    post(last.url)
    interrupted = _listed(
        "--run", "interrupted"
    )  # begun, on disk, in the moment of the kill: run again only when asked
    assert len(interrupted) <= 5
    wait_for(lambda: set(acknowledged) <= {*started(), *interrupted}, "every handler to be started")
    assert set(started().values()) == {1}
    stored = Counter(_listed())
    assert set(acknowledged) <= set(stored)
    assert set(stored.values()) == {1}
    assert len(acknowledged) > 150


def _post_until_it_dies(url: str, acknowledged: list[str]) -> None:
    with requests.Session() as session:
        while True:
            try:
                answer = session.post(url, data=BODY, headers=JSON, timeout=SOON)
            except requests.RequestException:
                return
            acknowledged.append(answer.headers["Delivery-Id"])


def _listed(*words: str) -> list[str]:
    """The ids of what is in the inbox."""
    lines = command("receiver", "list", "--json", "--limit", "100000", *words).stdout.splitlines()
    return [json.loads(line)["id"] for line in lines]
