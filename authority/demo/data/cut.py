"""Cut campus.csv, the power of the demo's meters, out of the SimBench database.

Run `python authority/demo/data/cut.py [DIRECTORY]` with PyPI's `simbench` 1.6.3 installed, or with the directory of
RESProfile.csv and LoadProfile.csv. The result is the same on every machine: decimals in, integers out, no floats.
"""

from __future__ import annotations

import csv
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

SIMBENCH_NETWORK = Path("networks") / "1-complete_data-mixed-all-0-sw"
FIRST_DAY, DAYS, ROWS_A_DAY = "21.07.2016", 14, 96
OUTPUT = Path(__file__).parent / "campus.csv"

# Column of campus.csv: (file, SimBench column, watts at a per-unit value of 1).
SCALED = {
    "dormitory_a_solar_w": ("RESProfile.csv", "PV1", 120_000),
    "dormitory_a_load_w": ("LoadProfile.csv", "lv_semiurb4_pload", 110_000),
    "dormitory_b_wind_w": ("RESProfile.csv", "WP3", 100_000),
    "dormitory_b_load_w": ("LoadProfile.csv", "lv_urban6_pload", 130_000),
    "faculty_housing_solar_w": ("RESProfile.csv", "PV2", 60_000),
    "faculty_housing_load_w": ("LoadProfile.csv", "lv_rural2_pload", 45_000),
    "faculty_housing_flat_1_w": ("LoadProfile.csv", "H0-A_pload", 4_000),
    "faculty_housing_flat_2_w": ("LoadProfile.csv", "H0-B_pload", 6_000),
    "faculty_housing_flat_3_w": ("LoadProfile.csv", "H0-C_pload", 4_000),
    "faculty_housing_flat_4_w": ("LoadProfile.csv", "H0-L_pload", 6_000),
    "research_labs_hpc_w": ("LoadProfile.csv", "G3-H_pload", 80_000),
    "research_labs_equipment_w": ("LoadProfile.csv", "G1-B_pload", 60_000),
    "research_labs_other_w": ("LoadProfile.csv", "G0-M_pload", 70_000),
}
COLUMNS = (
    "time",
    "dormitory_a_solar_w",
    "dormitory_a_load_w",
    "dormitory_a_charge_w",
    "dormitory_a_discharge_w",
    "dormitory_b_wind_w",
    "dormitory_b_load_w",
    "dormitory_b_import_w",
    "dormitory_b_export_w",
    "faculty_housing_solar_w",
    "faculty_housing_load_w",
    "faculty_housing_flat_1_w",
    "faculty_housing_flat_2_w",
    "faculty_housing_flat_3_w",
    "faculty_housing_flat_4_w",
    "research_labs_load_w",
    "research_labs_hpc_w",
    "research_labs_equipment_w",
)


@dataclass
class Battery:
    """Dormitory A's battery: half of any surplus goes in, and from 17:00 to 07:00 it covers the load.

    Energies are kept in W x rows (a quarter of a Wh), times 10 for the efficiency, so that all of it is exact.
    """

    capacity_wh: int = 120_000
    power_w: int = 40_000
    efficiency_tenths: int = 9  # of what goes in, 9 tenths come out
    stored: int = 0  # in 1/40 Wh

    def step(self, hour: int, solar_w: int, load_w: int) -> tuple[int, int]:
        """One row of 15 minutes: (charge W, discharge W), of which one at least is zero."""
        surplus = solar_w - load_w
        if surplus > 0:
            room = (self.capacity_wh * 40 - self.stored) // self.efficiency_tenths
            charge = min(surplus // 2, self.power_w, room)
            self.stored += charge * self.efficiency_tenths
            return charge, 0
        if hour >= 17 or hour < 7:
            discharge = min(-surplus, self.power_w // 2, self.stored // 10)
            self.stored -= discharge * 10
            return 0, discharge
        return 0, 0


def profile(path: Path, names: list[str]) -> Iterator[tuple[str, dict[str, Decimal]]]:
    """(time, {column: per-unit value}) of the chosen weeks, as they stand in a SimBench profile file."""
    with path.open(newline="", encoding="ascii") as file:
        left = 0
        for row in csv.DictReader(file, delimiter=";"):
            if row["time"] == f"{FIRST_DAY} 00:00":
                left = DAYS * ROWS_A_DAY
            if left:
                left -= 1
                yield row["time"], {name: Decimal(row[name]) for name in names}


def watts(value: Decimal, nameplate_w: int) -> int:
    """A per-unit value as whole watts; the small negative values of idle machines count as zero."""
    return max(0, int((value * nameplate_w).to_integral_value(ROUND_HALF_EVEN)))


def cut(directory: Path) -> list[dict[str, str | int]]:
    """The rows of campus.csv, from the directory that holds SimBench's two profile files."""
    files = sorted({file for file, _, _ in SCALED.values()})
    streams = [profile(directory / f, [column for file, column, _ in SCALED.values() if file == f]) for f in files]
    battery, rows = Battery(), []
    for at_once in zip(*streams, strict=True):
        times = {time for time, _ in at_once}
        if len(times) != 1:
            raise ValueError(f"the profile files do not have the same times: {times}")
        values = {column: value for _, row in at_once for column, value in row.items()}
        time = times.pop()
        w = {name: watts(values[column], nameplate_w) for name, (_, column, nameplate_w) in SCALED.items()}
        charge, discharge = battery.step(int(time[11:13]), w["dormitory_a_solar_w"], w["dormitory_a_load_w"])
        net = w["dormitory_b_load_w"] - w["dormitory_b_wind_w"]
        row: dict[str, str | int] = {
            **w,
            "time": f"{time[6:10]}-{time[3:5]}-{time[:2]}T{time[11:]}",
            "dormitory_a_charge_w": charge,
            "dormitory_a_discharge_w": discharge,
            "dormitory_b_import_w": max(0, net),
            "dormitory_b_export_w": max(0, -net),
            "research_labs_load_w": w["research_labs_hpc_w"]
            + w["research_labs_equipment_w"]
            + w["research_labs_other_w"],
        }
        rows.append({name: row[name] for name in COLUMNS})
    if len(rows) != DAYS * ROWS_A_DAY:
        raise ValueError(
            f"{len(rows)} rows instead of {DAYS * ROWS_A_DAY}: is this the year that starts on 01.01.2016?"
        )
    return rows


def default_directory() -> Path:
    """Where an installed `simbench` keeps the profiles; it is found, not imported (its own dependencies are many)."""
    spec = importlib.util.find_spec("simbench")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "simbench is not installed: pip install --no-deps simbench==1.6.3, or name the directory of its profiles"
        )
    return Path(spec.submodule_search_locations[0]) / SIMBENCH_NETWORK


def main() -> None:
    """Write campus.csv beside this file."""
    rows = cut(Path(sys.argv[1]) if len(sys.argv) > 1 else default_directory())
    with OUTPUT.open("w", newline="", encoding="ascii") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{OUTPUT}: {len(rows)} rows, {rows[0]['time']} to {rows[-1]['time']}")


if __name__ == "__main__":
    main()
