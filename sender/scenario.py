"""A scenario: steps, each an event to be fired after some time, and what is expected of the answer.

In: a file in YAML, or in JSON Lines, of which never more than a line is in memory. Out: checked steps, in order. Knows
nothing of where events go.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver.contract import Verdict
from receiver.settings import seconds_of
from receiver.terminal import did_you_mean
from sender.attempt import State
from sender.faults import Fault

FAULTS = [str(fault) for fault in Fault]


class ScenarioError(Exception):
    """A scenario that cannot be played; the text names the step, and says what to write."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of each event of a step: one of the statuses, within so many seconds, that verdict in the
    answer, that state of the attempt. What is None may be anything."""

    status: tuple[int, ...] | None = None
    within: float | None = None
    verdict: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Some time after the step before, `count` times an event, at most `rate` of them a second.

    `where` is the step's place in its file. The data is `data`, or that of a sample, changed by `set`; or the whole
    body is the text `body`. `after` is in seconds.
    """

    where: str
    event: str
    after: float = 0.0
    data: Mapping[str, Any] | None = None
    sample: str | None = None
    set: Mapping[str, Any] | None = None
    body: str | None = None
    validate: bool = True
    count: int = 1
    rate: float | None = None
    fault: str | None = None
    expect: Expectation | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario; `steps()` reads them anew each time. `concurrency`: how many POSTs to one endpoint may be under way
    at the same time; with more than 1 their order is not kept."""

    title: str
    concurrency: int
    steps: Callable[[], Iterator[Step]]


def read(path: Path) -> Scenario:
    """The scenario in a file: YAML, or JSON Lines where it is called so (`.jsonl`).

    Raises:
        ScenarioError: it is none. (A step that is none is told by `steps()`.)
    """
    if path.suffix == ".jsonl":
        return _scenario(str(path), *_lines(path))
    return from_document(str(path), _document(path))


def read_text(where: str, text: str) -> Scenario:
    """The scenario that a text in YAML or JSON is; `where` it is from is told in errors.

    Raises:
        ScenarioError: as of `from_document`.
    """
    return from_document(where, _loaded(where, text))


def from_document(where: str, document: object) -> Scenario:
    """The scenario that a document is, with `steps`, or a list of steps; `where` it is from is told in errors.

    Raises:
        ScenarioError: it is none. (A step that is none is told by `steps()`.)
    """
    head = {**document} if isinstance(document, dict) else {"steps": document}
    steps = head.pop("steps", None)
    if not isinstance(steps, list) or not steps:
        raise ScenarioError(f"{where}: has no steps; write them as a list, `- event: ...`, under `steps:`")
    return _scenario(
        where, head, lambda: ((f"{where}: step {number}", step) for number, step in enumerate(steps, start=1))
    )


def _scenario(where: str, head: dict[str, Any], members: "_Members") -> Scenario:
    _check(where, head, {"title": str, "concurrency": int})
    concurrency = head.get("concurrency", 1)
    if not 1 <= concurrency <= 1000:
        raise ScenarioError(f"{where}: concurrency: must be from 1 to 1000")
    title = head.get("title", Path(where).stem)
    return Scenario(title, concurrency, lambda: (_step(place, step) for place, step in members()))


_Members = Callable[[], Iterable[tuple[str, object]]]


def _document(path: Path) -> object:
    try:
        return _loaded(str(path), path.read_bytes())
    except OSError as error:
        raise ScenarioError(f"{path}: {error}") from error


def _loaded(where: str, text: str | bytes) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that is none
        raise ScenarioError(f"{where}: {error}") from error


def _lines(path: Path) -> tuple[dict[str, Any], _Members]:
    def members() -> Iterator[tuple[str, Any]]:
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield f"{path}: line {number}", json.loads(line)
        except (OSError, ValueError, RecursionError) as error:
            raise ScenarioError(f"{path}: {error}; a .jsonl file has a step as a JSON object in each line") from error

    first = next(members(), (None, None))[1]
    if first is None:
        raise ScenarioError(f"{path}: has no steps")
    headed = isinstance(first, dict) and "event" not in first
    return (first if headed else {}), lambda: (one for place, one in enumerate(members()) if place or not headed)


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "event": str,
    "after": (str, int, float),
    "data": dict,
    "sample": str,
    "set": dict,
    "body": str,
    "validate": bool,
    "count": int,
    "rate": (int, float),
    "fault": str,
    "expect": dict,
}
_EXPECTED: Mapping[str, type | tuple[type, ...]] = {
    "status": (int, list),
    "within": (str, int, float),
    "verdict": str,
    "state": str,
}


def _step(where: str, step: object) -> Step:
    members = _check(where, step, _KINDS)
    if "event" not in members:
        raise ScenarioError(f"{where}: which event? write `event: transactions.fetched`")
    if "body" in members and (both := {"data", "sample", "set"} & set(members)):
        raise ScenarioError(f"{where}: body is the whole of what is sent; leave out {', '.join(sorted(both))}")
    if "data" in members and "sample" in members:
        raise ScenarioError(f"{where}: data and sample exclude each other")
    if members.get("count", 1) < 1 or members.get("rate", 1) <= 0:
        raise ScenarioError(f"{where}: count and rate must be more than 0")
    if "fault" in members and members["fault"] not in FAULTS:
        raise ScenarioError(f"{where}: fault {members['fault']!r}; {did_you_mean(members['fault'], FAULTS)}")
    given = {**members, "after": _seconds(where, "after", members.get("after", 0))}
    if "expect" in members:
        given["expect"] = _expectation(f"{where}: expect", members["expect"])
    return Step(where=where, **given)


def _expectation(where: str, expected: object) -> Expectation:
    members = _check(where, expected, _EXPECTED)
    status = members.get("status", [])
    statuses: list[Any] = status if isinstance(status, list) else [status]
    if not all(isinstance(one, int) and 100 <= one <= 599 for one in statuses):
        raise ScenarioError(f"{where}: status: write it as 202, or as [400, 422]")
    for name, known in (("verdict", Verdict), ("state", State)):
        if name in members and members[name] not in [str(one) for one in known]:
            raise ScenarioError(f"{where}: {name} {members[name]!r}; {did_you_mean(members[name], map(str, known))}")
    return Expectation(
        status=tuple(statuses) or None,
        within=_seconds(where, "within", members["within"]) if "within" in members else None,
        verdict=members.get("verdict"),
        state=members.get("state"),
    )


def _check(where: str, members: object, kinds: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """The members of an object, each of its kind.

    Raises:
        ScenarioError: it is no object, or one is not known or not of its kind.
    """
    if not isinstance(members, dict):
        raise ScenarioError(f"{where}: must be an object with {', '.join(kinds)}")
    for name, value in members.items():
        if name not in kinds:
            raise ScenarioError(f"{where}: there is no {name!r}; {did_you_mean(str(name), kinds)}")
        if not isinstance(value, kinds[name]) or (isinstance(value, bool) and kinds[name] is not bool):
            raise ScenarioError(f"{where}: {name}: {value!r} is not of its kind")
    return members


def _seconds(where: str, name: str, value: object) -> float:
    seconds = seconds_of(value)
    if seconds is None:
        raise ScenarioError(f"{where}: {name}: {value!r} is not a length of time such as 200ms, 30s, 5m or 2h")
    return seconds
