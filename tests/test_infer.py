"""A draft of a schema from what came: it allows all of that, passes the check, and holds no value."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import called, command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.contract import Contract, Verdict
from receiver.entry import Captured, Entry
from receiver.inbox import Inbox
from receiver.store import new_id
from receiver.upkeep.infer import MOST_MEMBERS, InferError, infer
from receiver.upkeep.lint import problems

STATE = Path(".webhooks")
CONSENT = "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"


def captured(*data: Any, event: str = "new.one") -> list[Captured]:
    """Deliveries with these data, an hour apart."""
    bodies = [json.dumps({"event": event, "data": one}).encode() for one in data]
    return [Captured(new_id(), number * 3_600_000_000, Verdict.VALID, body) for number, body in enumerate(bodies)]


def data_of(*data: Any) -> dict[str, Any]:
    """What the draft says of `data`."""
    schema, _ = infer("new.one", captured(*data))
    return dict(schema["properties"]["data"])


def test_a_draft_says_what_it_is_and_is_open_to_growth() -> None:
    schema, number = infer("new.one", captured({"a": 1}, {"a": 2, "b": "x"}))
    assert number == 2
    assert schema == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "new.one.json",
        "title": "New one",
        "$comment": "A draft from 2 deliveries, 1970-01-01T00:00:00.000000Z to 1970-01-01T01:00:00.000000Z: names and "
        "types as they came, and what was in all of them is required. "
        "To be compared with the provider's documentation.",
        "$ref": "envelope.json",
        "properties": {
            "event": {"const": "new.one"},
            "data": {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                "required": ["a"],
            },
        },
    }


@pytest.mark.parametrize(
    ("values", "format_"),
    [
        ([CONSENT, CONSENT.upper()], "uuid"),
        (["2026-11-25T12:00:00Z"], "date-time"),
        (["2026-11-25", "2026-01-01"], "date"),
        (["a@example.com"], "email"),
        (["https://example.com/a"], "uri"),
        ([CONSENT, "x"], None),
        ([CONSENT, ""], None),
        ([CONSENT, None], "uuid"),
        ([CONSENT, 5], "uuid"),
        ([CONSENT, {"x": 1}], "uuid"),
        (["text"], None),
    ],
)
def test_a_format_is_said_where_all_strings_have_it(values: list[Any], format_: str | None) -> None:
    said = data_of(*({"a": value} for value in values))["properties"]["a"]
    branches = said.get("anyOf", [said])
    assert [branch["format"] for branch in branches if "format" in branch] == [format_] * bool(format_)


def test_a_format_is_found_in_items_and_deep_inside() -> None:
    said = data_of({"rows": [{"id": CONSENT, "at": ["2026-11-25"]}, {"id": CONSENT}]})
    row = said["properties"]["rows"]["items"]
    assert row["properties"]["id"] == {"type": "string", "format": "uuid"}
    assert row["properties"]["at"]["items"] == {"type": "string", "format": "date"}
    assert row["required"] == ["id"]


def test_names_without_end_are_taken_for_values() -> None:
    said = data_of({"by": {f"NL{number}": 1 for number in range(MOST_MEMBERS + 1)}})["properties"]["by"]
    assert said["type"] == "object"
    assert "properties" not in said
    assert "NL" not in json.dumps(said)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([CONSENT, "2026-11-25", "a@example.com", "2026-11-25T12:00:00Z", "https://example.com", ""])
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "*", "0", "$ref"]), inner),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "type", "$id"]), JSON), min_size=1, max_size=4))
def test_a_draft_passes_the_check_and_allows_each_delivery_that_it_was_made_of(data: list[dict[str, Any]]) -> None:
    deliveries = captured(*data)
    schema, _ = infer("new.one", deliveries)
    directory = Path("drafted", "schemas")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "new.one.json").write_text(json.dumps(schema))
    assert list(problems(directory)) == []
    contract = Contract(directory)
    for delivery in deliveries:
        assert contract.allows(delivery.payload), delivery.body


def test_what_has_no_object_as_data_is_left_out() -> None:
    assert infer("new.one", captured([], {"a": 1}, None))[1] == 1
    with pytest.raises(InferError, match="no delivery of 'new.one' with an object as its data"):
        infer("new.one", captured([]))


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with closing(Inbox(STATE)) as inbox:
        yield inbox


def store(inbox: Inbox, event: str, *data: Any) -> None:
    for one in captured(*data, event=event):
        entry = Entry(one.id, one.received_at, event, one.verdict, 202, len(one.body), {}, one.body, ())
        assert not inbox.store([entry], then=lambda _: None)


def test_the_command_drafts_from_the_deliveries_of_one_event_and_holds_no_value(inbox: Inbox) -> None:
    store(
        inbox,
        "new.one",
        {"iban": "SECRET1", "count": 4242},
        {"iban": "SECRET2", "count": 4243, "deep": {"x": "SECRET3"}},
    )
    store(inbox, "other.one", {"other": 1})
    ended = called("receiver", "schemas", "infer", "new.one")
    assert ended.returncode == 0
    assert ended.stderr == "Drafted from 2 deliveries; `receiver schemas check` checks it.\n"
    assert list(json.loads(ended.stdout)["properties"]["data"]["properties"]) == ["iban", "count", "deep"]
    assert "SECRET" not in ended.stdout
    assert "424" not in ended.stdout
    (line,) = called("receiver", "schemas", "infer", "new.one", "--json").stdout.splitlines()
    assert json.loads(line) == json.loads(ended.stdout)


def test_it_is_written_to_a_file_that_is_new(inbox: Inbox) -> None:
    store(inbox, "new.one", {"a": 1})
    words = ("receiver", "schemas", "infer", "new.one", "--output", "contract/schemas/new.one.json")
    assert command(*words).returncode == 0
    assert called("receiver", "schemas", "check", "--schemas", "contract/schemas").returncode == 0
    assert called("receiver", "schemas", "drift", "--schemas", "contract/schemas").returncode == 0
    before = Path("contract/schemas/new.one.json").read_bytes()
    again = command(*words)
    assert again.returncode == 2
    assert "nothing is overwritten; choose another name" in again.stderr
    assert Path("contract/schemas/new.one.json").read_bytes() == before


@pytest.mark.parametrize(("event", "reason"), [("gone.one", "`receiver list` shows what"), ("a/b", "is named after")])
def test_an_event_that_nothing_can_be_drafted_of_is_told(inbox: Inbox, event: str, reason: str) -> None:
    store(inbox, "new.one", {"a": 1})
    ended = called("receiver", "schemas", "infer", event)
    assert ended.returncode == 2
    assert reason in ended.stderr
