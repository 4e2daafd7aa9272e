"""Meters that push, as people met them: names, units, intervals, clocks, noise, neighbours, serial servers."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
import time
import tty
from pathlib import Path

import pytest

from edge_agent.config import MeterSettings
from edge_agent.dlms.iec62056_21.p1 import write_telegram
from edge_agent.dlms.push.stream import LONG_SILENCE, TelegramStream
from edge_agent.meters import BadAnswerError, MapMismatchError, MeterTimeoutError, WrongMeterError, open_meter
from edge_agent.meters.push_listener import PushDriver
from edge_agent.wire.meter_map import MeterMap

CASES = Path(__file__).parent / "cases"
START = 1_980_000 * 900
KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))


def case(number: str) -> bytes:
    """A case's bytes as its meter sends them: hex spelled out, lines of text ended by CR LF."""
    (path,) = CASES.glob(f"{number}-*")
    text = path.read_text()
    return bytes.fromhex(text.replace("\n", "")) if path.suffix == ".hex" else text.replace("\n", "\r\n").encode()


def settings(name: str, registers: dict, **more) -> MeterSettings:
    entries = {"capture_period": 900, "logical_device_name": name, "registers": registers}
    meter_map = MeterMap.from_dict({**entries, **more.pop("map", {})})
    more = {"protocol": "push", "push_seconds": 1.0, "timeout": 0.5, **more}
    return MeterSettings(name="m", serial="1", port="p", map=meter_map, **more)


class Silent:
    """A line on which nothing comes by itself."""

    def read(self, timeout):
        time.sleep(0.01)
        return b""

    def close(self):
        pass


class Listening:
    """A driver whose telegrams and clocks the test hands in."""

    def __init__(self, told: MeterSettings) -> None:
        self.up = 1000.0
        self.driver = PushDriver(told, told.map, open_transport=Silent, monotonic=lambda: self.up)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.driver.close()

    def take(self, data: bytes, at: float = START + 5) -> None:
        self.driver.take(data, at)

    def consumption(self) -> list[int]:
        return [row.consumption for row in self.driver.rows(0, 1 << 40)]


IMPORT = {"consumption": ["1-0:1.8.0.255", 1]}
TARIFFS = {"consumption": [["1-0:1.8.1.255", 1], ["1-0:1.8.2.255", 1]]}


@pytest.mark.finding("edge-02")
@pytest.mark.parametrize("name", ["KAM5", "garage"])
def test_a_meter_without_a_number_is_named_by_its_identification_or_the_map(name):
    with Listening(settings(name, IMPORT)) as line:
        line.take(case("02"))
        assert line.driver.identity() == name
        assert line.consumption() == [9621983]
        assert line.driver.power() == 1453
    with Listening(settings("LGZ5", IMPORT)) as line:
        line.take(case("02"))
        line.up += 2
        assert line.driver.identity() == "KAM5"
        assert line.consumption() == []


@pytest.mark.finding("edge-03")
def test_two_tariffs_and_a_number_of_17_characters():
    with Listening(settings("E0000000000000001", TARIFFS)) as line:
        line.take(case("03"))
        assert (line.driver.identity(), line.consumption()) == ("E0000000000000001", [227713])


@pytest.mark.finding("edge-04")
def test_units_without_an_asterisk_are_signed():
    with Listening(settings("1SAG0000000001", TARIFFS)) as line:
        line.take(case("04"))
        assert (line.consumption(), line.driver.power()) == ([1247747 + 2330879], 149)


@pytest.mark.finding("edge-06")
def test_a_meter_whose_clock_is_not_set_makes_rows():
    with Listening(settings("1SAG0000000001", IMPORT)) as line:
        line.take(case("06"))
        assert line.consumption() == [1247747]


@pytest.mark.finding("edge-13")
def test_kamstrups_10_wh():
    register = {"consumption": ["1-1:1.8.0.255", 1]}
    with Listening(settings("5706560000000001", register)) as line:
        line.take(case("13"))
        with pytest.raises(MapMismatchError, match="display"):
            line.driver.rows(0, 1 << 40)
        assert line.driver.power() == 1247
    with Listening(settings("5706560000000001", {"consumption": ["1-1:1.8.0.255", 1, "10 Wh"]})) as line:
        line.take(case("13"))
        assert (line.consumption(), line.driver.power()) == ([85823280], 1247)


