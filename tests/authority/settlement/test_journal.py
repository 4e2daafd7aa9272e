"""Settlement's rows: what is said twice counts once, and a span's figures survive a crash before they were written."""

from __future__ import annotations

import hashlib
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from packed_accounts import paid_book
from sqlalchemy import select, update

from authority.log import log
from authority.market.book_leaf import BookLeafError, book_leaf, book_of_leaf
from authority.settlement.journal import OPEN_EPOCHS, Departure, Journal, Logged, MemberTotals
from authority.store import Store
from authority.store.metering import Frame, Gateway, Meter
from authority.store.people import Installation, User
from authority.store.settlement import EPOCH_STATES, Alert, SettledSpan, SettlementEpoch

WALLET = "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM"


@pytest.fixture
def store(tmp_path, store_url):
    store = Store.open(store_url or f"sqlite:///{tmp_path / 'store.db'}")
    store.claim(bytes(8))
    yield store
    store.close()


@pytest.fixture
def journal(store):
    ticks = iter(range(1_000_000, 2_000_000, 1_000))
    return Journal(store, lambda: next(ticks))


def test_epochs_are_made_without_gaps(journal):
    journal.ensure_epochs(10)
    journal.ensure_epochs(13)
    journal.ensure_epochs(12)
    assert [row.epoch for row in journal.open_epochs()] == [10, 11, 12, 13]


def test_epochs_go_on_from_the_chains_last_checkpoint(journal):
    journal.ensure_epochs(10, after=7)
    journal.ensure_epochs(11, after=7)
    assert [row.epoch for row in journal.open_epochs()] == [8, 9, 10, 11]


def test_a_stage_keeps_its_first_time_and_the_state_follows_in_order(journal):
    journal.ensure_epochs(7)
    journal.mark(7, "cleared")
    assert journal.epoch(7).state == "collecting"
    journal.mark(7, "submitted")
    first = journal.epoch(7).submitted_ms
    journal.mark(7, "submitted", "minted", traded_wh=5)
    row = journal.epoch(7)
    assert (row.submitted_ms, row.state, row.traded_wh) == (first, "clearing", 5)
    journal.mark(7, "settled", "checkpointed")
    assert journal.open_epochs() == []


def test_an_act_is_logged_once(journal, store):
    first = journal.act("settle:w:900", "settle_surplus", {"wallet": WALLET, "boundary": 900})
    assert journal.act("settle:w:900", "settle_surplus", {"wallet": WALLET, "boundary": 900}) == first
    assert journal.act("settle:w:1800", "settle_surplus", {"wallet": WALLET, "boundary": 1800}) == first + 1
    with store.read() as session:
        assert log.size(session) == 2


def test_a_book_leaf_gives_back_the_books_bytes(journal, store):
    data = b"\1" * 300 + bytes(17_000)
    with store.write() as session:
        index = log.append(session, book_leaf(data))
        leaf = log.leaf(session, index)
    assert leaf[0] == log.LEAF_BOOK
    assert hashlib.sha256(book_of_leaf(leaf)).digest() == hashlib.sha256(data).digest()


def test_a_checkpoints_book_and_act_are_logged_once_under_the_head_that_it_pins(journal, store):
    data = paid_book(4, 200_000, [(0, 500)], [(1, 500)])
    pinned = hashlib.sha256(data).digest()
    head = journal.checkpointing(4, pinned, data)
    assert journal.checkpointing(4, pinned, data) == head
    row = journal.epoch(4)
    with store.read() as session:
        assert head == (2, log.root(session))
        assert book_of_leaf(log.leaf(session, row.book_log_index)) == data
        said = log.act_of(log.leaf(session, 1))
    assert (said["kind"], said["data"]) == ("checkpoint_epoch", {"epoch": 4, "book_hash": pinned.hex()})
    assert (row.book_log_index, row.book_hash, row.publishable) == (0, pinned, False)
    assert journal.checkpointing(5, bytes(32), None)[0] == 3


@pytest.mark.parametrize(
    "leaf",
    [
        b"",
        b"\3",
        b"\2" + book_leaf(b"abc")[1:],
        book_leaf(b"abc") + b"\0",
        book_leaf(b"abc")[:-1],
        struct.pack("<BI", 3, 2) + zlib.compress(b"abc"),
        struct.pack("<BI", 3, 4) + zlib.compress(b"abc"),
        struct.pack("<BI", 3, 2**31) + zlib.compress(bytes(10_000)),
        struct.pack("<BI", 3, 3) + b"not a stream",
    ],
)
def test_hostile_book_leaves_are_refused(leaf):
    with pytest.raises(BookLeafError) as refused:
        book_of_leaf(leaf)
    assert refused.value.code == "book_leaf_malformed"


def test_spans_are_differences_of_lifetime_totals(journal, store):
    journal.record_spans([MemberTotals("w", 900, 0, 40)])
    journal.record_spans([MemberTotals("w", 1800, 700, 40), MemberTotals("v", 3600, 10, 0)])
    journal.record_spans([MemberTotals("w", 1800, 700, 40)])
    journal.record_spans([MemberTotals("w", 3600, 950, 90)])
    with store.read() as session:
        found = {
            (row.wallet, row.boundary): (row.minted_wh, row.withdrawal_wh)
            for row in session.scalars(select(SettledSpan))
        }
    assert found == {("w", 900): (0, 40), ("w", 1800): (700, 0), ("w", 3600): (250, 50), ("v", 3600): (10, 0)}


