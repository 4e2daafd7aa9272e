"""How a command's figures read: a price is no time, whatever its name ends with."""

from __future__ import annotations

from dataclasses import replace

import pytest
from status_facts import NOW, WELL

from authority.operations.command_parts import said
from authority.status import screen


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("sell_at", 120_000, "120000 micro-credits per kWh"),
        ("buy_at", None, "-"),
        ("left_at", 1_782_000_000, "2026-06-21 00:00:00Z"),
        ("settled_until", 1_782_000_000, "2026-06-21 00:00:00Z"),
        ("public", True, "yes"),
        ("orders", [], "-"),
    ],
)
def test_a_value_reads_as_what_it_is(name: str, value: object, text: str) -> None:
    assert said(name, value) == text


@pytest.mark.parametrize(("clock", "words"), [(NOW - 300, "5 min behind"), (NOW, "0 s behind"), (NOW + 2, "2 s ahead")])
def test_the_chains_clock_is_behind_or_ahead(clock: int, words: str) -> None:
    assert f"its clock {words}\n" in screen.render(replace(WELL, chain=replace(WELL.chain, clock=clock)), [])