@pytest.mark.finding("edge-12")
@pytest.mark.finding("edge-21")
def test_ciphered_telegrams_name_their_meter():
    keys = {"key": KEY, "auth_key": AUTH_KEY}
    with Listening(settings("10000001", IMPORT, system_title=bytes.fromhex("45474d0001020304"), **keys)) as line:
        line.take(case("12"))
        assert line.consumption() == [12345678]
    with Listening(settings("4c475a0001020304", IMPORT, **keys)) as line:
        line.take(case("21"))
        assert (line.driver.identity(), line.consumption()) == ("4c475a0001020304", [31358606])
    with Listening(settings("garage", IMPORT, **keys)) as line:
        line.take(case("21"))
        line.up += 2
        assert (line.driver.identity(), line.consumption()) == ("4c475a0001020304", [])


def test_a_line_that_means_nothing_costs_no_row_where_the_crc_is_right():
    lines = ["0-0:96.1.1(17)", "1-0:1.8.0(1*kWh)", "0-0:98.1.0", "1-1:30D(00012.3*kWh)"]
    for checked in (True, False):
        with Listening(settings("17", IMPORT)) as line:
            line.take(write_telegram("ISK5\\2M550T", lines, checked))
            if checked:
                assert (line.consumption(), line.driver.faults) == ([1000], [])
            else:
                with pytest.raises(BadAnswerError, match="98"):
                    line.consumption()


@pytest.mark.parametrize(
    ("value", "scaler"),
    [((9, b"\x00\x12\x34\x56"), 0), ((9, b"\x00\x1e\x05"), 0), ((4, "00010110"), 0), ((10, b"123456"), -1)],
)
def test_bytes_and_bits_are_not_taken_for_decimal_numbers(value, scaler):
    from edge_agent.dlms.apdu.data_notification import DataNotification
    from edge_agent.dlms.obis import obis_bytes

    register = (2, [(9, obis_bytes("1-0:1.8.0.255")), value, (2, [(15, scaler), (22, 30)])])
    number = (2, [(9, obis_bytes("0-0:96.1.0.255")), (9, b"17")])
    with Listening(settings("17", IMPORT)) as line:
        line.take(DataNotification((2, [number, register])).to_bytes())
        with pytest.raises(MapMismatchError, match="not a number"):
            line.consumption()


POSTED = CASES.parents[1] / "dlms" / "reported"
BURGENLAND = {
    "key": bytes.fromhex("34743677397A24432646294A404E6352"),
    "auth_key": bytes.fromhex("C0C1C2C3C4C5C6C7C8C9CACBCCCDCECF"),
}


@pytest.mark.parametrize(
    ("file", "name", "registers", "wh"),
    [
        ("landis_gyr_e450_burgenland_ciphered.hex", "30137181", IMPORT, 27_881_149),
        ("iskra_am550.hex", "1121378381199", IMPORT, 14_370_048),
        ("iskra_mt691_feeding_in.hex", "1ISK0000000000", {"generation": ["1-0:2.8.0.255", 1]}, 570_779),
        ("dzg_ws7412.hex", "1DZG0050071463", IMPORT, 10_022_367),
        ("sagemcom_belgium.txt", "1SAG1100076616", TARIFFS, 1_311_025 + 1_655_211),
        ("wasion_hungary.txt", "WSE1012403352978", IMPORT, 138_583),
        ("iskra_mt382_dsmr_2.txt", "ZBEV005106844912", TARIFFS, 16_722_627 + 19_412_712),
    ],
)
def test_what_people_posted_makes_a_row(file, name, registers, wh):
    text = (POSTED / file).read_text()
    data = bytes.fromhex(text) if file.endswith(".hex") else text.replace("\n", "\r\n").encode()
    with Listening(settings(name, registers, **(BURGENLAND if "ciphered" in file else {}))) as line:
        line.take(data)
        assert line.driver.identity() == name
        (row,) = line.driver.rows(0, 1 << 40)
        assert getattr(row, next(iter(registers))) == wh


def aidon(hour: str, wh_10: str) -> bytes:
    """Aidon 6534's hourly list: the clock says UTC and shows the hour of the wall."""
    body = bytes.fromhex(
        "0F40000000000104020209060000600100FF0A1037333539393932383930343937393937"
        f"020209060000010000FF090C07E90C0E00{hour}0000FF000000"
        f"020309060100010800FF06{wh_10}02020F01161E020309060100010700FF060000013F02020F00161B"
    )
    return b"\xe6\xe7\x00" + body


