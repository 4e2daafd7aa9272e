"""Whole simulations: the same for a seed to the byte, whole after an interruption, audited, and shown by the pages."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from free_ports import free_port
from sqlalchemy import func, select

from authority.app import App
from authority.billing.evidence import StoreEvidence
from authority.chain.accounts import EpochBook
from authority.cli import main
from authority.enrolment.exchanges import EXCHANGED_ACT
from authority.errors import USAGE
from authority.home.clock import CLOCK_NAME, clock_of, stop_clock
from authority.home.errors import HomeConfigError
from authority.measures import tables
from authority.measures.markets import RULES
from authority.simulation import plots, report
from authority.simulation.buildings import Household, registers
from authority.simulation.campus_home import start_of
from authority.simulation.errors import OutBusyError, OutForeignError, OutOtherError, ScenarioInvalidError
from authority.simulation.meters import FIRST_REGISTER_WH
from authority.simulation.scenario import Scenario
from authority.simulation.seeds import Seed
from authority.simulation.simulation import DONE, Out, Request, Simulation
from authority.simulation.weather import Sky
from authority.store.day_sums import EnergyDay, PublicDay
from authority.store.log import Act
from authority.store.metering import METER_RETIRED, Frame, Meter
from authority.store.people import User
from edge_agent.wire.reading import RECORD_SIZE, Record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).parents[3]
HOURLY = "epoch_seconds = 3600\n"
REQUEST = Request(1, 4, 6, 11, start_of("2026-06-01"), Scenario.parse(HOURLY))
WORDS = ("--days", "1", "--buildings", "4", "--members", "6", "--seed", "11")


def simulate(directory: Path, hash_seed: str) -> dict[str, Any]:
    """The command in a process of its own, and the bundle of what it left."""
    scenario = directory / "hourly.toml"
    scenario.write_text(HOURLY)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": hash_seed}
    words = [sys.executable, "-m", "authority.cli", "simulate", *WORDS, "--scenario", scenario, "--json", "--compare"]
    done = subprocess.run(
        [*words, "--out", directory / "out"], env=environment, capture_output=True, text=True, check=False, timeout=800
    )
    assert done.returncode == 0, done.stderr
    assert "day 1 of 1" in done.stderr
    assert main(["audit", "--home", str(directory / "out"), "export", "--bundle", str(directory / "bundle")]) == 0
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """Two runs of one request, in processes that hash differently."""
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    simulate(second, "2")
    return first, second, simulate(first, "1")


def test_a_seed_makes_the_same_log_chain_and_report_byte_for_byte(twice: tuple[Path, Path, dict[str, Any]]) -> None:
    first, second, told = twice
    assert (first / "bundle").read_bytes() == (second / "bundle").read_bytes()
    names = [
        path.name for path in (first / "out").iterdir() if path.suffix in (".csv", ".json", ".txt", ".svg", ".png")
    ]
    assert len(names) == 5 + 3 + 1 + 2
    for name in names:
        assert (first / "out" / name).read_bytes() == (second / "out" / name).read_bytes()
    written = json.loads((first / "out" / report.JSON_NAME).read_text())
    assert {key: told[key] for key in written} == written
    assert set(told) - set(written) == {"out", "cpu_seconds"}


def test_the_audit_holds_and_the_figures_fit_together(twice: tuple[Path, Path, dict[str, Any]]) -> None:
    _, _, told = twice
    audit, measures = told["audit"], told["measures"]
    assert (audit["ok"], audit["problems"]) == (True, [])
    assert audit["readings"] == (4 * 3 + 2) * 25  # every meter at each hour, the first and the last included
    energy, money = measures["energy"], measures["money"]
    assert audit["minted_wh"] == energy["minted_wh"] == sum(each["minted_wh"] for each in measures["members"])
    assert energy["traded_wh"] == sum(each["bought_wh"] for each in measures["members"]) > 0
    assert energy["traded_wh"] == sum(each["sold_wh"] for each in measures["members"])
    net = sum(each["minted_wh"] - each["withdrawn_wh"] for each in measures["members"])
    assert net == energy["grid_export_wh"] - energy["grid_import_wh"]
    assert money["gain"] == money["paid_without_market"] - money["paid"] > 0
    together, alone = measures["self_sufficiency"]["together"], measures["self_sufficiency"]["alone"]
    assert 0 < alone < together < 1


def test_market_rules_are_compared_on_the_same_energy(twice: tuple[Path, Path, dict[str, Any]]) -> None:
    first, _, told = twice
    rules = {each["rule"]: each for each in told["markets"]}
    assert list(rules) == list(RULES)
    assert rules["feed_in_only"]["paid"] == told["measures"]["money"]["paid_without_market"]
    assert rules["feed_in_only"]["traded_wh"] == rules["feed_in_only"]["gain"] == 0
    assert rules["auction"]["traded_wh"] == rules["last_pair"]["traded_wh"] == rules["pay_as_bid"]["traded_wh"] > 0
    assert rules["mid_market_rate"]["traded_wh"] == rules["supply_demand_ratio"]["traded_wh"]
    with (first / "out" / tables.MARKETS.file).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(RULES) * 6
    for name, rule in rules.items():
        assert sum(int(row["gain"]) for row in rows if row["rule"] == name) == rule["gain"]
    # what members gain, the department loses at retail and feed-in, but for wheeling, fees and rounding
    spread = told["simulation"]["parameters"]["retail_price"] - told["simulation"]["parameters"]["feed_in_price"]
    for rule in rules.values():
        exact = rule["traded_wh"] * spread / 1_000
        assert rule["gain"] + rule["department"] == pytest.approx(exact, abs=6 * 2)


def test_the_report_says_what_each_rule_does_to_each_member_and_how_its_price_moves(
    twice: tuple[Path, Path, dict[str, Any]],
) -> None:
    first, _, told = twice
    lines = (first / "out" / report.TEXT_NAME).read_text().splitlines()
    names = [member["name"] for member in told["measures"]["members"]]
    for rule in told["markets"]:
        assert list(rule["gains"]) == names
        assert sum(rule["gains"].values()) == rule["gain"]
    at = next(number for number, line in enumerate(lines) if line.startswith("gain of"))
    assert lines[at].split("  ")[-1].strip() == "supply demand ratio"
    trading = [rule for rule in told["markets"] if rule["rule"] != "feed_in_only"]
    for name, line in zip(names, lines[at + 1 :], strict=False):
        shown = [f"{rule['gains'][name] / 1e6:,.2f}" for rule in trading]
        assert (line[:23].rstrip(), line[24:].split()) == (name, shown)
    (auction,) = (line for line in lines if line.startswith("auction"))
    edge = trading[0]["one_wh_moves_at_most"]
    assert 0 <= trading[0]["one_wh_moves_share"] <= 1
    assert f"{100 * trading[0]['one_wh_moves_share']:.1f} %   {edge / 1e6:.6f}" in auction


def test_a_gini_that_is_not_defined_is_no_number(twice: tuple[Path, Path, dict[str, Any]]) -> None:
    _, _, told = twice
    assert f"Gini {told['measures']['money']['gini_of_gains']:.3f};" in report.text_of(told)
    lost = {**told["measures"]["money"], "gini_of_gains": None}
    text = report.text_of({**told, "measures": {**told["measures"], "money": lost}})
    assert "Gini not defined (somebody loses, or nobody gains); " in text


KINDS = {"integer": int, "number": float, "string": str, "datetime": datetime.fromisoformat}


def test_every_table_is_as_its_schema_says_and_fits_the_report(twice: tuple[Path, Path, dict[str, Any]]) -> None:
    first, _, told = twice
    package = json.loads((first / "out" / tables.PACKAGE_NAME).read_text())
    read: dict[str, list[dict[str, Any]]] = {}
    for resource in package["resources"]:
        with (first / "out" / resource["path"]).open(newline="") as file:
            reader = csv.DictReader(file)
            fields = resource["schema"]["fields"]
            assert reader.fieldnames == [field["name"] for field in fields]
            rows = [
                {field["name"]: KINDS[field["type"]](row[field["name"]]) for field in fields if row[field["name"]]}
                for row in reader
            ]
        keys = [tuple(row[name] for name in resource["schema"]["primaryKey"]) for row in rows]
        assert len(set(keys)) == len(keys) > 0
        read[resource["name"]] = rows
    assert [len(read[name]) for name in ("epochs", "members")] == [24, 6]
    assert [len(read[name]) for name in ("meters", "market_epochs")] == [24 * (4 * 3 + 2), 24 * len(RULES)]
    energy = told["measures"]["energy"]
    for name, total in (
        ("generation_wh", "generation_wh"),
        ("import_wh", "grid_import_wh"),
        ("minted_wh", "minted_wh"),
    ):
        assert sum(row[name] for row in read["epochs"]) == energy[total]
    assert sum(row["traded_wh"] for row in read["epochs"] if "price" in row) == energy["traded_wh"]
    assert max(row["import_wh"] for row in read["epochs"]) == energy["peak_import_w"]  # epochs of an hour
    assert sum(row["gain"] for row in read["members"]) == told["measures"]["money"]["gain"]
    used = sum(row["consumption_wh"] for row in read["meters"] if row["role"] == "load")
    assert 0 < used < energy["consumption_wh"]


def test_plots_are_drawn_and_drawn_again_for_some_days(
    twice: tuple[Path, Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = twice[0] / "out"
    before = (out / plots.SVG_NAME).read_bytes(), (out / plots.PNG_NAME).read_bytes()
    assert before[1].startswith(b"\x89PNG")
    width, height = struct.unpack(">II", before[1][16:24])
    assert width == 2 * plots.WIDTH < 2 * height
    words = {each.text for each in ElementTree.fromstring(before[0]).iter("{http://www.w3.org/2000/svg}text")}  # noqa: S314
    assert {"Dormitory 01", "supply demand ratio", "Price, credits per kWh", "1 Jun"} <= words
    assert main(["plot", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"plots": [str(out / plots.SVG_NAME), str(out / plots.PNG_NAME)]}
    assert ((out / plots.SVG_NAME).read_bytes(), (out / plots.PNG_NAME).read_bytes()) == before
    assert main(["plot", str(out), "--from-day", "2", "--into", str(tmp_path / "none")]) == USAGE
    assert "there is no day 2" in capsys.readouterr().err
    assert main(["plot", str(tmp_path)]) == USAGE
    assert "give its `authority simulate` line again" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def fetched(server: subprocess.Popen[bytes], url: str) -> str:
    """A page, as soon as its server, which must live, is there."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=300) as answer:  # noqa: S310 - this machine's
                return str(answer.read().decode())
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.1)
    raise AssertionError(f"the server of {url} ended")


