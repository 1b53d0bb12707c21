"""The "Webhooks" tab's data: endpoints, found again by name, URL or id, and never the same one twice by mistake."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sender.address import EndpointError
from sender.endpoints import EVERY, Endpoint, Endpoints
from sender.ledger import Ledger

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
URL = "http://127.0.0.1:9000/hook"


@pytest.fixture
def endpoints() -> Iterator[Endpoints]:
    with closing(Ledger(Path("state"))) as ledger:
        yield ledger.endpoints


def test_an_endpoint_is_kept_whole(endpoints: Endpoints) -> None:
    one = Endpoint(URL, (FETCHED, STATUS), "shop", "whsec_x", {"X-Key": "1"}, enabled=False)
    endpoints.add(one)
    with closing(Ledger(Path("state"))) as again:
        assert again.endpoints.all() == [one]
    assert "whsec_x" not in repr(one)


def test_those_that_are_enabled_get_the_events_that_they_chose(endpoints: Endpoints) -> None:
    a, b, c = Endpoint("http://a/", (FETCHED,)), Endpoint("http://b/", (EVERY,)), Endpoint("http://c/", (STATUS,))
    for one in (a, b, c):
        endpoints.add(one)
    assert endpoints.subscribed(FETCHED) == [a, b]
    assert endpoints.subscribed("of.tomorrow") == [b]
    endpoints.change(b.id, lambda one: replace(one, enabled=False))
    assert endpoints.subscribed(FETCHED) == [a]
    endpoints.remove(a)
    assert endpoints.subscribed(FETCHED) == []


class TestFinding:
    def test_is_by_name_url_or_a_shortened_id(self, endpoints: Endpoints) -> None:
        one = Endpoint(URL, (EVERY,), "shop")
        endpoints.add(one)
        for reference in ("shop", URL, "HTTP://127.0.0.1:9000/hook#part", one.id, one.id[:6]):
            assert endpoints.find(reference) == one

    def test_a_name_that_is_another_ones_url_or_the_beginning_of_an_id_goes_first(self, endpoints: Endpoints) -> None:
        a = Endpoint("http://a/", (EVERY,))
        b = Endpoint("http://b/", (EVERY,), name=a.id[:4])
        endpoints.add(a)
        endpoints.add(b)
        assert endpoints.find(a.id[:4]) == b

    def test_tells_what_there_is(self, endpoints: Endpoints) -> None:
        with pytest.raises(EndpointError, match="no endpoint yet: `sender endpoints add URL`"):
            endpoints.find("shop")
        endpoints.add(Endpoint(URL, (FETCHED,), "shop"))
        with pytest.raises(EndpointError, match="did you mean 'shop'"):
            endpoints.find("shpo")

    def test_does_not_guess_among_several(self, endpoints: Endpoints) -> None:
        endpoints.add(Endpoint(URL, (FETCHED,)))
        endpoints.add(Endpoint(URL, (STATUS,)))
        with pytest.raises(EndpointError, match="fits 2 endpoints"):
            endpoints.find(URL)


class TestTheSameUrlTwice:
    def test_is_for_different_events(self, endpoints: Endpoints) -> None:
        endpoints.add(Endpoint(URL, (FETCHED,), "a"))
        endpoints.add(Endpoint(URL, (STATUS,), "b"))
        for events in ((STATUS,), (EVERY,)):
            with pytest.raises(EndpointError, match="already .*choose other events, or .*--force"):
                endpoints.add(Endpoint(URL, events))
        endpoints.add(Endpoint(URL, (STATUS,)), force=True)
        assert len(endpoints.subscribed(STATUS)) == 2

    def test_is_not_come_to_by_a_change(self, endpoints: Endpoints) -> None:
        endpoints.add(Endpoint(URL, (FETCHED,)))
        other = Endpoint("http://b/", (FETCHED,))
        endpoints.add(other)
        with pytest.raises(EndpointError, match="is an endpoint for transactions.fetched already"):
            endpoints.change(other.id, lambda one: replace(one, url=URL))

    def test_may_be_changed_in_what_is_its_own(self, endpoints: Endpoints) -> None:
        one = Endpoint(URL, (FETCHED,), "a")
        endpoints.add(one)
        endpoints.change(one.id, lambda before: replace(before, enabled=False))
        assert endpoints.find("a").enabled is False


def test_a_name_is_one_endpoints(endpoints: Endpoints) -> None:
    endpoints.add(Endpoint("http://a/", (EVERY,), "shop"))
    with pytest.raises(EndpointError, match="called 'shop' already; choose another name"):
        endpoints.add(Endpoint("http://b/", (EVERY,), "shop"))


def test_what_was_removed_meanwhile_is_not_changed(endpoints: Endpoints) -> None:
    one = Endpoint(URL, (EVERY,))
    endpoints.add(one)
    endpoints.remove(one)
    with pytest.raises(EndpointError, match="removed meanwhile"):
        endpoints.change(one.id, lambda before: before)
