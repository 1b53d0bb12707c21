"""Samples made of what came: no real value survives, ids stay equal where they were, and each sample is valid."""

import json
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from conftest import called
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.contract import Contract, Verdict
from receiver.entry import Entry
from receiver.inbox import Inbox
from receiver.store import new_id, now
from receiver.upkeep.lint import problems
from receiver.upkeep.sanitise import SanitiseError, Sanitiser

STATE = Path(".webhooks")
IDS = [f"5ec2e700-0000-4000-8000-{number:012}" for number in range(10)]
NUMBERS = count()
TEXT = {"type": "string"}


def contract(data: Any) -> Contract:
    """A contract with the event type `a.b`, of which this is said of `data`."""
    directory = Path(f"contract-{next(NUMBERS)}", "schemas")
    directory.mkdir(parents=True)
    schema = {"$ref": "envelope.json", "properties": {"event": {"const": "a.b"}, "data": data}}
    (directory / "a.b.json").write_text(json.dumps(schema))
    return Contract(directory)


def sanitised(says: Any, data: Any) -> Any:
    """The data of a sample of `data`, of a schema that says this."""
    sample, _ = Sanitiser(contract(says), "a.b").sample({"event": "a.b", "data": data})
    return sample["data"]


def value_of(says: Any, value: Any) -> Any:
    """The same for a single field."""
    return sanitised({"properties": {"x": says}}, {"x": value})["x"]


def fetched(**data: Any) -> dict[str, Any]:
    return {"event": "transactions.fetched", "data": {"consentId": IDS[0], **data}}


@pytest.mark.parametrize(
    ("says", "value", "neutral"),
    [
        (TEXT, "SECRET", "text"),
        (TEXT, "", "text"),
        ({}, "SECRET", "text"),
        (True, "SECRET", "text"),
        ({"type": "integer"}, 4242, 1),
        ({"type": "integer", "minimum": 1000}, 4242, 1000),
        ({"type": "integer", "multipleOf": 5, "minimum": 7}, 4245, 10),
        ({"type": "number"}, 42.42, 0.5),
        ({"type": "number", "exclusiveMaximum": -10}, -42.42, -10.5),
        ({"type": "boolean"}, False, True),
        ({"type": ["string", "null"]}, None, None),
        ({"type": ["integer", "string"], "pattern": "^[0-9]+$"}, "4242", "1"),
        ({"format": "date"}, "1961-02-03", "2026-11-25"),
        ({"format": "date-time"}, "1961-02-03T04:05:06Z", "2026-11-25T12:00:00Z"),
        ({"format": "email"}, "SECRET@bank.nl", "someone@example.com"),
        ({"minLength": 6}, "SECRET", "texttt"),
        ({"maxLength": 2}, "SE", "te"),
        ({"pattern": "^[A-Z]{2}[0-9]{2}[A-Z]{4}[0-9]{10}$"}, "NL91ABNA0417164300", "AA00AAAA0000000000"),
        ({"enum": ["OPEN", "SHUT"]}, "SHUT", "SHUT"),
        ({"const": 7}, 7, 7),
        ({"anyOf": [{"const": "ALL"}, {"type": "string", "minLength": 5}]}, "SECRET", "text" + "t"),
        ({"type": "string", "examples": ["green"], "pattern": "een$"}, "SEC-een", "green"),
        ({"type": "array", "items": {"type": "integer"}}, [4242] * 9, [1, 1]),
        ({"type": "array", "items": TEXT, "uniqueItems": True}, ["S1", "S2", "S3"], ["text", "1"]),
        ({"type": "array", "items": TEXT, "minItems": 3}, ["S1", "S2", "S3"], ["text"] * 3),
        ({"type": "object"}, {"SECRET": {"SECRET": 1}}, {}),
        ({"properties": {"y": TEXT}}, {"y": "SECRET", "SECRET": 1}, {"y": "text"}),
        ({"additionalProperties": TEXT}, {"SECRET": "SECRET"}, {}),
        ({"patternProperties": {"^S": TEXT}}, {"SECRET": "SECRET"}, {}),
        ({"required": ["y"]}, {"y": "SECRET"}, {"y": "text"}),
    ],
)
def test_a_value_becomes_a_neutral_one_that_its_schema_allows(says: Any, value: Any, neutral: Any) -> None:
    assert value_of(says, value) == neutral


