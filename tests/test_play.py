"""Playing a scenario: the same seed makes the same events, each endpoint gets those it wants, each is judged."""

import itertools
import json
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Peer, called, command, receiving_here, wait_for

from receiver.contract import Contract
from sender.aim import Aim
from sender.attempt import Outcome, State
from sender.endpoints import Endpoint
from sender.play import Plan, judged
from sender.post import prepare
from sender.scenario import Expectation, ScenarioError, Step, read

FETCHED, STATUS = "transactions.fetched", "consent.status.updated"
URL = "http://127.0.0.1:9/"
StartPeer = Callable[..., Peer]


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")


def plan(contract: Contract, *steps: dict[str, Any], **more: Any) -> Plan:
    path = Path("s.jsonl")
    path.write_text("".join(json.dumps(step) + "\n" for step in steps))
    given = {"seed": 1, "speed": 1.0, "loops": 1, "draw": "d", **more}
    return Plan(read(path), contract, **given)


def aim(*events: str) -> Aim:
    return Aim(prepare(URL, {}), Endpoint(URL, events) if events else None)


def data(one: Plan) -> list[Any]:
    return [json.loads(cue.attempt.body)["data"] for cue in one.lane(aim())]


def play(*words: str) -> Any:
    return command("sender", "play", *words)


class TestPlaceholders:
    def test_of_one_name_are_the_same_throughout_a_loop_and_others_in_the_next(self, contract: Contract) -> None:
        steps = [{"event": FETCHED, "data": {"consentId": "${c}", "userId": "${u}"}}] * 2
        first, again, other, _ = data(plan(contract, *steps, loops=2))
        assert first == again
        assert first["consentId"] not in {first["userId"], other["consentId"]}
        assert uuid.UUID(first["consentId"]).version == 4

    def test_are_numbers_choices_and_parts_of_texts(self, contract: Contract) -> None:
        values = {"a": "${n:3..5}", "b": "no ${n:3..5}!", "c": "${w:x|y}", "d": ["$${n}"], "consentId": "${c}"}
        (first,) = data(plan(contract, {"event": FETCHED, "data": values}))
        assert first["a"] in {3, 4, 5}
        assert first["b"] == f"no {first['a']}!"
        assert first["c"] in {"x", "y"}
        assert first["d"] == ["${n}"]

    def test_are_drawn_from_the_seed(self, contract: Contract) -> None:
        step = {"event": FETCHED, "data": {"consentId": "${c}"}}
        same, again, other = (data(plan(contract, step, seed=seed)) for seed in (1, 1, 2))
        assert same == again != other

    def test_that_cannot_be_meant_are_told(self, contract: Contract) -> None:
        with pytest.raises(ScenarioError, match=r"line 1: \$\{a b\}: write a placeholder as"):
            data(plan(contract, {"event": FETCHED, "data": {"consentId": "${a b}"}}))


class TestALane:
    def test_has_what_its_endpoint_wants_with_the_same_ids_and_bodies_as_any_other(self, contract: Contract) -> None:
        one = plan(contract, {"event": FETCHED}, {"event": STATUS}, {"event": FETCHED, "count": 2}, loops=2)
        both = {cue.attempt.id: cue.attempt.body for cue in one.lane(aim())}
        some = {cue.attempt.id: cue.attempt.body for cue in one.lane(aim(FETCHED))}
        assert len(both) == 8
        assert len(some) == 6
        assert some.items() <= both.items()
        assert len(set(both.values())) == 8

    def test_has_each_at_its_time(self, contract: Contract) -> None:
        steps = [{"event": FETCHED, "after": 2}, {"event": FETCHED, "after": 4, "count": 3, "rate": 10}]
        assert [cue.at for cue in plan(contract, *steps, speed=2.0).lane(aim())] == pytest.approx([1, 3, 3.05, 3.1])
        assert {cue.at for cue in plan(contract, *steps, speed=None).lane(aim())} == {0.0}

    def test_gives_ids_that_are_asked_for_and_else_others_each_time(self, contract: Contract) -> None:
        step = {"event": FETCHED, "count": 3}
        assert [cue.attempt.id for cue in plan(contract, step, id="X").lane(aim())] == ["X-1", "X-2", "X-3"]
        ids = [[cue.attempt.id for cue in plan(contract, step, draw=draw).lane(aim())] for draw in "ab"]
        assert len({*ids[0], *ids[1]}) == 6

    def test_is_made_as_it_is_wanted(self, contract: Contract) -> None:
        lane = plan(contract, {"event": FETCHED, "count": 10**12, "rate": 1000}).lane(aim())
        assert len(list(itertools.islice(lane, 100))) == 100


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"event": "transactions.fetch"}, "line 2: unknown event type .*did you mean 'transactions.fetched'"),
        ({"event": STATUS, "data": {"status": 5, "consentId": "${c}"}}, "/data/status"),
        ({"event": FETCHED, "sample": "nope"}, "no sample 'nope'"),
        ({"event": FETCHED, "set": {"nope": 1}}, "no field 'nope'"),
    ],
)
def test_what_cannot_be_made_is_told_before_anything_is_sent(
    contract: Contract, step: dict[str, Any], told: str
) -> None:
    with pytest.raises(ScenarioError, match=told):
        plan(contract, {"event": FETCHED}, step).check([aim()])


