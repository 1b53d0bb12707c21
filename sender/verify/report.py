"""What a verification tells its user: lines for a terminal, annotations for GitHub, and commands that reproduce.

In: results. Out: text. What the receiver answered, and what was sent, reaches a terminal only as escaped ASCII.
"""

import base64
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from shlex import quote

from receiver.terminal import escape, style
from sender.verify.cases import Case
from sender.verify.rules import RULES, Grade, Profile
from sender.verify.runner import Result, Verification

LONGEST_ARGUMENT = 1000
"""A body longer than this is not written out in a command, but packed."""

MOST_ANNOTATIONS = 10
"""GitHub shows no more of a step."""

_INDENT = "    "
_MARKS = {Grade.PASSED: ("✓", "green"), Grade.WARNED: ("!", "yellow"), Grade.FAILED: ("✗", "red")}
_MISPLACED = {401, 403, 404, 405}
_IN_MESSAGES = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTIES = {**_IN_MESSAGES, ord(":"): "%3A", ord(","): "%2C"}


def rule_lines() -> Iterator[str]:
    """Each rule: what passes in the strict profile and in the tolerant one, and by which source."""
    yield style(f"{'rule':25} {'strict':11} {'tolerant':11} what it demands (its source)", bold=True)
    for rule in RULES:
        strict, tolerant = rule.expected(Profile.STRICT), rule.expected(Profile.TOLERANT)
        warned = f"; {rule.warned[0]}xx is warned of" if rule.warned else ""
        yield f"{rule.id:25} {strict:11} {tolerant:11} {rule.text} ({rule.source}){warned}"


def case_lines(cases: Sequence[Case]) -> Iterator[str]:
    """The cases by their groups, each with its rule."""
    for group in dict.fromkeys(case.group for case in cases):
        some = [case for case in cases if case.group == group]
        yield style(f"{group}, {len(some)}", bold=True)
        yield from (f"  {case.rule.id:25} {escape(case.id, 200)}" for case in some)


def report_lines(verification: Verification) -> Iterator[str]:
    """What is warned of, in a line; what failed, with a command that reproduces it; the groups; how it ended."""
    if not verification.reached:
        reason = escape(verification.results[0].outcome.reason or "")
        yield f"{style('✗', 'red')} nobody listens at {verification.url}: {reason}. `receiver run` starts a receiver."
        return
    for result in verification.of_grade(Grade.WARNED):
        yield _finding_line(result, verification)
    for result in verification.of_grade(Grade.FAILED):
        yield from ("", *result_lines(result, verification))
    yield from ("", *_table_lines(verification.results))
    yield ""
    yield _summary_line(verification)
    yield from filter(None, [_hint(verification.results)])


def result_lines(result: Result, verification: Verification) -> Iterator[str]:
    """A case that did not pass: what was expected and answered, and the command that reproduces it."""
    rule = result.case.rule
    yield _finding_line(result, verification)
    yield f"{_INDENT}{rule.id}: {rule.text} ({rule.source})"
    if result.outcome.answer:
        yield f"{_INDENT}answer: {escape(' '.join(result.outcome.answer.decode(errors='replace').split()))}"
    yield _INDENT + curl(result.case, verification.url, verification.headers)


def finding(result: Result, profile: Profile) -> str:
    """`202 answered, 4xx expected`."""
    rule, status = result.case.rule, result.outcome.status
    said = f"{status} answered" if status else f"no answer ({escape(result.outcome.reason or '')})"
    better = "".join(digit for digit in "24" if digit not in rule.warned) if result.grade is Grade.WARNED else ""
    return f"{said}, {better}xx would be better" if better else f"{said}, {rule.expected(profile)} expected"


def _finding_line(result: Result, verification: Verification) -> str:
    mark, colour = _MARKS[result.grade]
    name = style(escape(result.case.id, 200), bold=True)
    return f"{style(mark, colour)} {name}  {finding(result, verification.profile)}"


def annotations(verification: Verification) -> Iterator[str]:
    """What did not pass, the worst first, as GitHub's workflow commands
    (https://docs.github.com/actions/reference/workflow-commands)."""
    found = [*verification.of_grade(Grade.FAILED), *verification.of_grade(Grade.WARNED)]
    for result in found[:MOST_ANNOTATIONS]:
        kind = "error" if result.grade is Grade.FAILED else "warning"
        text = f"{finding(result, verification.profile)}: {result.case.rule.text} ({result.case.rule.source})"
        title = f"sender verify {escape(result.case.id, 200)}".translate(_IN_PROPERTIES)
        yield f"::{kind} title={title}::{text.translate(_IN_MESSAGES)}"


def _table_lines(results: Sequence[Result]) -> Iterator[str]:
    """For each group how many of its cases passed, were warned of and failed."""
    yield style(f"  {'group':16}{'cases':>7}{'passed':>8}{'warned':>8}{'failed':>8}", bold=True)
    for group in dict.fromkeys(result.case.group for result in results):
        grades = Counter(result.grade for result in results if result.case.group == group)
        mark, colour = _MARKS[_worst(grades)]
        counts = "".join(f"{grades[grade] or '·':>8}" for grade in Grade)
        yield f"{style(mark, colour)} {group:16}{grades.total():>7}{counts}"


def _summary_line(verification: Verification) -> str:
    grades = Counter(result.grade for result in verification.results)
    mark, colour = _MARKS[_worst(grades)]
    counts = ", ".join(f"{grades[grade]} {grade}" for grade in Grade if grades[grade])
    unsent = f"; {verification.unsent} not sent, since nobody answers in time any more" if verification.unsent else ""
    cases = f"{grades.total()} case{'' if grades.total() == 1 else 's'}"
    sent = f"{cases} sent to {verification.url} in {verification.seconds:.1f} s"
    return f"{style(mark, colour)} {sent}, profile {verification.profile}: {counts}{unsent}"


def _worst(grades: Counter[Grade]) -> Grade:
    return next((grade for grade in (Grade.FAILED, Grade.WARNED) if grades[grade]), Grade.PASSED)


def _hint(results: Sequence[Result]) -> str | None:
    """What is probably wrong where not one good body was accepted."""
    good = [result for result in results if result.case.rule.strict == "2"]
    statuses = {result.outcome.status for result in good}
    if not good or any(result.grade is Grade.PASSED for result in good) or statuses == {None}:
        return None
    if len(statuses) == 1 and statuses <= _MISPLACED:
        return f"Every good body was answered {good[0].outcome.status}: is this the URL of the hook?"
    return "Not one good body was accepted, so it means little that bad ones were not."


def curl(case: Case, url: str, headers: Iterable[str]) -> str:
    """A command that sends the same; the user's own `headers`, which may be secret, from variables of their names."""
    own = {"Content-Type": "", **case.headers}
    words = ["curl", "-sS", "-i", "-X", case.method]
    for name, value in own.items():
        words += ["-H", quote(f"{name}: {value}".rstrip())]
    for name in headers:
        words += ["-H", f'"{name}: ${name.upper().replace("-", "_")}"']
    if not case.body and case.method in {"GET", "DELETE"}:
        return " ".join([*words, quote(url)])
    if case.body.isascii() and case.body.decode().isprintable() and len(case.body) <= LONGEST_ARGUMENT:
        return " ".join([*words, "--data-raw", quote(case.body.decode()), quote(url)])
    packed = base64.b64encode(gzip.compress(case.body, mtime=0)).decode()
    return " ".join(["printf", packed, "| base64 -d | gunzip |", *words, "-H Expect: --data-binary @-", quote(url)])
