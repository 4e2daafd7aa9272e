"""The audit finds what was changed, cut, slipped in or left out, and nothing where all is well."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from packed_accounts import packed
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import delete, select, update

from authority.app import App
from authority.audit.chain_state import ChainState
from authority.audit.verify import NO_BOOK, Audit, ChainSource, StoreLog
from authority.chain import programs
from authority.chain.accounts import EpochBook, EpochCheckpoint, Meter, MeterState
from authority.cli import main
from authority.collector import held
from authority.collector.ingest import Collector
from authority.log import gate, log, merkle
from authority.market.book_leaf import book_leaf
from authority.store.log import Act, LogLeaf, LogState, LogTile
from authority.store.metering import Frame
from edge_agent.wire.reading import ZERO_HASH, previous_hash

BOOK = packed(EpochBook, status=5, epoch=7)
"""A final book in which nobody ordered anything."""


@pytest.fixture
def meter(app: App, add_meter: Callable[..., Any]) -> Any:
    """A meter with an approval in the log, three readings (the second held and released), a checkpoint and a book."""
    meter = add_meter()
    with app.store.write() as session:
        data = {
            "gateway": "gateway-0123456789abcdef",
            "meters": [{"key": meter.public_key.hex(), "meter_id": (b"m" * 32).hex(), "first_sequence": 1}],
        }
        log.record_act(session, "gateway_approved", "operator", 1, data)
    frames = [meter.next(), meter.next(clock_deviation=100), meter.next(5)]
    Collector(app).ingest(b"".join(frames), gateway="gw-1", meter=None, over="https")
    with app.store.write() as session:
        held.release(session, 2, actor="operator", reason="checked", now=5)
        log.checkpoint(session, app.home.network_id, app.home.receipt_key)
        log.append(session, book_leaf(BOOK))
    meter.frames = frames
    return meter


def audit(app: App, chain: ChainSource | None = None) -> Audit:
    found = Audit(app.home.network_id, bytes(app.home.receipt_key.pubkey()))
    with app.store.read() as session:
        found.run(StoreLog.of(session), chain)
    return found


def codes(found: Audit) -> set[str]:
    return {finding.code for finding in found.findings}


def rewrite(app: App, index: int, data: bytes) -> None:
    """Change a leaf and the whole tree above it, as whoever owns the database could."""
    with app.store.write() as session:
        leaves = [row.data for row in log.leaves(session, 0, 100)]
        leaves[index] = data
        for table in (LogLeaf, Act, LogTile):
            session.execute(delete(table))
        session.execute(update(LogState).values(size=0, frontier=b""))
    with app.store.write() as session:
        log.append_all(session, leaves)


def test_a_good_log_has_no_findings(app: App, meter: Any) -> None:
    found = audit(app)
    assert found.findings == []
    assert (found.size, found.readings, found.acts, found.books, found.checkpoints) == (6, 3, 2, 1, 2)
    with app.store.read() as session:
        assert found.root == log.root(session)


def test_a_void_reading_may_be_released_after_all_and_nothing_is_decided_twice(app: App, add_meter: Any) -> None:
    meter = add_meter()
    with app.store.write() as session:
        its = {"key": meter.public_key.hex(), "meter_id": (b"m" * 32).hex(), "first_sequence": 1}
        approved = {"gateway": gate.gateway_of(session, "gw-1"), "meters": [its]}
        log.record_act(session, "gateway_approved", "operator", 1, approved)
    Collector(app).ingest(meter.next() + meter.next(clock_deviation=100), gateway="gw-1", meter=None, over="https")
    with app.store.write() as session:
        held.void(session, 2, actor="operator", reason="checked", now=5)
    assert codes(audit(app)) == set()
    with app.store.write() as session:
        held.release_after_all(session, 2, actor="operator", reason="checked again", now=6)
        log.checkpoint(session, app.home.network_id, app.home.receipt_key)
    assert codes(audit(app)) == set()
    with app.store.write() as session:
        act = session.scalars(select(Act).where(Act.kind == "reading_released")).one()
        log.record_act(session, act.kind, "operator", 7, act.data)
    assert codes(audit(app)) == {"decision_without_hold"}


def test_a_log_that_grows_while_it_is_audited_has_no_findings(
    app: App, meter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = log.leaves

    def leaves(*arguments: Any) -> Any:
        with app.store.write() as session:
            log.record_act(session, "readings_retried", "operator", 7, {"readings": []})
        return read(*arguments)

    monkeypatch.setattr(log, "leaves", leaves)
    found = audit(app)
    assert found.findings == []
    assert found.size == 6


@pytest.mark.parametrize(
    ("index", "change", "expected"),
    [
        (1, lambda leaf: leaf[:1] + b"\x02" + leaf[2:], {"log_rewritten", "reading_verdict"}),
        (1, lambda leaf: leaf[:40] + bytes([leaf[40] ^ 1]) + leaf[41:], {"log_rewritten", "reading_signature"}),
        (1, lambda leaf: leaf[:-1], {"log_rewritten", "reading_malformed"}),
        (0, lambda leaf: leaf.replace(b"operator", b"somebody"), {"log_rewritten"}),
        (0, lambda leaf: leaf + b" ", {"log_rewritten", "act_malformed", "key_not_approved"}),
        (0, lambda leaf: b"\x02[]", {"log_rewritten", "act_malformed", "key_not_approved"}),
        (4, lambda leaf: leaf.replace(b'"log_index":2', b'"log_index":1'), {"log_rewritten", "decision_without_hold"}),
        (5, lambda leaf: leaf[:-1], {"book_malformed"}),
        (5, lambda leaf: b"\x09" + leaf[1:], {"leaf_unknown"}),
        (5, lambda leaf: b"", {"leaf_unknown"}),
    ],
)
def test_a_rewritten_log_is_found_out(
    app: App, meter: Any, index: int, change: Callable[[bytes], bytes], expected: set[str]
) -> None:
    with app.store.read() as session:
        data = log.leaf(session, index)
    rewrite(app, index, change(data))
    assert codes(audit(app)) >= expected


def test_a_changed_leaf_under_an_unchanged_tree_is_found_out(app: App, meter: Any) -> None:
    with app.store.write() as session:
        session.execute(
            update(LogLeaf).where(LogLeaf.log_index == 5).values(data=book_leaf(packed(EpochBook, status=5, epoch=8)))
        )
    assert codes(audit(app)) == {"leaf_hash", "root_differs"}


def test_a_cut_log_is_found_out(app: App, meter: Any) -> None:
    with app.store.write() as session:
        session.execute(delete(LogLeaf).where(LogLeaf.log_index == 5))
    assert "leaf_missing" in codes(audit(app))
    with app.store.write() as session:
        leaves = [row.data for row in log.leaves(session, 0, 3)]
        for table in (LogLeaf, Act, LogTile, Frame):
            session.execute(delete(table))
        session.execute(update(LogState).values(size=0, frontier=b""))
    with app.store.write() as session:
        log.append_all(session, leaves)
    assert codes(audit(app)) == {"log_shortened"}


def test_a_reading_slipped_in_by_the_database_is_found_out(app: App, meter: Any) -> None:
    stranger = Keypair()
    record = meter.frames[0][:96]
    foreign = record + bytes(stranger.pubkey()) + bytes(stranger.sign_message(record))
    skipped = meter.frame(sequence=9, previous_hash=previous_hash(meter.frames[2][:96]))
    elsewhere = meter.frame(network_id=b"elsewher")
    with app.store.write() as session:
        for frame in (foreign, skipped, elsewhere):
            log.append(session, b"\x01\x01\x00\x00" + bytes(8) + frame)
    assert codes(audit(app)) == {"key_not_approved", "reading_sequence", "reading_network", "reading_history"}


def chain(pins: list[tuple[int, bytes, bytes]], key: bytes, standing: bytes) -> ChainSource:
    """A chain with a checkpoint for each epoch from 7 on (size, root, book hash), and one meter at a reading's hash."""
    found: dict[Pubkey, tuple[Pubkey, bytes]] = {}
    oracle, registry = programs.PROGRAM_IDS["oracle"], programs.PROGRAM_IDS["registry"]
    for epoch, (size, root, book) in enumerate(pins, 7):
        raw = packed(EpochCheckpoint, epoch=epoch, log_size=size, log_root=root, book_hash=book)
        found[programs.checkpoint_address(epoch)] = (oracle, raw)
    address = programs.meter_address(b"m" * 32)
    found[address] = (registry, packed(Meter, meter_id=b"m" * 32, key=key))
    read = 0 if standing == ZERO_HASH else 900
    state = packed(MeterState, meter=address, hash=standing, interval_end=read)
    found[programs.meter_state_address(b"m" * 32)] = (oracle, state)
    return ChainSource(ChainState(0, found), (), {})


