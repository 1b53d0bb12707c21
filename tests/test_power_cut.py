"""The power cut under a receiver and a sender: what they said was on disk is on a disk that keeps only what was synced.

power_cut.c is that disk. What a process writes outside of it, as the handlers here do, stands for the world outside.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from conftest import BODY, JSON, SOON, Peer, Process, called, command, wait_for
from load import INVALID, MALFORMED, UNKNOWN, VALID, Answers, load

from receiver.inbox import Inbox
from sender.attempt import State
from sender.ledger import Ledger

HANDLERS = """
from receiver import Handlers, commits

handlers = Handlers()

@handlers.on("*")
def note(delivery):
    with open("started", "a") as file:
        file.write(delivery.id + "\\n")
"""
WRITING = """
import os, sys
from pathlib import Path
from receiver.store import Store

store = Store(Path(sys.argv[1]) / "notes.db", [["CREATE TABLE note (id TEXT) STRICT"]])
for number in range(3):
    store.write(("INSERT INTO note VALUES (?)", (f"{os.getpid()}-{number}",)))
    print(f"{os.getpid()}-{number}", flush=True)
store.close()
"""
NOT_SYNCED = "commits.SYNCED = commits._UNSYNCED\n"
FIRE = ("sender", "fire", "transactions.fetched", "--state", "live/state")


@dataclass(frozen=True, slots=True)
class Machine:
    """What processes see is `live`, what a power cut leaves of it is `disk`; `environment` is what makes it so."""

    live: Path
    disk: Path
    environment: dict[str, str]

    @property
    def state(self) -> Path:
        return self.live / "state"

    def cut(self) -> None:
        """The power was cut, and returns: what the disk kept is what is there, all of it synced."""
        shutil.rmtree(self.live)
        shutil.copytree(self.disk, self.live, ignore=shutil.ignore_patterns(".data"))
        shutil.rmtree(self.disk)
        (self.disk / ".data").mkdir(parents=True)
        for path in self.live.rglob("*"):
            kept = self.disk / path.relative_to(self.live)
            if path.is_dir():
                kept.mkdir()
            else:
                kept.hardlink_to(shutil.copy(path, self.disk / ".data" / str(path.stat().st_ino)))


@pytest.fixture(scope="session")
def power_cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux":
        pytest.skip("a power cut takes Linux and a C compiler")
    library = tmp_path_factory.mktemp("power_cut") / "power_cut.so"
    source = Path(__file__).with_name("power_cut.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-std=gnu11", "-o", library, source], check=True)
    return library


@pytest.fixture
def machine(power_cut: Path, tmp_path: Path) -> Machine:
    return new_machine(power_cut, tmp_path)


def new_machine(power_cut: Path, place: Path) -> Machine:
    live, disk = place.resolve() / "live", place.resolve() / "disk"
    live.mkdir(parents=True)
    (disk / ".data").mkdir(parents=True)
    ours = {"LD_PRELOAD": str(power_cut), "POWER_CUT_LIVE": str(live), "POWER_CUT_DISK": str(disk)}
    return Machine(live, disk, {**os.environ, **ours})


@pytest.fixture
def running(machine: Machine, receiving: Callable[..., Process]) -> Callable[..., Process]:
    """Starts a receiver on the machine; `more` is code at the end of its handlers' file."""

    def start(more: str = "") -> Process:
        Path("mine.py").write_text(HANDLERS + more)
        return receiving("mine.py", "--state", "live/state", env=machine.environment)

    return start


def started() -> Counter[str]:
    return Counter(Path("started").read_text().split() if Path("started").exists() else [])


def test_the_disk_keeps_what_was_synced_and_nothing_else(machine: Machine) -> None:
    code = """
import os
def write(name, text, sync):
    file = os.open("live/" + name, os.O_CREAT | os.O_RDWR)
    os.pwrite(file, text, 0)
    if sync: sync(file)
directory = os.open("live", os.O_RDONLY)
write("synced", b"first", os.fsync)
write("replaced", b"old", os.fsync)
write("empty", b"text", None)
os.fsync(directory)
write("synced", b"later", None)
write("longer", b"without a name", os.fdatasync)
os.unlink("live/replaced")
write("replaced", b"new", os.fsync)
"""
    subprocess.run([sys.executable, "-c", code], env=machine.environment, check=True)
    machine.cut()
    kept = {path.name: path.read_bytes() for path in machine.live.iterdir()}
    assert kept == {"synced": b"first", "replaced": b"old", "empty": b""}


