"""The receiver in each failure of what it stands on: the disk full, failing or read-only, the inbox locked, damaged, of
a newer version, or gone. What was acknowledged is kept, what cannot be stored is 503, and a line says what to do."""

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from conftest import BODY, JSON, SOON, Process, command, receiving_here, wait_for
from test_inbox import entry, pending, put

from receiver.cli import main
from receiver.entry import Run, RunState
from receiver.inbox import FILE, Inbox
from receiver.store import StoreError

STATE = Path(".webhooks")
HANDLERS = "from receiver import Handlers\nhandlers = Handlers()\n@handlers.on('*')\ndef note(delivery): ...\n"
Start = Callable[..., Process]


@pytest.fixture
def inbox() -> Path:
    """The file of an inbox with a failed run, closed in good order."""
    Path("mine.py").write_text(HANDLERS)
    with closing(Inbox(STATE)) as made:
        put(made, *(entry(runs=pending("note")) for _ in range(50)))
        (claim,) = made.runs.claims(["note"], most=1)
        made.runs.finish(claim, Run("note", 1, RunState.FAILED, 1, 1.0, "ValueError"))
    return STATE / FILE


def ids(state: Path = STATE) -> set[str]:
    with closing(Inbox.existing(state)) as opened:
        return {one.id for one in opened.entries(limit=10_000)}


def post(process: Process, body: bytes = BODY) -> requests.Response:
    return requests.post(process.url, data=body, headers=JSON, timeout=SOON)


def stored(process: Process, bodies: int) -> list[str]:
    """Posts bodies of some size; the ids of those that were stored, and the others are 503."""
    large = BODY.replace(b'{"consentId', b'{"note": "%s", "consentId' % (b"x" * 20_000))
    answers = [post(process, large) for _ in range(bodies)]
    assert {answer.status_code for answer in answers} <= {202, 503}
    return [answer.headers["Delivery-Id"] for answer in answers if answer.status_code == 202]


def commands() -> list[list[str]]:
    """Each one but `run`, with what it would do if the inbox could be used."""
    looking = [["list"], ["show", "a"], ["gaps"]]
    return [*looking, ["retry", "--failed", "--handlers", "mine.py"], ["judge"], ["prune", "--older-than", "0s"]]


def assert_each_command_says(reason: str) -> None:
    """One line that names the file and says what to do, and exit code 2; in this process, to be quick."""
    for words in commands():
        ended = CliRunner().invoke(main, words)
        assert_refused(words, ended.exit_code, ended.output, reason)


def assert_refused(words: list[str], code: int, output: str, reason: str) -> None:
    assert (code, output.count("\n")) == (2, 1), (words, output)
    assert f"{FILE}: {reason}" in output, words


def assert_run_says(reason: str) -> None:
    ended = command("receiver", "run", "--port", "0", "--no-inspector")
    assert_refused(["run"], ended.returncode, ended.stdout + ended.stderr, reason)


class TestDamage:
    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            ("header", "it is no SQLite database; move it and its -wal away (and keep both)"),
            ("pages", "the file is damaged; move it and its -wal away (and keep both)"),
            ("half", "the file is damaged; move it and its -wal away (and keep both)"),
            ("text", "it is no SQLite database; move it and its -wal away (and keep both)"),
            ("newer", "was written by a newer version (format 99, this one knows 3); upgrade enablenow-webhooks"),
        ],
    )
    def test_a_file_that_cannot_be_used_is_told_with_the_remedy_and_left_as_it_is(
        self, inbox: Path, damage: str, reason: str
    ) -> None:
        damaged = _damaged(inbox, damage)
        assert_run_says(reason)
        assert_each_command_says(reason)
        assert inbox.read_bytes() == damaged

    def test_a_directory_in_its_place_is_told_and_left(self, inbox: Path) -> None:
        inbox.unlink()
        inbox.mkdir()
        assert_run_says("it is no SQLite database; move it")
        for words in commands():
            assert "no inbox in .webhooks" in CliRunner().invoke(main, words).output
        assert inbox.is_dir()

    def test_once_it_was_moved_away_as_told_a_new_one_is_made_and_the_old_one_is_kept(
        self, inbox: Path, receiving: Start
    ) -> None:
        damaged = _damaged(inbox, "pages")
        kept = inbox.rename("kept.db")
        assert post(receiving()).status_code == 202
        assert (len(ids()), kept.read_bytes()) == (1, damaged)

    def test_garbage_for_a_log_beside_a_sound_file_loses_nothing(self, inbox: Path, receiving: Start) -> None:
        before = ids()
        inbox.with_name(f"{FILE}-wal").write_bytes(os.urandom(5000))
        process = receiving()
        kept = post(process).headers["Delivery-Id"]
        process.kill()
        assert ids() == {*before, kept}

    def test_an_empty_file_becomes_an_inbox(self, receiving: Start) -> None:
        """As one is left by a kill between making the file and writing to it."""
        STATE.mkdir()
        (STATE / FILE).touch()
        assert post(receiving()).status_code == 202

    def test_damage_in_the_middle_is_503_and_a_line_and_it_stops_in_good_order(
        self, inbox: Path, receiving: Start
    ) -> None:
        process = receiving("--no-inspector")
        assert process.url
        _damaged(inbox, "pages")
        assert post(process).status_code == 503
        assert "the file is damaged; move it" in process.wait(type="refused")["reason"]
        assert process.stop() == 0
        assert process.errors == []


