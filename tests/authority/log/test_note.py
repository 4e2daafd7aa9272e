"""Signed notes: what any log monitor would accept, and what it would refuse."""

from __future__ import annotations

import base64

import pytest
from solders.keypair import Keypair

from authority.log.note import LogCheckpoint, NoteError, VerifierKey, open_note, sign, signature_line

KEY = Keypair.from_seed(bytes(range(32)))
OTHER = Keypair.from_seed(bytes(32))
NAME = "campus.example/log/0011223344556677"
VERIFIER = VerifierKey(NAME, bytes(KEY.pubkey()))
CHECKPOINT = LogCheckpoint(NAME, 1203, bytes(range(32)))

PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""The example in the documentation of golang.org/x/mod/sumdb/note."""


def refused(note: bytes, verifier: VerifierKey = VERIFIER) -> str:
    with pytest.raises(NoteError) as caught:
        open_note(note, verifier)
    return caught.value.code


def test_a_note_is_opened_by_its_key() -> None:
    note = sign(CHECKPOINT, NAME, KEY).encode()
    assert note.startswith(f"{NAME}\n1203\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n— {NAME} ".encode())
    assert open_note(note, VERIFIER) == CHECKPOINT


def test_the_published_key_and_signature_hold() -> None:
    verifier = VerifierKey.parse(PUBLISHED_KEY)
    assert str(verifier) == PUBLISHED_KEY
    # Its text is not a checkpoint; that it gets so far shows that the signature's form is read. The signature itself:
    text, _, line = PUBLISHED_NOTE.rpartition("\n\n")
    raw = base64.b64decode(line.split()[-1])
    assert raw[:4] == verifier.key_hash
    from solders.pubkey import Pubkey
    from solders.signature import Signature

    assert Signature(raw[4:]).verify(Pubkey(verifier.public_key), (text + "\n").encode())


def test_witnesses_sign_below() -> None:
    witness = VerifierKey("witness.example", bytes(OTHER.pubkey()))
    line = signature_line(witness, bytes(OTHER.sign_message(CHECKPOINT.text().encode())))
    note = (sign(CHECKPOINT, NAME, KEY) + line).encode()
    assert open_note(note, VERIFIER) == open_note(note, witness) == CHECKPOINT


def test_extensions_are_signed_and_passed_over() -> None:
    text = CHECKPOINT.text() + "extension\n"
    note = f"{text}\n{signature_line(VERIFIER, bytes(KEY.sign_message(text.encode())))}".encode()
    assert open_note(note, VERIFIER) == CHECKPOINT
    assert refused(note.replace(b"extension", b"Extension")) == "bad_signature"


def test_every_changed_byte_is_found_out() -> None:
    note = sign(CHECKPOINT, NAME, KEY).encode()
    for at in range(len(note)):
        for change in (1, 0x20, 0x80):
            changed = note[:at] + bytes([note[at] ^ change]) + note[at + 1 :]
            assert refused(changed) in {"note_malformed", "not_signed", "bad_signature"}


def test_another_key_or_name_is_not_it() -> None:
    note = sign(CHECKPOINT, NAME, KEY).encode()
    assert refused(note, VerifierKey(NAME, bytes(OTHER.pubkey()))) == "not_signed"
    assert refused(note, VerifierKey("other", bytes(KEY.pubkey()))) == "not_signed"


GOOD = sign(CHECKPOINT, NAME, KEY)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "a\n",
        GOOD[:-1],
        GOOD.replace("\n\n", "\n"),
        GOOD + "\n",
        GOOD.replace("1203", "01203"),
        GOOD.replace("1203", "-1"),
        GOOD.replace("1203", "1203 "),
        GOOD.replace("— ", "- "),
        GOOD.replace("AAECAwQ", "AAECA"),
        GOOD + "— x AAAA\n",
        GOOD.replace("\n1203", "\r\n1203"),
        "x" * (1 << 17) + GOOD,
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    assert refused(note.encode()) == "note_malformed"
    assert refused(b"\xff" + GOOD.encode()) == "note_malformed"


@pytest.mark.parametrize("text", ["", "a+b", "a+00000000+AQ==", PUBLISHED_KEY.replace("c74f", "c74e"), "a b+1+AA=="])
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError) as caught:
        VerifierKey.parse(text)
    assert caught.value.code == "key_malformed"