def test_its_home_is_shown_as_it_stood_at_the_end(twice: tuple[Path, Path, dict[str, Any]]) -> None:
    home = twice[0] / "out"
    app = App.open(home)
    assert app.clock() == REQUEST.end + 1
    app.store.close()
    port = free_port()
    words = [sys.executable, "-m", "authority.cli", "web", "--home", str(home), "--port", str(port)]
    with subprocess.Popen(words, cwd=REPOSITORY) as web:
        try:
            page = fetched(web, f"http://127.0.0.1:{port}/")
            campus = json.loads(fetched(web, f"http://127.0.0.1:{port}/api/v1/campus"))
        finally:
            web.terminate()
            web.wait(timeout=300)
    assert "A simulation: the campus" in page
    assert "Dormitory 01" in page
    assert campus["epoch"]["number"] == REQUEST.end // 3_600


def test_days_that_are_over_are_summed_as_in_service(tmp_path: Path) -> None:
    request = Request(3, 4, 4, 11, REQUEST.start, Scenario.parse(HOURLY))
    with interrupted_at(36) as progress, Out(tmp_path / "out", request) as out:
        Simulation(request, out, progress).run()
    with Out(tmp_path / "out", request) as out:
        Simulation(request, out, lambda *_: None).run()
    app = App.open(out.path)
    try:
        with app.store.read() as session:
            energy = session.execute(select(EnergyDay.day, func.count()).group_by(EnergyDay.day)).all()
            public = session.scalars(select(PublicDay).order_by(PublicDay.day)).all()
    finally:
        app.store.close()
    days = [request.start + 86_400 * day for day in range(3)]
    assert [(day, members) for day, members in energy if day in days] == [(day, 4) for day in days]
    whole = [day for day in public if day.day in days]
    assert [day.day for day in whole] == days
    assert all(day.members_measured == 4 and (day.consumption_wh or 0) > 0 for day in whole)


