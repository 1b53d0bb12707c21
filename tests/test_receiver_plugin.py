"""The receiver's pytest plugin, in real runs of pytest that find it as it is installed."""

import re
from pathlib import Path

import pytest
from conftest import ROOT, Suite, run_suite

POST = """
import time

import pytest
import requests

FETCHED = {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"}

def post(receiver, event="transactions.fetched", data=FETCHED):
    return requests.post(receiver.url, json={"event": event, "data": data}, timeout=20)
"""
TESTS = f"""{POST}
def test_passes(webhook_receiver):
    seen = []

    @webhook_receiver.handlers.on("transactions.*")
    def fetch(delivery):
        seen.append(delivery.id)

    assert post(webhook_receiver).status_code == 202
    delivery = webhook_receiver.wait_for("transactions.fetched", where={{"consentId": FETCHED["consentId"]}})
    assert seen == [delivery.id]
    assert (delivery.event, delivery.data, delivery.verdict) == ("transactions.fetched", FETCHED, "valid")
    assert [run.state for run in delivery.runs] == ["done"]
    assert webhook_receiver.deliveries == [delivery]
    webhook_receiver.assert_none("consent.*", within=0.01)


def test_starts_empty(webhook_receiver):
    assert webhook_receiver.deliveries == []


def test_handler_fails(webhook_receiver):
    @webhook_receiver.handlers.on("*")
    def break_(delivery):
        time.sleep(0.2)  # the end of the test waits for it
        raise ValueError("why it failed")

    post(webhook_receiver)


def test_failure_is_expected(webhook_receiver):
    @webhook_receiver.handlers.on("*")
    def break_(delivery):
        assert delivery.event == "another"

    webhook_receiver.expect_failure("break_")
    post(webhook_receiver)
    assert webhook_receiver.wait_for("*").runs[0].state == "failed"


def test_another_failure_is_expected(webhook_receiver):
    @webhook_receiver.handlers.on("*")
    def break_(delivery):
        raise ValueError

    webhook_receiver.expect_failure("other")
    post(webhook_receiver)


def test_any_failure_is_expected(webhook_receiver):
    webhook_receiver.expect_failure()


def test_waits_in_vain(webhook_receiver):
    post(webhook_receiver, "consent.status.updated", {{"consentId": 5}})
    post(webhook_receiver)
    webhook_receiver.wait_for("transactions.fetched", where={{"consentId": "other"}}, timeout=0.1)


def test_waits_for_nothing(webhook_receiver):
    webhook_receiver.wait_for("transactions.fetched", timeout=0.01)


def test_one_too_many(webhook_receiver):
    post(webhook_receiver, "consent.status.updated", {{}})
    webhook_receiver.assert_none("consent.*")


def test_handler_for_nothing(webhook_receiver):
    @webhook_receiver.handlers.on("transaction.fetched")
    def fetch(delivery): ...


@pytest.mark.webhook_receiver(handler="x.py")
def test_unknown_argument(webhook_receiver): ...


@pytest.mark.webhook_receiver(handlers="missing.py")
def test_no_such_handlers(webhook_receiver): ...


@pytest.mark.webhook_receiver(schemas="missing")
def test_no_such_schemas(webhook_receiver, webhook_contract): ...
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return run_suite(tmp_path_factory.mktemp("suite"), test_it=TESTS)


def test_a_test_that_receives_what_it_waits_for_passes(suite: Suite) -> None:
    assert suite.code == 1
    assert suite.outcome("test_passes") == suite.outcome("test_starts_empty") == {"PASSED"}


def test_a_handler_that_failed_fails_the_test_at_its_end_with_its_own_traceback(suite: Suite) -> None:
    assert suite.outcome("test_handler_fails") == {"PASSED", "ERROR"}
    told = suite.section("ERROR at teardown of test_handler_fails")
    assert re.match(r"handler break_ failed for transactions.fetched [0-9a-f]{16}:\nTraceback", told)
    assert 'raise ValueError("why it failed")' in told
    assert "worker.py" not in told


def test_a_failure_that_is_meant_is_no_failure(suite: Suite) -> None:
    assert suite.outcome("test_failure_is_expected") == {"PASSED"}


def test_a_failure_that_is_meant_and_does_not_come_is_one(suite: Suite) -> None:
    told = suite.section("ERROR at teardown of test_another_failure_is_expected")
    assert "handler break_ failed" in told
    assert "expect_failure: other did not fail" in told
    assert "expect_failure: no handler failed" in suite.section("ERROR at teardown of test_any_failure_is_expected")


def test_who_waits_in_vain_is_told_what_came_and_why_it_does_not_fit(suite: Suite) -> None:
    told = suite.section("test_waits_in_vain")
    errors = "\n".join(line[4:] for line in told.splitlines() if line.startswith("E   "))
    assert "AssertionError: no transactions.fetched where consentId fits came within 0.1 s; instead came:" in errors
    assert "consent.status.updated  invalid, answered 422  (another event)" in errors
    assert "/data/consentId  must be string, is integer" in errors
    assert "transactions.fetched  valid, answered 202  (another consentId)" in errors
    assert "testing.py" not in told.replace("receiver.testing", "")
    assert "came within 0.01 s, nor anything else" in suite.section("test_waits_for_nothing")


def test_one_that_must_not_come_is_told(suite: Suite) -> None:
    told = suite.section("test_one_too_many")
    assert "a delivery came that fits consent.*" in told
    assert "consent.status.updated  invalid, answered 422" in told


def test_a_handler_that_could_never_run_is_told(suite: Suite) -> None:
    told = suite.section("ERROR at teardown of test_handler_for_nothing")
    assert "no schema knows the event type 'transaction.fetched'; did you mean 'transactions.fetched'?" in told


def test_what_the_marker_does_not_know_is_an_error_that_says_what_it_does(suite: Suite) -> None:
    told = suite.section("ERROR at setup of test_unknown_argument")
    assert told == "webhook_receiver: does not take handler; known are: handlers=, schemas=, lenient=\n"


def test_what_cannot_be_used_is_told_in_a_line(suite: Suite) -> None:
    assert "missing.py: no such file" in suite.section("ERROR at setup of test_no_such_handlers")
    assert "missing: no such directory" in suite.section("ERROR at setup of test_no_such_schemas")


MODULE = """
from receiver import Handlers

