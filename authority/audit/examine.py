"""What an audit computes of each leaf by itself: its hash, its record's hash, its form, its meter's signature.

On all cores. Verifying signatures is most of an audit's work, and needs nothing but the leaf: so it is done ahead of
the audit, in processes of its own, a batch at a time, and handed on in the log's order. A small log is not worth the
processes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import struct
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import accumulate, chain, islice, pairwise
from typing import Protocol, TypeVar

from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.log.reading_leaf import FORM, FRAME_AT, KEY_END, READING_SIZE, RECORD_END
from edge_agent.wire.reading import (
    CODE_NUMBERS,
    KNOWN_FLAGS,
    LEAF_READING,
    READING_MAGIC,
    SOURCES,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
)

HASH_SIZE = 32
BATCH = 1_024
AHEAD = 4
"""Batches that wait for each process: what the audit takes while they work."""
WORTH_PROCESSES = 50_000
"""Leaves below which one process is as fast."""
SIGNED, WELL_FORMED = 1, 2
"""Marks of a leaf: its meter signed it; it is a reading of this network, whose verdict and code go together."""
_OK = CODE_NUMBERS["ok"]
_NONE = bytes(HASH_SIZE)
_HASH = struct.Struct(f"{HASH_SIZE}s")


class HasData(Protocol):
    """A leaf of a log."""

    @property
    def data(self) -> bytes:
        """Its type byte and payload."""
        ...


_L = TypeVar("_L", bound=HasData)
Examined = tuple[_L, bytes, bytes, int]
"""A leaf, its hash (RFC 6962), its record's hash (zeros where it is no reading), and its marks."""


def examine(leaves: list[bytes], network_id: bytes, verified: int = 0) -> tuple[bytes, bytes, bytes]:
    """Leaf hashes one after another, record hashes likewise (zeros where there is none), and a byte of marks for each.

    SIGNED stands where the meter's key made the signature, by the validator's strict rules; those of the first
    `verified` leaves were verified before. A reading without WELL_FORMED has a fault, which the audit names.
    """
    sha256, hashes, records, marks = hashlib.sha256, [], [], bytearray(len(leaves))
    for place, data in enumerate(leaves):
        hashes.append(sha256(b"\0" + data).digest())
        if len(data) != READING_SIZE or data[0] != LEAF_READING:
            records.append(_NONE)
            continue
        record = data[FRAME_AT:RECORD_END]
        records.append(sha256(record).digest())
        mark = WELL_FORMED if _is_well_formed(data, network_id) else 0
        if place < verified or Signature(data[KEY_END:]).verify(Pubkey(data[RECORD_END:KEY_END]), record):
            mark |= SIGNED
        marks[place] = mark
    return b"".join(hashes), b"".join(records), bytes(marks)


def _is_well_formed(leaf: bytes, network_id: bytes) -> bool:
    _, verdict, code, magic, network, source, flags = FORM.unpack_from(leaf)
    return (
        magic == READING_MAGIC
        and network == network_id
        and verdict == (VERDICT_ACCEPTED if code == _OK else VERDICT_HELD)
        and source < len(SOURCES)
        and not flags & ~KNOWN_FLAGS
    )


def _examine_joined(leaves: bytes, sizes: array[int], network_id: bytes, verified: int) -> tuple[bytes, bytes, bytes]:
    """The same of leaves one behind the other, as they go to another process: one object, and not a thousand."""
    ends = list(accumulate(sizes, initial=0))
    return examine([leaves[start:end] for start, end in pairwise(ends)], network_id, verified)


def examined(
    leaves: Iterable[_L], network_id: bytes, *, jobs: int, size: int, verified: int = 0
) -> Iterator[Examined[_L]]:
    """The leaves in order with what was computed of each; `size` is about how many they are.

    The signatures of the first `verified` were verified before, and are not again.
    """
    batches = enumerate(_batches(leaves))
    if jobs < 2 or size < WORTH_PROCESSES:
        for number, batch in batches:
            yield from _joined(batch, *examine([leaf.data for leaf in batch], network_id, verified - number * BATCH))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:

        def submit(number: int, batch: list[bytes]) -> Future[tuple[bytes, bytes, bytes]]:
            sizes = array("I", map(len, batch))
            return pool.submit(_examine_joined, b"".join(batch), sizes, network_id, verified - number * BATCH)

        yield from _ahead(batches, submit, jobs * AHEAD)


def _batches(leaves: Iterable[_L]) -> Iterator[list[_L]]:
    source = iter(leaves)
    while batch := list(islice(source, BATCH)):
        yield batch


def _ahead(
    batches: Iterator[tuple[int, list[_L]]],
    submit: Callable[[int, list[bytes]], Future[tuple[bytes, bytes, bytes]]],
    ahead: int,
) -> Iterator[Examined[_L]]:
    waiting: deque[tuple[list[_L], Future[tuple[bytes, bytes, bytes]]]] = deque()
    try:
        while True:
            for number, batch in islice(batches, ahead - len(waiting)):
                waiting.append((batch, submit(number, [leaf.data for leaf in batch])))
            if not waiting:
                return
            batch, future = waiting.popleft()
            yield from _joined(batch, *future.result())
    finally:
        for _, future in waiting:
            future.cancel()


def _joined(batch: list[_L], hashes: bytes, records: bytes, marks: bytes) -> Iterator[Examined[_L]]:
    return zip(batch, _apart(hashes), _apart(records), marks, strict=True)


def _apart(hashes: bytes) -> Iterator[bytes]:
    """Hashes that lie one behind the other."""
    return chain.from_iterable(_HASH.iter_unpack(hashes))
