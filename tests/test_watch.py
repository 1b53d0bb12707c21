"""Watching an inbox: each delivery once and in order, and the first that fits what is waited for."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from conftest import BODY, SOON, receiving_here, wait_for

from receiver import Delivery, Handlers
from receiver.contract import Verdict
from receiver.entry import Entry, RunState
from receiver.inbox import Inbox, InboxError
from receiver.match import Wanted
from receiver.store import new_id, now
from receiver.watch import appearing, wait, watch


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    with closing(Inbox(tmp_path / "state")) as opened:
        yield opened


def store(inbox: Inbox, event: str = "transactions.fetched", verdict: Verdict = Verdict.VALID, at: int = 0) -> str:
    entry = Entry(new_id(), at or now(), event, verdict, 202, len(BODY), {}, BODY, ())
    assert not inbox.store([entry], lambda _: None)
    return entry.id


def soon() -> float:
    return time.monotonic() + SOON


def test_what_is_there_and_what_comes_is_given_once_and_in_order(inbox: Inbox) -> None:
    first = [store(inbox) for _ in range(250)]
    more: list[str] = []
    writer = threading.Thread(target=lambda: more.extend(store(inbox) for _ in range(250)))
    writer.start()
    seen = [entry.id for entry in islice(watch(inbox, 0, until=soon()), 500)]
    writer.join()
    assert seen == first + more


def test_another_process_is_seen_too(inbox: Inbox, tmp_path: Path) -> None:
    with closing(Inbox(tmp_path / "state")) as other:
        entries = watch(inbox, inbox.last(), until=soon())
        assert [store(other), store(other)] == [next(entries).id, next(entries).id]


def test_it_ends_at_the_moment_after_a_last_look(inbox: Inbox) -> None:
    stored = store(inbox)
    assert [entry.id for entry in watch(inbox, 0, until=time.monotonic())] == [stored]


def test_what_takes_the_number_of_a_pruned_one_is_seen(inbox: Inbox) -> None:
    """So many numbers are given again that none is reached which was not given before."""
    base = Entry(new_id(), now(), "a.b", Verdict.VALID, 202, len(BODY), {}, BODY, ())
    inbox.store([replace(base, id=new_id()) for _ in range(10_000)], lambda _: None)
    entries = watch(inbox, inbox.last() - 1, until=soon())
    next(entries)
    assert inbox.prune(list(range(1, 10_001))) == 10_000
    found: list[Entry] = []
    seeing = threading.Thread(target=lambda: found.append(next(entries)))
    seeing.start()
    wait_for(lambda: (store(inbox), found)[1], "one of them to be seen")
    seeing.join(SOON)


def test_the_last_number_now_and_at_a_moment(inbox: Inbox) -> None:
    assert inbox.last() == inbox.last(before=now()) == 0
    begun = now()
    store(inbox, at=begun - 10_000_000)
    store(inbox, at=begun - 5_000_000)
    store(inbox, at=begun)
    assert inbox.last() == inbox.last(before=now() + 1) == 3
    assert inbox.last(before=begun - 5_000_000) == 1
    assert inbox.last(before=0) == 0


def test_the_first_that_fits_is_found_and_what_came_before_is_told(inbox: Inbox) -> None:
    other = store(inbox, "consent.status.updated")
    invalid = store(inbox, verdict=Verdict.INVALID)
    fitting = store(inbox)
    store(inbox)
    answer = wait(inbox, Wanted("transactions.*"), 0, until=soon())
    assert answer.entry is not None
    assert answer.entry.id == fitting
    told = [(entry.id, reason) for entry, reason in answer.others]
    assert told == [(other, "another event"), (invalid, "not handled")]


def test_of_many_that_do_not_fit_the_last_are_told(inbox: Inbox) -> None:
    ids = [store(inbox, "consent.status.updated") for _ in range(50)]
    answer = wait(inbox, Wanted("transactions.*"), 0, until=time.monotonic())
    assert (answer.entry, answer.came) == (None, 50)
    assert [entry.id for entry, _ in answer.others] == ids[-20:]


def test_it_waits_for_the_handlers_however_they_end(tmp_path: Path) -> None:
    handlers, go_on = Handlers(), threading.Event()

    @handlers.on("*")
    def fail(delivery: Delivery) -> None:
        go_on.wait(SOON)
        raise ValueError

    with receiving_here(tmp_path / "state", handlers) as here:
        here.post()
        inbox = here.server.inbox
        early = wait(inbox, Wanted("*"), 0, until=time.monotonic(), settled=True)
        assert early.entry is None
        assert [reason for _, reason in early.others] == ["its handlers have not ended"]
        go_on.set()
        late = wait(inbox, Wanted("*"), 0, until=soon(), settled=True)
        assert late.entry is not None
        assert [run.state for run in late.entry.runs] == [RunState.FAILED]


def test_an_inbox_that_appears_later_is_waited_for(tmp_path: Path) -> None:
    made: list[Inbox] = []
    maker = threading.Timer(0.1, lambda: made.append(Inbox(tmp_path / "state")))
    maker.start()
    inbox, waited = appearing(tmp_path / "state", soon())
    wait_for(lambda: made, "the maker")[0].close()
    maker.join()
    with closing(inbox):
        assert waited
        assert inbox.last() == 0


def test_an_inbox_that_is_there_is_not_waited_for(tmp_path: Path) -> None:
    Inbox(tmp_path).close()
    inbox, waited = appearing(tmp_path, time.monotonic())
    inbox.close()
    assert not waited


def test_an_inbox_that_does_not_appear_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(InboxError, match="no inbox in"):
        appearing(tmp_path / "state", time.monotonic() + 0.05)
