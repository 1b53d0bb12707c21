"""The API's description: valid, whole, and its webhooks judge as the contract does."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from conftest import TOKEN, Client
from openapi_spec_validator import validate

from receiver.contract import Contract
from sender.api import create_api
from sender.ledger import Ledger
from sender.openapi import document
from sender.tab import Rooms


def test_it_is_openapi_and_has_each_route_and_no_other(api: Client, contract: Contract) -> None:
    validate(api.description)
    with closing(Ledger(Path("state"))) as ledger:
        every = create_api(Rooms(contract, ledger, None), TOKEN).url_map.iter_rules()  # type: ignore[arg-type]
    rules = [rule for rule in every if rule.rule.startswith(("/api/", "/openapi"))]
    routes = {(rule.rule.replace("<id_>", "{id}"), method.lower()) for rule in rules for method in rule.methods or ()}
    paths = api.description["paths"]
    described = {(path, name) for path, item in paths.items() for name in item if name != "parameters"}
    assert {route for route in routes if route[1] not in {"head", "options"}} == described


def test_each_operation_tells_of_what_the_guard_refuses(api: Client) -> None:
    for path, item in api.description["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                assert {"400", "401", "403"} <= operation["responses"].keys(), (path, method)


def test_its_webhooks_are_the_event_types_and_keep_what_is_said_to_be_undocumented(contract: Contract) -> None:
    described = document(contract)
    assert described["webhooks"].keys() == contract.events.keys()
    schemas = {name: described["components"]["schemas"][name] for name in contract.documents}
    assert comments(schemas) == comments(contract.documents) != []


def comments(part: Any) -> list[str]:
    if isinstance(part, list):
        return [found for item in part for found in comments(item)]
    if not isinstance(part, dict):
        return []
    own = [part["$comment"]] if "$comment" in part else []
    return own + [found for item in part.values() for found in comments(item)]


def judge(described: dict[str, Any], event: str) -> jsonschema_rs.Draft202012Validator:
    schema = described["webhooks"][event]["post"]["requestBody"]["content"]["application/json"]["schema"]
    whole = {"allOf": [schema], "components": described["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def test_its_webhooks_judge_as_the_contract_does(contract: Contract) -> None:
    described = document(contract)
    for event in contract.events:
        for sample in contract.samples(event).values():
            broken = [{**sample, "event": "x"}, {**sample, "data": None}, {"data": sample["data"]}, {"event": event}]
            broken += [{**sample, "data": {**sample["data"], name: []}} for name in sample["data"]]
            for payload in (sample, *broken):
                assert judge(described, event).is_valid(payload) == contract.allows(payload), (event, payload)


@pytest.mark.parametrize("way", ["common.json", "./common.json", "https://contract.example/common.json"])
def test_references_between_a_users_schemas_lead_to_where_they_stand(tmp_path: Path, way: str) -> None:
    base = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    common = {**base, "$defs": {"id": {"type": "string", "minLength": 3}}}
    made = {**base, "properties": {"data": {"properties": {"id": {"$ref": f"{way}#/$defs/id"}}}}}
    if way.startswith("https:"):
        common["$id"], made["$id"] = way, "https://contract.example/thing.made.json"
    (tmp_path / "common.json").write_text(json.dumps(common))
    (tmp_path / "thing.made.json").write_text(json.dumps(made))
    contract = Contract(tmp_path)
    described = document(contract)
    validate(described)
    for payload in ({"event": "thing.made", "data": {"id": "abc"}}, {"event": "thing.made", "data": {"id": "a"}}):
        assert judge(described, "thing.made").is_valid(payload) == contract.allows(payload)
