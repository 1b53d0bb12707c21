"""What the inspector shows of a delivery and of an hour; what it gives to copy really sends the same again."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import BODY, JSON, SOON, Here, receiving_here, run_suite

from receiver.contract import Contract, Verdict
from receiver.delivery import MalformedBody, parse
from receiver.inspector.activity import HEIGHT, MINUTES, SLOT, WIDTH, activity
from receiver.inspector.body import MOST_LINES, broken, lines
from receiver.inspector.copies import Copy, copies
from receiver.search import MINUTE
from receiver.uptime import Gap

NOW = 1_700_000_000 * 1_000_000 // MINUTE * MINUTE + 30_000_000
LAST = NOW // MINUTE


def test_each_line_of_a_body_has_its_place_its_flaws_and_what_the_schema_says(contract: Contract) -> None:
    value = {"event": "transactions.fetched", "data": {"consentId": 5, "a": [1, {}], "b/c": None}}
    made = lines(value, contract.judge(value).violations, contract, "transactions.fetched")
    assert [f"{'  ' * line.depth}{line.key and line.key + ': '}{line.text}" for line in made] == json.dumps(
        value, indent=2
    ).splitlines()
    places = {line.pointer: line for line in made if line.pointer}
    assert places["/data/consentId"].flaws == ("must be string, is integer",)
    assert places["/data/consentId"].told == "string · uuid: The consent this is about."
    assert (places["/data/b~1c"].kind, places["/event"].kind, places["/data/a/1"].text) == ("literal", "string", "{}")


def test_what_is_missing_is_told_at_the_object_that_lacks_it(contract: Contract) -> None:
    value = {"event": "transactions.fetched", "data": {}}
    (flawed,) = [line for line in lines(value, contract.judge(value).violations, contract, None) if line.flaws]
    assert (flawed.pointer, flawed.told) == ("/data", "")


@pytest.mark.parametrize("value", [5, "text", None, [], {}, [[]], {"": {"": 1}}, "\u2028</script>"])
def test_any_json_is_shown(contract: Contract, value: object) -> None:
    made = lines(value, contract.judge(value).violations, contract, None)
    assert json.loads("".join(line.key + ":" * bool(line.key) + line.text for line in made)) == value
    assert made[0].flaws


def test_a_long_or_deep_body_is_shown_up_to_a_line(contract: Contract) -> None:
    assert len(lines(list(range(MOST_LINES * 2)), (), contract, None)) == MOST_LINES
    deep: object = 1
    for _ in range(64):
        deep = [deep]
    assert max(line.depth for line in lines(deep, (), contract, None)) == 8


@pytest.mark.parametrize(
    ("body", "before", "at"),
    [
        (b'{"a": }', '{"a": ', "}"),
        (b'{"a": 1', '{"a": 1', ""),
        ('{"ü": x}'.encode(), '{"ü": ', "x"),
        (b'{"a": "\xff"}', '{"a": "', "�"),
        (b"\xef\xbb\xbf{}", "", "\ufeff"),
        (b'{"a": 1, "a": 2}', '{"a": 1, "a": 2}', ""),
        (b"", "", ""),
    ],
)
def test_a_malformed_body_is_cut_where_it_goes_wrong(body: bytes, before: str, at: str) -> None:
    with pytest.raises(MalformedBody) as raised:
        parse(body)
    made = broken(body, raised.value)
    assert (made.before, made.at) == (before, at)
    assert made.before + made.at + made.after == body.decode(errors="replace")


def test_an_hour_is_a_bar_for_each_minute_that_had_any() -> None:
    counts = {
        LAST: {Verdict.VALID: 3, Verdict.INVALID: 1},
        LAST - 59: {Verdict.UNKNOWN_EVENT: 1},
        LAST - 60: {Verdict.VALID: 9},
    }
    chart = activity(counts, [], NOW)
    first, last = chart.bars
    assert (first.x, last.x, last.until) == (0, WIDTH - SLOT, (LAST + 1) * MINUTE)
    assert [(part.kind, part.height) for part in last.parts] == [("good", HEIGHT * 3 / 4), ("bad", HEIGHT / 4)]
    assert [part.y for part in last.parts] == [HEIGHT / 4, 0]
    assert last.title.endswith(": 3 valid, 1 not valid")
    assert chart.most == 4
    assert chart.totals == (("valid", "good", 3), ("unknown event", "warn", 1), ("not valid", "bad", 1))


def test_one_of_thousands_is_seen() -> None:
    chart = activity({LAST: {Verdict.VALID: 100_000}, LAST - 1: {Verdict.INVALID: 1}}, [], NOW)
    assert all(part.height >= 1 for bar in chart.bars for part in bar.parts)


def test_the_times_without_a_receiver_are_between_the_bars() -> None:
    start = (LAST - MINUTES + 1) * MINUTE
    gaps = [
        Gap(0, start - 1),
        Gap(0, start + MINUTE),
        Gap(start + 2 * MINUTE, start + 2 * MINUTE + 1),
        Gap(NOW - 30_000_000, None),
    ]
    chart = activity({}, gaps, NOW)
    assert [(down.x, down.width) for down in chart.downs] == [(0, SLOT), (2 * SLOT, 1), (WIDTH - SLOT, SLOT / 2)]
    assert "no receiver was up" in chart.downs[0].title
    assert (chart.bars, chart.totals, chart.most) == ((), (), 0)


HANDLERS = """
from receiver import Handlers

handlers = Handlers()

@handlers.on("*")
def note(delivery):
    pass
"""


def delivered(here: Here, body: bytes, **headers: str) -> Callable[[], list[Copy]]:
    id_ = here.post(body, {**JSON, **headers}).headers["Delivery-Id"]
    return lambda: copies(here.server.inbox.entry(id_), here.server.url, "mine.py")


BODIES = [
    BODY,
    b'{"event": "transactions.fetched", "data": {"consentId": 5, "it\'s": "$HOME `ls` \\u00e9 \\n"}}',
    '{"event": "order.created", "data": {"ü": [1.50, null, true, {"a\'b": "\\\\"}]}}'.encode(),
]


def test_each_copy_sends_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HANDLERS)
    tests = {}
    for number, body in enumerate(BODIES):
        with receiving_here(tmp_path / f"state-{number}") as here:
            made = {copy.name: copy.text for copy in delivered(here, body)()}
            for name in ("curl", "fire"):
                text = made[name].replace("sender fire", f"{sys.executable} -m sender fire")
                subprocess.run(["bash", "-c", text], timeout=SOON, check=False, capture_output=True)
            first, *others = here.server.inbox.entries()[::-1]
        tests[f"test_{number}"] = made["test"]
        assert [other.verdict for other in others] == [first.verdict] * 2
        assert others[0].body == first.body
        assert json.loads(others[1].body) == json.loads(first.body)
    suite = run_suite(tmp_path, **tests)
    assert (suite.code, "3 passed" in suite.printed) == (0, True), suite.printed


def test_what_is_no_json_is_sent_again_by_curl_alone(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state", max_body=100) as here:
        names = [[copy.name for copy in delivered(here, body)()] for body in (b"{", b"\xff", b"a\0b", b"5", b"x" * 101)]
        assert names == [["curl"], [], [], ["curl"], []]
