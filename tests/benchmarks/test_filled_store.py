"""The tree of a store that was filled by rows is one: its right edge is that of its leaves, and its tiles are whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent)]

from filled_store import frontier_of, split, tiles_of  # noqa: E402

from authority.log import merkle  # noqa: E402
from authority.log.tree import Growth  # noqa: E402


@pytest.mark.parametrize("size", [1, 255, 256, 257, 2 * 256 + 3, 256 * 256, 256 * 256 + 300])
def test_the_right_edge_is_that_of_the_leaves(size: int) -> None:
    edges: dict[int, bytes] = {}
    leaves: list[bytes] = []
    for level, n, hashes in tiles_of(size):
        if level == 0:
            assert len(leaves) == n * 256
            leaves += split(hashes)
        edges[level] = hashes if len(hashes) < 256 * merkle.HASH_SIZE else b""
    assert len(leaves) == size
    assert frontier_of([edges[level] for level in sorted(edges)]) == Growth(0, [], leaves).frontier