def test_a_clock_that_states_the_wrong_offset_is_told_by_the_map():
    fifteen = 1765724400  # 2025-12-14T15:00 UTC, 16:00 in Oslo
    name, zone = "7359992890497997", {"clock": "Europe/Oslo"}
    with Listening(settings(name, IMPORT)) as line:
        line.take(aidon("10", "00A729D9"), fifteen + 11)
        with pytest.raises(BadAnswerError, match="`clock` in the map"):
            line.driver.rows(0, 1 << 40)
    with Listening(settings(name, IMPORT, map=zone)) as line:
        line.take(aidon("10", "00A729D9"), fifteen + 11)
        line.take(aidon("11", "00A72A8A"), fifteen + 3611)
        assert line.consumption() == [109_552_250, 109_554_020]
        line.take(aidon("11", "00A72A8A"), fifteen + 7211)  # at 18:00 that of 17:00 again, as amsreader-firmware has it
        assert line.consumption() == [109_552_250, 109_554_020]


@pytest.mark.finding("edge-22")
def test_a_listener_waits_longer_than_for_an_answer():
    told = settings("KAM5", IMPORT, push_seconds=30.0, timeout=3.0)
    with Listening(told) as line:
        line.up += 50
        assert (line.driver.power(), line.consumption()) == (None, [])  # no fault yet
        line.up += 11
        with pytest.raises(MeterTimeoutError, match="pushed nothing in 60 s"):
            line.driver.rows(0, 1 << 40)
        line.take(case("02"))
        assert line.driver.power() == 1453


@pytest.mark.finding("edge-22")
def test_telegrams_without_a_number_yet():
    short = write_telegram("KAM5", ["1-0:1.7.0(00.100*kW)"])
    numbered = write_telegram("KAM5", ["0-0:96.1.0(17)", "1-0:1.8.0(1*kWh)", "1-0:1.7.0(00.200*kW)"])
    with Listening(settings("17", IMPORT)) as line:
        line.take(short)
        line.up += 2.1
        with pytest.raises(MeterTimeoutError, match="none with a number yet"):
            line.driver.rows(0, 1 << 40)
        line.take(numbered)
        assert (line.driver.identity(), line.consumption()) == ("17", [1000])
        line.take(short)  # now it is known whose it is
        assert line.driver.power() == 100


def test_registers_that_come_hourly_are_no_fault_within_the_hour():
    short = write_telegram("KAM5", ["0-0:96.1.0(17)", "1-0:1.7.0(00.100*kW)"])
    with Listening(settings("17", IMPORT)) as line:
        for _ in range(3):
            line.take(short)
            line.up += 1
        line.up += 100
        line.take(short)
        assert line.consumption() == []
        assert "registers_seconds" in line.driver.waits_for
        line.up += 3700
        line.take(short)
        with pytest.raises(MapMismatchError, match=r"1\.8\.0"):
            line.driver.rows(0, 1 << 40)


def test_a_neighbour_on_the_line_is_passed_over():
    ours = write_telegram("KAM5", ["0-0:96.1.0(17)", "1-0:1.8.0(1*kWh)"])
    other = write_telegram("KAM5", ["0-0:96.1.0(18)", "1-0:1.8.0(9*kWh)"])
    unnamed = write_telegram("KAM5", ["1-0:1.8.0(5*kWh)"])
    with Listening(settings("17", IMPORT)) as line:
        line.take(other + ours)
        line.take(unnamed, START + 905)
        assert line.consumption() == [1000]
        assert "other_meter" in line.driver.faults
    with Listening(settings("17", IMPORT)) as line:
        line.take(other)
        line.up += 3
        with pytest.raises(WrongMeterError, match="18"):
            line.driver.rows(0, 1 << 40)


@pytest.mark.parametrize(
    ("clock", "stamp", "late", "makes_a_row"),
    [
        ("deviation", "240407121455S", 3, False),  # held up over the boundary
        ("deviation", "240407121502S", 3, True),
        ("deviation", "240407114502S", 3, False),  # from half an hour ago
        ("deviation", "240407151500S", 3, False),
        ("deviation", "000101001502W", 3, True),  # a clock that was never set says nothing
        ("deviation", "240407121455", 3, False),  # no offset: its minutes tell all the same
        ("Europe/Vienna", "240407121502", 3, True),
        ("utc", "240407101502", 3, True),
        ("utc", "240407121502", 3, False),
    ],
)
def test_a_telegrams_own_clock_and_its_arrival(clock, stamp, late, makes_a_row):
    boundary = 1712484900  # 2024-04-07T12:15:00+02:00
    lines = [f"0-0:1.0.0({stamp})", "0-0:96.1.0(17)", "1-0:1.8.0(1*kWh)"]
    with Listening(settings("17", IMPORT, map={"clock": clock})) as line:
        line.take(write_telegram("KAM5", lines), boundary + late)
        if makes_a_row:
            assert [row.interval_end for row in line.driver.rows(0, 1 << 40)] == [boundary]
            return
        with pytest.raises(BadAnswerError) as caught:
            line.driver.rows(0, 1 << 40)
        assert caught.value.code == "clock_disagrees"


