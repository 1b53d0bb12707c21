"""The pytest plugin: `fire` sends one webhook from a test.

In: what a test asks for. Out: what became of it. Every run of pytest loads it, so what it needs is imported only where
a test asks for it. Of the receiver's plugin it knows the names of two fixtures.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from receiver.contract import Contract
    from sender.testing import Fire


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
