"""One leaf of the log, checked by whoever holds its proof: without home, key or network (docs/PROTOCOL.md, "The log").

The document is what `authority audit prove` prints: {"edges", "leaf", "log_index", "proof", "root", "size"}, bytes in
hex. `proof` is RFC 6962's path from the leaf to the root; `edges` show that the tree with this root has `size` leaves,
which the path alone does not (merkle.verify_size).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy.orm import Session

from authority.errors import AuthorityError
from authority.log import log, merkle
from authority.log.log import LEAF_READING, ReadingLeaf
from authority.log.note import BadSignatureError
from edge_agent.wire.reading import ReadingError

MAX_DOCUMENT = 1 << 24


class ProofCheckError(AuthorityError):
    """A proof that does not show what it should."""


class NotInTheLogError(ProofCheckError):
    """The proof leads to another root."""

    code = "not_in_the_log"


class OtherRootError(ProofCheckError):
    """The checkpoint has another root than the one that is pinned."""

    code = "other_root"


class ProofMalformedError(ProofCheckError):
    """Bytes that are not a proof."""

    code = "proof_malformed"


@dataclass(frozen=True)
class CheckedLeaf:
    """A leaf that is in the tree of `size` leaves with this root; reading where it is one, its signature verified."""

    data: bytes
    log_index: int
    size: int
    root: bytes
    reading: ReadingLeaf | None


def prove(session: Session, index: int, size: int) -> dict[str, Any]:
    """The document that shows leaf `index` in the tree of `size` leaves; LogError or ProofError `out_of_range`."""
    path = log.inclusion_proof(session, index, size)
    node = log.nodes(session)
    edges = [
        {
            "leaf": log.leaf(session, first).hex(),
            "proof": [value.hex() for value in merkle.leftmost_path(first, leaves, node)],
        }
        for first, leaves in merkle.right_spine(size)
    ]
    return {
        "edges": edges,
        "leaf": log.leaf(session, index).hex(),
        "log_index": index,
        "proof": [value.hex() for value in path],
        "root": log.root(session, size).hex(),
        "size": size,
    }


def check(document: bytes, *, root: bytes | None = None) -> CheckedLeaf:
    """Check the path from the leaf to the root and, of a reading, the meter's signature. ProofCheckError.

    root is the one to be believed, from a witness's checkpoint or the chain; None takes the document's own word.
    """
    parsed = _parsed(document)
    index, size, leaf, named = parsed.index, parsed.size, parsed.leaf, parsed.root
    if root is not None and root != named:
        raise OtherRootError(
            f"the proof is for the root {named.hex()}, not {root.hex()}: prove it for the tree of that root with "
            "--size, the number of leaves that the checkpoint names",
        )
    try:
        merkle.verify_inclusion(merkle.leaf_hash(leaf), index, size, parsed.path, named)
        merkle.verify_size(size, parsed.edges, named)
    except merkle.ProofError as error:
        raise NotInTheLogError(f"leaf {index} is not shown to be in the log of {size} leaves: {error}") from error
    return CheckedLeaf(leaf, index, size, named, _reading(leaf))


@dataclass(frozen=True)
class _Document:
    index: int
    size: int
    leaf: bytes
    root: bytes
    path: Sequence[bytes]
    edges: Sequence[tuple[bytes, Sequence[bytes]]]


def _parsed(document: bytes) -> _Document:
    try:
        if len(document) > MAX_DOCUMENT:
            raise ValueError("it is too long")
        data = json.loads(document)
        if not isinstance(data, Mapping):
            raise ValueError("it is not an object")
        index, size = data["log_index"], data["size"]
        if type(index) is not int or type(size) is not int or not 0 <= size < 1 << 63:
            raise ValueError("log_index and size are whole numbers")
        if not isinstance(data["edges"], list):
            raise ValueError("edges is a list")
        edges = [(bytes.fromhex(edge["leaf"]), _hashes(edge["proof"])) for edge in data["edges"]]
        root = _hashes([data["root"]])[0]
        return _Document(index, size, bytes.fromhex(data["leaf"]), root, _hashes(data["proof"]), edges)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        missing = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ProofMalformedError(
            f"this is not what `authority audit prove` prints: {missing or type(error).__name__}. A proof without "
            "edges is of an older version: print it again",
        ) from error


def _hashes(values: object) -> list[bytes]:
    if not isinstance(values, list):
        raise ValueError("proof is a list of hashes")
    hashes = [bytes.fromhex(value) for value in values]
    if any(len(value) != merkle.HASH_SIZE for value in hashes):
        raise ValueError("root and proof are hashes of 32 bytes")
    return hashes


def _reading(leaf: bytes) -> ReadingLeaf | None:
    if leaf[:1] != bytes([LEAF_READING]):
        return None
    try:
        reading = ReadingLeaf.from_bytes(leaf)
        _ = reading.frame.record
    except (AuthorityError, ReadingError) as error:
        raise ProofMalformedError(f"the leaf is not a reading: {error}") from error
    frame = reading.frame
    if not Signature(frame.signature).verify(Pubkey(frame.public_key), frame.record_bytes):
        raise BadSignatureError(f"the meter key {frame.public_key.hex()} did not sign this record; keep it as evidence")
    return reading
