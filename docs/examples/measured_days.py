"""Fourteen measured days for a simulation, as an example of profiles: the demo's rows out of SimBench.

    python docs/examples/measured_days.py days
    authority simulate --days 13 --start 2016-07-21 --buildings 4 --scenario days/scenario.toml --out measured

writes a profile for each of four buildings and the scenario that names them. Batteries and flats stay the simulation's
models. The rows are under the Open Database License, and so is what is made of them: authority/demo/data/README.md.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

ROWS = Path(__file__).parents[2] / "authority/demo/data/campus.csv"
OFFSET = "+01:00"
"""The rows have Germany's winter time all year."""
HOUR_ROWS = 4
MEMBERS = {
    "Dormitory 01": ("dormitory_a_load_w", "dormitory_a_solar_w"),
    "Laboratory 02": ("research_labs_load_w", ""),
    "Library 03": ("faculty_housing_load_w", "faculty_housing_solar_w"),
    "Workshop 04": ("dormitory_b_load_w", "dormitory_b_wind_w"),
}
"""Which columns are a member's use and plant: mean power in W of a quarter of an hour."""
SITE = "[site]\nlatitude = 51.3\nlongitude = 9.5\n"


def main(into: Path) -> None:
    """Write profiles and scenario into a directory."""
    into.mkdir(parents=True, exist_ok=True)
    with ROWS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tables = [SITE]
    for member, (load, plant) in MEMBERS.items():
        name = f"{member.split()[0].lower()}.csv"
        lines = [f"start,consumption_wh{',generation_wh' if plant else ''}"]
        for row in rows:
            watts = [int(row[column]) for column in (load, plant) if column]
            lines.append(",".join([f"{row['time']}:00{OFFSET}", *(f"{each / HOUR_ROWS:.2f}" for each in watts)]))
        (into / name).write_text("\n".join([*lines, ""]), encoding="utf-8")
        tables.append(f'[[profile]]\nmember = "{member}"\nfile = "{name}"\n')
    (into / "scenario.toml").write_text("\n".join(tables), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
