"""What users register: functions, each for an event type, a prefix of some, or all. And how the file that holds them is
loaded.

In: the user's functions. Out: for an event's name, the handlers that want it. Knows nothing of storage or HTTP.
"""

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from receiver.contract import Contract
from receiver.delivery import Delivery
from receiver.match import PATTERN_FORMS, fits, is_pattern
from receiver.terminal import did_you_mean, shorten

NAME = "handlers"
"""What the `Handlers` of a file are called where nothing else is said."""

_FILE_MODULE = "user_handlers"  # not the file's own name, which may be that of an installed module
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

Function = TypeVar("Function", bound=Callable[[Delivery], Any])


class HandlersError(Exception):
    """Handlers that cannot be registered or loaded; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A function, known by its name, and the patterns of the events it wants."""

    name: str
    patterns: tuple[str, ...]
    function: Callable[[Delivery], Any]

    @property
    def place(self) -> str:
        """Where it is written: `app/webhooks.py, line 12, notify`."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return f"{shorten(Path(code.co_filename))}, line {code.co_firstlineno}, {self.name}" if code else self.name

    def wants(self, event: str) -> bool:
        return any(fits(event, pattern) for pattern in self.patterns)


class Handlers:
    """A registry of handlers, in the order of their registration.

    >>> handlers = Handlers()
    >>> @handlers.on("transactions.fetched")
    ... def fetch(delivery): ...
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def __len__(self) -> int:
        return len(self._handlers)

    def on(self, pattern: str) -> Callable[[Function], Function]:
        """Registers the decorated function for an event type (`consent.status.updated`), all whose names begin alike
        (`consent.*`), or every one (`*`, also those that no schema knows).

        The function takes the `Delivery`; what it returns is ignored; if it raises, that is recorded and stops no
        other. Its name is its key in the inbox, so it has to be the only one of that name; it may be registered for
        several patterns.

        Raises:
            HandlersError: the name is taken, the pattern has a `*` elsewhere than at its end, or the function is
            `async`.
        """
        if callable(pattern):
            raise HandlersError('@handlers.on stands without an event; write @handlers.on("transactions.fetched")')
        if not is_pattern(pattern):
            raise HandlersError(f"on({pattern!r}): {PATTERN_FORMS}")

        def register(function: Function) -> Function:
            name = function.__name__
            if inspect.iscoroutinefunction(function):
                raise HandlersError(f"{name}: is async; make it a plain function (it may call asyncio.run)")
            if not _takes_one(function):
                raise HandlersError(f"{name}: must take one argument, the delivery: def {name}(delivery)")
            known = self._handlers.get(name, Handler(name, (), function))
            if known.function is not function:
                raise HandlersError(
                    f"{name}: another handler of this name is registered already; rename one of the two"
                )
            more = replace(known, patterns=(*known.patterns, pattern))
            self._handlers = {**self._handlers, name: more}  # another one: a receiver may be going through them
            return function

        return register

    def wanting(self, event: str) -> list[Handler]:
        """The handlers that want an event, in the order of their registration."""
        return [handler for handler in self._handlers.values() if handler.wants(event)]

    def dispatch(self, delivery: Delivery) -> list[str]:
        """Runs the handlers that want a delivery, in their order and in this thread, for a test of them; returns their
        names. Each gets its own copy of the data, as from a receiver. What one raises goes up, and no other runs.
        """
        handlers = self.wanting(delivery.event)
        for handler in handlers:
            handler.function(replace(delivery, data=deepcopy(delivery.data)))
        return [handler.name for handler in handlers]

    def copy(self) -> "Handlers":
        """Another registry of the same handlers; what is registered there is not registered here."""
        other = Handlers()
        other._handlers = self._handlers
        return other

    def names(self) -> list[str]:
        return list(self._handlers)

    def named(self, name: str) -> Handler:
        return self._handlers[name]

    def check(self, contract: Contract) -> None:
        """Refuses a handler that could never run: its event type is one that no schema knows.

        Raises:
            HandlersError: with the nearest name that is known.
        """
        for handler in self._handlers.values():
            for pattern in handler.patterns:
                if "*" not in pattern and pattern not in contract.events:
                    hint = did_you_mean(pattern, contract.events)
                    raise HandlersError(f"{handler.place}: no schema knows the event type {pattern!r}; {hint}")


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    return True


def load(place: str) -> Handlers:
    """The `Handlers` of a file (`samples/handlers.py`), or of a module (`package.module`, `package.module:name`).

    The file's directory, or the current one for a module, is put last on the path of imports, so that its neighbours
    can be imported and shadow nothing.

    Raises:
        HandlersError: there is no such file or module, importing it fails, or it holds no `Handlers` of that name.
    """
    path, _, name = place.partition(":")
    if not path.endswith(".py") and (not _MODULE.fullmatch(path) or Path(path).is_file()):
        raise HandlersError(f"{place}: HANDLERS is a Python file or package.module:name")
    module = _import_file(Path(path)) if path.endswith(".py") else _import_module(path)
    found = getattr(module, name or NAME, None)
    if not isinstance(found, Handlers):
        raise HandlersError(
            f"{path}: holds no Handlers named {name or NAME!r}; "
            f"write `{NAME} = Handlers()` there, or name another as {path}:name"
        )
    return found


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise HandlersError(f"{path}: no such file; HANDLERS is a Python file or package.module:name")
    sys.path.append(str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(_FILE_MODULE, path)
    if spec is None or spec.loader is None:  # a .py file always has both; the types do not know
        raise HandlersError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    loader = spec.loader
    _importing(str(path), lambda: loader.exec_module(module))
    return module


def _import_module(name: str) -> ModuleType:
    sys.path.append(str(Path.cwd()))
    found: list[ModuleType] = []
    _importing(name, lambda: found.append(importlib.import_module(name)))
    return found[0]


def _importing(place: str, run: Callable[[], None]) -> None:
    try:
        run()
    except HandlersError as error:
        raise HandlersError(f"{place}: {error}") from error
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        where = f"{place}, line {line}" if (line := _line_of(error, place)) else place
        raise HandlersError(f"{where}: importing it raised {type(error).__name__}: {error}") from error


def _line_of(error: BaseException, place: str) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == Path(place).absolute()
    ]
    return frames[-1].lineno if frames else None
