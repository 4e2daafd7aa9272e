"""The ingest path: every verdict, every order that frames can come in, and what many callers at once see."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from authority.app import App
from authority.collector import transaction
from authority.collector.frames import signature_is_valid
from authority.collector.ingest import Collector
from authority.collector.receipts import head
from authority.log import log, merkle
from authority.log.log import ReadingLeaf
from authority.refusals import RefusalError
from authority.store.metering import Frame as LoggedFrame
from authority.store.metering import Incident, Meter, MeterKey, ParkedFrame
from edge_agent.wire.reading import (
    CODES,
    NO_LOG_INDEX,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    VERDICT_PARKED,
    VERDICT_REFUSED,
    Frame,
    Receipt,
    record_hash,
)

AddMeter = Callable[..., Any]


@pytest.fixture
def collector(app: App) -> Collector:
    return Collector(app)


def send(collector: Collector, *frames: bytes, gateway: str = "gw-1", meter: str | None = None) -> list[Receipt]:
    result = collector.ingest(b"".join(frames), gateway=gateway, meter=meter, over="https")
    return [Receipt.from_bytes(receipt) for receipt in result.receipts]


def outcome(receipt: Receipt) -> tuple[int, str]:
    return receipt.verdict, CODES[receipt.code]


def proves(app: App, receipt: Receipt, frame: bytes) -> bool:
    """Whether the receipt key has signed a tree in which this frame's leaf stands."""
    signed = receipt.signed_message(Frame.from_bytes(frame))
    return Signature(receipt.signature).verify(app.home.receipt_key.pubkey(), signed)


def incidents(app: App) -> int:
    with app.store.read() as session:
        return session.scalar(select(func.count()).select_from(Incident)) or 0


def test_an_accepted_frame_is_logged_and_receipted(app: App, collector: Collector, add_meter: AddMeter) -> None:
    meter = add_meter()
    frame = meter.next()
    (receipt,) = send(collector, frame)
    assert outcome(receipt) == (VERDICT_ACCEPTED, "ok")
    assert receipt.network_id == app.home.network_id
    assert receipt.meter_key == meter.public_key
    assert receipt.record_hash == record_hash(frame[:96])
    assert (receipt.sequence, receipt.next_expected, receipt.log_index) == (1, 2, 0)
    assert receipt.time == app.clock()
    assert receipt.to_bytes()[:4] == b"AMC2"
    assert proves(app, receipt, frame)
    with app.store.read() as session:
        leaf = ReadingLeaf.from_bytes(log.leaf(session, 0))
        assert leaf == ReadingLeaf(VERDICT_ACCEPTED, 0, receipt.time, Frame.from_bytes(frame))
        row = session.get(LoggedFrame, 0)
        assert row is not None
        assert (row.disposition, row.chain_status, row.record.sequence) == ("accepted", "pending", 1)


def test_the_same_frame_gets_the_same_receipt_however_often(
    app: App, collector: Collector, add_meter: AddMeter
) -> None:
    meter = add_meter()
    frame = meter.next()
    first = collector.ingest(frame, gateway="gw-1", meter=None, over="https").receipts
    app.clock.now += 5_000  # type: ignore[attr-defined]
    collector.ingest(meter.next(), gateway="gw-1", meter=None, over="https")
    again = collector.ingest(frame + frame, gateway="gw-1", meter="pv", over="mqtt").receipts
    assert again == first * 2
    with app.store.read() as session:
        assert log.size(session) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda f: b"AMK1" + f[4:], "malformed"),
        (lambda f: f[:58] + b"\x09" + f[59:], "malformed"),
        (lambda f: f[:62] + b"\x00\x80" + f[64:], "malformed"),
        (lambda f: f[:96] + bytes(Keypair().pubkey()) + f[128:], "unknown_meter"),
        (lambda f: f[:96] + bytes(32) + f[128:], "unknown_meter"),
        (lambda f: f[:24] + b"\x01" + f[25:], "bad_signature"),
        (lambda f: f[:128] + bytes(64), "bad_signature"),
        (lambda f: f[:191] + bytes([f[191] ^ 1]), "bad_signature"),
    ],
)
def test_an_inauthentic_frame_is_refused(
    app: App, collector: Collector, add_meter: AddMeter, change: Callable[[bytes], bytes], code: str
) -> None:
    (receipt,) = send(collector, change(add_meter().next()))
    assert outcome(receipt) == (VERDICT_REFUSED, code)
    assert receipt.log_index == NO_LOG_INDEX
    assert Signature(receipt.signature).verify(app.home.receipt_key.pubkey(), receipt.body())
    with app.store.read() as session:
        assert log.size(session) == 0


