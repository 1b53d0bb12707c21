"""An endpoint's URL: written in one way, and refused where no webhook can go."""

import pytest

from sender.address import EndpointError, is_local, normalised


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8787/webhook", "http://127.0.0.1:8787/webhook"),
        ("HTTP://Example.COM:80", "http://example.com/"),
        ("https://example.com:443/a?b=C#d", "https://example.com/a?b=C"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://[::1]:8787/x", "http://[::1]:8787/x"),
    ],
)
def test_is_written_in_one_way(url: str, expected: str) -> None:
    assert normalised(url) == expected
    assert normalised(expected) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8787",
        "/webhook",
        "ftp://x/",
        "http://",
        "http://x:99999/",
        "http://[x/",
        "http://x:0/",
        "http://x/a b",
        "http://x/\n",
    ],
)
def test_what_is_no_url_to_post_to_is_told(url: str) -> None:
    with pytest.raises(EndpointError, match="is not a URL"):
        normalised(url)


def test_a_password_in_the_url_is_refused() -> None:
    with pytest.raises(EndpointError, match="--header") as error:
        normalised("http://user:secret@example.com/")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1/", True),
        ("http://127.8.8.8/", True),
        ("http://[::1]/", True),
        ("http://localhost/", True),
        ("http://example.com/", False),
        ("http://192.168.0.1/", False),
        ("http://127.0.0.1.example.com/", False),
    ],
)
def test_whether_it_is_on_this_machine(url: str, local: bool) -> None:
    assert is_local(url) is local
