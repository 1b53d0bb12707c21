"""Playing a scenario: its steps become events with ids and bodies, of which each aim gets those that it wants.

In: steps, a seed, aims. Out: a lane of cues for each aim, made as they are wanted; and what an outcome means for the
step. All that is drawn depends on the seed and on the place alone, so each lane makes the same events by itself, and
the same seed and id play the same again.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from receiver.contract import Contract
from sender.aim import Aim
from sender.attempt import Attempt, Outcome
from sender.payload import InvalidPayload, PayloadError, bodies
from sender.report import exit_code
from sender.scenario import Scenario, ScenarioError, Step
from sender.volley import Shot

_PLACEHOLDER = re.compile(r"\$(\$)?\{([^{}]*)\}")
_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)(?::(?:(-?\d+)\.\.(-?\d+)|([^|]+(?:\|[^|]+)+)))?")


@dataclass(frozen=True, slots=True)
class Cue(Shot):
    """A shot, and the step that it is of."""

    step: Step = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a scenario is played. `speed`: how many times as fast as written; None is as fast as can be. Without an `id`
    the ids of events are drawn from `draw`, else they are `id-1`, `id-2`, ..."""

    scenario: Scenario
    contract: Contract
    seed: int
    speed: float | None
    loops: int
    draw: str
    id: str | None = None

    def check(self, aims: list[Aim]) -> int:
        """How many attempts it comes to.

        Raises:
            ScenarioError: a step is none, or its event cannot be made; nothing was sent yet.
        """
        total = 0
        for number, step in enumerate(self.scenario.steps()):
            next(self._bodies(step, 0, number))
            total += step.count * sum(aim.wants(step.event) for aim in aims)
        return total * self.loops

    def lane(self, aim: Aim) -> Iterator[Cue]:
        """What an aim gets, in order."""
        played, at = 0, 0.0
        for loop in range(self.loops):
            for number, step in enumerate(self.scenario.steps()):
                at += step.after
                gap = 1 / step.rate if step.rate else 0.0
                if aim.wants(step.event):
                    for place, body in enumerate(islice(self._bodies(step, loop, number), step.count)):
                        attempt = self._attempt(played + place + 1, aim, step, body)
                        due = (at + place * gap) / self.speed if self.speed else 0.0
                        yield Cue(aim.target, attempt, due, step=step)
                played += step.count
                at += (step.count - 1) * gap

    def _attempt(self, number: int, aim: Aim, step: Step, body: bytes) -> Attempt:
        id_ = f"{self.id}-{number}" if self.id else _drawn(self.draw, number).hex()[:16]
        return Attempt(id_, aim.target.url, step.event, body, 0, copy=aim.copy(step.event), fault=step.fault)

    def _bodies(self, step: Step, loop: int, number: int) -> Iterator[bytes]:
        draw = f"{self.seed}/{loop}"
        try:
            if step.body is not None:
                body = str(_filled(step.body, draw)).encode()
                while True:
                    yield body
            yield from bodies(
                self.contract,
                step.event,
                sample=step.sample,
                data=None if step.data is None else json.dumps(_filled(step.data, draw)),
                sets=[f"{path}={json.dumps(_filled(value, draw))}" for path, value in (step.set or {}).items()],
                validate=step.validate,
                seed=int.from_bytes(_drawn(draw, number)),
            )
        except InvalidPayload as error:
            raise ScenarioError(
                f"{step.where}: violates its schema; `validate: false` sends it:{error.lines}"
            ) from error
        except (PayloadError, TypeError, ValueError) as error:
            raise ScenarioError(f"{step.where}: {error}") from error


def judged(step: Step, outcome: Outcome) -> list[str]:
    """What is not as the step expects; of one that expects nothing, nothing."""
    expected = step.expect
    if expected is None:
        return []
    seconds = None if outcome.milliseconds is None else outcome.milliseconds / 1000
    missed = []
    if expected.status is not None and outcome.status not in expected.status:
        listed = " or ".join(map(str, expected.status))
        missed.append(f"expected status {listed}, got {outcome.status or outcome.state}")
    if expected.within is not None and (seconds is None or seconds > expected.within):
        missed.append(f"expected within {expected.within:g} s, took {seconds or 0:.3f} s")
    if expected.verdict is not None and (verdict := _verdict(outcome)) != expected.verdict:
        missed.append(f"expected verdict {expected.verdict}, got {verdict or 'none'}")
    if expected.state is not None and outcome.state != expected.state:
        missed.append(f"expected state {expected.state}, got {outcome.state}")
    return missed


def code_of(step: Step, attempt: Attempt) -> int:
    """As `exit_code` has it; of a step that expects something 0 where that came, else not 0."""
    code = exit_code(attempt)
    if step.expect is None:
        return code
    return max(1, code) if judged(step, attempt.outcome) else 0


def _verdict(outcome: Outcome) -> str | None:
    """What a receiver of ours says of the delivery in its answer."""
    try:
        answer = json.loads(outcome.answer)
    except (ValueError, RecursionError):
        return None
    verdict = answer.get("verdict") if isinstance(answer, dict) else None
    return verdict if isinstance(verdict, str) else None


def _filled(value: Any, draw: str) -> Any:
    """A value with its placeholders filled; a text that is nothing else may become a number."""
    if isinstance(value, Mapping):
        return {key: _filled(member, draw) for key, member in value.items()}
    if isinstance(value, list):
        return [_filled(item, draw) for item in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value)
    if whole and not whole[1]:
        return _value(whole[2], draw)
    return _PLACEHOLDER.sub(lambda found: f"${{{found[2]}}}" if found[1] else str(_value(found[2], draw)), value)


def _value(placeholder: str, draw: str) -> str | int:
    """What stands for a placeholder: a UUID for `name`, an integer for `name:1..50`, one of them for `name:a|b`. The
    same name stands for the same, wherever it is in one loop."""
    found = _NAME.fullmatch(placeholder)
    if not found:
        raise ValueError(f"${{{placeholder}}}: write a placeholder as ${{name}}, ${{name:1..50}} or ${{name:a|b}}")
    drawn = _drawn(draw, found[1])
    if found[2]:
        low, high = int(found[2]), int(found[3])
        return low + int.from_bytes(drawn) % max(1, high - low + 1)
    if found[4]:
        choices = found[4].split("|")
        return choices[int.from_bytes(drawn) % len(choices)]
    return str(uuid.UUID(bytes=drawn, version=4))


def _drawn(*place: object) -> bytes:
    """16 bytes that depend on these things alone."""
    return hashlib.blake2b("/".join(map(str, place)).encode(), digest_size=16).digest()
