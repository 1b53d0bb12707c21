"""Load for receivers that are killed under it: bodies of each verdict, each body unlike any other; odd HTTP; and what
was answered."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, cycle

import requests
from conftest import JSON, SOON, wait_for

from receiver.contract import Verdict
from receiver.inbox import Inbox

CONSENT = '"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"'
VALID = '{"event": "transactions.fetched", "data": {"externalUserId": "%s", ' + CONSENT + "}}"
UNKNOWN = '{"event": "new.%s", "data": {}}'
INVALID = '{"event": "transactions.fetched", "data": {"externalUserId": "%s", "consentId": 5}}'
MALFORMED = '{"event": "transactions.fetched", "data": {"externalUserId": "%s"'
ANSWERED = {Verdict.VALID: 202, Verdict.UNKNOWN_EVENT: 202, Verdict.INVALID: 422, Verdict.MALFORMED: 400}

HEAD = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

_serial = count()


def bodies(*kinds: str) -> Iterator[bytes]:
    """Bodies of these kinds in turn, without end, no two alike in this process."""
    for kind in cycle(kinds):
        yield (kind % f"user-{next(_serial)}").encode()


@dataclass
class Answers:
    """What a receiver has answered to, as far as the answer arrived: per status the bodies by their deliveries' ids."""

    of: dict[int, dict[str, bytes]] = field(default_factory=lambda: {202: {}, 400: {}, 422: {}})

    def __len__(self) -> int:
        return sum(map(len, self.of.values()))

    def wait_for_more(self, more: int) -> None:
        enough = len(self) + more
        wait_for(lambda: len(self) >= enough, f"{more} more answers")

    def check(self, inbox: Inbox) -> None:
        """Each is in the inbox with its exact bytes and its verdict, and no body is there twice."""
        entries = inbox.entries(limit=1_000_000)
        stored = {entry.id: (entry.status, entry.body) for entry in entries}
        answered = {id_: (status, body) for status, bodies in self.of.items() for id_, body in bodies.items()}
        assert {id_: answer for id_, answer in answered.items() if stored.get(id_) != answer} == {}
        assert len({entry.body for entry in entries}) == len(entries)
        assert all(ANSWERED[entry.verdict] == entry.status for entry in entries)


@contextmanager
def load(url: str, answers: Answers, *kinds: str, connections: int = 4) -> Iterator[None]:
    """Posts from several connections from the start of the block until the receiver dies, which has to be in it."""
    posters = [threading.Thread(target=_post, args=(url, answers, kinds)) for _ in range(connections)]
    for poster in posters:
        poster.start()
    yield
    for poster in posters:
        poster.join()


def _post(url: str, answers: Answers, kinds: tuple[str, ...]) -> None:
    with requests.Session() as session:
        for body in bodies(*kinds):
            try:
                answer = session.post(url, data=body, headers=JSON, timeout=SOON)
            except requests.RequestException:
                return
            answers.of[answer.status_code][answer.headers["Delivery-Id"]] = body


def odd_requests() -> Iterator[tuple[str, bytes, list[bytes]]]:
    """For ever: a name, what is sent, and the bodies in it that are to be stored, in the order of their answers."""
    for one, two, three in zip(*[bodies(VALID)] * 3, strict=False):
        whole = [HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body) for body in (one, two, three)]
        yield "pipelined", b"".join(whole), [one, two, three]
        yield "cut off", whole[0][:-20], []
        yield "two lengths", HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n" + one, []
        yield "garbage", os.urandom(300) + b"\r\n\r\n", []
        yield "flood of headers", HEAD + b"X: y\r\n" * 10_000 + b"\r\n", []
        yield "from a page", whole[2].replace(b"Host: x", b"Host: x\r\nOrigin: http://evil.example"), []
        yield "broken chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + one, []


def exchange(port: int, request: bytes) -> list[bytes]:
    """The answers to what is sent, each from its status on."""
    data = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as connection, suppress(ConnectionError):
        connection.sendall(request)
        with suppress(OSError):  # the other side has closed it
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            data += part
    return [answer for answer in data.split(b"HTTP/1.1 ")[1:] if b"\r\n\r\n" in answer]
