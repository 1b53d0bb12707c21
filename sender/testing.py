"""Firing from a test: each call one real POST, with fields given as arguments, and what became of it.

In: an event type and what to change in its sample. Out: what was sent and its outcome. Knows nothing of pytest;
`pytest_plugin` makes a fixture of it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receiver.contract import Contract
from receiver.store import new_id, now
from receiver.terminal import did_you_mean
from sender.address import normalised
from sender.attempt import Attempt, State, is_ok
from sender.fire import fire
from sender.ledger import Ledger
from sender.payload import Data, InvalidPayload, PayloadError, bodies
from sender.post import Poster, prepare


@dataclass(frozen=True, slots=True)
class Fired:
    """One POST and how it ended. `delivery` is the receiver's id for it, `answer` the head of the answer's body,
    `reason` why there is no status."""

    event: str
    data: Data
    state: State
    status: int | None
    delivery: str | None
    answer: bytes
    reason: str | None
    milliseconds: float | None

    @property
    def ok(self) -> bool:
        """Answered 2xx."""
        return is_ok(self.status)


class Fire:
    """What the fixture `fire` is: called with an event type, it makes one POST.

    Args:
        contract: what the event types and samples are taken from.
        state: the directory of the ledger.
        receiver: gives the URL that is POSTed to where none is said.
    """

    def __init__(self, contract: Contract, state: Path, receiver: Callable[[], str]) -> None:
        self._contract = contract
        self._state = state
        self._receiver = receiver

    def __call__(
        self,
        event: str,
        /,
        *,
        to: str | None = None,
        sample: str | None = None,
        data: Mapping[str, Any] | None = None,
        validate: bool = True,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
        fault: str | None = None,
        **fields: Any,
    ) -> Fired:
        """POSTs one event, once.

        Args:
            to: a URL; by default that of `webhook_receiver`.
            sample: the name of the sample to send, with fresh UUIDs; by default its first.
            data: the whole of the data instead, as it is.
            validate: refuse what violates the schema.
            headers: on top of the sender's own, or in their place.
            timeout: seconds, for all of it.
            fault: what to do wrong on purpose, as `sender fire --fault` has it.
            fields: what to change in the data: `consentId="..."`; of an object only what is given: `user={"id": 5}`. A
                field that is called as one of these arguments is set with `data`.

        Raises:
            PayloadError: it cannot be made, so nothing was sent.
            EndpointError: the URL or a header is not what it should be.
        """
        body = self._body(event, sample, data, fields, validate=validate)
        target = prepare(normalised(to or self._receiver()), headers or {})
        with closing(Ledger(self._state)) as ledger, Poster(timeout) as poster:
            return _fired(fire(ledger, poster, target, Attempt(new_id(), target.url, event, body, now(), fault=fault)))

    def _body(
        self, event: str, sample: str | None, data: Mapping[str, Any] | None, fields: Data, *, validate: bool
    ) -> bytes:
        if sample is not None and data is not None:
            raise PayloadError("sample= and data= exclude each other")
        given = None if data is None else _written(data)
        base = json.loads(next(bodies(self._contract, event, sample=sample, data=given, validate=False)))["data"]
        known = list(self._contract.events[event].fields) if event in self._contract.events else []
        _change(base, fields, known)
        try:
            return next(bodies(self._contract, event, data=_written(base), validate=validate))
        except InvalidPayload as error:
            raise PayloadError(
                f"violates its schema, so nothing was sent; validate=False sends it:{error.lines}"
            ) from None


def _written(data: Mapping[str, Any]) -> str:
    try:
        return json.dumps(data)
    except (TypeError, ValueError) as error:
        raise PayloadError(f"the data cannot be written as JSON: {error}") from error


def _change(data: Data, fields: Mapping[str, Any], known: Iterable[str], prefix: str = "") -> None:
    """Sets fields that the schema documents or the data has; within objects only those that are given.

    Raises:
        PayloadError: there is no such field.
    """
    for name, value in fields.items():
        path = f"{prefix}{name}"
        if path not in known and name not in data:
            hint = did_you_mean(path, {*known, *(f"{prefix}{other}" for other in data)})
            raise PayloadError(f"no field {path!r} in the data; {hint} (another one is sent with data=)")
        if isinstance(value, Mapping) and value and isinstance(data.setdefault(name, {}), dict):
            _change(data[name], value, known, f"{path}.")
        else:
            data[name] = value


def _fired(attempt: Attempt) -> Fired:
    outcome = attempt.outcome
    return Fired(
        event=attempt.event,
        data=json.loads(attempt.body)["data"],
        state=outcome.state,
        status=outcome.status,
        delivery=outcome.delivery,
        answer=outcome.answer,
        reason=outcome.reason,
        milliseconds=outcome.milliseconds,
    )
