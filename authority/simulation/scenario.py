"""The scenario: what a simulation is told beside its size. A TOML file, every key of which may be left out.

    epoch_seconds = 900
    [site]            latitude, longitude (degrees; north and east positive)
    [parameters]      governance's parameters by their names, as in authority.toml
    [[event]]         kind, from_hour (counted from the first midnight), and what belongs to the kind:
      "outage"          building, hours: its gateway reaches nobody, and sends afterwards what it kept
      "late"            building, hours, seconds: its readings come so long after each boundary
      "parameters"      the parameters that hold from then on, by their names

Buildings are named by their number.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from authority.home.settings import EpochSettings, ParameterSettings
from authority.simulation.errors import ScenarioInvalidError
from authority.simulation.weather import DAY_SECONDS, Site
from edge_agent.wire.toml import Table, read_text

MAX_HOURS = 3_660 * 24
OUTAGE, LATE, PARAMETERS = "outage", "late", "parameters"
KINDS = (OUTAGE, LATE, PARAMETERS)
NEAREST_HOURS = 4
"""Parameters are staged before they hold: none change earlier."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A building's gateway is behind, from start up to end (seconds after the simulation's start).

    by: how many seconds after a boundary its readings come; None where they do not come at all meanwhile.
    """

    gateway: str
    start: int
    end: int
    by: int | None

    def holds(self, second: int) -> bool:
        """Whether it does at a time, seconds after the simulation's start."""
        return self.start <= second < self.end


@dataclass(frozen=True, slots=True)
class Change:
    """Parameters that hold from a time on, seconds after the simulation's start."""

    at: int
    parameters: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Scenario:
    """What holds in a simulation; sha256 is of the file, empty where there was none."""

    epoch_seconds: int = EpochSettings().seconds
    site: Site = field(default_factory=Site)
    parameters: ParameterSettings = field(default_factory=ParameterSettings)
    silences: tuple[Silence, ...] = ()
    changes: tuple[Change, ...] = ()
    sha256: str = ""

    @classmethod
    def load(cls, path: Path) -> Scenario:
        """Read a scenario's file. ScenarioInvalidError names the entry that is wrong."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ScenarioInvalidError(f"cannot read {path}: {error}") from error
        return cls.parse(text)

    @classmethod
    def parse(cls, text: str) -> Scenario:
        """A scenario from TOML."""
        top = Table(read_text(text, _refuse), "", _refuse)
        seconds = top.like("epoch_seconds", EpochSettings().seconds)
        if not 60 <= seconds <= 3_600 or DAY_SECONDS % seconds:
            raise _refuse("epoch_seconds", "should be 60 to 3600 and divide a day")
        site = Site(**_like(top, "site", asdict(Site())))
        parameters = ParameterSettings(**_like(top, "parameters", asdict(ParameterSettings.for_epoch(seconds))))
        silences, changes = _events(top.take("event", []), seconds)
        top.done()
        digest = hashlib.sha256(text.encode()).hexdigest()
        return cls(seconds, site, parameters, tuple(silences), tuple(changes), digest)


def _events(listed: object, seconds: int) -> tuple[list[Silence], list[Change]]:
    if not isinstance(listed, list):
        raise _refuse("event", "should be tables under [[event]]")
    silences: list[Silence] = []
    changes: list[Change] = []
    for number, each in enumerate(listed, 1):
        table = Table(each, f"[[event]] {number}", _refuse)
        kind = table.choice("kind", "", KINDS)
        at = 3_600 * table.integer("from_hour", -1, 0, MAX_HOURS, "hours")
        if kind == PARAMETERS:
            names = [name for name in asdict(ParameterSettings()) if table.has(name)]
            wanted = tuple((name, table.integer(name, -1, 0, 2**32 - 1)) for name in names)
            if not wanted or at < NEAREST_HOURS * 3_600:
                raise table.error("from_hour", f"should be {NEAREST_HOURS} or more, with the parameters that change")
            changes.append(Change(at, wanted))
        else:
            gateway = f"building_{table.integer('building', 0, 1, 999):02d}"
            end = at + 3_600 * table.integer("hours", 0, 1, MAX_HOURS, "hours")
            by = table.integer("seconds", 0, 1, seconds - 1, "seconds") if kind == LATE else None
            silences.append(Silence(gateway, at, end, by))
        table.done()
    return silences, changes


def _like(top: Table, name: str, defaults: dict[str, Any]) -> dict[str, Any]:
    table = Table(top.take(name, {}), f"[{name}]", _refuse)
    read = {key: table.like(key, value) for key, value in defaults.items()}
    table.done()
    return read


def _refuse(key: str, message: str) -> ScenarioInvalidError:
    return ScenarioInvalidError(f"{key}: {message}")
