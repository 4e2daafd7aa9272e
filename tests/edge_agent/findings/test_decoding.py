"""Captures after public reports of people who read meters: each decodes to what its meter meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CASES = Path(__file__).parent / "cases"
KEYS = ("--key", bytes(range(16)).hex(), "--auth-key", bytes(range(0xD0, 0xE0)).hex())


def case(number: str) -> Path:
    """The file of a case."""
    (found,) = CASES.glob(f"{number}-*")
    return found


def decode(number: str, *options: str, status: int = 0) -> list[dict]:
    """The telegrams that `edge-agent decode` prints."""
    command = [sys.executable, "-m", "edge_agent", "decode", "--json", *options, str(case(number))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    telegrams = json.loads(done.stdout)["telegrams"]
    assert done.returncode == status, done.stdout + done.stderr
    assert bool([error for telegram in telegrams for error in telegram["errors"]]) == (status == 1)
    return telegrams


def only(number: str, *options: str) -> dict:
    (telegram,) = decode(number, *options)
    return telegram


def said(telegram: dict) -> dict[str, str]:
    """Values with their units, by code without its F and electricity's A and B."""
    return {
        code.removeprefix("1-0:").removesuffix(".255"): f"{entry['value']} {entry['unit'] or ''}".rstrip()
        for code, entry in telegram["values"].items()
    }


@pytest.mark.finding("edge-01")
def test_definition_and_value_count_two_in_a_structure():
    telegram = only("01")
    assert telegram["meter"] == "1234567890"
    assert said(telegram) == {
        "0-0:96.1.1": "1234567890",
        "0-0:96.3.10.255:3": "1",
        "0-0:96.14.0": "T2",
        "1.7.0": "1956",
        "1.8.0": "4913794",
        "2.8.0": "52",
    }


@pytest.mark.finding("edge-02")
def test_the_identification_names_a_meter_without_a_number():
    telegram = only("02")
    assert (telegram["meter"], telegram["identification"], telegram["system_title"]) == ("KAM5", "KAM5", None)
    assert said(telegram)["1.8.0"] == "9621.983 kWh"


@pytest.mark.finding("edge-04")
def test_a_unit_without_an_asterisk():
    values = said(only("04"))
    assert values["1.8.1"] == "1247.747 kWh"
    assert values["1.8.2"] == "2330.879 kWh"
    assert values["1.7.0"] == "0.149 kW"
    assert values["32.7.0"] == "234.5 V"
    assert values["31.7.0"] == "0.19 A"


@pytest.mark.finding("edge-06")
def test_a_clock_that_is_not_set():
    telegram = only("06")
    assert telegram["time"] is None
    assert said(telegram)["0-0:1.0.0"] == "632525252525W"
    assert said(telegram)["1.8.0"] == "1247.747 kWh"


@pytest.mark.finding("edge-07")
def test_a_number_of_blanks_is_none():
    telegram = only("07")
    assert telegram["meter"] == "10000001"
    assert said(telegram)["0.0.0"] == "10000001"


@pytest.mark.finding("edge-08")
def test_date_and_hour_in_two_lines():
    assert only("08")["time"] == "2022-01-30T09:41:27"


@pytest.mark.finding("edge-11")
def test_a_register_without_a_unit_is_shown_without_one():
    telegram = only("11")
    assert telegram["meter"] == "1000000000000001"
    assert telegram["values"]["1-0:1.8.0.255"] == {"value": "13925.5", "unit": None}


@pytest.mark.finding("edge-12")
def test_an_identification_before_a_ciphered_body():
    telegram = only("12", *KEYS, "--system-title", "45474d0001020304")
    assert (telegram["meter"], telegram["identification"], telegram["ciphered"]) == ("10000001", "EGM5G35", True)
    assert telegram["system_title"] == "45474d0001020304"
    values = said(telegram)
    assert (values["1.8.0"], values["2.8.0"], values["1.7.0"]) == ("12345.678 kWh", "12.345 kWh", "0.512 kW")
    (unnamed,) = decode("12", *KEYS, status=1)
    assert [error["code"] for error in unnamed["errors"]] == ["wrong_system_title"]