handlers = Handlers()
seen = []

@handlers.on("*")
def note(delivery):
    seen.append(delivery.event)
"""


def test_settings_come_from_the_ini_and_the_marker_goes_first(tmp_path: Path) -> None:
    schema = '{"properties": {"event": {"const": "own.event"}, "data": {"required": ["x"]}}}'
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.event.json").write_text(schema)
    (tmp_path / "app.py").write_text(MODULE)
    (tmp_path / "other.py").write_text(MODULE.replace("note", "other"))
    tests = f"""{POST}
import app

def test_ini(webhook_receiver):
    assert post(webhook_receiver, "own.event", {{}}).status_code == 202  # lenient
    assert post(webhook_receiver, "own.event", {{"x": 1}}).status_code == 202
    assert [run.handler for run in webhook_receiver.wait_for("own.event").runs] == ["note"]
    assert app.seen == ["own.event"]

@pytest.mark.webhook_receiver(lenient=False)
class TestMarker:
    @pytest.mark.webhook_receiver(handlers="other.py")
    def test_file(self, webhook_receiver):
        assert post(webhook_receiver, "own.event", {{}}).status_code == 422
        post(webhook_receiver, "own.event", {{"x": 1}})
        assert [run.handler for run in webhook_receiver.wait_for("*").runs] == ["other"]

    @pytest.mark.webhook_receiver(handlers=app.handlers)
    @pytest.mark.parametrize("time", [1, 2])
    def test_object(self, webhook_receiver, time):
        @webhook_receiver.handlers.on("*")
        def more(delivery): ...

        assert len(app.handlers) == 1
        post(webhook_receiver, "own.event", {{"x": 1}})
        assert [run.handler for run in webhook_receiver.wait_for("*").runs] == ["note", "more"]

