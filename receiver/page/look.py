"""How pages look: the templates, styles and scripts that the inspector and the portal share.

In: a name, and the templates of one of them. Out: a Flask app that has both. htmx (Zero-Clause BSD,
https://htmx.org) is shipped in `static`, and nothing is loaded from elsewhere.
"""

from pathlib import Path

from flask import Flask
from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined

from receiver import __version__
from receiver.terminal import clock, iso, moment, printable, span

_HERE = Path(__file__).parent


def page_app(name: str, templates: Path) -> Flask:
    """An app whose pages are made of these templates and of the shared ones."""
    app = Flask(name, static_folder=str(_HERE / "static"), static_url_path="/static")
    app.jinja_loader = ChoiceLoader([FileSystemLoader(templates), FileSystemLoader(_HERE / "templates")])
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True, "undefined": StrictUndefined}
    app.jinja_env.filters |= {
        "clock": clock,
        "exact": exact,
        "iso": iso,
        "bytes": size,
        "milliseconds": milliseconds,
        "moment": moment,
        "printable": printable,
        "span": span,
    }
    app.jinja_env.globals["version"] = __version__
    return app


def exact(micros: int) -> str:
    """A moment in microseconds since 1970, UTC, as local date and time, to the microsecond."""
    return f"{moment(micros)}.{micros % 1_000_000:06}"


def size(number: int) -> str:
    """A number of bytes in at most three digits and a unit: `154 B`, `1.2 KiB`."""
    if number < 1000:
        return f"{number} B"
    return f"{number / 1024:.3g} KiB" if number < 1000 * 1024 else f"{number / 1024**2:.3g} MiB"


def milliseconds(number: float) -> str:
    """A time in milliseconds as it is read: `<0.1 ms`, `0.2 ms`, `38 ms`, `1.5 s`."""
    if number < 0.1:
        return "<0.1 ms"
    if number < 10:
        return f"{number:.1f} ms"
    return f"{number:.0f} ms" if number < 1000 else f"{number / 1000:.1f} s"
