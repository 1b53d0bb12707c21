"""Records: cases and results as JSON objects, one a line, and cases read from them again.

In: cases and results. Out: records that hold the exact bytes; and the other way round, for `--replay`.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from sender.verify.cases import Case
from sender.verify.rules import BY_ID, Grade, Profile, Rule
from sender.verify.runner import Result, Verification


class RecordError(Exception):
    """A report that cannot be replayed; the text says which line and why."""


def rule_record(rule: Rule) -> dict[str, Any]:
    """A rule; `strict` and `tolerant` are what passes."""
    passes = {str(profile): rule.expected(profile) for profile in Profile}
    return {"type": "rule", "id": rule.id, "text": rule.text, **passes, "source": rule.source}


def case_record(case: Case) -> dict[str, Any]:
    """A case; `body` in base64."""
    return {
        "type": "case",
        "id": case.id,
        "group": case.group,
        "rule": case.rule.id,
        "event": case.event,
        "method": case.method,
        "headers": dict(case.headers),
        "together": case.together,
        "body": base64.b64encode(case.body).decode(),
    }


def verification_records(verification: Verification) -> Iterator[dict[str, Any]]:
    """Each case with what became of it, and a summary as the last one."""
    for result in verification.results:
        yield _result_record(result, verification.profile)
    grades = {str(grade): len(verification.of_grade(grade)) for grade in Grade}
    yield {
        "type": "summary",
        "url": verification.url,
        "profile": verification.profile,
        **grades,
        "unsent": verification.unsent,
        "seconds": round(verification.seconds, 3),
    }


def recorded_cases(lines: Iterable[str]) -> list[Case]:
    """The cases of a report, in its order; what else stands there is left out.

    Raises:
        RecordError: a line is not what `sender verify --json` prints.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            if record["type"] == "case":
                found.append(_case(record))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RecordError(
                f"line {number} is not of a report ({type(error).__name__}: {error}); "
                "`sender verify URL --json` prints one"
            ) from error
    return found


def _case(record: dict[str, Any]) -> Case:
    return Case(
        id=str(record["id"]),
        group=str(record["group"]),
        rule=BY_ID[record["rule"]],
        event=str(record["event"]),
        body=base64.b64decode(record["body"], validate=True),
        method=str(record["method"]),
        headers={str(name): str(value) for name, value in record["headers"].items()},
        together=record["together"] is True,
    )


def _result_record(result: Result, profile: Profile) -> dict[str, Any]:
    """A case with what became of it; `answer` as text, what is not UTF-8 in it replaced."""
    outcome = result.outcome
    return {
        **case_record(result.case),
        "expected": result.case.rule.expected(profile),
        "grade": result.grade,
        "state": outcome.state,
        "status": outcome.status,
        "reason": outcome.reason,
        "milliseconds": outcome.milliseconds,
        "delivery": outcome.delivery,
        "answer": outcome.answer.decode(errors="replace"),
    }
