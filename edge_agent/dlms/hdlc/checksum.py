"""The frame check of HDLC and of DSMR's neighbours: CRC-16/X-25 (ISO/IEC 13239), least significant byte first.

Where the interpreter has `binascii.crc_hqx` (the same polynomial, bits in the other order), that does the work.
"""

from __future__ import annotations

try:
    from binascii import crc_hqx as _crc_hqx
except ImportError:  # MicroPython
    _crc_hqx = None  # type: ignore[assignment]


def _reversed_bits(byte: int) -> int:
    return int("".join(["1" if byte >> bit & 1 else "0" for bit in range(8)]), 2)


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
        table.append(crc)
    return table


_TABLE = _table()
_REVERSED = bytes([_reversed_bits(byte) for byte in range(256)])


def checksum_by_table(data: bytes) -> int:
    """The check value of `data`, computed here."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFF


def checksum_by_library(data: bytes) -> int:
    """The check value of `data`, computed by `binascii.crc_hqx` over mirrored bits."""
    crc = _crc_hqx(data.translate(_REVERSED), 0xFFFF) ^ 0xFFFF
    return _REVERSED[crc & 0xFF] << 8 | _REVERSED[crc >> 8]


checksum = checksum_by_table if _crc_hqx is None else checksum_by_library


def checksum_bytes(data: bytes) -> bytes:
    """The check value as it stands in a frame."""
    value = checksum(data)
    return bytes((value & 0xFF, value >> 8))
