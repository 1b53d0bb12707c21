"""The receiving side of EnableNow's webhooks: validates, stores durably, routes to handlers.

    from receiver import Handlers, create_app

The rooms, in the order of the data: `parser` and `listener` (HTTP) · `intake` (the hook) · `delivery` (strict JSON) ·
`documents` and `contract` (schemas, verdicts; `violations` says why, `outline` and `instances` what more) ·
`upkeep` (the contract itself: checked, compared, set against what came) · `entry`, `inbox`, `runs` and `uptime` (the
durable store, on `store` and `commits`) · `match` and `watch` (waiting for some) · `handlers` (what users register) ·
`worker` (runs them), `retry` and `quarantine` (again) · `inspector` (health) · `server` (wires all together) · `report`
and `terminal` (what is told) · `settings` and `cli` (the command) · `demo` · `testing` and `pytest_plugin` (a receiver
in a test).

Names are imported on first use, so that importing this package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from receiver.delivery import Delivery
    from receiver.handlers import Handlers, HandlersError
    from receiver.server import create_app

__all__ = ["Delivery", "Handlers", "HandlersError", "create_app"]
__version__ = "0.1.0"

_HOMES = {"Delivery": "delivery", "Handlers": "handlers", "HandlersError": "handlers", "create_app": "server"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"receiver.{_HOMES[name]}"), name)
