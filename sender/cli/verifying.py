"""`sender verify`: the cases of a contract, sent to any receiver."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.contract import Contract
from receiver.settings import Failure, Size, Text
from receiver.terminal import as_json, did_you_mean, warn
from sender.address import is_local, normalised
from sender.cli.options import (
    ca_option,
    event_names,
    header_option,
    header_pairs,
    json_option,
    progress,
    schemas_option,
    timeout_option,
)
from sender.verify.rules import RULES, Grade, Profile

if TYPE_CHECKING:
    from sender.post import Poster
    from sender.verify.cases import Case
    from sender.verify.runner import Verification

UNREACHABLE = 3
"""The exit code where nobody took up a connection."""


@click.command()
@click.argument("url", required=False)
@click.option(
    "--profile",
    type=click.Choice([str(profile) for profile in Profile]),
    default=str(Profile.STRICT),
    show_default=True,
    help="strict: what is bad has to be answered 4xx. tolerant: it may be accepted, but never lead to 5xx.",
)
@click.option(
    "--only",
    type=Text(),
    metavar="PATTERN",
    multiple=True,
    help="Only these cases: an id, a group or a rule; * stands for anything.",
)
@click.option(
    "--events",
    type=Text(),
    metavar="PATTERN",
    multiple=True,
    shell_complete=event_names,
    help="Only these event types; * stands for anything.",
)
@click.option(
    "--max-body", type=Size(), help="The largest body that has to be accepted, as 1MiB; one byte more has not."
)
@timeout_option
@header_option
@ca_option
@schemas_option
@click.option("--list", "listing", is_flag=True, help="Send nothing; list the rules with their sources, and the cases.")
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Send the exact bytes of the cases in a report that --json printed.",
)
@click.option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a JUnit report there too.",
)
@json_option
def verify(
    url: str | None,
    profile: str,
    only: tuple[str, ...],
    events: tuple[str, ...],
    max_body: int | None,
    timeout: float,
    headers: tuple[str, ...],
    authorities: Path | None,
    schemas: Path | None,
    listing: bool,
    replay: Path | None,
    junit: Path | None,
    as_records: bool,
) -> None:
    """Send the receiver at URL, in whatever language, all that the contract implies.

    Good bodies and bad ones, each once: from every sample to bodies that violate the schema in one place only, texts
    that are no JSON, other media types and methods. It is for a receiver that you test, not for one in production: the
    good ones are taken for real.

    Exit codes: 0 all passed, 1 a case failed, 2 usage, or nothing to verify, 3 nobody listens.
    """
    if replay and (events or max_body or schemas):
        raise click.UsageError("--replay sends what stands in its file: leave out --events, --max-body and --schemas")
    cases = _chosen(_recorded(replay) if replay else _implied(schemas, events, max_body), only)
    if listing:
        _list(cases, as_records=as_records)
        return
    if url is None:
        raise click.UsageError("say which receiver: sender verify http://127.0.0.1:8787/webhook")
    verification = _verified(url, cases, Profile(profile), header_pairs(headers), authorities, timeout, as_records)
    _tell(verification, as_records=as_records)
    if junit:
        _write_junit(verification, junit)
    sys.exit(_exit_code(verification))


def _implied(schemas: Path | None, patterns: Sequence[str], max_body: int | None) -> "list[Case]":
    from sender.verify.cases import cases, events_of

    contract = Contract(schemas)
    for pattern in patterns:
        if not events_of(contract, [pattern]):
            raise click.UsageError(f"--events {pattern}: fits no event type; {did_you_mean(pattern, contract.events)}")
    return cases(contract, events_of(contract, patterns or ["*"]), max_body)


def _recorded(report: Path) -> "list[Case]":
    from sender.verify.record import RecordError, recorded_cases

    try:
        return recorded_cases(report.read_text(encoding="utf-8").splitlines())
    except (RecordError, OSError, UnicodeDecodeError) as error:
        raise Failure(f"--replay {report}: {error}") from error


def _chosen(cases: "list[Case]", patterns: Sequence[str]) -> "list[Case]":
    for pattern in patterns:
        if not any(case.is_one_of([pattern]) for case in cases):
            raise click.UsageError(f"--only {pattern}: fits no case; `sender verify --list` shows them all")
    if not cases:
        raise click.UsageError("there is no case to verify; `sender verify URL --json` prints a report to --replay")
    return [case for case in cases if case.is_one_of(patterns or ["*"])]


def _list(cases: "list[Case]", *, as_records: bool) -> None:
    from sender.verify.record import case_record, rule_record
    from sender.verify.report import case_lines, rule_lines

    if as_records:
        lines = [as_json(record) for record in (*map(rule_record, RULES), *map(case_record, cases))]
    else:
        lines = [*rule_lines(), "", *case_lines(cases)]
    click.echo("\n".join(lines))


def _verified(
    url: str,
    cases: "list[Case]",
    profile: Profile,
    headers: dict[str, str],
    authorities: Path | None,
    timeout: float,
    as_records: bool,
) -> "Verification":
    from sender.post import Poster, prepare
    from sender.verify.runner import Verification, verify

    place, results, began = normalised(url), [], time.perf_counter()
    target = prepare(place, headers, authorities)
    if not is_local(place):
        warn(f"{place} is not on this machine; what is good of this it takes for real")
    with Poster(timeout) as poster, _ctrl_c_cuts(poster) as pressed, progress(len(cases), as_records=as_records) as bar:
        for result in verify(poster, target, cases, profile):
            if pressed:
                raise KeyboardInterrupt
            results.append(result)
            bar.update(1)
    seconds = time.perf_counter() - began
    return Verification(target.url, profile, tuple(headers), tuple(results), len(cases) - len(results), seconds)


@contextmanager
def _ctrl_c_cuts(poster: "Poster") -> Iterator[list[int]]:
    """Ctrl-C cuts what is under way and is noted, since a POST by itself takes it for its outcome."""
    pressed: list[int] = []

    def note(number: int, _frame: object) -> None:
        pressed.append(number)
        poster.cut()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(verification: "Verification", *, as_records: bool) -> None:
    from sender.verify.record import verification_records
    from sender.verify.report import annotations, report_lines

    click.echo(
        "\n".join(map(as_json, verification_records(verification)) if as_records else report_lines(verification))
    )
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in annotations(verification):
            click.echo(line, err=True)


def _write_junit(verification: "Verification", file: Path) -> None:
    from sender.verify.junit import junit

    try:
        file.write_bytes(junit(verification))
    except OSError as error:
        raise Failure(f"--junit {file}: {error.strerror}") from error


def _exit_code(verification: "Verification") -> int:
    if not verification.reached:
        return UNREACHABLE
    return 1 if verification.of_grade(Grade.FAILED) or verification.unsent else 0
