"""The pytest plugin: a real receiver as a fixture, and the contract's samples as parameters.

In: markers and ini options. Out: fixtures for tests. Every run of pytest loads it, so what it needs is imported only
where a test asks for it.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receiver.contract import Contract
    from receiver.delivery import Delivery
    from receiver.testing import WebhookReceiver

_ARGUMENTS = ("handlers", "schemas", "lenient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("webhook_handlers", "file or package.module:name of the handlers that webhook_receiver runs")
    parser.addini("webhook_schemas", "directory of schemas that replaces the shipped contract")
    parser.addini("webhook_lenient", "webhook_receiver answers 202 to all that was stored whole", type="bool")


def pytest_configure(config: pytest.Config) -> None:
    arguments = ", ".join(f"{name}=..." for name in _ARGUMENTS)
    config.addinivalue_line("markers", f"webhook_receiver({arguments}): how the fixture webhook_receiver is set up")
    config.addinivalue_line(
        "markers", "webhook_samples(*events): runs the test for each sample of these event types, or all, as `delivery`"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives each sample of the event types asked for, as the argument `delivery`."""
    markers = list(metafunc.definition.iter_markers("webhook_samples"))
    if markers:
        contract = contract_of(metafunc.definition)
        chosen = [event for marker in markers for event in marker.args] or contract.events
        samples = {id_: delivery for event in chosen for id_, delivery in _samples(contract, event).items()}
        metafunc.parametrize("delivery", list(samples.values()), ids=list(samples))


@pytest.fixture
def webhook_contract(request: pytest.FixtureRequest) -> "Contract":
    """The contract that holds for this test: the shipped one, or that of `webhook_schemas` or the marker."""
    return contract_of(request.node)


@pytest.fixture
def webhook_receiver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[WebhookReceiver]":
    """A real receiver on 127.0.0.1 while the test runs: `url`, `deliveries`, `wait_for`, `assert_none`, `handlers`,
    `expect_failure`. A handler that failed and was not expected to fails the test, with its traceback."""
    from receiver.contract import ContractError
    from receiver.handlers import HandlersError
    from receiver.testing import receiving

    settings = _settings(request.node)
    try:
        with receiving(tmp_path_factory.mktemp("webhooks"), **settings) as receiver:
            yield receiver
            problems = receiver.problems()
    except (ContractError, HandlersError) as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def contract_of(node: pytest.Item) -> "Contract":
    """The contract that holds for a test."""
    from receiver.contract import ContractError

    try:
        return _contract_of(_settings(node)["schemas"])
    except ContractError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _samples(contract: "Contract", event: str) -> "dict[str, Delivery]":
    from receiver.delivery import Delivery
    from receiver.terminal import did_you_mean

    if event not in contract.events:
        hint = did_you_mean(event, contract.events)
        pytest.fail(f"webhook_samples: no schema knows the event type {event!r}; {hint}", pytrace=False)
    return {f"{event}-{name}": Delivery.of(event, one["data"]) for name, one in contract.samples(event).items()}


@cache
def _contract_of(schemas: Path | None) -> "Contract":
    from receiver.contract import Contract

    return Contract(schemas)


def _settings(node: pytest.Item) -> dict[str, Any]:
    """What the ini options say, and over them the test's marker and those of what it is in."""
    settings = {name: node.config.getini(f"webhook_{name}") for name in _ARGUMENTS}
    for marker in reversed(list(node.iter_markers("webhook_receiver"))):
        if unknown := [*map(repr, marker.args), *(set(marker.kwargs) - set(_ARGUMENTS))]:
            known = ", ".join(f"{name}=" for name in _ARGUMENTS)
            pytest.fail(f"webhook_receiver: does not take {', '.join(unknown)}; known are: {known}", pytrace=False)
        settings |= marker.kwargs
    handlers, schemas = settings["handlers"], settings["schemas"]
    if isinstance(handlers, str | Path) and str(handlers).partition(":")[0].endswith(".py"):
        handlers = node.config.rootpath / handlers
    return {
        "handlers": str(handlers) if isinstance(handlers, Path) else handlers or None,
        "schemas": node.config.rootpath / schemas if schemas else None,
        "lenient": settings["lenient"],
    }
