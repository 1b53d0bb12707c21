"""What the receiver tells its user of deliveries and runs: as lines for people, or as JSON objects.

In: entries and runs. Out: text, to whatever takes lines. The lines of a running receiver show pointers, keywords and
places in code; the values of a payload, and an exception's text, which may hold some, are for `receiver show`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from receiver.contract import Verdict
from receiver.delivery import Delivery, parse
from receiver.entry import Entry, Listed, Run, RunState
from receiver.store import now
from receiver.terminal import as_json, clock, escape, iso, moment, style

SHORT = 8
"""So many digits of an id are shown in a line."""

_INDENT = " " * 10
_LONGEST_VALUE = 4000
_VERDICT_MARKS = {
    Verdict.VALID: ("✓", "green"),
    Verdict.UNKNOWN_EVENT: ("?", "yellow"),
    Verdict.INVALID: ("✗", "red"),
    Verdict.MALFORMED: ("✗", "red"),
    Verdict.UNVERIFIED: ("✗", "red"),
}
_RUN_MARKS = {
    RunState.PENDING: ("·", None),
    RunState.RUNNING: (">", "cyan"),
    RunState.DONE: ("✓", "green"),
    RunState.FAILED: ("✗", "red"),
    RunState.INTERRUPTED: ("!", "yellow"),
}


class Report:
    """Tells what happens while the receiver runs.

    Args:
        write: takes a line; must not wait.
        as_records: JSON objects instead of lines for people.
        show: the command that shows a delivery of this inbox.
        shown: what is told of an event's name.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        as_records: bool = False,
        show: str = "receiver show",
        shown: Callable[[str | None], str | None] = lambda event: event,
    ) -> None:
        self._write = write
        self._as_records = as_records
        self._show = show
        self._shown = shown

    def redacted(self, shown: Callable[[str | None], str | None]) -> "Report":
        """The same, which tells of events only what `shown` makes of their names."""
        return Report(self._write, as_records=self._as_records, show=self._show, shown=shown)

    def ready(self, record: Mapping[str, object], lines: Iterable[str]) -> None:
        """The receiver listens."""
        self._tell(lambda: {"type": "ready", **record}, lambda: lines)

    def delivery(self, entry: Entry, milliseconds: float) -> None:
        entry = replace(entry, event=self._shown(entry.event))
        self._tell(
            lambda: {"type": "delivery", **entry_record(entry), "milliseconds": round(milliseconds, 1)},
            lambda: [
                delivery_line(entry, f"{milliseconds:.0f} ms"),
                *(_INDENT + line for line in violation_lines(entry)),
            ],
        )

    def run(self, delivery: Delivery, run: Run) -> None:
        short = delivery.id[:SHORT]
        more = f"{self._show} {short}" if run.error else short
        self._tell(
            lambda: {"type": "run", "id": delivery.id, "event": self._shown(delivery.event), **run_record(run)},
            lambda: [f"{_INDENT}{run_line(run)}  {style(more, dim=True)}"],
        )

    def refused(self, status: int, reason: str) -> None:
        """A request of which nothing is stored."""
        at = now()
        self._tell(
            lambda: {"type": "refused", "status": status, "reason": reason, "received_at": iso(at)},
            lambda: [f"{clock(at)}  {style(f'✗ {status}', 'red')}  {reason}"],
        )

    def notice(self, text: str) -> None:
        self._tell(lambda: {"type": "notice", "text": text}, lambda: [_INDENT + text])

    def trouble(self, reason: str) -> None:
        mark = style("!", "red", bold=True)
        self._tell(lambda: {"type": "trouble", "reason": reason}, lambda: [f"{_INDENT}{mark} {reason}"])

    def _tell(self, record: Callable[[], dict[str, Any]], lines: Callable[[], Iterable[str]]) -> None:
        self._write(as_json(record()) if self._as_records else "\n".join(lines()))


def entry_record(entry: Entry) -> dict[str, Any]:
    """An entry as a JSON object, in brief."""
    return {
        **_brief(entry),
        "judged_at": entry.judged_at and iso(entry.judged_at),
        "size": entry.size,
        "violations": [asdict(violation) for violation in entry.violations],
        "runs": [run_record(run) for run in entry.runs],
    }


