"""What the sender tells its user of attempts: as lines for people, or as JSON objects.

In: attempts. Out: text. An answer's body is from outside, and reaches a terminal only as escaped ASCII.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from receiver.terminal import clock, escape, iso, moment, printable, style
from sender.address import is_local
from sender.attempt import Attempt, State, is_ok
from sender.endpoints import EVERY, Endpoint
from sender.tally import Tally

SHORT = 8
"""So many characters of an id are shown in a line."""

_INDENT = " " * 10
_LONGEST = 2000
_WIDEST_BAR = 40
_NEVER_AGAIN = "EnableNow would not send it again."


def exit_code(attempt: Attempt) -> int:
    """0 answered 2xx, 1 answered otherwise, 3 refused (certainly not delivered), 4 unknown (may have arrived)."""
    match attempt.outcome.state:
        case State.DELIVERED:
            return 0 if attempt.outcome.ok else 1
        case State.REFUSED:
            return 3
        case _:
            return 4


def attempt_record(attempt: Attempt) -> dict[str, Any]:
    """An attempt as a JSON object; `answer` and `body` as text, what is not UTF-8 in them replaced."""
    outcome = attempt.outcome
    return {
        "id": attempt.id,
        "event": attempt.event,
        "url": attempt.url,
        "fault": attempt.fault,
        "state": outcome.state,
        "status": outcome.status,
        "delivery": outcome.delivery,
        "started_at": iso(attempt.started_at),
        "milliseconds": outcome.milliseconds,
        "reason": outcome.reason,
        "answer": outcome.answer.decode(errors="replace"),
        "body": attempt.body.decode(errors="replace"),
    }


def attempt_line(attempt: Attempt, *, dated: bool = False) -> str:
    """Time, mark, status or state, then in words what became of which event where."""
    time = moment(attempt.started_at) if dated else clock(attempt.started_at)
    return f"{time}  {_mark(attempt.outcome.status or attempt.outcome.state)}  {_sentence(attempt)}"


def fired_lines(attempt: Attempt, note: str = "") -> Iterator[str]:
    """What happened, in a line that ends with a note; below it the answer's body, where that is not 2xx."""
    yield f"{attempt_line(attempt)}  {note}".rstrip()
    if attempt.outcome.state is not State.DELIVERED:
        yield _INDENT + _NEVER_AGAIN
        if attempt.outcome.state is State.REFUSED and is_local(attempt.url):
            yield f"{_INDENT}Does a receiver listen there? `receiver run` starts one."
    elif not attempt.outcome.ok:
        yield from (_INDENT + escape(line) for line in filter(None, [attempt.outcome.reason]))
        yield from (_INDENT + line for line in _text_lines(attempt.outcome.answer))


def endpoint_record(endpoint: Endpoint, *, secret: bool = False) -> dict[str, Any]:
    """An endpoint as a JSON object; with its secret only where that is asked for."""
    return {
        "id": endpoint.id,
        "name": endpoint.name,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "enabled": endpoint.enabled,
        "headers": dict(endpoint.headers),
        "signed": endpoint.secret is not None,
        "created_at": iso(endpoint.created_at),
        **({"secret": endpoint.secret} if secret else {}),
    }


def endpoint_line(endpoint: Endpoint) -> str:
    """Mark, what it is called, where it is, what it gets."""
    mark = style("✓ enabled ", "green") if endpoint.enabled else style("· disabled", dim=True)
    events = "every event" if EVERY in endpoint.events else ", ".join(endpoint.events)
    signed = "  signed" if endpoint.secret else ""
    return f"{mark}  {style(printable(endpoint.label), bold=True)}  {endpoint.url}  {events}{signed}"


def endpoint_lines(endpoint: Endpoint) -> Iterator[str]:
    """All of an endpoint, also its secret."""
    yield endpoint_line(endpoint)
    yield f"  id       {endpoint.id}"
    yield from (f"  header   {escape(name)}: {escape(value)}" for name, value in endpoint.headers.items())
    if endpoint.secret:
        yield f"  secret   {endpoint.secret}"
        yield "           for the receiver, as in `RECEIVER_SECRET=... receiver run`"


def forwarded_lines(attempt: Attempt, *, waits: bool = True, back: bool = False) -> Iterator[str]:
    """What became of a delivery that was forwarded, and what of it is to be done. `waits`: it is tried again by itself
    while the application is down; `back`: it was down before."""
    yield attempt_line(attempt)
    if back:
        yield f"{_INDENT}Your application is back."
    if attempt.outcome.state is State.REFUSED and not waits:
        yield f"{_INDENT}Nothing was sent: ask again when your application is back."
    elif attempt.outcome.state is State.REFUSED:
        yield f"{_INDENT}It waits in the inbox until your application is back."
    elif not attempt.outcome.ok:
        yield f"{_INDENT}`sender forward --again {attempt.id[:SHORT]} --to {attempt.url}` sends it once more."


