"""A growing tree's root, frontier and paths are those of RFC 6962's definition, wherever it stood before."""

from __future__ import annotations

import hashlib

import pytest

from authority.log import merkle
from authority.log.tree import Growth

LEAVES = [hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(1_100)]


def node(level: int, position: int) -> bytes:
    return merkle.perfect_root(LEAVES[position << level : (position + 1) << level])


def frontier(size: int) -> list[bytes]:
    levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
    return [node(level, (size >> level) - 1) for level in levels]


@pytest.mark.parametrize("before", [*range(20), 31, 32, 33, 255, 256, 257, 511, 1_000])
@pytest.mark.parametrize("more", [1, 2, 3, 7, 16, 33, 100])
def test_what_a_growth_computes_is_what_the_whole_tree_gives(before: int, more: int) -> None:
    size = before + more
    growth = Growth(before, frontier(before), LEAVES[before:size])
    assert growth.root == merkle.root(size, node)
    assert growth.frontier == frontier(size)
    for index in range(before, size):
        assert growth.path(index) == b"".join(merkle.inclusion_proof(index, size, node))
