"""The payload: the exact bytes, from a sample or the user's own data; a change that leads nowhere is an error."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from test_contract import contract_of

from receiver.contract import Contract
from sender.payload import InvalidPayload, PayloadError, bodies

CONSENT = "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"
FETCHED = "transactions.fetched"


def data(contract: Contract, event: str = FETCHED, **choice: Any) -> dict[str, Any]:
    payload = json.loads(next(bodies(contract, event, **choice)))
    assert list(payload) == ["event", "data"]
    assert payload["event"] == event
    return dict(payload["data"])


class TestSamples:
    def test_the_default_is_taken_with_fresh_uuids_where_the_schema_says_uuid(self, contract: Contract) -> None:
        sample = contract.samples(FETCHED)["default"]["data"]
        first, second = data(contract), data(contract)
        assert list(first) == list(sample)
        assert first["externalUserId"] == sample["externalUserId"]
        for field in ("userId", "consentId"):
            assert len({first[field], second[field], sample[field]}) == 3
            assert str(uuid.UUID(first[field])) == first[field]

    def test_another_is_taken_by_name(self, contract: Contract) -> None:
        assert data(contract, sample="without-user")["userId"] is None
        with pytest.raises(PayloadError, match="no sample 'defualt' of transactions.fetched; did you mean 'default'"):
            data(contract, sample="defualt")

    def test_equal_uuids_stay_equal_wherever_they_stand(self, tmp_path: Path) -> None:
        thing = {"properties": {"id": {"type": "string", "format": "uuid"}, "note": {"type": "string"}}}
        members = {"one": {"$ref": "#/$defs/thing"}, "many": {"items": {"$ref": "#/$defs/thing"}}}
        example = {"one": {"id": CONSENT, "note": CONSENT}, "many": [{"id": CONSENT}]}
        schema = {
            "$defs": {"thing": thing},
            "properties": {"data": {"properties": members}},
            "examples": [{"event": "a", "data": example}],
        }
        fresh = data(contract_of(tmp_path, {"a": schema}), "a")
        assert fresh["one"]["id"] == fresh["many"][0]["id"] != CONSENT
        assert fresh["one"]["note"] == CONSENT

    def test_an_event_type_without_samples_asks_for_data(self, tmp_path: Path) -> None:
        with pytest.raises(PayloadError, match="no sample of a; give its data with --data"):
            data(contract_of(tmp_path, {"a": {}}), "a")

    def test_an_unknown_event_type_is_told_with_the_nearest(self, contract: Contract) -> None:
        with pytest.raises(
            PayloadError, match="unknown event type 'transaction.fetched'; did you mean 'transactions.fetched'"
        ):
            data(contract, "transaction.fetched")


class TestOwnData:
    def test_is_sent_as_it_is_without_white_space(self, contract: Contract) -> None:
        body = next(bodies(contract, FETCHED, data=f'{{ "new": "é", "consentId" : "{CONSENT}" }}'))
        assert body == f'{{"event":"{FETCHED}","data":{{"new":"é","consentId":"{CONSENT}"}}}}'.encode()

    @pytest.mark.parametrize(
        ("text", "reason"), [("{", "not JSON"), ("[]", "must be a JSON object"), ("5", "JSON object")]
    )
    def test_must_be_a_json_object(self, contract: Contract, text: str, reason: str) -> None:
        with pytest.raises(PayloadError, match=reason):
            next(bodies(contract, FETCHED, data=text))


class TestChanges:
    @pytest.mark.parametrize(
        ("change", "value"),
        [
            ("5", 5),
            ("null", None),
            ("true", True),
            ('"5"', "5"),
            ("abc", "abc"),
            ("[1]", [1]),
            ("a=b", "a=b"),
            ("", ""),
        ],
    )
    def test_a_value_is_json_where_it_parses_as_json(self, contract: Contract, change: str, value: object) -> None:
        assert data(contract, sets=[f"externalUserId={change}"], validate=False)["externalUserId"] == value

    def test_a_documented_field_can_be_set_where_the_sample_has_none(self, contract: Contract) -> None:
        assert data(contract, sample="oldest-form", sets=["addedTransactionsCount=3"])["addedTransactionsCount"] == 3

    def test_a_new_field_needs_a_plus(self, contract: Contract) -> None:
        assert data(contract, sets=["+deep.er=1"])["deep"] == {"er": 1}
        with pytest.raises(
            PayloadError, match=r"no field 'deep.er' in the data; known are: .*consentId.*--set \+deep.er="
        ):
            data(contract, sets=["deep.er=1"])

    def test_a_path_goes_into_objects_and_lists(self, contract: Contract) -> None:
        own = json.dumps({"consentId": CONSENT, "list": [{"n": 1}, {"n": 2}]})
        changed = data(contract, data=own, sets=["list.1.n=5"], unsets=["list.0"])
        assert changed["list"] == [{"n": 5}]

    @pytest.mark.parametrize("path", ["consentid", "consentId.x", "list.5.n", "list.x", "", "."])
    def test_a_path_that_leads_nowhere_is_an_error(self, contract: Contract, path: str) -> None:
        own = json.dumps({"consentId": CONSENT, "list": [{"n": 1}]})
        for change in ({"sets": [f"{path}=1"]}, {"unsets": [path]}):
            with pytest.raises(PayloadError, match="no field"):
                data(contract, data=own, **change)

    def test_the_nearest_field_is_named(self, contract: Contract) -> None:
        with pytest.raises(PayloadError, match="did you mean 'consentId'"):
            data(contract, sets=["consentID=1"])

    def test_unset_leaves_a_field_out(self, contract: Contract) -> None:
        assert "userId" not in data(contract, unsets=["userId"])

    def test_a_set_without_a_value_is_told_how_to_write_it(self, contract: Contract) -> None:
        with pytest.raises(PayloadError, match="write it as path=value"):
            data(contract, sets=["consentId"])


class TestValidation:
    def test_what_violates_the_schema_is_refused_with_every_violation(self, contract: Contract) -> None:
        with pytest.raises(InvalidPayload) as error:
            data(contract, sets=["consentId=5", "addedTransactionsCount=-1"])
        assert {v.pointer for v in error.value.violations} == {"/data/consentId", "/data/addedTransactionsCount"}
        assert "/data/consentId  must be string, is integer" in str(error.value)

    def test_unless_it_is_not_wanted(self, contract: Contract) -> None:
        assert data(contract, sets=["consentId=5"], validate=False)["consentId"] == 5
        assert data(contract, "new.event", data="{}", validate=False) == {}

    def test_an_unknown_event_with_own_data_needs_no_validate(self, contract: Contract) -> None:
        with pytest.raises(PayloadError, match="unknown event type 'new.event'"):
            data(contract, "new.event", data="{}")
