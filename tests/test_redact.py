"""With --redact no id and no free text of what came is on a page, in a line, or in `list` and `show`; the inbox keeps
every byte."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from conftest import JSON, SOON, Process, called, printing, receiving_here, wait_for

from receiver import Delivery, Handlers
from receiver.contract import Contract, Judgement, Verdict
from receiver.entry import Entry, Run, RunState
from receiver.redact import MASK, known, redacted

SECRET = "NL91ABNA0417164300"
CONSENT = "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"
VALID = {
    "event": "transactions.fetched",
    "data": {"consentId": CONSENT, "externalUserId": SECRET, "extra": {"deep": [SECRET]}},
}
BODIES = [
    json.dumps(VALID).encode(),
    json.dumps({"event": "transactions.fetched", "data": {"consentId": SECRET}}).encode(),
    json.dumps({"event": SECRET, "data": {"a": SECRET, "ids": [1234567, 7654321]}}).encode(),
    f'{{"event": "transactions.fetched", "data": "{SECRET}'.encode(),
    f'"{SECRET}" '.encode() * 40,
]
HIDDEN = (SECRET, CONSENT, "1234567", "7654321", SECRET[:8])


def entry(payload: object, contract: Contract) -> Entry:
    judged: Judgement = contract.judge(payload)
    body = json.dumps(payload).encode()
    return Entry(
        "ab" * 8, 1, judged.event, judged.verdict, 202, len(body), {"Host": "h", "X": SECRET}, body, judged.violations
    )


def test_what_the_schema_says_times_numbers_and_keys_stay(contract: Contract) -> None:
    data = {
        "consentId": CONSENT,
        "status": 5,
        "id": 17,
        "userIDs": [1, 2],
        "paid": 12.5,
        "valid": True,
        "grid": 3,
        "none": None,
        "at": "2026-11-24T16:34:35Z",
        "day": "2026-11-24",
        "name": "Müller",
    }
    shown = redacted(entry({"event": "transactions.fetched", "data": data}, contract), contract)
    assert json.loads(shown.body) == {
        "event": "transactions.fetched",
        "data": {
            **data,
            "consentId": MASK,
            "id": MASK,
            "userIDs": [MASK, MASK],
            "name": MASK,
        },
    }
    assert dict(shown.headers) == {"Host": "h", "X": MASK}


def test_members_of_an_enum_and_constants_stay(tmp_path: Path) -> None:
    kind = {"enum": ["debit", "credit"]}
    schema = {"properties": {"event": {"const": "a.b"}, "data": {"properties": {"kind": kind, "typeId": {"const": 7}}}}}
    (tmp_path / "a.b.json").write_text(json.dumps(schema))
    contract = Contract(tmp_path)
    payload = {"event": "a.b", "data": {"kind": "debit", "typeId": 7, "other": "debit"}}
    shown = json.loads(redacted(entry(payload, contract), contract).body)
    assert shown == {"event": "a.b", "data": {"kind": "debit", "typeId": 7, "other": MASK}}


def test_events_that_no_schema_knows_and_tracebacks_are_masked(contract: Contract) -> None:
    assert (known("transactions.fetched", contract), known(SECRET, contract), known(None, contract)) == (
        "transactions.fetched",
        MASK,
        None,
    )
    run = Run("fetch", 1, RunState.FAILED, 1, 1.0, f"ValueError at mine.py:3\nTraceback ...\nValueError: {SECRET}")
    bare = Entry("ab" * 8, 1, SECRET, Verdict.UNKNOWN_EVENT, 202, 2, {}, b"{}", (), (run,))
    shown = redacted(bare, contract)
    assert (shown.event, shown.runs[0].failure, shown.runs[0].traceback) == (MASK, "ValueError at mine.py:3", "")


@pytest.fixture
def handlers() -> Handlers:
    made = Handlers()

    @made.on("*")
    def fails(delivery: Delivery) -> None:
        raise ValueError(delivery.body)

    return made


def clean(text: str) -> None:
    for hidden in HIDDEN:
        assert hidden not in text, text


def test_no_page_and_no_answer_of_the_inspector_has_a_value(tmp_path: Path, handlers: Handlers) -> None:
    with receiving_here(tmp_path / "state", handlers, inspector_ports=(0,), redact=True) as here:

        def get(path: str) -> requests.Response:
            headers = {"Authorization": f"Bearer {here.server.token}"}
            return requests.get(f"{here.server.inspector}{path}", headers=headers, timeout=SOON)

        ids = [here.post(body, {**JSON, "X-Secret": SECRET}).headers["Delivery-Id"] for body in BODIES]
        wait_for(lambda: all(here.server.inbox.entry(id_).settled for id_ in ids), "the handlers to end")
        for path in ("", "rows", "live", "activity", "api/deliveries"):
            clean(get(path).text)
        for id_, body in zip(ids, BODIES, strict=True):
            for path in ("deliveries/{}", "deliveries/{}/runs", "deliveries/{}/equal", "api/deliveries/{}"):
                answer = get(path.format(id_))
                assert answer.status_code == 200
                clean(answer.text)
            assert get(f"deliveries/{id_}/body").status_code == 403
            assert here.server.inbox.entry(id_).body == body
        clean(get(f"deliveries/{ids[0]}/sample").text)
        clean(json.dumps(here.told))


def test_no_line_nor_list_nor_show_has_a_value(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "receiver", "run", "--redact", "--port", "0", "--no-inspector"]
    with printing(words) as shown:
        wait_for(lambda: "/webhook" in shown(), "its URL")
        url = f"http://127.0.0.1:{shown().split('127.0.0.1:')[1].split('/')[0]}/webhook"
        ids = [requests.post(url, body, headers=JSON, timeout=SOON).headers["Delivery-Id"] for body in BODIES]
        wait_for(lambda: ids[-1][:8] in shown(), "the last line")
        clean(shown())
        for more in ([], ["--json"]):
            clean(called("receiver", "list", "--redact", *more).stdout)
            for id_ in ids:
                listed = called("receiver", "show", id_, "--redact", *more)
                assert listed.returncode == 0, listed.stderr
                clean(listed.stdout)
        assert SECRET in called("receiver", "show", ids[0]).stdout
    both = called("receiver", "show", ids[0], "--redact", "--raw")
    assert (both.returncode, "exclude each other" in both.stderr) == (2, True)


def test_its_own_schemas_say_what_may_be_shown(receiving: Callable[..., Process], tmp_path: Path) -> None:
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    (schemas / "a.b.json").write_text('{"properties": {"event": {"const": "a.b"}}}')
    process = receiving("--schemas", str(schemas), "--redact")
    requests.post(process.url, b'{"event": "a.b", "data": {}}', headers=JSON, timeout=SOON)
    assert process.wait(type="delivery")["event"] == "a.b"
    assert "a.b" in called("receiver", "list", "--redact", "--schemas", str(schemas)).stdout
    assert "a.b" not in called("receiver", "list", "--redact").stdout
