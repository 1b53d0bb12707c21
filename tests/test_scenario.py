"""Reading a scenario: what is written is what is played, and what cannot be meant is named with its step."""

import json
from pathlib import Path

import pytest

from receiver.contract import Contract
from sender.scenario import Expectation, ScenarioError, Step, read

FETCHED = "transactions.fetched"


def written(text: str, name: str = "s.yaml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def test_yaml_with_a_head_is_read(contract: Contract) -> None:
    scenario = read(
        written(f"""
title: Two
concurrency: 3
steps:
- event: {FETCHED}
  after: 1m
  count: 4
  rate: 2.5
  data: {{consentId: "${{c}}"}}
  expect: {{status: [202, 200], within: 200ms, verdict: valid}}
- {{event: a.b, body: "no", validate: false, expect: {{state: unknown}}}}
""")
    )
    first, second = scenario.steps()
    assert (scenario.title, scenario.concurrency) == ("Two", 3)
    assert first == Step(
        where="s.yaml: step 1",
        event=FETCHED,
        after=60.0,
        count=4,
        rate=2.5,
        data={"consentId": "${c}"},
        expect=Expectation(status=(202, 200), within=0.2, verdict="valid"),
    )
    assert second.body == "no"
    assert second.expect == Expectation(state="unknown")


def test_a_list_alone_is_a_scenario() -> None:
    scenario = read(written(f"- event: {FETCHED}"))
    assert (scenario.title, scenario.concurrency, len(list(scenario.steps()))) == ("s", 1, 1)


@pytest.mark.parametrize("headed", [True, False])
def test_json_lines_are_read_a_line_at_a_time_and_anew_each_time(headed: bool) -> None:
    head = json.dumps({"title": "Lines", "concurrency": 2}) + "\n"
    steps = f'{{"event": "{FETCHED}", "after": 0.5}}\n\n{{"event": "a.b"}}\n'
    scenario = read(written((head if headed else "") + steps, "s.jsonl"))
    assert scenario.title == ("Lines" if headed else "s")
    for _ in range(2):
        assert [(step.event, step.after) for step in scenario.steps()] == [(FETCHED, 0.5), ("a.b", 0.0)]
    assert next(scenario.steps()).where == f"s.jsonl: line {2 if headed else 1}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no steps"),
        ("steps: []", "has no steps"),
        ("just words", "has no steps"),
        ("a: [", "s.yaml: while parsing"),
        ("titel: x\nsteps: [{event: a.b}]", "there is no 'titel'; did you mean 'title'"),
        ("concurrency: 0\nsteps: [{event: a.b}]", "concurrency: must be from 1 to 1000"),
        ("concurrency: many\nsteps: [{event: a.b}]", "concurrency: 'many' is not of its kind"),
    ],
)
def test_a_file_that_is_no_scenario_is_told(text: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        read(written(text))


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("words", "step 1: must be an object with event, after,"),
        ("{after: 1s}", "step 1: which event"),
        ("{event: a.b, dat: {}}", "no 'dat'; did you mean 'data'"),
        ("{event: a.b, after: soon}", "after: 'soon' is not a length of time such as 200ms"),
        ("{event: a.b, count: true}", "count: True is not of its kind"),
        ("{event: a.b, count: 0}", "must be more than 0"),
        ("{event: a.b, rate: 0}", "must be more than 0"),
        ("{event: a.b, data: [1]}", "data: \\[1\\] is not of its kind"),
        ("{event: a.b, data: {}, sample: x}", "data and sample exclude each other"),
        ("{event: a.b, body: x, set: {a: 1}}", "leave out set"),
        ("{event: a.b, fault: slwo}", "fault 'slwo'; did you mean 'slow'"),
        ("{event: a.b, expect: {statuss: 1}}", "step 1: expect: there is no 'statuss'; did you mean 'status'"),
        ("{event: a.b, expect: {status: 20}}", "write it as 202, or as \\[400, 422\\]"),
        ("{event: a.b, expect: {verdict: vaild}}", "did you mean 'valid'"),
        ("{event: a.b, expect: {state: done}}", "known are: delivered, refused, sending, unknown"),
        ("{event: a.b, expect: {within: long}}", "within: 'long' is not a length of time"),
    ],
)
def test_a_step_that_cannot_be_meant_is_named(step: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=told):
        list(read(written(f"- {step}")).steps())


def test_a_line_that_is_no_json_is_told() -> None:
    with pytest.raises(ScenarioError, match=r"s\.jsonl: .*has a step as a JSON object in each line"):
        list(read(written('{"event": "a.b"}\n{"event": \n', "s.jsonl")).steps())


def test_a_file_that_is_not_there_is_told() -> None:
    for name in ("none.yaml", "none.jsonl"):
        with pytest.raises(ScenarioError, match="No such file"):
            read(Path(name))


def test_each_that_is_shipped_can_be_read() -> None:
    files = sorted((Contract().samples_directory / "scenarios").iterdir())
    assert [path.stem for path in files] == ["bad-day", "consent-life", "load", "refresh-day"]
    for path in files:
        assert all(step.expect for step in read(path).steps())
