"""What came becomes a scenario: the same events, gaps and ties, and no real value."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import JSON, Here, called, command, receiving_here

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
CONSENT, USER, OTHER = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "abc")


def body(event: str, **data: Any) -> bytes:
    return json.dumps({"event": event, "data": data}).encode()


def export(state: Path, *words: str) -> Any:
    return called("receiver", "export", "--state", str(state), "--scenario", *words)


@pytest.fixture
def came(here: Here) -> Here:
    here.post(body(STATUS, consentId=CONSENT, userId=USER, status="UPDATED"))
    time.sleep(0.3)  # the gap that is to be kept
    here.post(body(FETCHED, consentId=CONSENT.upper(), userId=None, externalUserId="${Jane} Doe", pin="x-secret"))
    here.post(b"no json of Jane")
    here.post(body("of.tomorrow", name="Jane"))
    here.post(body(FETCHED, consentId=OTHER, addedTransactionsCount=4711))
    return here


def test_the_steps_have_the_events_the_gaps_and_the_ties(came: Here, tmp_path: Path) -> None:
    ended = export(tmp_path / "state")
    assert ended.returncode == 0, ended.stderr
    first, second, third = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [step["event"] for step in (first, second, third)] == [STATUS, FETCHED, FETCHED]
    assert "after" not in first
    assert 0.3 <= second["after"] < 20
    assert first["data"]["consentId"] == second["data"]["consentId"] == "${id-2}"
    assert (first["data"]["userId"], third["data"]["consentId"]) == ("${id-1}", "${id-3}")
    assert "3 steps" in ended.stderr
    assert "2 left out, which are not valid" in ended.stderr


def test_no_real_value_is_in_it(came: Here, tmp_path: Path) -> None:
    ended = export(tmp_path / "state")
    told = (ended.stdout + ended.stderr).lower()
    for secret in (CONSENT, USER, OTHER, "jane", "4711", "x-secret", "pin"):
        assert secret not in told


def test_it_can_be_played_with_other_ids_that_are_tied_as_they_were(came: Here, tmp_path: Path) -> None:
    ended = export(tmp_path / "state", "--output", "out", "--name", "monday")
    assert "3 steps to out/monday.jsonl" in ended.stderr
    with receiving_here(tmp_path / "other") as other:
        played = command("sender", "play", "out/monday.jsonl", "--speed", "max", "--to", other.server.url)
        assert played.returncode == 0, played.stdout
        data = [entry.data for _, entry in other.server.inbox.after(0)]
    assert data[0]["consentId"] == data[1]["consentId"] != data[2]["consentId"]
    assert data[0]["consentId"] != CONSENT
    assert export(tmp_path / "state", "--output", "out", "--name", "monday").returncode == 2


def test_it_can_be_narrowed(came: Here, tmp_path: Path) -> None:
    assert len(export(tmp_path / "state", FETCHED).stdout.splitlines()) == 2
    assert len(export(tmp_path / "state", "--since", "1h").stdout.splitlines()) == 3
    assert "no valid delivery came" in export(tmp_path / "state", "--since", "0s").stderr
    refused = export(tmp_path / "state", FETCHED, "abc")
    assert refused.returncode == 2
    assert "leave out the ids" in refused.stderr


def test_a_text_that_looks_like_a_placeholder_is_played_as_it_is(here: Here, tmp_path: Path) -> None:
    schemas = tmp_path / "own" / "schemas"
    schemas.mkdir(parents=True)
    note = {"const": "${x}"}
    (schemas / "a.b.json").write_text(json.dumps({"properties": {"data": {"properties": {"note": note}}}}))
    own = ("--schemas", str(schemas))
    with receiving_here(tmp_path / "a", schemas=schemas) as a:
        a.post(body("a.b", note="${x}"), JSON)
        ended = export(tmp_path / "a", *own)
        Path("s.jsonl").write_text(ended.stdout)
        assert command("sender", "play", "s.jsonl", "--to", a.server.url, *own).returncode == 0
        assert [entry.data for _, entry in a.server.inbox.after(0)] == [{"note": "${x}"}] * 2
