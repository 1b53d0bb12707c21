"""The inspector's page: the list with its filters and its activity, a delivery beside it, and what is done with both.

In: HTTP requests of a browser. Out: the whole page, or the part of it that has changed. The URL says what is shown, so
each can be opened by its address.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Flask, Response, render_template, request, send_file

from receiver.contract import Verdict
from receiver.delivery import MalformedBody
from receiver.entry import ENDED, Entry, Run, RunState
from receiver.inspector.actions import can_be_judged, judge_again, run_again, sample
from receiver.inspector.activity import HEIGHT, MINUTES, SLOT, WIDTH, activity, bar_width
from receiver.inspector.asked import MOST, number, query, wanted
from receiver.inspector.body import broken, lines, parsed
from receiver.inspector.copies import copies
from receiver.inspector.rooms import Rooms
from receiver.page.guard import problem
from receiver.search import MINUTE, PAGE, Filter, Mark
from receiver.store import now
from receiver.terminal import masked
from receiver.uptime import gaps

_MANY = 500  # with more rows than these the page is a burden, and who looks at its top needs no more than the newest


def serve_pages(app: Flask, rooms: Rooms) -> None:
    """Adds the page's routes to an app."""
    app.jinja_env.filters |= {"outcome": outcome}
    app.jinja_env.globals |= {
        "hook": rooms.hook,
        "shown_hook": masked(rooms.hook),
        "redact": rooms.redact,
        "events": list(rooms.contract.events),
        "registered": rooms.handlers.names(),
        "verdicts": list(Verdict),
        "states": list(RunState),
    }
    _serve_list(app, rooms)
    _serve_delivery(app, rooms)
    _serve_files(app, rooms)


def outcome(runs: Sequence[Run]) -> tuple[str, str]:
    """How the handlers fared whose latest runs these are, as a state and in words: the state of most concern, and how
    many are in it."""
    states = [run.state for run in runs]
    for state in (RunState.FAILED, RunState.INTERRUPTED, RunState.RUNNING, RunState.PENDING, RunState.DONE):
        if there := states.count(state):
            among = f"{there} of {len(runs)} " if there < len(runs) else f"{there} " if there > 1 else ""
            return state, f"{among}{state}"
    return "none", "no handler"


