"""The demo's own files are ones that the parts accept: plan, gateways, emulators, broker, settings."""

import tomllib
from pathlib import Path

import pytest

from authority.collector import broker
from authority.demo import campus
from authority.demo.orchestrator import settings_for
from authority.demo.stage import Ports
from authority.enrolment import plan
from authority.home.home import Home
from authority.home.settings import Settings
from edge_agent.config import load_config
from edge_agent.emulator.config import EmulatorConfig
from edge_agent.wire.rules import ROLE_REGISTERS

PORTS = Ports(8001, 8002, 8003, 8004)
METERS = campus.meters()
GATEWAYS = sorted({meter.gateway for meter in METERS})
PASSWORDS = {meter.serial: "12345678" for meter in METERS}


def of(gateway):
    return [meter for meter in METERS if meter.gateway == gateway]


def test_the_plan_is_accepted_and_every_member_has_a_wish():
    read = plan.parse(campus.PLAN.read_bytes())
    assert [user.name for user in read.users] == list(campus.STANDING_ORDERS)
    assert len(read.meters) == len(METERS) == 13
    assert len(campus.FLATS) == 4


def test_buildings_are_public_and_homes_are_not():
    read = plan.parse(campus.PLAN.read_bytes())
    assert {user.name for user in read.users if not user.public} == set(campus.FLATS)


def test_no_kilowatt_hour_is_counted_by_two_meters_that_settle():
    """A flat stands beside its building's meter: nothing of it goes through another, so it is its member's alone."""
    read = plan.parse(campus.PLAN.read_bytes())
    flats = [meter for meter in read.meters if meter.user in campus.FLATS]
    assert [(meter.role, meter.gateway) for meter in flats] == [("load", "faculty_housing")] * 4
    columns = [column for meter in METERS if meter.role != "submeter" for column in meter.columns.values()]
    assert len(columns) == len(set(columns))
    assert len({meter.user for meter in flats}) == 4


def test_a_flat_only_buys_and_what_it_pays_at_most_is_no_more_than_the_retail_price():
    parameters = settings_for(PORTS, mqtt=True).parameters
    for name in campus.FLATS:
        wish = campus.STANDING_ORDERS[name]
        assert wish.sell_at is None
        assert parameters.feed_in_price <= wish.buy_at <= parameters.retail_price - parameters.wheeling


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_gateway_and_emulator_agree_on_the_line_the_meters_and_their_registers(tmp_path, gateway):
    meters, line = of(gateway), tmp_path / "line"
    agent_file, emulator_file = tmp_path / "gateway.toml", tmp_path / "meters.toml"
    agent_file.write_text(
        campus.gateway_file(gateway, tmp_path / "state", "https://localhost:1", line, meters, PASSWORDS)
    )
    emulator_file.write_text(campus.emulator_file(line, meters, PASSWORDS, 89_000_000))
    config, emulated = load_config(agent_file), EmulatorConfig.read(emulator_file)
    assert config.name == gateway
    assert emulated.line.link == line
    assert emulated.start_epoch == 89_000_000
    for meter, settings, other in zip(meters, config.meters, emulated.meters, strict=True):
        assert settings.port == str(line)
        assert (settings.server, settings.physical) == (other.server, other.physical)
        assert settings.map.logical_device_name == other.logical_device_name == meter.serial
        assert settings.map.capture_period == emulated.epoch_seconds == 20
        assert set(settings.map.registers) <= ROLE_REGISTERS[meter.role]
        codes = {register.obis for register in other.registers}
        assert {code for source in settings.map.registers.values() for code in source.codes} <= codes
        assert {campus.IMPORT_POWER, campus.EXPORT_POWER} <= codes


def test_the_first_counted_row_is_eleven_oclock_in_summer():
    text = campus.PROFILES.read_text().splitlines()
    assert text[1 + campus.first_counted_row()].startswith("2016-07-21T11:00,")


def test_the_settings_shorten_the_designs_times():
    settings = settings_for(PORTS, mqtt=True)
    assert (settings.site.grid_co2_g_per_kwh, "Umweltbundesamt" in settings.site.grid_co2_source) == (380, True)
    assert Settings.from_toml(settings.to_toml()) == settings
    assert settings.epoch.seconds == 20
    assert settings.parameters.cancel_cutoff_seconds == 2
    assert settings.parameters.grace_seconds < 20
    assert "emulated" in settings.web.notice
    assert settings_for(PORTS, mqtt=False).mqtt.host == ""


def test_the_brokers_files_name_certificates_that_are_there_and_let_nobody_in_without_one(tmp_path):
    home = Home.create(tmp_path / "home", settings_for(PORTS, mqtt=True), now=1_790_000_000)
    text = broker.write_configuration(home, tmp_path / "mosquitto", 8003, now=1).read_text()
    options = dict(line.split(" ", 1) for line in text.splitlines())
    for option in ("cafile", "certfile", "keyfile", "acl_file"):
        assert Path(options[option]).read_text()
    assert options["require_certificate"] == "true"
    assert options["allow_anonymous"] == "false"
    assert options["listener"] == "8003 127.0.0.1"


def test_values_as_toml():
    value = {"text": 'a "quoted" word\n', "list": [1, True, "x"], "table": {"a": [2, 3]}}
    assert tomllib.loads("\n".join(f"{key} = {campus.toml(item)}" for key, item in value.items())) == value


@pytest.mark.parametrize(("seconds", "grace", "cutoff"), [(10, 7, 2), (20, 7, 2), (60, 20, 4), (900, 300, 60)])
def test_other_speeds_stretch_the_designs_times_and_leave_a_machine_what_it_needs(seconds, grace, cutoff):
    settings = settings_for(PORTS, mqtt=True, epoch_seconds=seconds, first_row=0)
    assert Settings.from_toml(settings.to_toml()) == settings
    assert settings.epoch.seconds == seconds
    assert (settings.parameters.grace_seconds, settings.parameters.cancel_cutoff_seconds) == (grace, cutoff)
    assert f"in {seconds} seconds" in settings.web.notice
    assert "from 21 July, 00:00" in settings.web.notice


def test_the_files_take_another_day_speed_and_the_file_that_pauses_the_meters(tmp_path):
    meters, line, file = of(GATEWAYS[0]), tmp_path / "line", tmp_path / "meters.toml"
    text = campus.emulator_file(
        line, meters, PASSWORDS, 7, start_row=96, epoch_seconds=10, standstill=tmp_path / "standstill"
    )
    file.write_text(text)
    emulated = EmulatorConfig.read(file)
    assert (emulated.start_epoch, emulated.start_row, emulated.epoch_seconds) == (7, 96, 10)
    assert emulated.standstill == tmp_path / "standstill"
    file.write_text(
        campus.gateway_file("g", tmp_path, "https://localhost:1", line, meters, PASSWORDS, epoch_seconds=10)
    )
    assert {meter.map.capture_period for meter in load_config(file).meters} == {10}


def test_the_days_of_the_profiles_are_whole():
    days = campus.days()
    assert [str(days[0]), str(days[-1]), len(days)] == ["2016-07-21", "2016-08-03", 14]
    assert [campus.midnight_row(day) for day in days] == [96 * number for number in range(14)]
    assert len(campus.row_times()) == 96 * 14