def test_another_networks_reading_is_void_here(collector: Collector, add_meter: AddMeter) -> None:
    (receipt,) = send(collector, add_meter().next(network_id=b"elsewher"))
    assert outcome(receipt) == (VERDICT_REFUSED, "wrong_network")


def test_a_gateway_speaks_for_its_own_meters_only(collector: Collector, add_meter: AddMeter) -> None:
    meter, other = add_meter("pv"), add_meter("pv", gateway="gw-2")
    frame = meter.next()
    assert outcome(send(collector, frame, gateway="gw-2")[0]) == (VERDICT_REFUSED, "unknown_meter")
    assert outcome(send(collector, frame, gateway="gw-1", meter="other")[0]) == (VERDICT_REFUSED, "unknown_meter")
    assert outcome(send(collector, frame, gateway="gw-1", meter="pv")[0]) == (VERDICT_ACCEPTED, "ok")
    assert outcome(send(collector, other.next(), gateway="gw-2", meter="pv")[0]) == (VERDICT_ACCEPTED, "ok")


@pytest.mark.parametrize("size", [0, 1, 191, 193, 192 * 2 - 1])
def test_what_is_no_multiple_of_a_frame_is_refused_as_a_whole(
    collector: Collector, add_meter: AddMeter, size: int
) -> None:
    meter = add_meter()
    with pytest.raises(RefusalError) as caught:
        collector.ingest((meter.next() * 3)[:size], gateway="gw-1", meter=None, over="https")
    assert caught.value.code == "malformed"


def test_too_many_frames_are_refused_as_a_whole(collector: Collector, add_meter: AddMeter) -> None:
    with pytest.raises(RefusalError) as caught:
        collector.ingest(add_meter().next() * 257, gateway="gw-1", meter=None, over="https")
    assert caught.value.code == "too_many"


def test_another_record_at_a_taken_sequence_is_a_fork_and_is_kept_as_evidence(
    app: App, collector: Collector, add_meter: AddMeter
) -> None:
    meter = add_meter()
    other = meter.frame(generation=5)
    send(collector, meter.next())
    (receipt,) = send(collector, other)
    assert outcome(receipt) == (VERDICT_REFUSED, "forked")
    assert receipt.next_expected == 2
    send(collector, other)
    assert incidents(app) == 1
    with app.store.read() as session:
        kept = session.get(Incident, record_hash(other[:96]))
        assert kept is not None
        assert kept.frame == other


def test_a_record_that_follows_another_history_is_a_fork(app: App, collector: Collector, add_meter: AddMeter) -> None:
    meter = add_meter()
    assert outcome(send(collector, meter.frame(previous_hash=b"x" * 16))[0]) == (VERDICT_REFUSED, "forked")
    send(collector, meter.next())
    assert outcome(send(collector, meter.frame(previous_hash=b"x" * 16))[0]) == (VERDICT_REFUSED, "forked")
    assert outcome(send(collector, meter.frame(sequence=0))[0]) == (VERDICT_REFUSED, "forked")
    assert outcome(send(collector, meter.next())[0]) == (VERDICT_ACCEPTED, "ok")
    assert incidents(app) == 3


def test_evidence_of_forks_is_bounded(app: App, collector: Collector, add_meter: AddMeter) -> None:
    meter = add_meter()
    send(collector, meter.next())
    frames = [meter.frame(sequence=1, consumption=n) for n in range(1, 100)]
    assert {outcome(receipt)[1] for receipt in send(collector, *frames)} == {"forked"}
    assert incidents(app) == transaction.MAX_INCIDENTS


