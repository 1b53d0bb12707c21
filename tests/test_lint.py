"""`receiver schemas check`: each thing that can be wrong with schemas and samples is told, with its place, and all of
them at once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, called

from receiver.contract import ContractError
from receiver.upkeep.lint import Problem, problems

GOOD = {
    "$ref": "envelope.json",
    "properties": {"event": {"const": "a.b"}, "data": {"properties": {"n": {"type": "integer"}}}},
}
PAYLOAD = {"event": "a.b", "data": {"n": 1}}


def write(place: str, content: Any) -> None:
    path = Path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def told(directory: str = "schemas") -> list[tuple[str, str, str]]:
    """Each problem's file, pointer and text, of all but the good schema."""
    write("schemas/a.b.json", Path("schemas/a.b.json").read_text() if Path("schemas/a.b.json").exists() else GOOD)
    return [(str(one.file), one.pointer, one.text) for one in problems(Path(directory))]


def test_what_is_shipped_has_no_problem() -> None:
    assert list(problems(ROOT / "schemas")) == []


@pytest.mark.parametrize(
    ("change", "pointer", "text"),
    [
        ({"$id": "a.c.json"}, "/$id", "name the file after it"),
        ({"properties": {"event": {"const": "x"}}}, "/properties/event/const", "it is for the event 'x'"),
        ({"type": "strin"}, "/type", "'strin' is not valid"),
        ({"properties": {"data": {"minLength": -1}}}, "/properties/data/minLength", "-1 is less than"),
        ({"$ref": "gone.json"}, "/$ref", "'gone.json' is not in this directory, and nothing is fetched"),
        ({"$ref": "https://example.com/a.json"}, "/$ref", "nothing is fetched"),
        ({"$ref": "#/$defs/a~1b"}, "/$ref", "leads nowhere"),
        ({"$ref": "#there"}, "/$ref", "leads nowhere"),
        ({"allOf": [{"pattern": "("}]}, "/allOf/0/pattern", "is no regular expression"),
        ({"patternProperties": {"(": {}}}, "/patternProperties", "is no regular expression"),
        ({"examples": [PAYLOAD, {"event": "a.b"}]}, "/examples/1", "'data' is a required property"),
        ({"examples": [{"event": "a.b", "data": {"n": "x"}}]}, "/examples/0/data/n", "must be integer, is string"),
        ({"properties": {}, "examples": [{"event": "b", "data": {}}]}, "/examples/0/event", "must be 'a.b'"),
    ],
)
def test_what_is_wrong_with_a_schema_is_told_with_its_place(change: dict[str, Any], pointer: str, text: str) -> None:
    write("schemas/a.b.json", {**GOOD, **change})
    (found,) = told()
    assert found[:2] == ("schemas/a.b.json", pointer)
    assert text in found[2]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"a": 1, "a": 2}', "a key occurs twice"),
        ("{", "not readable as JSON"),
        ("[]", "is no JSON object"),
        ("﻿{}", "byte order mark"),
    ],
)
def test_what_is_no_schema_at_all_is_told_and_the_others_are_checked(content: str, text: str) -> None:
    write("schemas/c.d.json", content)
    write("schemas/a.b.json", {**GOOD, "examples": [3]})
    first, second = told()
    assert first[0] == "schemas/c.d.json"
    assert text in first[2]
    assert second[:2] == ("schemas/a.b.json", "/examples/0")


@pytest.mark.parametrize("reference", ["#/$defs/a~1b", "#there", "envelope.json#/properties", "https://x.org/q.json"])
def test_a_reference_that_leads_somewhere_is_none(reference: str) -> None:
    write("schemas/q.json", {"$id": "https://x.org/q.json"})
    write("schemas/a.b.json", {"$ref": reference, "$defs": {"a/b": {}, "c": {"$anchor": "there"}}})
    assert told() == []


@pytest.mark.parametrize(
    ("file", "content", "pointer", "text"),
    [
        ("a.b/default.json", {"event": "a.b", "data": {"n": 0.5}}, "/data/n", "must be integer, is number"),
        ("a.b/default.json", "{", "", "not readable as JSON"),
        ("a.b/default.json", "3", "", "is no JSON object"),
        ("a.c/default.json", PAYLOAD, "", "no schema is for 'a.c', after which its directory is named; did you mean"),
        ("abc/default.json", PAYLOAD, "", "no schema is for 'abc'"),
        ("envelope/default.json", PAYLOAD, "", "no schema is for 'envelope'"),
        ("loose.json", PAYLOAD, "", "belongs to no event type"),
    ],
)
def test_what_is_wrong_with_a_sample_is_told(file: str, content: Any, pointer: str, text: str) -> None:
    write(f"samples/{file}", content)
    (found,) = told()
    assert found[:2] == (f"samples/{file}", pointer)
    assert text in found[2]


def test_a_directory_that_is_none_of_ours_is_left_alone() -> None:
    write("samples/testing/test_it.py", "")
    write("samples/scenarios/one.json", {})
    write("samples/scenarios/README.md", "")
    write("samples/handlers.py", "")
    assert told() == []


def test_a_keyword_that_is_none_is_a_warning_where_one_is_near() -> None:
    write(
        "schemas/a.b.json",
        {**GOOD, "requried": ["x"], "x-owner": "us", "notes": "ours", "properties": {"requried": {}}},
    )
    (found,) = problems(Path("schemas"))
    assert found == Problem(
        Path("schemas/a.b.json"), "/requried", "is no keyword, so it says nothing; did you mean 'required'?", True
    )
    assert called("receiver", "schemas", "check", "--schemas", "schemas").returncode == 0


def test_each_of_many_problems_is_a_line_and_the_exit_code_1() -> None:
    shutil.copytree(ROOT / "schemas", "schemas")
    write("schemas/a.b.json", {"type": 5, "properties": {"data": {"required": True}}})
    write("schemas/\x1b[31m.json", {})
    write("samples/transactions.fetched/default.json", {"event": "transactions.fetched", "data": {}})
    ended = called("receiver", "schemas", "check", "--schemas", "schemas")
    assert ended.returncode == 1
    lines = ended.stdout.splitlines()
    assert len(lines) == 4
    assert "\x1b" not in ended.stdout
    assert "samples/transactions.fetched/default.json: /data: 'consentId' is a required property; mend it" in lines[3]
    assert ended.stderr == "schemas: 4 problems, 0 warnings.\n"
    records = called("receiver", "schemas", "check", "--schemas", "schemas", "--json").stdout.splitlines()
    assert json.loads(records[3])["pointer"] == "/data"


def test_a_directory_without_schemas_is_a_usage_error() -> None:
    Path("empty").mkdir()
    with pytest.raises(ContractError, match="no schema is there; --schemas names"):
        list(problems(Path("empty")))
    assert called("receiver", "schemas", "check", "--schemas", "gone").returncode == 2
