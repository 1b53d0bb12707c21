"""The runner: sends each case once, and grades what was answered.

In: cases and a target. Out: results, in the order of the cases. No retry, no redirect followed: the POST is the one
that `sender fire` makes. Knows nothing of where cases come from.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from sender.attempt import Outcome, State
from sender.post import Poster, Target
from sender.verify.cases import Case
from sender.verify.rules import Grade, Profile

MOST_UNANSWERED = 5
"""After so many cases in a row that nobody took up, or answered in time, the others are not sent."""


@dataclass(frozen=True, slots=True)
class Result:
    """A case, what became of its request, and what that is worth."""

    case: Case
    outcome: Outcome
    grade: Grade
    late: bool
    """Whether no whole answer came in time."""

    @property
    def unheard(self) -> bool:
        """Whether nobody took up the connection, or answered in time. (A reset is a reaction.)"""
        return self.late or self.outcome.state is State.REFUSED


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of all cases. `headers` are the names of those that the user added; `unsent` counts the cases that
    were not sent, since nobody answered any more."""

    url: str
    profile: Profile
    headers: tuple[str, ...]
    results: tuple[Result, ...]
    unsent: int
    seconds: float

    def of_grade(self, grade: Grade) -> list[Result]:
        return [result for result in self.results if result.grade is grade]

    @property
    def reached(self) -> bool:
        """Whether anybody took up a connection at all."""
        return any(result.outcome.state is not State.REFUSED for result in self.results)


def verify(poster: Poster, target: Target, cases: Sequence[Case], profile: Profile) -> Iterator[Result]:
    """Sends each case once, those that belong together at the same time, and yields the results.

    Ends early where nobody answers any more, after `MOST_UNANSWERED`.
    """
    unheard = 0
    send = partial(send_case, poster, target, profile=profile)
    for together, some in groupby(cases, lambda case: case.together):
        for result in _at_once(send, list(some)) if together else map(send, some):
            yield result
            unheard = unheard + 1 if result.unheard else 0
            if unheard == MOST_UNANSWERED:
                return


def send_case(poster: Poster, target: Target, case: Case, *, profile: Profile) -> Result:
    """Sends a case; its own headers go before those of the target. An answer that does not end in time is none."""
    headers = {name: value for name, value in target.headers.items() if name.lower() != "content-type"}
    began = time.monotonic()
    outcome = poster.post(replace(target, method=case.method, headers={**headers, **case.headers}), case.body)
    late = time.monotonic() - began >= poster.seconds
    if late and outcome.status is not None:
        reason = f"{outcome.status}, but the answer did not end within {poster.seconds:g} s"
        outcome = replace(outcome, status=None, reason=reason)
    return Result(case, outcome, case.rule.grade(profile, outcome.status), late)


def _at_once(send: Callable[[Case], Result], cases: Sequence[Case]) -> Iterator[Result]:
    with ThreadPoolExecutor(len(cases)) as threads:
        yield from threads.map(send, cases)
