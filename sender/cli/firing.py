"""Firing: `sender fire`, one event or, with --count, a volley of them."""

import os
import random
import re
import secrets
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from receiver.contract import Contract
from receiver.settings import INTERRUPTED, Text
from receiver.store import now
from receiver.terminal import as_json
from sender.attempt import Attempt
from sender.cli.options import (
    ca_option,
    event_names,
    header_option,
    header_pairs,
    json_option,
    progress,
    schemas_option,
    secret_option,
    state_option,
    timeout_option,
    to_option,
)
from sender.faults import Fault
from sender.ledger import AlreadySent, Ledger
from sender.payload import bodies
from sender.report import attempt_record, exit_code, fired_lines, summary_lines, summary_record
from sender.tally import Tally

if TYPE_CHECKING:
    from sender.aim import Aim
    from sender.forward import Forwarding
    from sender.post import Poster
    from sender.volley import Shot, Volley

MOST_CONCURRENCY = 1000

ALL_WERE_SENT = 2
"""The exit code where an event had been sent to every endpoint before, so that nothing was sent now."""

_ID = re.compile(r"[!-~]{1,200}")


def _sample_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    contract, event = Contract(), str(ctx.params.get("event"))
    return [name for name in contract.samples(event) if name.startswith(incomplete)] if event in contract.events else []


def check_id(_ctx: click.Context, _param: click.Parameter, id_: str | None) -> str | None:
    if id_ is not None and not _ID.fullmatch(id_):
        raise click.BadParameter("must be 1 to 200 printable ASCII characters without a blank")
    return id_


@click.command()
@click.argument("event", shell_complete=event_names)
@to_option
@click.option("--sample", metavar="NAME", shell_complete=_sample_names, help="Sample to send; see `sender events`.")
@click.option("--data", metavar="JSON|@FILE|-", help="Data to send instead of a sample's; - reads stdin.")
@click.option(
    "--set",
    "sets",
    type=Text(),
    metavar="PATH=VALUE",
    multiple=True,
    help="Set a field of the data; +PATH=VALUE adds one.",
)
@click.option("--unset", "unsets", type=Text(), metavar="PATH", multiple=True, help="Leave a field of the data out.")
@click.option(
    "--id",
    "id_",
    callback=check_id,
    metavar="ID",
    help="The event's id; the same is sent to the same URL only once.",
)
@secret_option
@header_option
@timeout_option
@ca_option
@click.option(
    "--count",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Fire so many events; --id X gives them the ids X-1, X-2, ...",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, MOST_CONCURRENCY),
    default=1,
    show_default=True,
    help="POST so many at the same time.",
)
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Begin at most so many a second.  [default: no limit]"
)
@click.option(
    "--no-validate", is_flag=True, help="Send what violates the schema, and event types that no schema knows."
)
@click.option(
    "--fault", type=click.Choice([str(fault) for fault in Fault]), help="Do this wrong on purpose, to test a receiver."
)
@click.option("--dry-run", is_flag=True, help="Print the body instead of sending it.")
@state_option
@schemas_option
@json_option
def fire(
    event: str,
    to: str | None,
    sample: str | None,
    data: str | None,
    sets: tuple[str, ...],
    unsets: tuple[str, ...],
    id_: str | None,
    secret: str | None,
    headers: tuple[str, ...],
    timeout: float,
    authorities: Path | None,
    count: int,
    concurrency: int,
    rate: float | None,
    no_validate: bool,
    fault: str | None,
    dry_run: bool,
    state: Path,
    schemas: Path | None,
    as_records: bool,
) -> None:
    """POST one EVENT, once; or with --count many events, each once.

    It goes to each endpoint that is enabled and subscribed to EVENT (`sender endpoints`), side by side; where there is
    no endpoint at all, to a local receiver; with --to there and nowhere else.

    Exit codes: 0 answered 2xx, 1 answered otherwise, 2 usage (nothing sent), 3 refused (certainly not delivered), 4
    unknown (may have arrived); of many the worst, which is the highest.
    """
    if sample is not None and data is not None:
        raise click.UsageError("--sample and --data exclude each other")
    contract, given, seed = Contract(schemas), _read(data), secrets.randbits(128)

    def made() -> Iterator[tuple[str, bytes]]:
        """The events, the same ones each time: their ids and bodies."""
        checked = not no_validate
        yield from zip(
            _ids(id_, count, seed),
            bodies(contract, event, sample=sample, data=given, sets=sets, unsets=unsets, validate=checked, seed=seed),
            strict=False,
        )

    next(made())  # what cannot be made is told before anything is sent
    if dry_run:
        for _, body in made():
            click.echo(as_json({"event": event, "body": body.decode()}) if as_records else body.decode())
        return

    from sender.aim import aims, aims_of
    from sender.post import Poster

    def attempts(aim: "Aim") -> Iterator[Attempt]:
        return (
            Attempt(one, aim.target.url, event, body, now(), copy=aim.copy(event), fault=fault) for one, body in made()
        )

    with closing(Ledger(state)) as ledger, Poster(timeout) as poster:
        every = aims(ledger.endpoints, to, header_pairs(headers), authorities, secret)
        chosen = aims_of(event, ledger.endpoints, every)
        if count == len(chosen) == 1:
            note = "" if to or chosen[0].endpoint else "(the default: there is no endpoint)"
            attempt = next(attempts(chosen[0]))
            sys.exit(fire_one(ledger, poster, chosen[0], attempt, note, as_records=as_records))
        from sender.volley import Shot, Volley

        volley = Volley(ledger, poster, concurrency=concurrency, rate=rate)
        lanes = [map(partial(Shot, aim.target), attempts(aim)) for aim in chosen]
        tell = _fire_each if count == 1 else _fire_all
        sys.exit(tell(volley, lanes, count * len(chosen), as_records=as_records))


