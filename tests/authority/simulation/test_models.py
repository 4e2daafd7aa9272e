"""Weather and buildings of the simulation: known values, bounds, and that a seed says all."""

from __future__ import annotations

import pytest

from authority.collector.sun import elevation
from authority.enrolment import plan
from authority.simulation import buildings
from authority.simulation.buildings import Flow, Household, registers
from authority.simulation.campus_home import start_of
from authority.simulation.mix import Battery
from authority.simulation.seeds import Seed
from authority.simulation.weather import Site, Sky, Weather, clear_sky, through_clouds, turbine_share, wind_speed

START = start_of("2026-06-01")


def test_clear_sky_and_clouds_have_the_values_of_their_papers() -> None:
    assert clear_sky(1.0) == pytest.approx(1_037.1, abs=0.1)  # 1098 exp(-0.057)
    assert clear_sky(0.5) == pytest.approx(489.9, abs=0.1)
    assert clear_sky(0.0) == clear_sky(-1.0) == 0.0
    assert through_clouds(0.0) == 1.0
    assert through_clouds(1.0) == 0.25


def test_a_turbine_follows_its_curve_and_the_wind_its_distribution() -> None:
    assert turbine_share(2.9) == turbine_share(25.0) == 0.0
    assert turbine_share(12.0) == turbine_share(20.0) == 1.0
    assert turbine_share(7.5) == pytest.approx((7.5**3 - 27) / (12**3 - 27))
    assert wind_speed(0.0) == pytest.approx(5.637, abs=0.001)  # the median of a Weibull of shape 2 and mean 6


def test_the_sun_shines_by_day_alone_and_the_seed_says_how_much() -> None:
    site = Site()
    skies = [Sky(site, Seed(number), 900) for number in (1, 1, 2)]
    days = [[sky.next(START + 900 * n).irradiance for n in range(3 * 96)] for sky in skies]
    assert days[0] == days[1] != days[2]
    for n, irradiance in enumerate(days[0]):
        assert 0.0 <= irradiance < 1_100.0
        if elevation(START + 900 * n + 450, site.latitude, site.longitude) < 0:
            assert irradiance == 0.0
    assert sum(days[0]) / 4 / 3 > 1_000  # Wh/m2 a day in June


def household(battery: Battery | None) -> Household:
    member = buildings.make(1, 1, Seed(1)).members[0]
    made = buildings.Member(member.name, "B", "b", "dormitory", 10_000, 40_000, 0, battery, member.order)
    return Household(made, Seed(1), 900)


def test_a_battery_takes_surplus_gives_it_back_and_never_draws_from_the_grid() -> None:
    home = household(Battery(5_000, 8_000))
    stored, charged, discharged = 0, 0, 0
    for n in range(96):
        flow = home.next(START + 900 * n, Weather(900.0 if 32 <= n < 64 else 0.0, 0.0))
        assert flow.charge <= max(0, flow.generation - flow.consumption)
        assert flow.discharge <= max(0, flow.consumption - flow.generation)
        assert max(flow.charge, flow.discharge) <= 5_000 * 250  # its power for a quarter of an hour, mWh
        stored += int(flow.charge * 0.9) - flow.discharge
        assert 0 <= stored == home.stored_mwh <= 8_000_000
        charged, discharged = charged + flow.charge, discharged + flow.discharge
    assert charged > discharged > 7_000_000


def test_the_meters_of_each_kind_show_their_part() -> None:
    campus = buildings.make(4, 8, Seed(1))
    flow = Flow(5_000, 9_000, 0, 1_000)
    shown = {(meter.member.split()[0], meter.name): registers(meter, flow) for meter in campus.meters}
    assert shown["Dormitory", "solar"] == (5_000, 0, 0, 0)
    assert shown["Dormitory", "battery"] == (0, 0, 0, 1_000)
    assert shown["Dormitory", "load"] == (0, 9_000, 0, 0)
    assert shown["Library", "building"] == (5_000, 9_000, 0, 1_000)
    assert shown["Workshop", "grid"] == (0, 3_000, 0, 0)
    assert shown["Laboratory", "computing"] == (0, 4_050, 0, 0)
    exporting = Flow(5_000, 3_000, 500, 0)
    (grid,) = (meter for meter in campus.meters if meter.role == "grid")
    assert registers(grid, exporting) == (1_500, 0, 0, 0)


@pytest.mark.parametrize(("count", "members"), [(1, 1), (2, 5), (20, 20), (7, 60)])
def test_every_campus_is_a_plan_that_enrolment_takes(count: int, members: int) -> None:
    campus = buildings.make(count, members, Seed(3))
    read = plan.parse(campus.plan().encode())
    assert len(read.users) == members
    assert len(read.meters) == len(campus.meters) == 3 * count + (members - count)
    assert campus == buildings.make(count, members, Seed(3)) != buildings.make(count, members, Seed(4))
