"""Hardware in the loop: the agent's driver against emulated meters as processes, on real ptys, in real time."""

from __future__ import annotations

import time

import pytest
from emulator_process import start

from edge_agent.config import MeterSettings
from edge_agent.meters import MeterError, PortUnavailableError, open_meter
from edge_agent.wire.meter_map import MeterMap

EPOCH = 2
LINE = """
epoch_seconds = 2
start_epoch = {start}
[line]
link = "line"
[source]
csv = "power.csv"
[[meter]]
logical_device_name = "PV00000000000001"
server = 1
  [[meter.register]]
  obis = "1-0:2.8.0.255"
  power = "pv"
  scaler = -3
  [[meter.register]]
  obis = "1-0:2.7.0.255"
  power = "pv"
  unit = "W"
[[meter]]
logical_device_name = "LOAD000000000001"
server = 2
  [[meter.client]]
  address = 32
  auth = "lls"
  password = "secret"
  [[meter.register]]
  obis = "1-0:1.8.0.255"
  power = "load"
  initial = 7
"""
POWER = "pv,load\n1800000,3600000\n0,1800\n"
MAPS = {
    1: {"logical_device_name": "PV00000000000001", "registers": {"generation": ["1-0:2.8.0.255", 1]}},
    2: {"logical_device_name": "LOAD000000000001", "registers": {"consumption": ["1-0:1.8.0.255", 1]}},
}


def settings(port: str, server: int) -> MeterSettings:
    meter_map = MeterMap.from_dict({"capture_period": EPOCH, "clock": "deviation", **MAPS[server]})
    secured = {"client": 32, "auth": "lls", "password": "secret"} if server == 2 else {}
    return MeterSettings(
        name=f"m{server}", serial="1", port=port, map=meter_map, server=server, timeout=20.0, **secured
    )


def energy(start: int, epoch: int, watts: tuple[int, int]) -> int:
    """Wh from the start to the beginning of an epoch."""
    return sum(watts[at % 2] for at in range(epoch - start)) * EPOCH // 3600


@pytest.fixture
def line(tmp_path):
    first = int(time.time()) // EPOCH - 6
    text = LINE.format(start=first)
    running = start(tmp_path, text, power_csv=POWER)
    yield tmp_path, first, running, text
    if running.process.poll() is None:
        running.stop()


def test_two_meters_on_one_line_read_as_they_capture(line):
    directory, first, running, _ = line
    seen = {1: {}, 2: {}}
    since = dict.fromkeys(seen, first * EPOCH - 1)
    last = (int(time.time()) // EPOCH + 3) * EPOCH
    while min(since.values()) < last:
        for server, rows in seen.items():
            where = settings(running.port, server)
            driver = open_meter(where, where.map)
            try:
                assert driver.identity() == where.map.logical_device_name
                asked = time.monotonic()
                deviation = driver.clock_deviation()
                assert abs(deviation) <= 1 + time.monotonic() - asked
                for row in driver.rows(since[server], int(time.time())):
                    rows[row.interval_end] = row
                    since[server] = row.interval_end
                if server == 1:
                    assert driver.power() in (-1_800_000, 0)
                else:
                    assert driver.power() is None
            finally:
                driver.close()
        time.sleep(0.3)
    for server, watts in ((1, (1_800_000, 0)), (2, (3_600_000, 1800))):
        ends = sorted(seen[server])
        assert ends == list(range(first * EPOCH, ends[-1] + 1, EPOCH))  # none missing, none twice
        for end, row in seen[server].items():
            wh = energy(first, end // EPOCH, watts)
            assert (row.generation, row.consumption) == ((wh, 0) if server == 1 else (0, 7 + wh))
    assert running.stop() == 0
    assert not (directory / "line").exists()


def test_a_meter_that_loses_its_power_gives_every_row_afterwards(line):
    directory, first, running, text = line
    where = settings(running.port, 1)
    driver = open_meter(where, where.map)
    before = driver.rows(first * EPOCH - 1, int(time.time()))
    assert before
    (directory / "line").unlink(missing_ok=True)  # it would lead to the next pty of that number, another test's
    running.process.kill()
    running.process.wait()
    running.process.stdout.close()
    with pytest.raises(MeterError):
        driver.rows(before[-1].interval_end, int(time.time()))
    driver.close()
    time.sleep(2 * EPOCH)
    again = start(directory, text, power_csv=POWER)
    try:
        where = settings(again.port, 1)  # another pty than before, where a test beside this one has taken that number
        driver = open_meter(where, where.map)
        after = driver.rows(before[-1].interval_end, int(time.time()))
        driver.close()
    finally:
        again.stop()
    ends = [row.interval_end for row in before + after]
    assert ends == list(range(first * EPOCH, ends[-1] + 1, EPOCH))
    for row in before + after:
        assert row.generation == energy(first, row.interval_end // EPOCH, (1_800_000, 0))


def test_a_line_in_use_is_named(line):
    where = settings(line[2].port, 1)
    driver = open_meter(where, where.map)
    try:
        with pytest.raises(PortUnavailableError, match="in use"):
            open_meter(where, where.map)
    finally:
        driver.close()
