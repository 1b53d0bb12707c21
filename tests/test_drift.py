"""Drift: each way in which what came departs from the contract is found, counted, dated, and shown without a value."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import called

from receiver.contract import Contract, Verdict
from receiver.entry import Entry
from receiver.inbox import Inbox
from receiver.store import new_id
from receiver.upkeep.drift import MOST_FINDINGS, Finding, drift

CONSENT = "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"
SHARE = "databridge.share.created"
HOUR = 3_600_000_000
STATE = Path(".webhooks")


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with closing(Inbox(STATE)) as inbox:
        yield inbox


def store(inbox: Inbox, *bodies: object, verdict: Verdict = Verdict.VALID) -> list[str]:
    """Stores each body an hour after the one before; returns their ids."""
    entries = []
    for number, body in enumerate(bodies):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        at = 1_000_000_000_000_000 + number * HOUR
        entries.append(Entry(new_id(), at, "x", verdict, 202, len(raw), {}, raw, ()))
    assert not inbox.store(entries, then=lambda _: None)
    return [entry.id for entry in entries]


def fetched(**data: Any) -> dict[str, Any]:
    return {"event": "transactions.fetched", "data": {"consentId": CONSENT, **data}}


WHOLE = fetched(userId=None, externalUserId=None, addedTransactionsCount=1)


def found(inbox: Inbox, contract: Contract | None = None) -> dict[tuple[str, str, str, str], Finding]:
    findings = drift(inbox.captured(), contract or Contract()).findings
    return {(one.spot.kind, one.spot.event, one.spot.pointer, one.spot.keyword): one for one in findings}


def drifting(inbox: Inbox, contract: Contract | None = None) -> set[tuple[str, ...]]:
    """What is drift, of the event type `transactions.fetched` without its name."""
    return {
        tuple(part for part in key if part and part != "transactions.fetched")
        for key, finding in found(inbox, contract).items()
        if finding.spot.kind.drift
    }


def test_what_is_documented_is_no_drift(inbox: Inbox, contract: Contract) -> None:
    store(inbox, *(dict(sample) for event in contract.events for sample in contract.samples(event).values()))
    assert drifting(inbox) == set()


@pytest.mark.parametrize(
    ("body", "spots"),
    [
        (fetched(bank="x"), {("undeclared", "/data/bank")}),
        (fetched(bank={"name": "x"}), {("undeclared", "/data/bank")}),
        (fetched(**{"a/b~": 1}), {("undeclared", "/data/a~1b~0")}),
        ({**fetched(), "id": "x"}, {("undeclared", "/id")}),
        ({"event": SHARE, "data": {"id": 1}}, {("undeclared", SHARE, "/data/id")}),
        (fetched(consentId=5), {("violation", "/data/consentId", "type")}),
        (fetched(consentId="x"), {("violation", "/data/consentId", "format")}),
        (fetched(addedTransactionsCount=-1), {("violation", "/data/addedTransactionsCount", "minimum")}),
        ({"event": "transactions.fetched", "data": {}}, {("violation", "/data/consentId", "required")}),
        ({"event": "new.one", "data": {}}, {("unknown_event", "new.one")}),
        ({"event": "transactions.fetched", "data": []}, {("violation", "/data", "type")}),
        ({"event": 5}, {("violation", "/data", "required"), ("violation", "/event", "type")}),
        ([], {("violation", "type")}),
    ],
)  # fmt: skip
def test_each_kind_of_drift_is_found(inbox: Inbox, body: object, spots: set[tuple[str, ...]]) -> None:
    store(inbox, body)
    assert drifting(inbox) == spots


def test_a_body_that_is_no_json_is_malformed_and_one_with_another_content_type_is_judged(inbox: Inbox) -> None:
    store(inbox, b'{"event": "x"', b'{"a": 1, "a": 2}', fetched(bank=1), verdict=Verdict.MALFORMED)
    assert drifting(inbox) == {("malformed",), ("undeclared", "/data/bank")}
    assert found(inbox)["malformed", "", "", ""].count == 2


def test_a_finding_has_its_counts_its_first_and_last_time_and_a_delivery(inbox: Inbox) -> None:
    ids = store(inbox, WHOLE, fetched(bank=1), WHOLE, fetched(bank=2, userId=None), {"event": "new.one", "data": {}})
    one = found(inbox)["undeclared", "transactions.fetched", "/data/bank", ""]
    assert (one.count, one.of, one.example) == (2, 4, ids[1])
    assert (one.first_at, one.last_at) == (1_000_000_000_000_000 + HOUR, 1_000_000_000_000_000 + 3 * HOUR)
    missing = found(inbox)["missing", "transactions.fetched", "/data/userId", ""]
    assert (missing.count, missing.of) == (1, 4)


def test_the_items_of_an_array_are_one_place_and_a_delivery_counts_once(inbox: Inbox) -> None:
    inner = {"properties": {"id": {"type": "integer"}, "note": {}}, "required": ["id"]}
    contract = described({"rows": {"items": {"$ref": "#/$defs/row"}}}, row=inner)
    rows = [{"id": 1, "x": 1}, {"id": "a", "x": 2}, {"note": 1, "x": {"deep": 1}}]
    store(inbox, {"event": "a.b", "data": {"rows": rows}})
    keys = found(inbox, contract)
    assert set(keys) == {
        ("undeclared", "a.b", "/data/rows/*/x", ""),
        ("violation", "a.b", "/data/rows/*/id", "type"),
        ("violation", "a.b", "/data/rows/*/id", "required"),
        ("missing", "a.b", "/data/rows/*/id", ""),
        ("missing", "a.b", "/data/rows/*/note", ""),
    }
    assert {(finding.count, finding.of) for finding in keys.values()} == {(1, 1)}


@pytest.mark.parametrize("more", [{"patternProperties": {"^x-": {}}}, {"additionalProperties": {"type": "integer"}}])
def test_where_names_are_free_none_is_undeclared(inbox: Inbox, more: dict[str, Any]) -> None:
    contract = described({"by": {"properties": {}, **more}})
    store(inbox, {"event": "a.b", "data": {"by": {"x-1": 1, "y": 2}}})
    assert drifting(inbox, contract) == set()


def test_what_refers_to_itself_is_followed_as_deep_as_the_payload_goes(inbox: Inbox) -> None:
    contract = described({"tree": {"$ref": "#/$defs/tree"}}, tree={"properties": {"left": {"$ref": "#/$defs/tree"}}})
    store(inbox, {"event": "a.b", "data": {"tree": {"left": {"left": {"left": {"right": 1}}}}}})
    assert drifting(inbox, contract) == {("undeclared", "a.b", "/data/tree/left/left/left/right")}


def described(members: dict[str, Any], **parts: Any) -> Contract:
    Path("schemas").mkdir()
    schema = {"$defs": parts, "properties": {"data": {"properties": members}}}
    Path("schemas/a.b.json").write_text(json.dumps(schema))
    return Contract(Path("schemas"))


def test_names_without_end_are_counted_and_not_kept(inbox: Inbox) -> None:
    store(inbox, *(fetched(**{f"name-{number}": 1}) for number in range(MOST_FINDINGS + 50)))
    result = drift(inbox.captured(), Contract())
    assert len(result.findings) == MOST_FINDINGS
    assert result.left_out >= 50


def test_the_command_tells_drift_by_its_exit_code_and_prints_no_value(inbox: Inbox) -> None:
    store(inbox, WHOLE, fetched())
    calm = called("receiver", "schemas", "drift")
    assert calm.returncode == 0
    assert "/data/userId" in calm.stdout
    assert "in 1 of 2" in calm.stdout
    assert calm.stderr.startswith("2 deliveries, no drift from ")
    secrets = {"event": "\x1b[31mSECRETEVENT", "data": {"iban": "SECRET"}}
    (id_, *_) = store(inbox, fetched(iban="SECRET", consentId="SECRET", **{"\x1b[2J": {"SECRET": 1}}), secrets)
    ended = called("receiver", "schemas", "drift")
    assert ended.returncode == 1
    assert "`receiver schemas infer EVENT` drafts a schema" in ended.stderr
    assert "SECRET" not in (ended.stdout + ended.stderr).replace("u001b[31mSECRETEVENT", "")
    assert "\x1b" not in ended.stdout + ended.stderr
    assert f"/data/iban {' ' * 21}  in 1 of 3" in ended.stdout
    assert id_[:8] in ended.stdout


def test_as_json_each_finding_is_a_line(inbox: Inbox) -> None:
    (id_,) = store(inbox, fetched(bank=1))
    lines = [json.loads(line) for line in called("receiver", "schemas", "drift", "--json").stdout.splitlines()]
    assert lines[0] == {
        "event": "transactions.fetched",
        "kind": "undeclared",
        "pointer": "/data/bank",
        "keyword": None,
        "count": 1,
        "of": 1,
        "first_at": "2001-09-09T01:46:40.000000Z",
        "last_at": "2001-09-09T01:46:40.000000Z",
        "example": id_,
    }
    assert {line["kind"] for line in lines[1:]} == {"missing"}
    assert called("receiver", "schemas", "drift", "--since", "7d").returncode == 0


def test_a_documented_field_that_never_came_is_told_so(inbox: Inbox) -> None:
    store(inbox, fetched(), fetched())
    assert "never came" in called("receiver", "schemas", "drift").stdout


def test_without_an_inbox_it_says_what_to_do() -> None:
    ended = called("receiver", "schemas", "drift", "--state", "elsewhere")
    assert ended.returncode == 2
    assert "`receiver run` makes one" in ended.stderr
