"""`receiver schemas list` and `show`: what the contract says, and what it does not."""

import json

from conftest import ROOT, called, command


def test_list_tells_of_each_event_type_whether_it_is_documented() -> None:
    lines = {line.split()[0]: line for line in called("receiver", "schemas", "list").stdout.splitlines()}
    assert len(lines) == len(list((ROOT / "schemas").glob("*.json"))) - 1
    assert "4 fields" in lines["transactions.fetched"]
    assert "4 samples" in lines["transactions.fetched"]
    assert "not documented" in lines["databridge.share.created"]
    assert "1 sample " in lines["databridge.share.created"]


def test_list_as_json_is_what_sender_events_tells() -> None:
    lists = [command(*words, "--json").stdout for words in (("receiver", "schemas", "list"), ("sender", "events"))]
    assert lists[0] == lists[1]
    first = json.loads(lists[0].splitlines()[0])
    assert first["event"] == "categorizationjob.completed"
    assert first["documented"] is True


def test_show_is_a_table_of_the_fields_and_says_what_is_not_documented() -> None:
    shown = called("receiver", "schemas", "show", "transactions.fetched").stdout
    assert "consentId               string (uuid)          yes       The consent this is about.\n" in shown
    assert "  /data/addedTransactionsCount: The documentation prints every value as a quoted placeholder" in shown
    assert "note: The members of data are not documented" in command(*SHOW, "databridge.share.created").stdout


def test_show_as_json_is_the_schema() -> None:
    shown = command(*SHOW, "transactions.fetched", "--json").stdout
    assert json.loads(shown) == json.loads((ROOT / "schemas" / "transactions.fetched.json").read_bytes())


def test_an_event_type_that_is_not_there_is_told_with_the_nearest() -> None:
    ended = command(*SHOW, "transactions.fetch")
    assert ended.returncode == 2
    assert "did you mean 'transactions.fetched'?" in ended.stderr


SHOW = ("receiver", "schemas", "show")
