"""`edge-agent read` as a person runs it: a process on one end of a real pty, an emulated meter on the other."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import tty
from decimal import Decimal
from pathlib import Path

import pytest
from emulator_process import read_json, read_meter, register, start

from edge_agent.emulator.config import EmulatorConfig
from edge_agent.emulator.line import EmulatedLine, WrapperConnection

METER = """
epoch_seconds = 900
start_epoch = -40

[line]
link = "meter"

[source]
csv = "power.csv"

[[meter]]
logical_device_name = "KFM1000000000001"
deviation = -120
max_pdu = 200

  [[meter.client]]
  address = 16

  [[meter.client]]
  address = 32
  auth = "lls"
  password = "12345678"

  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "load"
  initial = 5000

  [[meter.register]]
  obis = "1-0:2.8.0.255"
  power = "pv"
  scaler = -3

  [[meter.register]]
  obis = "1-0:1.7.0.255"
  power = "load - pv"
  unit = "W"

  [meter.profile]
  status = true

[[meter]]
logical_device_name = "KFM1000000000002"
server = 1
physical = 17
deviation = "none"

""" + register("1-0:1.8.0.255", "load")
POWER = "load,pv\n4000,1000.125\n2000.5,0\n"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    running = start(
        tmp_path_factory.mktemp("meter"), METER.replace("server = 1\nphysical", "server = 2\nphysical"), power_csv=POWER
    )
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize(
    "options", [["--client", "16", "--auth", "none"], ["--client", "32", "--auth", "lls", "--password", "12345678"]]
)
def test_the_whole_meter_as_json(emulator, options):
    found = read_json("--port", emulator.port, *options)
    assert list(found) == ["meter", "clock", "registers", "profile"]
    assert found["meter"] == "KFM1000000000001"
    assert found["clock"].endswith("+02:00")
    assert {obis: register["unit"] for obis, register in found["registers"].items()} == {
        "1-0:1.8.0.255": "Wh",
        "1-0:2.8.0.255": "Wh",
        "1-0:1.7.0.255": "W",
    }
    assert len(found["profile"]) >= 41  # more where a quarter of an hour has passed since the start
    for number, row in enumerate(found["profile"]):
        load = 5000 + number // 2 * 1500.125 + (1000 if number % 2 else 0)
        assert row["values"] == {
            "0-0:96.10.1.255": "0",
            "1-0:1.8.0.255": str(int(load)),
            "1-0:2.8.0.255": str(((number + 1) // 2 * Decimal("250.03125")).quantize(Decimal("0.001"), "ROUND_DOWN")),
        }
        assert row["time"].endswith("+02:00")
    assert Decimal(found["registers"]["1-0:2.8.0.255"]["value"]) >= Decimal(
        found["profile"][40]["values"]["1-0:2.8.0.255"]
    )


def test_two_meters_on_one_line_and_a_clock_without_deviation(emulator):
    found = read_json("--port", emulator.port, "--client", "16", "--server", "2", "--physical", "17")
    assert found["meter"] == "KFM1000000000002"
    assert len(found["clock"]) == len("2026-06-01T12:00:00")
    again = read_json(
        "--port", emulator.port, "--client", "16", "--server", "2", "--physical", "17", "--address-size", "4"
    )
    assert again["profile"][:41] == found["profile"][:41]
    combined = read_json("--port", emulator.port, "--client", "0x10", "--server", str(2 * 128 + 17))
    assert combined["profile"][:41] == found["profile"][:41]


def test_the_link_in_the_file_leads_to_the_pty(emulator):
    link = emulator.process.args[-1].replace("meter.toml", "meter")
    assert os.path.realpath(link) == emulator.port


def test_a_range_an_object_and_the_object_list(emulator):
    line = ["--port", emulator.port, "--client", "16"]
    whole = read_json(*line)["profile"]
    part = read_json(*line, "--range", whole[3]["time"], whole[6]["time"])["profile"]
    assert part == whole[3:7]
    found = read_json(*line, "--object", "1-0:2.8.0.255")
    assert (found["unit"], found["attribute"], found["class"]) == ("Wh", 2, 3)
    assert read_json(*line, "--object", "1-0:2.8.0.255:3")["value"] == "[-3, 30]"
    assert read_json(*line, "--object", "1.0.2.8.0.255")["object"] == "1-0:2.8.0.255"
    objects = read_json(*line, "--list-objects")["objects"]
    assert {"class": 7, "version": 1, "obis": "1-0:99.1.0.255"} in objects
    for wrong, code in (
        ("1-0:99.99.0.255", "no_such_object"),
        ("nonsense", "bad_obis"),
        ("1-0:2.8.0.255:x", "bad_obis"),
    ):
        done = read_meter(*line, "--object", wrong)
        assert done.returncode == 1
        assert code in done.stderr


KEY, AUTH_KEY = "000102030405060708090a0b0c0d0e0f", "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
SECURE = f"""
[line]
{{line}}
[[meter]]
logical_device_name = "KFM1000000000003"
  [[meter.client]]
  address = 16
  [[meter.client]]
  address = 1
  auth = "gmac"
  key = "{KEY}"
  auth_key = "{AUTH_KEY}"