def _damaged(inbox: Path, damage: str) -> bytes:
    """Damages the file; what it holds then."""
    if damage == "newer":
        with closing(sqlite3.connect(inbox)) as connection:
            connection.execute("PRAGMA user_version = 99")
    elif damage == "text":
        inbox.write_text("not a database\n" * 1000)
    else:
        whole = inbox.read_bytes()
        junk = b"\xa5" * len(whole)
        halves = {"header": junk[:100] + whole[100:], "pages": whole[:4096] + junk[4096:], "half": whole[: 4096 * 5]}
        with inbox.open("r+b") as file:
            file.write(halves[damage])
            file.truncate(len(halves[damage]))
    return inbox.read_bytes()


class TestLock:
    @pytest.fixture(autouse=True)
    def _a_short_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("receiver.store.BUSY_SECONDS", 0.2)

    def test_one_that_lasts_is_told_by_each_command_that_writes_and_the_others_read(self, inbox: Path) -> None:
        with _held(inbox):
            with pytest.raises(StoreError, match="another process holds it; wait for that to end"):
                receiving_here(STATE).__enter__()
            for words in commands():
                ended = CliRunner().invoke(main, words)
                if words[0] in {"retry", "prune"}:
                    assert_refused(words, ended.exit_code, ended.output, "another process holds it; wait for that")
                else:
                    assert "another process" not in ended.output
        assert len(ids()) == 50

    def test_one_that_is_let_go_in_time_is_waited_for_at_start(
        self, inbox: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("receiver.store.BUSY_SECONDS", SOON)
        with _held(inbox) as held:
            release = threading.Timer(0.3, held.execute, ("COMMIT",))
            release.start()
            with receiving_here(STATE) as here:
                assert here.post().status_code == 202
            release.join()


@contextmanager
def _held(inbox: Path) -> Iterator[sqlite3.Connection]:
    """Another connection's transaction, which lasts as long as the block unless it is ended."""
    with closing(sqlite3.connect(inbox, isolation_level=None, check_same_thread=False)) as held:
        held.execute("BEGIN IMMEDIATE")
        yield held


class TestGone:
    def test_while_the_directory_is_away_it_is_503_and_once_it_is_back_all_goes_on(self, receiving: Start) -> None:
        process = receiving("--no-inspector")
        kept = [post(process).headers["Delivery-Id"]]
        STATE.rename("away")
        assert post(process).status_code == 503
        reason = process.wait(type="refused")["reason"]
        assert (
            f"{FILE}: it was deleted or moved while it was in use; restart with it back, or with {FILE}-wal" in reason
        )
        assert not STATE.exists()
        Path("away").rename(STATE)
        kept.append(post(process).headers["Delivery-Id"])
        assert process.stop() == 0
        assert set(kept) <= ids()

    def test_what_was_put_in_its_place_is_not_written_to(self, inbox: Path, receiving: Start) -> None:
        shutil.copytree(STATE, "other")
        process = receiving("--no-inspector")
        kept = post(process).headers["Delivery-Id"]
        STATE.rename("mine")
        Path("other").rename(STATE)
        replaced = inbox.read_bytes()
        assert post(process).status_code == 503
        assert process.stop() == 0
        assert process.errors == []
        assert inbox.read_bytes() == replaced
        assert kept in ids(Path("mine"))

    def test_after_it_was_deleted_a_restart_begins_anew(self, receiving: Start) -> None:
        process = receiving("--no-inspector")
        assert post(process).status_code == 202
        shutil.rmtree(STATE)
        assert post(process).status_code == 503
        process.kill()
        assert post(receiving()).status_code == 202
        assert len(ids()) == 1


def test_a_disk_that_fails_is_503_and_a_line_and_it_goes_on_by_itself_when_it_works_again(receiving: Start) -> None:
    """No file may grow beyond a limit, so that writing fails, as on a disk with errors."""
    Path("mine.py").write_text(HANDLERS)
    process = receiving("mine.py")
    kept = [post(process).headers["Delivery-Id"]]
    _, most = resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (4096, most))
    assert post(process).status_code == 503
    assert f"{FILE}: the disk does not take it; look at its free space" in process.wait(type="refused")["reason"]
    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (most, most))
    kept.append(post(process).headers["Delivery-Id"])
    for id_ in kept:
        process.wait(type="run", id=id_, state="done")
    assert process.stop() == 0
    assert (ids(), process.errors) == (set(kept), [])


