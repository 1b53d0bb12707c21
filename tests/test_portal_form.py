"""Forms from schemas: what is typed into the fields that data filled is that data again, and what is wrong is told at
its field."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.contract import Contract
from receiver.outline import Place
from receiver.violations import Violation
from sender.portal.form import LEFT_OUT, Field, Kind, fields_of, flaws_at, id_of, typed

ODD = {
    "properties": {
        "count": {"type": "integer"},
        "ratio": {"type": ["number", "null"]},
        "either": {"type": ["integer", "string"]},
        "at": {"type": "string", "format": "date-time"},
        "on": {"type": "boolean", "description": "whether"},
        "kind": {"enum": ["a", 1, None, "left out"]},
        "fixed": {"const": "x"},
        "list": {"type": "array", "items": {"type": "string"}},
        "union": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "any": True,
        "a/b~c": {"type": "string"},
        "inner": {"type": "object", "properties": {"deep": {"type": "string"}}, "required": ["deep"]},
        "needed": {"type": "object", "properties": {"x": {"type": "string"}}},
    },
    "required": ["count", "needed", "undeclared"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The data of an event with members of all kinds."""
    directory = tmp_path_factory.mktemp("schemas")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"data": ODD}}
    (directory / "odd.made.json").write_text(json.dumps(schema))
    return Place.of_event(Contract(directory), "odd.made").members["data"]


def texts(fields: Sequence[Field]) -> Iterator[tuple[str, str]]:
    """What a browser sends of a form that nobody touched, but for line ends."""
    for field in fields:
        if field.kind is Kind.GROUP:
            yield from texts(field.members)
            if field.required:
                yield f"group:{field.pointer}", ""
        else:
            yield f"{field.kind}:{field.pointer}", field.text
            if field.types:
                yield f"type:{field.pointer}", field.type


def again(place: Place, data: dict[str, Any]) -> dict[str, Any]:
    made, flaws = typed(dict(texts(fields_of(place, data))))
    assert flaws == {}
    return made


def by_name(fields: Sequence[Field]) -> dict[str, Field]:
    return {field.name: field for field in fields}


def test_each_sample_of_the_contract_comes_back_as_it_was(contract: Contract) -> None:
    for event in contract.events:
        place = Place.of_event(contract, event).members["data"]
        for sample in contract.samples(event).values():
            assert again(place, sample["data"]) == sample["data"]


WHOLE = {
    "count": 1,
    "ratio": None,
    "either": "12",
    "at": "2026-11-25T12:00:00Z",
    "on": False,
    "kind": "left out",
    "fixed": "x",
    "list": ["a"],
    "union": 5,
    "any": None,
    "a/b~c": "",
    "inner": {"deep": "x", "more": [1]},
    "needed": {},
    "undeclared": 1,
    "extra": {"<b>": "</textarea>"},
}


def test_a_member_of_each_kind_comes_back_as_it_was(place: Place) -> None:
    assert again(place, WHOLE) == WHOLE
    for name in WHOLE:
        less = {other: value for other, value in WHOLE.items() if other != name}
        assert again(place, less) == {**less, **({"needed": {}} if name == "needed" else {})}, name


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*ODD["properties"], "x", ""]), VALUES))  # type: ignore[misc]
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_the_data_is_not_lost(place: Place, data: dict[str, Any]) -> None:
    """A required group is there when it is empty, and an optional one is not."""
    assert {**again(place, data), "inner": 0, "needed": 0} == {**data, "inner": 0, "needed": 0}


def test_fields_are_as_the_schema_has_them(place: Place) -> None:
    fields = by_name(fields_of(place, {}))
    assert {name: str(field.kind) for name, field in fields.items()} == {
        "count": "text",
        "ratio": "text",
        "either": "text",
        "at": "moment",
        "on": "choice",
        "kind": "choice",
        "fixed": "choice",
        "list": "json",
        "union": "json",
        "any": "json",
        "a/b~c": "text",
        "inner": "group",
        "needed": "group",
        "undeclared": "json",
    }
    assert fields["either"].types == ("integer", "string", LEFT_OUT)
    assert fields["ratio"].types == ("number", "null", LEFT_OUT)
    assert fields["on"].choices == ("true", "false", LEFT_OUT)
    assert fields["kind"].choices == ('"a"', "1", "null", '"left out"', LEFT_OUT)
    assert (fields["on"].description, fields["count"].required) == ("whether", True)
    assert fields["a/b~c"].pointer == "/a~1b~0c"


