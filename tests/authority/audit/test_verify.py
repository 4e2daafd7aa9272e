"""The audit finds what was changed, cut, slipped in or left out, and nothing where all is well."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from solders.keypair import Keypair
from sqlalchemy import delete, update

from authority.app import App
from authority.audit.verify import NO_BOOK, Audit, Pin, StandingMeter
from authority.cli import main
from authority.collector import held
from authority.collector.ingest import Collector
from authority.log import log, merkle
from authority.settlement.journal import book_leaf
from authority.store.log import LogLeaf, LogState
from edge_agent.wire.reading import ZERO_HASH, previous_hash


@pytest.fixture
def meter(app: App, add_meter: Callable[..., Any]) -> Any:
    """A meter with an approval in the log, three readings (the second held and released), a checkpoint and a book."""
    meter = add_meter()
    with app.store.write() as session:
        data = {
            "gateway": "gw-1",
            "meters": [{"key": meter.public_key.hex(), "meter_id": (b"m" * 32).hex(), "first_sequence": 1}],
        }
        log.record_act(session, "gateway_approved", "operator", 1, data)
    frames = [meter.next(), meter.next(clock_deviation=100), meter.next(5)]
    Collector(app).ingest(b"".join(frames), gateway="gw-1", meter=None, over="https")
    with app.store.write() as session:
        held.release(session, 2, actor="operator", reason="checked", now=5)
        log.checkpoint(session, app.home.network_id, app.home.receipt_key, 6)
        log.append(session, book_leaf(b"book"))
    meter.frames = frames
    return meter


def audit(app: App, sizes: list[int] | None = None) -> Audit:
    found = Audit(app.home.network_id, bytes(app.home.receipt_key.pubkey()))
    with app.store.read() as session:
        found.log(session, sizes=sizes or [])
    return found


def codes(found: Audit) -> set[str]:
    return {finding.code for finding in found.findings}


def rewrite(app: App, index: int, data: bytes) -> None:
    """Change a leaf and the whole tree above it, as whoever owns the database could."""
    with app.store.write() as session:
        leaves = [row.data for row in log.leaves(session, 0, 100)]
        leaves[index] = data
        for table in ("log_leaves", "log_nodes"):
            session.execute(delete(log.LogLeaf if table == "log_leaves" else log.LogNode))
        session.execute(update(LogState).values(size=0, frontier=b""))
    with app.store.write() as session:
        log.append_all(session, leaves)


def test_a_good_log_has_no_findings(app: App, meter: Any) -> None:
    found = audit(app)
    assert found.findings == []
    assert (found.size, found.readings, found.acts, found.books, found.checkpoints) == (6, 3, 2, 1, 1)
    with app.store.read() as session:
        assert found.root == log.root(session)


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
        session.execute(update(LogLeaf).where(LogLeaf.log_index == 5).values(data=book_leaf(b"other")))
    assert codes(audit(app)) == {"leaf_hash", "root_differs"}


def test_a_cut_log_is_found_out(app: App, meter: Any) -> None:
    with app.store.write() as session:
        session.execute(delete(LogLeaf).where(LogLeaf.log_index == 5))
    assert "leaf_missing" in codes(audit(app))
    with app.store.write() as session:
        leaves = [row.data for row in log.leaves(session, 0, 3)]
        session.execute(delete(LogLeaf))
        session.execute(delete(log.LogNode))
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


def pin(size: int, root: bytes, book: bytes = NO_BOOK) -> Pin:
    return Pin(7, size, root, book)


def test_the_chain_is_compared_with_the_log(app: App, meter: Any) -> None:
    with app.store.read() as session:
        root = log.root(session, 4)
    last = previous_hash(meter.frames[2][:96])
    released = previous_hash(meter.frames[1][:96])
    on_chain = StandingMeter(b"m" * 32, meter.public_key, last)
    book = hashlib.sha256(b"book").digest()
    good = audit(app, [4])
    good.chain([pin(4, root, book), pin(0, merkle.EMPTY_ROOT)], [on_chain, replace(on_chain, hash=released)])
    good.chain([], [replace(on_chain, hash=ZERO_HASH)])
    assert good.findings == []
    bad = audit(app, [4])
    bad.chain(
        [pin(4, bytes(32)), pin(99, root), pin(4, root, b"b" * 32)],
        [replace(on_chain, hash=b"x" * 16), replace(on_chain, key=bytes(32))],
    )
    assert codes(bad) == {
        "log_rewritten",
        "log_shortened",
        "book_not_logged",
        "reading_not_logged",
        "key_not_approved",
    }


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
    rewrite(app, 5, book_leaf(b"other"))
    assert main(["audit", "consistent", str(kept), *home]) == 1
    assert "log_forked" in capsys.readouterr().err
    assert main(["audit", "verify", "--log-only", *home]) == 1
    kept.write_bytes(kept.read_bytes()[:-1])
    assert main(["audit", "consistent", str(kept), *home]) == 1
