"""Searching the inbox gives what looking at every delivery would give, a page at a time, and soon; what came or changed
since a mark is told once."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from receiver.contract import Judgement, Verdict
from receiver.entry import Entry, Run, RunState
from receiver.inbox import Inbox
from receiver.search import MINUTE, MOST_NEW, Changes, Filter, Mark, Page
from receiver.store import new_id, now

NAMES = ["transactions.fetched", "consent.status.updated", "order.created", None]
TEXTS = ["Müller", "100%", "a_b", "back\\slash", '"quoted"', "ÄÖ", "plain", ""]
START = 1_700_000_000_000_000


def entry(
    at: int, event: str | None = NAMES[0], verdict: Verdict = Verdict.VALID, text: str = "", **more: object
) -> Entry:
    body = json.dumps({"event": event, "data": {"name": text}}, ensure_ascii=at % 2 == 0).encode()
    runs = tuple(Run(name, 1, RunState.PENDING) for name in ("fetch", "note")[: at % 3])
    made = Entry(new_id(), at, event, verdict, 202, len(body), {"Host": "here"}, body, (), runs)
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path)) as opened:
        yield opened


def put(inbox: Inbox, *entries: Entry) -> None:
    assert inbox.store(entries, lambda _: None) == {}


def finish(inbox: Inbox, draw: random.Random) -> None:
    """Lets some of the runs in line end, in some way."""
    for claim in inbox.runs.claims(["fetch", "note"], most=1000):
        state = draw.choice([RunState.PENDING, RunState.DONE, RunState.FAILED])
        if state is not RunState.PENDING:
            inbox.runs.begin(claim)
            inbox.runs.finish(claim, Run(claim.handler, 1, state, None, 2.5))


def fits(one: Entry, wanted: Filter) -> bool:
    """What a filter means, looked at one by one."""
    text = (wanted.text or "").casefold()
    escaped = json.dumps(wanted.text or "")[1:-1].casefold()
    body = one.body.decode().casefold()
    return (
        wanted.event in {None, one.event}
        and wanted.verdict in {None, one.verdict}
        and (wanted.run is None or wanted.run in {run.state for run in one.latest})
        and (wanted.until is None or one.received_at < wanted.until)
        and (text in body or escaped in body or (len(text) > 3 and one.id.startswith(text)))
    )


def paged(inbox: Inbox, wanted: Filter, most: int = 7) -> list[str]:
    """The ids of all that fit, page by page."""
    page = inbox.search.page(wanted, None, most)
    ids = [one.id for one in page.listed]
    while page.before is not None:
        page = inbox.search.page(wanted, page.before, most)
        ids += [one.id for one in page.listed]
    return ids


@pytest.mark.parametrize("seed", range(5))
def test_what_is_found_is_what_fits_newest_first(inbox: Inbox, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    made = [
        entry(START + number * 1000, draw.choice(NAMES), draw.choice(list(Verdict)), draw.choice(TEXTS))
        for number in range(200)
    ]
    put(inbox, *made)
    finish(inbox, draw)
    stored = [inbox.entry(one.id) for one in made]
    assert paged(inbox, Filter()) == [one.id for one in reversed(stored)]
    for _ in range(60):
        wanted = Filter(
            event=draw.choice([None, *NAMES]),
            verdict=draw.choice([None, *Verdict]),
            run=draw.choice([None, None, *RunState]),
            text=draw.choice([None, *TEXTS[:-1], "müller", draw.choice(made).id[:5], "nowhere"]),
            until=draw.choice([None, None, START + draw.randrange(200) * 1000]),
        )
        expected = [one.id for one in reversed(stored) if fits(one, wanted)]
        if wanted.text != "müller":  # the case of letters beyond ASCII counts, and of those within does not
            assert paged(inbox, wanted) == expected, wanted


def test_the_case_of_ascii_letters_does_not_count(inbox: Inbox) -> None:
    put(inbox, one := entry(START, text="Straße IBAN"))
    assert [paged(inbox, Filter(text=text)) for text in ("straße iban", "IBAN", "STRASSE")] == [[one.id], [one.id], []]


def test_a_body_that_is_no_text_hinders_nothing(inbox: Inbox) -> None:
    odd = [entry(START, body=body, size=4) for body in (b"\xff\xfe\x00a", b"\x00abc", b"", b"a\x00bc")]
    put(inbox, *odd)
    assert paged(inbox, Filter()) == [one.id for one in reversed(odd)]
    assert paged(inbox, Filter(text="nothing")) == []


def test_each_has_its_handlers_latest_runs_and_their_time(inbox: Inbox) -> None:
    put(inbox, entry(START))
    for claim in inbox.runs.claims(["fetch", "note"], most=2):
        inbox.runs.finish(claim, Run(claim.handler, 1, RunState.FAILED, None, 2.5))
    inbox.runs.again(inbox.runs.latest([RunState.FAILED], handler="fetch"))
    (listed,) = inbox.search.page(Filter()).listed
    assert {(run.handler, run.attempt, run.state) for run in listed.runs} == {
        ("fetch", 2, "pending"),
        ("note", 1, "failed"),
    }
    assert (listed.settled, listed.milliseconds) == (False, 2.5)


def test_a_search_that_finds_little_ends_soon_and_says_from_where_it_goes_on(inbox: Inbox) -> None:
    text = "x" * 50_000
    put(inbox, *(entry(START + number, text=text) for number in range(3000)))
    began = time.monotonic()
    page = inbox.search.page(Filter(text="nowhere"))
    assert time.monotonic() - began < 5
    assert page.listed == ()
    assert page.before is None or page.back_to == START + page.before - 1
    assert paged(inbox, Filter(text=text[:1000]), 2000) == paged(inbox, Filter(), 2000)


def test_equal_bodies_are_found(inbox: Inbox) -> None:
    first = entry(START)
    same = [replace(first, id=new_id(), received_at=START + number) for number in (1, 2)]
    put(inbox, first, entry(START + 3, text="other"), *same)
    found = inbox.search.equal(first.id, first.body)
    assert ([one.id for one in found.listed], found.before) == ([same[1].id, same[0].id], None)


def since(inbox: Inbox, mark: Mark, wanted: Filter | None = None, *open_: str) -> Changes:
    return inbox.search.changes(mark, wanted or Filter(), open_)


def ids(changes: Changes) -> tuple[list[str] | None, list[str]]:
    return changes.new and [one.id for one in changes.new], [one.id for one in changes.changed]


def test_changes_are_what_came_what_was_judged_and_what_runs_again(inbox: Inbox) -> None:
    failed, invalid = entry(START + 2), entry(START, verdict=Verdict.INVALID)
    put(inbox, failed, invalid)
    (claim,) = inbox.runs.claims(["fetch"], most=1)
    inbox.runs.finish(claim, Run("fetch", 1, RunState.FAILED))
    mark = inbox.search.mark()
    assert since(inbox, mark) == Changes(mark, (), ())
    put(inbox, new := entry(START + 3))
    assert inbox.judge(invalid.id, Judgement(Verdict.VALID, "transactions.fetched"))
    inbox.runs.again(inbox.runs.latest([RunState.FAILED]))
    told = since(inbox, mark)
    assert ids(told) == ([new.id], [invalid.id, failed.id])
    assert since(inbox, told.mark) == Changes(told.mark, (), ())
    assert ids(since(inbox, told.mark, None, failed.id)) == ((), [failed.id])
    assert ids(since(inbox, mark, Filter(event="order.created")))[0] == ()
    assert ids(since(inbox, mark, Filter(until=START + 3)))[0] == ()


def test_more_new_ones_than_a_page_takes_are_not_told_one_by_one(inbox: Inbox) -> None:
    mark = inbox.search.mark()
    put(inbox, *(entry(START + number) for number in range(MOST_NEW)))
    assert len(since(inbox, mark).new or ()) == MOST_NEW
    put(inbox, entry(START))
    assert since(inbox, mark).new is None


def test_nothing_is_told_twice_nor_forgotten_while_it_comes_in(inbox: Inbox) -> None:
    page, seen = inbox.search.page(Filter()), list[str]()
    mark = page.mark
    for number in range(50):
        put(inbox, *(entry(START + number * 10 + place) for place in range(number % 4)))
        told = since(inbox, mark)
        seen, mark = [one.id for one in told.new or ()] + seen, told.mark
    assert seen == paged(inbox, Filter())


def test_what_was_pruned_hinders_nothing(inbox: Inbox) -> None:
    put(inbox, *(entry(START + number) for number in (1, 4, 7)))
    mark = inbox.search.mark()
    for numbers in inbox.settled(START + 100):
        inbox.prune(numbers)
    assert (inbox.search.page(Filter()).listed, since(inbox, mark).new) == ((), ())
    put(inbox, new := entry(START))
    assert ids(since(inbox, inbox.search.mark()))[0] == ()
    assert [one.id for one in inbox.search.page(Filter(), most=1).listed] == [new.id]


def test_minutes_are_counted_by_verdict_also_while_they_go_by(inbox: Inbox) -> None:
    first = START // MINUTE
    put(inbox, entry(first * MINUTE), entry(first * MINUTE + 5, verdict=Verdict.INVALID), entry((first + 2) * MINUTE))
    expected = {first: {Verdict.VALID: 1, Verdict.INVALID: 1}, first + 2: {Verdict.VALID: 1}}
    assert inbox.search.minutes(first, first + 2) == expected
    put(inbox, entry((first + 2) * MINUTE + 1))
    assert inbox.search.minutes(first, first + 2)[first + 2] == {Verdict.VALID: 2}
    assert inbox.search.minutes(first + 1, first + 3) == {first + 2: {Verdict.VALID: 2}}


def test_an_empty_inbox_has_an_empty_page(inbox: Inbox) -> None:
    assert inbox.search.page(Filter(text="any")) == Page((), None, None, Mark(0, 0, 0))
    assert inbox.search.minutes(now() // MINUTE - 1, now() // MINUTE) == {}
