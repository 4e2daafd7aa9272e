"""The log over HTTP as C2SP tlog-tiles has it: anybody computes its root, auditors alone read it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from flask import Flask

from authority.api.log_tiles import ServedLog, blueprint
from authority.app import App
from authority.log import log, merkle, note, publish
from authority.log.tiles import MAX_ENTRY, Tile, node_of_tiles, tiles

SIZE = 256 + 44


@pytest.fixture
def client(app: App) -> Any:
    """A client of the served log: its token is `secret`."""
    made = Flask(__name__)
    made.register_blueprint(blueprint(ServedLog(app.store, "secret")))
    return made.test_client()


@pytest.fixture
def leaves(app: App) -> list[bytes]:
    """A log of one full tile and more, published."""
    made = [bytes([2]) + f"leaf {n}".encode() for n in range(SIZE)]
    with app.store.write() as session:
        log.append_all(session, made)
        publish.publish(session, app.home.network_id, app.home.receipt_key, 1)
    return made


def test_before_the_first_epoch_there_is_no_checkpoint(client: Any) -> None:
    assert client.get("/checkpoint").status_code == 404
    assert client.get("/log.pub").status_code == 404
    assert client.get("/tile/0/000").status_code == 404


def test_whoever_has_the_key_computes_the_root_from_tiles(client: Any, leaves: list[bytes]) -> None:
    answer = client.get("/checkpoint")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    key = note.VerifierKey.parse(client.get("/log.pub").text)
    checkpoint = note.open_note(answer.data, key)
    assert checkpoint.size == SIZE

    def read(tile: Tile) -> bytes:
        fetched = client.get(f"/{tile.path}")
        assert fetched.headers["Content-Type"] == "application/octet-stream"
        assert "immutable" in fetched.headers["Cache-Control"]
        data: bytes = fetched.data
        return data

    assert merkle.root(SIZE, node_of_tiles(read, SIZE)) == checkpoint.root
    assert {tile.path for tile in tiles(SIZE)} == {"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"}
    assert client.get("/tile/0/000.p/17").data == client.get("/tile/0/000").data[: 17 * 32]


@pytest.mark.parametrize(
    "path",
    [
        "0/001", "0/001.p/45", "0/001.p/0", "0/001.p/256", "0/001.p/044", "0/0", "0/1", "0/0000", "0/x000/000",
        "0/x001", "0/002", "00/000", "-1/000", "64/000", "1/000", "1/000.p/2", "2/000.p/1", "0/000.p", "0/000.p/",
        "0/..", "a/000", "0/x999/x999/x999/x999/x999/999",
    ],
)  # fmt: skip
def test_what_is_no_tile_of_the_log_is_not_found(client: Any, leaves: list[bytes], path: str) -> None:
    assert client.get(f"/tile/{path}").status_code == 404


def test_entries_are_for_auditors(client: Any, leaves: list[bytes]) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
        refused = client.get("/tile/entries/000", headers=headers)
        assert refused.status_code == 401
        assert b"leaf 0" not in refused.data
    found = []
    for place, width in (("000", 256), ("001.p/44", 44)):
        answer = client.get(f"/tile/entries/{place}", headers={"Authorization": "Bearer secret"})
        assert answer.headers["Cache-Control"].startswith("private")
        hashes, data = client.get(f"/tile/0/{place}").data, answer.data
        for n in range(width):
            size = int.from_bytes(data[:2], "big")
            leaf, data = data[2 : 2 + size], data[2 + size :]
            assert hashlib.sha256(b"\0" + leaf).digest() == hashes[32 * n : 32 * n + 32]
            found.append(leaf)
        assert not data
    assert found == leaves
    for missing in ("002", "001", "001.p/45", "1"):
        answer = client.get(f"/tile/entries/{missing}", headers={"Authorization": "Bearer secret"})
        assert answer.status_code == 404


def test_a_leaf_that_is_too_large_for_the_format_is_said(app: App, client: Any) -> None:
    with app.store.write() as session:
        log.append(session, bytes(MAX_ENTRY + 1))
    answer = client.get("/tile/entries/000.p/1", headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 409
    assert answer.json["code"] == "entry_too_large"
