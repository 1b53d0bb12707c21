"""The payload: an event and its data, as the exact bytes that are POSTed.

In: a contract, a sample or the user's own data, changes by path. Out: bytes, checked against the contract. Nothing is
added that the provider does not send.
"""

import copy
import json
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from receiver.contract import Contract, EventType, Judgement, Schema, Verdict
from receiver.terminal import did_you_mean

Data = dict[str, Any]


class PayloadError(Exception):
    """A payload that cannot be made: an unknown event type, sample or path, or data that is not an object."""


class InvalidPayload(PayloadError):
    """A payload that violates its schema; `violations` says where, and `lines` does in text."""

    def __init__(self, judgement: Judgement) -> None:
        self.violations = judgement.violations
        self.lines = "".join(f"\n  {one.pointer or '(body)'}  {one.message}" for one in self.violations)
        super().__init__(
            f"the payload violates its schema, so nothing was sent; --no-validate sends it all the same:{self.lines}"
        )


def bodies(
    contract: Contract,
    event: str,
    *,
    sample: str | None = None,
    data: str | bytes | None = None,
    sets: Sequence[str] = (),
    unsets: Sequence[str] = (),
    validate: bool = True,
    seed: int | None = None,
) -> Iterator[bytes]:
    """Bodies `{"event": ..., "data": ...}` without end, each of another event, with the changes asked for.

    The data is a sample's, with a fresh UUID for each of its UUIDs, or the user's own. The same seed draws the same
    UUIDs; by default they are always others.

    Raises (with the first of them):
        PayloadError: it cannot be made.
        InvalidPayload: it can, but violates the schema, and `validate` holds.
    """
    known = list(contract.events[event].fields) if event in contract.events else []
    chosen = _sampled(contract, event, sample) if data is None else _parsed(data)
    dice = random.Random(seed)  # noqa: S311 - ids of events that never were
    while True:
        changed = _changed(_refreshed(contract, event, chosen, dice) if data is None else chosen, known, sets, unsets)
        if validate:
            _check(contract, event, changed)
        yield _bytes({"event": event, "data": changed})


def _bytes(payload: Data) -> bytes:
    try:
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, RecursionError) as error:  # NaN, half a surrogate pair, nesting without end
        raise PayloadError(f"the payload cannot be written as JSON: {error}") from error


def _sampled(contract: Contract, event: str, sample: str | None) -> Data:
    """The data of an event type's sample: the one named, or `default`, or the first.

    Raises:
        PayloadError: the contract does not know the event type, or it has no such sample.
    """
    if event not in contract.events:
        raise PayloadError(f"unknown event type {event!r}; {did_you_mean(event, contract.events)}")
    samples = contract.samples(event)
    if not samples:
        raise PayloadError(f"there is no sample of {event}; give its data with --data")
    name = sample or next(iter(samples))
    if name not in samples:
        raise PayloadError(f"no sample {name!r} of {event}; {did_you_mean(name, samples)}")
    data: Data = samples[name]["data"]
    return data


def _refreshed(contract: Contract, event: str, data: Data, dice: random.Random) -> Data:
    event_type = contract.events[event]
    fresh: Data = _fresh(event_type, event_type.member(event_type.schema, "data"), data, {}, dice)
    return fresh


def _parsed(text: str | bytes) -> Data:
    """The user's own data.

    Raises:
        PayloadError: not JSON, or not an object.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"--data is not JSON: {error}") from error
    if not isinstance(data, dict) or set(data) == {"event", "data"}:
        raise PayloadError("--data must be a JSON object: what stands under `data`, without `event`")
    return data


def _changed(data: Data, known: Sequence[str], sets: Sequence[str], unsets: Sequence[str]) -> Data:
    """A copy of the data with fields set (`path=value`, `+path=value` for a new one) and unset (`path`); paths are
    dotted.

    A value is JSON where it parses as JSON, else a string. `known` are the paths that the schema documents.

    Raises:
        PayloadError: a path that leads nowhere; the text names the nearest field, or all that are known.
    """
    if both := set(unsets) & {change.partition("=")[0].removeprefix("+") for change in sets}:
        raise PayloadError(f"{', '.join(sorted(both))}: is both set and unset")
    data = copy.deepcopy(data)
    for change in sets:
        path, equals, value = change.partition("=")
        if not equals:
            raise PayloadError(f"--set {change}: write it as path=value")
        new = path.startswith("+")
        _set(data, path.removeprefix("+"), _value(value), known, new=new)
    for path in unsets:
        with _leading_somewhere(path, data, known):
            container, key = _place(data, path)
            del container[key]
    return data


def _check(contract: Contract, event: str, data: Data) -> None:
    """Refuses what a receiver with this contract would refuse.

    Raises:
        InvalidPayload: with every violation.
        PayloadError: the contract does not know the event type.
    """
    judgement = contract.judge({"event": event, "data": data})
    if judgement.verdict is Verdict.UNKNOWN_EVENT:
        raise PayloadError(f"unknown event type {event!r}; {did_you_mean(event, contract.events)}")
    if judgement.verdict is not Verdict.VALID:
        raise InvalidPayload(judgement)


def _set(data: Data, path: str, value: object, known: Sequence[str], *, new: bool) -> None:
    with _leading_somewhere(path, data, known):
        container, key = _place(data, path, make=new or path in known)
        if not new and path not in known:
            container[key]  # a LookupError where there is nothing to set
        container[key] = value


def _place(data: Data, path: str, *, make: bool = False) -> tuple[Any, Any]:
    """The container and the key that a dotted path leads to; with `make`, objects on the way are made."""
    *way, last = path.split(".")
    container: Any = data
    for step in way:
        if make and isinstance(container, dict):
            container.setdefault(step, {})
        container = container[_key(container, step)]
    return container, _key(container, last)


def _key(container: object, step: str) -> str | int:
    if isinstance(container, list):
        return int(step)
    if isinstance(container, dict):
        return step
    raise LookupError(step)


@contextmanager
def _leading_somewhere(path: str, data: Data, known: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (LookupError, ValueError):
        hint = did_you_mean(path, {*known, *_paths(data)})
        raise PayloadError(f"no field {path!r} in the data; {hint} (a new field needs --set +{path}=...)") from None


def _paths(value: object, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            yield prefix + key
            yield from _paths(member, f"{prefix}{key}.")


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
    except RecursionError as error:
        raise PayloadError("--set: a value is nested too deep") from error


def _fresh(event_type: EventType, schema: Schema, value: Any, fresh: dict[str, str], dice: random.Random) -> Any:
    """A copy in which each UUID, where the schema says uuid, is a new one; equal ones stay equal."""
    if isinstance(value, dict):
        return {
            key: _fresh(event_type, event_type.member(schema, key), member, fresh, dice)
            for key, member in value.items()
        }
    if isinstance(value, list):
        items = event_type.resolve(schema.get("items"))
        return [_fresh(event_type, items, item, fresh, dice) for item in value]
    if isinstance(value, str) and schema.get("format") == "uuid":
        return fresh.setdefault(value, str(uuid.UUID(int=dice.getrandbits(128), version=4)))
    return value