def test_a_gap_is_parked_asked_for_and_closed(app: App, collector: Collector, add_meter: AddMeter) -> None:
    meter = add_meter()
    frames = [meter.next() for _ in range(4)]
    send(collector, frames[0])
    result = collector.ingest(frames[2] + frames[3], gateway="gw-1", meter=None, over="mqtt")
    parked = [Receipt.from_bytes(receipt) for receipt in result.receipts]
    assert {outcome(receipt) for receipt in parked} == {(VERDICT_PARKED, "sequence_gap")}
    assert {(receipt.next_expected, receipt.log_index) for receipt in parked} == {(2, NO_LOG_INDEX)}
    assert [(gap.meter, gap.sequence) for gap in result.gaps] == [("pv", 2)]
    result = collector.ingest(frames[1], gateway="gw-1", meter=None, over="mqtt")
    assert result.gaps == []
    later = [Receipt.from_bytes(receipt) for receipt in result.later]
    assert [(receipt.sequence, receipt.log_index, outcome(receipt)[1]) for receipt in later] == [
        (3, 2, "ok"),
        (4, 3, "ok"),
    ]
    again = collector.ingest(frames[3], gateway="gw-1", meter=None, over="mqtt")
    assert again.receipts == [result.later[1]]
    with app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(ParkedFrame)) == 0


def test_parking_is_bounded(app: App, collector: Collector, add_meter: AddMeter) -> None:
    meter = add_meter()
    far = [meter.frame(sequence=n) for n in (2, transaction.MAX_PARKED + 1, transaction.MAX_PARKED + 2, 2**32 - 1)]
    receipts = send(collector, *far)
    assert {outcome(receipt)[1] for receipt in receipts} == {"sequence_gap"}
    with app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(ParkedFrame)) == 2


def test_a_key_fills_the_log_no_faster_than_time_goes(
    app: App, collector: Collector, add_meter: AddMeter, clock: Any
) -> None:
    """Held records are leaves of the log too, and a stolen gateway's key signs as many of them as it likes."""
    meter = add_meter()
    reached = 1 + transaction.MOST_AHEAD - 2
    with app.store.write() as session:
        session.get_one(MeterKey, meter.public_key).next_sequence = reached
    meter.sequence = reached
    frames = [meter.next(interval_end=901 + n) for n in range(8)]
    said = [outcome(receipt)[1] for receipt in send(collector, *frames)]
    assert said == ["interval_not_aligned"] * 3 + ["sequence_gap"] * 5
    clock.now += 2 * 900
    result = collector.ingest(frames[3], gateway="gw-1", meter=None, over="mqtt")
    assert [outcome(Receipt.from_bytes(each))[1] for each in result.receipts] == ["interval_not_aligned"]
    assert [Receipt.from_bytes(each).sequence for each in result.later] == [reached + 4]
    assert outcome(send(collector, frames[7])[0])[1] == "sequence_gap"
    with app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(LoggedFrame)) == 5


def test_a_parked_fork_does_not_get_in(app: App, collector: Collector, add_meter: AddMeter) -> None:
    meter = add_meter()
    first = meter.next()
    foreign = meter.frame(previous_hash=b"x" * 16)
    good = meter.next()
    send(collector, foreign)
    result = collector.ingest(first, gateway="gw-1", meter=None, over="https")
    assert result.later == []
    assert incidents(app) == 1
    assert outcome(send(collector, good)[0]) == (VERDICT_ACCEPTED, "ok")


def test_frames_of_one_request_may_come_in_any_order(collector: Collector, add_meter: AddMeter) -> None:
    meter = add_meter()
    frames = [meter.next() for _ in range(6)]
    receipts = send(collector, *reversed(frames))
    assert [receipt.sequence for receipt in receipts] == [6, 5, 4, 3, 2, 1]
    assert {outcome(receipt) for receipt in receipts} == {(VERDICT_ACCEPTED, "ok")}
    assert [receipt.log_index for receipt in receipts] == [5, 4, 3, 2, 1, 0]


