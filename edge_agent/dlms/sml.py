"""SML, the Smart Message Language of German meters (BSI TR-03109-1, annex IV): files out of a line's bytes, and what
they say.

A file starts with `1b1b1b1b 01010101` and ends with `1b1b1b1b 1a`, the number of its fill bytes, and a CRC-16/X-25
(some meters of Holley: the same without its initial and final inversion). Four bytes 1b among the data come twice. In
it stand messages, each a list of six with a CRC of its own (that of the file covers it, so it is not looked at); every
item starts with a byte that holds its type (bits 6 to 4) and its length (bits 3 to 0; bit 7: more bits follow), which
counts that byte itself, or a list's items.
"""

from __future__ import annotations

from edge_agent.dlms.axdr import printable
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.hdlc.checksum import checksum, checksum_bytes
from edge_agent.dlms.obis import obis_text
from edge_agent.dlms.units import scaled_text, unit_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

ESCAPE = b"\x1b\x1b\x1b\x1b"
START = ESCAPE + b"\x01\x01\x01\x01"
_END = 0x1A
_TAIL = 8
"""Bytes from the escape of the end to the end: the escape, 1a, the number of fill bytes, the CRC."""

MAX_FILE = 1 << 17
MAX_DEPTH = 12
MAX_ITEMS = 4096

_OCTETS, _BOOLEAN, _INTEGER, _UNSIGNED, _LIST = 0, 4, 5, 6, 7
_GET_LIST_RESPONSE = 0x0701

_SECONDS_INDEX, _TIMESTAMP, _LOCAL_TIMESTAMP = 1, 2, 3
_DIN_SIZE = 10


class SmlFile:
    """One file: values by OBIS code as (text or None, unit or None), the meter's number and time where it tells them,
    where it starts and ends among the bytes, and what is wrong with it. With an error it has no values.

    meter: the identification of DIN 43863-5 as it is printed on the meter, without its blanks (`1ISK0075126084`);
    other server ids as text, or in hex.
    """

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.values: dict[str, tuple[str | None, str | None]] = {}
        self.meter: str | None = None
        self.time: str | None = None
        self.errors: list[DecodeError] = []

    @property
    def open(self) -> bool:
        """Whether the bytes ended before the file did, so that more of it may come."""
        return any(error.code == "cut_short" for error in self.errors)


def read_files(data: bytes) -> list[SmlFile]:
    """All files in captured bytes; what goes wrong with one is among its errors."""
    found: list[SmlFile] = []
    for start, end, content, broken in _frames(data):
        file, error = SmlFile(start, end), broken
        if error is None:
            try:
                _check(data[start:end])
                _read_messages(content, file)
            except DecodeError as caught:
                error = caught
        if error is not None:
            file.values = {}
            file.errors.append(error)
        found.append(file)
    return found


def file_ends(data: bytes) -> list[int]:
    """Behind the last byte of each file that is whole, whatever is in it."""
    return [end for _, end, _, error in _frames(data) if error is None]


def has_noise(data: bytes) -> bool:
    """Whether bytes lie outside of every file."""
    position = 0
    for start, end, _, _ in _frames(data):
        if start > position:
            return True
        position = end
    return position < len(data)


def _frames(data: bytes) -> Iterator[tuple[int, int, bytes, DecodeError | None]]:
    """Of each file where it starts and ends, its data without fill bytes, and what is wrong with its frame."""
    start = data.find(START)
    while start >= 0:
        content, end, error = _unescape(data, start)
        yield start, end, content, error
        start = data.find(START, end)


def _unescape(data: bytes, start: int) -> tuple[bytes, int, DecodeError | None]:
    """The data of the file at `start` without its fill bytes, where the file ends, and what is wrong with its frame."""
    parts: list[bytes] = []
    position = kept = start + len(START)
    while True:
        at = data.find(ESCAPE, position)
        if at < 0 or len(data) < at + _TAIL:
            return b"", len(data), DecodeError("cut_short", "the SML file does not end", len(data))
        next_four = data[at + 4 : at + 8]
        if next_four == ESCAPE:
            parts.append(data[kept : at + 4])
            position = kept = at + 8
        elif next_four[0] == _END:
            parts.append(data[kept:at])
            content, fill = b"".join(parts), next_four[1]
            if fill > 3 or content[len(content) - fill :].strip(b"\x00"):
                return b"", at + _TAIL, DecodeError("bad_fill", "the SML file's fill bytes are wrong", at + 5)
            return content[: len(content) - fill], at + _TAIL, None
        elif next_four[0] == ESCAPE[0]:
            position = at + 1  # the first of these is still data
        else:
            # The next file, or a byte that was damaged: what lies before is not a whole file.
            return b"", at, DecodeError("missing_segment", "the SML file breaks off before its end", at)


