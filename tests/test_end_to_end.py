"""Both halves as processes: every event type, fired once, is received, judged, stored and routed."""

import json
from collections.abc import Callable

import pytest
from conftest import ROOT, Process, called, command

from receiver.contract import Contract


@pytest.mark.parametrize("schemas", [[], ["--schemas", str(ROOT / "schemas")]])
def test_every_event_type_is_answered_202_and_its_handler_has_run(
    receiving: Callable[..., Process], contract: Contract, schemas: list[str]
) -> None:
    receiver = receiving(str(ROOT / "samples" / "handlers.py"), *schemas)
    for event in contract.events:
        fired = command("sender", "fire", event, "--to", receiver.url, "--json", *schemas)
        record = json.loads(fired.stdout)
        assert (fired.returncode, record["status"]) == (0, 202)
        assert receiver.wait(type="run", id=record["delivery"], event=event)["state"] == "done"
        shown = json.loads(called("receiver", "show", record["delivery"], "--json").stdout)
        assert shown["data"] == json.loads(record["body"])["data"]
    assert len(called("sender", "log", "--json").stdout.splitlines()) == len(contract.events)


def test_what_the_sender_is_made_to_send_the_receiver_refuses_with_reasons_that_the_sender_shows(
    receiving: Callable[..., Process],
) -> None:
    receiver = receiving()
    words = ["fire", "transactions.fetched", "--to", receiver.url, "--no-validate"]
    ended = command("sender", *words, "--set", "consentId=5")
    assert ended.returncode == 1
    assert "/data/consentId" in ended.stdout
    ended = command("sender", "fire", "new.event", "--to", receiver.url, "--no-validate", "--data", "{}")
    assert ended.returncode == 0
    assert receiver.wait(type="delivery", event="new.event")["verdict"] == "unknown_event"
