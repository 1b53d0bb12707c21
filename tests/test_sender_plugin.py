"""The sender's pytest plugin, in real runs of pytest that find it as it is installed."""

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT, Suite, run_suite
from receivers.planted import FAULTS, running

TESTS = """
import http.server
import json
import re
import re
import threading

import pytest

UUID = re.compile(r"[0-9a-f-]{36}")


@pytest.fixture
def peer():
    posts = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            posts.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500)
            self.end_headers()
            self.wfile.write(b"no")

        def log_message(self, *args): ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook", posts
        server.shutdown()
        thread.join()


def test_fires_at_the_receiver(fire):
    sent = fire("transactions.fetched")
    assert (sent.ok, sent.status, sent.state, sent.reason) == (True, 202, "delivered", None)
    assert UUID.fullmatch(sent.data["consentId"])
    assert sent.milliseconds > 0


def test_the_receiver_has_it(fire, webhook_receiver):
    sent = fire("transactions.fetched", consentId="c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90")
    fire("transactions.fetched")
    received = webhook_receiver.wait_for("transactions.fetched", where={"consentId": sent.data["consentId"]})
    assert (received.id, received.data) == (sent.delivery, sent.data)
    assert len(webhook_receiver.deliveries) == 2


def test_fires_once_elsewhere_and_starts_no_receiver(fire, peer, request):
    url, posts = peer
    sent = fire("consent.status.updated", to=url, headers={"X-Test": "1"}, timeout=10)
    assert (sent.ok, sent.status, sent.answer, sent.delivery) == (False, 500, b"no", None)
    ((path, headers, body),) = posts
    assert (path, headers["X-Test"]) == ("/hook", "1")
    assert json.loads(body) == {"event": sent.event, "data": sent.data}
    assert "webhook_receiver" not in request.node.funcargs


def test_nobody_is_there(fire):
    sent = fire("transactions.fetched", to="http://127.0.0.1:9/hook")
    assert (sent.ok, sent.status, sent.state) == (False, None, "refused")
    assert "refused" in sent.reason


def test_fields(fire):
    sent = fire("transactions.fetched", sample="without-user", addedTransactionsCount=3)
    assert sent.data["addedTransactionsCount"] == 3
    assert sent.data["userId"] is None


@pytest.mark.webhook_receiver(schemas="own")
def test_fields_of_objects(fire):
    from sender.payload import PayloadError

    assert fire("own.event", user={"id": 5}).data == {"x": 1, "user": {"id": 5, "name": "n"}}
    assert fire("own.event", user={}, x={"y": 1}).data == {"x": {"y": 1}, "user": {}}
    with pytest.raises(PayloadError, match="no field 'user.nam' in the data; did you mean 'user.name'"):
        fire("own.event", user={"nam": "x"})


def test_whole_data(fire):
    data = {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90", "sample": "x", "event": None, "new": [1]}
    assert fire("transactions.fetched", data=data).data == data
    assert fire("transactions.fetched", data=data, new=2).data == {**data, "new": 2}
    assert data["new"] == [1]


def test_what_is_invalid_is_sent_when_asked_for(fire, webhook_receiver):
    sent = fire("transactions.fetched", consentId=5, validate=False)
    assert (sent.status, webhook_receiver.deliveries[0].verdict) == (422, "invalid")
    assert json.loads(sent.answer)["violations"][0]["pointer"] == "/data/consentId"
    assert fire("new.event", data={}, validate=False).status == 202
    webhook_receiver.assert_none("consent.*", within=0)


@pytest.mark.parametrize(
    ("event", "arguments", "error"),
    [
        ("transaction.fetched", {}, "did you mean 'transactions.fetched'"),
        ("transactions.fetched", {"consentid": "x"}, "no field 'consentid' in the data; did you mean 'consentId'"),
        ("transactions.fetched", {"consentId": 5}, "validate=False sends it:\\n  /data/consentId  must be string"),
        ("transactions.fetched", {"data": {}}, "'consentId' is a required property"),
        ("transactions.fetched", {"sample": "nope"}, "no sample 'nope'"),
        ("transactions.fetched", {"sample": "default", "data": {}}, "exclude each other"),
        ("transactions.fetched", {"data": {"x": object()}}, "cannot be written as JSON"),
        ("transactions.fetched", {"data": {"x": float("nan")}}, "cannot be written as JSON"),
        ("new.event", {"data": {}}, "unknown event type 'new.event'"),
    ],
)
def test_what_cannot_be_made(fire, peer, event, arguments, error):
    from sender.payload import PayloadError

    url, posts = peer
    with pytest.raises(PayloadError) as raised:
        fire(event, to=url, **arguments)
    assert error in str(raised.value)
    assert posts == []


def test_where_it_cannot_go(fire):
    from sender.address import EndpointError

    with pytest.raises(EndpointError):
        fire("transactions.fetched", to="ftp://x")


@pytest.mark.webhook_receiver(schemas="own")
def test_another_contract(fire, webhook_receiver):
    assert fire("own.event").data["x"] == 1
    assert webhook_receiver.wait_for("own.event").verdict == "valid"
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """Run once; each test below looks at its own part, so that a failure has a name."""
    directory: Path = tmp_path_factory.mktemp("suite")
    (directory / "own").mkdir()
    example = {"event": "own.event", "data": {"x": 1, "user": {"id": 1, "name": "n"}}}
    (directory / "own" / "own.event.json").write_text(json.dumps({"examples": [example]}))
    return run_suite(directory, test_it=TESTS)


@pytest.mark.parametrize("test", [line[4:].partition("(")[0] for line in TESTS.splitlines() if line[:8] == "def test"])
def test_in_a_suite_of_a_user(suite: Suite, test: str) -> None:
    assert suite.outcome(test) == {"PASSED"}, suite.printed


@pytest.mark.slow
def test_each_test_has_a_receiver_of_its_own_in_each_process(tmp_path: Path) -> None:
    text = """