@pytest.mark.finding("edge-13")
def test_kamstrups_energies_have_no_unit_and_its_powers_have():
    telegram = only("13")
    assert telegram["values"]["1-1:1.8.0.255"] == {"value": "8582328", "unit": None}
    assert telegram["values"]["1-1:1.7.0.255"] == {"value": "1247", "unit": "W"}
    assert telegram["values"]["1-1:31.7.0.255"] == {"value": "1.89", "unit": "A"}


@pytest.mark.finding("edge-14")
def test_kaifas_list_with_codes_is_scaled_as_that_by_position():
    values = said(only("14"))
    assert (values["32.7.0"], values["31.7.0"], values["1.7.0"]) == ("228.6 V", "0.446 A", "370 W")
    assert values["1.8.0"] == "12324240 Wh"


@pytest.mark.finding("edge-15")
def test_a_list_that_is_not_described_shows_its_raw_values():
    first, second = decode("15", status=1)
    assert (first["errors"], first["meter"]) == ([], "ISK1020780000001")
    assert (said(first)["1.7.0"], said(first)["32.7.0"]) == ("373 W", "230.1 V")
    assert [error["code"] for error in second["errors"]] == ["unknown_layout"]
    assert second["values"] == {}
    assert [entry["value"] for entry in second["raw"]] == ["80000001", "0", "7924641", "133"]


@pytest.mark.finding("edge-15")
def test_a_layout_of_ones_own(tmp_path):
    columns = [["0-0:96.1.0.255", 0, None, "octet-string"], None, ["1-0:1.8.0.255", 0, "Wh", "uint32"], None]
    text = json.dumps({"meter": "m", "source": "s", "first": "#", "lists": [columns]})
    (tmp_path / "mine.json").write_text(text)
    _, second = decode("15", "--layouts", str(tmp_path))
    assert second["meter"] == "80000001"
    assert said(second)["1.8.0"] == "7924641 Wh"


@pytest.mark.finding("edge-17")
def test_the_echo_of_the_sign_on_is_no_telegram():
    telegram = only("17")
    assert telegram["meter"] == "20000"
    assert said(telegram)["1.8.0"] == "1846.0 kWh"


@pytest.mark.finding("edge-19")
def test_bytes_and_numbers_in_a_log_of_python():
    telegrams = decode("19")
    assert [said(telegram) for telegram in telegrams] == [{"1.7.0": "368 W"}] * 2


@pytest.mark.finding("edge-21")
def test_the_system_title_names_a_meter_without_a_number():
    telegram = only("21", *KEYS)
    assert (telegram["meter"], telegram["system_title"]) == ("4c475a0001020304", "4c475a0001020304")
    (wrong,) = decode("21", "--key", KEYS[3], "--auth-key", KEYS[1], status=1)
    assert "exchanged" in wrong["errors"][0]["message"]


# What is of the same kinds


def values_of(lines: list[str], **more) -> dict[str, str]:
    from edge_agent.commands.decode import as_json
    from edge_agent.dlms.iec62056_21.p1 import write_telegram
    from edge_agent.dlms.push.telegram import decode_telegrams

    (telegram,) = decode_telegrams(write_telegram("ISK5\\2M550T", lines))
    found = as_json(telegram)
    assert found["errors"] == []
    for name, value in more.items():
        assert found[name] == value
    return said(found)


@pytest.mark.finding("edge-04")
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("001247.747kWH", "1247.747 kWh"),
        ("12 kWh", "12 kWh"),
        ("001247,747*kWh", "1247.747 kWh"),
        ("1247,7", "1247.7"),
        ("500W", "500 W"),
        ("013925.5*", "13925.5"),
        ("0001234", "0001234"),
        ("01.234*kW)(210227144500W", "1.234 kW"),
        ("210227144500W)(01.234*kW", "1.234 kW"),
        ("000123.4)(220130150000", "123.4"),
    ],
)
def test_numbers_and_units_as_meters_write_them(text, meant):
    assert values_of([f"1-0:1.8.0({text})"])["1.8.0"] == meant


