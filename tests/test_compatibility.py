"""What a change of the contract means for who relies on the old one: small changes with the verdicts that they have to
get, each shown by a payload that both versions have judged; and a `compatible` is never wrong."""

import json
import subprocess
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, called
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.contract import Contract
from receiver.instances import variants
from receiver.outline import Place
from receiver.upkeep.compatibility import Comparison, Reader, compare
from receiver.upkeep.containment import Outcome

OBJECT = {"type": "object"}
TEXT = {"type": "string"}
LISTS = {"properties": {"a": {"items": {"$ref": "#/properties/data/properties/a"}, "minItems": 1, "maxItems": 4}}}
RECURSIVE = {"properties": {"next": {"$ref": "#/properties/data"}, "a": TEXT}}
NUMBERS = count()


def of(**members: Any) -> dict[str, Any]:
    return {"properties": members}


def need(*names: str, **members: Any) -> dict[str, Any]:
    return {"properties": members, "required": list(names)}


def contract(data: Any, **documents: Any) -> Contract:
    """A contract with the event type `a.b`, of which this is said of `data`."""
    directory = Path(f"contract-{next(NUMBERS)}", "schemas")
    directory.mkdir(parents=True)
    schema = {"$ref": "envelope.json", "properties": {"event": {"const": "a.b"}, "data": data}}
    for name, document in {"a.b": schema, **documents}.items():
        (directory / f"{name}.json").write_text(json.dumps(document))
    return Contract(directory)


def compared(old: Any, new: Any) -> Comparison:
    (comparison,) = compare(contract(old), contract(new))
    return comparison


def letters(comparison: Comparison) -> str:
    """The first letters of the three verdicts: strict, tolerant, replay."""
    return "".join(comparison.answers[reader].outcome[0] for reader in Reader)