def fire_one(
    ledger: Ledger, poster: "Poster", aim: "Aim", attempt: Attempt, note: str = "", *, as_records: bool
) -> int:
    """Fires one event at one endpoint and tells of it; returns the exit code."""
    from sender.fire import fire as fire_once

    ended = fire_once(ledger, poster, aim.target, attempt)
    click.echo(as_json(attempt_record(ended)) if as_records else "\n".join(fired_lines(ended, note)))
    return exit_code(ended)


def _fire_each(volley: "Volley", lanes: "Sequence[Iterable[Shot]]", _total: int, *, as_records: bool) -> int:
    """Fires one event at several endpoints, and tells of each as it ends; returns the exit code, of those sent now."""
    codes = []
    with ctrl_c_stops(volley), closing(volley.fire(lanes)) as all_:
        for ended in all_:
            record = {**attempt_record(ended.attempt), "already_sent": ended.before}
            lines = [str(AlreadySent(ended.attempt))] if ended.before else fired_lines(ended.attempt)
            click.echo(as_json(record) if as_records else "\n".join(lines))
            codes += [ALL_WERE_SENT if ended.before else exit_code(ended.attempt)]
    if len(codes) < len(lanes):
        return INTERRUPTED
    return max((code for code in codes if code != ALL_WERE_SENT), default=ALL_WERE_SENT)


def _ids(id_: str | None, count: int, seed: int) -> Iterable[str]:
    if count == 1 and id_:
        return [id_]
    dice = random.Random(seed)  # noqa: S311 - it is drawn from the system's chance
    return (f"{id_}-{number}" if id_ else f"{dice.getrandbits(64):016x}" for number in range(1, count + 1))


def _fire_all(volley: "Volley", lanes: "Sequence[Iterable[Shot]]", total: int, *, as_records: bool) -> int:
    """Fires a volley and tells of it; returns the exit code."""
    tally, began = Tally(), time.perf_counter()
    try:
        with ctrl_c_stops(volley), progress(total, as_records=as_records) as bar, closing(volley.fire(lanes)) as all_:
            for ended in all_:
                tally.add(ended.attempt, exit_code(ended.attempt), before=ended.before)
                bar.update(1)
                if as_records:
                    click.echo(as_json({**attempt_record(ended.attempt), "already_sent": ended.before}))
        tally.abandon(volley.begun - tally.total)
    finally:
        seconds = time.perf_counter() - began
        summary = [as_json(summary_record(tally, seconds))] if as_records else summary_lines(tally, seconds)
        click.echo("\n".join(summary))
    return tally.exit_code or (INTERRUPTED if tally.total < total else 0)


@contextmanager
def ctrl_c_stops(volley: "Volley | Forwarding") -> Iterator[None]:
    """The first Ctrl-C lets those under way end, the second does not."""

    def pressed(*_: object) -> None:
        if volley.stopped:
            volley.cut()
        else:
            volley.stop()
            os.write(sys.stderr.fileno(), b"\nNo more are begun; Ctrl-C again cuts off those under way.\n")

    before = signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _read(data: str | None) -> str | bytes | None:
    """The JSON that --data gives, from a file where it begins with @, from stdin where it is -."""
    if data == "-":
        return sys.stdin.buffer.read()
    if data and data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise click.UsageError(f"--data {data}: {error.strerror}") from error
    return data
