"""A gateway is dead for days, and everything comes from the meter's load profile: to the Wh on a real chain.

The meter is emulated, its rows are read by the gateway's driver and signed by its signer; log, worker and chain are
the authority's. RECOVERED_EPOCHS=672 is seven days of quarters of an hour; the default is six hours of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fake_line import FakeTransport

from edge_agent.agent.signing import Signer
from edge_agent.config import MeterSettings
from edge_agent.emulator.config import EmulatorConfig
from edge_agent.emulator.line import EmulatedLine
from edge_agent.meters.dlms_pull import DlmsPullDriver
from edge_agent.state.keys import MeterKey
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import FLAG_BACK_FILLED, SOURCES, Record

EPOCHS = int(os.environ.get("RECOVERED_EPOCHS", "24"))
PLAN = (
    ("S", "solar", "generation", "solar", 1, 200_000_000, 0),
    ("S", "load", "load", "none", 0, 200_000_000, 0),
    ("D", "load", "load", "none", 0, 200_000_000, 0),
)
OBIS = {"generation": "1-0:2.8.0.255", "consumption": "1-0:1.8.0.255"}


class Metered:
    """A meter of the campus as it stands in the cellar, and the gateway's side of its line."""

    def __init__(self, campus, name: str, register: str, watts: int) -> None:
        self.campus, self.name, self.meter = campus, name, campus.meters[name]
        self.first_sequence, self.last = 1, None
        clock = SimpleNamespace(time=campus.wall.wall, waited=0.0)
        meter = {
            "logical_device_name": "KFM1000000000001",
            "register": [{"obis": OBIS[register], "power": str(watts), "initial": 1000}],
            "profile": {"entries": EPOCHS + 10},
        }
        period = campus.epoch_seconds
        data = {"epoch_seconds": period, "start_epoch": campus.epoch - 1, "meter": [meter]}
        transport = FakeTransport(EmulatedLine.build(EmulatorConfig.from_dict(data, Path()), clock.time), clock)
        self.map = MeterMap.from_dict(
            {
                "logical_device_name": "KFM1000000000001",
                "capture_period": period,
                "registers": {register: [OBIS[register], 1]},
            }
        )
        settings = MeterSettings(name="m", serial="1", port="none", map=self.map)
        self.driver = DlmsPullDriver(
            settings,
            self.map,
            open_transport=lambda: transport,
            now=clock.time,
            monotonic=lambda: clock.waited,
        )
        self.step = watts * period // 3600

    def recover(self, boundary: int) -> list:
        """Read, sign and deliver everything after the last record, as a gateway does that has come back."""
        period = self.campus.epoch_seconds
        since = boundary - period if self.last is None else Record.from_bytes(self.last).interval_end
        signer = Signer(
            key=MeterKey(Ed25519PrivateKey.from_private_bytes(self.meter.key.secret())),
            map=self.map,
            network_id=self.meter.network_id,
            epoch_seconds=period,
            source=SOURCES.index(self.meter.source),
            first_sequence=self.first_sequence,
            max_power_w=10_000_000,
        )
        rows = self.driver.rows(since, boundary)
        frames, fault = signer.sign(
            rows, last=self.last, resume=False, rebase=False, boundary=boundary, clock_deviation=0
        )
        assert fault is None
        for frame in frames:
            self.campus.receive(self.name, frame.to_bytes())
        self.last = frames[-1].record_bytes
        return [frame.record for frame in frames]


@pytest.mark.slow
def test_days_of_a_dead_gateway_are_recovered_from_the_load_profile_alone(make_campus):
    campus = make_campus(PLAN)
    worker = campus.worker()
    solar = Metered(campus, "S.solar", "generation", 300_000)
    own = Metered(campus, "S.load", "consumption", 60_000)
    load = Metered(campus, "D.load", "consumption", 156_000)
    meters = (solar, own, load)
    assert [each.step for each in meters] == [5_000, 1_000, 2_600]
    for _ in range(3):
        boundary = campus.next_epoch()
        for each in meters:
            assert [record.interval_end for record in each.recover(boundary)] == [boundary]
        worker.settle_down()
    before = {name: campus.energy(name) for name in "SD"}
    assert {each.boundary for each in before.values()} == {boundary}

    campus.go_to(boundary + EPOCHS * campus.epoch_seconds + 1)  # nobody reads, signs or delivers anything
    last = boundary + EPOCHS * campus.epoch_seconds
    ends = list(range(boundary + campus.epoch_seconds, last + 1, campus.epoch_seconds))
    for each in meters:
        records = each.recover(last)
        assert [record.interval_end for record in records] == ends
        assert [record.sequence for record in records] == list(range(4, 4 + EPOCHS))
        late = [record.flags & FLAG_BACK_FILLED for record in records]
        assert all(late[:-1])
        assert not late[-1]
    worker.settle_down(rounds=20 * EPOCHS)
    after = {name: campus.energy(name) for name in "SD"}
    assert {each.boundary for each in after.values()} == {last}
    assert after["S"].generated - before["S"].generated == EPOCHS * solar.step
    assert after["S"].consumed - before["S"].consumed == EPOCHS * own.step
    assert after["S"].minted - before["S"].minted == EPOCHS * (solar.step - own.step)
    assert after["D"].consumed - before["D"].consumed == EPOCHS * load.step
    assert after["D"].withdrawn - before["D"].withdrawn == EPOCHS * load.step
    # and it goes on as if nothing had been
    boundary = campus.next_epoch()
    for each in meters:
        each.recover(boundary)
    worker.settle_down()
    assert campus.energy("D").consumed - after["D"].consumed == load.step
    assert campus.energy("S").generated - after["S"].generated == solar.step
    assert campus.audit() == 0
