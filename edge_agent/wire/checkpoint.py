"""The log's checkpoint as a signed note (C2SP signed-note and tlog-checkpoint): what the receipt key signs of a tree.

The note's text is the log's origin, the tree's size in decimal, its root in base64, a line each. The origin is made of
the network id, so that whoever knows the network knows it, and a receipt need not carry it. It keeps to what
MicroPython has.
"""

from __future__ import annotations

import binascii
import hashlib

ORIGIN = "ami/v1/"
SIGNATURE_TYPE_ED25519 = b"\x01"
SIGNATURE_SIZE = 64
HASH_SIZE = 32
KEY_ID_SIZE = 4
MAX_NOTE = 8192
"""A longer note is not read: ours has one signature, witnesses add theirs."""
_DASH = "\u2014 "


class CheckpointError(ValueError):
    """Bytes that are no checkpoint of ours; `code` is checkpoint_malformed."""

    code = "checkpoint_malformed"


def origin(network_id: bytes) -> str:
    """The log's name, which is also its key's: `ami/v1/` and the network id in hex."""
    return ORIGIN + binascii.hexlify(network_id).decode()


def note_text(network_id: bytes, size: int, root: bytes) -> bytes:
    """What the receipt key signs: origin, size, root in base64, each with its line feed."""
    return f"{origin(network_id)}\n{size}\n{_base64(root)}\n".encode()


def key_id(network_id: bytes, public_key: bytes) -> bytes:
    """The first 4 bytes of SHA-256(name || 0x0A || 0x01 || public key)."""
    return hashlib.sha256(origin(network_id).encode() + b"\n" + SIGNATURE_TYPE_ED25519 + public_key).digest()[
        :KEY_ID_SIZE
    ]


def verifier_key(network_id: bytes, public_key: bytes) -> str:
    """The key as tools for signed notes take it: name+key id in hex+base64 of 0x01 and the public key."""
    identity = binascii.hexlify(key_id(network_id, public_key)).decode()
    return f"{origin(network_id)}+{identity}+{_base64(SIGNATURE_TYPE_ED25519 + public_key)}"


def signed_note(network_id: bytes, size: int, root: bytes, signature: bytes, public_key: bytes) -> bytes:
    """The whole note, in UTF-8: text, an empty line, and the signature's line."""
    signed = _base64(key_id(network_id, public_key) + signature)
    return note_text(network_id, size, root) + f"\n{_DASH}{origin(network_id)} {signed}\n".encode()


def read_note(data: bytes) -> tuple[bytes, int, bytes, bytes, bytes]:
    """A note's network id, size, root, and the key id and signature that bear its origin's name; not yet verified.

    Lines of other signers are passed over. CheckpointError where it is no checkpoint of such a log.
    """
    try:
        if len(data) > MAX_NOTE:
            raise ValueError("it is too long")
        text, _, signatures = data.decode().partition("\n\n")
        name, size, root = text.split("\n")
        if not name.startswith(ORIGIN) or str(int(size)) != size or not 0 <= int(size) < 1 << 64:
            raise ValueError("its origin or size is not one of ours")
        network_id, tree = binascii.unhexlify(name[len(ORIGIN) :]), _from_base64(root)
        own = [line for line in signatures.split("\n") if line.startswith(f"{_DASH}{name} ")]
        signed = _from_base64(own[0].rsplit(" ", 1)[1])
        if len(network_id) != 8 or len(tree) != HASH_SIZE or len(signed) != KEY_ID_SIZE + SIGNATURE_SIZE:
            raise ValueError("a part of it has another length")
        if origin(network_id) != name:
            raise ValueError("its origin is not in lower case")
    except (ValueError, IndexError) as error:
        raise CheckpointError(f"these bytes are not the signed note of a checkpoint: {error}") from error
    return network_id, int(size), tree, signed[:KEY_ID_SIZE], signed[KEY_ID_SIZE:]


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data).decode().rstrip("\n")


def _from_base64(text: str) -> bytes:
    data = binascii.a2b_base64(text)
    if _base64(data) != text:
        raise ValueError("its base64 is not canonical")
    return data