@pytest.mark.parametrize("seconds", [each for each in range(60, 3_601) if 86_400 % each == 0])
def test_days_are_summed_once_a_day_whatever_the_epoch(seconds: int, tmp_path: Path) -> None:
    request = Request(3, 1, 1, 1, REQUEST.start, Scenario.parse(f"epoch_seconds = {seconds}"))
    with Out(tmp_path / "out", request) as out:
        simulation = Simulation(request, out, lambda *_: None)
    due = [at for at in range(request.start, request.end, seconds) if simulation._sums_due(at)]
    assert len(due) == request.days


class PulledError(Exception):
    pass


@contextmanager
def interrupted_at(interval: int) -> Iterator[Any]:
    """A progress that ends the simulation there, as a kill between two steps does."""

    def progress(done: int, _of: int) -> None:
        if done == interval:
            raise PulledError

    with pytest.raises(PulledError):
        yield progress


def test_an_interrupted_simulation_goes_on_and_comes_to_the_same(
    twice: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    for interval in (0, 13):
        with interrupted_at(interval) as progress, Out(tmp_path, REQUEST) as out:
            Simulation(REQUEST, out, progress).run()
    with Out(tmp_path, REQUEST) as out:
        lived: list[int] = []
        simulation = Simulation(REQUEST, out, lambda done, _: lived.append(done))
        simulation.run()
        found = report.make(out.path, REQUEST, simulation.spent)
    assert lived == list(range(13, 25))
    assert simulation.spent.seconds["commit"] > 0, "what it takes is counted, commits too"
    assert found["audit"]["ok"]
    assert found["measures"] == twice[2]["measures"]
    with Out(tmp_path, REQUEST) as out:
        assert out.stage == DONE


DIES = """
import os, sys
from authority.cli import main
from authority.simulation.campus_home import CampusHome
from authority.validator.ledger import Ledger

boundaries, commit, worker = 0, Ledger.commit, CampusHome.worker

def counted(ledger):
    global boundaries
    boundaries += 1
    if boundaries == 13:
        os.kill(os.getpid(), 9)  # the store has its part, the ledger not
    commit(ledger)

def set_up(home):
    Ledger.commit = counted
    return worker(home)

CampusHome.worker = set_up
sys.exit(main(sys.argv[1:]))
"""


def test_a_simulation_that_was_killed_goes_on_and_comes_to_the_same(
    twice: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    """At any moment, and between the two commits of a boundary, after which the chain is behind the store."""
    scenario = tmp_path / "hourly.toml"
    scenario.write_text(HOURLY)
    out = tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    words = ["simulate", *WORDS, "--scenario", str(scenario), "--out", str(out), "--quiet", "--json"]
    command = [sys.executable, "-m", "authority.cli", *words]
    between = subprocess.run(
        [sys.executable, "-c", DIES, *words], env=environment, capture_output=True, check=False, timeout=800
    )
    assert between.returncode == -signal.SIGKILL
    reached = epochs_of(out)
    assert 1 < reached < 24, "it was to die among the boundaries"
    for more in (3, 7):
        running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while epochs_of(out) < reached + more:
            assert running.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        running.kill()
        running.wait()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=800)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["audit"]["ok"]
    assert found["measures"] == twice[2]["measures"]


def epochs_of(out: Path) -> int:
    """How many epochs a simulation has in its store so far."""
    with closing(sqlite3.connect(out / "authority.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM settlement_epochs").fetchone()[0])


EVENTS = (
    HOURLY
    + """
[[event]]
kind = "outage"
building = 1
from_hour = 9
hours = 3

[[event]]
kind = "late"
building = 3
from_hour = 5
hours = 10
seconds = 1500

[[event]]
kind = "parameters"
from_hour = 12
retail_price = 330_000

[[event]]
kind = "exchange"
meter = "building_01/battery"
from_hour = 8
first_wh = 1_250

[[event]]
kind = "exchange"
meter = "building_03/building"
from_hour = 11

[[event]]
kind = "exchange"
meter = "building_01/battery"
from_hour = 15

[[event]]
kind = "leave"
member = "Dormitory 01 flat 1"
from_hour = 10

[[profile]]
member = "Laboratory 02"
file = "laboratory.csv"
"""
)
LEFT = "building_01/flat_1"
"""The meter of the member that leaves."""


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Request, dict[str, Any]]:
    """A day in which everything happens, interrupted around it, and its report."""
    path = tmp_path_factory.mktemp("eventful")
    starts = [datetime.fromtimestamp(REQUEST.start + 3_600 * hour, UTC).isoformat() for hour in range(24)]
    rows = [f"{start},{hour * 100.25}" for hour, start in enumerate(starts)]
    (path / "laboratory.csv").write_text("\n".join(["start,consumption_wh", *rows]))
    request = Request(1, 3, 5, 11, REQUEST.start, Scenario.parse(EVENTS, path))
    for interval in (8, 12, 13):
        with interrupted_at(interval) as progress, Out(path / "out", request) as out:
            Simulation(request, out, progress).run()
    with Out(path / "out", request) as out:
        simulation = Simulation(request, out, lambda *_: None)
        simulation.run()
        return out.path, request, report.make(out.path, request, simulation.spent)


