"""Every fault of the emulator on real ptys, for pull, mode C and mode E: one retry mends it, and it has a name."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "edge_agent"))
from emulator_process import ENVIRONMENT, start

from edge_agent.config import MeterSettings
from edge_agent.emulator.fault_kinds import ON_THE_LINE
from edge_agent.meter_map import MeterMap
from edge_agent.meters import iec21, open_meter
from edge_agent.reading import FLAG_SAMPLED

KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
METER = f"""
[[meter]]
logical_device_name = "KFM1000000000001"
max_pdu = 128
  [[meter.client]]
  address = 16
  [[meter.client]]
  address = 1
  auth = "gmac"
  key = "{KEY.hex()}"
  auth_key = "{AUTH_KEY.hex()}"
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "0"
  initial = 4200
"""
PULLED = 'epoch_seconds = 900\nstart_epoch = -30\n[line]\nlink = "line"\ncontrol = "control"\n' + METER
MAP = MeterMap.from_dict(
    {
        "capture_period": 900,
        "logical_device_name": "KFM1000000000001",
        "registers": {"consumption": ["1-0:1.8.0.255", 1]},
    }
)
SILENT = {"no_answer", "timeout", "truncated_frame", "no_flag"}
DAMAGED = {"bad_fcs", "bad_hcs", "bad_address", "bad_format", "no_flag", "truncated_frame"}
NAMES = {
    "flip": DAMAGED,
    "wrong_fcs": DAMAGED,
    "truncate": DAMAGED,
    "drop": SILENT,
    "reboot": {"disconnected"},
    "wrong_counter": {"replayed_counter"},
}
HARMLESS = {"double", "garbage_before", "garbage_after", "gap", "late", "echo", "busy"}
"""What the line carries all the same: no answer is lost, so there is nothing to mend."""


@pytest.fixture
def pulled(tmp_path):
    running = start(tmp_path, PULLED)
    yield running.port, tmp_path / "control"
    assert running.stop() == 0


def _command(control: Path, text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), str(control))


@pytest.mark.parametrize("secure", [False, True])
def test_a_fault_costs_the_pull_driver_one_retry_and_no_row(pulled, tmp_path, secure):
    port, control = pulled
    keys = {"auth": "gmac", "client": 1, "key": KEY, "auth_key": AUTH_KEY, "system_title": b"GATEWAY1"}
    settings = MeterSettings(
        name="m", serial="1", port=port, map=MAP, timeout=1.0, counters=tmp_path / "c", **(keys if secure else {})
    )
    driver = open_meter(settings, MAP)
    try:
        whole = driver.rows(0, 1 << 40)
        assert len(whole) >= 30
        assert {row.consumption for row in whole} == {4200}
        kinds = [*ON_THE_LINE, "busy", "reboot"] + (["wrong_counter"] if secure else [])
        for kind in kinds:
            assert kind in NAMES or kind in HARMLESS, f"what is {kind} called when it was mended?"
            before = len(driver.faults)
            _command(control, f"{kind} 0.5")
            rows = driver.rows(0, whole[-1].interval_end)
            assert [(row.interval_end, row.consumption) for row in rows] == [
                (row.interval_end, row.consumption) for row in whole
            ], kind
            if kind in NAMES:
                assert NAMES[kind] & set(driver.faults[before:]), (kind, driver.faults[before:])
    finally:
        driver.close()


READ_OUT_NAMES = {
    "flip": {"bad_bcc", "cut_short", "bad_readout", "bad_identification", "no_answer"},
    "wrong_fcs": {"bad_bcc", "cut_short", "bad_readout", "bad_identification"},
    "truncate": {"cut_short", "bad_identification", "no_answer"},
    "drop": {"no_answer", "cut_short"},
}


@pytest.mark.parametrize("answer", [1, 2])
@pytest.mark.parametrize("kind", ON_THE_LINE)
def test_a_fault_costs_a_read_out_one_retry_and_no_value(tmp_path, monkeypatch, kind, answer):
    monkeypatch.setattr(iec21, "ANSWER", 0.8)
    fault = f'[[line.fault]]\nkind = "{kind}"\nanswer = {answer}\nseconds = 0.4\n'
    running = start(tmp_path, '[line]\nlink = "line"\nmode = "c"\n' + fault + METER)
    settings = MeterSettings(
        name="m", serial="1", port=running.port, map=MAP, timeout=0.1, protocol="mode-c", baudrate=300
    )
    try:
        driver = open_meter(settings, MAP)
        try:
            (row,) = driver.rows(0, 1 << 40)
            assert (row.consumption, row.flags) == (4200, FLAG_SAMPLED)
            # A bit of the identification that reads as another letter is no damage that anybody could see.
            if kind in READ_OUT_NAMES and not (answer == 1 and kind in ("flip", "wrong_fcs")):
                assert READ_OUT_NAMES[kind] & set(driver.faults), driver.faults
            before = list(driver.faults)
            driver.rows(0, 1 << 40)
            assert driver.faults == before
        finally:
            driver.close()
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize("kind", [*ON_THE_LINE, "wrong_baud", "reboot"])
def test_a_fault_of_the_hand_over_costs_one_retry(tmp_path, kind):
    for answer in (1, 2, 3):
        fault = f'[[line.fault]]\nkind = "{kind}"\nanswer = {answer}\nseconds = 0.4\n'
        running = start(tmp_path, '[line]\nlink = "line"\nmode = "e"\n' + fault + METER)
        try:
            command = [sys.executable, "-m", "edge_agent", "read", "--port", running.port, "--client", "16", "--mode-e"]
            done = subprocess.run(
                [*command, "--timeout", "0.8", "--json"],
                env={**ENVIRONMENT, "HOME": os.fspath(tmp_path)},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, (kind, answer, done.stderr)
            assert json.loads(done.stdout)["registers"] == {"1-0:1.8.0.255": {"value": "4200", "unit": "Wh"}}
            if kind == "drop" or (kind == "wrong_baud" and answer == 3):
                assert "the line was disturbed" in done.stderr, (kind, answer)
        finally:
            assert running.stop() == 0
