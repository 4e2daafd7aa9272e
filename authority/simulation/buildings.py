"""The simulated campus: which buildings there are, with which plants, meters and members, and how each uses energy.

Buildings take turns in four kinds of three meters each, as the demo's four have them:

| kind | meters | plants |
|---|---|---|
| dormitory | solar, battery, load | panels and a battery |
| laboratory | load, and two submeters: computing, equipment | none |
| library | building (generation and consumption in one), and two submeters: reading rooms, servers | panels |
| workshop | wind, battery, grid | a small turbine and a battery |

Each has one member. Further members live in flats of the dormitories and libraries, with one meter each; every third
has panels on its balcony, and so a building meter, the others a load meter. A scenario may have other kinds, sizes and
flats (authority.simulation.mix): a plant or battery of none has no meter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from authority.market.standing_orders import StandingOrder
from authority.simulation.errors import ProfileInvalidError
from authority.simulation.mix import FLAT, Battery, Mix
from authority.simulation.profiles import Profile
from authority.simulation.seeds import Seed
from authority.simulation.weather import DAY_SECONDS, Weather

PERFORMANCE = 0.8
"""What a solar plant gives of its nameplate at 1,000 W/m2, wiring, heat and inverter included."""
LOAD_SPREAD = 0.12
"""The standard deviation of a load's logarithm around its habit."""
LOAD_MEMORY_SECONDS = 5_400.0
BATTERY_EFFICIENCY = 0.9
"""Of what is charged, so much can be discharged."""
LEAST_W = 1_000
"""A load or plant of a profile of one's own is taken to be as large as this at least."""
WEEK_SECONDS = 7 * DAY_SECONDS
MONDAY = 4 * DAY_SECONDS
"""The first Monday of Unix time began so many seconds after its zero, at midnight UTC."""


@dataclass(frozen=True, slots=True)
class Habit:
    """A load's power over the day, as shares of its peak: a base that always runs, and bumps on it.

    A bump is its hour, its width in hours and its height; weekend multiplies their sum on Saturday and Sunday.
    """

    base: float
    bumps: tuple[tuple[float, float, float], ...]
    weekend: float

    def share(self, start: int) -> float:
        """The share of the peak at a time of the site's day, Unix seconds of local solar time."""
        hour = start % DAY_SECONDS / 3_600
        height = 0.0
        for middle, width, share in self.bumps:
            off = abs(hour - middle)
            off = min(off, 24.0 - off)
            height += share * math.exp(-0.5 * (off / width) ** 2)
        if (start - MONDAY) % WEEK_SECONDS >= 5 * DAY_SECONDS:
            height *= self.weekend
        return min(1.0, self.base + height)


LIVING = Habit(0.22, ((7.5, 1.2, 0.35), (12.5, 1.5, 0.2), (19.5, 2.2, 0.7)), 1.15)
WORK = Habit(0.35, ((11.0, 2.6, 0.5), (15.5, 2.2, 0.4)), 0.2)
READING = Habit(0.25, ((11.5, 2.5, 0.45), (17.0, 2.8, 0.5)), 0.7)
CRAFT = Habit(0.15, ((9.5, 1.8, 0.65), (14.0, 1.8, 0.6)), 0.05)
HABITS = {"dormitory": LIVING, "laboratory": WORK, "library": READING, "workshop": CRAFT, "flat": LIVING}


