"""An endpoint: a URL that webhooks are POSTed to, checked and written in one way, so that the ledger knows it again."""

import ipaddress
from urllib.parse import urlsplit, urlunsplit

_PORTS = {"http": 80, "https": 443}


class EndpointError(Exception):
    """A URL that no webhook can be sent to, or a header it cannot be sent with; the text says what to write."""


def normalised(url: str) -> str:
    """The URL with scheme and host in lower case, without a default port or a fragment.

    Raises:
        EndpointError: not an http or https URL, or one that holds a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise EndpointError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in _PORTS or not parts.hostname or port == 0 or not url.isprintable() or " " in url:
        raise EndpointError(f"{url!r} is not a URL to post to; write it as http://127.0.0.1:8787/webhook")
    if parts.username is not None:
        raise EndpointError("a user or password in the URL would be kept and shown; use --header 'Authorization: ...'")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port in {None, _PORTS[parts.scheme]} else f"{host}:{port}"
    return urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))


def is_local(url: str) -> bool:
    """Whether the endpoint is on this machine by its name: 127.0.0.0/8, ::1 or localhost."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
