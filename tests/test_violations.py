"""Why a payload is invalid: told quickly, whatever it is, and of the same places that the decision was made on."""

import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from conftest import JSON, receiving_here
from test_contract import EVENTS, contract_of

from receiver.contract import Contract

QUICK = 2.0
SLOW_IN_PYTHON = "a" * 40 + "!"
NAMES = {"^(a+)+$": {"type": "integer"}}
MANY = {f"k{number}": number for number in range(50_000)}


@pytest.mark.parametrize("declared", [{}, {"$schema": "https://json-schema.org/draft/2020-12/schema"}])
@pytest.mark.parametrize(
    ("data", "hostile", "pointer", "keyword"),
    [
        ({"properties": {"x": {"pattern": "^(a+)+$"}}}, {"x": SLOW_IN_PYTHON}, "/data/x", "pattern"),
        ({"propertyNames": {"pattern": "^(a+)+$"}}, {SLOW_IN_PYTHON: 1}, "/data", "pattern"),
        ({"patternProperties": NAMES, "required": ["z"]}, {SLOW_IN_PYTHON: 1}, "/data", "required"),
        (
            {"patternProperties": NAMES, "additionalProperties": False},
            {SLOW_IN_PYTHON: 1},
            "/data",
            "additionalProperties",
        ),
        (
            {"properties": {"x": {"uniqueItems": True}}},
            {"x": [{"n": n} for n in range(50_000)] + [{"n": 1}]},
            "/data/x",
            "uniqueItems",
        ),
        ({"unevaluatedProperties": {"type": "integer"}, "required": ["z"]}, MANY, "/data", "required"),
        (
            {"properties": {"x": {"unevaluatedItems": {"type": "string"}}}},
            {"x": [0] * 400_000},
            "/data/x",
            "unevaluatedItems",
        ),
        ({"properties": {"x": {"items": {"type": "string"}}}}, {"x": [0] * 400_000}, "/data/x/0", "type"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_payload_made_to_be_slow_is_explained_quickly(
    tmp_path: Path, declared: dict[str, str], data: dict[str, Any], hostile: object, pointer: str, keyword: str
) -> None:
    own = contract_of(tmp_path, {"a": {**declared, "properties": {"data": data}}})
    began = time.perf_counter()
    judgement = own.judge({"event": "a", "data": hostile})
    assert time.perf_counter() - began < QUICK
    assert judgement.verdict == "invalid"
    first = judgement.violations[0]
    assert (first.pointer, first.keyword) == (pointer, keyword)


def test_a_hostile_body_is_answered_quickly_and_holds_nobody_up(tmp_path: Path) -> None:
    contract_of(tmp_path, {"a": {"properties": {"data": {"properties": {"x": {"pattern": "^(a+)+$"}}}}}})
    hostile = json.dumps({"event": "a", "data": {"x": SLOW_IN_PYTHON}}).encode()
    with receiving_here(tmp_path / "state", schemas=tmp_path / "schemas") as here:
        answer = here.post(hostile, JSON)
        assert answer.elapsed.total_seconds() < QUICK
        assert answer.json()["violations"] == [
            {"pointer": "/data/x", "keyword": "pattern", "message": "must match the pattern ^(a+)+$"}
        ]


def test_a_body_whose_keys_are_long_is_not_answered_with_many_times_its_length(tmp_path: Path) -> None:
    item = {"additionalProperties": {"type": "integer"}}
    contract_of(tmp_path, {"a": {"properties": {"data": {"additionalProperties": item}}}})
    hostile = json.dumps({"event": "a", "data": {"k" * 500_000: {f"m{number}": "x" for number in range(100)}}}).encode()
    with receiving_here(tmp_path / "state", schemas=tmp_path / "schemas") as here:
        answer = here.post(hostile, JSON)
    assert answer.status_code == 422
    assert len(answer.content) < 3 * len(hostile)


ODD = [None, True, 5, -1, 1.5, "", "x", [], {}, [{}], {"x": 1}]


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_what_explains_and_what_decides_name_the_same_places(contract: Contract, event: str) -> None:
    """Every member of every sample, in turn with every odd value in its stead, or missing."""
    event_type = contract.events[event]
    for sample in contract.samples(event).values():
        members = [("data",), *(("data", name) for name in sample["data"])]
        for path, value in product(members, [*ODD, ...]):
            payload = with_member(sample, path, value)
            decided = {pointer(error.instance_path) for error in event_type.validator.iter_errors(payload)}
            judgement = contract.judge(payload)
            assert (judgement.verdict == "invalid") == bool(decided)
            assert {violation.pointer for violation in judgement.violations} == decided


def with_member(sample: Any, path: tuple[str, ...], value: object) -> Any:
    payload = json.loads(json.dumps(sample))
    *outer, last = path
    within = payload[outer[0]] if outer else payload
    if value is ...:
        del within[last]
    else:
        within[last] = value
    return payload


def pointer(path: Any) -> str:
    return "".join(f"/{step}" for step in path)


NOTHING = {"not": {"$ref": "#/properties/data"}}
DEEP: dict[str, Any] = {"not": {"$ref": "#/properties/data"}}
for _ in range(100):
    DEEP = {"allOf": [DEEP]}
TREE = {"properties": {"child": {"allOf": [{"allOf": [{"$ref": "#/properties/data"}]}]}}, "required": ["child"]}


@pytest.mark.parametrize(("data", "payload"), [(NOTHING, {}), (DEEP, {}), (TREE, {})])
@pytest.mark.parametrize("levels", [0, 60])
def test_a_schema_too_deep_to_explain_still_leads_to_a_violation(
    tmp_path: Path, data: dict[str, Any], payload: dict[str, Any], levels: int
) -> None:
    (tmp_path / "a.b.json").write_text(json.dumps({"properties": {"data": data}}), encoding="utf-8")
    for _ in range(levels):
        payload = {"child": payload}
    judgement = Contract(tmp_path).judge({"event": "a.b", "data": payload})
    assert judgement.verdict == "invalid"
    assert judgement.violations