@dataclass(frozen=True, slots=True)
class Member:
    """A member: its kind, greatest load (W), plants (W), battery, and what it asks and bids for under usual prices."""

    name: str
    building: str
    gateway: str
    kind: str
    load_w: int
    solar_w: int
    wind_w: int
    battery: Battery | None
    order: StandingOrder


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter of a member: its name at the gateway, role and source, and the installation that it is at.

    share: of a submeter, which part of the member's load it shows.
    """

    member: str
    gateway: str
    name: str
    serial: str
    role: str
    source: str
    installation: int
    kind: str
    nameplate_w: int
    storage_wh: int = 0
    share: float = 0.0

    @property
    def full_name(self) -> str:
        """What people call it: GATEWAY/METER."""
        return f"{self.gateway}/{self.name}"


@dataclass(frozen=True)
class Campus:
    """Who and what there is, in a fixed order."""

    members: tuple[Member, ...]
    meters: tuple[Meter, ...]

    def plan(self) -> str:
        """The campus plan (TOML), as `authority enrol campus` takes it."""
        lines: list[str] = []
        buildings = {member.name: member.building for member in self.members}
        for member in self.members:
            lines += ["[[user]]", f'name = "{member.name}"', f'building = "{member.building}"', "public = true"]
            lines += ["dwelling = false", ""]
        for meter in self.meters:
            lines += [
                "[[installation]]",
                f"n = {meter.installation}",
                f'building = "{buildings[meter.member]}"',
                f'kind = "{meter.kind}"',
                f"nameplate_w = {meter.nameplate_w}",
                f"storage_wh = {meter.storage_wh}",
                "since = 2020-01-01",
                "",
                "[[meter]]",
                f'name = "{meter.name}"',
                f'gateway = "{meter.gateway}"',
                f'serial = "{meter.serial}"',
                f'role = "{meter.role}"',
                f'source = "{meter.source}"',
                f'user = "{meter.member}"',
                f"installation = {meter.installation}",
                "",
            ]
        return "\n".join(lines)


def _order(random: Any, member_kind: str, produces: bool) -> StandingOrder:
    """What a member asks and bids for under the usual prices, micro-credit per kWh (`limits.order_at` for others).

    Nobody bids more than the usual retail price less wheeling, beyond which buying costs more than being billed. Who
    produces gives to the feed-in what it holds beyond a bound.
    """
    buy = random.randint(200_000, 280_000)
    if not produces:
        return StandingOrder(buy_at=buy)
    sell = random.randint(90_000, 160_000)
    return StandingOrder(sell_at=sell, buy_at=buy, feed_in_above_wh=2_000 if member_kind == "flat" else 60_000)


def make(
    buildings: int,
    members: int,
    seed: Seed,
    profiles: Mapping[str, Profile] | None = None,
    mix: Mix | None = None,
) -> Campus:
    """So many buildings of a mix of kinds, with a member each, and the further members in flats.

    profiles are by member: its load and its plant are as large as they say. ProfileInvalidError where a member without
    a plant is said to generate.
    """
    mix = mix or Mix()
    random = seed.random("buildings")
    people: list[Member] = []
    for number, kind in enumerate(mix.kinds(buildings), 1):
        of = mix.sizes[kind]
        load = int(of.load_w * random.uniform(0.7, 1.3))
        solar = int(of.solar_w * random.uniform(0.8, 1.2))
        wind = int(of.wind_w * random.uniform(0.8, 1.2)) if kind == "workshop" else 0
        order = _order(random, kind, bool(solar or wind))
        name = f"{kind.title()} {number:02d}"
        people.append(Member(name, name, f"building_{number:02d}", kind, load, solar, wind, of.battery, order))
    homes = [member for member in people if member.kind in ("dormitory", "library")] or people
    for number in range(members - buildings):
        home = homes[number % len(homes)]
        flat = number // len(homes) + 1
        panels = mix.sizes[FLAT].solar_w if mix.solar_every and number % mix.solar_every == 0 else 0
        load = int(mix.sizes[FLAT].load_w * random.uniform(0.6, 1.5))
        order = _order(random, FLAT, bool(panels))
        people.append(
            Member(f"{home.name} flat {flat}", home.building, home.gateway, FLAT, load, panels, 0, None, order)
        )
    own = profiles or {}
    people = [_sized(member, own[member.name]) if member.name in own else member for member in people]
    return Campus(tuple(people), tuple(_meters(people)))


def _sized(member: Member, profile: Profile) -> Member:
    load_w, plant_w = profile.greatest_load_w, profile.greatest_plant_w
    if load_w is not None:
        member = replace(member, load_w=max(LEAST_W, load_w))
    if plant_w is None:
        return member
    if member.kind == "laboratory" and not member.solar_w:
        raise ProfileInvalidError(
            f"{profile.name}: {member.name} is a laboratory and has no plant: leave its generation out, or give the "
            "profile to a dormitory, a library, a workshop or a flat"
        )
    plant_w = max(LEAST_W, plant_w)
    return replace(member, wind_w=plant_w) if member.kind == "workshop" else replace(member, solar_w=plant_w)


def _meters(people: Sequence[Member]) -> list[Meter]:
    made: list[Meter] = []
    flats: dict[str, int] = {}

    def add(member: Member, name: str, role: str, source: str, kind: str, nameplate_w: int, **more: Any) -> None:
        number = len(made) + 1
        made.append(
            Meter(
                member.name, member.gateway, name, f"SIM{number:013d}", role, source, number, kind, nameplate_w, **more
            )
        )

    def add_plants(member: Member) -> None:
        if member.solar_w:
            add(member, "solar", "generation", "solar", "solar", member.solar_w)
        if member.wind_w:
            add(member, "wind", "generation", "wind", "wind", member.wind_w)
        if battery := member.battery:
            add(member, "battery", "storage", "none", "storage", battery.power_w, storage_wh=battery.storage_wh)

    def add_house(member: Member, name: str) -> None:
        if member.solar_w:
            add(member, name, "building", "solar", "solar", member.solar_w)
        else:
            add(member, name, "load", "none", "load", 2 * member.load_w)

    for member in people:
        peak = 2 * member.load_w
        if member.kind == "dormitory":
            add_plants(member)
            add(member, "load", "load", "none", "load", peak)
        elif member.kind == "laboratory":
            add_plants(member)
            add(member, "load", "load", "none", "load", peak)
            add(member, "computing", "submeter", "none", "load", peak, share=0.45)
            add(member, "equipment", "submeter", "none", "load", peak, share=0.3)
        elif member.kind == "library":
            add_house(member, "building")
            add(member, "reading", "submeter", "none", "load", peak, share=0.4)
            add(member, "servers", "submeter", "none", "load", peak, share=0.25)
        elif member.kind == "workshop":
            add_plants(member)
            back = member.wind_w + (member.battery.power_w if member.battery else 0)
            add(member, "grid", "grid", "none", "grid", peak + back)
        else:
            flats[member.gateway] = flats.get(member.gateway, 0) + 1
            add_house(member, f"flat_{flats[member.gateway]}")
    return made


@dataclass(frozen=True, slots=True)
class Flow:
    """What a member's plants, battery and appliances did in an interval, in mWh (whole numbers)."""

    generation: int
    consumption: int
    charge: int = 0
    discharge: int = 0


