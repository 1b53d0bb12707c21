"""Cases: what is said of each body is true of it, they are always the same, and any schema leads to some."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import command

from receiver.contract import Contract, Verdict
from receiver.delivery import MalformedBody, parse
from sender.verify import notation, rules
from sender.verify.cases import Case, cases
from sender.verify.shapes import ShapeError, shapes

GOOD = {"event": "a.b", "data": {"id": "\u00e9", "list": [1, {"x": None}]}}


@pytest.fixture(scope="module")
def all_cases(contract: Contract) -> list[Case]:
    return cases(contract, list(contract.events))


class TestNotation:
    @pytest.mark.parametrize("name", notation.legal(GOOD))
    def test_what_is_legal_reads_as_the_same_with_at_most_one_member_more(self, name: str) -> None:
        payload: Any = parse(notation.legal(GOOD)[name])
        payload["data"].pop(notation.OWN, None)
        assert payload == GOOD

    @pytest.mark.parametrize("data", [{}, GOOD["data"]])
    def test_no_parser_may_read_what_is_malformed(self, data: Any) -> None:
        for name, body in notation.malformed({"event": "a.b", "data": data}).items():
            with pytest.raises(MalformedBody):
                parse(body)
            if name not in {"nan", "infinity", "minus-infinity", "utf-16", "utf-16-with-bom", "utf-8-of-a-surrogate"}:
                with pytest.raises(ValueError):  # noqa: PT011 - of whatever kind
                    json.loads(body)

    @pytest.mark.parametrize("data", [{}, GOOD["data"]])
    def test_python_reads_what_is_ambiguous(self, data: Any) -> None:
        for body in notation.ambiguous({"event": "a.b", "data": data}).values():
            json.loads(body)
            with pytest.raises(MalformedBody):
                parse(body)

    @pytest.mark.parametrize("size", [300, 1 << 20])
    def test_a_body_is_padded_to_the_byte(self, size: int) -> None:
        body = notation.padded(GOOD, size)
        assert len(body) == size
        assert isinstance(parse(body), dict)


class TestCases:
    def test_good_bodies_are_valid_and_bad_ones_violate_one_thing(
        self, contract: Contract, all_cases: list[Case]
    ) -> None:
        for case in all_cases:
            if case.rule.strict == "2":
                assert contract.judge(parse(case.body)).verdict is Verdict.VALID, case.id
            elif case.group == "violations":
                judgement = contract.judge(parse(case.body))
                (violation,) = judgement.violations
                assert f"{violation.pointer}/{violation.keyword}/" in case.id

    def test_ids_are_unique(self, all_cases: list[Case]) -> None:
        assert Counter(case.id for case in all_cases).most_common(1)[0][1] == 1

    @pytest.mark.parametrize(
        "id_",
        [
            "consent.status.updated/data/status/type/number",
            "transactions.fetched/data/addedTransactionsCount/pattern/newline-after",
            "transactions.fetched/data/userId/type/null",
            "transactions.fetched/data/required/consentId",
            "envelope/data/type/null",
            "consent.status.updated/data-of/transactions.fetched",
            "malformed/nan",
            "limits/nested-100000",
            "repeats/at-once-10",
        ],
    )
    def test_ids_stay(self, id_: str, all_cases: list[Case]) -> None:
        """Who selects by them, or keeps a list of known failures, relies on it."""
        assert id_ in {case.id for case in all_cases}

    def test_they_are_the_same_in_every_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        listed = []
        for seed in ("1", "2"):
            monkeypatch.setenv("PYTHONHASHSEED", seed)
            listed.append(command("sender", "verify", "--list", "--json").stdout)
        assert listed[0] == listed[1]
        assert listed[0]

    def test_after_each_group_of_bad_ones_a_good_one_is_sent(self, all_cases: list[Case]) -> None:
        for group in ("violations", "mix-ups", "malformed", "ambiguous", "limits", "http", "unknown-events"):
            last = [case for case in all_cases if case.group == group][-1]
            assert last.rule is rules.SERVES_ON

    def test_each_rule_has_a_case(self, contract: Contract, all_cases: list[Case]) -> None:
        with_size = cases(contract, ["transactions.fetched"], max_body=1000)
        assert {case.rule for case in [*all_cases, *with_size]} == set(rules.RULES)


RICH = {
    "$ref": "envelope.json",
    "$defs": {"money": {"type": "number", "exclusiveMinimum": 0, "maximum": 10, "multipleOf": 0.5}},
    "properties": {
        "data": {
            "required": ["id", "kind", "amount", "tags", "holder"],
            "additionalProperties": False,
            "properties": {
                "id": {"$ref": "common.json#/$defs/id"},
                "kind": {"enum": ["CREDIT", "DEBIT"]},
                "amount": {"$ref": "#/$defs/money"},
                "code": {"type": "string", "minLength": 3, "maxLength": 5},
                "iban": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{2}[A-Z0-9]{4,30}$"},
                "on": {"type": "string", "format": "date"},
                "at": {"type": "string", "format": "date-time"},
                "level": {"type": "integer", "minimum": 1, "exclusiveMaximum": 5},
                "tags": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 3,
                    "uniqueItems": True,
                    "items": {"type": "string"},
                },
                "holder": {
                    "allOf": [{"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}]
                },
                "either": {"oneOf": [{"type": "string"}, {"type": "integer", "minimum": 5}]},
                "version": {"const": 1},
                "next": {"$ref": "#/properties/data/properties/holder"},
                "tree": {
                    "type": ["object", "null"],
                    "properties": {"child": {"$ref": "#/properties/data/properties/tree"}},
                },
            },
        }
    },
}


class TestAnySchema:
    @pytest.fixture
    def rich(self, tmp_path: Path) -> Contract:
        return contract_of(tmp_path, {"a.b": RICH, "common": {"$defs": {"id": {"type": "string", "format": "uuid"}}}})

    def test_needs_no_sample(self, rich: Contract) -> None:
        found = shapes(rich, "a.b")
        assert rich.judge(found.maximal).verdict is Verdict.VALID
        assert set(found.maximal["data"]) == set(RICH["properties"]["data"]["properties"])  # type: ignore[index]
        assert set(found.minimal["data"]) == {"id", "kind", "amount", "tags", "holder"}

    @pytest.mark.parametrize(
        "place",
        [
            "/data/kind/enum/other",
            "/data/kind/enum/other-case",
            "/data/amount/exclusiveMinimum/at",
            "/data/amount/maximum/above",
            "/data/amount/multipleOf/between",
            "/data/code/minLength/below",
            "/data/code/maxLength/above",
            "/data/iban/pattern/other",
            "/data/on/format/other",
            "/data/at/format/date-only",
            "/data/level/minimum/below",
            "/data/level/exclusiveMaximum/at",
            "/data/tags/minItems/below",
            "/data/tags/uniqueItems/twice",
            "/data/tags/0/type/null",
            "/data/holder/required/name",
            "/data/holder/name/type/integer",
            "/data/next/required/name",
            "/data/tree/child/type/string",
            "/data/version/const/other",
            "/data/additionalProperties/unknownField",
            "/data/id/format/undashed",
        ],
    )
    def test_each_keyword_leads_to_a_body_that_violates_it(self, rich: Contract, place: str) -> None:
        assert place in {shape.place for shape in shapes(rich, "a.b").violations}

    @pytest.mark.parametrize(
        "place",
        [
            "/data/kind/enum/DEBIT",
            "/data/amount/maximum/at",
            "/data/code/maxLength/at",
            "/data/level/exclusiveMaximum/below",
            "/data/tree/child/type/null",
            "/data/absent/code",
        ],
    )
    def test_each_bound_and_each_member_of_an_enum_is_a_good_body(self, rich: Contract, place: str) -> None:
        assert place in {shape.place for shape in shapes(rich, "a.b").variants}

    def test_what_cannot_be_made_asks_for_a_sample(self, tmp_path: Path) -> None:
        schema = {
            "properties": {
                "data": {"properties": {"x": {"type": "string", "pattern": "^\\d{3}:\\w+$"}}, "required": ["x"]}
            }
        }
        made = contract_of(tmp_path, {"a.b": schema})
        with pytest.raises(ShapeError, match=r"samples/a\.b/default\.json, or leave it out with --events"):
            shapes(made, "a.b")
        sample = tmp_path / "samples" / "a.b" / "default.json"
        sample.parent.mkdir(parents=True)
        sample.write_text('{"event": "a.b", "data": {"x": "123:a"}}', encoding="utf-8")
        assert shapes(made, "a.b").maximal["data"] == {"x": "123:a"}


def contract_of(folder: Path, schemas: dict[str, Any]) -> Contract:
    (folder / "schemas").mkdir()
    for name, schema in schemas.items():
        (folder / "schemas" / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")
    return Contract(folder / "schemas")