import pytest

@pytest.mark.parametrize("number", range(20))
def test_it(fire, webhook_receiver, number):
    sent = fire("transactions.fetched", addedTransactionsCount=number)
    assert webhook_receiver.wait_for("*").data == sent.data
    assert len(webhook_receiver.deliveries) == 1
"""
    suite = run_suite(tmp_path, "-n", "2", test_it=text)
    assert suite.code == 0, suite.printed
    assert suite.printed.count("PASSED") == 20


def test_the_readme_s_example_passes(tmp_path: Path) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    (example,) = [text for text in examples if "webhook_receiver" in text]
    suite = run_suite(tmp_path, test_it=example)
    assert suite.code == 0, suite.printed
    assert suite.outcome("test_a_handler_alone") == suite.outcome("test_over_http") == {"PASSED"}


@pytest.mark.slow
def test_each_case_of_the_contract_is_a_test(tmp_path: Path) -> None:
    with running(FAULTS["ignores-the-minimum"][0]) as server:
        suite = run_suite(
            tmp_path,
            test_cases=f"""
import pytest

@pytest.mark.contract_cases(events=["transactions.fetched"])
def test_mine(contract_case):
    contract_case.check("{server.url}")

@pytest.mark.contract_cases(profile="tolerant", only=["malformed/nan"])
@pytest.mark.parametrize("status", [400, 202, 500])
def test_otherwise(contract_case, status):
    assert b"NaN" in contract_case.case.body
    contract_case.check_status(status)
""",
        )
    assert (
        "FAILED test_cases.py::test_mine[transactions.fetched/data/addedTransactionsCount/minimum/below]"
        in suite.printed
    )
    assert "202 answered, 4xx expected" in suite.printed
    assert "curl -sS -i -X POST" in suite.printed
    assert (
        "malformed/nan: 500 answered, no 5xx expected: what is not JSON is rejected (RFC 8259, 2 to 8)" in suite.printed
    )
    assert "sender/verify/testing.py" not in suite.printed
    assert re.search(r"\b2 failed, \d{3} passed", suite.printed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("profil='x'", "argument 'profil'"),
        ("profile='x'", "'x' is not a valid Profile"),
        ("events=['x.y']", "no case fits `events` and `only`; `sender verify --list` shows them all"),
    ],
)
def test_cases_that_cannot_be_meant_so_are_told(tmp_path: Path, arguments: str, said: str) -> None:
    test = f"import pytest\n@pytest.mark.contract_cases({arguments})\ndef test_it(contract_case): ...\n"
    assert said in run_suite(tmp_path, test_it=test).printed
