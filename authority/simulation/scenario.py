"""The scenario: what a simulation is told beside its size. A TOML file, every key of which may be left out.

    epoch_seconds = 900
    [site]            latitude, longitude (degrees; north and east positive)
    [parameters]      governance's parameters by their names, as in authority.toml
    [[event]]         kind, from_hour (counted from the first midnight), and what belongs to the kind:
      "outage"          building, hours: its gateway reaches nobody, and sends afterwards what it kept
      "late"            building, hours, seconds: its readings come so long after each boundary
      "parameters"      the parameters that hold from then on, by their names
      "exchange"        meter (GATEWAY/METER), first_wh: another device, whose registers show first_wh, takes its place
      "leave"           member: its meters are retired, it is paid out, and its name is erased

    [buildings.KIND]  percent, and loads, plants and batteries of a kind of building (authority.simulation.mix)
    [flats]           number, and their loads and plants (the same)
    [[profile]]       member, file: its consumption and generation out of a CSV file (authority.simulation.profiles)
    [[strategy]]      member, file, function ("trade" where it is left out), options: a Python function gives its orders
                      (authority.simulation.strategies)

Buildings are named by their number. The member of a profile or strategy may be a pattern: * stands for any text, ? for
a character, [135] for one of them; what names a member in full goes before. Files are looked for where the scenario is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from authority.home.settings import EpochSettings, ParameterSettings
from authority.measures.indicators import GRID_CO2_G_PER_KWH
from authority.simulation.buildings import Campus
from authority.simulation.errors import ScenarioInvalidError
from authority.simulation.mix import Mix
from authority.simulation.mix import read as read_mix
from authority.simulation.own_code import OwnFunction
from authority.simulation.profiles import Profile, read
from authority.simulation.strategies import Strategy
from authority.simulation.weather import DAY_SECONDS, Site
from edge_agent.wire.files import sha256_of
from edge_agent.wire.toml import Table, read_text

MAX_HOURS = 3_660 * 24
OUTAGE, LATE, PARAMETERS, EXCHANGE, LEAVE = "outage", "late", "parameters", "exchange", "leave"
KINDS = (OUTAGE, LATE, PARAMETERS, EXCHANGE, LEAVE)
MAX_FIRST_WH = 10**12
NEAREST_HOURS = 4
"""Parameters are staged before they hold: none change earlier."""
LEAST_FEED_IN = 2
"""Micro-credits per kWh; with strategies: whoever has one keeps a standing order that no price reaches."""


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


@dataclass(frozen=True, slots=True)
class Exchange:
    """Another device takes a meter's place, in the interval that holds a time (seconds after the start)."""

    at: int
    meter: str
    first_wh: int


@dataclass(frozen=True, slots=True)
class Leaving:
    """A member begins to leave at a time, seconds after the simulation's start."""

    at: int
    member: str