def test_a_cut_at_any_sync_from_the_first_start_to_the_stop_leaves_all_that_was_told(
    power_cut: Path, tmp_path: Path
) -> None:
    for sync in range(1, 50):
        machine = new_machine(power_cut, tmp_path / str(sync))
        words = [sys.executable, "-c", WRITING, machine.state]
        environment = {**machine.environment, "POWER_CUT_AT": str(sync)}
        ended = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        machine.cut()
        again = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        with closing(sqlite3.connect(machine.state / "notes.db")) as notes:
            kept = {id_ for (id_,) in notes.execute("SELECT id FROM note")}
        assert {*ended.stdout.split(), *again.stdout.split()} <= kept
        if ended.returncode == 0:  # it has fewer syncs
            break
        assert ended.returncode == -signal.SIGKILL
    assert sync > 8  # the directories', the file's, those of three commits, and those of the close
    assert len(ended.stdout.split()) == 3


@pytest.mark.slow
def test_whatever_was_answered_outlives_power_cuts_under_load_and_no_handler_is_forgotten(
    machine: Machine, running: Callable[..., Process]
) -> None:
    answers = Answers()
    for _ in range(3):
        receiver = running()
        with load(receiver.url, answers, VALID, UNKNOWN, VALID, INVALID, MALFORMED, connections=8):
            answers.wait_for_more(600)
            receiver.kill()
        assert (machine.disk / "state" / "inbox.db").stat().st_size > 100_000, "no checkpoint was in it"
        machine.cut()
        with closing(Inbox(machine.state)) as inbox:
            answers.check(inbox)
    receiver = running()
    assert receiver.url
    wait_for(lambda: called("receiver", "list", "--run", "pending", "--state", "live/state").stdout == "", "the runs")
    assert command("receiver", "retry", "--interrupted", "--state", "live/state").returncode == 0
    assert set(answers.of[202]) <= set(started())


@pytest.mark.parametrize(("handlers", "loses"), [("", False), (NOT_SYNCED, True)], ids=["FULL", "NORMAL"])
def test_the_sync_at_each_commit_is_what_keeps_it(
    machine: Machine, running: Callable[..., Process], handlers: str, loses: bool
) -> None:
    answers = Answers()
    receiver = running(handlers)
    with load(receiver.url, answers, VALID):
        answers.wait_for_more(50)
        receiver.kill()
    machine.cut()
    with closing(Inbox(machine.state)) as inbox:
        kept = {entry.id for entry in inbox.entries(limit=len(answers) + 10)}
    assert bool(set(answers.of[202]) - kept) is loses


def test_a_run_whose_end_was_not_synced_is_repeated(machine: Machine, running: Callable[..., Process]) -> None:
    receiver = running()
    id_ = requests.post(receiver.url, data=BODY, headers=JSON, timeout=SOON).headers["Delivery-Id"]
    receiver.wait(type="run", id=id_, state="done")
    receiver.kill()
    machine.cut()
    assert running().wait(type="run", id=id_, state="done")["attempt"] == 1
    assert started() == {id_: 2}


def test_an_intent_is_on_disk_before_the_connection_opens_and_is_never_sent_again(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SOON)
        words = [*FIRE, "--id", "X", "--to", f"http://127.0.0.1:{listener.getsockname()[1]}/hook"]
        sending = subprocess.Popen([sys.executable, "-m", *words], env=machine.environment)
        connection, _ = listener.accept()
        sending.kill()
        sending.wait()
        connection.close()
        machine.cut()
        again = command(*words, env=machine.environment)
        assert (again.returncode, "(unknown); nothing was sent now" in again.stderr) == (2, True)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_an_outcome_that_was_told_is_on_disk(machine: Machine, peer: Callable[..., Peer]) -> None:
    receiver = peer(lambda connection: connection.sendall(b"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n"))
    assert command(*FIRE, "--to", receiver.url, env=machine.environment).returncode == 0
    machine.cut()
    with closing(Ledger(machine.state)) as ledger:
        (attempt,) = ledger.attempts(limit=2)
    assert (attempt.outcome.state, attempt.outcome.status) == (State.DELIVERED, 204)
    assert receiver.requests[0].endswith(attempt.body)