CHANGES = {
    "nothing": (of(a=TEXT), of(a=TEXT), "ccc"),
    "only what explains": (of(a=TEXT), {**of(a={**TEXT, "title": "A", "examples": [5]}), "$comment": "x"}, "ccc"),
    "a new optional member": (of(a=TEXT), of(a=TEXT, b=TEXT), "bcb"),
    "a new optional member of any kind": (of(a=TEXT), of(a=TEXT, b={}), "bcc"),
    "a new required member": (of(a=TEXT), need("b", a=TEXT, b=TEXT), "bcb"),
    "a member is required from now on": (of(a=TEXT), need("a", a=TEXT), "ccb"),
    "a member is not required any more": (need("a", a=TEXT), of(a=TEXT), "bbc"),
    "an optional member is gone": (of(a=TEXT, b=TEXT), of(a=TEXT), "cbc"),
    "a required member is gone": (need("b", a=TEXT, b=TEXT), of(a=TEXT), "bbc"),
    "another type": (of(a=TEXT), of(a={"type": "integer"}), "bbb"),
    "a wider type": (of(a={"type": "integer"}), of(a={"type": "number"}), "bbc"),
    "a narrower type": (of(a={"type": ["string", "null"]}), of(a=TEXT), "ccb"),
    "a wider enum": (of(a={"enum": ["A"]}), of(a={"enum": ["A", "B"]}), "bbc"),
    "a narrower enum": (of(a={"enum": ["A", "B"]}), of(a={"enum": ["A"]}), "ccb"),
    "an enum in another order": (of(a={"enum": ["A", "B"]}), of(a={"enum": ["B", "A"]}), "ccc"),
    "a const for an enum of one": (of(a={"enum": ["A"]}), of(a={"const": "A"}), "ccc"),
    "1 is not true": (of(a={"const": 1}), of(a={"const": True}), "bbb"),
    "a format from now on": (of(a=TEXT), of(a={**TEXT, "format": "uuid"}), "ccb"),
    "no format any more": (of(a={**TEXT, "format": "uuid"}), of(a=TEXT), "bbc"),
    "another format": (of(a={**TEXT, "format": "uuid"}), of(a={**TEXT, "format": "date"}), "bbb"),
    "another bound": (of(a={"minimum": 0}), of(a={"minimum": 1}), "ccb"),
    "a shorter text": (of(a={"maxLength": 9}), of(a={"maxLength": 3}), "ccb"),
    "a pattern from now on": (of(a=TEXT), of(a={**TEXT, "pattern": "^[0-9]+$"}), "ccb"),
    "a pattern that cannot be compared": (of(a={"pattern": "^[ab]+c$"}), of(a={"pattern": "^(a|b)+c$"}), "uuu"),
    "items": (of(a={"items": TEXT}), of(a={"items": {**TEXT, "minLength": 1}}), "ccb"),
    "a member of items": (of(a={"items": of(x=TEXT)}), of(a={"items": of(x=TEXT, y={})}), "bcc"),
    "fewer items": (of(a={"maxItems": 3}), of(a={"maxItems": 2}), "ccb"),
    "closed from now on": (of(a=TEXT), {**of(a=TEXT), "additionalProperties": False}, "ccb"),
    "open from now on": ({**of(a=TEXT), "additionalProperties": False}, of(a=TEXT), "cbc"),
    "documented from now on": (OBJECT, need("a", a=TEXT), "ccb"),
    "not documented any more": (need("a", a=TEXT), OBJECT, "bbc"),
    "one of two, written otherwise": (
        of(a={"anyOf": [TEXT, {"type": "null"}]}),
        of(a={"type": ["null", "string"]}),
        "ccc",
    ),
    "a part by reference": (
        of(a=TEXT),
        {"$defs": {"t": TEXT}, "properties": {"a": {"$ref": "#/properties/data/$defs/t"}}},
        "ccc",
    ),
    "what refers to itself, the same": (RECURSIVE, {**RECURSIVE, "title": "x"}, "ccc"),
    "what refers to itself, changed": (RECURSIVE, {**RECURSIVE, "minProperties": 0}, "uuu"),
    "lists of lists of lists": (LISTS, {**LISTS, "minProperties": 1}, "uub"),
    "what refers to itself, broken": (RECURSIVE, {**RECURSIVE, "required": ["a"]}, "uub"),
    "what a pattern declares": (of(a=TEXT), {**of(a=TEXT), "patternProperties": {"^b": TEXT}}, "ucu"),
    "what a dynamic reference says": (of(a=TEXT), of(a={"$dynamicRef": "#x", "$dynamicAnchor": "x"}), "ubu"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_has_the_verdicts_that_it_has_to_get(change: str) -> None:
    old, new, verdicts = CHANGES[change]
    comparison = compared(old, new)
    assert letters(comparison) == verdicts, comparison
    if verdicts == "ccc":
        return
    assert comparison.changes


@pytest.mark.parametrize("change", CHANGES)
def test_a_payload_that_is_shown_is_judged_so_by_both(change: str) -> None:
    old, new = map(contract, CHANGES[change][:2])
    (comparison,) = compare(old, new)
    for reader, (made_by, read_by) in {Reader.TOLERANT: (new, old), Reader.REPLAY: (old, new)}.items():
        answer = comparison.answers[reader]
        if answer.outcome is Outcome.BREAKING:
            assert answer.payload, "each of these small changes can be shown"
            assert made_by.allows(answer.payload)
            assert not read_by.allows(answer.payload)
            assert answer.reason


@pytest.mark.parametrize("event", Contract().events)
def test_each_shipped_schema_is_compatible_with_itself(event: str, contract: Contract) -> None:
    found = {comparison.event: comparison for comparison in compare(contract, Contract())}
    assert (found[event].change, letters(found[event])) == ("same", "ccc")


def test_the_places_that_changed_are_told_but_for_what_explains() -> None:
    old = need("a", a={"enum": ["A", "B"], "title": "old"}, b=TEXT)
    new = need("a", "c", a={"enum": ["B", "C"], "title": "new"}, c={"allOf": [TEXT]})
    assert set(compared(old, new).changes) == {
        ("/properties/data/required", 'added "c"'),
        ("/properties/data/properties/a/enum", 'removed "A"'),
        ("/properties/data/properties/a/enum", 'added "C"'),
        ("/properties/data/properties/b", "removed"),
        ("/properties/data/properties/c", "added"),
    }


def test_a_change_in_a_neighbour_is_one_of_who_refers_to_it() -> None:
    data = {"$ref": "part.json#/$defs/x"}
    old, new = (contract(data, part={"$defs": {"x": of(a=said)}}) for said in (TEXT, {"type": "integer"}))
    found = {comparison.event: comparison for comparison in compare(old, new)}
    assert letters(found["a.b"]) == "bbb"
    assert found["a.b"].changes == (("part.json#/$defs/x/properties/a/type", 'changed from "string" to "integer"'),)


def test_an_event_type_that_is_new_or_gone() -> None:
    one, two = contract(OBJECT), contract(OBJECT, **{"c.d": {}})
    assert {(found.event, found.change, letters(found)) for found in compare(one, two)} == {
        ("a.b", "same", "ccc"),
        ("c.d", "added", "bcc"),
    }
    assert {(found.event, found.change, letters(found)) for found in compare(two, one)} == {
        ("a.b", "same", "ccc"),
        ("c.d", "removed", "ccb"),
    }


def test_a_schema_of_another_draft_is_compared_beside_the_shipped_envelope() -> None:
    draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
    said = [TEXT, {"type": ["string", "null"]}]
    old, new = ({**draft, "properties": {"data": of(a=one)}} for one in said)
    (comparison,) = compare(contract(OBJECT, **{"a.b": old}), contract(OBJECT, **{"a.b": new}))
    assert letters(comparison) == "bbc"


def test_parts_that_double_without_end_are_not_compared() -> None:
    def doubled(last: Any) -> Any:
        parts = {f"p{n}": of(a={"$ref": f"#/$defs/p{n + 1}"}, b={"$ref": f"#/$defs/p{n + 1}"}) for n in range(40)}
        return {"$defs": {**parts, "p40": last}, "properties": {"data": {"$ref": "#/$defs/p0"}}}

    old, new = (contract(OBJECT, **{"a.b": doubled(last)}) for last in (TEXT, {"type": "integer"}))
    (comparison,) = compare(old, new)
    assert letters(comparison) == "uuu"
    assert "more than 5000 parts" in comparison.answers[Reader.TOLERANT].reason


def test_an_event_that_is_said_by_its_file_alone_is_compared_as_such() -> None:
    """A schema without `event` judges only payloads that name it."""
    plain = contract(OBJECT, **{"a.b": {"properties": {"data": OBJECT}}})
    assert [letters(found) for found in compare(plain, contract(OBJECT))] == ["ccc"]


def schemas() -> st.SearchStrategy[Any]:
    kinds = st.sampled_from(["string", "integer", "number", "null", "object", "array", "boolean"])
    small = st.integers(-1, 2)
    values = st.sampled_from(["a", "A", "1", "", 0, 1, 1.5, True, None])
    leaves = st.fixed_dictionaries(
        {},
        optional={
            "type": st.one_of(kinds, st.lists(kinds, min_size=1, max_size=3, unique=True)),
            "enum": st.lists(values, min_size=1, max_size=3, unique_by=repr),
            "const": values,
            "minimum": small,
            "maximum": small,
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(0, 2),
            "pattern": st.sampled_from(["^a", "^[0-9]+$", "A"]),
            "format": st.sampled_from(["uuid", "date"]),
        },
    )
    return st.recursive(leaves, _around, max_leaves=5)


def _around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["a", "b"])
    objects = st.fixed_dictionaries(
        {"properties": st.dictionaries(names, inner, max_size=2)},
        optional={
            "required": st.lists(names, unique=True, max_size=2),
            "additionalProperties": st.one_of(st.just(False), inner),
            "maxProperties": st.integers(0, 2),
        },
    )
    arrays = st.fixed_dictionaries(
        {"items": inner}, optional={"minItems": st.integers(0, 2), "uniqueItems": st.just(True)}
    )
    several = st.tuples(st.sampled_from(["allOf", "anyOf", "oneOf"]), st.lists(inner, min_size=1, max_size=2))
    return st.one_of(objects, arrays, several.map(lambda pair: {pair[0]: pair[1]}), inner.map(lambda one: {"not": one}))


def instances(old: Contract, new: Contract) -> Iterator[Any]:
    """What both suggest, and what differs from that in one place, twice."""
    places = [Place.of_event(one, "a.b") for one in (old, new)]
    for first in variants({"event": "a.b", "data": {}}, places):
        yield first
        if isinstance(first, dict) and isinstance(first.get("data"), dict):
            yield from variants(first, places)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schemas(), schemas(), st.booleans())
