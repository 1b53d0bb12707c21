"""The page on which an event is fired: a form made from its schema, checked as one types.

In: forms. Out: the page, what is wrong with what was typed, what became of what was fired. An event's id is made with
the form that it is fired from, so that a form that is sent twice fires once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Flask, abort, render_template, request

from receiver.contract import Contract, Judgement, Verdict
from receiver.delivery import MalformedBody, parse
from receiver.instances import example
from receiver.outline import Place
from receiver.settings import HOOK
from receiver.store import new_id
from receiver.terminal import as_json
from sender.address import EndpointError
from sender.faults import Fault
from sender.payload import PayloadError, bodies
from sender.portal.form import fields_of, flaws_at, id_of, pretty, typed
from sender.tab import Nobody, Rooms, fire

MADE = "made from the schema"
"""The sample that is none: a value for each member that the schema declares."""

_FAULTS = {
    Fault.CUT: "half of the body, and then no more",
    Fault.CLOSE: "hang up without waiting for the answer",
    Fault.SLOW: "the body in pieces, over two seconds",
    Fault.MEDIA_TYPE: "the Content-Type text/plain",
    Fault.CHUNKED: "the body in chunks, without a length",
    Fault.LARGE: "a body of 2 MiB",
}


@dataclass(frozen=True, slots=True)
class _Typed:
    """What was typed: the event and its data, what is no JSON in it by place, and whether it was typed as JSON."""

    event: str
    data: dict[str, Any]
    flaws: Mapping[str, str]
    raw: str | None = None


def add_firing(app: Flask, rooms: Rooms) -> None:
    """Adds the page to an app."""

    @app.get("/fire")
    def fire_page() -> str:
        asked = _again(rooms, request.args["again"]) if "again" in request.args else _sampled(rooms.contract)
        return render_template("fire.html", **_whole(rooms, asked))

    @app.post("/fire/form")
    def switch() -> str:
        """What was typed, in the other way: as fields, or as JSON."""
        was = _typed(request.form)
        if request.form.get("mode") == "raw":
            was = replace(was, raw=request.form.get("raw", pretty(was.data)))
        elif not was.flaws:
            was = replace(was, raw=None)
        return render_template("_typed.html", **_part(rooms.contract, was))

    @app.post("/fire/check")
    def check() -> str:
        return render_template("_verdict.html", **_judged(rooms.contract, _typed(request.form)))

    @app.post("/fire")
    def fire_it() -> str:
        asked, anyway = _typed(request.form), "anyway" in request.form
        id_ = request.form.get("id") or new_id()
        told: dict[str, Any] = {"fired": [], "error": "", "nobody": "", "judged": None, "id": id_, "new_id": new_id()}
        judged = _judged(rooms.contract, asked)
        if asked.flaws or (judged["wrong"] and not anyway):
            return render_template("_fired.html", **{**told, "judged": judged, "id": id_, "new_id": id_})
        to = request.form.get("to", "").strip() if request.form.get("where") == "url" else None
        try:
            body = next(bodies(rooms.contract, asked.event, data=as_json(asked.data), validate=False))
            ended = fire(rooms, asked.event, body, id_=id_, to=to, fault=request.form.get("fault") or None)
        except Nobody as error:
            return render_template("_fired.html", **{**told, "nobody": str(error), "new_id": id_})
        except (EndpointError, PayloadError) as error:
            return render_template("_fired.html", **{**told, "error": str(error), "new_id": id_})
        return render_template("_fired.html", **{**told, "fired": ended})


def _sampled(contract: Contract) -> _Typed:
    """The data of the sample that is asked for, with fresh UUIDs."""
    event = request.args.get("event", next(iter(contract.events)))
    if event not in contract.events:
        abort(404, f"There is no event type {event!r}.")
    sample = request.args.get("sample") or next(iter(contract.samples(event)), MADE)
    if sample == MADE:
        made = example(Place.of_event(contract, event))
        return _Typed(event, _data_of(made), {})
    try:
        return _Typed(event, _data_of(parse(next(bodies(contract, event, sample=sample, validate=False)))), {})
    except PayloadError as error:
        abort(404, str(error))


def _again(rooms: Rooms, number: str) -> _Typed:
    """The event of an attempt, as a new one."""
    attempt = rooms.ledger.past.find(number)
    if attempt is None:
        abort(404, "There is no such attempt.")
    try:
        data = _data_of(parse(attempt.body))
    except MalformedBody as error:
        abort(404, f"Its body cannot be fired again from a form, since it is not JSON: {error}.")
    return _Typed(attempt.event, data, {}, raw=pretty(data))


def _data_of(payload: object) -> dict[str, Any]:
    data = payload.get("data") if isinstance(payload, dict) else None
    return data if isinstance(data, dict) else {}


def _typed(texts: Mapping[str, str]) -> _Typed:
    event = texts.get("event", "")
    if "raw" not in texts:
        return _Typed(event, *typed(texts))
    try:
        data = parse(texts["raw"].encode())
    except MalformedBody as error:
        return _Typed(event, {}, {"": f"is not JSON: {error}"}, texts["raw"])
    if not isinstance(data, dict):
        return _Typed(event, {}, {"": "must be a JSON object: what stands under `data`"}, texts["raw"])
    return _Typed(event, data, {}, texts["raw"])


def _judged(contract: Contract, asked: _Typed) -> dict[str, Any]:
    """What is wrong with what was typed: at each field, and at none of them."""
    judgement = contract.judge({"event": asked.event, "data": asked.data})
    pointers = [name.partition(":")[2] for name in request.form if ":/" in name and not name.startswith("type:")]
    told, elsewhere = flaws_at(pointers, judgement.violations)
    return {
        "fields": {id_of(pointer): {**told, **asked.flaws}.get(pointer, "") for pointer in pointers},
        "count": len(judgement.violations),
        "elsewhere": elsewhere,
        "raw": asked.raw is not None,
        "malformed": asked.flaws.get("", ""),
        "unknown": judgement.verdict is Verdict.UNKNOWN_EVENT,
        "wrong": bool(asked.flaws) or _is_wrong(judgement),
    }


def _is_wrong(judgement: Judgement) -> bool:
    return judgement.verdict is not Verdict.VALID


def _part(contract: Contract, asked: _Typed) -> dict[str, Any]:
    """What the part of the page needs in which one types."""
    known = asked.event in contract.events
    place = Place.of_event(contract, asked.event).members["data"] if known else Place(())
    return {"raw": asked.raw, "flaws": asked.flaws, "fields": fields_of(place, asked.data)}


def _whole(rooms: Rooms, asked: _Typed) -> dict[str, Any]:
    """What the whole page needs."""
    contract = rooms.contract
    every = rooms.ledger.endpoints.all()
    return {
        **_part(contract, asked),
        "event": asked.event,
        "events": contract.events,
        "samples": [*contract.samples(asked.event), MADE] if asked.event in contract.events else [],
        "sample": None if "again" in request.args else request.args.get("sample", ""),
        "endpoints": rooms.ledger.endpoints.subscribed(asked.event),
        "none": not every,
        "to": request.args.get("to", HOOK),
        "where": request.args.get("where", ""),
        "faults": _FAULTS,
        "id": new_id(),
    }
