"""A reading as the audit carries it from its leaf to the event by which the chain took it."""

from __future__ import annotations

from typing import NamedTuple


class Reading(NamedTuple):
    """What of a record the chain's accounts say too: registers in Wh, the interval's end in Unix seconds.

    A tuple, because an audit makes one of every reading. digest is the SHA-256 of the record.
    """

    sequence: int
    interval_end: int
    registers: tuple[int, int, int, int]
    register_epoch: int
    flags: int
    digest: bytes
    log_index: int
