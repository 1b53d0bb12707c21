"""`nox -f tests/noxfile.py` runs all tests on each of Python 3.11, 3.12 and 3.13 that the machine has."""

from pathlib import Path

import nox

nox.options.error_on_missing_interpreters = False
nox.options.envdir = str(Path(__file__).parent.parent / ".nox")


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    session.chdir(Path(__file__).parent.parent)
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)