def step_lines(attempt: Attempt, missed: Sequence[str], *, expected: bool, before: bool) -> Iterator[str]:
    """What became of an event of a step, and what of it was not as expected."""
    time = clock(attempt.started_at)
    outcome = attempt.outcome.status or attempt.outcome.state
    mark = style(f"✗ {outcome}", "red") if missed else style(f"✓ {outcome}", "green") if expected else _mark(outcome)
    yield f"{time}  {mark}  {_sentence(attempt)}{'  (sent before, not now)' if before else ''}"
    yield from (_INDENT + line for line in missed)


def summary_record(tally: Tally, seconds: float) -> dict[str, Any]:
    """A volley as a JSON object, the last one: `answered` is by status."""
    p50, p99 = tally.percentile(50), tally.percentile(99)
    return {
        "type": "summary",
        "sent": tally.sent,
        "answered": {str(status): tally.outcomes[status] for status in _statuses(tally)},
        "refused": tally.outcomes[State.REFUSED],
        "unknown": tally.outcomes[State.UNKNOWN],
        "already_sent": tally.before.total(),
        "seconds": round(seconds, 3),
        "rate": round(tally.sent / seconds, 1),
        "p50_milliseconds": p50 and round(p50, 2),
        "p99_milliseconds": p99 and round(p99, 2),
    }


def summary_lines(tally: Tally, seconds: float) -> Iterator[str]:
    """What became of a volley: the first failures, a count of each outcome, and how quickly answers came."""
    for attempt in tally.failures:
        yield attempt_line(attempt)
    if tally.failed > len(tally.failures):
        yield f"{_INDENT}and {tally.failed - len(tally.failures):,} more: `sender log`"
    yield f"{tally.sent:,} sent in {seconds:.1f} s, {tally.sent / seconds:,.0f} a second"
    listed: list[int | State] = [*_statuses(tally), State.REFUSED, State.UNKNOWN]
    for outcome in listed:
        if tally.outcomes[outcome]:
            yield f"  {tally.outcomes[outcome]:9,}  {_mark(outcome)}"
    if tally.before:
        parts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.before.items(), key=str))
        yield f"  {tally.before.total():9,}  were already sent, and not again: {parts}"
    yield from _latency_lines(tally)


def _latency_lines(tally: Tally) -> Iterator[str]:
    p50, p99 = tally.percentile(50), tally.percentile(99)
    if p50 is None or p99 is None:
        return
    yield f"answered within {p50:.3g} ms (p50), {p99:.3g} ms (p99)"
    rows = list(tally.histogram())
    most = max(count for _, count in rows)
    for milliseconds, count in rows:
        bar = "\u2588" * math.ceil(count / most * _WIDEST_BAR)
        yield f"  \u2264 {milliseconds:7,g} ms  {bar}{' ' if bar else ''}{count:,}"


def _statuses(tally: Tally) -> list[int]:
    return sorted(outcome for outcome in tally.outcomes if isinstance(outcome, int))


def show_lines(attempt: Attempt) -> Iterator[str]:
    """All that the ledger knows of an attempt."""
    yield attempt_line(attempt, dated=True)
    yield f"  id        {escape(attempt.id)}"
    if attempt.outcome.delivery:
        yield f"  delivery  {escape(attempt.outcome.delivery)}"
    yield f"  body      {next(_text_lines(attempt.body), '')}"
    for line in _text_lines(attempt.outcome.answer):
        yield f"  answer    {line}"


def _mark(outcome: int | State) -> str:
    """The mark of a status or, where none came, of a state."""
    if isinstance(outcome, int) and is_ok(outcome):
        return style(f"✓ {outcome}", "green")
    if outcome in {State.UNKNOWN, State.SENDING}:
        return style(f"? {outcome}", "yellow")
    return style(f"✗ {outcome}", "red")


def _sentence(attempt: Attempt) -> str:
    outcome = attempt.outcome
    event = style(escape(attempt.event, 60), bold=True) + (f" ({attempt.fault})" if attempt.fault else "")
    reason = escape(outcome.reason or "")
    match outcome.state:
        case State.DELIVERED:
            delivery = f"  delivery {escape(outcome.delivery[:SHORT])}" if outcome.delivery else ""
            return f"sent {event} to {attempt.url}  {outcome.milliseconds:.0f} ms  event {_short(attempt)}{delivery}"
        case State.REFUSED:
            return f"{event} was not delivered to {attempt.url}: {reason}  event {_short(attempt)}"
        case State.UNKNOWN:
            return f"{event} may have arrived at {attempt.url}: {reason}  event {_short(attempt)}"
        case _:
            return f"{event} is being sent to {attempt.url}  event {_short(attempt)}"


def _short(attempt: Attempt) -> str:
    return escape(attempt.id[:SHORT])


def _text_lines(text: bytes) -> Iterator[str]:
    for line in text.decode(errors="replace").splitlines():
        yield escape(line, _LONGEST)