@dataclass
class Household:
    """A member's energy, interval after interval.

    Dispatch of a battery: it takes what the member generates beyond its own use, and gives back what it lacks, each as
    far as its power and its content go; it is never charged from the grid.
    """

    member: Member
    seed: Seed
    seconds: int
    stored_mwh: int = 0
    _mood: float = field(init=False)

    def __post_init__(self) -> None:
        self._random = self.seed.random("load", self.member.name)
        self._mood = self._random.gauss(0.0, 1.0)
        self._keep = math.exp(-self.seconds / LOAD_MEMORY_SECONDS)
        self._push = math.sqrt(1.0 - self._keep**2)

    def next(self, start: int, weather: Weather, measured: tuple[int | None, int | None] = (None, None)) -> Flow:
        """The interval that starts then (Unix seconds of local solar time), in this weather.

        measured: generation and consumption, mWh, that stand in for the models'.
        """
        member = self.member
        self._mood = self._keep * self._mood + self._push * self._random.gauss(0.0, 1.0)
        load_w = member.load_w * HABITS[member.kind].share(start) * math.exp(LOAD_SPREAD * self._mood)
        sun_w = min(1.0, PERFORMANCE * weather.irradiance / 1_000.0) * member.solar_w
        generation, consumption = measured
        if generation is None:
            generation = self._mwh(sun_w + weather.wind_share * member.wind_w)
        if consumption is None:
            consumption = self._mwh(load_w)
        if member.battery is None:
            return Flow(generation, consumption)
        most = member.battery.power_w * 1_000 * self.seconds // 3_600
        charge = discharge = 0
        if generation > consumption:
            room = member.battery.storage_wh * 1_000 - self.stored_mwh
            charge = min(generation - consumption, most, int(room / BATTERY_EFFICIENCY))
            self.stored_mwh += int(charge * BATTERY_EFFICIENCY)
        else:
            discharge = min(consumption - generation, most, self.stored_mwh)
            self.stored_mwh -= discharge
        return Flow(generation, consumption, charge, discharge)

    def _mwh(self, watts: float) -> int:
        return int(watts * 1_000.0 * self.seconds / 3_600.0)


def registers(meter: Meter, flow: Flow) -> tuple[int, int, int, int]:
    """By how many mWh a meter's registers (generation, consumption, charge, discharge) move with its member's flow."""
    match meter.role:
        case "generation":
            return flow.generation, 0, 0, 0
        case "storage":
            return 0, 0, flow.charge, flow.discharge
        case "load":
            return 0, flow.consumption, 0, 0
        case "building":
            return flow.generation, flow.consumption, flow.charge, flow.discharge
        case "grid":
            net = flow.generation + flow.discharge - flow.consumption - flow.charge
            return max(0, net), max(0, -net), 0, 0
        case _:
            return 0, int(flow.consumption * meter.share), 0, 0
