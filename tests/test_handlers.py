"""Handlers: what a pattern matches, what is refused at registration, and how a file or module of them is loaded."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from receiver import Delivery, Handlers, HandlersError
from receiver.contract import Contract
from receiver.handlers import load


@pytest.fixture(autouse=True)
def imports_undone() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def wanting(handlers: Handlers, event: str) -> list[str]:
    return [handler.name for handler in handlers.wanting(event)]


class TestPatterns:
    def test_an_event_type_a_prefix_and_everything(self) -> None:
        handlers = Handlers()

        @handlers.on("consent.status.updated")
        def exact(delivery: Delivery) -> None: ...

        @handlers.on("consent.*")
        def prefix(delivery: Delivery) -> None: ...

        @handlers.on("*")
        def every(delivery: Delivery) -> None: ...

        assert wanting(handlers, "consent.status.updated") == ["exact", "prefix", "every"]
        assert wanting(handlers, "consent.new") == ["prefix", "every"]
        assert wanting(handlers, "consents.new") == ["every"]
        assert wanting(handlers, "consent") == ["every"]
        assert len(handlers) == 3

    def test_one_function_for_several_patterns_wants_an_event_once(self) -> None:
        handlers = Handlers()

        @handlers.on("a.b")
        @handlers.on("a.*")
        @handlers.on("c")
        def both(delivery: Delivery) -> None: ...

        assert wanting(handlers, "a.b") == ["both"]
        assert wanting(handlers, "c") == ["both"]

    @pytest.mark.parametrize("pattern", ["", "a*", "*.a", "a.*.b", "**", "a.**", "*a"])
    def test_what_is_no_pattern_is_refused(self, pattern: str) -> None:
        with pytest.raises(HandlersError, match="a pattern is"):
            Handlers().on(pattern)

    def test_two_functions_of_one_name_are_refused(self) -> None:
        handlers = Handlers()
        handlers.on("a")(_named("f"))
        with pytest.raises(HandlersError, match="f: another handler of this name"):
            handlers.on("b")(_named("f"))

    def test_an_async_function_is_refused(self) -> None:
        async def later(delivery: Delivery) -> None: ...

        with pytest.raises(HandlersError, match="later: is async"):
            Handlers().on("a")(later)

    def test_parentheses_that_were_forgotten_are_told(self) -> None:
        with pytest.raises(HandlersError, match=r'write @handlers.on\("transactions.fetched"\)'):
            Handlers().on(_named("f"))

    def test_a_function_that_takes_no_delivery_is_refused(self) -> None:
        with pytest.raises(HandlersError, match=r"<lambda>: must take one argument, the delivery"):
            Handlers().on("a")(lambda: None)

    def test_an_event_type_that_no_schema_knows_is_refused_with_the_nearest(self, contract: Contract) -> None:
        handlers = Handlers()
        handlers.on("transaction.fetched")(_named("f"))
        with pytest.raises(
            HandlersError,
            match=r"test_handlers.py, line \d+, f: .* did you mean 'transactions.fetched'",
        ):
            handlers.check(contract)

    def test_a_prefix_may_be_of_events_that_no_schema_knows_yet(self, contract: Contract) -> None:
        handlers = Handlers()
        handlers.on("analysis.*")(_named("f"))
        handlers.check(contract)


class TestLoading:
    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "mine.py").write_text(FILE)
        assert wanting(load("mine.py"), "a.b") == ["f"]

    def test_a_file_may_import_its_neighbours_and_hold_a_dataclass(self, tmp_path: Path) -> None:
        folder = tmp_path / "app"
        folder.mkdir()
        (folder / "neighbour.py").write_text("PATTERN = 'a.b'\n")
        text = (
            "from dataclasses import dataclass\nfrom neighbour import PATTERN\n@dataclass\nclass A:\n    x: int\n"
            + FILE
        )
        (folder / "mine.py").write_text(text)
        assert len(load(str(folder / "mine.py"))) == 1

    def test_a_file_shadows_no_module_whatever_its_name(self, tmp_path: Path) -> None:
        (tmp_path / "json.py").write_text(FILE)
        assert len(load("json.py")) == 1
        import json

        assert json.loads("1") == 1

    def test_a_module_and_a_name_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "package").mkdir()
        (tmp_path / "package" / "module.py").write_text(FILE.replace("handlers", "hooks"))
        assert len(load("package.module:hooks")) == 1
        (tmp_path / "other.py").write_text(FILE.replace("handlers", "hooks"))
        assert len(load("other.py:hooks")) == 1

    def test_the_samples(self, contract: Contract) -> None:
        handlers = load(str(ROOT / "samples" / "handlers.py"))
        handlers.check(contract)
        assert all(wanting(handlers, event) for event in contract.events)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("x = 1\nraise ValueError('boom')\n", "mine.py, line 2: importing it raised ValueError: boom"),
            ("x = 1\n\nx = = 2\n", "mine.py, line 3: importing it raised SyntaxError"),
            ("import sys\nsys.exit(3)\n", "mine.py, line 2: importing it raised SystemExit: 3"),
            ("import nowhere_to_be_found\n", "mine.py, line 1: importing it raised ModuleNotFoundError"),
            ("x = 1\n", "mine.py: holds no Handlers named 'handlers'"),
            ("handlers = {}\n", "mine.py: holds no Handlers named 'handlers'"),
            ("from receiver import Handlers\nHandlers().on('a**')\n", "mine.py: on('a**'): a pattern is"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_told_with_its_line(self, tmp_path: Path, text: str, reason: str) -> None:
        (tmp_path / "mine.py").write_text(text)
        with pytest.raises(HandlersError) as error:
            load("mine.py")
        assert reason in str(error.value)

    def test_a_missing_file_or_module_is_told(self) -> None:
        with pytest.raises(
            HandlersError, match=r"none\.py: no such file; HANDLERS is a Python file or package.module:name"
        ):
            load("none.py")
        Path("README.md").touch()
        for place in ("README.md", "samples/", ".webhooks", "-", ""):
            with pytest.raises(HandlersError, match="HANDLERS is a Python file or package.module:name"):
                load(place)
        with pytest.raises(HandlersError, match="ModuleNotFoundError"):
            load("nowhere.to.be:found")


FILE = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("a.b")
def f(delivery):
    pass
"""


