"""The contract: the shipped schemas and samples, the verdicts, and what is said of schemas that cannot be used."""

import http.server
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from receiver.contract import Contract, ContractError, Verdict
from receiver.violations import MOST_VIOLATIONS, Violation

CONSENT = "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"
USER = "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2"
JOB = "0f8fad5b-d9cb-469f-a165-70867728950e"
EVENTS = {
    "categorizationjob.completed",
    "consent.accounts.updated",
    "consent.status.updated",
    "databridge.share.created",
    "databridge.share.updated",
    "transactions.fetched",
}
OLDEST = {
    "transactions.fetched": {"userId": USER, "consentId": CONSENT},
    "consent.status.updated": {"userId": USER, "consentId": CONSENT, "status": "UPDATED"},
    "categorizationjob.completed": {"userId": USER, "consentId": CONSENT, "jobId": JOB},
}
USERS = {"userId": USER, "externalUserId": "customer-42", "consentId": CONSENT}
NEWEST = {
    "transactions.fetched": {**USERS, "addedTransactionsCount": 12},
    "consent.accounts.updated": USERS,
    "consent.status.updated": {**USERS, "status": "UPDATED"},
    "categorizationjob.completed": {**USERS, "jobId": JOB},
}
UNDOCUMENTED = ["databridge.share.created", "databridge.share.updated"]


def verdict(contract: Contract, event: str, data: object) -> Verdict:
    return contract.judge({"event": event, "data": data}).verdict


class TestShippedContract:
    def test_has_the_event_types_whose_names_are_known(self, contract: Contract) -> None:
        assert set(contract.events) == EVENTS

    @pytest.mark.parametrize("event", sorted(EVENTS))
    def test_each_schema_explains_itself(self, contract: Contract, event: str) -> None:
        schema = contract.events[event].schema
        assert schema["title"]
        assert schema["description"].startswith("Occurs ")
        assert schema["$id"] == f"{event}.json"
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["examples"]
        assert all(contract.judge(example).verdict == "valid" for example in schema["examples"])

    @pytest.mark.parametrize("event", sorted(EVENTS))
    def test_each_sample_is_valid_and_of_its_event(self, contract: Contract, event: str) -> None:
        samples = contract.samples(event)
        assert next(iter(samples)) == "default"
        assert all(sample["event"] == event for sample in samples.values())
        assert all(contract.judge(sample).verdict == "valid" for sample in samples.values())

    def test_each_folder_of_samples_belongs_to_an_event_type(self, contract: Contract) -> None:
        assert {path.name for path in contract.samples_directory.iterdir() if list(path.glob("*.json"))} == EVENTS

    @pytest.mark.parametrize(("event", "data"), [*OLDEST.items(), *NEWEST.items()])
    def test_the_oldest_and_the_newest_documented_forms_are_valid(
        self, contract: Contract, event: str, data: Any
    ) -> None:
        assert verdict(contract, event, data) == "valid"

    @pytest.mark.parametrize("event", sorted(NEWEST))
    @pytest.mark.parametrize("user", ["userId", "externalUserId"])
    def test_a_user_may_be_null_or_missing(self, contract: Contract, event: str, user: str) -> None:
        without = {key: value for key, value in NEWEST[event].items() if key != user}
        assert verdict(contract, event, without) == "valid"
        assert verdict(contract, event, {**without, user: None}) == "valid"

    @pytest.mark.parametrize("event", sorted(NEWEST))
    def test_unknown_fields_are_allowed(self, contract: Contract, event: str) -> None:
        assert contract.judge({"event": event, "data": {**NEWEST[event], "new": [1]}, "new": 1}).verdict == "valid"

    @pytest.mark.parametrize("event", UNDOCUMENTED)
    def test_where_fields_are_not_documented_only_the_envelope_is_checked(self, contract: Contract, event: str) -> None:
        assert "not documented" in contract.events[event].schema["$comment"]
        assert verdict(contract, event, {"anything": [True]}) == "valid"
        assert verdict(contract, event, "no object") == "invalid"

    @pytest.mark.parametrize(
        ("count", "expected"),
        [
            (0, "valid"),
            (12, "valid"),
            ("12", "valid"),
            ("0", "valid"),
            (2**63, "valid"),
            (-1, "invalid"),
            ("", "invalid"),
            ("-1", "invalid"),
            ("12\n", "invalid"),
            (1.5, "invalid"),
            (None, "invalid"),
        ],
    )
    def test_a_count_is_a_non_negative_integer_or_a_string_of_digits(
        self, contract: Contract, count: object, expected: str
    ) -> None:
        data = {"consentId": CONSENT, "addedTransactionsCount": count}
        judgement = contract.judge({"event": "transactions.fetched", "data": data})
        assert judgement.verdict == expected
        assert [v.pointer for v in judgement.violations] == (
            [] if expected == "valid" else ["/data/addedTransactionsCount"]
        )

    @pytest.mark.parametrize(
        ("uuid", "expected"),
        [
            (USER, "valid"),
            (USER.upper(), "valid"),
            ("00000000-0000-0000-0000-000000000000", "valid"),
            ("57ee05785bf44dcfe1fa08db5aa0e6b2", "invalid"),
            (f"{{{USER}}}", "invalid"),
            ("x", "invalid"),
            (1, "invalid"),
        ],
    )
    def test_an_id_is_any_uuid_of_any_version(self, contract: Contract, uuid: object, expected: str) -> None:
        assert verdict(contract, "transactions.fetched", {"consentId": uuid}) == expected


