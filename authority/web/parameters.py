"""The market's parameters as people read and type them: names in words, per cent, kWh, credits, seconds; refusals."""

from __future__ import annotations

import re
from collections.abc import Callable

from authority.language.reading import gettext, marked, translated
from authority.web import amounts, wording

PRICES = ("feed_in_price", "retail_price", "wheeling")
CREDITS_PER_KWH, KWH, PER_CENT = 6, 3, 2
"""Decimals in which prices, energies and basis points are typed."""
_DECIMALS = (("_bps", PER_CENT), ("_wh", KWH))
_UNITS = (
    ("_bps", "%"),
    ("_wh", marked("kWh")),
    ("_seconds", marked("seconds")),
    ("_epochs", marked("epochs")),
)
RULES = {
    "name what is to change, such as feed_in_price": marked("say what is to change, such as the feed-in price"),
    "feed_in_price must not be above retail_price": marked("the feed-in price must not be above the retail price"),
    "min_order_wh must not be above max_order_wh": marked("the least order must not be above the largest"),
    "grace_seconds must fit in an epoch": marked("readings must not be waited for longer than an epoch"),
    "cancel_cutoff_seconds must be less than an epoch": marked(
        "the time before its end in which no order is taken back must be shorter than an epoch"
    ),
    "fee_bps is a share of 10000": marked("the market's fee is 100 per cent at most"),
    "storage_efficiency_bps is a share of 10000": marked("what comes back out of batteries is 100 per cent at most"),
}
"""What governance refuses, as people are told."""
_TIMES = re.compile(r"parameters change with epoch (\d+) at the earliest and (\d+) at the latest: now is epoch \d+")
_RANGE = re.compile(r"(\w+) is 0 to (\d+), not -?\d+")


def decimals_of(name: str) -> int:
    """With how many decimals people type a parameter: prices in credits per kWh, shares in per cent, energy in kWh."""
    if name in PRICES:
        return CREDITS_PER_KWH
    return next((decimals for end, decimals in _DECIMALS if name.endswith(end)), 0)


def unit_of(name: str) -> str:
    """The unit in which it is shown and typed; empty for a number of something that its name says."""
    if name in PRICES:
        return gettext("credits per kWh")
    return next((translated(unit) for end, unit in _UNITS if name.endswith(end)), "")


def written(name: str, value: int | None) -> str:
    """A value without its unit, as it is typed; empty for None."""
    return amounts.written(value, decimals_of(name))


def told(name: str, value: int) -> str:
    """A value with its unit: 1 %, 0.09 credits per kWh, 4."""
    unit = unit_of(name)
    return f"{written(name, value)}\N{NO-BREAK SPACE}{unit}" if unit else written(name, value)


def refusal(message: str, epoch_seconds: int, at: Callable[[int], str]) -> str:
    """What governance refused, for people: its names in words, its epochs as the moments at which they begin."""
    if found := _TIMES.fullmatch(message):
        first, last = (at(int(epoch) * epoch_seconds) for epoch in found.groups())
        return gettext(
            "a change holds from %(first)s at the earliest and %(last)s at the latest: choose a day between them",
            first=first,
            last=last,
        )
    if (found := _RANGE.fullmatch(message)) and found[1] in wording.PARAMETERS:
        most = told(found[1], int(found[2]))
        return gettext("%(name)s: %(most)s at most", name=wording.parameter(found[1]), most=most)
    return translated(RULES[message]) if message in RULES else message
