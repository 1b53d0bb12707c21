"""The pytest plugin: `fire` sends one webhook from a test; the cases of `sender verify` as parameters.

In: what a test asks for. Out: what became of it. Every run of pytest loads it, so what it needs is imported only where
a test asks for it. It stands on the receiver's plugin, which knows the contract that holds.
"""

from typing import TYPE_CHECKING

import pytest

from receiver.pytest_plugin import contract_of

if TYPE_CHECKING:
    from receiver.contract import Contract
    from sender.testing import Fire


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "contract_cases(profile='strict', events=['*'], only=['*'], max_body=None): runs the test for each case of "
        "`sender verify`, as `contract_case`",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives each case of the contract, as the argument `contract_case`."""
    marker = metafunc.definition.get_closest_marker("contract_cases")
    if marker is None:
        return
    from sender.verify.shapes import ShapeError
    from sender.verify.testing import contract_cases

    try:
        found = list(contract_cases(contract_of(metafunc.definition), *marker.args, **marker.kwargs))
    except (ShapeError, TypeError, ValueError) as error:
        raise pytest.fail.Exception(f"contract_cases: {error}", pytrace=False) from None
    metafunc.parametrize("contract_case", found, ids=[one.case.id for one in found])


@pytest.fixture
def fire(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, webhook_contract: "Contract"
) -> "Fire":
    """Sends one real POST: `fire("transactions.fetched", consentId="...")`, to `webhook_receiver` unless `to` is given;
    returns its outcome: `ok`, `status`, `delivery`, `answer`, `state`, and the `data` that was sent."""
    from sender.testing import Fire

    return Fire(
        webhook_contract, tmp_path_factory.mktemp("fired"), lambda: str(request.getfixturevalue("webhook_receiver").url)
    )