class TestJudgement:
    def test_names_every_violation_with_its_place_and_without_a_value(self, contract: Contract) -> None:
        data = {"userId": 5, "consentId": "secret", "addedTransactionsCount": -77}
        judgement = contract.judge({"event": "transactions.fetched", "data": data})
        assert set(judgement.violations) == {
            Violation("/data/userId", "type", "must be string or null, is integer"),
            Violation("/data/consentId", "format", "must be of format uuid"),
            Violation("/data/addedTransactionsCount", "minimum", "must satisfy minimum: 0"),
        }
        assert "secret" not in repr(judgement)
        assert "77" not in repr(judgement)

    @pytest.mark.parametrize(
        "payload", [None, [], "x", 1, True, {}, {"event": "x"}, {"event": {}, "data": {}}, {"data": {}}]
    )
    def test_what_breaks_the_envelope_is_invalid(self, contract: Contract, payload: object) -> None:
        judgement = contract.judge(payload)
        assert judgement.verdict == "invalid"
        assert judgement.violations

    def test_an_event_that_no_schema_knows_is_reported_and_not_refused(self, contract: Contract) -> None:
        judgement = contract.judge({"event": "analysis.completed", "data": {}})
        assert (judgement.verdict, judgement.event, judgement.violations) == ("unknown_event", "analysis.completed", ())

    def test_the_envelope_is_no_event_type(self, contract: Contract) -> None:
        assert verdict(contract, "envelope", {}) == "unknown_event"

    def test_of_a_choice_it_tells_what_came_nearest(self, tmp_path: Path) -> None:
        choice = {
            "oneOf": [
                {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
                {"type": "null"},
            ]
        }
        own = contract_of(tmp_path, {"a": {"properties": {"data": {"properties": {"x": choice}}}}})
        (violation,) = own.judge({"event": "a", "data": {"x": {"id": 5}}}).violations
        assert (violation.pointer, violation.keyword) == ("/data/x/id", "type")

    def test_a_pattern_that_only_the_deciding_engine_reads_still_has_a_violation(self, tmp_path: Path) -> None:
        own = contract_of(tmp_path, {"a": {"properties": {"data": {"properties": {"x": {"pattern": "^a$"}}}}}})
        (violation,) = own.judge({"event": "a", "data": {"x": "a\n"}}).violations  # for Python's re, $ matches there
        assert (violation.pointer, violation.keyword) == ("/data/x", "pattern")

    def test_pointers_are_escaped_as_rfc_6901_has_it(self, tmp_path: Path) -> None:
        own = contract_of(tmp_path, {"a": {"properties": {"data": {"additionalProperties": {"type": "string"}}}}})
        (violation,) = own.judge({"event": "a", "data": {"a/b~c": 1}}).violations
        assert violation.pointer == "/data/a~1b~0c"

    def test_lists_no_more_violations_than_one_can_read(self, tmp_path: Path) -> None:
        own = contract_of(
            tmp_path, {"a": {"properties": {"data": {"properties": {"x": {"items": {"type": "string"}}}}}}}
        )
        assert len(own.judge({"event": "a", "data": {"x": [0] * 1000}}).violations) == MOST_VIOLATIONS


class TestOwnSchemas:
    def test_need_no_envelope_of_their_own(self, tmp_path: Path) -> None:
        own = contract_of(tmp_path, {"order.created": {}})
        assert set(own.events) == {"order.created"}
        assert verdict(own, "order.created", {}) == "valid"
        assert own.judge({"event": "order.created"}).verdict == "invalid"

    def test_may_bring_their_own_envelope(self, tmp_path: Path) -> None:
        own = contract_of(tmp_path, {"a": {}, "envelope": {"required": ["version"]}})
        assert verdict(own, "a", {}) == "invalid"

    @pytest.mark.parametrize("base", ["", "https://example.com/schemas/"])
    def test_refer_to_each_other_by_file_name(self, tmp_path: Path, base: str) -> None:
        shared = {"$id": f"{base}shared.json", "$defs": {"id": {"type": "string", "format": "uuid"}}}
        a = {"$id": f"{base}a.json", "properties": {"data": {"properties": {"id": {"$ref": "shared.json#/$defs/id"}}}}}
        own = contract_of(tmp_path, {"a": a, "shared": shared})
        assert verdict(own, "a", {"id": USER}) == "valid"
        (violation,) = own.judge({"event": "a", "data": {"id": "x"}}).violations
        assert (violation.pointer, violation.keyword) == ("/data/id", "format")

    def test_have_the_samples_beside_them_else_their_examples(self, tmp_path: Path) -> None:
        example = {"event": "b", "data": {"n": 2}}
        own = contract_of(tmp_path, {"a": {}, "b": {"examples": [example]}})
        folder = tmp_path / "samples" / "a"
        folder.mkdir(parents=True)
        (folder / "z.json").write_text("{}")
        (folder / "default.json").write_text("{}")
        assert list(own.samples("a")) == ["default", "z"]
        assert own.samples("b") == {"example-1": example}

    def test_fields_are_found_through_references_and_nesting(self, tmp_path: Path) -> None:
        person = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        data = {"properties": {"person": {"$ref": "#/$defs/person"}, "any": True}}
        own = contract_of(tmp_path, {"a": {"$defs": {"person": person}, "properties": {"data": data}}})
        fields = own.events["a"].fields
        assert list(fields) == ["person", "person.name", "any"]
        assert (fields["person.name"].required, fields["person"].required) == (True, False)

    @pytest.mark.parametrize(
        ("name", "text", "reason"),
        [
            ("a", "{", "not readable as JSON"),
            ("a", "[]", "must be a JSON object"),
            ("a", '{"type": "nope"}', "not a usable schema"),
            ("a", '{"$ref": 5}', "not a usable schema"),
            ("a", '{"pattern": "("}', "not a usable schema"),
            ("a", '{"$id": "b.json"}', "$id says 'b.json'"),
            ("a", '{"properties": {"event": {"const": "b"}}}', "for the event 'b'"),
            ("a b", "{}", "named after its event type"),
            ("a", '{"$ref": "missing.json"}', "missing.json"),
            ("a", '{"$ref": "../outside.json"}', "outside.json"),
            ("a", '{"$ref": "file:///etc/passwd"}', "/etc/passwd, which is not in this directory; nothing is fetched"),
            ("a", '{"$ref": "#/$defs/none"}', "/$defs/none"),
            ("a", '{"$schema": "https://example.com/own-dialect"}', "own-dialect"),
        ],
    )
    def test_that_cannot_be_used_are_named_with_the_reason(
        self, tmp_path: Path, name: str, text: str, reason: str
    ) -> None:
        folder = tmp_path / "schemas"
        folder.mkdir()
        (folder / f"{name}.json").write_text(text)
        with pytest.raises(ContractError) as error:
            Contract(folder)
        assert str(folder / f"{name}.json") in str(error.value)
        assert reason in str(error.value)

    def test_that_are_not_there_are_missed(self, tmp_path: Path) -> None:
        with pytest.raises(ContractError, match="no such directory"):
            Contract(tmp_path / "none")
        with pytest.raises(ContractError, match="holds no schema"):
            Contract(tmp_path)

    def test_nothing_is_ever_fetched(self, tmp_path: Path) -> None:
        asked: list[str] = []

        class Tempting(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"{}")

        with http.server.HTTPServer(("127.0.0.1", 0), Tempting) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                url = f"http://127.0.0.1:{server.server_port}/x.json"
                for schema in (
                    {"$ref": url},
                    {"$dynamicRef": url},
                    {"$schema": url},
                    {"properties": {"data": {"$ref": url}}},
                ):
                    with pytest.raises(ContractError):
                        contract_of(tmp_path, {"a": schema})
                contract_of(
                    tmp_path, {"a": {"$id": f"http://127.0.0.1:{server.server_port}/a.json", "type": "array"}}
                ).judge({})
            finally:
                server.shutdown()
                thread.join()
        assert asked == []


def contract_of(directory: Path, schemas: dict[str, Any]) -> Contract:
    folder = directory / "schemas"
    folder.mkdir(exist_ok=True)
    for name, schema in schemas.items():
        (folder / f"{name}.json").write_text(json.dumps(schema))
    return Contract(folder)
