"""One leaf of the log, checked by whoever holds its proof: without home, key or network (docs/PROTOCOL.md, "The log").

The document is what `authority audit prove` prints: {"leaf", "log_index", "proof", "root", "size"}, bytes in hex.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.errors import AuthorityError
from authority.log import merkle
from authority.log.log import LEAF_READING, ReadingLeaf
from edge_agent.wire.reading import ReadingError

MAX_DOCUMENT = 1 << 20


class ProofCheckError(AuthorityError):
    """proof_malformed, not_in_the_log (the path leads to another root), other_root or bad_signature."""


@dataclass(frozen=True)
class CheckedLeaf:
    """A leaf that is in the tree of `size` leaves with this root; reading where it is one, its signature verified."""

    data: bytes
    log_index: int
    size: int
    root: bytes
    reading: ReadingLeaf | None


def check(document: bytes, *, root: bytes | None = None) -> CheckedLeaf:
    """Check the path from the leaf to the root and, of a reading, the meter's signature. ProofCheckError.

    root is the one to be believed, from a witness's checkpoint or the chain; None takes the document's own word.
    """
    index, size, leaf, named, path = _parsed(document)
    if root is not None and root != named:
        raise ProofCheckError(
            "other_root",
            f"the proof is for the root {named.hex()}, not {root.hex()}: prove it for the tree of that root with "
            "--size, the number of leaves that the checkpoint names",
        )
    try:
        merkle.verify_inclusion(merkle.leaf_hash(leaf), index, size, path, named)
    except merkle.ProofError as error:
        raise ProofCheckError("not_in_the_log", f"leaf {index} is not shown to be in the log: {error}") from error
    return CheckedLeaf(leaf, index, size, named, _reading(leaf))


def _parsed(document: bytes) -> tuple[int, int, bytes, bytes, list[bytes]]:
    try:
        if len(document) > MAX_DOCUMENT:
            raise ValueError("it is too long")
        data = json.loads(document)
        if not isinstance(data, Mapping):
            raise ValueError("it is no object")
        index, size, path = data["log_index"], data["size"], data["proof"]
        if type(index) is not int or type(size) is not int or not isinstance(path, list):
            raise ValueError("log_index and size are whole numbers, proof is a list")
        leaf, root, *hashes = (bytes.fromhex(value) for value in (data["leaf"], data["root"], *path))
        if any(len(value) != len(merkle.EMPTY_ROOT) for value in (root, *hashes)):
            raise ValueError("root and proof are hashes of 32 bytes")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ProofCheckError(
            "proof_malformed", f"this is not what `authority audit prove` prints: {error or type(error).__name__}"
        ) from error
    return index, size, leaf, root, hashes


def _reading(leaf: bytes) -> ReadingLeaf | None:
    if leaf[:1] != bytes([LEAF_READING]):
        return None
    try:
        reading = ReadingLeaf.from_bytes(leaf)
        _ = reading.frame.record
    except (AuthorityError, ReadingError) as error:
        raise ProofCheckError("proof_malformed", f"the leaf is no reading: {error}") from error
    frame = reading.frame
    if not Signature(frame.signature).verify(Pubkey(frame.public_key), frame.record_bytes):
        raise ProofCheckError(
            "bad_signature", f"the meter key {frame.public_key.hex()} did not sign this record; keep it as evidence"
        )
    return reading
