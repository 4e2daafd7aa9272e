"""A-XDR (IEC 61334-6) as DLMS uses it: the Data type of the Green Book, decoded to and encoded from `(tag, value)`.

A Data is the tuple `(tag, value)`, so nothing of a meter's own typing is lost and a telegram goes through with one
small allocation a value:

| tag | value |
|---|---|
| NULL, DONT_CARE | None |
| ARRAY, STRUCTURE | list of Data |
| BOOLEAN | bool |
| BIT_STRING | text of `0` and `1` |
| integers, ENUM, BCD | int |
| FLOAT32, FLOAT64 | float |
| OCTET_STRING, VISIBLE_STRING, UTF8_STRING, DATE_TIME, DATE, TIME | bytes |
| COMPACT_ARRAY | (type description as bytes, list of Data) |
"""

from __future__ import annotations

import struct

from edge_agent.dlms.errors import DecodeError, EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Data = tuple[int, Any]

NULL = 0
ARRAY = 1
STRUCTURE = 2
BOOLEAN = 3
BIT_STRING = 4
INT32 = 5
UINT32 = 6
OCTET_STRING = 9
VISIBLE_STRING = 10
UTF8_STRING = 12
BCD = 13
INT8 = 15
INT16 = 16
UINT8 = 17
UINT16 = 18
COMPACT_ARRAY = 19
INT64 = 20
UINT64 = 21
ENUM = 22
FLOAT32 = 23
FLOAT64 = 24
DATE_TIME = 25
DATE = 26
TIME = 27
DELTA_INT8 = 28
DELTA_INT16 = 29
DELTA_INT32 = 30
DELTA_UINT8 = 31
DELTA_UINT16 = 32
DELTA_UINT32 = 33
DONT_CARE = 255

MAX_DEPTH = 16
"""Deepest nesting that is decoded; meters need four."""

_FIXED = {
    BOOLEAN: ("B", 1),
    INT32: (">i", 4),
    UINT32: (">I", 4),
    BCD: ("B", 1),
    INT8: ("b", 1),
    INT16: (">h", 2),
    UINT8: ("B", 1),
    UINT16: (">H", 2),
    INT64: (">q", 8),
    UINT64: (">Q", 8),
    ENUM: ("B", 1),
    FLOAT32: (">f", 4),
    FLOAT64: (">d", 8),
    DELTA_INT8: ("b", 1),
    DELTA_INT16: (">h", 2),
    DELTA_INT32: (">i", 4),
    DELTA_UINT8: ("B", 1),
    DELTA_UINT16: (">H", 2),
    DELTA_UINT32: (">I", 4),
}
DELTAS = frozenset([tag for tag in _FIXED if tag >= DELTA_INT8])
"""Differences to the value before, in the rows of a profile."""
_STRINGS = (OCTET_STRING, VISIBLE_STRING, UTF8_STRING)
_LISTS = (STRUCTURE, ARRAY)
_EMPTY = (NULL, DONT_CARE)
_SIZED = {DATE_TIME: 12, DATE: 5, TIME: 4}
INTEGERS = frozenset([tag for tag, (code, _) in _FIXED.items() if tag != BOOLEAN and code[-1] not in "fd"])
"""The types of whole numbers that a scaler can be applied to."""


_SCALED_HEAD = bytes((STRUCTURE, 3, OCTET_STRING, 6))
_TWO = STRUCTURE << 8 | 2
_SCALED = {
    tag: (f">6sB{_FIXED[tag][0][-1]}HBbBB", 17 + _FIXED[tag][1])
    for tag in (INT16, UINT16, INT32, UINT32, INT64, UINT64)
}
"""{code, number, {scaler, unit}}: by the number's tag the format from the code on, and the size of the whole."""

_STRUCT_ERROR: type[Exception] = getattr(struct, "error", ValueError)  # MicroPython has none of its own
_unpack_from = struct.unpack_from


def _cut(what: str, position: int) -> DecodeError:
    return DecodeError("cut_short", f"{what} is cut short", position)


def read_length(data: bytes, position: int) -> tuple[int, int]:
    """The length at `position` and the position after it; DecodeError `cut_short` or `bad_length`."""
    if position >= len(data):
        raise _cut("a length", position)
    first = data[position]
    if first < 0x80:
        return first, position + 1
    count = first & 0x7F
    if count == 0 or count > 4:
        raise DecodeError("bad_length", f"a length of {count} bytes is not one that DLMS uses", position)
    end = position + 1 + count
    if end > len(data):
        raise _cut("a length", position)
    return int.from_bytes(data[position + 1 : end], "big"), end


