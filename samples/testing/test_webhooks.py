"""An example to copy: real webhooks, sent over HTTP to a receiver with your handlers, in each test a new one."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from receiver.testing import WebhookReceiver
    from sender.testing import Fire
    from sender.verify.testing import ContractCase


def test_a_consent_that_changed_is_read_again(
    fire: "Fire", webhook_receiver: "WebhookReceiver", asked: list[tuple[str, str, str]]
) -> None:
    sent = fire("consent.status.updated")
    assert sent.ok
    delivery = webhook_receiver.wait_for("consent.*", where={"consentId": sent.data["consentId"]})
    assert asked == [("consent", sent.data["consentId"], delivery.id)]


def test_what_breaks_the_contract_reaches_no_handler(
    fire: "Fire", webhook_receiver: "WebhookReceiver", asked: list[tuple[str, str, str]]
) -> None:
    assert fire("transactions.fetched", consentId=5, validate=False).status == 422
    assert [violation.pointer for violation in webhook_receiver.deliveries[0].violations] == ["/data/consentId"]
    webhook_receiver.assert_none("consent.*", within=0)
    assert asked == []


def test_a_handler_that_fails_is_on_record(
    fire: "Fire", webhook_receiver: "WebhookReceiver", monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(question: str, about: str, key: str) -> None:
        raise ConnectionError("the API is down")

    monkeypatch.setattr("handlers.ask_api", down)
    webhook_receiver.expect_failure("fetch_transactions")  # or this test would fail at its end, with the traceback
    assert fire("transactions.fetched").ok  # it is stored and answered before its handlers run
    (run,) = webhook_receiver.wait_for("transactions.fetched").runs
    assert run.state == "failed"


@pytest.mark.contract_cases(events=["transactions.fetched"], only=["samples", "malformed"])  # or all, without these
def test_the_receiver_answers_as_the_contract_demands(
    webhook_receiver: "WebhookReceiver", contract_case: "ContractCase"
) -> None:
    contract_case.check(webhook_receiver.url)  # or the URL of your own receiver
