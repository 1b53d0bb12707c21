"""An example to copy: handlers called with deliveries, without a receiver.

pytest samples/testing
"""

import pytest
from handlers import handlers

from receiver import Delivery

CONSENT = "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"


@pytest.mark.webhook_samples  # every sample of the contract; webhook_samples("transactions.fetched") for those of some
def test_every_sample_has_a_handler_that_takes_it(delivery: Delivery) -> None:
    assert handlers.dispatch(delivery)


def test_new_transactions_are_fetched_under_the_key_of_the_delivery(asked: list[tuple[str, str, str]]) -> None:
    delivery = Delivery.of("transactions.fetched", {"consentId": CONSENT, "addedTransactionsCount": 3})
    assert handlers.dispatch(delivery) == ["fetch_transactions"]
    assert asked == [("transactions", CONSENT, delivery.id)]


def test_where_none_were_added_none_are_fetched(asked: list[tuple[str, str, str]]) -> None:
    handlers.dispatch(Delivery.of("transactions.fetched", {"consentId": CONSENT, "addedTransactionsCount": "0"}))
    assert asked == []
