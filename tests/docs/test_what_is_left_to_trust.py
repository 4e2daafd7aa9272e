"""What the programs cannot prevent is said where people look for it; tests elsewhere show each case."""

from __future__ import annotations

from pathlib import Path

import pytest

SECURITY = (Path(__file__).parents[2] / "docs" / "SECURITY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("outside the market, without wheeling and fee", marks=pytest.mark.finding("chain-21")),
        pytest.param("unmetered diesel generator", marks=pytest.mark.finding("chain-22")),
        pytest.param("it can buy dear and sell cheap", marks=pytest.mark.finding("chain-18")),
    ],
)
def test_it_is_said_in_the_section(said: str) -> None:
    section = SECURITY.split("## What is left to trust")[1]
    assert said in section
