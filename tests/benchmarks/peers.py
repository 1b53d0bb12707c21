"""Other receivers of webhooks, each set up as its own documentation has it for a first start.

None of them judges a payload by a schema or stores it on disk: what each does is said in its `does`.
"""

import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from load import JSON, request
from servers import BODY, Server, running, wait_until

SECRET = "the secret of a benchmark"
OCTOKIT = """
import { createServer } from "node:http";
import { createNodeMiddleware, Webhooks } from "@octokit/webhooks";

const webhooks = new Webhooks({ secret: "%s" });
webhooks.onAny(() => {});
const server = createServer(createNodeMiddleware(webhooks));
server.listen(0, "127.0.0.1", () => console.log("port", server.address().port));
"""
HTTPSERVER = """
import threading
from pytest_httpserver import HTTPServer

with HTTPServer("127.0.0.1") as server:
    server.expect_request("/webhook", method="POST").respond_with_json({})
    print("port", server.port, flush=True)
    threading.Event().wait()
"""
GITHUB = {
    **JSON,
    "X-GitHub-Event": "push",
    "X-GitHub-Delivery": "57ee0578-5bf4-4dcf-e1fa-08db5aa0e6b2",
    "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest(),
}


class Missing(Exception):
    """A peer that is not on this machine."""


@contextmanager
def webhook(folder: Path) -> Iterator[Server]:
    """https://github.com/adnanh/webhook, in Go."""
    if not (program := shutil.which("webhook")):
        raise Missing("adnanh/webhook: Debian's package `webhook` is not installed")
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps([{"id": "webhook", "execute-command": "/bin/true"}]), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address: tuple[str, int] = free.getsockname()
    words = [program, "-hooks", str(hooks), "-ip", address[0], "-port", str(address[1])]
    with running(words, folder) as (process, _):
        wait_until(lambda: _listens(address), "webhook to listen")
        does = "JSON if it can be read; nothing stored; the answer does not wait for its process, /bin/true"
        sent = request("/hooks/webhook", BODY)
        yield Server("adnanh/webhook", does, address, sent, process, lambda: _has_children(process))


@contextmanager
def octokit(folder: Path) -> Iterator[Server]:
    """https://github.com/octokit/webhooks.js, on node:http."""
    script = folder / "octokit.mjs"
    script.write_text(OCTOKIT % SECRET, encoding="utf-8")
    _needs(["node", "--input-type=module", "-e", "import '@octokit/webhooks'"], folder, "npm's @octokit/webhooks")
    with running(["node", str(script)], folder) as (process, said):
        address = "127.0.0.1", int(said(r"port (\d+)")[1])
        does = "HMAC signature, JSON; nothing stored; a handler before the answer"
        yield Server("@octokit/webhooks", does, address, request("/api/github/webhooks", BODY, GITHUB), process)


@contextmanager
def httpserver(folder: Path) -> Iterator[Server]:
    """https://github.com/csernazs/pytest-httpserver, on Werkzeug's server."""
    python = next((str(path) for path in folder.glob("venv/bin/python")), sys.executable)
    _needs([python, "-c", "import pytest_httpserver"], folder, "PyPI's pytest-httpserver")
    with running([python, "-c", HTTPSERVER], folder) as (process, said):
        address = "127.0.0.1", int(said(r"port (\d+)")[1])
        does = "method and path; each request kept in memory until the test ends; an answer made beforehand"
        yield Server("pytest-httpserver", does, address, request("/webhook", BODY), process)


PEERS: tuple[Callable[[Path], AbstractContextManager[Server]], ...] = (webhook, octokit, httpserver)


def install(folder: Path) -> None:
    """Installs the peers: `webhook` on this machine, as root; the other two in a folder."""
    venv.create(folder / "venv", with_pip=True)
    for words in (
        ["apt-get", "install", "-y", "webhook"],
        ["npm", "install", "--prefix", str(folder), "@octokit/webhooks"],
        [str(folder / "venv" / "bin" / "pip"), "install", "pytest-httpserver"],
    ):
        print("$", *words, flush=True)
        subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _needs(words: list[str], folder: Path, what: str) -> None:
    if not shutil.which(words[0]) or subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode:
        raise Missing(f"{what} is not installed")


def _listens(address: tuple[str, int]) -> bool:
    with socket.socket() as client:
        return client.connect_ex(address) == 0


def _has_children(process: int) -> bool:
    """Asked many times, since between two of them there is none for a moment."""
    tasks = Path(f"/proc/{process}/task")
    return any(task.read_bytes() for _ in range(20) for task in tasks.glob("*/children"))
