"""The meter map: how a meter's four signed registers come about (docs/PROTOCOL.md, "The meter map").

The authority approves a map; the SHA-256 of its canonical JSON stands on the chain with the meter's key, and the agent
signs under no other. So a map is a value: parsed once, checked whole, and never changed in place.
"""

from __future__ import annotations

import hashlib
import json
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from edge_agent.wire.canonical import canonical_json
from edge_agent.wire.errors import WireError
from edge_agent.wire.rules import REGISTERS

MAP_VERSION = 1
DEFAULT_PROFILE = "1-0:99.1.0.255"

CLOCK_DEVIATION = "deviation"
CLOCK_UTC = "utc"

CUMULATIVE = "cumulative"
INCREMENTS = "increments"

_NAME_SIZE = 64  # a COSEM logical device name has up to 16 octets; what other meters tell may be longer
_MAX_TERMS = 16
_MAX_CAPTURE_PERIOD = 86400
_MAX_RATIO = 1_000_000_000
_UNIT = re.compile(r"(?:(\d{1,9}(?:\.\d{1,9})?) )?(Wh|kWh|MWh|GWh)", re.ASCII)
UNITS_OF_ENERGY: Mapping[str, int] = {"Wh": 1, "kWh": 1000, "MWh": 10**6, "GWh": 10**9}
"""Wh by unit."""

_OBIS = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)
_KEYS = {
    "capture_period",
    "clock",
    "logical_device_name",
    "profile",
    "profile_kind",
    "ratio",
    "registers",
    "rollover_wh",
    "version",
}
_INTEGRALS = {8, 29, 30}
"""OBIS group D: the cumulative register, and the energy of an interval of load profile 1 and 2 (IEC 62056-6-1)."""


class MeterMapError(WireError):
    """A meter map that cannot be used; `key` names the entry at fault, the message says what it should hold."""

    code = "meter_map_invalid"

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key
        self.reason = message


def unit_in_wh(unit: str) -> Fraction:
    """How many Wh a unit such as `Wh`, `kWh` or `10 Wh` is; ValueError for anything else."""
    match = _UNIT.fullmatch(unit)
    factor = Fraction(0) if match is None else Fraction(match[1] or 1) * UNITS_OF_ENERGY[match[2]]
    if not factor:
        raise ValueError(f'{unit!r} is not a unit of energy such as "Wh", "kWh" or "10 Wh"')
    return factor


@dataclass(frozen=True)
class Term:
    """One part of a register: an OBIS code, its sign (1, or -1 for what is taken away or counts downwards), and the
    unit in which the meter counts where it does not say so itself (`10 Wh`), else None."""

    obis: str
    sign: int
    unit: str | None = None

    @property
    def unit_wh(self) -> Fraction | None:
        """Wh in a unit as the map states it."""
        return None if self.unit is None else unit_in_wh(self.unit)

    def to_list(self) -> list[object]:
        """As it stands in the map."""
        return [self.obis, self.sign] if self.unit is None else [self.obis, self.sign, self.unit]


