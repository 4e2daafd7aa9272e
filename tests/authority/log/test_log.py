"""The durable log: appends, proofs, acts and checkpoints, on both databases."""

from __future__ import annotations

import json
import struct
import threading

import pytest
from solders.keypair import Keypair

from authority.app import App
from authority.log import log, merkle
from authority.log.log import LogError, ReadingLeaf, SignedCheckpoint
from authority.store.log import Act
from edge_agent.wire.reading import Frame


def test_appended_leaves_are_found_and_proved(app: App) -> None:
    leaves = [bytes([log.LEAF_ACT, n]) for n in range(13)]
    with app.store.write() as session:
        assert log.append(session, leaves[0]) == 0
    with app.store.write() as session:
        assert log.append_all(session, leaves[1:6]) == 1
        assert log.append_all(session, leaves[6:]) == 6
    with app.store.read() as session:
        assert log.size(session) == 13
        assert [row.data for row in log.leaves(session, 0, 13)] == leaves
        for size in range(1, 14):
            root = log.root(session, size)
            for index in range(size):
                proof = log.inclusion_proof(session, index, size)
                merkle.verify_inclusion(merkle.leaf_hash(log.leaf(session, index)), index, size, proof, root)
            for first in range(1, size + 1):
                proof = log.consistency_proof(session, first, size)
                merkle.verify_consistency(first, size, log.root(session, first), root, proof)
        assert log.root(session) == log.root(session, 13)


def test_an_empty_log_has_the_empty_root(app: App) -> None:
    with app.store.read() as session:
        assert log.size(session) == 0
        assert log.root(session) == merkle.EMPTY_ROOT


def test_what_is_not_there_is_refused(app: App) -> None:
    with app.store.read() as session:
        for call in (lambda: log.leaf(session, 0), lambda: log.root(session, 1), lambda: log.root(session, -1)):
            with pytest.raises(LogError) as caught:
                call()
            assert caught.value.code == "out_of_range"


def test_a_rolled_back_append_leaves_no_trace(app: App) -> None:
    def fail() -> None:
        with app.store.write() as session:
            log.append_all(session, [b"\2a", b"\2b", b"\2c"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with app.store.write() as session:
        assert log.append(session, b"\2d") == 0
    with app.store.read() as session:
        assert log.root(session) == merkle.leaf_hash(b"\2d")


def test_many_appenders_make_one_log(app: App) -> None:
    def append(name: int) -> None:
        for n in range(5):
            with app.store.write() as session:
                log.append_all(session, [bytes([2, name, n, 0]), bytes([2, name, n, 1])])

    threads = [threading.Thread(target=append, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with app.store.read() as session:
        rows = list(log.leaves(session, 0, 100))
        assert [row.log_index for row in rows] == list(range(40))
        frontier: list[bytes] = []
        for row in rows:
            frontier, _ = merkle.extend(row.log_index, frontier, merkle.leaf_hash(row.data))
        assert merkle.frontier_root(frontier) == log.root(session)


def test_an_act_is_canonical_json_and_a_row(app: App) -> None:
    with app.store.write() as session:
        index = log.record_act(session, "something_done", "operator Ä", 7, {"b": 1, "a": [True, None, "x"]})
    with app.store.read() as session:
        leaf = log.leaf(session, index)
        assert leaf == (
            b'\x02{"actor":"operator \xc3\x84","data":{"a":[true,null,"x"],"b":1},"kind":"something_done","time":7}'
        )
        assert json.loads(leaf[1:])["kind"] == "something_done"
        act = session.get(Act, index)
        assert act is not None
        assert act.data == {"b": 1, "a": [True, None, "x"]}


def test_a_reading_leaf_round_trips_and_refuses_others() -> None:
    leaf = ReadingLeaf(1, 0, 12, Frame(b"r" * 96, b"k" * 32, b"s" * 64))
    data = leaf.to_bytes()
    assert len(data) == 204
    assert data[:12] == b"\x01\x01\x00\x00" + struct.pack("<q", 12)
    assert data[12:] == leaf.frame.to_bytes()
    assert ReadingLeaf.from_bytes(data) == leaf
    for bad in (b"", data[:-1], data + b"\0", b"\x02" + data[1:]):
        with pytest.raises(LogError):
            ReadingLeaf.from_bytes(bad)


def test_a_checkpoint_is_signed_once_per_size_and_verifies(app: App) -> None:
    key = Keypair()
    with app.store.write() as session:
        log.append(session, b"\2a")
        first = log.checkpoint(session, app.home.network_id, key, 100)
    with app.store.write() as session:
        again = log.checkpoint(session, app.home.network_id, key, 200)
        assert again == first
        log.append(session, b"\2b")
        second = log.checkpoint(session, app.home.network_id, key, 200)
        assert (second.size, second.time, second.root) == (2, 200, log.root(session))
    data = first.to_bytes()
    assert len(data) == 124
    assert data[:4] == b"AML1"
    assert data[4:12] == app.home.network_id
    assert struct.unpack_from("<Q", data, 12) == (1,)
    assert data[20:52] == merkle.leaf_hash(b"\2a")
    assert struct.unpack_from("<q", data, 52) == (100,)
    read = SignedCheckpoint.from_bytes(data)
    assert read.verify(bytes(key.pubkey()))
    assert not read.verify(bytes(Keypair().pubkey()))
    changed = bytearray(data)
    changed[12] ^= 1
    assert not SignedCheckpoint.from_bytes(bytes(changed)).verify(bytes(key.pubkey()))
    for bad in (b"", data[:-1], b"AMC1" + data[4:]):
        with pytest.raises(LogError):
            SignedCheckpoint.from_bytes(bad)
