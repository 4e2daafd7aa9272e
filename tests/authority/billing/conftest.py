"""Fixtures of billing's tests: the campus of settlement's, on the embedded validator with the real programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from billing_campus import command_of
from campus_fixtures import campus, make_campus, proxy

__all__ = ["campus", "make_campus", "proxy"]


@pytest.fixture
def billing(campus: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs `authority billing ... --json`, and gives what it printed; its exit status must be the one given."""
    return command_of(campus, capsys)
