"""Merkle trees as in RFC 6962, section 2.1, with the verification algorithms of RFC 9162, sections 2.1.3.2 and 2.1.4.2.

Pure functions. A tree is seen through `node(level, position)`: the root of the perfect subtree over the leaves
[position * 2^level, (position + 1) * 2^level); level 0 is the leaf hashes. Hashes are SHA-256, 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from edge_agent.wire.merkle import (
    HASH_SIZE,
    ProofError,
    ProofLengthError,
    ProofRangeError,
    ProofRootError,
    leaf_hash,
    node_hash,
    root_of_path,
)

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "Node",
    "ProofError",
    "consistency_proof",
    "extend",
    "frontier_root",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "perfect_root",
    "root",
    "verify_consistency",
    "verify_inclusion",
]

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves (RFC 6962, 2.1)."""

Node = Callable[[int, int], bytes]


def extend(size: int, frontier: Sequence[bytes], leaf: bytes) -> tuple[list[bytes], list[tuple[int, int, bytes]]]:
    """Append one leaf hash to a tree of `size` leaves.

    frontier holds the roots of its perfect subtrees, largest first. Returns the new frontier and the perfect subtrees
    that this leaf completes as (level, position, hash), level 1 and up.
    """
    frontier = list(frontier)
    completed = []
    level, position, value = 0, size, leaf
    while position & 1:
        value = node_hash(frontier.pop(), value)
        level, position = level + 1, position >> 1
        completed.append((level, position, value))
    frontier.append(value)
    return frontier, completed


def frontier_root(frontier: Sequence[bytes]) -> bytes:
    """The tree's root from the roots of its perfect subtrees, largest first."""
    if not frontier:
        return EMPTY_ROOT
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = node_hash(left, root)
    return root


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 2^n nodes of one level, n >= 0."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _split(size: int) -> int:
    """The largest power of two smaller than size: k in RFC 6962."""
    return 1 << ((size - 1).bit_length() - 1)


def _range_root(start: int, size: int, node: Node) -> bytes:
    """MTH over the leaves [start, start + size); start is a multiple of the power of two at or above size."""
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, start >> level)
    k = _split(size)
    return node_hash(_range_root(start, k, node), _range_root(start + k, size - k, node))


def root(size: int, node: Node) -> bytes:
    """MTH(D[size]): the root of the first `size` leaves."""
    return _range_root(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962, 2.1.1; ProofError `out_of_range` unless 0 <= index < size."""
    if not 0 <= index < size:
        raise ProofRangeError(f"leaf {index} is not in a tree of {size} leaves")

    def path(index: int, start: int, size: int) -> list[bytes]:
        if size == 1:
            return []
        k = _split(size)
        if index < k:
            return [*path(index, start, k), _range_root(start + k, size - k, node)]
        return [*path(index - k, start + k, size - k), _range_root(start, k, node)]

    return path(index, 0, size)


def consistency_proof(first: int, second: int, node: Node) -> list[bytes]:
    """PROOF(first, D[second]) of RFC 6962, 2.1.2; ProofError `out_of_range` unless 0 < first <= second."""
    if not 0 < first <= second:
        raise ProofRangeError(f"no consistency proof from {first} to {second} leaves")

    def subproof(first: int, start: int, size: int, complete: bool) -> list[bytes]:
        if first == size:
            return [] if complete else [_range_root(start, size, node)]
        k = _split(size)
        if first <= k:
            return [*subproof(first, start, k, complete), _range_root(start + k, size - k, node)]
        return [*subproof(first - k, start + k, size - k, False), _range_root(start, k, node)]

    return subproof(first, 0, second, True)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes) -> None:
    """Check an inclusion proof (RFC 9162, 2.1.3.2); ProofError where it fails."""
    if root_of_path(leaf, index, size, list(proof)) != expected_root:
        raise ProofRootError("the inclusion proof leads to another root")


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of `second` leaves extends that of `first` (RFC 9162, 2.1.4.2); ProofError where it fails."""
    if not 0 < first <= second:
        raise ProofRangeError(f"no consistency proof from {first} to {second} leaves")
    if first == second:
        if proof:
            raise ProofLengthError("equal sizes need no proof")
        if first_root != second_root:
            raise ProofRootError("two roots of one size")
        return
    if not proof:
        raise ProofLengthError("the consistency proof is empty")
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first_value = second_value = path[0]
    for sibling in path[1:]:
        if sn == 0:
            raise ProofLengthError("the consistency proof is too long")
        if fn & 1 or fn == sn:
            first_value = node_hash(sibling, first_value)
            second_value = node_hash(sibling, second_value)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second_value = node_hash(second_value, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ProofLengthError("the consistency proof is too short")
    if first_value != first_root or second_value != second_root:
        raise ProofRootError("the consistency proof leads to other roots")


def right_spine(size: int) -> list[tuple[int, int]]:
    """The nodes from the root down the right edge to the last leaf of a tree: (first leaf, leaves) of each."""
    nodes, first = [], 0
    while size:
        nodes.append((first, size))
        left = _split(size) if size > 1 else 1
        first, size = first + left, size - left
    return nodes


def leftmost_path(first: int, size: int, node: Node) -> list[bytes]:
    """The path of leaf `first` up to the root of the right-spine node of `size` leaves that begins with it."""
    if size == 1:
        return []
    k = _split(size)
    return [*leftmost_path(first, k, node), _range_root(first + k, size - k, node)]


def verify_size(size: int, edges: Sequence[tuple[bytes, Sequence[bytes]]], root: bytes) -> None:
    """Check that the RFC 6962 tree with this root has `size` leaves; ProofError where that is not shown.

    An inclusion proof does not show it: a hash on its path may stand for a leaf or for a subtree of any height, so one
    path can hold for several sizes and indexes. edges are, for each node of `right_spine`, the *data* of its first leaf
    and that leaf's path up to the node. A leaf is hashed with another prefix than a node, so each of these depths is
    shown, and the depths say how each node splits.
    """
    spine = right_spine(size)
    if len(edges) != len(spine):
        raise ProofLengthError(f"{len(spine)} edges show that a tree has {size} leaves, not {len(edges)}")
    for (_, leaves), (data, path) in zip(spine, edges, strict=True):
        verify_inclusion(leaf_hash(data), 0, leaves, path, root)
        if path:
            root = path[-1]
