"""What a meter shows, as what is signed and told: a register's Wh by the map, watts now, and the meter's name.

A unit that neither the meter nor its map states is a question for a person, never a default: a register of 10 Wh or of
kWh that is taken for Wh would be signed ten or a thousand times wrong, and nobody would see it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from edge_agent.dlms.units import SCALERS_OF_W, SCALERS_OF_WH
from edge_agent.meters.errors import MapMismatchError
from edge_agent.wire.meter_map import RegisterSource, Term

Shown = Mapping[str, tuple[str | None, str | None]]
"""Value and unit as the meter shows them, by OBIS code."""

_IDENTIFICATION = re.compile(r"[A-Za-z]{3}[0-9A-Za-z](\\.*)?", re.ASCII)
"""A name that can be nothing but an identification of IEC 62056-21: four characters, or with backslashes behind
them."""


def unit_in_wh(obis: str, unit: str | None, term: Term, value: object) -> Fraction:
    """Wh in the unit in which a register counts, by the meter's word or the map's; MapMismatchError.

    Both may state it, and must then agree. value is for the message.
    """
    stated = term.unit_wh
    if unit is None:
        if stated is None:
            raise MapMismatchError(
                f"the meter does not say in which unit it counts {obis} ({value}): compare that with its display, and "
                f'write the unit into the map, such as ["{obis}", {term.sign}, "kWh"]'
            )
        return stated
    if unit not in SCALERS_OF_WH:
        raise MapMismatchError(f"{obis} does not count energy (its unit is {unit})")
    told = Fraction(10) ** SCALERS_OF_WH[unit]
    if stated is not None and stated != told:
        raise MapMismatchError(
            f"the meter says that {obis} counts {unit}, the map says {term.unit}: compare {value} {unit} with the "
            "meter's display, and take the unit out of the map where the meter is right"
        )
    return told


def register_wh(name: str, source: RegisterSource, ratio: tuple[int, int], shown: Shown) -> int:
    """A register in Wh: the floor of the sum of its terms times the transformer ratio. MapMismatchError."""
    total = Fraction(0)
    for term in source.terms:
        if term.obis not in shown:
            raise MapMismatchError(f"the meter does not show {term.obis}, which the map names")
        value, unit = shown[term.obis]
        try:
            number = Fraction((value or "").strip())
        except (ValueError, ZeroDivisionError) as error:
            raise MapMismatchError(f"{term.obis} is {value!r}, which is not a number") from error
        total += term.sign * number * unit_in_wh(term.obis, unit, term, value)
    return whole_wh(name, total * Fraction(*ratio))


def whole_wh(name: str, energy: Fraction) -> int:
    """Whole Wh, rounded down; MapMismatchError where a register is negative."""
    if energy < 0:
        raise MapMismatchError(f"{name} is negative on the meter: the map's sign may be wrong")
    return int(energy // 1)


def power_w(shown: Shown, ratio: tuple[int, int], unit: str | None = None) -> int | None:
    """Active power in W, import positive, after the ratio; None where the meter shows none whose unit is known.

    unit is what powers without a unit count in (None: they are not shown). The net power 16.7.0 counts where neither
    1.7.0 nor 2.7.0 is there.
    """
    for signs in ({":1.7.0.255": 1, ":2.7.0.255": -1}, {":16.7.0.255": 1}):
        total: Fraction | None = None
        for code, (value, stated) in shown.items():
            sign = signs.get(code[code.find(":") :], 0)
            known = stated or unit
            if sign and value is not None and known in SCALERS_OF_W:
                try:
                    watts = Fraction(value) * Fraction(10) ** SCALERS_OF_W[known]
                except (ValueError, ZeroDivisionError):
                    continue
                total = (total or 0) + sign * watts
        if total is not None:
            return int(total * Fraction(*ratio) // 1)
    return None


def own_name(number: str | None, identifications: tuple[str, ...], title: bytes | None, configured: str) -> str:
    """The name of a meter on a line of its own: its number; where it tells none, its system title, the identification
    that the map names, or what the map says.

    A map whose name is written as an identification (`KAM5`, `ISK5\\2M550T-1012`) is held to it.
    """
    if number:
        return number
    if title:
        return configured if configured.lower() == title.hex() else title.hex()
    if configured not in identifications and identifications and _IDENTIFICATION.fullmatch(configured):
        return identifications[0]
    return configured