@pytest.mark.parametrize(
    ("expected", "outcome", "missed"),
    [
        (Expectation(), Outcome(State.UNKNOWN), []),
        (Expectation(status=(202,)), Outcome(State.DELIVERED, status=202), []),
        (Expectation(status=(400, 422)), Outcome(State.DELIVERED, status=202), ["status 400 or 422, got 202"]),
        (Expectation(status=(202,)), Outcome(State.REFUSED), ["status 202, got refused"]),
        (Expectation(within=0.1), Outcome(State.DELIVERED, 90.0, 202), []),
        (Expectation(within=0.1), Outcome(State.DELIVERED, 110.0, 202), ["within 0.1 s, took 0.110 s"]),
        (Expectation(within=0.1), Outcome(State.UNKNOWN), ["within 0.1 s"]),
        (Expectation(verdict="valid"), Outcome(State.DELIVERED, answer=b'{"verdict": "valid"}'), []),
        (Expectation(verdict="valid"), Outcome(State.DELIVERED, answer=b"[" * 9999), ["verdict valid, got none"]),
        (Expectation(state="unknown"), Outcome(State.DELIVERED), ["state unknown, got delivered"]),
    ],
)
def test_an_outcome_is_judged_by_what_its_step_expects(
    expected: Expectation, outcome: Outcome, missed: list[str]
) -> None:
    told = judged(Step("step 1", FETCHED, expect=expected), outcome)
    assert len(told) == len(missed)
    assert all(one.startswith(f"expected {part}") for one, part in zip(told, missed, strict=True))


class TestTheCommand:
    @pytest.mark.slow
    def test_plays_the_bad_day_and_our_receiver_loses_nothing(self, tmp_path: Path) -> None:
        with receiving_here(tmp_path / "r") as here:
            ended = play("bad-day", "--speed", "max", "--to", here.server.url)
            assert ended.returncode == 0, ended.stdout
            wait_for(lambda: here.server.inbox.last() == 65, "the one that hung up")
            entries = [entry for _, entry in here.server.inbox.after(0)]
        assert "all that was expected came" in ended.stdout
        verdicts = [str(entry.verdict) for entry in entries]
        counted = [verdicts.count(one) for one in ("valid", "unknown_event", "malformed", "invalid")]
        assert counted == [60, 1, 3, 1]
        assert entries[2].body == entries[3].body

    @pytest.mark.parametrize("name", ["consent-life", "refresh-day"])
    def test_plays_what_is_shipped(self, tmp_path: Path, name: str) -> None:
        with receiving_here(tmp_path / "r") as here:
            ended = play(name, "--speed", "100000x", "--to", here.server.url, "--json")
            assert ended.returncode == 0, ended.stdout
            consents = [entry.data["consentId"] for _, entry in here.server.inbox.after(0)]
        *lines, summary = [json.loads(line) for line in ended.stdout.splitlines()]
        assert summary["sent"] == len(lines) == len(consents)
        assert len(set(consents)) == {"consent-life": 1, "refresh-day": 3}[name]
        assert all(line["missed"] == [] and "step" in line["step"] for line in lines)

    def test_tells_what_is_not_as_expected_and_fails(self, peer: StartPeer) -> None:
        receiver = peer(lambda connection: connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
        ended = play("consent-life", "--speed", "max", "--to", receiver.url)
        assert ended.returncode == 1
        assert ended.stdout.count("expected status 202, got 500") == 5
        assert "5 not as expected" in ended.stdout

    def test_keeps_its_times(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        Path("s.yaml").write_text(f"- event: {FETCHED}\n- {{event: {FETCHED}, after: 10s}}\n")
        began = time.monotonic()
        assert play("s.yaml", "--speed", "10x", "--to", receiver.url).returncode == 0
        assert time.monotonic() - began >= 1.0

    def test_sends_nothing_where_a_step_is_wrong_or_nobody_wants_any(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        Path("s.yaml").write_text(f"- event: {FETCHED}\n- event: transactions.fetch\n")
        for words, told in (
            (["s.yaml"], "s.yaml: step 2: unknown event type"),
            (["bad"], "did you mean 'bad-day'?"),
            (["s.yaml", "--speed", "0"], "such as 1x, 10x, 0.5x or max"),
        ):
            ended = play(*words, "--to", receiver.url)
            assert ended.returncode == 2
            assert told in ended.stderr
        called("sender", "endpoints", "add", receiver.url, "--event", "databridge.share.created")
        assert "no endpoint is subscribed to any of its events" in play("consent-life").stderr
        assert receiver.requests == []

    def test_played_again_with_the_same_id_sends_nothing_twice_and_the_rest(self, peer: StartPeer) -> None:
        receiver = peer(ok)
        words = ("consent-life", "--speed", "max", "--id", "X", "--to", receiver.url)
        Path("s.yaml").write_text(f"- {{event: {STATUS}, count: 2}}\n")
        assert play("s.yaml", *words[1:]).returncode == 0
        ended = play(*words, "--json")
        assert [json.loads(line)["already_sent"] for line in ended.stdout.splitlines()[:-1]] == [True] * 2 + [False] * 3
        assert len(receiver.requests) == 5

    def test_goes_to_each_endpoint_as_it_is_subscribed(self, peer: StartPeer) -> None:
        everything, fetched = peer(ok), peer(ok)
        called("sender", "endpoints", "add", everything.url, "--all")
        called("sender", "endpoints", "add", fetched.url, "--event", FETCHED)
        Path("s.yaml").write_text(f"- event: {FETCHED}\n- event: {STATUS}\n- event: {FETCHED}\n")
        assert play("s.yaml", "--loop", "2").returncode == 0
        bodies = [[request.partition(b"\r\n\r\n")[2] for request in each.requests] for each in (everything, fetched)]
        assert len(bodies[0]) == 6
        assert bodies[1] == [body for body in bodies[0] if FETCHED.encode() in body]
