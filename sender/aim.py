"""Where events go: to the endpoints that are subscribed, to a URL that is named, or to a local receiver.

In: endpoints, or a URL. Out: aims, of which each is a lane of a volley.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from receiver.settings import HOOK
from receiver.terminal import warn
from sender.address import EndpointError, is_local, normalised
from sender.endpoints import Endpoint, Endpoints
from sender.post import Target, prepare


@dataclass(frozen=True, slots=True)
class Aim:
    """A target, and the endpoint whose it is; without one it wants every event. `twins` are earlier endpoints with the
    same URL."""

    target: Target
    endpoint: Endpoint | None = None
    twins: tuple[Endpoint, ...] = ()

    def wants(self, event: str) -> bool:
        """Whether an event goes there."""
        return self.endpoint is None or self.endpoint.wants(event)

    def copy(self, event: str) -> int:
        """Which copy of an event goes there: 0, unless another endpoint with the same URL gets it too."""
        return sum(twin.wants(event) for twin in self.twins)


def aims(
    endpoints: Endpoints,
    to: str | None,
    headers: Mapping[str, str],
    authorities: Path | None = None,
    secret: str | None = None,
) -> list[Aim]:
    """The URL that is named; or each enabled endpoint; or, where there is no endpoint at all, a local receiver.

    `headers` come on top of the endpoint's own; `secret` signs what goes to a URL that
    is none's. Who sends to another machine is warned.

    Raises:
        EndpointError: a URL, a header or the file of authorities is not what it should be.
    """
    every = [] if to else endpoints.all()
    if not every:
        return [Aim(_target(normalised(to or HOOK), headers, authorities, secret))]
    enabled = [endpoint for endpoint in every if endpoint.enabled]
    return [aim_at(endpoint, headers, authorities, enabled[:place]) for place, endpoint in enumerate(enabled)]


def aim_at(
    endpoint: Endpoint, headers: Mapping[str, str], authorities: Path | None, earlier: Sequence[Endpoint] = ()
) -> Aim:
    """The aim at an endpoint; of the `earlier` ones those with its URL are its twins.

    Raises:
        EndpointError: as of `aims`.
    """
    target = _target(endpoint.url, {**endpoint.headers, **headers}, authorities, endpoint.secret)
    return Aim(target, endpoint, tuple(twin for twin in earlier if twin.url == endpoint.url))


def aims_of(event: str, endpoints: Endpoints, all_: Sequence[Aim]) -> list[Aim]:
    """Those of the aims that an event goes to.

    Raises:
        EndpointError: there is none; the text says how to subscribe.
    """
    wanting = [aim for aim in all_ if aim.wants(event)]
    if not wanting:
        raise EndpointError(f"no endpoint is subscribed to {event}, so nothing was sent; {_remedy(event, endpoints)}")
    return wanting


def _remedy(event: str, endpoints: Endpoints) -> str:
    every = endpoints.all()
    disabled = next((one for one in every if one.wants(event)), None)
    if disabled:
        return f"{disabled.label} is, and disabled: `sender endpoints enable {disabled.label}`"
    events = " ".join(f"--event {one}" for one in (*every[0].events, event))
    return f"`sender endpoints edit {every[0].label} {events}` subscribes one"


def _target(url: str, headers: Mapping[str, str], authorities: Path | None, secret: str | None) -> Target:
    if not is_local(url):
        warn(f"{url} is not on this machine; a payload may hold customers' data")
    return prepare(url, headers, authorities, secret)
