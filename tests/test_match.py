"""Matching: which deliveries an event pattern and conditions mean, and why another one does not fit."""

import json
from typing import Any

import pytest

from receiver.contract import Verdict
from receiver.entry import Entry
from receiver.match import Condition, MatchError, Wanted, fits
from receiver.store import new_id

DATA = {"consentId": "123", "count": 5, "user": {"id": 7, "active": True}, "accounts": ["a", {"iban": "x"}], "a": None}


def entry(event: str = "consent.status.updated", verdict: Verdict = Verdict.VALID, data: Any = DATA) -> Entry:
    body = json.dumps({"event": event, "data": data}).encode()
    return Entry(new_id(), 0, event, verdict, 202, len(body), {}, body, ())


@pytest.mark.parametrize(
    ("pattern", "fitting"),
    [
        ("*", {"consent.status.updated", "consent", "transactions.fetched", ""}),
        ("consent.*", {"consent.status.updated"}),
        ("consent", {"consent"}),
        ("transactions.fetched", {"transactions.fetched"}),
    ],
)
def test_a_pattern_is_an_event_a_prefix_or_everything(pattern: str, fitting: set[str]) -> None:
    events = {"consent.status.updated", "consent", "transactions.fetched", ""}
    assert {event for event in events if fits(event, pattern)} == fitting


@pytest.mark.parametrize("pattern", ["", "a*", "*.a", "a.*.b", "**"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(MatchError, match="a pattern is an event type"):
        Wanted(pattern)


@pytest.mark.parametrize(
    "text",
    [
        "consentId=123",
        'consentId="123"',
        "count=5",
        "count=5.0",
        "user.id=7",
        "user.active=true",
        "accounts.0=a",
        "accounts.1.iban=x",
        'user={"active": true, "id": 7}',
        'accounts=["a", {"iban": "x"}]',
        "a=null",
    ],
)
def test_a_condition_holds_for_that_text_or_that_json(text: str) -> None:
    assert Condition.parse(text).holds(DATA)


@pytest.mark.parametrize(
    "text",
    [
        "consentId=124",
        "count=6",
        "user.active=1",
        'user={"active": 1, "id": 7}',
        'user={"id": 7}',
        'accounts=["a"]',
        "accounts.2=a",
        "accounts.x=a",
        "consentId.x=1",
        "count.x=1",
        "nothing=null",
        "consentId=",
    ],
)
def test_a_condition_does_not_hold_for_anything_else(text: str) -> None:
    assert not Condition.parse(text).holds(DATA)


def test_a_value_of_python_is_not_read_as_text() -> None:
    assert Wanted.where("*", {"consentId": "123"}).misfit(entry()) is None
    assert Wanted.where("*", {"consentId": 123}).misfit(entry())


@pytest.mark.parametrize("text", ["consentId", "=5", ""])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(MatchError, match="PATH=VALUE"):
        Condition.parse(text)


def test_deep_json_as_a_value_is_a_text() -> None:
    assert not Condition.parse("a=" + "[" * 100_000).holds(DATA)


def test_it_is_told_why_an_entry_does_not_fit_and_no_value_is() -> None:
    wanted = Wanted("consent.*", (Condition.parse("consentId=9"), Condition.parse("count=5"), Condition.parse("x=1")))
    assert wanted.misfit(entry("transactions.fetched")) == "another event"
    assert wanted.misfit(entry()) == "another consentId and x"
    assert str(wanted) == "consent.* where consentId and count and x fits"


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_a_condition_on_data_that_is_no_object_does_not_hold(data: Any) -> None:
    assert Wanted.where("*", {"a": None}).misfit(entry(data=data)) == "another a"


def test_only_what_handlers_get_fits_unless_any_verdict_is_asked_for() -> None:
    assert Wanted("*").misfit(entry(verdict=Verdict.UNKNOWN_EVENT)) is None
    assert Wanted("*").misfit(entry(verdict=Verdict.INVALID)) == "not handled"
    assert Wanted("*", any_verdict=True).misfit(entry(verdict=Verdict.INVALID)) is None


def test_a_malformed_body_has_no_event_and_no_data() -> None:
    malformed = Entry(new_id(), 0, None, Verdict.MALFORMED, 400, 1, {}, b"{", ())
    assert Wanted("*", any_verdict=True).misfit(malformed) is None
    assert Wanted("consent.*", any_verdict=True).misfit(malformed) == "another event"
    assert Wanted.where("*", {"a": 1}, any_verdict=True).misfit(malformed) == "another a"