def test_an_id_is_the_same_wherever_it_occurs_and_nothing_of_it_is_left() -> None:
    sanitiser = Sanitiser(Contract(), "transactions.fetched")
    one, _ = sanitiser.sample(fetched(userId=IDS[1], externalUserId=IDS[1].upper()))
    two, _ = sanitiser.sample({"event": "transactions.fetched", "data": {"consentId": IDS[2], "userId": IDS[1]}})
    assert one["data"]["userId"] == one["data"]["externalUserId"] == two["data"]["userId"]
    assert len({one["data"]["consentId"], one["data"]["userId"], two["data"]["consentId"]}) == 3


def test_which_id_it_becomes_does_not_follow_from_it() -> None:
    """Else it could be found by trying."""
    samples = [Sanitiser(Contract(), "transactions.fetched").sample(fetched(userId=one))[0] for one in IDS[1:4]]
    assert samples[0] == samples[1] == samples[2]


def test_a_payload_of_an_event_of_which_nothing_is_documented_is_empty_and_that_is_told() -> None:
    payload = {"event": "databridge.share.created", "data": {"SECRET": "SECRET", "more": [IDS[0]]}, "id": "SECRET"}
    sample, steps = Sanitiser(Contract(), "databridge.share.created").sample(payload)
    assert sample == {"event": "databridge.share.created", "data": {}}
    assert [(step.pointer, step.what) for step in steps] == [
        ("", "1 left out that the schema does not declare"),
        ("/data", "2 left out that the schema does not declare"),
    ]


@pytest.mark.parametrize(
    ("says", "value", "reason"),
    [
        ({"pattern": "^[^A-Za-z0-9]{9}$"}, "/" * 9, "no neutral value is known that the schema allows there"),
        ({"additionalProperties": TEXT, "minProperties": 1}, {"SECRET": "x"}, "needs what its schema does not declare"),
        ({"type": "integer"}, "SECRET", "is no valid a.b"),
    ],
)
def test_what_no_sample_can_be_made_of_is_told_without_its_value(says: Any, value: Any, reason: str) -> None:
    with pytest.raises(SanitiseError, match=reason) as error:
        value_of(says, value)
    assert "SECRET" not in str(error.value)


SECRET = st.one_of(
    st.just("SECRET"),
    st.sampled_from(IDS),
    st.integers(424242, 424299),
    st.floats(424242, 424299),
    st.lists(st.just("SECRET"), max_size=4),
    st.dictionaries(st.sampled_from(["userId", "SECRET"]), st.just("SECRET")),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(["a", "b", "list", "deep", "SECRET", "4242"]), SECRET), st.data())
def test_no_real_value_survives(data: dict[str, Any], draw: st.DataObject) -> None:
    """Secrets in each place: keys, values, numbers, nested ones, fields that are declared and that are not."""
    says = draw.draw(
        st.sampled_from(
            [
                {},
                {"properties": {"a": {}, "list": {"items": {}}, "deep": {"properties": {"userId": {}}}}},
                {"properties": {"a": {"type": ["string", "number", "array", "object"]}, "b": {}}},
                {"additionalProperties": {"properties": {"userId": TEXT}}},
                {"anyOf": [{"properties": {"a": TEXT}}, {"properties": {"b": {"items": TEXT}}}]},
            ]
        )
    )
    own = contract(says)
    payload = {"event": "a.b", "data": data, "SECRET": data}
    if not own.allows(payload):
        return
    sample, steps = Sanitiser(own, "a.b").sample(payload)
    told = json.dumps([sample, [[step.pointer, step.what] for step in steps]])
    assert "SECRET" not in told
    assert "4242" not in told
    assert not any(id_ in told for id_ in IDS)
    assert own.allows(sample)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with closing(Inbox(STATE)) as inbox:
        yield inbox