def test_open_epochs_are_bounded_by_an_index_however_many_there_are(journal, store):
    journal.ensure_epochs(1_000, after=0)
    with store.write() as session:
        session.execute(update(SettlementEpoch).where(SettlementEpoch.epoch <= 900).values(state=EPOCH_STATES[-1]))
    assert [row.epoch for row in journal.open_epochs()] == [*range(901, 901 + OPEN_EPOCHS), 999, 1_000]
    if store.engine.dialect.name != "sqlite":
        return  # PostgreSQL reads so small a table at once
    with store.read() as session:
        state = SettlementEpoch.state.in_(EPOCH_STATES[:-1])
        query = select(SettlementEpoch.epoch).where(state).order_by(SettlementEpoch.epoch).limit(OPEN_EPOCHS)
        text = str(query.compile(store.engine, compile_kwargs={"literal_binds": True}))
        plan = [row[-1] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    assert not any(step.startswith("SCAN") for step in plan), plan


def frames(store, count):
    with store.write() as session:
        user = User(name="u", building="b", wallet="w")
        session.add_all(
            [user, Gateway(name="g"), Installation(n=1, building="b", kind="k", nameplate_w=1, storage_wh=0, since=0)]
        )
        session.flush()
        session.add(
            Meter(
                id=1, name="m", gateway_name="g", serial="s", meter_id=bytes(32), role="load", source="none",
                user_id=user.id, installation_n=1,
            )
        )  # fmt: skip
        session.flush()
        for index in range(count):
            session.add(
                Frame(
                    log_index=index, meter_pk=1, public_key=bytes(32), sequence=index + 1,
                    interval_end=900 * (index + 100), record_hash=bytes([index] * 32), frame=bytes(192),
                    verdict="accepted", code="ok",
                    receipt=bytes(168), received_at=0, over="https",
                    disposition=("accepted", "held", "released", "void")[index % 4],
                )
            )  # fmt: skip


def test_only_accepted_and_released_frames_wait_for_the_chain(journal, store):
    frames(store, 8)
    waiting = journal.waiting()[1]
    assert [frame.sequence for frame in waiting] == [1, 3, 5, 7]
    journal.departing([Departure("signature", 100, "AAAA", frames=waiting[:2])])
    assert [frame.status for frame in journal.waiting()[1]] == ["submitted", "submitted", "pending", "pending"]
    journal.ensure_epochs(waiting[0].interval_end // 900 - 1)
    journal.frames_confirmed(waiting[:1], 900)
    assert journal.epoch(waiting[0].interval_end // 900 - 1).readings_on_chain == 1
    journal.frames_skipped(waiting[1:2], "ExceedsNameplate")
    journal.frames_blocked(waiting[2:3], "NeedsRebase")
    left = journal.waiting()[1]
    assert [(frame.sequence, frame.error) for frame in left] == [(5, "NeedsRebase"), (7, None)]
    assert journal.readings_on_chain(waiting[0].interval_end) == 1
    assert journal.readings_on_chain(waiting[1].interval_end) == 0


def test_readings_confirmed_side_by_side_are_all_counted(journal, store):
    frames(store, 96)
    with store.write() as session:
        session.execute(update(Frame).values(interval_end=1800, disposition="accepted"))
    journal.ensure_epochs(1)
    confirmed = []
    while waiting := journal.waiting().get(1):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda frame: journal.frames_confirmed([frame], 900), waiting))
        confirmed += waiting
        assert journal.epoch(1).readings_on_chain == len(confirmed)
    assert len(confirmed) == 96


def test_a_pending_transaction_is_remembered_until_it_is_decided(journal):
    purposes = ["member:v", "member:w"]
    assert journal.pending(purposes) == {}
    acts = [Logged("first", "place_order", {"quantity": 1}), Logged("second", "place_order", {"quantity": 2})]
    journal.departing([Departure("first", 100, "AAAA", acts[:1], purposes=purposes)])
    journal.departing([Departure("second", 200, "BBBB", acts, purposes=["member:w"])])
    pending = journal.pending(purposes)
    kept = {purpose: (row.signature, row.last_valid_block_height, row.raw) for purpose, row in pending.items()}
    assert kept == {"member:v": ("first", 100, "AAAA"), "member:w": ("second", 200, "BBBB")}
    with journal.store.read() as session:
        assert log.size(session) == 2  # an act is logged once
    journal.arrived([Departure("second", 200, "BBBB", purposes=["member:w"])], 900)
    journal.not_pending(["member:v"])
    assert journal.pending(purposes) == {}


def test_alerts_count_and_go_away(journal, store):
    journal.alert("Paused", "surplus w", "paused")
    journal.alert("Paused", "surplus w", "paused still")
    with store.read() as session:
        alert = session.get(Alert, ("Paused", "surplus w"))
        assert (alert.count, alert.message, alert.resolved_at) == (2, "paused still", None)
    journal.resolve("surplus w")
    with store.read() as session:
        assert session.get(Alert, ("Paused", "surplus w")).resolved_at is not None
    journal.alert("Paused", "surplus w", "again")
    with store.read() as session:
        assert session.get(Alert, ("Paused", "surplus w")).resolved_at is None
