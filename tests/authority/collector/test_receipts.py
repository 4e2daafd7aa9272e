"""Receipts as proofs: what a gateway can check of them, and that the same frame has the same one forever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import select

from authority.app import App
from authority.collector.frames import Ingested, Sent
from authority.collector.ingest import Collector
from authority.collector.receipts import head
from authority.log import log
from authority.refusals import RefusalError
from authority.store.log import Checkpoint
from authority.store.metering import Frame as LoggedFrame
from authority.store.metering import Meter
from edge_agent.wire.checkpoint import note_text, origin
from edge_agent.wire.reading import CODES, Frame, ReadingError, Receipt, proof_receipt, split_receipts

AddMeter = Callable[..., Any]


def taken(collector: Collector, *sent: Sent) -> list[Ingested]:
    done = collector.ingest_all(sent)
    assert not any(isinstance(one, RefusalError) for one in done)
    return done  # type: ignore[return-value]


def proves(app: App, receipt: bytes, frame: bytes, key: Pubkey | None = None) -> bool:
    read = Receipt.from_bytes(receipt)
    signed = read.signed_message(Frame.from_bytes(frame))
    return Signature(read.signature).verify(key or app.home.receipt_key.pubkey(), signed)


def test_a_group_has_one_signature_and_each_receipt_its_path(app: App, add_meter: AddMeter) -> None:
    meters = [add_meter("pv", gateway=f"gw-{n}") for n in range(5)]
    frames = [[meter.next() for _ in range(7)] for meter in meters]
    sent = [Sent(b"".join(its), meter.gateway, None, "mqtt") for meter, its in zip(meters, frames, strict=True)]
    done = taken(Collector(app), *sent)
    receipts = [receipt for one in done for receipt in one.receipts]
    read = [Receipt.from_bytes(receipt) for receipt in receipts]
    assert len({receipt.signature for receipt in read}) == 1
    assert {receipt.size for receipt in read} == {35}
    assert all(
        proves(app, receipt, frame) for receipt, frame in zip(receipts, chain.from_iterable(frames), strict=True)
    )
    assert not proves(app, receipts[0], frames[0][0], Keypair().pubkey())
    with app.store.read() as session:
        assert read[0].signed_message(Frame.from_bytes(frames[0][0])) == note_text(
            origin(app.home.network_id), 35, log.root(session)
        )
        assert [row.size for row in session.scalars(select(Checkpoint))] == [35]
    assert split_receipts(b"".join(receipts))[-1].to_bytes() == receipts[-1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r[:4] + b"\x02" + r[5:],  # held
        lambda r: r[:6] + b"\x01" + r[7:],  # another code
        lambda r: r[:80] + b"\x09" + r[81:],  # another sequence
        lambda r: r[:84] + b"\x09" + r[85:],  # another next
        lambda r: r[:88] + b"\x01" + r[89:],  # another place
        lambda r: r[:96] + b"\x01" + r[97:],  # another time
        lambda r: r[:104] + b"\x03" + r[105:],  # another size
        lambda r: r[:112] + b"\x01" + r[113:],  # another signature
        lambda r: r[:-1] + bytes([r[-1] ^ 1]),  # another path
        lambda r: r[:5] + bytes([r[5] - 1]) + r[6:-32],  # a shorter one
        lambda r: r[:5] + bytes([r[5] + 1]) + r[6:] + bytes(32),  # a longer one
    ],
)
def test_a_receipt_that_was_changed_proves_nothing(app: App, add_meter: AddMeter, spoil: Any) -> None:
    meter = add_meter()
    frames = [meter.next() for _ in range(4)]
    (done,) = taken(Collector(app), Sent(b"".join(frames), "gw-1", None, "mqtt"))
    assert proves(app, done.receipts[2], frames[2])
    with suppress(ReadingError):
        assert not proves(app, spoil(done.receipts[2]), frames[2])
    with pytest.raises(ReadingError):
        proves(app, done.receipts[2], frames[1])


def test_the_same_frame_has_the_same_receipt_after_the_log_has_grown(app: App, add_meter: AddMeter) -> None:
    """Past the width of a tile, with acts between, from another collector, and of several frames in any order."""
    meter = add_meter()
    frames = [meter.next() for _ in range(600)]
    first: list[bytes] = []
    collector = Collector(app)
    for start, count in ((0, 1), (1, 2), (3, 250), (253, 256), (509, 91)):
        (done,) = taken(collector, Sent(b"".join(frames[start : start + count]), "gw-1", None, "mqtt"))
        first += done.receipts
        with app.store.write() as session:
            log.record_act(session, "something", "test", 1, {"at": start})
            log.checkpoint(session, app.home.network_id, app.home.receipt_key)
    assert all(proves(app, receipt, frame) for receipt, frame in zip(first, frames, strict=True))
    other = Collector(app)
    picked = [599, 0, 1, 2, 255, 256, 257, 508, 509, 3, 511, 512]
    (again,) = taken(other, Sent(b"".join(frames[n] for n in picked), "gw-1", "pv", "https"))
    assert again.receipts == [first[n] for n in picked]
    with app.store.read() as session:
        assert head(session, session.get_one(Meter, meter.pk)) == frames[-1] + first[-1]


def test_a_receipt_that_an_earlier_release_signed_is_given_as_it_was(app: App, add_meter: AddMeter) -> None:
    meter = add_meter()
    frame = meter.next()
    (done,) = taken(Collector(app), Sent(frame, "gw-1", None, "mqtt"))
    proof = Receipt.from_bytes(done.receipts[0])
    proof.size, proof.path = None, b""
    proof.signature = bytes(app.home.receipt_key.sign_message(proof.body()))
    with app.store.write() as session:
        session.get_one(LoggedFrame, 0).receipt = proof.to_bytes()
    (again,) = taken(Collector(app), Sent(frame, "gw-1", None, "mqtt"))
    assert again.receipts == [proof.to_bytes()]
    assert again.receipts[0][:4] == b"AMC1"
    assert proves(app, again.receipts[0], frame)
    with app.store.read() as session:
        assert head(session, session.get_one(Meter, meter.pk)) == frame + proof.to_bytes()


def test_what_is_refused_or_parked_is_signed_by_itself(app: App, add_meter: AddMeter) -> None:
    meter = add_meter()
    frames = [meter.next(), meter.next()]
    bad = frames[0][:-1] + bytes([frames[0][-1] ^ 1])
    (done,) = taken(Collector(app), Sent(bad + frames[1], "gw-1", None, "mqtt"))
    read = [Receipt.from_bytes(receipt) for receipt in done.receipts]
    assert [(CODES[receipt.code], receipt.size) for receipt in read] == [
        ("bad_signature", None),
        ("sequence_gap", None),
    ]
    assert proves(app, done.receipts[0], bad)
    assert proves(app, done.receipts[1], frames[1])


def test_many_made_at_once_are_as_one_by_one() -> None:
    fields: dict[str, Any] = {
        "verdict": 2, "code": 22, "network_id": b"n" * 8, "meter_key": b"k" * 32, "record_hash": b"h" * 32,
        "sequence": 2**32 - 1, "log_index": 5, "time": 7, "size": 9, "signature": b"s" * 64, "path": b"p" * 96,
    }  # fmt: skip
    assert proof_receipt(**fields) == Receipt(next_expected=2**32 - 1, **fields).to_bytes()
    assert (
        proof_receipt(**{**fields, "sequence": 1}) == Receipt(next_expected=2, **{**fields, "sequence": 1}).to_bytes()
    )


def test_in_one_group_or_one_by_one_the_log_is_the_same(app: App, add_meter: AddMeter) -> None:
    """Duplicates, another order, a fork, gaps, a replay: decided in a group as if each had come alone."""
    meters = [add_meter("pv"), add_meter("pv", gateway="gw-2")]
    frames = [[meter.next() for _ in range(5)] for meter in meters]
    fork = meters[0].frame(sequence=2, consumption=9)
    one, two = frames

    def sent(gateway: str, *data: bytes) -> Sent:
        return Sent(b"".join(data), gateway, None, "mqtt")

    calls = [
        sent("gw-1", one[1], one[0], one[0]),  # another order, and twice in one call
        sent("gw-2", two[2]),  # a gap
        sent("gw-1", fork, one[1]),  # a fork of what this group logs, and its frame again
        sent("gw-2", two[0], two[1]),  # the gap closed, by another call of the group
        sent("gw-1", one[4]),  # a gap that stays
        sent("gw-2", two[2]),  # what was parked, again
        sent("gw-1", two[3]),  # another gateway's
        sent("gw-1", one[0], one[1]),  # a replay
    ]
    together = taken(Collector(app), *calls)
    seen = [[Receipt.from_bytes(receipt) for receipt in [*done.receipts, *done.later]] for done in together]
    assert [[(CODES[receipt.code], receipt.sequence) for receipt in its] for its in seen] == [
        [("ok", 2), ("ok", 1), ("ok", 1)],
        [("sequence_gap", 3)],
        [("forked", 2), ("ok", 2)],
        [("ok", 1), ("ok", 2), ("ok", 3)],
        [("sequence_gap", 5)],
        [("ok", 3)],
        [("unknown_meter", 4)],
        [("ok", 1), ("ok", 2)],
    ]
    assert [[(gap.meter, gap.sequence) for gap in done.gaps] for done in together] == [
        [], [("pv", 1)], [], [], [("pv", 3)], [], [], [],
    ]  # fmt: skip
    assert together[0].receipts[1] == together[0].receipts[2] == together[7].receipts[0]
    assert together[3].later == together[5].receipts
    with app.store.read() as session:
        assert log.size(session) == 5
        assert [leaf.data[12:] for leaf in log.leaves(session, 0, 5)] == [one[0], one[1], two[0], two[1], two[2]]
    alone = [taken(Collector(app), call)[0] for call in calls[2:4] + calls[7:]]
    assert alone[0].receipts[1] == together[2].receipts[1]
    assert alone[2].receipts == together[7].receipts