@dataclass(frozen=True)
class RegisterSource:
    """Where one register comes from: the sum of one or more terms, such as the tariffs 1.8.1 and 1.8.2."""

    terms: tuple[Term, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """The OBIS codes of its terms."""
        return tuple(term.obis for term in self.terms)

    def to_list(self) -> list[object]:
        """As it stands in the map: one term by itself, or the list of several."""
        return self.terms[0].to_list() if len(self.terms) == 1 else [term.to_list() for term in self.terms]


@dataclass(frozen=True)
class MeterMap:
    """How one meter's registers come about.

    capture_period is in seconds; ratio is the transformer ratio as (numerator, denominator); rollover_wh is the modulus
    of the registers in Wh after scaler and ratio, None where they never roll over; clock is "deviation" (the meter's
    own deviation and DST bit), "utc" or the name of a time zone. A register that is not named stays 0.
    profile_kind says what the profile's rows hold: "cumulative" registers, or "increments", each interval's energy.
    """

    logical_device_name: str
    registers: Mapping[str, RegisterSource]
    capture_period: int
    clock: str = CLOCK_DEVIATION
    profile: str = DEFAULT_PROFILE
    ratio: tuple[int, int] = (1, 1)
    rollover_wh: int | None = None
    profile_kind: str = CUMULATIVE

    @classmethod
    def from_dict(cls, data: object) -> MeterMap:
        """Check a map read from TOML or JSON; MeterMapError names the entry that is wrong.

        capture_period, logical_device_name and registers must be there; the rest has defaults (TOML has no null).
        """
        if not isinstance(data, Mapping):
            raise MeterMapError("", "a meter map is a table of keys and values")
        unknown = sorted(str(key) for key in data if key not in _KEYS)
        if unknown:
            raise MeterMapError(unknown[0], f"not a key of a meter map; it has {', '.join(sorted(_KEYS))}")
        for key in ("logical_device_name", "capture_period", "registers"):
            if key not in data:
                raise MeterMapError(key, "missing: write it into the meter's map")
        version = data.get("version", MAP_VERSION)
        if type(version) is not int or version != MAP_VERSION:
            raise MeterMapError(
                "version", f"{version!r} is not a version that this agent knows; it knows {MAP_VERSION}"
            )
        profile_kind = _profile_kind(data.get("profile_kind", CUMULATIVE))
        return cls(
            logical_device_name=_logical_device_name(data["logical_device_name"]),
            registers=_registers(data["registers"], profile_kind),
            capture_period=_integer("capture_period", data["capture_period"], 1, _MAX_CAPTURE_PERIOD, "seconds"),
            clock=_clock(data.get("clock", CLOCK_DEVIATION)),
            profile=_obis("profile", data.get("profile", DEFAULT_PROFILE)),
            ratio=_ratio(data.get("ratio", [1, 1])),
            rollover_wh=_rollover(data.get("rollover_wh")),
            profile_kind=profile_kind,
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> MeterMap:
        """Read a map from JSON text (not necessarily canonical); MeterMapError where it is none."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MeterMapError("", f"not JSON: {error}") from error
        return cls.from_dict(data)

    def to_dict(self) -> dict[str, Any]:
        """The map with every key of docs/PROTOCOL.md as JSON holds it; profile_kind only if not the default."""
        kind = {} if self.profile_kind == CUMULATIVE else {"profile_kind": self.profile_kind}
        return {
            **kind,
            "capture_period": self.capture_period,
            "clock": self.clock,
            "logical_device_name": self.logical_device_name,
            "profile": self.profile,
            "ratio": list(self.ratio),
            "registers": {name: source.to_list() for name, source in self.registers.items()},
            "rollover_wh": self.rollover_wh,
            "version": MAP_VERSION,
        }

    def canonical(self) -> bytes:
        """The map as canonical JSON."""
        return canonical_json(self.to_dict())

    def hash(self) -> bytes:
        """SHA-256 of the canonical JSON, 32 bytes: what the authority approves."""
        return hashlib.sha256(self.canonical()).digest()


def _integer(key: str, value: object, low: int, high: int, unit: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise MeterMapError(key, f"{value!r} should be a whole number of {unit} from {low} to {high}")
    return value


def _logical_device_name(value: object) -> str:
    if (
        not isinstance(value, str)
        or not value.isascii()
        or not value.isprintable()
        or not 1 <= len(value) <= _NAME_SIZE
        or value != value.strip()
    ):
        raise MeterMapError(
            "logical_device_name",
            f"{value!r} should be the name that the meter gives itself, 1 to {_NAME_SIZE} printable ASCII characters "
            "(`edge-agent read` and `decode` print it as `meter`)",
        )
    return value


def _obis(key: str, value: object) -> str:
    match = _OBIS.fullmatch(value) if isinstance(value, str) else None
    if match is None or any(int(group) > 255 or str(int(group)) != group for group in match.groups()):
        raise MeterMapError(key, f"{value!r} should be an OBIS code such as 1-0:1.8.0.255, six numbers from 0 to 255")
    return match.group(0)


def _profile_kind(value: object) -> str:
    if value not in (CUMULATIVE, INCREMENTS):
        raise MeterMapError("profile_kind", f'{value!r} should be "{CUMULATIVE}" or "{INCREMENTS}"')
    return str(value)


def with_integral(obis: str, integral: int) -> str:
    """The OBIS code of the same quantity with another group D: 8 is the cumulative register of an interval's 29."""
    parts = obis.split(".")
    parts[1] = str(integral)
    return ".".join(parts)


def integral_of(obis: str) -> int:
    """Group D of an OBIS code."""
    return int(obis.split(".")[1])


def _registers(value: object, kind: str) -> dict[str, RegisterSource]:
    if not isinstance(value, Mapping) or not value:
        raise MeterMapError("registers", f"should name at least one of {', '.join(REGISTERS)}")
    registers: dict[str, RegisterSource] = {}
    seen: dict[str, str] = {}
    for name, source in value.items():
        key = f"registers.{name}"
        if name not in REGISTERS:
            raise MeterMapError(key, f"no such register; a record has {', '.join(REGISTERS)}")
        terms = _terms(key, source)
        for term in terms:
            counted = term.obis
            if kind == INCREMENTS:
                if integral_of(term.obis) not in _INTEGRALS:
                    raise MeterMapError(
                        key, f"{term.obis} should be an energy: with increments, group D is 8, 29 or 30"
                    )
                counted = with_integral(term.obis, 8)
            if counted in seen:
                raise MeterMapError(key, f"{term.obis} already feeds {seen[counted]}; one register would count twice")
            seen[counted] = name
        registers[name] = RegisterSource(terms)
    return {name: registers[name] for name in REGISTERS if name in registers}


def _terms(key: str, source: object) -> tuple[Term, ...]:
    """`["1-0:1.8.0.255", 1]`, with a unit behind it or not, or a list of such."""
    several = isinstance(source, list | tuple) and len(source) > 0 and isinstance(source[0], list | tuple)
    listed = source if several and isinstance(source, list | tuple) else [source]
    if len(listed) > _MAX_TERMS:
        raise MeterMapError(key, f"should be the sum of at most {_MAX_TERMS} codes")
    return tuple(_term(key, item) for item in listed)


def _term(key: str, source: object) -> Term:
    if not isinstance(source, list | tuple) or len(source) not in (2, 3):
        raise MeterMapError(
            key,
            f'{source!r} should be an OBIS code and a sign, such as ["1-0:1.8.0.255", 1], with the unit behind it '
            'where the meter does not tell it, ["1-0:1.8.0.255", 1, "10 Wh"], or a list of such, which are added up',
        )
    obis, sign = _obis(key, source[0]), source[1]
    if type(sign) is not int or sign not in (1, -1):
        raise MeterMapError(key, f"the sign {sign!r} should be 1 or -1")
    if len(source) == 2:
        return Term(obis, sign)
    unit = source[2]
    try:
        unit_in_wh(unit if isinstance(unit, str) else "")
    except ValueError as error:
        raise MeterMapError(
            key, f'the unit {unit!r} should be "Wh", "kWh", "MWh" or "GWh", or a number of them such as "10 Wh"'
        ) from error
    return Term(obis, sign, unit)


def _clock(value: object) -> str:
    if value in (CLOCK_DEVIATION, CLOCK_UTC):
        return str(value)
    if isinstance(value, str):
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
        else:
            return value
    raise MeterMapError(
        "clock",
        f'{value!r} should be "deviation", "utc" or a time zone such as "Europe/Vienna" (zones need tzdata)',
    )


def _ratio(value: object) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise MeterMapError("ratio", f"{value!r} should be the transformer ratio as [numerator, denominator]")
    numerator = _integer("ratio", value[0], 1, _MAX_RATIO, "turns")
    denominator = _integer("ratio", value[1], 1, _MAX_RATIO, "turns")
    return (numerator, denominator)


def _rollover(value: object) -> int | None:
    if value is None:
        return None
    return _integer("rollover_wh", value, 1000, 2**63 - 1, "Wh")
