"""`sender verify`: a correct receiver passes, each planted fault is found, and what is told of it is true."""

import json
import os
import pty
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, SOON, Here, Peer, command
from receivers.planted import FAULTS, Correct, running

from receiver.contract import Contract
from sender.post import Poster, prepare
from sender.verify.cases import Case, cases
from sender.verify.report import MOST_ANNOTATIONS, curl
from sender.verify.rules import RULES, Grade, Profile
from sender.verify.runner import MOST_UNANSWERED, Result, verify

StartPeer = Callable[..., Peer]


@pytest.fixture(scope="module")
def all_cases(contract: Contract) -> list[Case]:
    return cases(contract, list(contract.events))


@pytest.fixture(scope="module")
def some_cases(contract: Contract) -> list[Case]:
    """Of one event type with all kinds of members, and of one of which nothing is documented."""
    return cases(contract, ["transactions.fetched", "databridge.share.created"])


def verified(url: str, some: list[Case], profile: Profile = Profile.STRICT, seconds: float = SOON) -> list[Result]:
    with Poster(seconds) as poster:
        return list(verify(poster, prepare(url, {}), some, profile))


def failing(results: list[Result]) -> list[str]:
    return [result.case.id for result in results if result.grade is Grade.FAILED]


class TestAgainstReceivers:
    @pytest.mark.parametrize("profile", Profile)
    def test_ours_passes_all_and_nothing_is_even_warned_of(
        self, here: Here, all_cases: list[Case], profile: Profile
    ) -> None:
        results = verified(here.server.url, all_cases, profile)
        assert [(r.case.id, r.outcome) for r in results if r.grade is not Grade.PASSED] == []
        assert len(results) == len(all_cases)

    def test_a_correct_one_that_is_not_ours_passes_all(self, all_cases: list[Case]) -> None:
        with running(Correct) as server:
            assert failing(verified(server.url, all_cases)) == []

    @pytest.mark.parametrize("name", FAULTS)
    def test_each_planted_fault_is_found_where_it_is_and_nowhere_else(self, name: str, some_cases: list[Case]) -> None:
        kind, patterns = FAULTS[name]
        with running(kind) as server:
            found = failing(verified(server.url, some_cases, seconds=2 if "never" in name else SOON))
        assert found, "the fault is not found"
        for pattern in patterns:
            assert any(fnmatchcase(id_, pattern) for id_ in found), pattern
        assert not [id_ for id_ in found if not any(fnmatchcase(id_, pattern) for pattern in patterns)]

    @pytest.mark.parametrize(
        ("words", "faults"),
        [
            (
                [sys.executable, "naive_flask.py"],
                {"*/type/*", "malformed/nan", "ambiguous/duplicate-*", "limits/nested-100000", "media-type/text"},
            ),
            (["node", "node.js"], {"*/type/*", "malformed/bad-utf-8", "ambiguous/duplicate-*", "media-type/text"}),
        ],
    )
    def test_the_known_faults_of_usual_receivers_are_named(
        self, words: list[str], faults: set[str], all_cases: list[Case]
    ) -> None:
        if not shutil.which(words[0]):
            pytest.skip(f"{words[0]} is not installed")
        with usual_receiver(words) as url:
            strict = verified(url, all_cases)
            tolerant = verified(url, all_cases, Profile.TOLERANT)
        assert all(any(fnmatchcase(id_, fault) for id_ in failing(strict)) for fault in faults)
        assert not [id_ for id_ in failing(strict) if "/sample/" in id_ or "notation" in id_]
        assert {r.outcome.status for r in tolerant if r.grade is Grade.FAILED} <= {500}


