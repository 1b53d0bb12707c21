"""The cases of a contract for a test: sent to a receiver, or judged by an answer that was got in another way.

In: a contract. Out: cases, which a test checks one by one. Knows nothing of pytest; `pytest_plugin` makes parameters of
them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from receiver.contract import Contract
from sender.address import normalised
from sender.attempt import Outcome
from sender.post import Poster, prepare
from sender.verify.cases import Case, cases, events_of
from sender.verify.report import result_lines
from sender.verify.rules import Grade, Profile
from sender.verify.runner import Verification, send_case


@dataclass(frozen=True, slots=True)
class ContractCase:
    """A case, and the profile by which an answer to it is judged. `case` has its `id`, `method`, `headers`, `body`."""

    case: Case
    profile: Profile

    def check(self, url: str, headers: Mapping[str, str] | None = None, timeout: float = 20.0) -> Outcome:
        """Sends it to a receiver, once, within so many seconds.

        Raises:
            AssertionError: its answer is not what the rule demands; the text names the rule, and holds a curl command.
        """
        __tracebackhide__ = True  # the test's own line is what pytest shows
        own = dict(headers or {})
        target = prepare(normalised(url), own)
        with Poster(timeout) as poster:
            result = send_case(poster, target, self.case, profile=self.profile)
        if result.grade is Grade.FAILED:
            verification = Verification(target.url, self.profile, tuple(own), (result,), 0, 0.0)
            raise AssertionError("\n".join(result_lines(result, verification)))
        return result.outcome

    def check_status(self, status: int) -> None:
        """Judges an answer that was got in another way, by Flask's test client for example.

        Raises:
            AssertionError: it is not what the rule demands.
        """
        __tracebackhide__ = True
        rule = self.case.rule
        if rule.grade(self.profile, status) is Grade.FAILED:
            expected = rule.expected(self.profile)
            raise AssertionError(f"{self.case.id}: {status} answered, {expected} expected: {rule.text} ({rule.source})")


def contract_cases(
    contract: Contract,
    *,
    profile: str = "strict",
    events: Sequence[str] = ("*",),
    only: Sequence[str] = ("*",),
    max_body: int | None = None,
) -> Iterator[ContractCase]:
    """The cases of `sender verify`, but for those that have to be sent at the same time.

    Args:
        profile: strict or tolerant.
        events: patterns of event types, in which `*` stands for anything.
        only: patterns of ids, groups or rules.
        max_body: the largest body in bytes that the receiver is to accept.

    Raises:
        ValueError: there is no such profile, or no case fits.
    """
    chosen = events_of(contract, events)
    fitting = [case for case in (cases(contract, chosen, max_body) if chosen else []) if case.is_one_of(only)]
    if not fitting:
        raise ValueError("no case fits `events` and `only`; `sender verify --list` shows them all")
    return (ContractCase(case, Profile(profile)) for case in fitting if not case.together)
