"""Signatures as Standard Webhooks has them: whether who sent a body knows a secret.

In: secrets, a body, the headers it came with. Out: what is wrong with its signature, or nothing. The provider documents
no signature; this is for senders that sign, as `sender` does for an endpoint that has a secret.
"""

import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standardwebhooks import Webhook

Flaw = Callable[[bytes, Mapping[str, str]], str | None]
"""What is wrong with the signature of a body, or None."""


class SignatureError(Exception):
    """A secret that is none; the text says how one is written, and nothing of it."""


def checking(secrets: Sequence[str]) -> Flaw:
    """A check of bodies by any of the secrets (two, while one replaces the other); without one everything is trusted.

    Raises:
        SignatureError: a secret is not base64, with or without `whsec_` before it.
    """
    webhooks = [_webhook(secret) for secret in secrets]

    def flaw(body: bytes, headers: Mapping[str, str]) -> str | None:
        flaws = [_flaw(webhook, body, headers) for webhook in webhooks]
        return None if None in flaws or not flaws else flaws[-1]

    return flaw


def _webhook(secret: str) -> "Webhook":
    from standardwebhooks import Webhook
    from standardwebhooks.webhooks import EmptyWebhookSecretError

    try:
        return Webhook(secret)
    except (ValueError, EmptyWebhookSecretError) as error:  # binascii.Error is a ValueError
        raise SignatureError("a secret is base64, as in whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") from error


def _flaw(webhook: "Webhook", body: bytes, headers: Mapping[str, str]) -> str | None:
    from standardwebhooks.webhooks import WebhookVerificationError

    try:
        webhook.verify(body, dict(headers), json_parse=False)
    except WebhookVerificationError as error:
        return str(error).lower()
    except (ValueError, OverflowError, binascii.Error):  # the library lets these through: UnicodeDecodeError is one
        return "malformed signature headers, or a body that is not UTF-8"
    return None