@contextmanager
def usual_receiver(words: list[str]) -> Iterator[str]:
    process = subprocess.Popen(
        words, cwd=ROOT / "tests" / "receivers", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


class TestSending:
    def test_each_case_is_one_request_with_its_exact_bytes(self, peers: StartPeer, some_cases: list[Case]) -> None:
        receiver = peers(
            lambda connection: connection.sendall(b"HTTP/1.1 307 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
        )
        results = verified(receiver.url, some_cases)
        assert {result.outcome.status for result in results} == {307}
        sent = Counter(request.partition(b"\r\n\r\n")[2] for request in receiver.requests)
        assert sent == Counter(case.body for case in some_cases)
        for request in receiver.requests:
            assert request.lower().count(b"content-type:") <= 1

    def test_those_that_belong_together_are_sent_at_the_same_time(self, some_cases: list[Case]) -> None:
        together = [case for case in some_cases if case.together]
        kind, _ = FAULTS["serves-one-after-the-other"]
        with running(kind) as server:
            server.seen.append(together[0].body)
            assert {result.outcome.status for result in verified(server.url, together)} == {202, 429}
            assert {
                result.outcome.status for result in verified(server.url, [replace(together[0], together=False)] * 2)
            } == {202}

    def test_where_nobody_answers_it_gives_up(self, all_cases: list[Case]) -> None:
        assert len(verified("http://127.0.0.1:9/", all_cases)) == MOST_UNANSWERED

    def test_an_answer_that_does_not_end_in_time_is_none_and_soon_no_more_are_sent(
        self, peers: StartPeer, some_cases: list[Case]
    ) -> None:
        receiver = peers(lambda connection: connection.sendall(b"HTTP/1.1 202 X\r\nContent-Length: 9\r\n\r\nx"))
        results = verified(receiver.url, some_cases, seconds=0.3)
        assert {result.grade for result in results} == {Grade.FAILED}
        assert results[0].outcome.reason == "202, but the answer did not end within 0.3 s"
        assert len(results) < len(some_cases)

    def test_where_each_is_reset_it_goes_on(self, peer: StartPeer, some_cases: list[Case]) -> None:
        receiver = peer(lambda connection: connection.close())
        results = verified(receiver.url, some_cases)
        assert len(results) == len(some_cases)
        assert {result.grade for result in results} == {Grade.FAILED}


class TestReproducing:
    @pytest.mark.slow
    def test_curl_sends_the_same(self, here: Here, all_cases: list[Case]) -> None:
        chosen = [case for case in all_cases if case.group in {"samples", "malformed", "limits", "http", "sizes"}]
        results = verified(here.server.url, chosen)
        again = []
        for case in chosen:
            words = curl(case, here.server.url, [])
            ended = subprocess.run(["bash", "-c", words], capture_output=True, timeout=SOON, check=True)
            again.append(int(ended.stdout.split()[1]))
        assert again == [result.outcome.status for result in results]
        half = len(here.server.inbox.entries(limit=1000)) // 2
        bodies = [entry.body for entry in here.server.inbox.entries(limit=1000)]
        assert bodies[:half] == bodies[half:]

    def test_the_users_own_headers_are_left_to_variables(self, all_cases: list[Case]) -> None:
        assert '-H "X-Api-Key: $X_API_KEY"' in curl(all_cases[0], "http://127.0.0.1/", ["X-Api-Key"])

    def test_a_report_is_replayed_byte_for_byte(self, here: Here) -> None:
        first = command("sender", "verify", here.server.url, "--json", "--only", "malformed*", "--only", "limits")
        Path("report.jsonl").write_text(first.stdout, encoding="utf-8")
        second = command("sender", "verify", here.server.url, "--json", "--replay", "report.jsonl")
        assert (first.returncode, second.returncode) == (0, 0)
        assert [told(first.stdout), told(second.stdout)] == [told(first.stdout)] * 2
        bodies = [entry.body for entry in here.server.inbox.entries(limit=1000)]
        assert bodies[: len(bodies) // 2] == bodies[len(bodies) // 2 :]

    def test_a_listing_can_be_replayed_too(self, here: Here) -> None:
        Path("cases").write_text(command("sender", "verify", "--list", "--json").stdout, encoding="utf-8")
        ended = command("sender", "verify", here.server.url, "--replay", "cases", "--only", "samples")
        assert ended.returncode == 0
        assert "13 passed" in ended.stdout

    @pytest.mark.parametrize("line", ["", "[]", '{"type": "case"}', '{"type": "case", "id": "x", "rule": "y"}', "\0"])
    def test_what_is_no_report_is_refused(self, line: str) -> None:
        Path("report").write_text(f"{line}\n", encoding="utf-8")
        ended = command("sender", "verify", "http://127.0.0.1:9/", "--replay", "report")
        assert ended.returncode == 2
        assert "line 1 is not of a report" in ended.stderr


def told(report: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in report.splitlines()]
    return [{**record, "milliseconds": 0, "seconds": 0, "delivery": 0, "answer": 0} for record in records]


class TestTheCommand:
    def test_says_that_all_is_well(self, here: Here) -> None:
        ended = command("sender", "verify", here.server.url)
        assert ended.returncode == 0
        assert ended.stdout.splitlines()[-1].endswith("383 passed")

    def test_names_each_failure_with_rule_expectation_answer_and_a_command(self) -> None:
        with running(FAULTS["accepts-nan"][0]) as server:
            ended = command("sender", "verify", server.url)
        assert ended.returncode == 1
        name, rule, again = ended.stdout[ended.stdout.index("malformed/nan") :].splitlines()[:3]
        assert name == "malformed/nan  202 answered, 4xx expected"
        assert rule.strip() == "rejects-malformed: what is not JSON is rejected (RFC 8259, 2 to 8)"
        assert again.strip().startswith("curl -sS -i -X POST -H 'Content-Type: application/json' --data-raw '{")
        assert "380 passed, 3 failed" in ended.stdout

    def test_what_is_warned_of_fails_nothing(self) -> None:
        with running(FAULTS["accepts-nan"][0]) as server:
            ended = command("sender", "verify", server.url, "--profile", "tolerant")
        assert ended.returncode == 0
        assert "! malformed/nan  202 answered, 4xx would be better\n" in ended.stdout

    def test_says_that_nobody_listens(self) -> None:
        ended = command("sender", "verify", "http://127.0.0.1:9/hook")
        assert (ended.returncode, ended.stdout) == (
            3,
            "✗ nobody listens at http://127.0.0.1:9/hook: connection refused. `receiver run` starts a receiver.\n",
        )

    def test_says_that_the_url_is_another(self, here: Here) -> None:
        ended = command("sender", "verify", here.server.url + "s", "--only", "samples")
        assert ended.returncode == 1
        assert "Every good body was answered 404: is this the URL of the hook?" in ended.stdout

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ([], "say which receiver: sender verify http://127.0.0.1:8787/webhook"),
            (["http://127.0.0.1:9/", "--only", "samples/x"], "`sender verify --list` shows them all"),
            (["http://127.0.0.1:9/", "--events", "consent.updated"], "did you mean 'consent."),
            (["http://127.0.0.1:9/", "--replay", "empty", "--events", "*"], "--replay sends what stands in its file"),
            (["http://127.0.0.1:9/", "--replay", "empty"], "there is no case to verify"),
            (["http://127.0.0.1:9/", "--max-body", "100"], "is larger than --max-body 100"),
            (["ftp://127.0.0.1:9/"], "is not a URL to post to"),
            (["http://127.0.0.1:9/", "--junit", "no/such/folder"], "--junit no/such/folder: No such file or directory"),
        ],
    )
    def test_a_usage_error_says_what_to_do(self, words: list[str], said: str) -> None:
        Path("empty").touch()
        ended = command("sender", "verify", *words)
        assert ended.returncode == 2
        assert said in ended.stderr

    def test_the_largest_body_that_has_to_be_accepted_is_sent_and_one_byte_more(self, here: Here) -> None:
        ended = command("sender", "verify", here.server.url, "--only", "sizes", "--max-body", "1MiB", "--json")
        records = [json.loads(line) for line in ended.stdout.splitlines()]
        assert [(r["id"], r["status"]) for r in records[:-1]] == [
            ("size/max-body", 202),
            ("size/beyond-max-body", 413),
            ("sizes/then", 202),
        ]

    def test_only_some_event_types_can_be_verified(self, here: Here) -> None:
        ended = command("sender", "verify", here.server.url, "--events", "consent.*", "--json")
        records = [json.loads(line) for line in ended.stdout.splitlines()]
        assert {record["event"] for record in records[:-1]} == {"consent.status.updated", "consent.accounts.updated"}
        assert records[-1]["failed"] == 0

    def test_writes_a_junit_report(self) -> None:
        with running(FAULTS["ignores-the-minimum"][0]) as server:
            ended = command("sender", "verify", server.url, "--junit", "report.xml", "--header", "X-Key: secret")
        assert ended.returncode == 1
        report = ET.parse("report.xml")  # noqa: S314 - our own
        assert len(report.findall(".//testcase")) == 383
        (failure,) = report.findall(
            ".//testcase[@name='transactions.fetched/data/addedTransactionsCount/minimum/below']/failure"
        )
        assert failure.get("message") == "202 answered, 4xx expected"
        assert "curl" in str(failure.text)
        assert "secret" not in ended.stdout + Path("report.xml").read_text(encoding="utf-8")

    def test_annotates_on_github(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        with running(FAULTS["accepts-comments"][0]) as server:
            ended = command("sender", "verify", server.url)
        assert ended.stderr == (
            "::error title=sender verify malformed/comment::"
            "202 answered, 4xx expected: what is not JSON is rejected (RFC 8259, 2 to 8)\n"
        )

    def test_annotates_no_more_than_github_shows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        with running(FAULTS["ignores-types"][0]) as server:
            ended = command("sender", "verify", server.url)
        assert [line.partition(" ")[0] for line in ended.stderr.splitlines()] == ["::error"] * MOST_ANNOTATIONS

    def test_sends_the_users_own_headers_with_each_case(self, peers: StartPeer) -> None:
        receiver = peers(lambda connection: connection.sendall(b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n"))
        words = ("--header", "X-Key: secret", "--only", "samples", "--only", "http")
        command("sender", "verify", receiver.url, *words)
        assert len(receiver.requests) == 23
        assert all(b"\r\nX-Key: secret\r\n" in request for request in receiver.requests)

    def test_shows_how_far_it_is_on_a_terminal(self, here: Here) -> None:
        shown, terminal = pty.openpty()
        line = [sys.executable, "-m", "sender", "verify", here.server.url, "--only", "samples"]
        with open(terminal, "wb") as stderr:  # noqa: PTH123 - a descriptor
            subprocess.run(line, stdout=subprocess.DEVNULL, stderr=stderr, timeout=SOON, check=True)
        assert b"100%" in os.read(shown, 1 << 16)
        os.close(shown)

    def test_lists_rules_with_their_sources_and_cases(self) -> None:
        ended = command("sender", "verify", "--list")
        assert ended.returncode == 0
        assert all(f"\n{rule.id} " in ended.stdout and f"({rule.source})" in ended.stdout for rule in RULES)
        assert "rejects-invalid           4xx         no 5xx      what violates the schema is rejected" in ended.stdout
        assert "  rejects-invalid           consent.status.updated/data/status/type/number\n" in ended.stdout

    def test_a_hostile_answer_reaches_the_terminal_escaped(self, peer: StartPeer) -> None:
        answer = b"HTTP/1.1 500 \x1b[31m\r\nContent-Length: 11\r\n\r\n\x1b]0;x\x07\n\xff\xe2\x80\xae"
        receiver = peer(lambda connection: connection.sendall(answer))
        ended = command("sender", "verify", receiver.url, "--only", "samples")
        assert ended.returncode == 1
        assert "\x1b" not in ended.stdout
        assert r"\u001b]0;x\u0007 \ufffd\u202e" in ended.stdout

    def test_the_readme_has_each_rule_with_its_source(self) -> None:
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        for rule in RULES:
            strict, tolerant = rule.expected(Profile.STRICT), rule.expected(Profile.TOLERANT)
            assert f"| `{rule.id}` | {rule.text} | {strict} | {tolerant}" in readme
            assert f"| {rule.source} |\n" in readme
