"""Fixtures of settlement's tests: campuses on a validator, and what comes between them and it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from campus_fixtures import agave_campus, campus, killable, make_campus, proxy

from authority.cli import main

__all__ = ["agave_campus", "campus", "killable", "make_campus", "proxy"]


@pytest.fixture
def run(campus: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command that answers with JSON."""

    def command(*words: str, exits: int = 0) -> Any:
        capsys.readouterr()
        status = main([*words, "--home", str(campus.home_path), "--json"])
        said = capsys.readouterr()
        assert status == exits, said.err
        return json.loads(said.out) if status in (0, 3) else said.err

    return command