def test_a_compatible_verdict_is_never_contradicted(one: Any, other: Any, related: bool) -> None:
    old = contract(of(x=one))
    new = contract(of(x={"allOf": [one, other]} if related else other))
    (comparison,) = compare(old, new)
    strict, tolerant, replay = (comparison.answers[reader].ok for reader in Reader)
    if not (strict or tolerant or replay):
        return
    for payload in islice(instances(old, new), 2000):
        by_old, by_new = old.allows(payload), new.allows(payload)
        assert by_old or not by_new or not tolerant, payload
        assert by_new or not by_old or not replay, payload
        if strict and by_new and not undeclared(payload, Place.of_event(new, "a.b")):
            assert by_old, payload
            assert not undeclared(payload, Place.of_event(old, "a.b")), payload


def undeclared(value: Any, place: Place) -> bool:
    """Whether there is a member that is not declared, where any is."""
    if isinstance(value, dict):
        if place.members and value.keys() - place.members.keys():
            return True
        return any(undeclared(member, place.members[name]) for name, member in value.items() if name in place.members)
    return isinstance(value, list) and any(undeclared(item, place.items) for item in value)


def git(*words: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], check=True, capture_output=True)


@pytest.fixture
def repository() -> None:
    """Two commits: the second one requires a member more."""
    git("init", "-q")
    for number, data in enumerate([of(a=TEXT), need("a", a=TEXT)]):
        directory = contract(data).directory
        Path("schemas").mkdir(exist_ok=True)
        Path("schemas/a.b.json").write_bytes((directory / "a.b.json").read_bytes())
        Path("schemas/readme.txt").write_text("no schema")
        git("add", "schemas")
        git("commit", "-qm", str(number))