def test_outages_late_readings_and_new_prices_are_lived_through_and_resumed(
    eventful: tuple[Path, Request, dict[str, Any]],
) -> None:
    path, _, found = eventful
    # ten meters at every hour; the eleventh up to 12, when its gateway was back and its member could leave
    audit = found["audit"]
    assert (audit["ok"], audit["problems"], audit["readings"]) == (True, [], 10 * 25 + 13)
    app = App.open(path)
    with app.store.read() as session:
        rows = session.execute(
            select(Meter.gateway_name, Frame.interval_end, Frame.received_at).join(Meter, Frame.meter_pk == Meter.id)
        ).all()
        prices = [EpochBook.from_account(data).retail_price for _, data in StoreEvidence(session).books(0, 2**31)]
    app.store.close()
    delays: dict[str, set[int]] = {}
    for gateway, boundary, received_at in rows:
        delays.setdefault(gateway, set()).add(received_at - boundary)
    hour = 3_600
    assert delays["building_02"] == {1}
    assert delays["building_03"] == {1, 1_500}
    assert delays["building_01"] == {1, hour + 1, 2 * hour + 1, 3 * hour + 1}
    assert prices == [300_000] * (len(prices) - 12) + [330_000] * 12


def counted_mwh(request: Request) -> dict[str, list[int]]:
    """What plants, batteries and loads did at each meter over the whole time, from the models alone."""
    seconds, seed, campus = request.scenario.epoch_seconds, Seed(request.seed), request.campus()
    sky = Sky(request.scenario.site, seed, seconds)
    households = [Household(member, seed, seconds) for member in campus.members]
    counted = {meter.full_name: [0] * 4 for meter in campus.meters}
    for start in range(request.start, request.end, seconds):
        weather = sky.next(start)
        local = start + int(request.scenario.site.longitude * 240)
        flows = {each.member.name: each.next(local, weather) for each in households}
        for meter in campus.meters:
            steps = registers(meter, flows[meter.member])
            counted[meter.full_name] = [a + b for a, b in zip(counted[meter.full_name], steps, strict=True)]
    return counted


