"""The scenario: what a simulation is told beside its size. A TOML file, every key of which may be left out.

epoch_seconds = 900
[site]            latitude, longitude (degrees; north and east positive)
[parameters]      governance's parameters by their names, as in authority.toml
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


@dataclass(frozen=True)
class Scenario:
    """What holds in a simulation; sha256 is of the file, empty where there was none."""

    epoch_seconds: int = EpochSettings().seconds
    site: Site = field(default_factory=Site)
    parameters: ParameterSettings = field(default_factory=ParameterSettings)
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
        top.done()
        return cls(seconds, site, parameters, hashlib.sha256(text.encode()).hexdigest())


def _like(top: Table, name: str, defaults: dict[str, Any]) -> dict[str, Any]:
    table = Table(top.take(name, {}), f"[{name}]", _refuse)
    read = {key: table.like(key, value) for key, value in defaults.items()}
    table.done()
    return read


def _refuse(key: str, message: str) -> ScenarioInvalidError:
    return ScenarioInvalidError(f"{key}: {message}")