@pytest.mark.usefixtures("repository")
def test_two_revisions_are_compared_by_the_command() -> None:
    ended = called("receiver", "schemas", "diff", "HEAD~1", "HEAD")
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[:4] == [
        "a.b  changed",
        "  strict    compatible",
        "  tolerant  compatible",
        "  replay    breaking    /data 'a' is a required property",
    ]
    assert ended.stdout.splitlines()[-1] == "  /properties/data/required: added"
    assert called("receiver", "schemas", "diff", "HEAD:schemas", "schemas").returncode == 0
    only_tolerant = called("receiver", "schemas", "diff", "HEAD~1", "HEAD", "--for", "tolerant", "--json")
    assert only_tolerant.returncode == 0
    record = json.loads(only_tolerant.stdout)
    assert record["replay"]["verdict"] == "breaking"
    assert record["replay"]["payload"] == {"event": "a.b", "data": {}}
    assert record["changes"] == [{"pointer": "/properties/data/required", "what": "added"}]


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("where", ["--help", "--output=x", "gone", "HEAD:gone", "HEAD:schemas/a.b.json", "HEAD~1:"])
def test_what_is_no_revision_is_a_usage_error_and_no_option_of_git(where: str) -> None:
    ended = called("receiver", "schemas", "diff", "--", where, "schemas")
    if where == "HEAD~1:":
        assert ended.returncode == 1
        return
    assert ended.returncode == 2
    assert "give DIR, REV or REV:path" in ended.stderr
    assert not Path("x").exists()


def test_a_schema_of_a_revision_that_cannot_be_used_is_told_with_the_revision() -> None:
    git("init", "-q")
    Path("schemas").mkdir()
    Path("schemas/a.b.json").write_text("[]")
    git("add", "schemas")
    git("commit", "-qm", "x")
    ended = called("receiver", "schemas", "diff", "HEAD", str(ROOT / "schemas"))
    assert ended.returncode == 2
    assert "HEAD/a.b.json: must be a JSON object" in ended.stderr