def test_a_held_reading_enters_the_log_and_the_next_goes_on(
    app: App, collector: Collector, add_meter: AddMeter
) -> None:
    meter = add_meter()
    frames = [meter.next(), meter.next(10_000), meter.next()]
    receipts = send(collector, *frames)
    assert [outcome(receipt) for receipt in receipts] == [
        (VERDICT_ACCEPTED, "ok"),
        (VERDICT_HELD, "exceeds_nameplate"),
        (VERDICT_HELD, "exceeds_nameplate"),  # still 10 kWh in half an hour
    ]
    assert send(collector, frames[1])[0].to_bytes() == receipts[1].to_bytes()
    with app.store.read() as session:
        assert log.size(session) == 3
        dispositions = session.scalars(select(LoggedFrame.disposition).order_by(LoggedFrame.log_index)).all()
        assert dispositions == ["accepted", "held", "held"]


def test_an_inactive_meters_readings_are_held(app: App, collector: Collector, add_meter: AddMeter) -> None:
    meter = add_meter()
    with app.store.write() as session:
        row = session.get(Meter, meter.pk)
        assert row is not None
        row.state = "suspended"
    assert outcome(send(collector, meter.next())[0]) == (VERDICT_HELD, "meter_inactive")


def test_a_retired_key_says_nothing_new_but_its_receipts_stay(
    app: App, collector: Collector, add_meter: AddMeter
) -> None:
    meter = add_meter()
    first = meter.next()
    (receipt,) = send(collector, first)
    with app.store.write() as session:
        key = session.get(MeterKey, meter.public_key)
        assert key is not None
        key.retired_at = 1
    assert outcome(send(collector, meter.next())[0]) == (VERDICT_REFUSED, "unknown_meter")
    assert send(collector, first)[0].to_bytes() == receipt.to_bytes()


def test_head_is_the_last_logged_frame_and_its_receipt(app: App, collector: Collector, add_meter: AddMeter) -> None:
    meter = add_meter()
    with app.store.read() as session:
        row = session.get(Meter, meter.pk)
        assert row is not None
        assert head(session, row) is None
    frames = [meter.next(), meter.next()]
    receipts = send(collector, *frames)
    with app.store.read() as session:
        row = session.get(Meter, meter.pk)
        assert row is not None
        assert head(session, row) == frames[1] + receipts[1].to_bytes()


