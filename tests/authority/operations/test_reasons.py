"""A reason that is typed for the log names no member, person or building, whichever command takes it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from authority.app import App
from authority.cli import main
from authority.store.log import Act
from authority.store.people import User

NAMED = "Fay Wray of North House moved out"
WORDS = {
    "authority collector release": ["1"],
    "authority collector void": ["1"],
    "authority enrol revoke": ["gw"],
    "authority settlement take-out": ["gw/load"],
    "authority meters suspend": ["gw/load"],
    "authority meters resume": ["gw/load"],
    "authority meters retire": ["gw/load"],
    "authority meters reset": ["gw/load"],
    "authority meters reassign": ["gw/load", "--to", "x"],
    "authority members suspend": ["x"],
    "authority members resume": ["x"],
    "authority members leave": ["x"],
}
"""Commands that need no chain before they look at their reason, and what else they take."""


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.mark.parametrize("command", sorted(WORDS))
def test_a_reason_that_names_somebody_is_refused_before_anything_is_done(
    app: App, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    with app.store.write() as session:
        session.add(User(name="Fay Wray", building="North House", wallet="x"))
        before = session.scalar(select(func.count()).select_from(Act))
    monkeypatch.setenv("AUTHORITY_HOME", str(app.home.path))
    assert main([*command.split()[1:], *WORDS[command], "--reason", NAMED]) == 1
    said = capsys.readouterr()
    assert "[names_somebody]" in said.err
    with app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Act)) == before