@pytest.mark.finding("edge-08")
@pytest.mark.parametrize(
    ("day", "hour", "time"),
    [
        ("20220130", "09:41:27", "2022-01-30T09:41:27"),
        ("22-01-30", "0941", "2022-01-30T09:41:00"),
        ("1220130", "1094127", "2022-01-30T09:41:27"),
        ("000000", "000000", None),
        ("", "", None),
    ],
)
def test_dates_and_hours_as_meters_write_them(day, hour, time):
    values_of([f"1-0:0.9.2({day})", f"1-0:0.9.1({hour})", "1-0:1.8.0(1*kWh)"], time=time)


@pytest.mark.finding("edge-06")
@pytest.mark.parametrize(
    "stamp", ["000000000000W", "", "999999999999S", "632525252525", "FFFFFFFFFFFFW", "010100000000W"]
)
def test_clocks_that_are_not_set(stamp):
    assert values_of([f"0-0:1.0.0({stamp})", "1-0:1.8.0(1*kWh)"], time=None)["1.8.0"] == "1 kWh"


@pytest.mark.finding("edge-07")
@pytest.mark.parametrize("blank", ["2020202020", "    ", ""])
def test_numbers_that_are_blank(blank):
    values_of([f"0-0:96.1.1({blank})", "0-0:96.1.0( 17 )", "1-0:1.8.0(1*kWh)"], meter="17")


@pytest.mark.finding("edge-19")
@pytest.mark.finding("edge-17")
def test_captures_as_programs_print_them():
    from edge_agent.commands.decode import telegram_bytes

    data = bytes.fromhex(case("14").read_text().replace("\n", ""))
    rows = [data[at : at + 16] for at in range(0, len(data), 16)]
    for text in (
        repr(data),
        repr(bytearray(data)),
        "\n".join(f"INFO got {row!r}" for row in rows),
        str(list(data)),
        str([byte - 256 if byte > 127 else byte for byte in data]),
        json.dumps({"type": "Buffer", "data": list(data)}),
        json.dumps(list(data), indent=1),
        " ".join(str(byte) for byte in data),
        str([hex(byte) for byte in data]),
        "\n".join(f"\x1b[0;36m[12:00:01][D][uart:1]: {row.hex(' ')}\x1b[0m" for row in rows),
    ):
        assert telegram_bytes(text.encode()) == data, text


@pytest.mark.finding("edge-12")
@pytest.mark.parametrize("shape", ["titled", "untitled", "bare", "lines alone", "DLMS"])
def test_identifications_before_ciphered_bodies(shape):
    from edge_agent.dlms.apdu.data_notification import DataNotification
    from edge_agent.dlms.iec62056_21.p1 import write_telegram
    from edge_agent.dlms.obis import obis_bytes
    from edge_agent.dlms.push.telegram import Keys, decode_telegrams
    from edge_agent.dlms.security import seal

    key, title = bytes(16), b"ELG00001"
    inner = write_telegram("EGM5G35", ["0-0:96.1.0(77)", "1-0:1.8.0(1*kWh)"])
    if shape == "lines alone":
        inner = b"0-0:96.1.0(77)\r\n1-0:1.8.0(1*kWh)\r\n!\r\n"
    if shape == "DLMS":
        register = (2, [(9, obis_bytes("1-0:1.8.0.255")), (6, 1), (2, [(15, 3), (22, 30)])])
        number = (2, [(9, obis_bytes("0-0:96.1.0.255")), (9, b"77")])
        inner = DataNotification((2, [number, register])).to_bytes()
    unit = seal(0xDB, title, 0x30, 5, inner, key, key).to_bytes()
    body = {"untitled": b"\x00" + unit[10:], "bare": unit[10:]}.get(shape, unit)
    for times in (1, 2):
        telegrams = decode_telegrams((b"/EGM5G35\r\n\r\n" + body) * times, keys=Keys(key, key, title))
        assert len(telegrams) == times
        for telegram in telegrams:
            assert (telegram.errors, telegram.name, telegram.identification) == ([], "77", "EGM5G35")
            assert telegram.values["1-0:1.8.0.255"].value in ("1", "1000")
