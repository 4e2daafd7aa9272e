"""What an audit computes of each leaf by itself: its hash, its record's hash, its meter's signature. On all cores.

Verifying signatures is most of an audit's work, and needs nothing but the leaf: so it is done ahead of the audit, in
processes of its own, a batch at a time, and handed on in the log's order. A small log is not worth the processes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import accumulate, islice, pairwise
from typing import Protocol, TypeVar

from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.log.reading_leaf import FRAME_AT, KEY_END, READING_SIZE, RECORD_END
from edge_agent.wire.reading import LEAF_READING

HASH_SIZE = 32
BATCH = 1_024
AHEAD = 4
"""Batches that wait for each process: what the audit takes while they work."""
WORTH_PROCESSES = 50_000
"""Leaves below which one process is as fast."""


class HasData(Protocol):
    """A leaf of a log."""

    @property
    def data(self) -> bytes:
        """Its type byte and payload."""
        ...


_L = TypeVar("_L", bound=HasData)
Examined = tuple[_L, bytes, bytes, bool]
"""A leaf, its hash (RFC 6962), its record's hash (zeros where it is no reading), and whether its meter signed it."""


def examine(leaves: list[bytes], verified: int = 0) -> tuple[bytes, bytes, bytes]:
    """Leaf hashes one after another, record hashes likewise (zeros where there is none), and a byte for each signature.

    A signature is 1 where the meter's key made it, by the validator's strict rules; those of the first `verified`
    leaves were verified before.
    """
    sha256, hashes, records, signed = hashlib.sha256, [], [], bytearray(len(leaves))
    none = bytes(HASH_SIZE)
    for place, data in enumerate(leaves):
        hashes.append(sha256(b"\0" + data).digest())
        if len(data) != READING_SIZE or data[0] != LEAF_READING:
            records.append(none)
            continue
        record = data[FRAME_AT:RECORD_END]
        records.append(sha256(record).digest())
        if place < verified:
            signed[place] = True
            continue
        signed[place] = Signature(data[KEY_END:]).verify(Pubkey(data[RECORD_END:KEY_END]), record)
    return b"".join(hashes), b"".join(records), bytes(signed)


def _examine_joined(leaves: bytes, sizes: array[int], verified: int) -> tuple[bytes, bytes, bytes]:
    """The same of leaves one behind the other, as they go to another process: one object, and not a thousand."""
    ends = list(accumulate(sizes, initial=0))
    return examine([leaves[start:end] for start, end in pairwise(ends)], verified)


def examined(leaves: Iterable[_L], *, jobs: int, size: int, verified: int = 0) -> Iterator[Examined[_L]]:
    """The leaves in order with what was computed of each; `size` is about how many they are.

    The signatures of the first `verified` were verified before, and are not again.
    """
    batches = enumerate(_batches(leaves))
    if jobs < 2 or size < WORTH_PROCESSES:
        for number, batch in batches:
            yield from _joined(batch, *examine([leaf.data for leaf in batch], verified - number * BATCH))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:

        def submit(number: int, batch: list[bytes]) -> Future[tuple[bytes, bytes, bytes]]:
            sizes = array("I", map(len, batch))
            return pool.submit(_examine_joined, b"".join(batch), sizes, verified - number * BATCH)

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


def _joined(batch: list[_L], hashes: bytes, records: bytes, signed: bytes) -> Iterator[Examined[_L]]:
    for place, (leaf, valid) in enumerate(zip(batch, signed, strict=True)):
        at = place * HASH_SIZE
        yield leaf, hashes[at : at + HASH_SIZE], records[at : at + HASH_SIZE], bool(valid)