def store(inbox: Inbox, payload: object, verdict: Verdict = Verdict.VALID) -> str:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    entry = Entry(new_id(), now(), "x", verdict, 202, len(body), {}, body, ())
    assert not inbox.store([entry], then=lambda _: None)
    return entry.id


def export(*words: str) -> Any:
    return called("receiver", "export", "transactions.fetched", *words)


def test_the_command_writes_samples_that_pass_the_check_and_tells_what_it_did(inbox: Inbox) -> None:
    secret = {"userId": IDS[1], "externalUserId": "SECRET", "addedTransactionsCount": 4242, "SECRET": "SECRET"}
    ids = [store(inbox, fetched(**secret)), store(inbox, fetched(userId=IDS[1]))]
    ended = export(*ids, "--sanitise", "--output", "ours/samples", "--name", "real")
    assert ended.returncode == 0
    assert ended.stdout == ""
    first, second = (json.loads(Path(f"ours/samples/transactions.fetched/real-{n}.json").read_text()) for n in (1, 2))
    assert first["data"]["userId"] == second["data"]["userId"]
    assert ended.stderr.splitlines()[:7] == [
        f"{ids[0][:8]} to ours/samples/transactions.fetched/real-1.json",
        "  /data: 1 left out that the schema does not declare",
        "  /data/userId: id 1",
        "  /data/externalUserId: a neutral string",
        "  /data/consentId: id 2",
        "  /data/addedTransactionsCount: a neutral integer",
        f"{ids[1][:8]} to ours/samples/transactions.fetched/real-2.json",
    ]
    assert not any(secret in json.dumps([first, second]) + ended.stderr for secret in ("SECRET", "4242", *IDS))
    Path("ours/schemas").symlink_to(Contract().directory)
    assert list(problems(Path("ours/schemas"))) == []


def test_it_prints_where_no_directory_is_given(inbox: Inbox) -> None:
    id_ = store(inbox, fetched(userId=None))
    assert json.loads(export(id_[:6], "--sanitise").stdout)["data"]["userId"] is None
    assert len(export(id_, id_, "--sanitise", "--json").stdout.splitlines()) == 2


def test_nothing_is_exported_as_it_came(inbox: Inbox) -> None:
    ended = export(store(inbox, fetched()))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "add --sanitise" in ended.stderr


def test_nothing_is_overwritten_and_then_nothing_is_written(inbox: Inbox) -> None:
    id_ = store(inbox, fetched())
    there = Path("samples/transactions.fetched/captured-2.json")
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    ended = export(id_, id_, "--sanitise", "--output", "samples")
    assert ended.returncode == 2
    assert "nothing is overwritten; choose another --name" in ended.stderr
    assert there.read_text() == "mine"
    assert not there.with_name("captured-1.json").exists()


@pytest.mark.parametrize(
    ("payload", "verdict", "words", "reason"),
    [
        (fetched(userId="SECRET"), Verdict.INVALID, (), "is no valid transactions.fetched"),
        ({"event": "consent.accounts.updated", "data": {}}, Verdict.INVALID, (), "is no valid transactions.fetched"),
        (b"{SECRET", Verdict.MALFORMED, (), "expecting property name"),
        (fetched(), Verdict.VALID, ("--name", "../x"), "is not made of letters"),
    ],
)
def test_what_cannot_be_exported_is_told(
    inbox: Inbox, payload: object, verdict: Verdict, words: tuple[str, ...], reason: str
) -> None:
    ended = export(store(inbox, payload, verdict), "--sanitise", *words)
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert "SECRET" not in ended.stderr


def test_an_event_type_or_delivery_that_is_not_there_is_told(inbox: Inbox) -> None:
    id_ = store(inbox, fetched())
    assert "did you mean" in called("receiver", "export", "transactions.fetch", id_, "--sanitise").stderr
    assert "no delivery 'ffff'" in export("ffff", "--sanitise").stderr