def _check(data: bytes) -> None:
    """DecodeError `bad_crc` unless a file's last two bytes are a CRC over the rest."""
    stated = data[-2] | data[-1] << 8
    if checksum(data[:-2]) != stated and _kermit(data[:-2]) != stated:
        raise DecodeError("bad_crc", "the SML file's CRC is wrong", len(data) - 2)


def _kermit(data: bytes) -> int:
    """CRC-16/KERMIT: that of X-25 without the inversion of its first and its last 16 bits.

    A CRC is linear: the inversion at the start adds what it alone would leave behind so many zero bytes.
    """
    return checksum(data) ^ checksum(bytes(len(data)))


class _Items:
    """The items of a message, one after another. DecodeError `bad_item`, `too_deep`."""

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position
        self._left = MAX_ITEMS

    def head(self) -> tuple[int, int, int]:
        """Type, length as the item states it, and how many bytes have stated it."""
        kind = length = count = 0
        while True:
            if self.position >= len(self.data):
                raise DecodeError("bad_item", "the SML message ends within an item", self.position)
            byte = self.data[self.position]
            self.position += 1
            if count == 0:
                kind = byte >> 4 & 7
            elif byte & 0x70:
                raise DecodeError("bad_item", f"0x{byte:02x} does not go on an item's length", self.position - 1)
            count += 1
            length = length << 4 | byte & 0x0F
            if not byte & 0x80:
                return kind, length, count
            if count > 4:
                raise DecodeError("bad_item", "an item's length has more than four bytes", self.position)

    def read(self, depth: int = 0) -> Any:
        """Octets as bytes, numbers as int, booleans as bool, lists as list; an item that is left out is None."""
        at = self.position
        kind, length, count = self.head()
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise DecodeError("too_deep", "the SML message has too many items, or lists too deep in each other", at)
        if kind == _LIST:
            return [self.read(depth + 1) for _ in range(length)]
        size = length - count
        if size < 0 or self.position + size > len(self.data):
            raise DecodeError("bad_item", f"an item of {length} bytes does not fit here", at)
        content = self.data[self.position : self.position + size]
        self.position += size
        if kind == _OCTETS:
            return content or None
        if kind in (_INTEGER, _UNSIGNED) and 1 <= size <= 8:
            number = int.from_bytes(content, "big")
            return number - (1 << 8 * size) if kind == _INTEGER and content[0] & 0x80 else number
        if kind == _BOOLEAN and size == 1:
            return content[0] != 0
        raise DecodeError("bad_item", f"no item of type {kind} has {length} bytes", at)


def _read_messages(content: bytes, file: SmlFile) -> None:
    items = _Items(content)
    lists = 0
    while items.position < len(content):
        start = items.position
        kind, length, _ = items.head()
        if kind != _LIST or length != 6:
            raise DecodeError("bad_item", "an SML message is a list of six items", start)
        for _ in range(3):
            items.read()  # transaction, group, what to do on an error
        body = items.read()
        _end_message(content, items)
        if not isinstance(body, list) or len(body) != 2:
            raise DecodeError("bad_item", "an SML message's body is a tag and what it names", start)
        if body[0] == _GET_LIST_RESPONSE:
            _read_list(body[1], file)
            lists += 1
    if not lists:
        raise DecodeError("no_values", "the SML file has no list of values", 0)


def _end_message(content: bytes, items: _Items) -> None:
    """The last two of a message's six items: its CRC, which the file's covers, and the zero byte of its end."""
    at = items.position
    if not isinstance(items.read(), int) or content[items.position : items.position + 1] != b"\x00":
        raise DecodeError("bad_item", "an SML message ends with its CRC and a zero byte", at)
    items.position += 1


def _read_list(body: Any, file: SmlFile) -> None:
    """A GetList.Res: client, server, list name, the meter's time, values, signature, the gateway's time."""
    if not isinstance(body, list) or len(body) != 7 or not isinstance(body[4], list):
        raise DecodeError("bad_item", "an SML list response has seven items, the fifth of which are the values", 0)
    names = [body[1]]
    for entry in body[4]:
        if not isinstance(entry, list) or len(entry) != 7 or not isinstance(entry[0], bytes):
            raise DecodeError("bad_item", "an SML list entry has seven items and starts with an OBIS code", 0)
        code, _, _, unit, scaler, value = entry[:6]
        name = obis_text(code)
        file.values[name] = (_text(value, scaler), unit_text(unit) if isinstance(unit, int) else None)
        if name in _NUMBERS and isinstance(value, bytes):
            names.append(value)
    file.meter = file.meter or next((found for found in map(_meter, names) if found is not None), None)
    file.time = _time(body[3]) or file.time


_NUMBERS = ("1-0:96.1.0.255", "1-0:0.0.9.255", "1-0:0.0.0.255", "0-0:96.1.255.255")
"""Where the meter's number stands among the values, where the answer itself does not name the meter."""


