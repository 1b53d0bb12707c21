"""The "Webhooks" tab, for whoever shows it: what the API and the portal do alike with endpoints, events and scenarios.

In: what a client or a user asks for. Out: endpoints changed; events fired, and scenarios planned, at the endpoints that
are subscribed or at a URL that is named, never at a URL that nobody named. Knows nothing of HTTP.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from receiver.contract import Contract
from receiver.store import new_id
from sender.address import normalised
from sender.aim import Aim, aim_at, aims
from sender.attempt import Attempt
from sender.endpoints import Endpoint, checked_events
from sender.ledger import Ledger
from sender.play import Plan
from sender.post import Poster, prepare
from sender.scenario import Scenario
from sender.signature import checked, new_secret
from sender.volley import Ended, Shot, Volley

AUTO = "auto"
"""The secret that stands for a new one."""


class CannotBeMet(Exception):
    """What cannot be met; the text says why."""


class NoSuchEndpoint(CannotBeMet):
    """No endpoint has that id."""


class Nobody(CannotBeMet):
    """No endpoint would get it, so nothing was sent."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What it is done with; `authorities` is a file of certificates to trust instead of the public ones."""

    contract: Contract
    ledger: Ledger
    poster: Poster
    authorities: Path | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A scenario that can be played: the plan, where it goes, how many POSTs it comes to."""

    plan: Plan
    aims: list[Aim]
    total: int


def changed(contract: Contract, endpoint: Endpoint, asked: Mapping[str, Any]) -> Endpoint:
    """The endpoint with what is asked for in the place of what was.

    Raises:
        EndpointError: it could not be sent to.
    """
    changes: dict[str, Any] = {name: asked[name] for name in ("name", "headers", "enabled") if name in asked}
    if "url" in asked:
        changes["url"] = normalised(asked["url"])
    if "events" in asked:
        changes["events"] = checked_events(contract, asked["events"])
    if "secret" in asked:
        changes["secret"] = _secret(asked["secret"])
    made = replace(endpoint, **changes)
    prepare(made.url, made.headers, secret=made.secret)  # so that what cannot be sent is told now
    return made


def found(rooms: Rooms, id_: str) -> Endpoint:
    """The endpoint with that id.

    Raises:
        NoSuchEndpoint: there is none.
    """
    for endpoint in rooms.ledger.endpoints.all():
        if endpoint.id == id_:
            return endpoint
    raise NoSuchEndpoint(f"no endpoint {id_!r}")


def fire(
    rooms: Rooms, event: str, body: bytes, *, id_: str | None = None, to: str | None = None, fault: str | None = None
) -> list[Ended[Any]]:
    """Fires an event at those that are subscribed, or at a URL; returns what became of each.

    Raises:
        Nobody: there is no endpoint, or none is subscribed.
        EndpointError, StoreError: nothing was sent.
    """
    chosen = [aim for aim in _aims(rooms, to) if aim.wants(event)]
    if not chosen:
        raise Nobody(f"no endpoint is subscribed to {event}")
    return _fired(rooms, chosen, Attempt(id_ or new_id(), "", event, body, 0, fault=fault))


def fire_at(rooms: Rooms, endpoint: Endpoint, event: str, body: bytes, id_: str) -> Ended[Any]:
    """Fires an event at one endpoint alone, whether it is enabled or not.

    Raises:
        EndpointError, StoreError: nothing was sent.
    """
    (ended,) = _fired(rooms, [aim_at(endpoint, {}, rooms.authorities)], Attempt(id_, "", event, body, 0))
    return ended


def planned(
    rooms: Rooms,
    scenario: Scenario,
    *,
    to: str | None = None,
    seed: int | None = None,
    speed: float | None = None,
    loops: int = 1,
    id_: str | None = None,
) -> Planned:
    """A scenario, and where it would go.

    Raises:
        Nobody: there is no endpoint, or none is subscribed to any of its events.
        EndpointError, ScenarioError: it cannot be played.
    """
    drawn = secrets.randbits(32) if seed is None else seed
    plan = Plan(scenario, rooms.contract, drawn, speed, loops, new_id(), id_)
    every = _aims(rooms, to)
    total = plan.check(every)
    if not total:
        raise Nobody("no endpoint is subscribed to any of its events")
    return Planned(plan, every, total)


def _aims(rooms: Rooms, to: str | None) -> list[Aim]:
    """Where events go; without a URL to the endpoints only, and not, as on the command line, to a local receiver."""
    if to is None and not rooms.ledger.endpoints.all():
        raise Nobody("there is no endpoint")
    named = None if to is None else normalised(to)  # an empty one names none, and must not stand for the endpoints
    return aims(rooms.ledger.endpoints, named, {}, rooms.authorities)


def _fired(rooms: Rooms, chosen: Sequence[Aim], attempt: Attempt) -> list[Ended[Any]]:
    lanes = [[Shot(aim.target, replace(attempt, copy=aim.copy(attempt.event)))] for aim in chosen]
    return list(Volley(rooms.ledger, rooms.poster).fire(lanes))


def _secret(asked: str | None) -> str | None:
    if asked is None:
        return None
    return new_secret() if asked == AUTO else checked(asked)
