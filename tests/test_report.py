"""What is told of deliveries and runs: enough to act on, and no value of a payload."""

import json
from dataclasses import replace

import pytest
from click import unstyle as plain
from test_inbox import entry

from receiver.contract import Verdict
from receiver.entry import Entry, Run, RunState
from receiver.report import Report, delivery_line, entry_record, full_record, run_line, run_marks, show_lines
from receiver.violations import Violation

ERROR = """ValueError at handlers.py:12
Traceback (most recent call last):
  File "/app/handlers.py", line 12, in notify
    raise ValueError(f"no account {iban}")
ValueError: no account NL91ABNA0417164300
"""
FAILED = Run("notify", 2, RunState.FAILED, 1_700_000_000_000_000, 3.4, ERROR)
INVALID = replace(
    entry(id="3f9a2c71d0e4b5a6", body=b'{"event": "a.b", "data": {"iban": "NL91"}}'),
    verdict=Verdict.INVALID,
    status=422,
    violations=(Violation("/data/iban", "type", "must be null, is string"),),
)


def told(entry_: Entry | None = None, run: Run | None = None) -> str:
    lines: list[str] = []
    report = Report(lines.append)
    if entry_:
        report.delivery(entry_, 4.2)
    if run:
        report.run(_Delivery, run)
    return plain("\n".join(lines))


class _Delivery:
    id = "3f9a2c71d0e4b5a6"
    event = "a.b"


def test_a_delivery_is_one_line_of_time_mark_status_event_id_and_milliseconds() -> None:
    line = plain(delivery_line(entry(id="3f9a2c71d0e4b5a6"), "4 ms"))
    assert line[8:] == "  ✓ 202  a.b                           3f9a2c71  4 ms"


def test_a_violation_is_told_by_its_pointer() -> None:
    assert told(INVALID).splitlines()[1].split() == ["/data/iban", "must", "be", "null,", "is", "string"]
    assert told(INVALID).splitlines()[0].endswith("4 ms  invalid")


def test_a_failed_run_is_told_by_kind_and_place_and_where_to_read_more() -> None:
    assert told(run=FAILED).split() == [
        "✗",
        "notify",
        "failed",
        "3",
        "ms",
        "attempt",
        "2",
        "ValueError",
        "at",
        "handlers.py:12",
        "receiver",
        "show",
        "3f9a2c71",
    ]


def test_no_value_of_a_payload_or_an_exception_is_in_the_lines_or_records_of_a_running_receiver() -> None:
    records: list[str] = []
    report = Report(records.append, as_records=True)
    report.delivery(INVALID, 1)
    report.run(_Delivery, FAILED)
    assert "NL91" not in told(INVALID, FAILED) + "".join(records) + run_line(FAILED) + json.dumps(entry_record(INVALID))


@pytest.mark.parametrize("hostile", ["\x1b[2J\x1b[31m", "a\nb: c", "\u202e", "x" * 10_000])
def test_text_from_outside_stays_on_its_line(hostile: str) -> None:
    bad = replace(
        INVALID, event=hostile, violations=(Violation(f"/{hostile}", "x", hostile),), headers={hostile: hostile}
    )
    text = told(replace(bad), replace(FAILED, error=f"{hostile} at {ERROR}"))
    assert len(text.splitlines()) == 3
    assert all(len(line) < 600 for line in text.splitlines())
    shown = plain("\n".join(show_lines(replace(bad, runs=(FAILED,)))))
    assert "\x1b" not in text + shown
    assert "\u202e" not in text + shown


def test_records_have_the_field_names_that_scripts_rely_on() -> None:
    record = full_record(replace(INVALID, runs=(FAILED,)))
    brief = {"id", "event", "verdict", "status", "received_at", "size", "runs", "violations", "judged_at"}
    assert set(entry_record(INVALID)) == brief
    assert set(record) - brief == {"headers", "data"}
    assert record["data"] == {"iban": "NL91"}
    assert record["violations"] == [{"pointer": "/data/iban", "keyword": "type", "message": "must be null, is string"}]
    (run,) = record["runs"]
    assert {"handler", "state", "attempt", "milliseconds", "error", "traceback"} <= set(run)
    assert run["error"] == "ValueError at handlers.py:12"


def test_show_tells_all_of_a_delivery() -> None:
    shown = plain("\n".join(show_lines(replace(INVALID, runs=(FAILED,), headers={"X": "1"}))))
    for part in (
        "3f9a2c71d0e4b5a6",
        "invalid, answered 422",
        "/data/iban",
        "NL91ABNA0417164300",
        "X: 1",
        '"iban": "NL91"',
    ):
        assert part in shown
    half = plain("\n".join(show_lines(replace(INVALID, verdict=Verdict.MALFORMED, body=b"{\xff\x1b", size=900))))
    assert "900 bytes, of which the first 3 are kept" in half
    assert "{\\u00ff\\u001b" in half


def test_the_marks_of_runs_are_those_of_the_latest_attempt() -> None:
    runs = (Run("f", 1, RunState.FAILED), Run("g", 1, RunState.INTERRUPTED), Run("f", 2, RunState.DONE))
    assert plain(run_marks(replace(INVALID, runs=runs))) == "✓ f  ! g"
