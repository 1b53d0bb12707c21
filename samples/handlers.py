"""An example to copy: what an application does with EnableNow's webhooks.

    receiver run samples/handlers.py

A handler runs after the delivery is on disk, and is told of it once. If the receiver dies while a handler runs, that
run is `interrupted` and may be run again: so let `delivery.id` be the key under which you record what you did.
"""

from receiver import Delivery, Handlers

handlers = Handlers()


@handlers.on("transactions.fetched")
def fetch_transactions(delivery: Delivery) -> None:
    """The event says how many there are, not which: fetch them from the API."""
    count = int(delivery.data.get("addedTransactionsCount") or 0)  # a number or a string of digits
    print(f"          would fetch {count or 'the new'} transactions of consent {delivery.data['consentId']}")


@handlers.on("consent.*")
def refresh_consent(delivery: Delivery) -> None:
    """Both consent events: read the consent again rather than trust the order in which events arrive."""
    print(f"          would read consent {delivery.data['consentId']} again")


@handlers.on("categorizationjob.completed")
def read_categories(delivery: Delivery) -> None:
    print(f"          would read the categories of job {delivery.data['jobId']}")


@handlers.on("databridge.*")
def note_share(delivery: Delivery) -> None:
    """What `data` holds is not documented: look at it with `receiver show`."""
    print(f"          would look at the share, which says {sorted(delivery.data)}")