def test_meters_are_exchanged_and_a_member_leaves_to_the_wh_and_a_profile_is_followed(
    eventful: tuple[Path, Request, dict[str, Any]],
) -> None:
    path, request, found = eventful
    names = [member["name"] for member in found["measures"]["members"]]
    assert names == ["Dormitory 01", "Laboratory 02", "Library 03", "former member 3", "Library 03 flat 1"]

    app = App.open(path)
    with app.store.read() as session:
        meters = {f"{meter.gateway_name}/{meter.name}": meter for meter in session.scalars(select(Meter))}
        acts = [
            act.data for act in session.scalars(select(Act).where(Act.kind == EXCHANGED_ACT).order_by(Act.log_index))
        ]
        left = session.scalar(select(User.left_at).where(User.left_at.is_not(None)))
        signed = {}
        for name, meter in meters.items():
            frames = session.scalars(select(Frame.frame).where(Frame.meter_pk == meter.id))
            records = [Record.from_bytes(frame[:RECORD_SIZE]) for frame in frames]
            signed[name] = max(records, key=lambda record: record.sequence).registers
    app.store.close()
    assert meters[LEFT].state == METER_RETIRED
    assert left is not None
    assert 12 <= (left - REQUEST.start) / 3_600 <= 14
    assert [act["first_wh"] for act in acts] == [
        {"charge": 1_250, "discharge": 1_250},
        {"generation": 0, "consumption": 0},
        {"charge": 0, "discharge": 0},
    ]
    exchanged = {"building_01/battery": 2, "building_03/building": 1}
    assert {name: meter.serial[-2:] for name, meter in meters.items() if "-" in meter.serial} == {
        "building_01/battery": "-3",
        "building_03/building": "-2",
    }
    # what is signed at the end is all that flowed, but for what no display shows: less than a Wh of each device
    first = {meter.full_name: FIRST_REGISTER_WH * meter.installation for meter in request.campus().meters}
    counted = counted_mwh(request) | {"building_02/load": [0, 276 * 100_250, 0, 0]}
    for name in meters.keys() - {LEFT, "building_02/computing", "building_02/equipment"}:
        missing = [first[name] + mwh // 1_000 - wh for mwh, wh in zip(counted[name], signed[name], strict=True)]
        assert all(0 <= each <= exchanged.get(name, 0) for each in missing), name


def test_a_set_up_that_was_interrupted_begins_again(tmp_path: Path) -> None:
    with Out(tmp_path, REQUEST):
        (tmp_path / "keys").mkdir()
        (tmp_path / "authority.toml").write_text("half of it")
    with Out(tmp_path, REQUEST) as out:
        assert out.stage == ""
        assert not (tmp_path / "keys").exists()
        assert not (tmp_path / "authority.toml").exists()


def test_a_directory_is_one_simulations_and_one_processs(tmp_path: Path) -> None:
    other = Request(2, 4, 6, 11, REQUEST.start, REQUEST.scenario)
    with Out(tmp_path, REQUEST), pytest.raises(OutBusyError, match="wait, or name another --out"):
        Out(tmp_path, REQUEST)
    with pytest.raises(OutOtherError, match="repeat its options"):
        Out(tmp_path, other)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").touch()
    with pytest.raises(OutForeignError, match="name a new one"):
        Out(foreign, REQUEST)
    assert (foreign / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch_seconds = 7\n", "divide a day"),
        ("epoch_seconds = 1000\n", "divide a day"),
        ("[site]\nlatitude = true\n", "latitude"),
        ("[parameters]\nretail = 5\n", "retail"),
        ("[event]\n", "event"),
        ("[[event]]\nkind = 'storm'\n", "one of 'outage', 'late', 'parameters', 'exchange', 'leave'"),
        ("[[event]]\nkind = 'outage'\nbuilding = 1\nhours = 2\n", "from_hour"),
        ("[[event]]\nkind = 'late'\nbuilding = 1\nfrom_hour = 0\nhours = 2\nseconds = 900\n", "1 to 899"),
        ("[[event]]\nkind = 'exchange'\nfrom_hour = 3\n", "meter"),
        ("[[event]]\nkind = 'exchange'\nmeter = 'a/b'\nfrom_hour = 3\nfirst_wh = -1\n", "first_wh"),
        ("[[event]]\nkind = 'leave'\nfrom_hour = 3\n", "member"),
        ("[[event]]\nkind = 'parameters'\nfrom_hour = 9\n", "parameters that change"),
        ("[[event]]\nkind = 'parameters'\nfrom_hour = 3\nwheeling = 0\n", "4 or more"),
        ("epoch_seconds =", "not TOML"),
    ],
)
def test_a_scenario_that_cannot_be_used_says_where(text: str, message: str) -> None:
    with pytest.raises(ScenarioInvalidError, match=message):
        Scenario.parse(text)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("kind = 'outage'\nbuilding = 5\nhours = 1", "there is no building_05: the campus has 4 buildings"),
        ("kind = 'exchange'\nmeter = 'building_01/sun'", "no meter 'building_01/sun'; there are building_01/battery"),
        ("kind = 'leave'\nmember = 'Nobody'", "no member 'Nobody'; there are Dormitory 01, Laboratory 02"),
    ],
)
def test_an_event_about_somebody_else_is_told_before_anything_is_made(
    event: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.toml"
    file.write_text(f"[[event]]\nfrom_hour = 3\n{event}\n")
    assert main(["simulate", *WORDS, "--scenario", str(file), "--out", str(tmp_path / "out")]) == USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scenarios_prices_and_site_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "dear.toml"
    file.write_text("[parameters]\nretail_price = 400_000\n[site]\nlatitude = -33\n")
    scenario = Scenario.load(file)
    assert (scenario.parameters.retail_price, scenario.parameters.feed_in_price) == (400_000, 80_000)
    assert (scenario.site.latitude, scenario.epoch_seconds) == (-33.0, 900)
    with pytest.raises(ScenarioInvalidError, match="cannot read"):
        Scenario.load(tmp_path / "none.toml")


def test_a_clock_that_stands_is_a_number(tmp_path: Path) -> None:
    assert clock_of(tmp_path)() > 1_700_000_000
    stop_clock(tmp_path, 42)
    assert clock_of(tmp_path)() == 42.0
    (tmp_path / CLOCK_NAME).write_text("noon")
    with pytest.raises(HomeConfigError, match="whole Unix seconds"):
        clock_of(tmp_path)
