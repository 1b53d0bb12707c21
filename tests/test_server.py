"""The receiver, wired: what it opens, in which order it starts and stops, and the same app behind another WSGI
server."""

import json
import logging
import threading
import wsgiref.simple_server
from contextlib import closing
from pathlib import Path

import pytest
import requests
from conftest import BODY, JSON, SOON, receiving_here, wait_for
from test_inbox import entry, pending

from receiver import Delivery, Handlers, create_app
from receiver.contract import ContractError
from receiver.handlers import HandlersError
from receiver.inbox import Inbox
from receiver.listener import ListenerError, listen
from receiver.report import Report
from receiver.server import Server, serve


def noting(seen: list[Delivery]) -> Handlers:
    handlers = Handlers()

    @handlers.on("transactions.fetched")
    def note(delivery: Delivery) -> None:
        seen.append(delivery)

    return handlers


def test_a_delivery_reaches_its_handler_whole(tmp_path: Path) -> None:
    seen: list[Delivery] = []
    with receiving_here(tmp_path / "state", noting(seen)) as here:
        answer = here.post(headers={**JSON, "X-Trace": "1"})
        here.wait(type="run", state="done")
    (delivery,) = seen
    assert (delivery.id, delivery.body, delivery.attempt) == (answer.headers["Delivery-Id"], BODY, 1)
    assert delivery.data == {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"}
    assert delivery.headers["X-Trace"] == "1"


def test_a_delivery_is_told_before_its_runs(tmp_path: Path) -> None:
    with receiving_here(tmp_path / "state", noting([])) as here:
        for _ in range(50):
            here.post()
        wait_for(lambda: len(here.told) == 100, "all to be told")
    order = [(line["type"], line["id"]) for line in here.told]
    assert all(order.index(("delivery", id_)) < order.index(("run", id_)) for kind, id_ in order if kind == "run")


def test_what_is_quarantined_reaches_no_handler(tmp_path: Path) -> None:
    seen: list[Delivery] = []
    handlers = Handlers()
    handlers.on("*")(_collector(seen))
    with receiving_here(tmp_path / "state", handlers) as here:
        here.post(b"nonsense")
        here.post(b'{"event": "transactions.fetched", "data": {}}')
        here.post(b'{"event": "new.event", "data": {}}')
        here.wait(type="run", state="done")
    assert [delivery.event for delivery in seen] == ["new.event"]


def _collector(seen: list[Delivery]):
    def collect(delivery: Delivery) -> None:
        seen.append(delivery)

    return collect


def test_what_cannot_be_used_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    handlers = Handlers()
    handlers.on("no.such.event")(_collector([]))
    with pytest.raises(HandlersError), receiving_here(tmp_path / "state", handlers):
        pass
    with pytest.raises(ContractError), receiving_here(tmp_path / "state", schemas=tmp_path / "none"):
        pass
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenerError), receiving_here(tmp_path / "state", port=port):
            pass
    assert not (tmp_path / "state").exists()


def test_what_an_earlier_receiver_left_is_run_by_the_next(tmp_path: Path) -> None:
    seen: list[Delivery] = []
    handlers = noting(seen)
    entered, leave = threading.Event(), threading.Event()

    @handlers.on("consent.*")
    def hold(delivery: Delivery) -> None:
        entered.set()
        leave.wait(SOON)

    with receiving_here(tmp_path / "state", handlers) as here:
        here.post(
            b'{"event": "consent.accounts.updated", "data": {"consentId": "c2d1f8a4-0b5e-4f0e-9b7a-6e7d3c1f2a90"}}'
        )
        assert entered.wait(SOON)
        here.post()
        threading.Timer(0.2, leave.set).start()
    assert seen == []
    with receiving_here(tmp_path / "state", handlers) as here:
        here.wait(type="run", handler="note", state="done")
    assert len(seen) == 1


def test_it_says_that_it_is_ready_before_it_runs_what_an_earlier_one_left(tmp_path: Path) -> None:
    with closing(Inbox(tmp_path / "state")) as inbox:
        inbox.store([entry(runs=pending("note", "gone"))], then=lambda _: None)
    told: list[str] = []
    report = Report(lambda line: told.append(json.loads(line)["type"]), as_records=True)

    def ready(server: Server) -> None:
        told.append("ready")
        assert server.orphaned == {"gone": 1}

    with serve(noting([]), report, port=0, state=tmp_path / "state", ready=ready):
        wait_for(lambda: len(told) == 2, "the run that was left")
    assert told == ["ready", "run"]


def test_the_same_handlers_serve_behind_another_wsgi_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "receiver")
    seen: list[Delivery] = []
    app = create_app(noting(seen), state=tmp_path / "state", path="/in", max_body=1000)
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/in"
        answer = requests.post(url, data=BODY, headers=JSON, timeout=SOON)
        large = requests.post(url, data=BODY + b" " * 2000, headers=JSON, timeout=SOON)
        wait_for(lambda: seen, "the handler")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["receiver"].close()
    assert (answer.status_code, large.status_code) == (202, 413)
    with closing(Inbox.existing(tmp_path / "state")) as inbox:
        assert inbox.entry(answer.headers["Delivery-Id"]).body == BODY
    assert "transactions.fetched" in caplog.text
    assert "\x1b" not in caplog.text


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args: object) -> None: ...
