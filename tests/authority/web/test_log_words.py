"""Entries of the log in words: every figure has its unit, and what is no object is left as it is."""

from __future__ import annotations

import json

from authority.web.log_words import told


def at(seconds: int) -> str:
    return f"at {seconds}"


def test_figures_have_their_units_and_names_their_words() -> None:
    said = {
        "epoch": 1_980_000, "boundary": 1_782_000_900, "wallet": "abc", "wh": 2_500, "traded_wh": 1_500,
        "amount": -2_500_000, "feed_in_price": 80_000, "fee_bps": 150, "bids": 3, "member": None, "ok": True,
        "parameters": {"retail_price": 300_000, "grace_seconds": 20}, "epochs": [7, 9],
    }  # fmt: skip
    assert told(json.dumps(said), 900, at) == [
        ("epoch", "1980000 (at 1782000000)"), ("boundary", "at 1782000900"), ("wallet", "abc"),
        ("energy", "2.500 kWh"),
        ("traded", "1.500 kWh"), ("amount", "\N{MINUS SIGN}2.50 credits"),
        ("feed in price", "0.080 credits per kWh"), ("fee", "1.5 %"), ("bids", "3"), ("member", "\N{EN DASH}"),
        ("ok", "yes"), ("parameters, retail price", "0.300 credits per kWh"), ("parameters, grace seconds", "20"),
        ("epochs", "7, 9"),
    ]  # fmt: skip


def test_what_is_moved_is_energy_or_credits_by_its_asset() -> None:
    for asset, words in (("energy", "2500.000"), ("credit", "2.50 credits")):
        (_, (_, value)) = told(json.dumps({"asset": asset, "amount": 2_500_000}), 900, at)
        assert value.replace("\u202f", "").startswith(words)


def test_what_is_no_object_has_no_pairs() -> None:
    assert told("no JSON", 900, at) == told("[1]", 900, at) == told("", 900, at) == []
