"""`sender play`: a scenario, from a file or one that is shipped."""

import secrets
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from receiver.contract import Contract
from receiver.settings import INTERRUPTED
from receiver.store import new_id
from receiver.terminal import as_json, did_you_mean
from sender.cli.firing import check_id, ctrl_c_stops
from sender.cli.options import (
    ca_option,
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
from sender.ledger import Ledger
from sender.report import attempt_record, step_lines, summary_lines, summary_record
from sender.scenario import Scenario, ScenarioError, read
from sender.tally import Tally

if TYPE_CHECKING:
    from sender.play import Cue
    from sender.volley import Ended, Volley

MOST_TOLD = 20
"""Of a step with more events than this each one that is as it should be has no line."""


class Speed(click.ParamType[float | None]):
    """How many times as fast as written, `10x`; or None for `max`, as fast as can be."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value is None or value == "max":
            return None
        try:
            speed = float(str(value).removesuffix("x"))
        except ValueError:
            speed = 0.0
        if not 0 < speed < float("inf"):
            self.fail(f"{value!r} is not a speed such as 1x, 10x, 0.5x or max", param, ctx)
        return speed


def _shipped() -> dict[str, Path]:
    return {path.stem: path for path in sorted((Contract().samples_directory / "scenarios").iterdir())}


def _names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in _shipped() if name.startswith(incomplete)]


@click.command()
@click.argument("file", shell_complete=_names)
@click.option("--speed", type=Speed(), default="1x", show_default=True, help="How fast: 10x is ten times as fast, max.")
@to_option
@click.option("--seed", type=click.IntRange(0), help="Draw the same ids in the data as the play with that seed.")
@click.option("--loop", "loops", type=click.IntRange(1), default=1, show_default=True, help="Play it so many times.")
@click.option(
    "--id",
    "id_",
    callback=check_id,
    metavar="ID",
    help="The events' ids are ID-1, ID-2, ...; the same are sent to the same URL only once.",
)
@secret_option
@header_option
@timeout_option
@ca_option
@state_option
@schemas_option
@json_option
def play(
    file: str,
    speed: float | None,
    to: str | None,
    seed: int | None,
    loops: int,
    id_: str | None,
    secret: str | None,
    headers: tuple[str, ...],
    timeout: float,
    authorities: Path | None,
    state: Path,
    schemas: Path | None,
    as_records: bool,
) -> None:
    """Play the scenario in FILE: its steps' events at their times, each once, to the endpoints that want them.

    FILE is YAML, or JSON Lines where it ends in .jsonl; or the name of one that is shipped: consent-life, refresh-day,
    bad-day, load.

    Exit codes: 0 all is as the file expects (where it expects nothing: answered 2xx), 1 something is not, 2 usage
    (nothing sent), 3 refused, 4 unknown; of many the worst, which is the highest.
    """
    from sender.aim import aims
    from sender.play import Plan
    from sender.post import Poster
    from sender.volley import Volley

    scenario = read(_file(file))
    drawn = seed if seed is not None else _seed(id_)
    plan = Plan(scenario, Contract(schemas), drawn, speed, loops, new_id(), id_)
    with closing(Ledger(state)) as ledger, Poster(timeout) as poster:
        every = aims(ledger.endpoints, to, header_pairs(headers), authorities, secret)
        total = plan.check(every)
        if not total:
            raise ScenarioError(f"{file}: no endpoint is subscribed to any of its events; see `sender endpoints list`")
        volley = Volley(ledger, poster, concurrency=scenario.concurrency)
        if not as_records:
            click.echo(_beginning(scenario, total, len(every), drawn), err=True)
        sys.exit(_play(volley, [plan.lane(aim) for aim in every], total, as_records=as_records))


def _file(name: str) -> Path:
    if Path(name).is_file():
        return Path(name)
    shipped = _shipped()
    if name not in shipped:
        raise ScenarioError(f"there is no file {name!r}, and no such scenario; {did_you_mean(name, shipped)}")
    return shipped[name]


def _seed(id_: str | None) -> int:
    """The same id plays the same again, also where no seed is given."""
    return int.from_bytes(id_.encode()) % (1 << 64) if id_ else secrets.randbits(32)


def _beginning(scenario: Scenario, total: int, lanes: int, seed: int) -> str:
    where = f" to {lanes} endpoints" if lanes > 1 else ""
    return f"{scenario.title}: {total:,} POSTs{where}; --seed {seed} draws the same again"


def _play(volley: "Volley", lanes: Any, total: int, *, as_records: bool) -> int:
    """Plays the lanes and tells of it; returns the exit code."""
    from sender.play import code_of, judged

    tally, began, missed = Tally(), time.perf_counter(), 0
    try:
        with ctrl_c_stops(volley), progress(total, as_records=as_records) as bar, closing(volley.fire(lanes)) as all_:
            for ended in all_:
                tally.add(ended.attempt, code_of(ended.shot.step, ended.attempt), before=ended.before)
                misses = judged(ended.shot.step, ended.attempt.outcome)
                missed += bool(misses)
                _tell(ended, misses, bar, as_records=as_records)
                bar.update(1)
        tally.abandon(volley.begun - tally.total)
    finally:
        seconds = time.perf_counter() - began
        if as_records:
            click.echo(as_json({**summary_record(tally, seconds), "not_as_expected": missed}))
        else:
            click.echo("\n".join(summary_lines(tally, seconds)))
            click.echo(f"{missed:,} not as expected" if missed else "all that was expected came")
    return tally.exit_code or (INTERRUPTED if tally.total < total else 0)


def _tell(ended: "Ended[Cue]", missed: Sequence[str], bar: Any, *, as_records: bool) -> None:
    step = ended.shot.step
    if as_records:
        record = {**attempt_record(ended.attempt), "already_sent": ended.before, "step": step.where, "missed": missed}
        click.echo(as_json(record))
    elif step.count <= MOST_TOLD:
        if not bar.hidden:
            click.echo("\r\x1b[K", nl=False, err=True)  # the bar's line, which is drawn again below
        click.echo("\n".join(step_lines(ended.attempt, missed, expected=step.expect is not None, before=ended.before)))
