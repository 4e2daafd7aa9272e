"""Signed frames of two keys, and receipts for them, for tests of what keeps them."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.state.keys import MeterKey
from edge_agent.wire.reading import (
    CODE_NUMBERS,
    NO_LOG_INDEX,
    VERDICT_ACCEPTED,
    Frame,
    Receipt,
    Record,
    record_hash,
)

KEY = MeterKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = MeterKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))


def frame(sequence, key=KEY, generation=None):
    record = Record(
        sequence=sequence,
        network_id=b"campus-1",
        interval_end=900 * sequence,
        generation=sequence if generation is None else generation,
        consumption=0,
        charge=0,
        discharge=0,
        interval_seconds=900,
        source=1,
    ).to_bytes()
    return Frame(record, key.public_key, key.sign(record))


def receipt(of, verdict=VERDICT_ACCEPTED, code="ok", **changes):
    fields = {
        "verdict": verdict,
        "code": CODE_NUMBERS[code],
        "network_id": b"campus-1",
        "meter_key": of.public_key,
        "record_hash": record_hash(of.record_bytes),
        "sequence": of.record.sequence,
        "next_expected": of.record.sequence + 1,
        "log_index": NO_LOG_INDEX,
        "time": 0,
    }
    return Receipt(**{**fields, **changes})