# What comes on the line


def streamed(*pieces: bytes) -> list:
    """The telegrams that a stream gives when pieces come and it never falls quiet."""
    stream = TelegramStream()
    return [telegram for piece in pieces for capture in stream.receive(piece) for telegram in capture.telegrams]


@pytest.mark.parametrize("number", ["13", "14", "02", "03"])
def test_noise_that_never_ends_keeps_no_telegram_from_being_read(number):
    noise = bytes((at * 37 + 11) & 0xFF for at in range(300))
    telegrams = streamed(noise, *[piece for _ in range(5) for piece in (case(number), noise)])
    good = [telegram for telegram in telegrams if telegram.values and not telegram.errors]
    assert len(good) >= 4
    assert len({telegram.name for telegram in good}) == 1


def test_a_telegram_is_read_with_its_last_byte():
    for number in ("13", "14", "03"):
        data = case(number)
        stream = TelegramStream()
        for at in range(len(data) - 1):
            assert not any(capture.telegrams for capture in stream.receive(data[at : at + 1])) or data[at:] == b"\r\n"
        assert stream.receive(data[-1:])


def test_frames_of_one_telegram_may_be_seconds_apart():
    from edge_agent.dlms.apdu.data_notification import DataNotification
    from edge_agent.dlms.mbus import split_apdu
    from edge_agent.dlms.obis import obis_bytes

    item = (2, [(9, obis_bytes("1-0:1.8.0.255")), (6, 7), (2, [(15, 0), (22, 30)])])
    apdu = DataNotification((1, [item] * 8)).to_bytes()
    stream = TelegramStream()
    found = []
    for frame in split_apdu(apdu, size=60):
        assert found == []
        found += stream.receive(frame.to_bytes()) + stream.quiet()
    (capture,) = found
    assert [telegram.errors for telegram in capture.telegrams] == [[]]
    stream.receive(split_apdu(apdu, size=60)[0].to_bytes())
    assert stream.quiet() == []
    (capture,) = stream.end()  # after LONG_SILENCE
    assert [error.code for error in capture.telegrams[0].errors] == ["missing_segment"]
    assert LONG_SILENCE > 5


def test_what_is_wrong_with_a_line_is_named():
    for data, named in (
        (bytes(byte ^ 0xFF for byte in case("02")), "inverted"),
        (b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01\x76\x05" * 3, "SML"),
        (b"raspberrypi login: \r\n", "login console"),
        (b"\x00" * 60 + b"\x12\x80", "speed"),
    ):
        leader, follower = os.openpty()
        tty.setraw(follower)
        told = dataclasses.replace(settings("17", IMPORT, push_seconds=0.4), port=os.ttyname(follower))
        driver = open_meter(told, told.map)
        try:
            os.write(leader, data)
            with pytest.raises(MeterTimeoutError, match=named):
                driver.identity()
        finally:
            driver.close()
            os.close(leader)
            os.close(follower)


class SerialServer:
    """ser2net, esp-link or a Moxa in raw mode: whoever connects gets the bytes of the line."""

    def __init__(self, data: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.data = data
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                for at in range(0, len(self.data), 50):
                    connection.sendall(self.data[at : at + 50])
                connection.settimeout(30)
                with connection:
                    try:
                        connection.recv(1)
                    except OSError:
                        continue


@pytest.mark.finding("edge-27")
@pytest.mark.parametrize(("number", "name", "wh"), [("02", "KAM5", 9621983), ("14", "7340150000000001", 12324240)])
@pytest.mark.parametrize("by_url", [False, True])
def test_a_push_meter_behind_a_serial_server(number, name, wh, by_url):
    server = SerialServer(case(number))
    told = settings(name, IMPORT, push_seconds=10.0)
    place = {"port": f"socket://127.0.0.1:{server.port}"} if by_url else {"tcp": ("127.0.0.1", server.port)}
    driver = open_meter(dataclasses.replace(told, **place), told.map)
    try:
        assert driver.identity() == name
        assert [row.consumption for row in driver.rows(0, 1 << 40)] in ([wh], [])
    finally:
        driver.close()
        server.listener.close()
