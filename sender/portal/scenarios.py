"""The page on which a scenario is played and watched.

In: forms. Out: the page, and how far the scenario is that is played.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, render_template, request

from receiver.contract import Contract
from receiver.settings import HOOK
from sender.address import EndpointError
from sender.portal.playing import Stage
from sender.scenario import Scenario, ScenarioError, read, read_text
from sender.tab import Nobody, Planned, Rooms, planned

PASTED = ":pasted"
"""The scenario that is written in the form, and in no file."""

SPEEDS = {"1": "as written", "10": "10 times as fast", "100": "100 times as fast", "": "as fast as can be"}
MOST_LOOPS = 1000
_SENTENCES = re.compile(r"# ?(.*\.)")  # of the first line; its last one may go on in the next


@dataclass(frozen=True, slots=True)
class Shipped:
    """A scenario that is there to be chosen; `told` is what its file says of it at its beginning."""

    name: str
    title: str
    told: str
    text: str


def add_scenarios(app: Flask, rooms: Rooms, stage: Stage) -> None:
    """Adds the page to an app."""

    @app.get("/scenarios")
    def scenarios_page() -> str:
        return render_template(
            "scenarios.html",
            shipped=[_shipped(path) for path in _files(rooms.contract)],
            endpoints=[one for one in rooms.ledger.endpoints.all() if one.enabled],
            to=HOOK,
            speeds=SPEEDS,
            playing=stage.playing,
            error="",
        )

    @app.post("/scenarios")
    def play_scenario() -> str:
        try:
            ready = _planned(rooms, request.form)
        except Nobody as error:
            told = f"{error}, so nothing was sent: subscribe one, or choose a URL."
            return render_template("_playing.html", playing=stage.playing, error=told)
        except (EndpointError, ScenarioError) as error:
            return render_template("_playing.html", playing=stage.playing, error=str(error))
        return render_template("_playing.html", playing=stage.play(ready), error="")

    @app.get("/scenarios/playing")
    def watch() -> str:
        return render_template("_playing.html", playing=stage.playing, error="")

    @app.post("/scenarios/stop")
    def stop_playing() -> str:
        if stage.playing:
            stage.playing.stop()
        return render_template("_playing.html", playing=stage.playing, error="")


def _planned(rooms: Rooms, texts: Mapping[str, str]) -> Planned:
    """What a form asks for.

    Raises:
        Nobody, EndpointError, ScenarioError: it cannot be played.
    """
    speed, seed = texts.get("speed", ""), texts.get("seed", "").strip()
    return planned(
        rooms,
        _scenario(rooms.contract, texts),
        to=texts.get("to", "").strip() if texts.get("where") == "url" else None,
        seed=_number("seed", seed, 0, 1 << 63) if seed else None,
        speed=float(speed) if speed in SPEEDS and speed else None,
        loops=_number("loops", texts.get("loops", "1"), 1, MOST_LOOPS),
    )


def _scenario(contract: Contract, texts: Mapping[str, str]) -> Scenario:
    name = texts.get("scenario", "")
    if name == PASTED:
        return read_text("scenario", texts.get("text", ""))
    for path in _files(contract):
        if path.stem == name:
            return read(path)
    raise ScenarioError("choose a scenario, or write one")


def _number(name: str, text: str, least: int, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise ScenarioError(f"{name}: must be a whole number from {least} to {most}")


def _files(contract: Contract) -> list[Path]:
    return sorted((contract.samples_directory / "scenarios").glob("*.yaml"))


def _shipped(path: Path) -> Shipped:
    text = path.read_text(encoding="utf-8", errors="replace")
    told = _SENTENCES.match(text)
    try:
        return Shipped(path.stem, read(path).title, told[1] if told else "", text)
    except ScenarioError as error:
        return Shipped(path.stem, path.stem, str(error), text)