def _serve_list(app: Flask, rooms: Rooms) -> None:
    search = rooms.inbox.search

    @app.get("/")
    def home() -> str:
        return _page(rooms, None)

    @app.get("/rows")
    def rows() -> Response:
        """What fits the filters from the newest on, which then stand in the URL; or from a number on."""
        asked, before = wanted(request.args), number(request.args, "before")
        answer = Response(render_template("rows.html", **_list(rooms, asked, before), further=before is not None))
        if before is None:
            answer.headers["HX-Replace-Url"] = _path() + query(asked)
        return answer

    @app.get("/live")
    def live() -> Response:
        """What has come or changed since the page was last told; 204 where nothing has."""
        asked = wanted(request.args)
        if asked.run:
            return _of_run(rooms, asked)
        since = Mark(*(number(request.args, f"seen_{name}") or 0 for name in Mark.__slots__))
        shown = dict(one.partition(" ")[::2] for one in request.args.getlist("open"))
        changes = search.changes(since, asked, shown)
        changed = [one for one in changes.changed if shown.get(one.id) != outcome(one.runs)[1]]
        if changes.mark == since and not changed:
            return Response(status=204)
        if changes.new is None or (changed and asked.verdict) or _is_burdened():
            return Response(render_template("live.html", whole=True, **_list(rooms, asked, most=_shown())))
        parts = {"new": rooms.shown(changes.new), "changed": rooms.shown(changed), "mark": changes.mark}
        return Response(render_template("live.html", whole=False, query=query(asked), **parts))

    @app.get("/activity")
    def hour() -> str:
        at, asked = now(), wanted(request.args)
        counts = search.minutes(at // MINUTE - MINUTES + 1, at // MINUTE)
        chart = activity(counts, gaps(rooms.inbox.uptime.windows(), at), at)
        sizes = {"slot": SLOT, "width": WIDTH, "height": HEIGHT, "bar_width": bar_width()}
        return render_template("activity.html", chart=chart, earlier=partial(_earlier, asked), **sizes)

    @app.post("/retry")
    def retry_many() -> Response:
        """Runs the handlers of those that were chosen again."""
        return _told(_in_line(run_again(rooms, request.form.getlist("id"))), status=204)


def _serve_delivery(app: Flask, rooms: Rooms) -> None:
    @app.get("/deliveries/<id_>")
    def delivery(id_: str) -> str:
        entry = rooms.entry(id_)
        if "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers:
            return render_template("detail.html", **_detail(rooms, entry))
        return _page(rooms, entry)

    @app.get("/deliveries/<id_>/runs")
    def runs(id_: str) -> Response:
        entry = rooms.entry(id_)
        if request.args.get("seen") == _seen(entry):
            return Response(status=204)
        return Response(render_template("runs.html", **_runs(entry)))

    @app.get("/deliveries/<id_>/equal")
    def equal(id_: str) -> str:
        entry = rooms.inbox.entry(id_)
        same = rooms.inbox.search.equal(entry.id, entry.body)
        return render_template("equal.html", page=same, query=query(wanted(request.args)))

    @app.post("/deliveries/<id_>/retry")
    def retry(id_: str) -> Response:
        runs = run_again(rooms, [rooms.inbox.entry(id_).id], request.form.get("handler"))
        return _told(_in_line(runs), render_template("runs.html", **_runs(rooms.entry(id_))))

    @app.post("/deliveries/<id_>/judge")
    def judge(id_: str) -> Response:
        before, after = rooms.inbox.entry(id_).verdict, judge_again(rooms, id_)
        same = "still" if after.verdict is before else "now"
        text = f"By the schemas as they are on disk it is {same} {after.verdict.replace('_', ' ')}."
        return _told(text, render_template("detail.html", **_detail(rooms, rooms.entry(id_))))


def _serve_files(app: Flask, rooms: Rooms) -> None:
    @app.get("/deliveries/<id_>/body")
    def raw(id_: str) -> Response:
        """The exact bytes of the body."""
        entry = rooms.inbox.entry(id_)
        if rooms.redact:
            return problem(403, "This receiver runs with --redact, so no body is given away.")
        return _file(entry.body, f"{entry.id}.body", "application/octet-stream")

    @app.get("/deliveries/<id_>/sample")
    def sanitised(id_: str) -> Response:
        made = sample(rooms, id_)
        return _file(f"{json.dumps(made, indent=2)}\n".encode(), f"{made['event']}.json", "application/json")


def _page(rooms: Rooms, entry: Entry | None) -> str:
    detail = _detail(rooms, entry) if entry else {"entry": None}
    return render_template("deliveries.html", **(_list(rooms, wanted(request.args)) | detail))


def _list(rooms: Rooms, asked: Filter, before: int | None = None, most: int = PAGE) -> dict[str, Any]:
    page = rooms.inbox.search.page(asked, before, most)
    return {
        "asked": asked,
        "earlier": partial(_earlier, asked),
        "query": query(asked),
        "page": page,
        "mark": page.mark,
        "listed": rooms.shown(page.listed),
    }


def _of_run(rooms: Rooms, asked: Filter) -> Response:
    """The whole list, where it differs from what is shown: what did not fit a state before may do so now."""
    made = _list(rooms, asked, most=_shown())
    made["digest"] = str(hash(tuple((one.id, outcome(one.runs)) for one in made["listed"])))
    same = made["digest"] == request.args.get("digest")
    return Response(status=204) if same else Response(render_template("live.html", whole=True, **made))


def _detail(rooms: Rooms, entry: Entry) -> dict[str, Any]:
    made: dict[str, Any] = {"lines": (), "broken": None}
    try:
        made["lines"] = lines(parsed(entry), entry.violations, rooms.contract, entry.event)
    except MalformedBody as error:
        made["broken"] = broken(entry.body, error)
    again = () if rooms.redact else copies(entry, rooms.hook, rooms.place)
    judged = can_be_judged(entry)
    return {**made, **_runs(entry), "copies": again, "can_be_judged": judged, "query": query(wanted(request.args))}


def _runs(entry: Entry) -> dict[str, Any]:
    ended = [run for run in entry.latest if run.state in ENDED]
    return {"entry": entry, "seen": _seen(entry), "ended": ended}


def _seen(entry: Entry) -> str:
    """What is shown of its runs, in short."""
    return ".".join(f"{run.attempt}{run.state}" for run in entry.runs)


def _path() -> str:
    """Of the page that asks: a delivery's, or the list's."""
    shown = request.headers.get("HX-Current-URL", "").partition("?")[0].removeprefix(request.host_url.rstrip("/"))
    return shown if shown.startswith("/deliveries/") else "/"


def _shown() -> int:
    """How many rows the page has, which is where it is scrolled to."""
    return PAGE if _is_at_top() else min(max(PAGE, number(request.args, "rows") or 0), MOST)


def _is_burdened() -> bool:
    return _is_at_top() and (number(request.args, "rows") or 0) > _MANY


def _is_at_top() -> bool:
    return request.args.get("top") == "true"


def _earlier(asked: Filter, until: int | None) -> str:
    """The query for what was received before that moment, whenever that is."""
    return query(replace(asked, until=until))


def _in_line(runs: int) -> str:
    return "Its handler runs again." if runs == 1 else f"{runs} runs are in line again."


def _told(text: str, html: str = "", status: int = 200) -> Response:
    """An answer, and a word on the page that says what was done."""
    answer = Response(html, status)
    answer.headers["HX-Trigger"] = json.dumps({"told": text})
    return answer


def _file(content: bytes, name: str, kind: str) -> Response:
    return send_file(io.BytesIO(content), kind, as_attachment=True, download_name=name)
