"""What these tests share."""

import pytest


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What the handlers asked the API: question, about what, under which key. Nothing is really asked."""
    questions: list[tuple[str, str, str]] = []
    monkeypatch.setattr("handlers.ask_api", lambda question, about, key: questions.append((question, about, key)))
    return questions