def write_length(length: int) -> bytes:
    """A length in the shortest form."""
    if length < 0x80:
        return bytes((length,))
    if length < 0x100:
        return bytes((0x81, length))
    if length < 0x10000:
        return bytes((0x82, length >> 8, length & 0xFF))
    return bytes((0x84,)) + length.to_bytes(4, "big")


def decode(data: bytes, position: int = 0, depth: int = 0, tag: int | None = None) -> tuple[Data, int]:
    """The Data at `position` and the position after it; DecodeError with the offset at which it goes wrong.

    Where a compact array has stated the type already, `tag` is given and does not stand in `data`.

    One loop over the values, with the lists that are still open on a stack: telegrams are decoded by the thousand. What
    telegrams hold most, {code, number, {scaler, unit}}, is taken by itself.
    """
    size = len(data)
    items: list[Data] = []  # of the innermost open list, which still wants `due` more
    due = 0
    kind = NULL
    stack: list[tuple[int, list[Data], int]] = []
    while True:
        if tag is None:
            if position >= size:
                raise _cut("a value", position)
            tag = data[position]
            if due > 1 and tag == STRUCTURE and len(stack) + depth < MAX_DEPTH - 1:
                before = len(items)
                position = _decode_scaled(data, position, items, due - 1)
                if len(items) > before:
                    due -= len(items) - before
                    tag = None
                    continue
            position += 1
        fixed = _FIXED.get(tag)
        value: Any
        if fixed is not None:
            end = position + fixed[1]
            if end > size:
                raise _cut("a number", position - 1)
            value = _unpack_from(fixed[0], data, position)[0]
            if tag == BOOLEAN:
                value = value != 0
            position = end
        elif tag in _STRINGS:
            if position < size and data[position] < 0x80:
                length = data[position]
                position += 1
            else:
                length, position = read_length(data, position)
            end = position + length
            if end > size:
                raise _cut(f"a string of {length} bytes", position)
            value = data[position:end]
            position = end
        elif tag in _LISTS:
            if depth + len(stack) >= MAX_DEPTH:
                raise DecodeError("too_deep", f"values nest deeper than {MAX_DEPTH}", position - 1)
            if position < size and data[position] < 0x80:
                count = data[position]
                position += 1
            else:
                count, position = read_length(data, position)
            if count > size - position:
                raise _cut(f"a list of {count} values", position)
            value = []
            if count:
                stack.append((kind, items, due))
                kind, items, due, tag = tag, value, count, None
                continue
        elif tag in _EMPTY:
            value = None
        elif tag == BIT_STRING:
            value, position = _decode_bits(data, position)
        elif tag in _SIZED:
            end = position + _SIZED[tag]
            if end > size:
                raise _cut("a date or time", position)
            value = data[position:end]
            position = end
        elif tag == COMPACT_ARRAY:
            value, position = _decode_compact(data, position, depth + len(stack))
        else:
            raise DecodeError("unknown_tag", f"{tag} is not the tag of a DLMS type", position - 1)
        # The value is complete, and perhaps with it the lists around it.
        while stack:
            items.append((tag, value))
            due -= 1
            if due:
                break
            tag, value = kind, items
            kind, items, due = stack.pop()
        else:
            return (tag, value), position
        tag = None


def _decode_scaled(data: bytes, position: int, items: list[Data], most: int) -> int:
    """Take in so many {code, number, {scaler, unit}} as stand one after another, but no more than `most`; the position
    after them. What is cut short or otherwise wrong is left to the caller."""
    size = len(data)
    for _ in range(most):
        if data[position : position + 4] != _SCALED_HEAD or position + 10 >= size:
            break
        tag = data[position + 10]
        form = _SCALED.get(tag)
        if form is None or position + form[1] > size:
            break
        code, tag, number, two, byte, scaler, enum, unit = _unpack_from(form[0], data, position + 4)
        if two != _TWO or byte != INT8 or enum != ENUM:
            break
        items.append((STRUCTURE, [(OCTET_STRING, code), (tag, number), (STRUCTURE, [(INT8, scaler), (ENUM, unit)])]))
        position += form[1]
    return position


