"""Tiles as C2SP tlog-tiles lays them out, and the log's export to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.app import App
from authority.cli import main
from authority.log import log, merkle, note
from authority.log.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, node_of_tiles, tiles


def test_paths_are_those_of_the_specification() -> None:
    assert Tile(0, 1234067, 256).path == "tile/0/x001/x234/067"
    assert Tile(0, 0, 256).path == "tile/0/000"
    assert Tile(1, 273, 112).path == "tile/1/273.p/112"


def test_the_tiles_of_the_specifications_example() -> None:
    """70,000 leaves: 273 full tiles and one of 112, one full of level 1 and one of 17, one of 1 hash at level 2."""
    all_tiles = list(tiles(70_000))
    assert [tile.path for tile in all_tiles if tile.level or not tile.is_full] == [
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    ]
    assert sum(tile.level == 0 for tile in all_tiles) == 274
    assert list(tiles(0)) == []


def tree(size: int) -> merkle.Node:
    """All nodes of a tree of `size` small leaves."""
    made: dict[tuple[int, int], bytes] = {}
    frontier: list[bytes] = []
    for index in range(size):
        leaf = merkle.leaf_hash(index.to_bytes(4, "big"))
        frontier, completed = merkle.extend(index, frontier, leaf)
        made[0, index] = leaf
        made.update({(level, position): value for level, position, value in completed})
    return lambda level, position: made[level, position]


def tile_bytes(tile: Tile, node: merkle.Node) -> bytes:
    """A tile's hashes as the specification defines them."""
    level, first = TILE_HEIGHT * tile.level, TILE_WIDTH * tile.position
    return b"".join(node(level, first + place) for place in range(tile.width))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 70_000])
def test_roots_and_proofs_come_out_of_the_tiles_alone(size: int) -> None:
    node = tree(size)
    files = {tile.path: tile_bytes(tile, node) for tile in tiles(size)}
    read = node_of_tiles(lambda tile: files[tile.path], size)
    assert merkle.root(size, read) == merkle.root(size, node)
    for index in {0, size // 2, size - 1}:
        assert merkle.inclusion_proof(index, size, read) == merkle.inclusion_proof(index, size, node)
    with pytest.raises(ValueError, match="has 31 bytes"):
        merkle.root(size, node_of_tiles(lambda tile: bytes(31), size))


@given(st.integers(1, 70), st.integers(1, 80))
def test_edges_show_one_size_alone(size: int, claimed: int) -> None:
    node = tree(max(size, claimed))
    root = merkle.root(size, node)

    def edges(total: int) -> list[tuple[bytes, list[bytes]]]:
        return [
            (first.to_bytes(4, "big"), merkle.leftmost_path(first, leaves, node))
            for first, leaves in merkle.right_spine(total)
        ]

    merkle.verify_size(size, edges(size), root)
    if claimed != size:
        with pytest.raises(merkle.ProofError):
            merkle.verify_size(claimed, edges(size), root)
        with pytest.raises(merkle.ProofError):
            merkle.verify_size(claimed, edges(claimed), root)


def test_a_subtree_cannot_pass_for_a_leaf_nor_a_leaf_for_a_subtree() -> None:
    """Three leaves shown as four: the hash of leaf 2 as that of a subtree, whose first leaf cannot be shown."""
    node = tree(4)
    root = merkle.root(3, node)
    leaf_2 = node(0, 2)
    merkle.verify_inclusion(node(0, 0), 0, 4, [node(0, 1), leaf_2], root)  # the path alone shows nothing
    for data in (b"\0\0\0\2", b"\0\0\0\3", leaf_2):
        edges = [(b"\0\0\0\0", [node(0, 1), leaf_2]), (data, [node(0, 3)]), (b"\0\0\0\3", [])]
        with pytest.raises(merkle.ProofError):
            merkle.verify_size(4, edges, root)


def leaves(app: App, count: int) -> None:
    with app.store.write() as session:
        first = log.size(session)
        log.append_all(session, [b"\x02" + str(index).encode() for index in range(first, first + count)])


def exported(app: App, folder: Path) -> note.LogCheckpoint:
    assert main(["audit", "export", "--tiles", str(folder), "--home", str(app.home.path)]) == 0
    verifier = note.VerifierKey.parse((folder / "log.pub").read_text())
    return note.open_note((folder / "checkpoint").read_bytes(), verifier)


def test_a_log_is_exported_and_added_to(app: App, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "public"
    leaves(app, 300)
    first = exported(app, folder)
    full = folder / "tile/0/000"
    stamp = full.stat().st_mtime_ns
    leaves(app, 300)
    second = exported(app, folder)
    assert "were there already" in capsys.readouterr().out
    assert full.stat().st_mtime_ns == stamp
    for checkpoint in (first, second):
        read = node_of_tiles(lambda tile: (folder / tile.path).read_bytes(), checkpoint.size)
        assert merkle.root(checkpoint.size, read) == checkpoint.root
    with app.store.read() as session:
        assert (second.size, second.root) == (log.size(session), log.root(session))
    assert second.origin.endswith(f"/log/{app.home.network_id.hex()}")
    assert full.stat().st_mode & 0o777 == 0o644


def test_an_empty_log_is_exported(app: App, tmp_path: Path) -> None:
    with app.store.read() as session:
        size = log.size(session)
    assert exported(app, tmp_path / "a").size == size


def test_a_folder_of_another_log_is_refused(app: App, tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "public"
    exported(app, folder)
    checkpoint = folder / "checkpoint"
    good = checkpoint.read_text()
    command = ["audit", "export", "--tiles", str(folder), "--home", str(app.home.path)]
    checkpoint.write_text("something else\n")
    assert main(command) == 1
    assert "other_log" in capsys.readouterr().err
    longer = note.LogCheckpoint(good.split("\n", maxsplit=1)[0], 10**6, bytes(32))
    checkpoint.write_text(note.sign(longer, longer.origin, app.home.receipt_key))
    assert main(command) == 1
    assert "does not extend" in capsys.readouterr().err
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main([*command[:3], str(blocked / "x"), *command[4:]]) == 1
    assert "folder_unusable" in capsys.readouterr().err
