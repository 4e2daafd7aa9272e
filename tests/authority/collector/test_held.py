"""Releasing and voiding held readings: logged, once, and in an order that the chain can take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from authority.app import App
from authority.collector import held
from authority.collector.ingest import Collector
from authority.log import gate, log
from authority.refusals import RefusalError
from authority.store.log import Act
from authority.store.metering import Frame, MeterKey
from edge_agent.wire.reading import Receipt


def take(app: App, *frames: bytes) -> list[str]:
    result = Collector(app).ingest(b"".join(frames), gateway="gw-1", meter=None, over="https")
    return [{1: "accepted", 2: "held"}[Receipt.from_bytes(receipt).verdict] for receipt in result.receipts]


def test_a_released_reading_is_the_new_base(app: App, add_meter: Callable[..., Any]) -> None:
    meter = add_meter()
    assert take(app, meter.next(), meter.next(50_000), meter.next()) == ["accepted", "held", "held"]
    with app.store.read() as session:
        listed = held.held(session)
        assert [(row.log_index, row.code, row.meter, row.registers[0]) for row in listed] == [
            (1, "exceeds_nameplate", "pv", 50_000),
            (2, "exceeds_nameplate", "pv", 50_000),
        ]
    with app.store.write() as session:
        index = held.release(session, 1, actor="operator", reason="meter exchanged", now=77)
    with app.store.read() as session:
        act = session.get(Act, index)
        assert act is not None
        assert act.kind == "reading_released"
        assert act.data["log_index"] == 1
        assert gate.words_of(session, act) == "meter exchanged"
        assert b'"reason_sha256":"' in log.leaf(session, index)
        assert b"meter exchanged" not in log.leaf(session, index), "what a person types stays in the store"
        frame = session.get(Frame, 1)
        assert frame is not None
        assert (frame.disposition, frame.verdict, frame.resolved_by, frame.resolution_log_index) == (
            "released",
            "held",
            "operator",
            index,
        )
    assert take(app, meter.next(100)) == ["accepted"]


def test_a_void_reading_moves_nothing(app: App, add_meter: Callable[..., Any]) -> None:
    meter = add_meter()
    take(app, meter.next(), meter.next(consumption=5))
    with app.store.write() as session:
        held.void(session, 1, actor="operator", reason="wiring fault", now=77)
        assert held.held(session) == []
    assert take(app, meter.next()) == ["accepted"]


def test_each_reading_is_decided_once(app: App, add_meter: Callable[..., Any]) -> None:
    meter = add_meter()
    take(app, meter.next(), meter.next(consumption=5))
    with app.store.write() as session:
        held.void(session, 1, actor="operator", reason="", now=77)
    for index, code in ((1, "not_held"), (0, "not_held"), (2, "not_found"), (99, "not_found")):
        for decide in (held.release, held.void):
            with pytest.raises(RefusalError) as caught, app.store.write() as session:
                decide(session, index, actor="operator", reason="", now=78)
            assert caught.value.code == code
    with app.store.read() as session:
        assert log.size(session) == 3


def test_what_a_later_reading_on_the_chain_carries_cannot_be_released(app: App, add_meter: Callable[..., Any]) -> None:
    meter = add_meter()
    take(app, meter.next(), meter.next(clock_deviation=500), meter.next(10))
    with app.store.write() as session:
        later = session.get(Frame, 2)
        assert later is not None
        later.chain_status = "confirmed"
    with pytest.raises(RefusalError, match="void") as caught, app.store.write() as session:
        held.release(session, 1, actor="operator", reason="", now=78)
    assert caught.value.code == "superseded"
    with app.store.write() as session:
        held.void(session, 1, actor="operator", reason="", now=78)


def test_a_reading_under_a_replaced_key_cannot_be_released(app: App, add_meter: Callable[..., Any]) -> None:
    meter = add_meter()
    take(app, meter.next(clock_deviation=500))
    with app.store.write() as session:
        session.get_one(MeterKey, meter.public_key).retired_at = 5
    with pytest.raises(RefusalError, match="replaced") as caught, app.store.write() as session:
        held.release(session, 0, actor="operator", reason="", now=78)
    assert caught.value.code == "superseded"


def test_the_database_counts_what_the_list_has(app: App, add_meter: Callable[..., Any]) -> None:
    meter, other = add_meter(), add_meter("wind")
    take(app, meter.next(), meter.next(50_000), meter.next())
    take(app, other.next(), other.next(consumption=5))
    with app.store.read() as session:
        every = held.held(session)
        assert len({row.code for row in every}) == 2
        choices = [held.Chosen(), held.Chosen(since=every[-1].interval_end), held.Chosen(after=every[0].log_index)]
        choices += [held.Chosen(code=code) for code in (*{row.code for row in every}, "nothing")]
        choices += [held.Chosen(meter=f"{row.gateway}/{row.meter}") for row in every]
        for chosen in choices:
            listed = [row.log_index for row in held.held(session, chosen)]
            assert held.count(session, chosen) == (len(listed), listed[-1] if listed else None), chosen
        with pytest.raises(RefusalError):
            held.count(session, held.Chosen(meter="gw-1/none"))
