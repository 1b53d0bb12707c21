"""Signing for endpoints that have a secret: the headers of Standard Webhooks (https://www.standardwebhooks.com).

In: a target, an attempt. Out: the target with the headers that sign this attempt's body. The provider documents no
signature, so without a secret nothing is added.
"""

import base64
import binascii
import os
from dataclasses import replace
from datetime import UTC, datetime

from sender.address import EndpointError
from sender.attempt import Attempt
from sender.post import Target

_LENGTHS = range(24, 65)  # bytes, by the specification


def new_secret() -> str:
    """A secret that nobody has."""
    return f"whsec_{base64.b64encode(os.urandom(24)).decode()}"


def checked(secret: str) -> str:
    """A secret that signs.

    Raises:
        EndpointError: it is none; nothing of it is in the text.
    """
    try:
        length = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except (ValueError, binascii.Error):
        length = 0
    if length not in _LENGTHS:
        raise EndpointError("a secret is base64 of 24 to 64 bytes after `whsec_`; `auto` makes one")
    return secret


def signed(target: Target, attempt: Attempt) -> Target:
    """The target with the headers that sign an attempt; as it is, where it has no secret."""
    if target.secret is None:
        return target
    from standardwebhooks import Webhook

    at = datetime.now(UTC).replace(microsecond=0)
    headers = {
        "webhook-id": attempt.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(target.secret).sign(attempt.id, at, attempt.body.decode()),
    }
    return replace(target, headers={**target.headers, **headers})
