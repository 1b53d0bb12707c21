"""The command `sender`, as a process: one line that tells the truth, and the exit code that goes with it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SOON, Peer, Process, called, command, wait_for

FETCHED = "transactions.fetched"
StartPeer = Callable[..., Peer]


def answering(status: int, body: bytes = b"") -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    return answer


def fire(*words: str, **more: object) -> "subprocess.CompletedProcess[str]":
    return command("sender", "fire", FETCHED, *words, **more)


class TestFire:
    def test_answered_2xx_is_0_and_one_line(self, receiving: Callable[..., Process]) -> None:
        receiver = receiving()
        ended = fire("--to", receiver.url)
        delivery = receiver.wait(type="delivery")
        assert ended.returncode == 0
        (line,) = ended.stdout.splitlines()
        assert f"✓ 202  sent {FETCHED} to {receiver.url}  " in line
        assert " ms  event " in line
        assert line.endswith(f"delivery {delivery['id'][:8]}")
        assert ended.stderr == ""

    def test_answered_otherwise_is_1_and_shows_the_answer_as_ascii(self, peer: StartPeer) -> None:
        receiver = peer(answering(500, "no \x1b[31m é\nsecond".encode()))
        ended = fire("--to", receiver.url)
        assert ended.returncode == 1
        first, *body = ended.stdout.splitlines()
        assert "✗ 500" in first
        assert [line.strip() for line in body] == ["no \\u001b[31m \\u00e9", "second"]
        assert len(receiver.requests) == 1

    def test_certainly_not_delivered_is_3(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        ended = fire("--to", f"http://127.0.0.1:{port}/")
        assert ended.returncode == 3
        assert "✗ refused" in ended.stdout
        assert "was not delivered to" in ended.stdout
        assert "connection refused" in ended.stdout
        assert "EnableNow would not send it again." in ended.stdout
        assert "`receiver run` starts one" in ended.stdout

    def test_may_have_arrived_is_4(self, peer: StartPeer) -> None:
        receiver = peer(lambda connection: connection.recv(1))
        ended = fire("--to", receiver.url, "--timeout", "1.5")
        assert ended.returncode == 4
        assert "? unknown" in ended.stdout
        assert "may have arrived at" in ended.stdout
        assert "no answer within 1.5 s" in ended.stdout
        assert "EnableNow would not send it again." in ended.stdout
        assert len(receiver.requests) == 1

    def test_ctrl_c_while_waiting_is_unknown_and_kept_so(self, peer: StartPeer) -> None:
        receiver = peer(lambda connection: connection.recv(1))
        words = [sys.executable, "-m", "sender", "fire", FETCHED, "--to", receiver.url, "--id", "X"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            wait_for(lambda: receiver.requests, "the request")
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=SOON)
        assert process.returncode == 4
        assert "stopped by Ctrl-C" in output
        assert json.loads(called("sender", "show", "X", "--json").stdout)["state"] == "unknown"

    def test_json_is_one_object(self, peer: StartPeer) -> None:
        receiver = peer(answering(202, b"hello"))
        record = json.loads(fire("--to", receiver.url, "--id", "X", "--json").stdout)
        assert (record["id"], record["event"], record["state"], record["status"]) == ("X", FETCHED, "delivered", 202)
        assert (record["answer"], record["url"]) == ("hello", receiver.url)
        assert record["milliseconds"] > 0

    def test_the_options_shape_what_is_sent(self, peer: StartPeer) -> None:
        receiver = peer(answering(202))
        Path("data.json").write_text('{"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90", "externalUserId": "x"}')
        words = [
            "--data",
            "@data.json",
            "--set",
            "addedTransactionsCount=7",
            "--unset",
            "externalUserId",
            "--header",
            "X-A: b",
        ]
        assert fire("--to", receiver.url, *words).returncode == 0
        head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
        assert json.loads(body)["data"] == {
            "consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90",
            "addedTransactionsCount": 7,
        }
        assert b"\r\nX-A: b" in head

    def test_data_may_come_from_stdin_and_the_target_from_the_environment(self, peer: StartPeer) -> None:
        receiver = peer(answering(202))
        text = '{"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"}'
        assert fire("--data", "-", input=text, env={**os.environ, "SENDER_TO": receiver.url}).returncode == 0
        assert json.loads(receiver.requests[0].partition(b"\r\n\r\n")[2])["data"] == json.loads(text)

    def test_a_dry_run_prints_the_body_and_sends_and_records_nothing(self, peer: StartPeer) -> None:
        receiver = peer(answering(202))
        assert set(json.loads(fire("--to", receiver.url, "--dry-run", "--json").stdout)) == {"event", "body"}
        ended = fire("--to", receiver.url, "--dry-run")
        assert ended.returncode == 0
        assert json.loads(ended.stdout)["event"] == FETCHED
        assert receiver.requests == []
        assert not Path(".webhooks").exists()

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (["--set", "bla=1"], "no field 'bla'"),
            (["--set", "consentId=1"], "/data/consentId  must be string, is integer"),
            (["--sample", "x", "--data", "{}"], "exclude each other"),
            (["--sample", "x"], "no sample 'x'"),
            (["--data", "{"], "not JSON"),
            (["--data", "@none.json"], "No such file"),
            (["--header", "nonsense"], "write it as 'Name: value'"),
            (["--header", "A B: c"], "header 'A B'"),
            (["--to", "nonsense"], "is not a URL to post to"),
            (["--timeout", "soon"], "30s, 5m"),
            (["--timeout", "0"], "must be more than 0"),
            (["--timeout", "10000000000"], "longer than a hundred years"),
            (["--timeout", "2d"], "at most a day"),
            (["--id", ""], "printable ASCII"),
            (["--id", "a b"], "printable ASCII"),
            (["--id", "\udcff"], "printable ASCII"),
            (["--data", '{"event": "x", "data": {}}'], "what stands under `data`"),
            (["--data", '{"a": NaN}', "--no-validate"], "cannot be written as JSON"),
            (["--set", '+a="\\ud800"'], "cannot be written as JSON"),
            (["--set", "+a=" + "[" * 50_000], "nested too deep"),
            (["--data", '{"a":' * 20_000], "not JSON"),
            (["--header", "Content-Length: 5"], "only the sender can"),
            (["--to", "http://127.0.0.1:0/"], "is not a URL"),
            (["--set", "userId=1", "--unset", "userId"], "both set and unset"),
            (["--schemas", "none"], "none: no such directory"),
        ],
    )
    def test_what_cannot_be_meant_is_told_and_nothing_is_sent(
        self, peer: StartPeer, words: list[str], reason: str
    ) -> None:
        receiver = peer(answering(202))
        ended = fire("--to", receiver.url, *words)
        assert ended.returncode == 2
        assert reason in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout == ""
        assert receiver.requests == []

    def test_a_target_that_is_elsewhere_gets_a_warning_and_a_local_one_does_not(self) -> None:
        assert "customers' data" in fire("--to", "http://nowhere.invalid/").stderr
        assert "customers' data" not in fire("--to", "http://127.0.0.1:9/").stderr

    def test_own_schemas_replace_the_contract(self, peer: StartPeer) -> None:
        receiver = peer(answering(202))
        Path("own").mkdir()
        Path("own/order.created.json").write_text('{"examples": [{"event": "order.created", "data": {"n": 1}}]}')
        assert command("sender", "fire", "order.created", "--schemas", "own", "--to", receiver.url).returncode == 0
        assert receiver.requests[0].endswith(b'{"event":"order.created","data":{"n":1}}')


class TestOnce:
    def test_two_at_once_send_one_post_and_a_third_says_when(self, peer: StartPeer) -> None:
        receiver = peer(answering(202))
        words = [sys.executable, "-m", "sender", "fire", FETCHED, "--to", receiver.url, "--id", "X"]
        both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        outputs = [process.communicate(timeout=SOON) for process in both]
        assert sorted(process.returncode for process in both) == [0, 2]
        (error,) = [error for _, error in outputs if error]
        assert "nothing was sent now" in error
        third = fire("--to", receiver.url, "--id", "X")
        assert third.returncode == 2
        assert "event X was sent to" in third.stderr
        assert "(202); nothing was sent now" in third.stderr
        assert len(receiver.requests) == 1

    def test_after_kill_9_while_waiting_it_is_unknown_and_never_sent_again(self, peer: StartPeer) -> None:
        receiver = peer(lambda connection: connection.recv(1))
        words = [sys.executable, "-m", "sender", "fire", FETCHED, "--to", receiver.url, "--id", "X"]
        process = subprocess.Popen(words)
        wait_for(lambda: receiver.requests, "the request")
        process.kill()
        process.wait()
        assert json.loads(called("sender", "log", "--json").stdout)["state"] == "unknown"
        again = fire("--to", receiver.url, "--id", "X")
        assert (again.returncode, "(unknown); nothing was sent now" in again.stderr) == (2, True)
        assert len(receiver.requests) == 1


class TestLooking:
    def test_events_lists_each_type_with_when_it_fires_its_fields_and_samples(self) -> None:
        records = {
            record["event"]: record
            for record in map(json.loads, called("sender", "events", "--json").stdout.splitlines())
        }
        assert len(records) == 6
        assert records[FETCHED]["title"] == "Transactions fetched"
        assert [field["path"] for field in records[FETCHED]["fields"]][:2] == ["userId", "externalUserId"]
        assert records[FETCHED]["samples"][0] == "default"
        text = called("sender", "events").stdout
        assert "Occurs after transactions were fetched from the bank" in text
        assert "addedTransactionsCount   integer or string, optional" in text

    def test_log_and_show_tell_what_was_sent_newest_first(self, peer: StartPeer) -> None:
        receiver = peer(answering(500, b"why"))
        for id_ in ("first", "second"):
            fire("--to", receiver.url, "--id", id_)
        lines = called("sender", "log").stdout.splitlines()
        assert [line.split("event ")[1] for line in lines] == ["second", "first"]
        assert [json.loads(line)["id"] for line in called("sender", "log", "--json").stdout.splitlines()] == [
            "second",
            "first",
        ]
        shown = called("sender", "show", "sec").stdout
        assert "✗ 500" in shown
        assert '{"event":"transactions.fetched"' in shown
        assert "why" in shown
        assert json.loads(called("sender", "show", "first", "--json").stdout)["event"] == FETCHED

    def test_where_nothing_was_sent_it_says_so(self) -> None:
        for words in (["log"], ["show", "x"]):
            ended = command("sender", *words)
            assert ended.returncode == 2
            assert "nothing was sent yet" in ended.stderr

    def test_event_names_complete(self) -> None:
        env = {
            **os.environ,
            "_SENDER_COMPLETE": "bash_complete",
            "COMP_WORDS": "sender fire consent.s",
            "COMP_CWORD": "2",
        }
        code = "from sender.cli import main; main(prog_name='sender')"
        ended = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=SOON, check=False
        )
        assert "consent.status.updated" in ended.stdout
