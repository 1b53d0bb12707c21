"""What came, as a scenario that can be played: the same events with the same gaps in time, and no real value.

In: captured deliveries, oldest first. Out: steps, as `sender play` reads them from JSON Lines; each id is a
placeholder, the same one wherever that id was. What is not valid cannot be cleared of real values, and is left out.
Pure.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from receiver.contract import Contract, Verdict
from receiver.entry import Captured
from receiver.upkeep.sanitise import SanitiseError, Sanitiser


def steps(contract: Contract, all_: Iterable[Captured], left_out: list[str]) -> Iterator[dict[str, Any]]:
    """A step for each delivery that a sample can be made of; the ids of the others go to `left_out`."""
    ids: dict[str, str] = {}
    sanitisers = {event: Sanitiser(contract, event, ids) for event in contract.events}
    before = None
    for captured in all_:
        try:
            data = _data(sanitisers, captured)
        except SanitiseError:
            left_out.append(captured.id)
            continue
        gap = 0 if before is None else max(0, captured.received_at - before)
        before = captured.received_at
        names = {neutral: f"${{id-{number}}}" for number, neutral in enumerate(ids.values(), start=1)}
        yield {
            **({"after": round(gap / 1e6, 3)} if gap else {}),
            "event": data["event"],
            "data": _named(data["data"], names),
            "expect": {"verdict": str(Verdict.VALID)},
        }


def _data(sanitisers: dict[str, Sanitiser], captured: Captured) -> dict[str, Any]:
    payload = captured.payload if captured.verdict is Verdict.VALID else None
    event = payload.get("event") if isinstance(payload, dict) else None
    if event not in sanitisers:
        raise SanitiseError("is not valid")
    return sanitisers[event].sample(payload)[0]


def _named(value: Any, names: dict[str, str]) -> Any:
    """A value in which each id that stands for another is a placeholder; a text that looks like one is escaped."""
    if isinstance(value, dict):
        return {key: _named(member, names) for key, member in value.items()}
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if isinstance(value, str):
        return names.get(value.lower()) or value.replace("${", "$${")
    return value
