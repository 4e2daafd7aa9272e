"""The demo's profiles: whole, physically consistent, and such that by the minting rule some sell and one buys."""

import csv
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from authority.demo.data import cut

DATA = Path(cut.__file__).parent
PLAN = DATA.parent / "campus.toml"
FIRST_COUNTED = "2016-07-21T11:00"
EPOCH_SECONDS = 20
FLATS = range(1, 5)
SIMBENCH_SHA256 = "8b48bdab2445286a96649eb18bb09476d000a0e212fd57fdba83399df54af4de"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, int | str]]:
    with (DATA / "campus.csv").open(newline="") as file:
        return [{k: v if k == "time" else int(v) for k, v in row.items()} for row in csv.DictReader(file)]


def w(row: dict, name: str) -> int:
    return row[name + "_w"]


def test_two_whole_weeks_in_order(rows):
    times = [row["time"] for row in rows]
    assert len(rows) == 14 * 96
    assert (times[0], times[-1]) == ("2016-07-21T00:00", "2016-08-03T23:45")
    assert times == sorted(set(times))
    assert tuple(rows[0]) == cut.COLUMNS


def test_every_power_is_within_its_nameplate(rows):
    plan = tomllib.loads(PLAN.read_text())
    nameplate = {i["n"]: i["nameplate_w"] for i in plan["installation"]}
    meters = {(m["gateway"], m["name"]): nameplate[m["installation"]] for m in plan["meter"]}
    columns = {
        ("dormitory_a", "solar"): ("dormitory_a_solar",),
        ("dormitory_a", "battery"): ("dormitory_a_charge", "dormitory_a_discharge"),
        ("dormitory_a", "load"): ("dormitory_a_load",),
        ("dormitory_b", "wind"): ("dormitory_b_wind",),
        ("dormitory_b", "grid"): ("dormitory_b_import", "dormitory_b_export"),
        ("faculty_housing", "building"): ("faculty_housing_solar", "faculty_housing_load"),
        **{("faculty_housing", f"flat_{number}"): (f"faculty_housing_flat_{number}",) for number in FLATS},
        ("research_labs", "load"): ("research_labs_load",),
        ("research_labs", "hpc"): ("research_labs_hpc",),
        ("research_labs", "equipment"): ("research_labs_equipment",),
    }
    assert columns.keys() == meters.keys()
    for meter, names in columns.items():
        for name in names:
            assert max(w(row, name) for row in rows) <= meters[meter], (meter, name)
            assert min(w(row, name) for row in rows) >= 0


def test_the_battery_never_gives_what_it_did_not_take_nor_holds_more_than_it_can(rows):
    stored = 0  # quarter watt-hours, times ten
    for row in rows:
        charge, discharge = w(row, "dormitory_a_charge"), w(row, "dormitory_a_discharge")
        assert not (charge and discharge)
        assert charge <= max(0, w(row, "dormitory_a_solar") - w(row, "dormitory_a_load"))
        stored += 9 * charge - 10 * discharge
        assert 0 <= stored <= 120_000 * 40


def test_the_grid_meter_shows_load_less_wind(rows):
    for row in rows:
        net = w(row, "dormitory_b_load") - w(row, "dormitory_b_wind")
        assert net == w(row, "dormitory_b_import") - w(row, "dormitory_b_export")
        assert not (w(row, "dormitory_b_import") and w(row, "dormitory_b_export"))


def test_the_flats_use_what_homes_use(rows):
    """5 to 10 kWh a day each, and at every quarter of an hour something: there are refrigerators."""
    for number in FLATS:
        drawn = [w(row, f"faculty_housing_flat_{number}") for row in rows]
        assert 4_000 < sum(drawn) // 4 // 14 < 11_000
        assert min(drawn) > 0


def test_the_submeters_are_part_of_the_labs_load(rows):
    assert all(w(r, "research_labs_hpc") + w(r, "research_labs_equipment") <= w(r, "research_labs_load") for r in rows)


def test_from_the_first_counted_row_three_sell_and_the_labs_must_buy_all_of_it(rows):
    first = next(i for i, row in enumerate(rows) if row["time"] == FIRST_COUNTED)
    for row in rows[first : first + 10]:
        surplus_a = w(row, "dormitory_a_solar") - w(row, "dormitory_a_load")
        mint = {
            "Dormitory A": surplus_a - min(w(row, "dormitory_a_charge"), surplus_a),
            "Dormitory B": w(row, "dormitory_b_export") - w(row, "dormitory_b_import"),
            "Faculty Housing": w(row, "faculty_housing_solar") - w(row, "faculty_housing_load"),
        }
        wh = {name: power * EPOCH_SECONDS // 3600 for name, power in mint.items()}
        assert all(value >= 10 for value in wh.values()), (row["time"], wh)
        assert w(row, "research_labs_load") * EPOCH_SECONDS // 3600 > sum(wh.values())


def test_the_readme_names_source_version_and_licences():
    text = (DATA / "README.md").read_text()
    for needed in ("simbench", "1.6.3", "ODbL", "BSD", "cut.py", *(name for name in cut.COLUMNS if name != "time")):
        assert needed in text


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """The profiles in simbench's own wheel; skips where the package index cannot be reached."""
    directory = tmp_path_factory.mktemp("simbench")
    (directory / "requirement").write_text(f"simbench==1.6.3 --hash=sha256:{SIMBENCH_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    options = ["--no-deps", "--require-hashes", "--dest", directory, "-r", directory / "requirement"]
    done = subprocess.run([*pip, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        assert "do not match" not in done.stderr.lower(), done.stderr
        pytest.skip(f"not compared with simbench: it could not be downloaded: {done.stderr[-300:]}")
    (wheel,) = directory.glob("simbench-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [f"simbench/{cut.SIMBENCH_NETWORK}/{name}" for name in ("RESProfile.csv", "LoadProfile.csv")]
        archive.extractall(directory, names)
    wheel.unlink()
    return directory / "simbench" / cut.SIMBENCH_NETWORK


def test_cutting_again_gives_the_same_file(rows, published):
    assert cut.cut(published) == rows


def test_a_profile_that_ends_early_is_refused(tmp_path):
    columns = {"RESProfile.csv": [], "LoadProfile.csv": []}
    for file, column, _ in cut.SCALED.values():
        columns[file].append(column)
    for file, names in columns.items():
        line = ";".join(["21.07.2016 00:00", *("0" for _ in names)])
        (tmp_path / file).write_text(";".join(["time", *names]) + "\n" + line + "\n")
    with pytest.raises(ValueError, match="1 rows instead of 1344"):
        cut.cut(tmp_path)