@pytest.mark.webhook_samples("other.event")
@pytest.mark.webhook_receiver(schemas="other")
def test_samples(delivery):
    assert delivery.data == {{"y": 2}}
"""
    (tmp_path / "other").mkdir()
    example = '"examples": [{"event": "other.event", "data": {"y": 2}}]'
    (tmp_path / "other" / "other.event.json").write_text(f"{{{example}}}")
    ini = "webhook_handlers = app\nwebhook_schemas = own\nwebhook_lenient = true\n"
    suite = run_suite(tmp_path, test_it=tests, ini=ini)
    assert suite.code == 0, suite.printed
    assert suite.printed.count("PASSED") == 5


SAMPLES = """
import pytest

@pytest.mark.webhook_samples("transactions.fetched")
def test_one_type(delivery):
    assert delivery.event == "transactions.fetched"
    assert "consentId" in delivery.data

@pytest.mark.webhook_samples("databridge.share.created", "databridge.share.updated")
def test_two_types(delivery): ...

@pytest.mark.webhook_samples
def test_all(delivery): ...
"""


@pytest.mark.parametrize(
    "options", [pytest.param([], id="alone"), pytest.param(["-n", "2"], id="xdist", marks=pytest.mark.slow)]
)
def test_a_test_runs_for_each_sample(tmp_path: Path, options: list[str]) -> None:
    suite = run_suite(tmp_path, *options, test_it=SAMPLES, test_more=f"{TESTS.partition('def test_starts_empty')[0]}")
    assert suite.code == 0, suite.printed
    ran = re.findall(r"^PASSED test_it.py::(\w+)\[(.*)\]", suite.printed, re.MULTILINE)
    samples = {f"{path.parent.name}-{path.stem}" for path in (ROOT / "samples").glob("*.*/*.json")}
    assert {id_ for test, id_ in ran if test == "test_all"} == samples
    assert {id_ for test, id_ in ran if test == "test_one_type"} == {
        id_ for id_ in samples if id_.startswith("transactions.fetched-")
    }
    assert {id_ for test, id_ in ran if test == "test_two_types"} == {
        "databridge.share.created-default",
        "databridge.share.updated-default",
    }


def test_an_event_type_that_no_schema_knows_is_an_error_of_collection(tmp_path: Path) -> None:
    suite = run_suite(tmp_path, test_it=SAMPLES.replace('samples("transactions', 'samples("transaction'))
    assert suite.code == 2
    told = suite.section("ERROR collecting test_it.py")
    hint = "did you mean 'transactions.fetched'?"
    assert told == f"webhook_samples: no schema knows the event type 'transaction.fetched'; {hint}\n"


def test_a_run_that_uses_none_of_it_pays_for_none_of_it(tmp_path: Path) -> None:
    """The plugins alone: others may import what they like."""
    heavy = {"flask", "waitress", "sqlite3", "jsonschema", "jsonschema_rs", "click", "requests"}
    conftest = f"""
import sys

def pytest_sessionfinish(session):
    ours = {{name for name in sys.modules if name.partition(".")[0] in {{"receiver", "sender"}}}}
    print("imported", *sorted({heavy} & set(sys.modules)), *sorted(ours))
"""
    words = ["-p", "enablenow_receiver", "-p", "enablenow_sender", "-s"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        suite = run_suite(tmp_path, *words, test_it="def test_it(): ...", conftest=conftest)
    assert suite.code == 0
    (line,) = re.findall(r"imported (.*)", suite.printed)
    assert line.split() == ["receiver", "receiver.pytest_plugin", "sender", "sender.pytest_plugin"]


def test_markers_and_options_are_described(tmp_path: Path) -> None:
    assert "webhook_receiver(handlers=..., schemas=..., lenient=...)" in run_suite(tmp_path, "--markers").printed
    told = run_suite(tmp_path, "--fixtures", "-v").printed
    assert all(name in told for name in ("webhook_receiver", "webhook_contract", "fire"))