def decode_all(data: bytes) -> Data:
    """One Data and nothing after it; DecodeError, `trailing_bytes` where something follows."""
    value, position = decode(data)
    if position != len(data):
        raise DecodeError("trailing_bytes", f"{len(data) - position} bytes follow the value", position)
    return value


def _decode_bits(data: bytes, position: int) -> tuple[str, int]:
    count, position = read_length(data, position)
    size = (count + 7) // 8
    if position + size > len(data):
        raise _cut(f"a bit-string of {count} bits", position)
    text = "".join([f"{byte:08b}" for byte in data[position : position + size]])
    return text[:count], position + size


_MOST_VALUES_A_BYTE = 8
"""How many values, most of them null, a byte of a compact array may hold: else a small array fills the memory."""


class _Described:
    """A type in a compact array: `inner` are a structure's types, or an array's one, `count` times. Each value of it
    takes `least` bytes or more, and is made of `values` Data."""

    __slots__ = ("count", "inner", "least", "tag", "values")

    def __init__(self, tag: int, inner: list[_Described], count: int = 1) -> None:
        self.tag = tag
        self.inner = inner
        self.count = count
        self.values = 1
        self.least = 0 if tag in _EMPTY or tag in _LISTS else 1
        if tag in _FIXED:
            self.least = _FIXED[tag][1]
        elif tag in _SIZED:
            self.least = _SIZED[tag]
        for item in inner:
            self.values += count * item.values
            self.least += count * item.least


def _read_description(data: bytes, position: int, depth: int) -> tuple[_Described, int]:
    """A compact array's type description, and the position after it."""
    if depth > MAX_DEPTH:
        raise DecodeError("too_deep", f"types nest deeper than {MAX_DEPTH}", position)
    if position >= len(data):
        raise _cut("a type description", position)
    tag = data[position]
    position += 1
    if tag == ARRAY:
        if position + 2 > len(data):
            raise _cut("a type description", position)
        count = data[position] << 8 | data[position + 1]
        item, position = _read_description(data, position + 2, depth + 1)
        return _Described(tag, [item], count), position
    if tag == STRUCTURE:
        count, position = read_length(data, position)
        if count > len(data) - position:
            raise _cut("a type description", position)
        inner = []
        for _ in range(count):
            item, position = _read_description(data, position, depth + 1)
            inner.append(item)
        return _Described(tag, inner), position
    if tag in _FIXED or tag in _SIZED or tag in _EMPTY or tag in _STRINGS or tag == BIT_STRING:
        return _Described(tag, []), position
    raise DecodeError("unknown_tag", f"{tag} is not the tag of a type in a compact array", position - 1)


def _decode_described(kind: _Described, data: bytes, position: int) -> tuple[Data, int]:
    """A value of a described type, and the position after it."""
    if kind.tag not in _LISTS:
        return decode(data, position, 0, kind.tag)
    items = []
    for _ in range(kind.count):
        for inner in kind.inner:
            item, position = _decode_described(inner, data, position)
            items.append(item)
    return (kind.tag, items), position


def _decode_compact(data: bytes, position: int, depth: int) -> tuple[tuple[bytes, list[Data]], int]:
    if depth >= MAX_DEPTH:
        raise DecodeError("too_deep", f"values nest deeper than {MAX_DEPTH}", position)
    start = position
    kind, position = _read_description(data, position, depth)
    description = data[start:position]
    length, position = read_length(data, position)
    end = position + length
    if end > len(data):
        raise _cut(f"a compact array of {length} bytes", position)
    if length and kind.values > _MOST_VALUES_A_BYTE * kind.least:
        raise DecodeError("empty_elements", "a compact array has elements of next to no size", position)
    items = []
    data = data[:end]
    while position < end:
        if end - position < kind.least:
            raise _cut(f"an element of {kind.least} bytes or more", position)
        item, position = _decode_described(kind, data, position)
        items.append(item)
    return (description, items), end


def encode(value: Data) -> bytes:
    """The bytes of a Data; EncodeError `out_of_range` or `unknown_tag`."""
    out = bytearray()
    _encode_into(out, value, True)
    return bytes(out)


