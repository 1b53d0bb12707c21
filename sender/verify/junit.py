"""A verification as a JUnit report, which most CI systems show.

In: results. Out: XML. A group is a test suite; what is warned of passes, and says so in its output.
"""

from collections.abc import Iterable
from itertools import groupby

from junitparser import Failure, JUnitXml, TestCase, TestSuite

from sender.verify.report import finding, result_lines
from sender.verify.rules import Grade
from sender.verify.runner import Result, Verification


def junit(verification: Verification) -> bytes:
    """The report, UTF-8."""
    report = JUnitXml("sender verify")
    for group, results in groupby(verification.results, lambda result: result.case.group):
        report.add_testsuite(_suite(group, results, verification))
    xml: bytes = report.tostring()  # type: ignore[no-untyped-call] # not annotated there
    return xml


def _suite(group: str, results: Iterable[Result], verification: Verification) -> TestSuite:
    suite = TestSuite(group)
    for result in results:
        case = TestCase(result.case.id, "sender.verify", (result.outcome.milliseconds or 0) / 1000)
        if result.grade is Grade.FAILED:
            failure = Failure(finding(result, verification.profile), result.case.rule.id)
            failure.text = "\n".join(result_lines(result, verification))
            case.result = [failure]
        elif result.grade is Grade.WARNED:
            case.system_out = "\n".join(result_lines(result, verification))
        suite.add_testcase(case)
    return suite
