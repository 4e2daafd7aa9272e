"""Live power and status: taken, bounded, and written once a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from authority.app import App
from authority.collector.live import Live
from authority.refusals import RefusalError
from authority.store.metering import Gateway, LivePower


def test_the_latest_power_is_kept(app: App, add_meter: Callable[..., Any]) -> None:
    meter = add_meter("pv")
    live = Live(app)
    live.power("gw-1", {"pv": {"power_w": -500, "time": 100}, "nosuch": {"power_w": 1, "time": 100}})
    live.power("gw-1", {"pv": {"power_w": -600, "time": 101}})
    live.flush()
    live.power("gw-1", {"pv": {"power_w": 7, "time": 90}})  # late
    live.flush()
    live.flush()
    with app.store.read() as session:
        row = session.get_one(LivePower, meter.pk)
        assert (row.power_w, row.time, row.received_at) == (-600, 101, app.clock())
        assert session.get_one(Gateway, "gw-1").seen_at == app.clock()


def test_status_and_presence_are_kept(app: App, add_meter: Callable[..., Any]) -> None:
    add_meter("pv")
    live = Live(app)
    live.status("gw-1", {"online": True, "version": "1"})
    live.status("nosuch", {"online": True})
    live.flush()
    with app.store.read() as session:
        gateway = session.get_one(Gateway, "gw-1")
        assert (gateway.online, gateway.status) == (True, {"online": True, "version": "1"})
    seen = app.clock()
    app.clock.now += 60  # type: ignore[attr-defined]
    live.status("gw-1", {"online": False})  # its will: the broker says so, not the gateway
    live.flush()
    with app.store.read() as session:
        gateway = session.get_one(Gateway, "gw-1")
        assert (gateway.online, gateway.seen_at) == (False, seen)


@pytest.mark.parametrize(
    "meters",
    [
        None,
        [],
        {"pv": None},
        {"pv": {"power_w": 1.5, "time": 1}},
        {"pv": {"power_w": True, "time": 1}},
        {"pv": {"power_w": 10**10, "time": 1}},
        {"pv": {"power_w": 1}},
        {"pv": {"power_w": 1, "time": -1}},
        {"pv": {"power_w": 1, "time": 10**12}},
        {str(n): {"power_w": 1, "time": 1} for n in range(65)},
    ],
)
def test_what_is_no_live_power_is_refused(app: App, meters: object) -> None:
    with pytest.raises(RefusalError):
        Live(app).power("gw-1", meters)


@pytest.mark.parametrize("status", [None, [], "x", {str(n): 1 for n in range(65)}])
def test_what_is_no_status_is_refused(app: App, status: object) -> None:
    with pytest.raises(RefusalError):
        Live(app).status("gw-1", status)


def test_what_could_not_be_written_stays(
    app: App, add_meter: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = add_meter("pv")
    live = Live(app)
    live.power("gw-1", {"pv": {"power_w": 5, "time": 100}})

    def fail() -> Any:
        raise OperationalError("BEGIN", {}, Exception("locked"))

    with monkeypatch.context() as patch:
        patch.setattr(app.store, "write", fail)
        with pytest.raises(OperationalError):
            live.flush()
    live.flush()
    with app.store.read() as session:
        assert session.get_one(LivePower, meter.pk).power_w == 5
