"""An example to copy: what an application does with EnableNow's webhooks.

    receiver run samples/handlers.py

A handler runs after the delivery is on disk, and is told of it once. If the receiver dies while a handler runs, that
run is `interrupted` and repeated only when you ask for it (`receiver retry`): so let `delivery.id` be the key of what
you do.
"""

from receiver import Delivery, Handlers

handlers = Handlers()


def ask_api(question: str, about: str, key: str) -> None:
    """Your application's part: put a job into its queue, under a key that makes it the same job if it comes twice."""


@handlers.on("transactions.fetched")
def fetch_transactions(delivery: Delivery) -> None:
    """The event tells how many there are, if it does (a number, or a string of digits), not which: fetch them."""
    if delivery.data.get("addedTransactionsCount") not in {0, "0"}:
        ask_api("transactions", about=delivery.data["consentId"], key=delivery.id)


@handlers.on("consent.*")
def refresh_consent(delivery: Delivery) -> None:
    """Both consent events: read the consent again, rather than rely on the order in which events arrive."""
    ask_api("consent", about=delivery.data["consentId"], key=delivery.id)


@handlers.on("categorizationjob.completed")
def read_categories(delivery: Delivery) -> None:
    """A job's outcome is in the API, not in the event."""
    ask_api("categorization job", about=delivery.data["jobId"], key=delivery.id)


@handlers.on("databridge.*")
def note_share(delivery: Delivery) -> None:
    """What the data of these holds is not documented: `receiver show` tells what came."""
