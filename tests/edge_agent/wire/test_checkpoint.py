"""What the receipt key signs of a tree, and the receipts that lead to it."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.wire import checkpoint, merkle, reading
from edge_agent.wire.reading import Frame, ReadingError, Receipt, Record

NETWORK = bytes.fromhex("0123456789abcdef")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


def test_the_text_is_three_lines() -> None:
    root = hashlib.sha256(b"root").digest()
    text = checkpoint.note_text(checkpoint.origin(NETWORK), 7, root)
    assert text == b"ami/log/0123456789abcdef\n7\n" + base64.b64encode(root) + b"\n"


def proof_of(size: int, index: int) -> tuple[Frame, Receipt]:
    """A frame and its receipt in a tree of `size` leaves, built naively."""
    record = Record(
        sequence=index + 1, network_id=NETWORK, interval_end=0, generation=0, consumption=0, charge=0, discharge=0,
        interval_seconds=900, source=0,
    ).to_bytes()  # fmt: skip
    frame = Frame(record, PUBLIC, KEY.sign(record))
    row = [merkle.leaf_hash(b"%d" % n) for n in range(size)]
    row[index] = merkle.leaf_hash(reading.reading_leaf(1, 0, 5, frame.to_bytes()))
    path, at = [], index
    while len(row) > 1:
        if at ^ 1 < len(row):
            path.append(row[at ^ 1])
        row = [merkle.node_hash(*row[n : n + 2]) if n + 1 < len(row) else row[n] for n in range(0, len(row), 2)]
        at >>= 1
    receipt = Receipt(
        verdict=1, code=0, network_id=NETWORK, meter_key=PUBLIC, record_hash=reading.record_hash(record),
        sequence=index + 1, next_expected=index + 2, log_index=index, time=5, size=size, path=b"".join(path),
        signature=KEY.sign(checkpoint.note_text(checkpoint.origin(NETWORK), size, row[0])),
    )  # fmt: skip
    return frame, receipt


@pytest.mark.parametrize(("size", "index"), [(1, 0), (2, 1), (5, 4), (5, 0), (7, 6), (8, 3), (100, 99), (100, 64)])
def test_a_receipt_leads_to_what_was_signed(size: int, index: int) -> None:
    frame, receipt = proof_of(size, index)
    KEY.public_key().verify(receipt.signature, receipt.signed_message(frame))
    data = receipt.to_bytes()
    assert len(data) == 176 + len(receipt.path)
    assert data[:8] == b"AMC2\x01" + bytes([len(receipt.path) // 32]) + b"\0\0"
    assert Receipt.from_bytes(data).to_bytes() == data
    other, _ = proof_of(size + 1, index)
    if size > index + 1:
        _, another = proof_of(size, index + 1)
        with pytest.raises(ReadingError):
            another.signed_message(other)


def test_receipts_of_both_kinds_follow_one_another() -> None:
    _, proof = proof_of(5, 2)
    plain = Receipt(
        verdict=0, code=5, network_id=NETWORK, meter_key=PUBLIC, record_hash=bytes(32), sequence=1, next_expected=2,
        log_index=reading.NO_LOG_INDEX, time=1,
    )  # fmt: skip
    data = plain.to_bytes() + proof.to_bytes() + plain.to_bytes() + proof.to_bytes()
    read = reading.split_receipts(data)
    assert [receipt.to_bytes() for receipt in read] == [plain.to_bytes(), proof.to_bytes()] * 2
    for cut in (1, 6, 167, 169, 170, 175, len(data) - 1):
        with pytest.raises(ReadingError):
            reading.split_receipts(data[:cut])


def test_a_proof_says_accepted_or_held_alone() -> None:
    _, proof = proof_of(5, 2)
    data = proof.to_bytes()
    for verdict in (0, 3, 4):
        with pytest.raises(ReadingError):
            Receipt.from_bytes(data[:4] + bytes([verdict]) + data[5:])
    with pytest.raises(ReadingError):
        Receipt.from_bytes(data[:5] + b"\x41" + data[6:176] + bytes(65 * 32))
