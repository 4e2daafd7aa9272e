"""Base58 as Solana writes it (Bitcoin's alphabet), for the lengths that solders' own types do not cover."""

from __future__ import annotations

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_PAIR, _CHUNK = 58**2, 58**10
"""Two digits, and ten: as many as a division of small numbers takes apart."""
_DIGITS = {character: digit for digit, character in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """Bytes as base58 text."""
    number = int.from_bytes(data, "big")
    pairs = []
    while number:
        number, chunk = divmod(number, _CHUNK)
        for _ in range(5):
            chunk, pair = divmod(chunk, _PAIR)
            pairs.append(_PAIRS[pair])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(pairs)).lstrip("1")


def decode(text: str) -> bytes:
    """Base58 text as bytes; ValueError for a character that is not in base58's alphabet."""
    number = 0
    for character in text:
        if character not in _DIGITS:
            raise ValueError(f"{character!r} is not base58 character")
        number = number * 58 + _DIGITS[character]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
