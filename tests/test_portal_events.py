"""The portal's pages on which events are fired, scenarios played and the ledger read, asked for by HTTP."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Peer, Portal, hidden_id, receiving_here, wait_for

from receiver.contract import Contract
from sender.attempt import Outcome, State
from sender.endpoints import Endpoint
from sender.portal.form import LEFT_OUT

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
StartPeer = Callable[..., Peer]


def ok(connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nOK")


class TestFiring:
    def test_from_fields_sends_typed_data_once(self, portal: Portal, peer: StartPeer) -> None:
        receiver = peer(ok)
        portal.ledger.endpoints.add(Endpoint(receiver.url, (FETCHED,)))
        consent = "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2"
        form = {
            "id": hidden_id(portal("GET", f"/fire?event={FETCHED}").text),
            "event": FETCHED,
            "where": "endpoints",
            "text:/userId": "",
            "type:/userId": "null",
            "text:/consentId": consent,
            "text:/addedTransactionsCount": "7",
            "type:/addedTransactionsCount": "integer",
        }
        first, second = portal("POST", "/fire", form).text, portal("POST", "/fire", form).text
        assert "202" in first
        assert "nothing was sent now" in second
        (request,) = receiver.requests
        data = {"userId": None, "consentId": consent, "addedTransactionsCount": 7}
        assert json.loads(request.partition(b"\r\n\r\n")[2]) == {"event": FETCHED, "data": data}
        assert hidden_id(first) not in {form["id"], hidden_id(second)}

    def test_of_what_violates_its_schema_happens_only_where_that_is_meant(
        self, portal: Portal, peer: StartPeer
    ) -> None:
        receiver = peer(ok)
        form = {"event": FETCHED, "where": "url", "to": receiver.url, "raw": '{"consentId": 5}', "id": "X"}
        told = portal("POST", "/fire", form).text
        assert "Nothing was sent" in told
        assert hidden_id(told) == "X"
        assert "must be string, is integer" in told
        assert "Nothing was sent" in portal("POST", "/fire", {**form, "event": "of.tomorrow"}).text
        for broken in ("{", "[]", '{"a": NaN}'):
            assert "nothing can be sent" in portal("POST", "/fire", {**form, "raw": broken, "anyway": "on"}).text
        assert receiver.requests == []
        portal("POST", "/fire", {**form, "anyway": "on"})
        portal("POST", "/fire", {**form, "anyway": "on", "event": "of.tomorrow", "id": "Y", "fault": "media-type"})
        assert [b"of.tomorrow" in request for request in receiver.requests] == [False, True]
        assert b"text/plain" in receiver.requests[1]

    def test_that_nobody_wants_or_nowhere_is_told(self, portal: Portal) -> None:
        form = {"event": FETCHED, "raw": '{"consentId": "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2"}'}
        assert "There is no endpoint, so nothing was sent" in portal("POST", "/fire", form).text
        portal.ledger.endpoints.add(Endpoint("http://127.0.0.1:9/", (STATUS,)))
        assert f"No endpoint is subscribed to {FETCHED}" in portal("POST", "/fire", form).text
        for to in ("", "nonsense", "ftp://a/"):
            assert "Nothing was sent" in portal("POST", "/fire", {**form, "where": "url", "to": to}).text
        assert portal.ledger.attempts(limit=9) == []

    def test_is_checked_field_by_field(self, portal: Portal) -> None:
        form = {"event": FETCHED, "text:/consentId": "abc", "text:/userId": "x", "type:/userId": LEFT_OUT}
        told = portal("POST", "/fire/check", form).text
        assert "must be of format uuid" in told
        assert told.count('hx-swap-oob="true"') == 2
        assert "1 violation" in told
        assert "is required" in portal("POST", "/fire/check", {"event": FETCHED, "json:/consentId": ""}).text
        right = {"event": FETCHED, "text:/consentId": "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2"}
        assert "as the contract has it" in portal("POST", "/fire/check", right).text

    def test_goes_from_fields_to_json_and_back(self, portal: Portal) -> None:
        form = {"event": FETCHED, "text:/consentId": "abc", "mode": "raw"}
        assert "&#34;consentId&#34;: &#34;abc&#34;" in portal("POST", "/fire/form", form).text
        back = {"event": FETCHED, "raw": '{"consentId": "abc", "more": 1}', "mode": "fields"}
        fields = portal("POST", "/fire/form", back).text
        assert 'name="text:/consentId"' in fields
        assert 'name="others:/~"' in fields
        stays = portal("POST", "/fire/form", {**back, "raw": "{"}).text
        assert ('name="raw"' in stays, "is not JSON" in stays) == (True, True)

    def test_offers_each_sample_of_each_event_and_one_from_the_schema(self, portal: Portal, contract: Contract) -> None:
        for event in contract.events:
            for sample in (*contract.samples(event), "made from the schema", ""):
                assert portal("GET", f"/fire?event={event}&sample={sample}").status_code == 200
        for query in ("event=x", f"event={FETCHED}&sample=x", "again=7", "again=x", f"again={'9' * 30}"):
            assert portal("GET", f"/fire?{query}").status_code == 404

    def test_at_a_url_keeps_it_when_another_event_is_chosen(self, portal: Portal) -> None:
        portal.ledger.endpoints.add(Endpoint("http://127.0.0.1:9/", ("*",)))
        for query, value in (("", "endpoints"), ("&to=http://127.0.0.1:9/x", "endpoints"), ("&where=url", "url")):
            page = portal("GET", f"/fire?event={STATUS}{query}").text
            assert re.findall(r'name="where" value="(\w+)" checked', page) == [value]

    def test_again_takes_the_data_of_an_attempt(self, portal: Portal) -> None:
        portal.write("A", b'{"event": "of.tomorrow", "data": {"a": "<b>"}}', event="of.tomorrow")
        portal.write("B", b"nonsense")
        again = portal("GET", "/fire?again=1").text
        assert "&#34;a&#34;: &#34;&lt;b&gt;&#34;" in again
        assert "of.tomorrow" in again
        assert portal("GET", "/fire?again=2").status_code == 404
        assert "/fire?again=1" in portal("GET", "/attempts/1").text
        assert "/fire?again" not in portal("GET", "/attempts/2").text


class TestScenarios:
    def test_are_played_watched_and_stopped(self, portal: Portal, peer: StartPeer) -> None:
        receiver = peer(ok)
        steps = f"steps:\n- event: {FETCHED}\n  count: 3\n- after: 60s\n  event: {FETCHED}"
        form = {"scenario": ":pasted", "text": steps, "where": "url", "to": receiver.url, "speed": "1", "loops": "1"}
        begun = portal("POST", "/scenarios", form)
        assert 'id="stop"' in begun.text
        wait_for(lambda: "3 of 4" in portal("GET", "/scenarios/playing").text, "three of four")
        assert portal("POST", "/scenarios", form).status_code == 409
        assert portal("GET", "/scenarios").text.count("tick from:body") == 1
        portal("POST", "/scenarios/stop")
        ended = wait_for(
            lambda: "tick from:body" not in (text := portal("GET", "/scenarios/playing").text) and text, "the stop"
        )
        assert "stopped" in ended
        assert len(receiver.requests) == 3

    def test_are_cut_at_the_end_where_a_receiver_does_not_answer(
        self, portal: Portal, peers: StartPeer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sender.portal.playing.STOP_SECONDS", 0.2)
        receiver = peers(lambda connection: connection.recv(1))
        form = {"scenario": "load", "where": "url", "to": receiver.url, "loops": "1", "speed": "1"}
        portal("POST", "/scenarios", form)
        wait_for(lambda: receiver.requests, "the first POST")
        portal.stage.close()
        assert {one.outcome.state for one in portal.ledger.attempts(limit=99)} == {State.UNKNOWN}
        assert portal("POST", "/scenarios", form).status_code == 409

    def test_are_judged_as_they_expect(self, portal: Portal, tmp_path: Path) -> None:
        with receiving_here(tmp_path / "r") as here:
            form = {"scenario": "consent-life", "where": "url", "to": here.server.url, "loops": "2", "seed": "5"}
            portal("POST", "/scenarios", form)
            ended = wait_for(portal.ended, "its end")
            assert "All that the scenario expects came" in ended
            assert "seed 5" in ended
            steps = json.dumps({"steps": [{"event": FETCHED, "expect": {"status": 500}}]})
            portal("POST", "/scenarios", {**form, "scenario": ":pasted", "text": steps, "loops": "1"})
            assert "1 not as expected" in wait_for(lambda: portal.ended(total=1), "its end")

    @pytest.mark.parametrize(
        ("form", "told"),
        [
            ({"text": "steps: []"}, "has no steps"),
            ({"text": "{"}, "scenario"),
            ({"text": "- event: <b>"}, "unknown event type &#39;&lt;b&gt;&#39;"),
            ({"text": "2026-99-99"}, "scenario"),
            ({"scenario": "x"}, "choose a scenario"),
            ({"scenario": "load", "loops": "0"}, "loops: must be a whole number"),
            ({"scenario": "load", "seed": "-1"}, "seed: must be a whole number"),
            ({"scenario": "load", "to": "x"}, "not a URL"),
            ({"scenario": "load", "where": "endpoints"}, "subscribe one, or choose a URL"),
        ],
    )
    def test_that_cannot_be_played_are_told(self, portal: Portal, form: dict[str, str], told: str) -> None:
        whole = {"scenario": ":pasted", "where": "url", "to": "http://127.0.0.1:9/", "loops": "1", **form}
        answer = portal("POST", "/scenarios", whole)
        assert (answer.status_code, told in answer.text) == (200, True), answer.text
        assert portal.stage.playing is None


class TestAttempts:
    def test_are_listed_and_told_again_only_when_they_changed(self, portal: Portal) -> None:
        assert "sender fire" in portal("GET", "/attempts").text
        portal.write("A", state=State.SENDING)
        rows = portal("GET", "/attempts/rows").text
        seen = re.findall(r"seen=(\w+)", rows)[0]
        assert portal("GET", f"/attempts/rows?seen={seen}").status_code == 204
        portal.ledger.conclude(replace(portal.ledger.attempts(limit=1)[0], outcome=Outcome(State.DELIVERED)))
        assert portal("GET", f"/attempts/rows?seen={seen}").status_code == 200
        portal.write("B", state=State.UNKNOWN)
        assert portal("GET", "/attempts?state=unknown").text.count("data-row") == 1
        assert portal("GET", "/attempts?id=A").text.count("data-row") == 1
        for query in ("state=x", "id=%00", "before=x", f"before={'9' * 40}"):
            assert portal("GET", f"/attempts?{query}").status_code == 200

    def test_are_leafed_through_to_the_oldest(self, portal: Portal) -> None:
        for number in range(120):
            portal.write(f"E{number}")
        pages, path = [], "/attempts?id=E"
        while path:
            page = portal("GET", path).text
            pages.append(re.findall(r'id="attempt-(\d+)"', page))
            older = re.findall(r'href="([^"]*)">Older', page)
            path = older[0].replace("&amp;", "&") if older else ""
        assert [int(number) for page in pages for number in page] == list(range(120, 0, -1))
        assert [len(page) for page in pages] == [50, 50, 20]

    def test_show_all_of_one(self, portal: Portal) -> None:
        portal.write("A", b'{"event":"x","data":{"a":1}}', answer=b'{"detail":"no"}', status=422)
        page = portal("GET", "/attempts/1").text
        for told in ("422", "&#34;a&#34;: 1", "&#34;detail&#34;: &#34;no&#34;"):
            assert told in page
        part = portal("GET", "/attempts/1", HX_Request="true").text
        assert ("<html" in page, "<html" in part) == (True, False)
        assert portal("GET", "/attempts/2").status_code == portal("GET", f"/attempts/{'9' * 30}").status_code == 404
