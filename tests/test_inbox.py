"""The inbox's contract: store, claim, finish, read. A second implementation would run these too."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.contract import Verdict
from receiver.entry import Entry, Run, RunState
from receiver.inbox import _INSERT, _VERSIONS, Inbox, InboxError, _entries_query
from receiver.runs import put_in_line
from receiver.store import Store, new_id, now
from receiver.violations import Violation

BODY = b'{"event": "a.b", "data": {"n": 1}}'


def entry(**more: object) -> Entry:
    base = Entry(new_id(), now(), "a.b", Verdict.VALID, 202, len(BODY), {"Content-Type": "application/json"}, BODY, ())
    return replace(base, **more)


def pending(*handlers: str) -> tuple[Run, ...]:
    return tuple(Run(handler, 1, RunState.PENDING) for handler in handlers)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path / "state")) as inbox:
        yield inbox


def put(inbox: Inbox, *entries: Entry) -> None:
    for one in entries:
        inbox.store([one], then=lambda _: None)


def test_an_entry_is_read_as_it_was_stored(inbox: Inbox) -> None:
    violations = (Violation("/data/a~1b", "type", "must be string, is null"), Violation("", "required", "x"))
    body = bytes(range(256))
    stored = entry(body=body, size=5000, event=None, verdict=Verdict.MALFORMED, status=400, violations=violations)
    stored = replace(stored, headers={"B": "1, 2", "A": "\xe9"}, runs=pending("f", "g"))
    put(inbox, stored)
    assert inbox.entry(stored.id) == stored
    assert list(inbox.entry(stored.id).headers) == ["B", "A"]


def test_entries_are_listed_newest_first_in_the_order_of_storing_whatever_the_clock_said(inbox: Inbox) -> None:
    first, second, third = entry(received_at=300), entry(received_at=100), entry(received_at=200)
    put(inbox, first, second, third)
    assert inbox.entries() == [third, second, first]
    assert inbox.entries(limit=2) == [third, second]


def test_entries_are_found_by_event_verdict_state_of_a_run_and_time(inbox: Inbox) -> None:
    a = entry(runs=pending("f"), received_at=100)
    b = entry(event="c", verdict=Verdict.INVALID, status=422, received_at=200)
    put(inbox, a, b)
    assert inbox.entries(event="c") == [b]
    assert inbox.entries(verdict="valid") == [a]
    assert inbox.entries(run="pending") == [a]
    assert inbox.entries(run="failed") == []
    assert inbox.entries(since=150) == [b]
    assert inbox.entries(event="c", verdict="valid") == []


def test_an_id_may_be_shortened_while_it_is_unambiguous(inbox: Inbox) -> None:
    put(inbox, *(entry(id=id_) for id_ in ("aa00000000000000", "ab00000000000000", "ff00000000000000")))
    assert inbox.entry("aa").id == "aa00000000000000"
    assert inbox.entry("f").id == "ff00000000000000"
    with pytest.raises(InboxError, match=r"fits several deliveries \(aa.*, ab.*give more"):
        inbox.entry("a")
    for missing in ("", "c", "%", "aa000000000000000"):
        with pytest.raises(InboxError, match="no delivery"):
            inbox.entry(missing)


def test_runs_are_claimed_in_the_order_of_storing_and_only_for_handlers_that_are_there(inbox: Inbox) -> None:
    first, second = entry(runs=pending("f", "gone")), entry(runs=pending("f"))
    put(inbox, first, second)
    assert [(claim.delivery.id, claim.handler) for claim in inbox.runs.claims(["f"], most=32)] == [
        (first.id, "f"),
        (second.id, "f"),
    ]
    assert len(inbox.runs.claims(["f"], most=1)) == 1
    assert inbox.runs.claims([], most=32) == []
    assert inbox.entry(first.id).runs[1].state == "pending"


def test_a_clock_that_jumped_changes_no_order_of_claims_and_neither_hides_nor_prunes_what_came_last(
    inbox: Inbox,
) -> None:
    hour = 3_600_000_000
    ahead, behind = entry(received_at=now() + hour, runs=pending("f")), entry(received_at=now(), runs=pending("f"))
    put(inbox, ahead, behind)
    claims = inbox.runs.claims(["f"], most=32)
    assert [claim.delivery.id for claim in claims] == [ahead.id, behind.id]
    assert {one.id for one in inbox.entries(since=now() - hour)} == {ahead.id, behind.id}
    for claim in claims:
        inbox.runs.finish(claim, Run("f", 1, RunState.DONE, 1, 1.0))
    assert list(inbox.settled(now() - hour)) == []
    assert inbox.older(now()) == 1


def test_a_claim_carries_the_delivery_as_a_handler_gets_it(inbox: Inbox) -> None:
    stored = entry(runs=pending("f"))
    put(inbox, stored)
    (claim,) = inbox.runs.claims(["f"], most=32)
    delivery = claim.delivery
    assert (delivery.id, delivery.event, delivery.data, delivery.body) == (stored.id, "a.b", {"n": 1}, BODY)
    assert (delivery.headers, delivery.attempt) == (stored.headers, 1)
    assert delivery.received_at.timestamp() == pytest.approx(stored.received_at / 1e6)
    assert delivery.received_at.tzname() == "UTC"


def test_a_run_goes_from_pending_through_running_to_its_end(inbox: Inbox) -> None:
    stored = entry(runs=pending("f"))
    put(inbox, stored)
    (claim,) = inbox.runs.claims(["f"], most=32)
    started_at = inbox.runs.begin(claim)
    assert inbox.entry(stored.id).runs == (Run("f", 1, RunState.RUNNING, started_at),)
    assert inbox.runs.claims(["f"], most=32) == []
    ended = Run("f", 1, RunState.FAILED, started_at, 12.5, "Traceback")
    inbox.runs.finish(claim, ended)
    assert inbox.entry(stored.id).runs == (ended,)
    assert inbox.runs.count(RunState.FAILED) == {"f": 1}


def test_what_was_running_is_interrupted_and_what_was_pending_is_not(inbox: Inbox) -> None:
    put(inbox, entry(runs=pending("f", "g")))
    inbox.runs.begin(inbox.runs.claims(["f"], most=32)[0])
    inbox.runs.interrupt()
    assert inbox.runs.count(RunState.INTERRUPTED) == {"f": 1}
    assert inbox.runs.count(RunState.PENDING) == {"g": 1}


def test_an_inbox_that_no_receiver_made_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(InboxError, match="`receiver run` makes one"):
        Inbox.existing(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_two_processes_read_and_write_the_same_inbox(inbox: Inbox, tmp_path: Path) -> None:
    with closing(Inbox.existing(tmp_path / "state")) as other:
        put(inbox, one := entry())
        put(other, two := entry())
        assert inbox.entries() == other.entries() == [two, one]


def test_equal_bodies_are_kept_both(inbox: Inbox) -> None:
    """The provider sends no id: two equal bodies can both be meant."""
    put(inbox, entry(), entry())
    assert [json.loads(one.body) for one in inbox.entries()] == [json.loads(BODY)] * 2


@pytest.mark.parametrize(
    "asked",
    [
        {"event": "a.b"},
        {"verdict": Verdict.INVALID},
        {"since": 1},
        {"run": RunState.FAILED},
        {"event": "a.b", "verdict": Verdict.VALID},
        {"event": "a.b", "verdict": Verdict.INVALID, "since": 1, "run": RunState.DONE},
    ],
)
def test_what_is_asked_for_is_found_by_an_index_in_the_order_that_is_wanted(
    inbox: Inbox, asked: dict[str, object]
) -> None:
    """Of a million deliveries only those that are shown are read (tests/benchmarks/inbox.py)."""
    plan = inbox._store.read(f"EXPLAIN QUERY PLAN {_entries_query(asked)}", {**asked, "limit": 20})
    steps = [row["detail"] for row in plan]
    assert steps[0].startswith("SEARCH ")
    assert not [step for step in steps if "SCAN" in step or "TEMP B-TREE" in step]


def test_latest_runs_are_found_among_all_or_by_id_oldest_first(inbox: Inbox) -> None:
    put(inbox, *(entry(id=id_ * 16, runs=pending("f")) for id_ in "abc"))
    assert [one.delivery[0] for one in inbox.runs.latest([RunState.PENDING])] == ["a", "b", "c"]
    assert [one.delivery[0] for one in inbox.runs.latest([RunState.PENDING], ids=["c" * 16, "a" * 16])] == ["a", "c"]


def test_an_inbox_of_the_first_version_is_brought_up_and_its_runs_go_on(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "state" / "inbox.db", _VERSIONS[:1])) as old:
        row = ("a" * 16, 1, "a.b", "valid", 202, len(BODY), "{}", BODY, "[]")
        old.write((_INSERT, row), *put_in_line("a" * 16, ["f"]))
    with closing(Inbox(tmp_path / "state")) as inbox:
        put(inbox, entry(runs=pending("f")))
        assert [claim.delivery.id for claim in inbox.runs.claims(["f"], most=32)] == ["a" * 16, inbox.entries()[0].id]
        assert [one.id for one in inbox.entries(since=2)] == [inbox.entries()[0].id]
