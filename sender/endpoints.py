"""The endpoints of the "Webhooks" tab: URLs, and which events trigger a POST to each.

In: what a user asks for. Out: endpoints, oldest first, kept in the ledger's file. Times are whole microseconds since
1970, UTC.
"""

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from receiver.contract import Contract
from receiver.store import Store, new_id, now
from receiver.terminal import did_you_mean
from sender.address import EndpointError, normalised


class EndpointConflict(EndpointError):
    """What is asked for does not go with the endpoints that there are now."""


class EndpointTwin(EndpointConflict):
    """Another endpoint, `twin`, gets one of its events at its URL already."""

    def __init__(self, url: str, twin: "Endpoint") -> None:
        super().__init__(
            f"{url} is an endpoint for {_listed(twin.events)} already ({twin.label}); "
            'choose other events, or have them sent there twice with --force (in the API: "force": true)'
        )
        self.twin = twin


EVERY = "*"
"""Among an endpoint's events: all of them, also those that are yet to come."""

TABLES = (
    """
CREATE TABLE endpoint (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT UNIQUE,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    secret TEXT,
    headers TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT
""",
)
_ADD = """
INSERT INTO endpoint (name, url, events, secret, headers, enabled, created_at, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_CHANGE = """
UPDATE endpoint SET name = ?, url = ?, events = ?, secret = ?, headers = ?, enabled = ?, created_at = ? WHERE id = ?
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where webhooks go, and which. `url` is normalised; `events` are event types, or `*`; without a `secret` nothing
    is signed; `headers` come on top of the sender's own."""

    url: str
    events: tuple[str, ...]
    name: str | None = None
    secret: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    created_at: int = field(default_factory=now)
    id: str = field(default_factory=new_id)

    @property
    def label(self) -> str:
        """What it is called on the command line: its name, else the beginning of its id."""
        return self.name or self.id[:8]

    def wants(self, event: str) -> bool:
        """Whether it is subscribed to an event."""
        return EVERY in self.events or event in self.events

    def shares(self, other: "Endpoint") -> bool:
        """Whether some event would go to this URL twice, for both."""
        both = EVERY in self.events or EVERY in other.events or bool(set(self.events) & set(other.events))
        return both and self.url == other.url and self.id != other.id


def checked_events(contract: Contract, events: Iterable[str]) -> tuple[str, ...]:
    """The events of an endpoint, each once, in their order.

    Raises:
        EndpointError: the contract does not know one, or there is none.
    """
    chosen = tuple(dict.fromkeys(events))
    if not chosen:
        raise EndpointError("which events? choose some, or every one")
    for event in chosen:
        if event != EVERY and event not in contract.events:
            raise EndpointError(f"no such event type {event!r}; {did_you_mean(event, contract.events)}")
    return (EVERY,) if EVERY in chosen else chosen


class Endpoints:
    """The endpoints that a ledger holds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changing = threading.Lock()  # what is looked at before a change holds until it is made

    def all(self) -> list[Endpoint]:
        """Every endpoint, oldest first."""
        return [_endpoint(row) for row in self._store.read("SELECT * FROM endpoint ORDER BY number")]

    def subscribed(self, event: str) -> list[Endpoint]:
        """Those that are enabled and want an event."""
        return [endpoint for endpoint in self.all() if endpoint.enabled and endpoint.wants(event)]

    def find(self, reference: str) -> Endpoint:
        """The endpoint with that name, URL or id, which may be shortened.

        Raises:
            EndpointError: there is none, or there are several.
        """
        every = self.all()
        found = [one for one in every if reference in {one.id, one.name}]
        found = found or [one for one in every if one.url == _as_url(reference)]
        found = found or [one for one in every if one.id.startswith(reference)]
        if not every:
            raise EndpointError("there is no endpoint yet: `sender endpoints add URL` makes one")
        if not found:
            hint = did_you_mean(reference, [one.name or one.url for one in every])
            raise EndpointError(f"no endpoint {reference!r}; {hint}")
        if len(found) > 1:
            raise EndpointError(f"{reference!r} fits {len(found)} endpoints: give an id of `sender endpoints list`")
        return found[0]

    def add(self, endpoint: Endpoint, *, force: bool = False) -> None:
        """Adds an endpoint.

        Raises:
            EndpointConflict: its name is taken; or, unless forced, its URL for one of its events.
        """
        with self._changing:
            self._put(_ADD, endpoint, force=force)

    def change(self, id_: str, changed: Callable[[Endpoint], Endpoint], *, force: bool = False) -> Endpoint:
        """Puts in the place of the endpoint with that id what `changed` makes of it as it is now; returns that.

        Raises:
            EndpointConflict: as of `add`; or it was removed meanwhile.
        """
        with self._changing:
            before = next((one for one in self.all() if one.id == id_), None)
            made = before and changed(before)
            if made is None or not self._put(_CHANGE, made, force=force):
                raise EndpointConflict(f"endpoint {id_} was removed meanwhile")
            return made

    def remove(self, endpoint: Endpoint) -> None:
        """Removes it; what was sent to its URL stays known, and is not sent there again."""
        self._store.write(("DELETE FROM endpoint WHERE id = ?", (endpoint.id,)))

    def _put(self, statement: str, endpoint: Endpoint, *, force: bool) -> bool:
        others = [one for one in self.all() if one.id != endpoint.id]
        if endpoint.name and endpoint.name in {one.name for one in others}:
            raise EndpointConflict(f"there is an endpoint called {endpoint.name!r} already; choose another name")
        if not force and (twin := next(filter(endpoint.shares, others), None)):
            raise EndpointTwin(endpoint.url, twin)
        (changed,) = self._store.write((statement, _values(endpoint)))
        return changed == 1


def _as_url(reference: str) -> str | None:
    try:
        return normalised(reference)
    except EndpointError:
        return None


def _listed(events: Iterable[str]) -> str:
    return "every event" if EVERY in events else ", ".join(events)


def _values(endpoint: Endpoint) -> tuple[str | int | None, ...]:
    return (
        endpoint.name,
        endpoint.url,
        json.dumps(endpoint.events),
        endpoint.secret,
        json.dumps(dict(endpoint.headers)),
        endpoint.enabled,
        endpoint.created_at,
        endpoint.id,
    )


def _endpoint(row: sqlite3.Row) -> Endpoint:
    return Endpoint(
        url=row["url"],
        events=tuple(json.loads(row["events"])),
        name=row["name"],
        secret=row["secret"],
        headers=json.loads(row["headers"]),
        enabled=bool(row["enabled"]),
        created_at=row["created_at"],
        id=row["id"],
    )
