"""Every fault of the emulator on real ptys, for pull, mode C and mode E: one retry repairs it, and it has a name."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from emulator_process import ENVIRONMENT, register, start

from edge_agent.config import MeterSettings
from edge_agent.emulator.fault_kinds import KINDS, ON_THE_LINE
from edge_agent.meters import iec21, open_meter
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import FLAG_SAMPLED

KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))
METER = f"""
[[meter]]
logical_device_name = "KFM1000000000001"
max_pdu = 128
block_window = 63
  [[meter.client]]
  address = 16
  [[meter.client]]
  address = 1
  auth = "gmac"
  key = "{KEY.hex()}"
  auth_key = "{AUTH_KEY.hex()}"
""" + register("1-0:1.8.0.255", initial=4200)
PULLED = 'epoch_seconds = 900\nstart_epoch = -30\n[line]\nlink = "line"\ncontrol = "control"\n' + METER
MAP = MeterMap.from_dict(
    {
        "capture_period": 900,
        "logical_device_name": "KFM1000000000001",
        "registers": {"consumption": ["1-0:1.8.0.255", 1]},
    }
)
DAMAGED = {"bad_fcs", "bad_hcs", "bad_address", "bad_format", "no_flag", "truncated_frame"}
NAMES = {
    "flip": DAMAGED,
    "wrong_fcs": DAMAGED,
    "truncate": DAMAGED,
    "drop": {"no_answer"},
    "reboot": {"disconnected"},
    "wrong_counter": {"replayed_counter"},
    "double": {"doubled_frame"},
    "garbage_before": {"noise"},
    "garbage_after": {"noise"},
    "gap": {"truncated_frame"},
    "late": {"no_answer"},
    "echo": {"echo"},
    "busy": {"busy"},
    "wrong_baud": {"not_dlms", "noise", *DAMAGED},  # what random bytes look like
    "lost_block": {"missing_block"},
    "doubled_block": {"doubled_block"},
    "swapped_blocks": {"block_out_of_order"},
    "refused_block": {"exception_other_reason"},
    "aborted_blocks": {"transfer_aborted"},
    "endless_blocks": {"too_long"},
}
VALUES = {"counter_reset", "clock_jump"}
"""What no line can show: the values do, and are handed on as the meter has them."""
SECONDS = {"gap": 4, "late": 4.5}
"""So long that the client does not wait for it."""


@pytest.fixture
def pulled(tmp_path):
    running = start(tmp_path, PULLED)
    yield running.port, tmp_path / "control"
    assert running.stop() == 0


def _command(control: Path, text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text.encode(), str(control))


def _driver(port: str, counters: Path, secure: bool):
    keys = {"auth": "gmac", "client": 1, "key": KEY, "auth_key": AUTH_KEY, "system_title": b"GATEWAY1"}
    settings = MeterSettings(
        name="m",
        serial="1",
        port=port,
        map=MAP,
        timeout=3.0,
        counters=counters,
        block_window=8,
        **(keys if secure else {}),
    )
    return open_meter(settings, MAP)


def _shown(driver, until: int = 1 << 40) -> list[tuple[int, int]]:
    return [(row.interval_end, row.consumption) for row in driver.rows(0, until)]


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in VALUES])
def test_a_fault_costs_the_pull_driver_one_retry_and_no_row_and_is_named(pulled, tmp_path, kind, secure):
    assert kind in NAMES, f"what is {kind} called when it was repaired?"
    port, control = pulled
    driver = _driver(port, tmp_path / "c", secure)
    try:
        whole = _shown(driver)
        assert len(whole) >= 30
        assert {value for _, value in whole} == {4200}
        before = list(driver.faults)
        _command(control, f"{kind} {SECONDS.get(kind, 1)}")
        assert _shown(driver, whole[-1][0]) == whole
        if kind == "wrong_counter" and not secure:
            assert driver.faults == before  # no counter is in use
        else:
            assert NAMES[kind] & set(driver.faults[len(before) :]), driver.faults
        told = list(driver.faults)
        assert _shown(driver, whole[-1][0]) == whole
        assert driver.faults == told or kind in ("late", "gap")  # what is still on its way
    finally:
        driver.close()


def test_what_befalls_the_meter_itself_shows_in_its_values(pulled, tmp_path):
    port, control = pulled
    driver = _driver(port, tmp_path / "c", False)
    try:
        whole, deviation = _shown(driver), driver.clock_deviation()
        _command(control, "counter_reset")
        driver.identity()
        _command(control, "clock_jump 3600")
        driver.identity()
        assert driver.clock_deviation() < deviation - 1800
        after = _shown(driver)
        assert after[: len(whole)] == whole
        assert after[-1][1] == 0
    finally:
        driver.close()


READ_OUT_NAMES = {
    "flip": {"bad_bcc", "cut_short", "bad_readout", "bad_identification", "no_answer"},
    "wrong_fcs": {"bad_bcc", "cut_short", "bad_readout", "bad_identification"},
    "truncate": {"cut_short", "bad_identification", "no_answer"},
    "drop": {"no_answer", "cut_short"},
    "reboot": {"no_answer", "cut_short"},
}


@pytest.mark.parametrize("answer", [1, 2])
@pytest.mark.parametrize("kind", [*ON_THE_LINE, "reboot"])
def test_a_fault_costs_a_read_out_one_retry_and_no_value(tmp_path, monkeypatch, kind, answer):
    monkeypatch.setattr(iec21, "ANSWER", 1.5)
    fault = f'[[line.fault]]\nkind = "{kind}"\nanswer = {answer}\nseconds = 0.4\n'
    running = start(tmp_path, '[line]\nlink = "line"\nmode = "c"\n' + fault + METER)
    settings = MeterSettings(
        name="m", serial="1", port=running.port, map=MAP, timeout=0.1, protocol="mode-c", baudrate=300
    )
    try:
        driver = open_meter(settings, MAP)
        try:
            quarter = time.time() // 900
            rows = driver.rows(0, 1 << 40)
            if time.time() // 900 != quarter and not rows:  # a read-out over which a boundary passes is not a row
                rows = driver.rows(0, 1 << 40)
            (row,) = rows
            assert (row.consumption, row.flags) == (4200, FLAG_SAMPLED)
            # A bit of the identification that reads as another letter is not a damage that anybody could see.
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
                [*command, "--timeout", "1", "--json"],
                env={**ENVIRONMENT, "HOME": os.fspath(tmp_path)},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, (kind, answer, done.stderr)
            assert json.loads(done.stdout)["registers"] == {"1-0:1.8.0.255": {"value": "4200", "unit": "Wh"}}
            # What meets a sign-on may do no harm there; from the link on all is named that the client can see.
            if kind in ("drop", "reboot") or (answer == 3 and kind not in ("late", "gap")):
                assert "the line was disturbed" in done.stderr, (kind, answer)
        finally:
            assert running.stop() == 0
