"""Other people's DLMS against ours, as separate processes: their clients read our emulator, our client reads theirs."""

from __future__ import annotations

import itertools
import json
import subprocess
from pathlib import Path

import peer_programs
import pytest
from emulator_process import read_json, read_meter, register, start

PEERS = Path(__file__).parents[1] / "peers"

pytestmark = pytest.mark.slow

KEY = "000102030405060708090a0b0c0d0e0f"
AUTH_KEY = "d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"
METER = (
    f"""
epoch_seconds = 60
start_epoch = -96
[line]
link = "meter"
[[meter]]
logical_device_name = "KFM1000000000001"
deviation = -60
max_pdu = 512
  [[meter.client]]
  address = 16
  [[meter.client]]
  address = 32
  auth = "lls"
  password = "12345678"
  [[meter.client]]
  address = 1
  auth = "gmac"
  key = "{KEY}"
  auth_key = "{AUTH_KEY}"
"""
    + register("1-0:1.8.0.255", "4200", initial=1000000)
    + register("1-0:2.8.0.255", "6300")
)
ASSOCIATIONS = {
    "none": ["16", "none"],
    "lls": ["32", "lls", "12345678"],
    "gmac": ["1", "gmac", KEY, AUTH_KEY],
}
TITLES = {"gurux_client.py": "4755525558000001", "dlms_cosem_client.py": "4443534d00000001"}
COUNTERS = {"gurux_client.py": "1000", "dlms_cosem_client.py": "100000"}


@pytest.fixture(scope="module")
def peer():
    return str(peer_programs.python("dlms"))


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    running = start(tmp_path_factory.mktemp("meter"), METER)
    yield running
    running.stop()


@pytest.mark.parametrize("auth", list(ASSOCIATIONS))
@pytest.mark.parametrize("client", list(TITLES))
def test_their_clients_read_our_meter(peer, emulator, client, auth):
    arguments = [peer, str(PEERS / client), emulator.port, *ASSOCIATIONS[auth]]
    if auth == "gmac":
        arguments += [TITLES[client], COUNTERS[client]]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["meter"] == "KFM1000000000001"
    assert found["period"] == 60
    assert [7, "1.0.99.1.0.255"] in found["objects"]
    register = found["registers"]["1.0.1.8.0.255"]
    assert int(register[0]) >= 1000000 + 96 * 70
    assert register[2] == 30
    rows = found["rows"]
    assert 96 <= len(rows) <= 97
    for first, second in itertools.pairwise(rows):
        assert (second[0] - first[0], second[1] - first[1], second[2] - first[2]) == (60, 70, 105)
    assert found["by_entry"][0][1] in (rows[1][1], rows[1][1] + 70)
    assert len(found["by_entry"]) == 3
    assert found["by_range"] == rows[1:5]


@pytest.mark.parametrize("offered", [1, 5])
def test_their_client_takes_blocks_in_windows(peer, tmp_path, offered):
    running = start(tmp_path, METER.replace("max_pdu = 512", f"max_pdu = 200\nblock_window = {offered}"))
    try:
        for auth in ("none", "gmac"):
            arguments = [peer, str(PEERS / "gurux_client.py"), running.port, *ASSOCIATIONS[auth]]
            arguments += [TITLES["gurux_client.py"], COUNTERS["gurux_client.py"]] if auth == "gmac" else []
            done = subprocess.run([*arguments, "blocks=3"], capture_output=True, text=True, timeout=240, check=False)
            assert done.returncode == 0, done.stderr[-2000:]
            found = json.loads(done.stdout.splitlines()[-1])
            rows = found["rows"]
            assert 96 <= len(rows) <= 97
            for first, second in itertools.pairwise(rows):
                assert (second[0] - first[0], second[1] - first[1], second[2] - first[2]) == (60, 70, 105)
            assert found["by_range"] == rows[1:5]
    finally:
        running.stop()


@pytest.fixture
def gurux_meter(peer, request):
    process = subprocess.Popen(
        [peer, str(PEERS / "gurux_server.py"), *request.param], stderr=subprocess.PIPE, text=True
    )
    line = process.stderr.readline()
    assert line.startswith("ready "), line + process.stderr.read()
    yield line.split()[1]
    process.kill()
    process.wait()
    process.stderr.close()


@pytest.mark.parametrize(
    ("gurux_meter", "options"),
    [(["none"], ["--auth", "none"]), (["lls", "hunter22"], ["--auth", "lls", "--password", "hunter22"])],
    indirect=["gurux_meter"],
)
def test_our_client_reads_their_meter(gurux_meter, options):
    found = read_json("--port", gurux_meter, "--client", "16", *options)
    assert found["meter"] == "GRX0000000000042"
    assert found["clock"] == "2026-06-01T10:05:07+02:00"
    assert found["registers"] == {
        "1-0:1.8.0.255": {"value": "123456.7", "unit": "Wh"},
        "1-0:2.8.0.255": {"value": "7654321", "unit": "Wh"},
        "1-0:1.7.0.255": {"value": "4.211", "unit": "W"},
    }
    assert len(found["profile"]) == 40
    assert found["profile"][0] == {
        "time": "2026-06-01T00:15:00+02:00",
        "values": {"1-0:1.8.0.255": "100000.0", "1-0:2.8.0.255": "2000"},
    }
    assert found["profile"][39]["time"] == "2026-06-01T10:00:00+02:00"
    assert found["profile"][39]["values"]["1-0:1.8.0.255"] == "100039.0"


@pytest.mark.parametrize("gurux_meter", [["lls", "hunter22"]], indirect=True)
def test_their_meter_refuses_a_wrong_password(gurux_meter):
    done = read_meter("--port", gurux_meter, "--client", "16", "--auth", "lls", "--password", "wrong")
    assert done.returncode == 1
    assert "wrong_password" in done.stderr