def _named(name: str):
    def function(delivery: Delivery) -> None: ...

    function.__name__ = name
    return function


class TestDispatch:
    """What a test of handlers calls instead of a receiver."""

    @staticmethod
    def registry(called: list[Delivery]) -> Handlers:
        handlers = Handlers()

        @handlers.on("consent.*")
        def first(delivery: Delivery) -> None:
            called.append(delivery)
            delivery.data["user"]["id"] = 0

        @handlers.on("transactions.fetched")
        def other(delivery: Delivery) -> None: ...

        @handlers.on("*")
        def second(delivery: Delivery) -> None:
            called.append(delivery)

        return handlers

    def test_those_that_want_it_run_in_order_each_with_its_own_copy_of_the_data(self) -> None:
        called: list[Delivery] = []
        delivery = Delivery.of("consent.status.updated", {"user": {"id": 5}})
        assert self.registry(called).dispatch(delivery) == ["first", "second"]
        assert [one.data["user"]["id"] for one in called] == [0, 5]
        assert delivery.data["user"]["id"] == 5

    def test_where_none_wants_it_none_runs(self) -> None:
        assert Handlers().dispatch(Delivery.of("a.b", {})) == []

    def test_what_one_raises_goes_up_and_no_other_runs(self) -> None:
        called: list[Delivery] = []
        with pytest.raises(KeyError, match="user") as raised:
            self.registry(called).dispatch(Delivery.of("consent.status.updated", {}))
        assert raised.traceback[-1].name == "first"
        assert len(called) == 1

    def test_a_copy_takes_more_handlers_and_the_first_does_not(self) -> None:
        handlers = self.registry([])
        other = handlers.copy()

        @other.on("*")
        def third(delivery: Delivery) -> None: ...

        assert (len(handlers), len(other)) == (3, 4)
