"""The text of a checkpoint, which the receipt key signs: C2SP tlog-checkpoint, what a receipt's proof leads to.

Three lines: the log's origin, the tree's size in decimal, its root in base64. The origin is made of the network id, so
that whoever knows the network knows it, and a receipt need not carry it. It keeps to what MicroPython has.
"""

from __future__ import annotations

import binascii

ORIGIN = "ami/log/"


def origin(network_id: bytes) -> str:
    """The log's one name, and its key's: `ami/log/` and the network id in hex."""
    return ORIGIN + binascii.hexlify(network_id).decode()


def note_text(name: str, size: int, root: bytes) -> bytes:
    """What is signed of a tree of the log of that name: each of the three lines with its line feed."""
    return f"{name}\n{size}\n".encode() + binascii.b2a_base64(root)
