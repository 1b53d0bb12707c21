"""Which deliveries are meant: a pattern of events, and conditions on what stands in the data.

In: patterns as handlers have them, conditions, entries. Out: whether an entry fits, and why not, without values. Pure.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from receiver.entry import Entry

PATTERN_FORMS = 'a pattern is an event type, a prefix as in "consent.*", or "*"'

_PATTERN = re.compile(r"\*|[^*]+?(\.\*)?")
_MISSING = object()


class MatchError(Exception):
    """A pattern or a condition that cannot be meant; the text says how to write it."""


def is_pattern(text: str) -> bool:
    return _PATTERN.fullmatch(text) is not None


def fits(event: str, pattern: str) -> bool:
    """Whether an event is that type, begins with that prefix (`consent.*`), or is any (`*`)."""
    return event.startswith(pattern[:-1]) if pattern.endswith("*") else event == pattern


@dataclass(frozen=True, slots=True)
class Condition:
    """A dotted path into the data (`user.id`, `accounts.0`), and the values of which one has to stand there."""

    path: str
    values: tuple[object, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """The condition `PATH=VALUE`, which fits that text and, where it is JSON, that value.

        Raises:
            MatchError: it is not written so.
        """
        path, equals, value = text.partition("=")
        if not path or not equals:
            raise MatchError(f"{text!r}: write a condition as PATH=VALUE, as in consentId=123 or user.id=5")
        try:
            return cls(path, (value, json.loads(value)))
        except (ValueError, RecursionError):
            return cls(path, (value,))

    def holds(self, data: object) -> bool:
        found = _at(data, self.path)
        return any(_same(found, value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The deliveries that are meant: whose event fits the pattern and whose data fits all conditions; only those that
    handlers get, unless `any_verdict` holds.

    Raises:
        MatchError: it is no pattern.
    """

    pattern: str
    conditions: tuple[Condition, ...] = ()
    any_verdict: bool = False

    def __post_init__(self) -> None:
        if not is_pattern(self.pattern):
            raise MatchError(f"{self.pattern!r}: {PATTERN_FORMS}")

    @classmethod
    def where(cls, pattern: str, where: Mapping[str, object], *, any_verdict: bool = False) -> Self:
        """With conditions from values of Python: `{"user.id": 5}`."""
        return cls(pattern, tuple(Condition(path, (value,)) for path, value in where.items()), any_verdict)

    def __str__(self) -> str:
        paths = [condition.path for condition in self.conditions]
        return self.pattern + (f" where {_listed(paths)} fits" if paths else "")

    def misfit(self, entry: Entry) -> str | None:
        """Why an entry is not meant; None if it is."""
        if not fits(entry.event or "", self.pattern):
            return "another event"
        if not (entry.verdict.handled or self.any_verdict):
            return "not handled"
        data = entry.data if self.conditions else None
        if broken := [condition.path for condition in self.conditions if not condition.holds(data)]:
            return f"another {_listed(broken)}"
        return None


def _listed(paths: Sequence[str]) -> str:
    return " and ".join(paths)


def _at(data: object, path: str) -> object:
    found: Any = data
    for step in path.split("."):
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (LookupError, TypeError, ValueError):
            return _MISSING
    return found


def _same(one: object, other: object) -> bool:
    """Equal as JSON has it: 1 is 1.0, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