def _text(value: Any, scaler: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return scaled_text(value, scaler) if isinstance(scaler, int) and -32 <= scaler <= 32 else str(value)
    if isinstance(value, bytes):
        return printable(value, padded=False)
    return None


def _meter(server: Any) -> str | None:
    """A server id as it stands on the meter; None where there is none, or where it is all zeros."""
    if not isinstance(server, bytes) or not server.strip(b"\x00"):
        return None
    if len(server) == _DIN_SIZE and server[0] == _DIN_SIZE and 1 <= server[1] <= 9 and server[2:5].isalpha():
        number = int.from_bytes(server[6:], "big")
        return f"{server[1]}{server[2:5].decode()}{server[5]:02X}{number:08d}"
    return printable(server, padded=False)


def _time(time: Any) -> str | None:
    """ISO 8601 of a timestamp; a count of the meter's seconds of operation is not a time."""
    if not isinstance(time, list) or len(time) != 2:
        return None
    kind, value = time
    if kind == _TIMESTAMP and isinstance(value, int) and value > 0:
        return ClockTime.from_unix(value).iso()
    if kind == _LOCAL_TIMESTAMP and isinstance(value, list) and len(value) == 3:
        seconds, offset, season = value
        if all(isinstance(part, int) for part in value) and seconds > 0 and -840 <= offset + season <= 840:
            return ClockTime.from_unix(seconds, -(offset + season)).iso()
    return None


def write_file(
    meter: str, values: list[tuple[bytes, int | bytes, int | None, int | None]], time: int | None, number: int = 0
) -> bytes:
    """A file as meters push it: open, one list of values, close.

    values: (OBIS code, number or octets, scaler, unit's number) each; time: Unix seconds, None for a meter without a
    clock; number: of the file, from which those of its three messages come.
    """
    server = _octets(_server(meter))
    entries = b"".join([_entry(*value) for value in values])
    clock = b"\x01" if time is None else b"\x72" + _unsigned(_TIMESTAMP, 1) + _unsigned(time, 4)
    listed = _list_head(7) + b"\x01" + server + b"\x01" + clock + _list_head(len(values)) + entries + b"\x01\x01"
    opened = _list_head(6) + b"\x01\x01" + _octets((number & 0xFFFFFFFF).to_bytes(4, "big")) + server + b"\x01\x01"
    bodies = ((0x0101, opened), (_GET_LIST_RESPONSE, listed), (0x0201, _list_head(1) + b"\x01"))
    content = b"".join([_message(3 * number + at, tag, body) for at, (tag, body) in enumerate(bodies)])
    fill = -len(content) % 4
    data = START + (content + bytes(fill)).replace(ESCAPE, ESCAPE + ESCAPE) + ESCAPE + bytes((_END, fill))
    return data + checksum_bytes(data)


def _server(meter: str) -> bytes:
    """The server id of a meter's number; any other name as its characters."""
    maker, block, number = meter[1:4], meter[4:6], meter[6:]
    if len(meter) == 14 and meter[0] in "123456789" and maker.isalpha() and number.isdigit():
        try:
            head = bytes((_DIN_SIZE, int(meter[0]))) + maker.encode("ascii") + bytes((int(block, 16),))
            return head + int(number).to_bytes(4, "big")
        except ValueError:
            pass
    return meter.encode("ascii")


def _message(number: int, tag: int, body: bytes) -> bytes:
    """A message in a group of its own, after whose errors the reader goes on."""
    data = _list_head(6) + _octets((number & 0xFFFFFFFF).to_bytes(4, "big")) + _unsigned(0, 1) + _unsigned(0, 1)
    data += _list_head(2) + _unsigned(tag, 2) + body
    return data + _unsigned(int.from_bytes(checksum_bytes(data), "big"), 2) + b"\x00"


_LAST_NUMBER = (1 << 64) - 1


def _entry(code: bytes, value: int | bytes, scaler: int | None, unit: int | None) -> bytes:
    scale = b"\x01" if scaler is None else b"\x52" + bytes((scaler & 0xFF,))
    named = b"\x01" if unit is None else _unsigned(unit, 1)
    said = _octets(value) if isinstance(value, bytes) else b"\x59" + (value & _LAST_NUMBER).to_bytes(8, "big")
    return _list_head(7) + _octets(code) + b"\x01\x01" + named + scale + said + b"\x01"


def _unsigned(value: int, size: int) -> bytes:
    return bytes((_UNSIGNED << 4 | size + 1,)) + value.to_bytes(size, "big")


def _octets(value: bytes) -> bytes:
    """Octets behind their length, which counts its own bytes."""
    size = len(value) + 1
    if size < 0x10:
        return bytes((size,)) + value
    size += 1
    return bytes((0x80 | size >> 4, size & 0x0F)) + value


def _list_head(count: int) -> bytes:
    if count < 0x10:
        return bytes((_LIST << 4 | count,))
    return bytes((0x80 | _LIST << 4 | count >> 4, count & 0x0F))
