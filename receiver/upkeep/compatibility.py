"""Compatibility: what a new version of a contract means for who relies on the old one.

In: two contracts. Out: per event type whether each reader can go on, and an instance that shows it where one cannot.
Every instance that is shown was judged by both contracts. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import islice
from typing import Any

import jsonschema_rs

from receiver.contract import Contract, Schema
from receiver.instances import example, variants
from receiver.outline import Place
from receiver.upkeep.changes import changes, judges_of
from receiver.upkeep.containment import Outcome, Undecided, Whole, contained, guard, whole
from receiver.violations import pointer

MOST_TRIED = 10_000_000
"""So many characters of payloads that differ from a known one are tried."""


class Reader(StrEnum):
    """Who reads deliveries by one version of a contract that were made by another."""

    STRICT = "strict"
    """A consumer that validates by the old schemas and refuses what they do not declare."""
    TOLERANT = "tolerant"
    """A consumer that validates by the old schemas as they are written."""
    REPLAY = "replay"
    """Who judges by the new schemas what was stored as valid by the old ones."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a change means for a reader, why, and a payload that shows it (None where none was found)."""

    outcome: Outcome
    reason: str = ""
    payload: Any = None

    @property
    def ok(self) -> bool:
        """Whether the reader certainly can go on."""
        return self.outcome is Outcome.COMPATIBLE


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of an event type (`same`, `changed`, `added` or `removed`), what that means for each reader, and
    where its schemas changed: a JSON Pointer and what changed there."""

    event: str
    change: str
    answers: Mapping[Reader, Answer]
    changes: tuple[tuple[str, str], ...] = ()


_ADDED = {
    Reader.STRICT: Answer(Outcome.BREAKING, "a new event type, which it does not know"),
    Reader.TOLERANT: Answer(Outcome.COMPATIBLE, "a new event type: a consumer has to take those that it does not know"),
    Reader.REPLAY: Answer(Outcome.COMPATIBLE, "nothing is stored as valid of it"),
}
_REMOVED = {
    Reader.STRICT: Answer(Outcome.COMPATIBLE, "it does not come any more"),
    Reader.TOLERANT: Answer(Outcome.COMPATIBLE, "it does not come any more"),
    Reader.REPLAY: Answer(
        Outcome.BREAKING, "what was stored as valid becomes unknown_event: still handled, and not checked any more"
    ),
}


@dataclass(frozen=True)
class _Side:
    """An event type in one of the two contracts; `guard` refuses what it does not declare."""

    contract: Contract
    event: str
    guard: Schema = field(default_factory=dict)

    @cached_property
    def place(self) -> Place:
        return Place.of_event(self.contract, self.event)

    @cached_property
    def validator(self) -> jsonschema_rs.Validator:
        return jsonschema_rs.validator_for(self.guard)

    def closed(self) -> "_Side":
        self.whole()  # which says so where it is too large, or has no end
        return replace(self, guard=guard(self.place))

    def allows(self, payload: object) -> bool:
        return self.contract.allows(payload) and self.validator.is_valid(payload)

    def whole(self) -> Whole:
        return whole(self.contract, self.event).closed(self.guard)

    def payloads(self) -> list[Any]:
        """Known payloads, as they come."""
        examples = self.contract.events[self.event].schema.get("examples", [])
        return [*self.contract.samples(self.event).values(), *examples, {**example(self.place), "event": self.event}]


def compare(old: Contract, new: Contract) -> Iterator[Comparison]:
    """Each event type of either contract, and what its change means for each reader."""
    for event in sorted(old.events.keys() | new.events.keys()):
        if event not in old.events:
            yield Comparison(event, "added", _ADDED)
        elif event not in new.events:
            yield Comparison(event, "removed", _REMOVED)
        else:
            yield _compared(_Side(old, event), _Side(new, event))


def _compared(old: _Side, new: _Side) -> Comparison:
    judges = [judges_of(side.contract, side.event) for side in (old, new)]
    changed = tuple(changes(judges[0], judges[1], old.event))
    if not changed and all(document is not None for document in judges[0].values()):
        return Comparison(old.event, "same", dict.fromkeys(Reader, Answer(Outcome.COMPATIBLE)))
    answers = {
        Reader.STRICT: _for_strict(old, new),
        Reader.TOLERANT: _answer(made_by=new, read_by=old),
        Reader.REPLAY: _answer(made_by=old, read_by=new),
    }
    return Comparison(old.event, "changed", answers, changed)


def _for_strict(old: _Side, new: _Side) -> Answer:
    """Of the new schemas, as of the old, only what they declare comes: else any schema that is open would break it."""
    try:
        return _answer(made_by=new.closed(), read_by=old.closed())
    except Undecided as undecided:
        return Answer(Outcome.UNDECIDED, str(undecided))


def _answer(*, made_by: _Side, read_by: _Side) -> Answer:
    """Whether `read_by` allows all that `made_by` allows. A payload that shows the contrary goes before everything."""
    for payload in _payloads(made_by, read_by):
        if made_by.allows(payload) and not read_by.allows(payload):
            return Answer(Outcome.BREAKING, _reason(payload, read_by), payload)
    try:
        outcome = contained(made_by.whole(), read_by.whole())
    except Undecided as undecided:
        return Answer(Outcome.UNDECIDED, str(undecided))
    return Answer(outcome, _WITHOUT_PAYLOAD[outcome])


_WITHOUT_PAYLOAD = {
    Outcome.COMPATIBLE: "",
    Outcome.BREAKING: "some payloads break it, of which no example was found",
    Outcome.UNDECIDED: "could not be decided, and no payload was found that breaks it",
}


def _payloads(*sides: _Side) -> Iterator[Any]:
    """What is known of both sides, and what differs from that in one place."""
    known = [payload for side in sides for payload in side.payloads()]
    yield from known
    for payload in known:
        most = MOST_TRIED // len(str(payload))
        yield from islice(variants(payload, [side.place for side in sides]), most)


def _reason(payload: object, reader: _Side) -> str:
    """The first thing in a payload that a reader refuses."""
    for violation in reader.contract.judge(payload).violations:
        return f"{violation.pointer or '(body)'} {violation.message}"
    for error in reader.validator.iter_errors(payload):
        return f"{pointer(error.instance_path) or '(body)'} has a member that is not declared"
    return "it is not of this event type"