def test_what_is_not_as_the_schema_has_it_stands_there_all_the_same(place: Place) -> None:
    fields = by_name(
        fields_of(place, {"count": "many", "kind": "z", "either": [1], "inner": 5, "at": "today", "a/b~c": "a\nb"})
    )
    assert (fields["count"].text, fields["count"].type) == ("many", "string")
    assert fields["kind"].choices[-1] == '"z"'
    assert [fields[name].kind for name in ("either", "inner", "a/b~c", "at")] == [*[Kind.JSON] * 3, Kind.TEXT]


@pytest.mark.parametrize(
    ("submitted", "data"),
    [
        ({"text:/a": "12", "type:/a": "integer"}, {"a": 12}),
        ({"text:/a": " 1.5 ", "type:/a": "number"}, {"a": 1.5}),
        ({"text:/a": "many", "type:/a": "integer"}, {"a": "many"}),
        ({"text:/a": "true", "type:/a": "integer"}, {"a": "true"}),
        ({"text:/a": "12"}, {"a": "12"}),
        ({"text:/a": "x", "type:/a": "null"}, {"a": None}),
        ({"text:/a": "x", "type:/a": LEFT_OUT}, {}),
        ({"moment:/a": "2026-11-25T12:00"}, {"a": "2026-11-25T12:00:00Z"}),
        ({"moment:/a": "soon"}, {"a": "soon"}),
        ({"choice:/a": LEFT_OUT}, {}),
        ({"choice:/a": '"x"'}, {"a": "x"}),
        ({"json:/a": " "}, {}),
        ({"text:/a/b": "x"}, {"a": {"b": "x"}}),
        ({"others:/~": '{"a": 1}'}, {"a": 1}),
        ({"json:/a": "1", "text:/a/b": "x"}, {"a": 1}),
        ({"event": "x", "nonsense:/a": "x", "text:a": "x"}, {}),
    ],
)
def test_texts_become_typed_data(submitted: dict[str, str], data: dict[str, Any]) -> None:
    assert typed(submitted) == (data, {})


def test_texts_that_are_no_json_are_told_at_their_field() -> None:
    data, flaws = typed({"json:/a": "{", "others:/~": "[1]", "choice:/b": "x", "text:/c": "y"})
    assert data == {"c": "y"}
    assert {pointer: flaw.partition(":")[0] for pointer, flaw in flaws.items()} == {
        "/a": "is not JSON",
        "/b": "is not JSON",
        "/~": "must be a JSON object, of members and their values",
    }


def test_violations_are_told_at_their_field_or_at_the_one_that_they_lie_in() -> None:
    violations = [
        Violation("/data/a", "format", "must be of format uuid"),
        Violation("/data/list/0", "type", "must be string"),
        Violation("/data", "required", "'b' is a required property"),
        Violation("/data/inner", "required", "'x/y' is a required property"),
        Violation("/data/extra", "type", "must be string"),
        Violation("/event", "const", "must satisfy const"),
    ]
    told, elsewhere = flaws_at(["/a", "/list", "/b", "/inner/x~1y"], violations)
    assert told == {
        "/a": "must be of format uuid",
        "/list": "must be string",
        "/b": "is required",
        "/inner/x~1y": "is required",
    }
    assert [one.pointer for one in elsewhere] == ["/data/extra", "/event"]


def test_ids_are_fit_for_html_whatever_a_pointer_holds() -> None:
    ids = [id_of(pointer) for pointer in ("/a", '/"><script>', "/\ud800", "/ü b")]
    assert all(one.isascii() and one.isalnum() for one in ids)
    assert len(set(ids)) == len(ids)


def test_it_goes_as_deep_as_can_be_read(tmp_path: Path) -> None:
    endless = {"$ref": "#/$defs/x"}
    inner = {"type": "object", "properties": {"x": endless}}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"x": inner},
        "properties": {"data": inner},
    }
    (tmp_path / "odd.made.json").write_text(json.dumps(schema))
    place = Place.of_event(Contract(tmp_path), "odd.made").members["data"]
    assert again(place, {"x": {"x": {"x": {"x": {"x": {"x": {"y": 1}}}}}}}) == {
        "x": {"x": {"x": {"x": {"x": {"x": {"y": 1}}}}}}
    }