def _encode_into(out: bytearray, data: Data, tagged: bool) -> None:
    tag, value = data
    if tagged:
        out.append(tag)
    if tag in _FIXED:
        try:
            packed = struct.pack(_FIXED[tag][0], value)
        except (_STRUCT_ERROR, OverflowError, TypeError, ValueError) as error:
            raise EncodeError("out_of_range", f"{value!r} does not fit the type with tag {tag}") from error
        if tag in INTEGERS and struct.unpack(_FIXED[tag][0], packed)[0] != value:
            raise EncodeError("out_of_range", f"{value!r} does not fit the type with tag {tag}")
        out.extend(packed)
    elif tag in _LISTS:
        if tagged:
            out.extend(write_length(len(value)))
        for item in value:
            _encode_into(out, item, tagged)
    elif tag in _STRINGS:
        out.extend(write_length(len(value)))
        out.extend(value)
    elif tag == BIT_STRING:
        out.extend(write_length(len(value)))
        padded = value + "0" * (-len(value) % 8)
        out.extend(bytes([int(padded[at : at + 8], 2) for at in range(0, len(padded), 8)]))
    elif tag in _SIZED:
        if len(value) != _SIZED[tag]:
            raise EncodeError("out_of_range", f"the type with tag {tag} has {_SIZED[tag]} bytes, not {len(value)}")
        out.extend(value)
    elif tag == COMPACT_ARRAY:
        kind, items = value
        contents = bytearray()
        for item in items:
            _encode_into(contents, item, False)
        out.extend(kind)
        out.extend(write_length(len(contents)))
        out.extend(contents)
    elif tag not in _EMPTY:
        raise EncodeError("unknown_tag", f"{tag} is not the tag of a DLMS type")


def plain(data: Data) -> Any:
    """A Data without its tags: lists, ints, bytes; text for visible and UTF-8 strings."""
    tag, value = data
    if tag in _LISTS:
        return [plain(item) for item in value]
    if tag == COMPACT_ARRAY:
        return [plain(item) for item in value[1]]
    if tag in (VISIBLE_STRING, UTF8_STRING):
        return printable(value)
    return value


def printable(value: bytes, padded: bool = False) -> str:
    """Bytes as text where they are printable, else as hex; `padded`: without the zeros that fill up a text."""
    kept = value.rstrip(b"\x00") or value if padded else value
    try:
        text = kept.decode("utf-8")
    except (UnicodeError, ValueError):
        return value.hex()
    # Bytes of a character beyond ASCII are all above these.
    if kept and (min(kept) < 0x20 or max(kept) >= 0x7F) and any(c < " " or "\x7f" <= c < "\xa0" for c in text):
        return value.hex()
    return text


def is_integer(data: Data) -> bool:
    """Whether the value is a whole number that a scaler can be applied to."""
    return data[0] in INTEGERS


class Reader:
    """A cursor over an APDU's bytes; every step raises DecodeError `cut_short` with the offset where bytes end."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    def u8(self) -> int:
        """The next byte."""
        position = self.position
        if position >= len(self.data):
            raise _cut("the unit", position)
        self.position = position + 1
        return self.data[position]

    def u16(self) -> int:
        """The next two bytes, big-endian."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """The next four bytes, big-endian."""
        return int.from_bytes(self.take(4), "big")

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self.position + count
        if end > len(self.data):
            raise _cut(f"a field of {count} bytes", self.position)
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def length(self) -> int:
        """The next length."""
        length, self.position = read_length(self.data, self.position)
        return length

    def octets(self) -> bytes:
        """A length and that many bytes."""
        return self.take(self.length())

    def value(self) -> Data:
        """The next Data."""
        value, self.position = decode(self.data, self.position)
        return value

    def rest(self) -> bytes:
        """All that is left."""
        taken = self.data[self.position :]
        self.position = len(self.data)
        return taken

    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.position

    def expect(self, byte: int, what: str) -> None:
        """The next byte must be `byte`; DecodeError `unexpected_tag` where it is not."""
        at = self.position
        found = self.u8()
        if found != byte:
            raise DecodeError("unexpected_tag", f"{what} starts with 0x{byte:02x}, found 0x{found:02x}", at)

    def end(self) -> None:
        """Nothing may be left; DecodeError `trailing_bytes`."""
        if self.position != len(self.data):
            raise DecodeError("trailing_bytes", f"{self.left()} bytes follow the unit", self.position)