""" + register("1-0:1.8.0.255", initial=42)


@pytest.mark.parametrize("kind", ["port", "tcp"])
def test_hls_and_ciphering_over_hdlc_and_tcp(tmp_path, kind):
    running = start(tmp_path, SECURE.format(line='link = "m"' if kind == "port" else 'tcp = "127.0.0.1:0"'))
    try:
        line = [f"--{kind}", running.port, "--client", "1", "--auth", "gmac", "--system-title", "4741544557415931"]
        counters = ["--counters", str(tmp_path / "counters")]
        keys = ["--key", KEY, "--auth-key", AUTH_KEY]
        for ciphering in ("glo", "ded", "general"):
            found = read_json(*line, *keys, *counters, "--ciphering", ciphering)
            assert found["registers"] == {"1-0:1.8.0.255": {"value": "42", "unit": "Wh"}}
        # Counters that are lost: the meter says which it wants, and the reader goes on from there.
        found = read_json(*line, *keys, "--counters", str(tmp_path / "others"))
        assert found["meter"] == "KFM1000000000003"
        for wrong in (["--key", "00" * 16, "--auth-key", AUTH_KEY], ["--key", KEY, "--auth-key", "00" * 16]):
            done = read_meter(*line, *wrong, *counters)
            assert done.returncode == 1
            assert "wrong_key" in done.stderr
        done = read_meter(*line, "--key", KEY, *counters)
        assert "missing_key" in done.stderr
        assert read_json(f"--{kind}", running.port, "--client", "16")["meter"] == "KFM1000000000003"
    finally:
        assert running.stop() == 0


def test_datagrams_of_which_some_are_lost():
    meter = {
        "logical_device_name": "KFM1000000000004",
        "register": [{"obis": "1-0:1.8.0.255", "power": "0", "initial": 9}],
    }
    line = EmulatedLine.build(EmulatorConfig.from_dict({"meter": [meter]}, Path()), lambda: 1e9)
    server = WrapperConnection(line.meters)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        datagrams.settimeout(60)
        stopping = threading.Event()

        def serve():
            number = 0
            while not stopping.is_set():
                data, peer = datagrams.recvfrom(65536)
                number += 1
                answer = server.receive(data) if data else b""
                if number not in (2, 5):
                    datagrams.sendto(answer, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        host, port = datagrams.getsockname()
        found = read_json("--udp", f"{host}:{port}", "--client", "16", "--timeout", "1")
        assert found["registers"]["1-0:1.8.0.255"]["value"] == "9"
        stopping.set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (host, port))
        thread.join(60)
    done = read_meter("--udp", "127.0.0.1:1", "--client", "16", "--timeout", "0.2")
    assert done.returncode == 1


def test_tcp_that_leads_nowhere():
    done = read_meter("--tcp", "127.0.0.1:1", "--client", "16")
    assert "no_connection" in done.stderr
    done = read_meter("--tcp", "nonsense", "--client", "16")
    assert "bad_address" in done.stderr


def test_a_table_for_people(emulator):
    done = read_meter("--port", emulator.port, "--client", "16")
    assert done.returncode == 0
    assert "KFM1000000000001" in done.stdout
    assert "load profile" in done.stdout
    assert "Wh" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--client", "32", "--auth", "lls", "--password", "wrong"], "wrong_password", "check the password"),
        (["--client", "32", "--auth", "lls"], "wrong_password", "check the password"),
        (["--client", "32"], "authentication_required", "--auth"),
        (["--client", "16", "--auth", "lls", "--password", "x"], "mechanism_not_supported", "--auth"),
        (["--client", "77"], "refused", "client"),
        (["--client", "16", "--server", "9", "--timeout", "0.2"], "timeout", "no answer"),
        (["--client", "200"], "bad_address", "1 to 127"),
        (["--client", "16", "--server", "20000000000"], "bad_address", "fit"),
    ],
)
def test_refusals_say_what_to_do(emulator, options, code, words):
    done = read_meter("--port", emulator.port, *options, "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("edge-agent: ")
    assert f" [{code}]\n" in done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ports_that_are_none(tmp_path):
    done = read_meter("--port", str(tmp_path / "none"), "--client", "16")
    assert done.returncode == 1
    assert "there is no port" in done.stderr
    assert "[no_port]" in done.stderr
    file = tmp_path / "file"
    file.write_text("")
    done = read_meter("--port", str(file), "--client", "16")
    assert done.returncode == 1
    assert "no_port" in done.stderr


def _responder(answer):
    """A pty on whose other end `answer` (bytes to bytes) speaks; its path and a function to end it."""
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)

    def serve():
        while True:
            try:
                data = os.read(master, 4096)
                os.write(master, answer(data))
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return name, master, slave


@pytest.mark.parametrize("answer", [lambda data: b"login: ", lambda data: data, lambda data: bytes(range(256)) * 4])
def test_something_else_on_the_line(answer):
    name, _master, _slave = _responder(answer)
    done = read_meter("--port", name, "--client", "16", "--timeout", "1.5")
    assert done.returncode == 1
    assert done.stderr.startswith("edge-agent: something answers, but not in HDLC")
    assert "[not_dlms]" in done.stderr


def test_a_silent_line():
    master, slave = os.openpty()
    tty.setraw(slave)
    done = read_meter("--port", os.ttyname(slave), "--client", "16", "--timeout", "0.2")
    assert done.returncode == 1
    assert done.stderr.startswith("edge-agent: no answer from the meter")
    assert "[timeout]" in done.stderr
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("kind", "answer", "named"),
    [
        ("reboot", 6, "disconnected"),
        ("reboot", 12, "disconnected"),
        ("wrong_counter", 6, "replayed_counter"),
        ("busy", 5, "busy"),
        ("double", 12, "doubled_frame"),
        ("wrong_baud", 5, "not_dlms|truncated_frame|bad_|no_flag|noise"),  # what random bytes look like
        ("aborted_blocks", 4, "transfer_aborted"),
        ("endless_blocks", 4, "too_long"),
    ],
)
def test_what_a_new_association_mends_is_read_again_and_named(tmp_path, kind, answer, named):
    fault = f'link = "m"\n[[line.fault]]\nkind = "{kind}"\nanswer = {answer}\n'
    running = start(
        tmp_path, SECURE.format(line=fault).replace("[[meter]]", "[[meter]]\nmax_pdu = 128\nblock_window = 3")
    )
    try:
        line = ["--port", running.port, "--client", "1", "--auth", "gmac", "--system-title", "4741544557415931"]
        more = ["--key", KEY, "--auth-key", AUTH_KEY, "--counters", str(tmp_path / "c"), "--block-window", "3"]
        done = read_meter(*line, *more, "--timeout", "3", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["registers"] == {"1-0:1.8.0.255": {"value": "42", "unit": "Wh"}}
        assert re.search(named, done.stderr)
    finally:
        running.stop()


def test_a_speed_that_goes_wrong_in_mode_e_is_mended_by_a_new_sign_on(tmp_path):
    fault = 'link = "m"\nmode = "e"\n[[line.fault]]\nkind = "wrong_baud"\nanswer = 9\n'
    running = start(tmp_path, SECURE.format(line=fault))
    try:
        done = read_meter("--port", running.port, "--client", "16", "--mode-e", "--timeout", "1.5", "--json")
        assert done.returncode == 0, done.stderr
        assert "timeout" in done.stderr
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--key", "00"], "16 bytes are needed"),
        (["--system-title", "zz"], "not hex"),
        (["--range", "noon", "night"], "'noon' is not a time"),
    ],
)
def test_options_that_make_no_sense_are_told_in_words(option, message):
    done = read_meter("--port", "none", "--client", "1", *option)
    assert done.returncode == 2
    assert message in done.stderr


PUSHING = (
    '[line]\nlink = "meter"\nmode = "{mode}"\n[[meter]]\nlogical_device_name = "{name}"\ndeviation = -60\n'
    "push_seconds = 1\n" + register("1-0:1.8.0.255", initial=5_000)
)


@pytest.mark.parametrize(("mode", "unasked"), [("sml", "SML"), ("p1", "P1")])
def test_a_meter_that_is_asked_and_sends_something_else_by_itself(tmp_path, mode, unasked):
    running = start(tmp_path, PUSHING.format(mode=mode, name="1KFM0000000001"))
    try:
        done = read_meter("--port", running.port, "--client", "16", "--timeout", "5")
    finally:
        running.stop()
    assert done.returncode == 1
    assert f"sends {unasked} by itself: read it with --push" in done.stderr


def test_the_options_of_m_bus_on_the_emulators_pty(tmp_path):
    running = start(tmp_path, PUSHING.format(mode="mbus", name="KFM1"))
    try:
        found = read_json("--port", running.port, "--push", "--baudrate", "2400", "--parity", "E")
    finally:
        running.stop()
    assert found["meter"] == "KFM1"