@dataclass(frozen=True)
class Events:
    """What happens, by kind."""

    silences: tuple[Silence, ...] = ()
    changes: tuple[Change, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    leavings: tuple[Leaving, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """What holds in a simulation; sha256 is of the file and of what it names, empty where there was none."""

    epoch_seconds: int = EpochSettings().seconds
    site: Site = field(default_factory=Site)
    parameters: ParameterSettings = field(default_factory=ParameterSettings)
    events: Events = field(default_factory=Events)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """By member, or by a pattern until `among` puts in whom it is like."""
    strategies: Mapping[str, Strategy] = field(default_factory=dict)
    """The same."""
    sha256: str = ""
    grid_co2_g_per_kwh: int = GRID_CO2_G_PER_KWH
    """Mean emissions of what the grid delivers; the report counts with it, and nothing else depends on it."""
    mix: Mix = field(default_factory=Mix)

    @classmethod
    def load(cls, path: Path) -> Scenario:
        """Read a scenario's file. ScenarioInvalidError names the entry that is wrong."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ScenarioInvalidError(f"cannot read {path}: {error}") from error
        return cls.parse(text, path.parent)

    @classmethod
    def parse(cls, text: str, directory: Path = Path()) -> Scenario:
        """A scenario from TOML, with the files of a directory.

        ScenarioInvalidError, ProfileInvalidError, OwnCodeInvalidError.
        """
        top = Table(read_text(text, _refuse), "", _refuse)
        seconds = top.like("epoch_seconds", EpochSettings().seconds)
        if not 60 <= seconds <= 3_600 or DAY_SECONDS % seconds:
            raise _refuse("epoch_seconds", "should be 60 to 3600 and divide a day")
        co2 = top.integer("grid_co2_g_per_kwh", GRID_CO2_G_PER_KWH, 0, 2_000, "g")
        site = Site(**_like(top, "site", asdict(Site())))
        parameters = ParameterSettings(**_like(top, "parameters", asdict(ParameterSettings.for_epoch(seconds))))
        mix = read_mix(top, _refuse)
        events = _events(top.take("event", []), seconds)
        digest = hashlib.sha256(text.encode())
        profiles: dict[str, Profile] = {}
        for table in _tables(top, "profile"):
            member = _whose(table, profiles)
            file = table.required_text("file", "a CSV file, such as library.csv")
            table.done()
            profiles[member] = read(directory / file, seconds)
            digest.update(bytes.fromhex(sha256_of(directory / file)))
        strategies: dict[str, Strategy] = {}
        for table in _tables(top, "strategy"):
            member = _whose(table, strategies)
            file = table.required_text("file", "a Python file, such as mine.py")
            name = table.like("function", "trade")
            options = table.take("options", {})
            if not isinstance(options, dict):
                raise table.error("options", "should be a table, such as { margin = 20_000 }")
            table.done()
            function = OwnFunction.read(directory / file, name)
            strategies[member] = Strategy(member, function, options)
            digest.update(function.sha256)
        changed = [dict(change.parameters).get("feed_in_price", parameters.feed_in_price) for change in events.changes]
        if strategies and min(parameters.feed_in_price, *changed, parameters.feed_in_price) < LEAST_FEED_IN:
            raise _refuse("strategy", f"takes a feed_in_price of {LEAST_FEED_IN} micro-credits or more")
        top.done()
        return cls(seconds, site, parameters, events, profiles, strategies, digest.hexdigest(), co2, mix)

    def among(self, members: Sequence[str]) -> Scenario:
        """The same, with members in the place of the patterns that they are like. ScenarioInvalidError.

        A pattern that nobody is like, and a name that nobody has, stay as they are.
        """
        profiles = {name: self.profiles[key] for name, key in _named("profile", self.profiles, members)}
        strategies = {
            name: replace(self.strategies[key], member=name)
            for name, key in _named("strategy", self.strategies, members)
        }
        return replace(self, profiles=profiles, strategies=strategies)

    def parameters_at(self, second: int) -> ParameterSettings:
        """The parameters that hold in the epoch of a time, seconds after the simulation's start (a midnight)."""
        epoch, found = second // self.epoch_seconds, self.parameters
        for change in sorted(self.events.changes, key=lambda each: each.at):
            if change.at // self.epoch_seconds <= epoch:
                found = replace(found, **dict(change.parameters))
        return found

    def with_agent(self, member: str) -> Scenario:
        """The same, with a member that trades as an agent from outside says. ScenarioInvalidError."""
        if self.parameters.feed_in_price < LEAST_FEED_IN:
            raise _refuse("parameters", f"an agent takes a feed_in_price of {LEAST_FEED_IN} micro-credits or more")
        strategies = {**self.strategies, member: Strategy(member, None)}
        return replace(
            self, strategies=strategies, sha256=hashlib.sha256(f"{self.sha256} {member}".encode()).hexdigest()
        )

    def check(self, campus: Campus) -> None:
        """ScenarioInvalidError where an event is about a building, meter or member that the campus does not have."""
        events = self.events
        gateways = {meter.gateway for meter in campus.meters}
        for silence in events.silences:
            if silence.gateway not in gateways:
                raise _refuse("event", f"there is no {silence.gateway}: the campus has {len(gateways)} buildings")
        meters = sorted(meter.full_name for meter in campus.meters)
        for exchange in events.exchanges:
            if exchange.meter not in meters:
                raise _refuse("event", f"there is no meter {exchange.meter!r}; there are {', '.join(meters[:12])}")
        members = [member.name for member in campus.members]
        named = [("event", leaving.member) for leaving in events.leavings]
        named += [("profile", name) for name in self.profiles] + [("strategy", name) for name in self.strategies]
        for table, member in named:
            if member not in members:
                no = "nobody is called like" if _is_pattern(member) else "there is no member"
                raise _refuse(table, f"{no} {member!r}; there are {', '.join(members[:12])}")


def _events(listed: object, seconds: int) -> Events:
    if not isinstance(listed, list):
        raise _refuse("event", "should be tables under [[event]]")
    silences: list[Silence] = []
    changes: list[Change] = []
    exchanges: list[Exchange] = []
    leavings: list[Leaving] = []
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
        elif kind == EXCHANGE:
            meter = table.required_text("meter", "the meter, such as building_01/solar")
            exchanges.append(Exchange(at, meter, table.integer("first_wh", 0, 0, MAX_FIRST_WH, "Wh")))
        elif kind == LEAVE:
            leavings.append(Leaving(at, table.required_text("member", "who leaves, such as Library 03 flat 1")))
        else:
            gateway = f"building_{table.integer('building', 0, 1, 999):02d}"
            end = at + 3_600 * table.integer("hours", 0, 1, MAX_HOURS, "hours")
            by = table.integer("seconds", 0, 1, seconds - 1, "seconds") if kind == LATE else None
            silences.append(Silence(gateway, at, end, by))
        table.done()
    return Events(tuple(silences), tuple(changes), tuple(exchanges), tuple(leavings))


def _tables(top: Table, name: str) -> Iterator[Table]:
    listed = top.take(name, [])
    if not isinstance(listed, list):
        raise _refuse(name, f"should be tables under [[{name}]]")
    for number, each in enumerate(listed, 1):
        yield Table(each, f"[[{name}]] {number}", _refuse)


def _whose(table: Table, known: Container[str]) -> str:
    member = table.required_text("member", "whose it is, such as Library 03")
    if member in known:
        raise table.error("member", f"{member} has two")
    return member


def _is_pattern(member: str) -> bool:
    return any(each in member for each in "*?[")


def _named(table: str, keys: Iterable[str], members: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each member that a key names or is a pattern for, with the key; a key that is nobody's, with itself."""
    owners: dict[str, str] = {key: key for key in keys if key in members or not _is_pattern(key)}
    for key in keys:
        like = [] if key in owners else [member for member in members if fnmatchcase(member, key)]
        for member in like:
            if (other := owners.setdefault(member, key)) not in (key, member):
                raise _refuse(table, f"{member} has two, by {other!r} and by {key!r}: give it one by its full name")
        if not like:
            owners.setdefault(key, key)
    yield from owners.items()


def _like(top: Table, name: str, defaults: dict[str, Any]) -> dict[str, Any]:
    table = Table(top.take(name, {}), f"[{name}]", _refuse)
    read = {key: table.like(key, value) for key, value in defaults.items()}
    table.done()
    return read


def _refuse(key: str, message: str) -> ScenarioInvalidError:
    return ScenarioInvalidError(f"{key}: {message}")