def test_the_chain_is_compared_with_the_log(app: App, meter: Any) -> None:
    with app.store.read() as session:
        root = log.root(session, 4)
    last, released = (previous_hash(meter.frames[place][:96]) for place in (2, 1))
    book = hashlib.sha256(BOOK).digest()
    for standing in (last, released, ZERO_HASH):
        good = audit(app, chain([(4, root, book)], meter.public_key, standing))
        assert good.findings == []
    empty = [(0, merkle.EMPTY_ROOT, book)]
    assert audit(app, chain(empty, meter.public_key, last)).findings == []
    bad = audit(app, chain([(4, bytes(32), NO_BOOK), (99, root, NO_BOOK), (4, root, b"b" * 32)], bytes(32), b"x" * 16))
    assert codes(bad) == {
        "log_rewritten",
        "log_shortened",
        "book_not_logged",
        "book_not_pinned",
        "reading_not_logged",
        "key_not_approved",
    }
    other = audit(app, chain([(4, root, b"b" * 32)], meter.public_key, last))
    assert codes(other) == {"book_differs"}


def test_the_command_verifies_proves_and_checks_a_witness(
    app: App, meter: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(app.home.path)]
    kept = tmp_path / "checkpoint"
    assert main(["audit", "checkpoint", "--out", str(kept), *home]) == 0
    assert main(["audit", "verify", "--log-only", *home]) == 0
    assert "everything holds" in capsys.readouterr().out
    assert main(["audit", "prove", "2", *home]) == 0
    assert '"log_index": 2' in capsys.readouterr().out
    assert main(["audit", "prove", "99", *home]) == 1
    with app.store.write() as session:
        log.append(session, b'\x02{"actor":"x","data":{},"kind":"y","time":1}')
    assert main(["audit", "consistent", str(kept), *home]) == 0
    rewrite(app, 5, book_leaf(packed(EpochBook, status=5, epoch=8)))
    assert main(["audit", "consistent", str(kept), *home]) == 1
    assert "log_forked" in capsys.readouterr().err
    assert main(["audit", "verify", "--log-only", *home]) == 1
    kept.write_bytes(kept.read_bytes()[:-1])
    assert main(["audit", "consistent", str(kept), *home]) == 1
