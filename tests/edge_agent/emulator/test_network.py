"""The emulator behind the DLMS wrapper: TCP and UDP as `edge-agent read` and others find them, faults included."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from datetime import datetime

import pytest
from emulator_process import ENVIRONMENT, read_json, read_meter, register, start

from edge_agent.dlms.wrapper import WrapperUnit, read_unit

KEY, AUTH_KEY = "000102030405060708090a0b0c0d0e0f", "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
FILE = """
start_epoch = -12
[line]
{line}
control = "control"
[[meter]]
logical_device_name = "KFM1000000000001"
  [[meter.client]]
  address = 16
  [[meter.client]]
  address = 1
  auth = "gmac"
  key = "{key}"
  auth_key = "{auth_key}"
""" + register("1-0:1.8.0.255", initial=42)
AARQ = bytes.fromhex("601da109060760857405080101be10040e01000000065f1f0400001e1dffff")
GET_NAME = bytes.fromhex("c001c1000100002a0000ff0200")


def _start(directory, line, faults=""):
    return start(
        directory,
        FILE.format(line=line + "\n", key=KEY, auth_key=AUTH_KEY).replace("[[meter]]", faults + "[[meter]]", 1),
    )


def _address(running):
    host, _, port = running.port.rpartition(":")
    return host, int(port)


def _wrap(apdu, client=16):
    return WrapperUnit(client, 1, apdu).to_bytes()


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("ciphering", [None, "glo", "general"])
def test_the_read_command_reads_a_meter_whole(tmp_path, kind, ciphering):
    schedule = '[[line.fault]]\nkind = "drop"\nanswer = 3\nevery = 11\n' if kind == "udp" else ""
    begun = time.time() // 900
    running = _start(tmp_path, f'{kind} = "127.0.0.1:0"', schedule)
    try:
        options = [f"--{kind}", running.port, "--timeout", "2" if kind == "udp" else "20"]
        if ciphering is None:
            options += ["--client", "16"]
        else:
            options += [
                "--client",
                "1",
                "--auth",
                "gmac",
                "--key",
                KEY,
                "--auth-key",
                AUTH_KEY,
                "--ciphering",
                ciphering,
            ]
            options += ["--system-title", "4741544557415931", "--counters", str(tmp_path / "counters")]
        found = read_json(*options)
        assert found["meter"] == "KFM1000000000001"
        assert found["registers"] == {"1-0:1.8.0.255": {"value": "42", "unit": "Wh"}}
        epochs = [datetime.fromisoformat(row["time"]).timestamp() / 900 for row in found["profile"]]
        assert epochs == [epochs[0] + at for at in range(len(epochs))]
        ended = time.time() // 900  # a boundary may pass before the emulator is up, or before it is read
        assert begun - 12 <= epochs[0] <= ended - 12
        assert begun <= epochs[-1] <= ended
    finally:
        assert running.stop() == 0


def test_blocks_in_a_row_do_not_go_over_udp(tmp_path):
    done = read_meter("--udp", "127.0.0.1:4059", "--client", "16", "--block-window", "3")
    assert done.returncode == 1
    assert "bad_option" in done.stderr


def test_what_is_no_wrapper_unit_costs_one_connection(tmp_path):
    running = _start(tmp_path, 'tcp = "127.0.0.1:0"')
    try:
        with (
            socket.create_connection(_address(running), 60) as good,
            socket.create_connection(_address(running), 60) as bad,
        ):
            good.sendall(_wrap(AARQ)[:11])
            bad.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert bad.recv(100) == b""
            good.sendall(_wrap(AARQ)[11:])
            assert good.recv(1000)[8:9] == b"\x61"
    finally:
        assert running.stop() == 0


def test_a_late_answer_holds_up_no_other_client(tmp_path):
    running = _start(tmp_path, 'tcp = "127.0.0.1:0"')
    try:
        with (
            socket.create_connection(_address(running), 60) as first,
            socket.create_connection(_address(running), 60) as other,
        ):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
                control.sendto(b"flip", str(tmp_path / "control"))  # has no meaning here, and changes nothing
                control.sendto(b"late 3000", str(tmp_path / "control"))
            first.sendall(_wrap(AARQ))
            first.settimeout(0.5)
            with pytest.raises(TimeoutError):
                first.recv(1000)
            other.sendall(_wrap(AARQ))
            assert other.recv(1000)[8:9] == b"\x61"
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize(("fault", "sizes"), [("truncate", None), ("double", 2), ("garbage_after", 1), ("gap 0.1", 1)])
def test_faults_over_tcp(tmp_path, fault, sizes):
    running = _start(tmp_path, 'tcp = "127.0.0.1:0"')
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
            control.sendto(fault.encode(), str(tmp_path / "control"))
        with socket.create_connection(_address(running), 60) as line:
            line.sendall(_wrap(AARQ))
            line.sendall(_wrap(AARQ))  # the answer to this one is whole, and comes after
            data = b""
            while data.count(b"\x00\x01\x00\x01\x00\x10") < (sizes or 1) + 1 or len(data) < 60:
                data += line.recv(1000)
        unit, end = read_unit(data, 0)
        if sizes is None:
            assert unit.apdu != _answer(data[end:])
        else:
            assert unit.apdu[:1] == b"\x61"
    finally:
        assert running.stop() == 0


def _answer(data):
    unit, _ = read_unit(data, 0) if data[:2] == b"\x00\x01" else (None, 0)
    return None if unit is None else unit.apdu


def test_datagrams_that_are_no_unit_get_no_answer(tmp_path):
    running = _start(tmp_path, 'udp = "127.0.0.1:0"')
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.settimeout(60)
            line.connect(_address(running))
            good = _wrap(AARQ)
            for data in (b"", b"\x00", good[:-1], good + b"\x00", b"\xff" * 2000, good[:8], _wrap(AARQ, 99)):
                line.send(data)
            line.send(good)
            assert line.recv(1000)[8:9] == b"\x61"
            # The association is the host's, from whatever port it asks.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
                second.settimeout(60)
                second.connect(_address(running))
                second.send(_wrap(GET_NAME))
                assert second.recv(1000).endswith(b"KFM1000000000001")
            line.setblocking(False)
            with pytest.raises(BlockingIOError):
                line.recv(1000)
    finally:
        assert running.stop() == 0


def test_a_reboot_ends_associations(tmp_path):
    running = _start(tmp_path, 'udp = "127.0.0.1:0"')
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.settimeout(60)
            line.connect(_address(running))
            line.send(_wrap(AARQ))
            line.recv(1000)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
                control.sendto(b"reboot", str(tmp_path / "control"))
            line.send(_wrap(GET_NAME))
            assert line.recv(1000)[8:9] == b"\xd8"
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_an_address_that_is_taken_is_named(tmp_path, kind):
    socket_kind = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, socket_kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == "tcp":
            taken.listen()
        port = taken.getsockname()[1]
        file = tmp_path / "meter.toml"
        file.write_text(FILE.format(line=f'{kind} = "127.0.0.1:{port}"', key=KEY, auth_key=AUTH_KEY))
        done = subprocess.run(
            [sys.executable, "-m", "edge_agent.emulator.cli", str(file)],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert f"127.0.0.1:{port}" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "control").exists()
    assert done.stdout == ""
