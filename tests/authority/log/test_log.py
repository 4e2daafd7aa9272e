"""The durable log: appends, proofs, acts and checkpoints, on both databases."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading

import pytest
from solders.keypair import Keypair
from sqlalchemy import select

from authority.app import App
from authority.errors import OutOfRangeError
from authority.log import log, merkle
from authority.log.log import LogError, ReadingLeaf, SignedCheckpoint
from authority.store.log import Act, LogTile
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
            with pytest.raises(OutOfRangeError) as caught:
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
        index = log.record_act(session, "something_done", "operator", 7, {"b": 1, "role": [True, None, "load"]})
    with app.store.read() as session:
        leaf = log.leaf(session, index)
        assert leaf == (
            b'\x02{"actor":"operator","data":{"b":1,"role":[true,null,"load"]},"kind":"something_done","time":7}'
        )
        assert json.loads(leaf[1:])["kind"] == "something_done"
        act = session.get(Act, index)
        assert act is not None
        assert act.data == {"b": 1, "role": [True, None, "load"]}


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
        first = log.checkpoint(session, app.home.network_id, key)
    with app.store.write() as session:
        again = log.checkpoint(session, app.home.network_id, key)
        assert again == first
        log.append(session, b"\2b")
        second = log.checkpoint(session, app.home.network_id, key)
        assert (second.size, second.root) == (2, log.root(session))
    public = bytes(key.pubkey())
    data = first.to_bytes(public)
    name = f"ami/log/{app.home.network_id.hex()}"
    text, signature = data.decode().split("\n\n")
    assert text.split("\n") == [name, "1", base64.b64encode(merkle.leaf_hash(b"\2a")).decode()]
    words = signature.rstrip("\n").split(" ")
    assert words[:2] == ["\u2014", name]
    identity = hashlib.sha256(f"{name}\n\1".encode() + public).digest()[:4]
    assert base64.b64decode(words[2])[:4] == identity
    assert first.verify(public)
    assert log.open_checkpoint(data, app.home.network_id, public) == (1, first.root)
    for bad in (data.replace(b"\n1\n", b"\n3\n"), data.replace(b"ami/log", b"ami/lug")):
        with pytest.raises(LogError) as caught:
            log.open_checkpoint(bad, app.home.network_id, public)
        assert caught.value.code == "checkpoint_foreign"
    for network, other in ((bytes(8), public), (app.home.network_id, bytes(Keypair().pubkey()))):
        with pytest.raises(LogError) as caught:
            log.open_checkpoint(data, network, other)
        assert caught.value.code == "checkpoint_foreign"
    for bad in (b"", data[:-2], data[:20], b"AMC1" + data[4:30], b"x" * 10_000):
        with pytest.raises(LogError):
            log.open_checkpoint(bad, app.home.network_id, public)


def test_a_checkpoint_of_an_earlier_release_still_verifies(app: App) -> None:
    key, root = Keypair(), bytes(range(32))
    body = b"AML1" + app.home.network_id + struct.pack("<Q", 7) + root + struct.pack("<q", 100)
    data, public = body + bytes(key.sign_message(body)), bytes(key.pubkey())
    assert log.open_checkpoint(data, app.home.network_id, public) == (7, root)
    kept = SignedCheckpoint(app.home.network_id, 7, root, data[60:], 100)
    assert (kept.to_bytes(public), kept.verify(public)) == (data, True)
    changed = bytearray(data)
    changed[12] ^= 1
    for bad in (bytes(changed), data[:-1]):
        with pytest.raises(LogError):
            log.open_checkpoint(bad, app.home.network_id, public)


@pytest.mark.parametrize("before", [0, 1, 5, 8, 255, 256, 257, 511])
@pytest.mark.parametrize("more", [1, 3, 600])
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_growth_has_the_root_and_the_paths_that_the_tiles_have(app: App, before: int, more: int) -> None:
    old, new = (
        [bytes([2, kind]) + n.to_bytes(2, "big") for n in range(count)] for kind, count in ((0, before), (1, more))
    )
    with app.store.write() as session:
        log.append_all(session, old)
        growth = log.append_readings(session, new, log.lock(session))
    with app.store.read() as session:
        assert (growth.first, growth.size) == (before, before + more)
        assert growth.root == log.root(session)
        for index in range(before, growth.size):
            assert growth.path(index) == b"".join(log.inclusion_proof(session, index, growth.size))
        frontier: list[bytes] = []
        for index, data in enumerate([*old, *new]):
            frontier, _ = merkle.extend(index, frontier, merkle.leaf_hash(data))
        assert growth.frontier == frontier
        tiles = {(row.level, row.n): row.hashes for row in session.scalars(select(LogTile))}
        assert sum(len(data) for (level, _), data in tiles.items() if level == 0) == 32 * growth.size
        assert {level for level, _ in tiles} == ({0, 1} if growth.size >= 256 else {0})