class Disk:
    """A file system of a megabyte that only the processes started `within` it see."""

    def __init__(self, *then: str) -> None:
        Path("disk").mkdir(exist_ok=True)
        script = " && ".join(["mount -t tmpfs -o size=1m none disk", *then, 'exec "$@"'])
        self.within = ["unshare", "-rm", "sh", "-c", script, "sh"]
        self.state = str(Path("disk/state").resolve())

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        line = [*self.within, sys.executable, "-m", "receiver", *words, "--state", self.state]
        return subprocess.run(line, capture_output=True, text=True, timeout=SOON, check=False)

    def ids(self, process: Process) -> set[str]:
        """What `receiver list` shows beside a process that is within."""
        line = ["nsenter", f"--target={process.popen.pid}", "--user", "--mount", "--preserve-credentials"]
        line += [sys.executable, "-m", "receiver", "list", "--json", "--limit", "1000", "--state", self.state]
        shown = subprocess.run(line, capture_output=True, text=True, timeout=SOON, check=True)
        return {json.loads(line)["id"] for line in shown.stdout.splitlines()}

    def seen_from_here(self, process: Process) -> Path:
        return Path(f"/proc/{process.popen.pid}/root{Path('disk').resolve()}")


FULL = "(head -c 2M /dev/zero > disk/filler || true) 2>/dev/null"
READ_ONLY = "mount -o remount,ro disk"


@pytest.fixture
def disk() -> type[Disk]:
    tried = subprocess.run([*Disk().within, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no file system of its own can be mounted here: {tried.stderr.strip()}")
    return Disk


class TestDisk:
    def test_full_at_start_is_one_line_and_exit_code_2(self, disk: type[Disk], inbox: Path) -> None:
        for words in (["run", "--port", "0"], ["list"]):
            ended = disk(f"cp -r {STATE} disk/state", FULL).run(*words)
            assert_refused(words, ended.returncode, ended.stdout + ended.stderr, "the disk does not take it; look at")
        ended = disk(FULL).run("run", "--port", "0")
        assert_refused(["run"], ended.returncode, ended.stdout + ended.stderr, "the disk is full; free some space")

    def test_read_only_is_one_line_and_exit_code_2(self, disk: type[Disk], inbox: Path) -> None:
        for words in (["run", "--port", "0"], ["list"]):
            ended = disk(f"cp -r {STATE} disk/state", READ_ONLY).run(*words)
            output = ended.stdout + ended.stderr
            assert_refused(words, ended.returncode, output, "it may not be written; mend the permissions or choose")

    def test_full_in_the_middle_is_503_and_it_goes_on_by_itself_when_there_is_room(
        self, disk: type[Disk], receiving: Start
    ) -> None:
        kept, process = self.filled(disk(), receiving)
        assert disk().ids(process) == set(kept)
        (disk().seen_from_here(process) / "filler").unlink()
        kept += stored(process, 5)
        for id_ in kept:
            process.wait(type="run", id=id_, state="done")
        assert disk().ids(process) == set(kept)
        assert process.stop() == 0
        assert process.errors == []

    def test_full_it_stops_in_good_order(self, disk: type[Disk], receiving: Start) -> None:
        _, process = self.filled(disk(), receiving)
        assert process.stop() == 0
        assert process.errors == []

    @pytest.mark.slow
    def test_health_says_down_while_it_is_full_and_up_again(self, disk: type[Disk], receiving: Start) -> None:
        _, process = self.filled(disk(), receiving)
        health = f"{process.wait(type='ready')['inspector']}health"
        wait_for(lambda: requests.get(health, timeout=SOON).json()["status"] == "down", "it to be down")
        (disk().seen_from_here(process) / "filler").unlink()
        wait_for(lambda: requests.get(health, timeout=SOON).status_code == 200, "it to be up")

    def filled(self, disk: Disk, receiving: Start) -> tuple[list[str], Process]:
        """A receiver on a disk that has become full under load, and the ids of what it had stored before."""
        Path("mine.py").write_text(HANDLERS)
        process = receiving("mine.py", "--state", disk.state, within=disk.within)
        kept = stored(process, 5)
        with suppress(OSError), (disk.seen_from_here(process) / "filler").open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass
        while more := stored(process, 1):
            kept += more
        reason = process.wait(type="refused", status=503)["reason"]
        assert f"{FILE}: the disk is full; free some space" in reason
        return kept, process
