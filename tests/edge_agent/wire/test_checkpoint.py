"""Checkpoints as signed notes, with the example of golang.org/x/mod/sumdb/note, and the receipts that rest on them."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_agent.wire import checkpoint, merkle, reading
from edge_agent.wire.checkpoint import CheckpointError
from edge_agent.wire.reading import Frame, ReadingError, Receipt, Record

NETWORK = bytes.fromhex("0123456789abcdef")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


def test_the_key_id_is_made_as_the_notes_specification_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its example's name, key, text and signature; the name is the origin here."""
    name, identity, key = "PeterNeumann", "c74f20a3", base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signed = base64.b64decode(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    Ed25519PublicKey.from_public_bytes(key[1:]).verify(signed[4:], text)
    monkeypatch.setattr(checkpoint, "origin", lambda _: name)
    assert checkpoint.key_id(NETWORK, key[1:]) == bytes.fromhex(identity) == signed[:4]
    assert checkpoint.verifier_key(NETWORK, key[1:]) == f"{name}+{identity}+{base64.b64encode(key).decode()}"


def test_a_note_is_read_back_and_others_signatures_are_passed_over() -> None:
    root = hashlib.sha256(b"root").digest()
    signature = KEY.sign(checkpoint.note_text(NETWORK, 7, root))
    note = checkpoint.signed_note(NETWORK, 7, root, signature, PUBLIC)
    assert note.startswith(b"ami/v1/0123456789abcdef\n7\n")
    read = (NETWORK, 7, root, checkpoint.key_id(NETWORK, PUBLIC), signature)
    assert checkpoint.read_note(note) == read
    witnessed = note + "\u2014 witness.example AAAA\n".encode()
    assert checkpoint.read_note(witnessed) == read


@pytest.mark.parametrize(
    "spoil",
    [
        lambda n: b"",
        lambda n: b"\xff" + n,
        lambda n: n.replace(b"ami/v1/", b"ami/v2/", 1),
        lambda n: n.replace(b"\n7\n", b"\n07\n"),
        lambda n: n.replace(b"\n7\n", b"\n-7\n"),
        lambda n: n.replace(b"\n7\n", b"\nseven\n"),
        lambda n: n.replace(b"\n7\n", b"\n" + b"9" * 30 + b"\n"),
        lambda n: n.replace(b"abcdef\n", b"ABCDEF\n", 1),
        lambda n: n.replace(b"abcdef\n", b"abcd\n", 1),
        lambda n: n.replace(b"\n\n", b"\nextension\n\n"),
        lambda n: n.split(b"\n\n")[0],
        lambda n: n[:-6] + b"\n",
        lambda n: n + b"\n" * 10_000,
    ],
)
def test_what_is_no_note_of_ours_is_refused(spoil: object) -> None:
    note = checkpoint.signed_note(NETWORK, 7, bytes(32), bytes(64), PUBLIC)
    with pytest.raises(CheckpointError):
        checkpoint.read_note(spoil(note))  # type: ignore[operator]


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
        signature=KEY.sign(checkpoint.note_text(NETWORK, size, row[0])),
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
