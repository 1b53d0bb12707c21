"""Secrets of endpoints, as Standard Webhooks has them."""

import base64
import os


def new_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(24)).decode()


def checked(secret: str) -> str:
    return secret