def test_a_store_that_fails_receipts_nothing_and_recovers(
    app: App, collector: Collector, add_meter: AddMeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = add_meter()
    frame = meter.next()
    real = log.append_readings

    def fail(*_: object) -> int:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    monkeypatch.setattr(log, "append_readings", fail)
    with pytest.raises(RefusalError) as caught:
        send(collector, frame)
    assert caught.value.code == "unavailable"
    monkeypatch.setattr(log, "append_readings", real)
    (receipt,) = send(collector, frame)
    assert (outcome(receipt)[1], receipt.log_index) == ("ok", 0)


def test_many_gateways_at_once_share_commits_and_make_one_log(app: App, add_meter: AddMeter) -> None:
    collector = Collector(app)
    meters = [add_meter("pv", gateway=f"gw-{n}") for n in range(6)]
    answers: dict[str, list[Receipt]] = {}

    def run(meter: Any) -> None:
        answers[meter.gateway] = [
            receipt for _ in range(6) for receipt in send(collector, meter.next(), meter.next(), gateway=meter.gateway)
        ]

    threads = [threading.Thread(target=run, args=(meter,)) for meter in meters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [receipt for receipts in answers.values() for receipt in receipts]
    assert sorted(receipt.log_index for receipt in everything) == list(range(72))
    assert {outcome(receipt) for receipt in everything} == {(VERDICT_ACCEPTED, "ok")}
    with app.store.read() as session:
        for receipt in everything:
            leaf = log.leaf(session, receipt.log_index)
            assert record_hash(ReadingLeaf.from_bytes(leaf).frame.record_bytes) == receipt.record_hash


def test_two_processes_cannot_break_the_log(app: App, add_meter: AddMeter) -> None:
    other = App.open(app.home.path, app.clock)
    collectors = [Collector(app), Collector(other)]
    meters = [add_meter("pv", gateway="gw-1"), add_meter("pv", gateway="gw-2")]
    threads = [
        threading.Thread(target=lambda c=collector, m=meter: [send(c, m.next(), gateway=m.gateway) for _ in range(8)])
        for collector, meter in zip(collectors, meters, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.store.close()
    with app.store.read() as session:
        assert log.size(session) == 16
        frontier: list[bytes] = []
        for row in log.leaves(session, 0, 16):
            frontier, _ = merkle.extend(row.log_index, frontier, merkle.leaf_hash(row.data))
        assert merkle.frontier_root(frontier) == log.root(session)


SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
]


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_small_order_keys_that_sign_anything_are_refused(key: str) -> None:
    """With A of small order and R = -kA possible, S = 0 verifies where only the equation is checked."""
    record = Keypair()  # any message
    forged = Frame(bytes(record.pubkey()) * 3, bytes.fromhex(key), bytes.fromhex(SMALL_ORDER[0]) + bytes(32))
    assert not signature_is_valid(forged)


def test_cryptography_alone_would_take_a_forgery() -> None:
    """Why signatures are checked with solders: the identity as key and as R verifies every message with S = 0."""
    identity = bytes.fromhex(SMALL_ORDER[0])
    message = bytes(96)
    try:
        Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), message)
        taken = True
    except InvalidSignature:
        taken = False
    assert taken
    assert not Signature(identity + bytes(32)).verify(Pubkey(identity), message)


def test_a_signature_that_is_not_canonical_is_refused(add_meter: AddMeter) -> None:
    frame = Frame.from_bytes(add_meter().next())
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(frame.signature[32:], "little") + order
    assert signature_is_valid(frame)
    assert not signature_is_valid(
        Frame(frame.record_bytes, frame.public_key, frame.signature[:32] + s.to_bytes(32, "little"))
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_order_all_frames_get_in_once_and_in_sequence(
    app: App, add_meter: AddMeter, data: st.DataObject
) -> None:
    """Late, duplicated, reordered, forked and cut short: after the gateway has sent again what lacks a receipt, the
    log holds every record once, in order, and every receipt that was given before is given again."""
    name = f"m{random.SystemRandom().getrandbits(60):x}"
    collector = Collector(app)
    meter = add_meter(name)
    frames, forks = [], []
    for _ in range(data.draw(st.integers(1, 8))):
        forks.append(meter.frame(consumption=7))
        frames.append(meter.next())
    steps = data.draw(
        st.lists(
            st.tuples(
                st.lists(st.integers(0, len(frames) - 1), min_size=1, max_size=6),
                st.sampled_from(["good", "fork", "cut", "flip"]),
            ),
            max_size=8,
        )
    )
    seen: dict[bytes, bytes] = {}

    def take(result: list[bytes]) -> None:
        for raw in result:
            receipt = Receipt.from_bytes(raw)
            if receipt.verdict in (VERDICT_ACCEPTED, VERDICT_HELD):
                assert seen.setdefault(receipt.record_hash, raw) == raw

    for picks, kind in steps:
        body = b"".join(frames[n] for n in picks)
        if kind == "fork":
            body += forks[picks[0]]
        if kind == "flip":
            body = body[:-1] + bytes([body[-1] ^ 0x80])
        if kind == "cut":
            with pytest.raises(RefusalError):
                collector.ingest(body[:-1], gateway="gw-1", meter=name, over="mqtt")
            continue
        result = collector.ingest(body, gateway="gw-1", meter=name, over="mqtt")
        take(result.receipts)
        take(result.later)
    for frame in frames:
        result = collector.ingest(frame, gateway="gw-1", meter=name, over="mqtt")
        take(result.receipts)
        take(result.later)
    winners = {record_hash(frame[:96]) for frame in forks} & set(seen)
    with app.store.read() as session:
        rows = session.scalars(
            select(LoggedFrame).where(LoggedFrame.meter_pk == meter.pk).order_by(LoggedFrame.log_index)
        ).all()
        assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
        assert {row.record_hash for row in rows} == set(seen)
        for row in rows:
            assert proves(app, Receipt.from_bytes(seen[row.record_hash]), row.frame)
        assert all(log.leaf(session, row.log_index)[12:] == row.frame for row in rows)
        if not winners:
            assert [row.frame for row in rows] == frames
