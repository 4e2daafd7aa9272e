"""HDLC addresses (Green Book 8.4.2.3): seven bits a byte, the lowest bit set in the last.

A client's address has one byte. A server's has one (logical device), two (logical, physical) or four (each of
fourteen bits).
"""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError, EncodeError

ALL_STATIONS_1 = 0x7F
ALL_STATIONS_2 = 0x3FFF


def encode_address(logical: int, physical: int | None = None, size: int | None = None) -> bytes:
    """One, two or four bytes, the shortest that hold it unless `size` says; EncodeError `bad_address`.

    Two and four bytes without a physical address take 0x7F or 0x3FFF (all physical devices) when asked by size.
    """
    if size is None:
        short = 1 if physical is None else 2
        size = short if logical < 0x80 and (physical or 0) < 0x80 else 4
    if size == 1 and physical is None and 0 <= logical < 0x80:
        return bytes((logical << 1 | 1,))
    if size == 2:
        lower = ALL_STATIONS_1 if physical is None else physical
        if 0 <= logical < 0x80 and 0 <= lower < 0x80:
            return bytes((logical << 1, lower << 1 | 1))
    if size == 4:
        lower = ALL_STATIONS_2 if physical is None else physical
        if 0 <= logical < 0x4000 and 0 <= lower < 0x4000:
            return bytes((logical >> 6 & 0xFE, logical << 1 & 0xFE, lower >> 6 & 0xFE, lower << 1 & 0xFE | 1))
    raise EncodeError("bad_address", f"logical {logical}, physical {physical} do not fit an address of {size} bytes")


def server_address(number: int, physical: int | None = None, size: int | None = None) -> bytes:
    """A server's address as people write it.

    With a physical address, or below 128, `number` is the logical device. From 128 on it is the combined number that
    other tools print: logical x 128 + physical in two bytes, logical x 16384 + physical in four.
    """
    if physical is not None or number < 0x80 or size == 1:
        return encode_address(number, physical, size)
    if number < 0x4000 and size in (None, 2):
        return encode_address(number >> 7, number & 0x7F, 2)
    return encode_address(number >> 14, number & 0x3FFF, 4)


def decode_address(address: bytes) -> tuple[int, int | None]:
    """Logical and physical address of the one, two or four bytes; DecodeError `bad_address`."""
    size = len(address)
    if size in (1, 2, 4) and address[-1] & 1 and not any(byte & 1 for byte in address[:-1]):
        if size == 1:
            return address[0] >> 1, None
        if size == 2:
            return address[0] >> 1, address[1] >> 1
        return address[0] << 6 | address[1] >> 1, address[2] << 6 | address[3] >> 1
    raise DecodeError("bad_address", f"{address.hex()} is not an HDLC address of 1, 2 or 4 bytes", 0)
