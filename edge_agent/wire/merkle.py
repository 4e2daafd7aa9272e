"""The two hashes of the log's Merkle tree (RFC 6962, 2.1), and the root that an inclusion path leads to.

The latter is RFC 9162, 2.1.3.2. It is what a gateway needs to check that its record is in the log, and keeps to what
MicroPython has.
"""

from __future__ import annotations

import hashlib

from edge_agent.wire.errors import WireError

HASH_SIZE = 32
MAX_PATH = 64
"""The longest inclusion path: a log's size is a u64."""


class ProofError(WireError):
    """A proof that does not show what it should."""


class ProofRangeError(ProofError):
    """The tree has no such leaf or size."""

    code = "out_of_range"


class ProofLengthError(ProofError):
    """The proof belongs to a tree of another shape."""

    code = "wrong_length"


class ProofRootError(ProofError):
    """The proof leads to another root."""

    code = "wrong_root"


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of_path(leaf: bytes, index: int, size: int, path: list[bytes] | tuple[bytes, ...]) -> bytes:
    """The root of a tree of `size` leaves in which this leaf hash stands at `index`, by its inclusion path.

    ProofError `out_of_range` where the tree has no such leaf, `wrong_length` where the path is of another tree's shape.
    """
    if not 0 <= index < size:
        raise ProofRangeError(f"leaf {index} is not in a tree of {size} leaves")
    fn, sn, value = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            raise ProofLengthError("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            value = node_hash(sibling, value)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            value = node_hash(value, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise ProofLengthError("the inclusion proof is too short")
    return value
