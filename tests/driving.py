"""The API, served from this process, and a client that holds each answer against its description; the portal, served
likewise. `conftest` has the fixture."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
import requests
from peering import SOON

from receiver.contract import Contract

if TYPE_CHECKING:
    from sender.ledger import Ledger
    from sender.portal.playing import Stage

TOKEN = "a-token"


class Client:
    """Asks the API; an answer whose status, media type or body its description does not tell of fails the test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.description = requests.get(f"{url}/openapi.json", timeout=SOON).json()

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        given = {"json": body} if body is not None else {}
        headers = {"Authorization": f"Bearer {TOKEN}", **more.pop("headers", {})}
        answer = requests.request(method, self.url + path, headers=headers, timeout=SOON, **given, **more)
        self._check(method.lower(), path.partition("?")[0], answer)
        return answer

    def at_once(self, times: int, method: str, path: str, body: Any) -> list[requests.Response]:
        """As many clients ask the same at once; `body` is a value, or makes one of a client's number."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(times) as clients:
            bodies = [body(number) if callable(body) else body for number in range(times)]
            return list(clients.map(lambda one: self(method, path, one), bodies))

    def _check(self, method: str, path: str, answer: requests.Response) -> None:
        paths = self.description["paths"]
        responses = paths[path if path in paths else "/api/endpoints/{id}"][method]["responses"]
        assert str(answer.status_code) in responses, answer.text
        content = responses[str(answer.status_code)].get("content")
        if content is None:
            assert answer.content == b""
            return
        (described,) = content.values()
        assert list(content) == [answer.headers["Content-Type"]]
        self.judge(described["schema"], answer.json())

    def judge(self, schema: Any, value: object) -> None:
        """Fails where a value is not as a schema of the description says, or has a member that it does not name."""
        described = self.description["components"]["schemas"].items()
        # Ours begin with a capital; the contract's stay open to growth.
        schemas = {
            name: {"unevaluatedProperties": False, **one} if name[0].isupper() else one for name, one in described
        }
        whole = {"allOf": [schema], "components": {"schemas": schemas}}
        jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


@pytest.fixture
def api(tmp_path: Path, contract: Contract) -> Iterator[Client]:
    """The API with a ledger of its own."""
    from receiver.listener import listen, serving
    from receiver.settings import MAX_BODY
    from sender.api import create_api
    from sender.cli.serving import THREADS
    from sender.ledger import Ledger
    from sender.post import Poster
    from sender.tab import Rooms

    with (
        closing(Ledger(tmp_path / "api")) as ledger,
        Poster(SOON) as poster,
        listen("127.0.0.1", 0) as listener,
        serving(create_api(Rooms(contract, ledger, poster), TOKEN), listener, MAX_BODY, threads=THREADS),
    ):
        yield Client(f"http://127.0.0.1:{listener.getsockname()[1]}")


@dataclass
class Portal:
    """A portal in this process, and who has its cookie."""

    url: str
    ledger: "Ledger"
    stage: "Stage"

    def __call__(self, method: str, path: str, form: Any = None, **headers: str) -> requests.Response:
        cookies = {f"token-{self.url.rpartition(':')[2]}": TOKEN}
        given = {"Origin": self.url} | {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.request(
            method, self.url + path, data=form, headers=given, cookies=cookies, timeout=SOON, allow_redirects=False
        )

    def ended(self, total: int | None = None) -> str:
        """What is shown of a scenario that has ended; empty while it is played."""
        text = self("GET", "/scenarios/playing").text
        there = total is None or f"of {total}<" in text
        return text if "tick from:body" not in text and there else ""

    def write(self, id_: str, body: bytes = b"{}", event: str = "x", **outcome: Any) -> None:
        """Puts an attempt into the ledger."""
        from sender.attempt import Attempt, Outcome, State

        ended = Outcome(State(outcome.pop("state", "delivered")), **outcome)
        made = Attempt(id_, "http://127.0.0.1:9/", event, body, 1, ended)
        self.ledger.intend(made)
        if ended.state is not State.SENDING:
            self.ledger.conclude(made)


def hidden_id(page: str, element: str = "event-id") -> str:
    """The id of the next event, which a page was made with."""
    found = re.search(rf'id="{element}" name="id" value="(\w+)"', page)
    assert found, page
    return found[1]


@contextmanager
def serving_portal(state: Path, contract: Contract) -> Iterator[Portal]:
    """A portal with a ledger of its own, while the block runs."""
    from receiver.listener import listen, serving
    from receiver.settings import MAX_BODY
    from sender.cli.serving import THREADS
    from sender.ledger import Ledger
    from sender.portal.app import create_portal
    from sender.portal.playing import Stage
    from sender.post import Poster
    from sender.tab import Rooms

    with closing(Ledger(state)) as ledger, Poster(SOON) as poster, listen("127.0.0.1", 0) as listener:
        rooms = Rooms(contract, ledger, poster)
        stage = Stage(rooms)
        with serving(create_portal(rooms, stage, TOKEN), listener, MAX_BODY, threads=THREADS), closing(stage):
            yield Portal(f"http://127.0.0.1:{listener.getsockname()[1]}", ledger, stage)


@pytest.fixture
def portal(tmp_path: Path, contract: Contract) -> Iterator[Portal]:
    """The portal with a ledger of its own."""
    with serving_portal(tmp_path / "portal", contract) as portal:
        yield portal