def listed_record(listed: Listed) -> dict[str, Any]:
    """A delivery in brief as a JSON object, with each handler's latest run."""
    return {**_brief(listed), "size": listed.size, "runs": [run_record(run) for run in listed.runs]}


def full_record(entry: Entry) -> dict[str, Any]:
    """An entry as a JSON object, whole but for the exact bytes of the body."""
    return {
        **entry_record(entry),
        "headers": dict(entry.headers),
        "data": entry.data,
        "runs": [{**run_record(run), "traceback": run.traceback} for run in entry.runs],
    }


def _brief(one: Entry | Listed) -> dict[str, Any]:
    return {
        "id": one.id,
        "event": one.event,
        "verdict": one.verdict,
        "status": one.status,
        "received_at": iso(one.received_at),
    }


def run_record(run: Run) -> dict[str, Any]:
    return {
        "handler": run.handler,
        "state": run.state,
        "attempt": run.attempt,
        "started_at": run.started_at and iso(run.started_at),
        "milliseconds": run.milliseconds,
        "error": run.failure and escape(run.failure),
    }


def delivery_line(entry: Entry, ending: str, *, dated: bool = False) -> str:
    """Time, mark, status, event, id, then `ending`, and the verdict where it is not `valid`."""
    mark, colour = _VERDICT_MARKS[entry.verdict]
    time = moment(entry.received_at) if dated else clock(entry.received_at)
    answered = style(f"{mark} {entry.status}", colour)
    event = style(f"{escape(entry.event or '-', 60):28}", bold=True)
    verdict = "" if entry.verdict is Verdict.VALID else style(entry.verdict, colour)
    parts = [time, answered, event, entry.id[:SHORT], ending, verdict]
    return "  ".join(part for part in parts if part)


def violation_lines(entry: Entry) -> Iterator[str]:
    """For each violation where it is, and what is wanted there."""
    for violation in entry.violations:
        yield f"{style(escape(violation.pointer) or '(body)', 'red')}  {escape(violation.message)}"


def run_line(run: Run) -> str:
    """A handler's outcome; of a failure the exception's type and place, since its text may hold values."""
    mark, colour = _RUN_MARKS[run.state]
    took = "" if run.milliseconds is None else f"  {run.milliseconds:.0f} ms"
    again = f"  attempt {run.attempt}" if run.attempt > 1 else ""
    error = "" if run.failure is None else f"  {escape(run.failure)}"
    return f"{style(mark, colour)} {run.handler}  {run.state}{took}{again}{error}"


def run_marks(entry: Entry) -> str:
    """Each handler with the mark of its latest run: `✓ fetch  ✗ notify`."""
    marks = [(run.handler, *_RUN_MARKS[run.state]) for run in entry.latest]
    return "  ".join(f"{style(mark, colour)} {handler}" for handler, mark, colour in marks)


def show_lines(entry: Entry) -> Iterator[str]:
    """All that the inbox knows of a delivery."""
    kept = "" if len(entry.body) == entry.size else f", of which the first {len(entry.body)} are kept"
    yield f"{style('delivery', bold=True)}  {entry.id}"
    yield f"event     {escape(entry.event or '-')}"
    again = f", judged again {iso(entry.judged_at)}" if entry.judged_at else ""
    yield f"verdict   {entry.verdict}, answered {entry.status}{again}"
    yield f"received  {iso(entry.received_at)}"
    yield f"size      {entry.size} bytes{kept}"
    yield from _section("violations", violation_lines(entry))
    yield from _section("runs", map(run_line, entry.runs))
    for run in entry.runs:
        yield from _section(
            f"traceback of {run.handler}, attempt {run.attempt}", map(escape, (run.traceback or "").splitlines())
        )
    headers = (f"{escape(name)}: {escape(value, _LONGEST_VALUE)}" for name, value in entry.headers.items())
    yield from _section("headers", headers)
    yield from _section("body", _body_lines(entry))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    shown = [f"  {line}" for line in lines]
    if shown:
        yield from ("", style(title, bold=True), *shown)


def _body_lines(entry: Entry) -> Iterator[str]:
    if entry.verdict is Verdict.MALFORMED:
        yield escape(entry.body.decode("latin-1"), _LONGEST_VALUE)
    else:
        yield from json.dumps(parse(entry.body), indent=2).replace("\x7f", "\\u007f").splitlines()
