"""What one store refuses is refused at the door, and no gateway's message spoils another's."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from authority.app import App
from authority.collector.documents import read_json
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.faults import Faults
from authority.refusals import RefusalError
from authority.store.metering import Gateway, LivePower
from edge_agent.wire.log import StructuredLog

AddMeter = Callable[..., Any]

NOT_EVERYWHERE = [
    b'{"x": NaN}',
    b'{"x": Infinity}',
    b'{"x": [-Infinity]}',
    b'{"x": 1e999}',
    b'{"x": {"y": -1e999}}',
    b'{"x": "a\\u0000b"}',
    b'{"a\\u0000b": 1}',
    b'{"x": "\\ud800"}',
    b'{"\\udfff": 1}',
    b"[" * 100_000,
    b'{"x": ' + b"9" * 5_000 + b"}",
    b"\xff",
    b"",
]


@pytest.mark.finding("ops-13")
@pytest.mark.parametrize("body", NOT_EVERYWHERE)
def test_what_not_every_store_takes_is_no_document(body: bytes) -> None:
    with pytest.raises(RefusalError):
        read_json(body)


def test_what_every_store_takes_is_a_document() -> None:
    value = {"a": [1, -1.5, 1e300, None, True, "ü \U0001f600", {"b": ""}]}
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.finding("ops-13")
def test_a_status_with_nan_is_refused_over_https_and_the_next_is_taken(
    app: App,
    add_meter: AddMeter,
    certify: Callable[[str], Path],
    collector_process: Any,
    link: Callable[[Path | None], Any],
) -> None:
    add_meter("pv")
    directory = certify("gw-1")
    collector_process.start()
    gateway = link(directory)
    for body in NOT_EVERYWHERE[:9]:
        assert gateway.call("POST", "/api/v1/gateways/gw-1/status", body)[0] == 400
    assert gateway.call("POST", "/api/v1/gateways/gw-1/status", b'{"online": true, "x": 1}')[0] == 204
    assert gateway.call("GET", "/api/v1/gateways/gw-1/meters/a%00b/head")[0] == 404
    assert collector_process.stop() == 0
    with app.store.read() as session:
        assert session.get_one(Gateway, "gw-1").status == {"online": True, "x": 1}
    assert "Traceback" not in collector_process.text()


@pytest.mark.finding("ops-13")
def test_one_gateways_value_does_not_spoil_anothers(app: App, add_meter: AddMeter) -> None:
    """Whatever gets past the door: what the store refuses is dropped alone, said once, and the rest is written."""
    one, two = add_meter("pv"), add_meter("pv", gateway="gw-2")
    live = Live(app)
    live.status("gw-1", {"x": object()})
    live.power("gw-1", {"pv": {"power_w": 1, "time": 100}})
    live.status("gw-2", {"online": True})
    live.power("gw-2", {"pv": {"power_w": 2, "time": 100}})
    live.flush()
    with app.store.read() as session:
        assert session.get_one(Gateway, "gw-2").status == {"online": True}
        assert session.get_one(LivePower, two.pk).power_w == 2
        assert session.get(LivePower, one.pk) is None
    live.flush()  # nothing of it is left


@pytest.mark.finding("ops-13")
def test_a_fault_is_one_sentence_however_often_it_recurs(
    app: App, add_meter: AddMeter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    meter, collector = add_meter(), Collector(app)
    frame = meter.next()

    def fail() -> Any:
        raise OperationalError("BEGIN", {}, Exception("database or disk is full"))

    caplog.set_level(logging.INFO)
    with monkeypatch.context() as patch:
        patch.setattr(app.store, "write", fail)
        for _ in range(50):
            with pytest.raises(RefusalError):
                collector.ingest(frame, gateway="gw-1", meter=None, over="https")
    (said,) = caplog.records
    assert "the store does not take readings" in said.getMessage()
    assert said.exc_info is None
    caplog.clear()
    for _ in range(3):
        assert collector.ingest(frame, gateway="gw-1", meter=None, over="https").receipts
    (said,) = caplog.records
    assert said.getMessage() == "the store takes readings again"
    assert vars(said)["fields"] == {"times": 50}


def test_another_cause_is_another_sentence(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(StructuredLog("test"), most=2)
    caplog.set_level(logging.INFO)
    for cause in ("full", "full", "locked", "locked", "full"):
        faults.met("store", cause, "the store fails", logging.WARNING, disk="a")
    faults.over("broker", "the broker is there")
    faults.over("store", "the store answers")
    faults.over("store", "the store answers")
    assert [(record.getMessage(), vars(record)["fields"]) for record in caplog.records] == [
        ("the store fails", {"cause": "full", "disk": "a"}),
        ("the store fails", {"cause": "locked", "disk": "a"}),
        ("the store fails", {"cause": "full", "disk": "a"}),
        ("the store answers", {"times": 1}),
    ]
