"""From a pushed Data to OBIS code, value and unit, whatever the order in which a meter puts them.

One long file: the ways of naming a value are told apart from each other, so each rule is read beside its rivals.

Most meters name each value by its OBIS code, in one of these ways, which are told apart by the types alone:

- items of their own: {code, value}, {code, value, {scaler, unit}}, {class, code, attribute, value}, {value, class,
  {scaler, unit}, code}, in any order, or {code, {value, {scaler, unit}}};
- the same without braces, one after another in one list, the code first or last;
- scaler and unit as a value of their own, of attribute 3 under the same code;
- a list of capture objects {class, code, attribute, index}, and then the values in the same order;
- a descriptor {class, code, attribute, index} before each value, in an item of its own with it or not;
- class, code and attribute without tags before each value;
- any of these in a compact array;
- codes of five bytes (F is then 255), or as text.

Meters that send values by position alone are described in files (push/layouts).
"""

from __future__ import annotations

from edge_agent.dlms import axdr
from edge_agent.dlms.axdr import (
    ARRAY,
    DATE_TIME,
    ENUM,
    INT8,
    INT16,
    INTEGERS,
    NULL,
    OCTET_STRING,
    STRUCTURE,
    UINT8,
    UINT16,
    UTF8_STRING,
    VISIBLE_STRING,
    Reader,
    printable,
)
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.obis import obis_bytes, obis_text
from edge_agent.dlms.push.layouts import TYPES, Layout, coded_scales, find_layout
from edge_agent.dlms.units import UNITS, float_text, scaled_text, unit_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data

_LISTS = (ARRAY, STRUCTURE)
_PUSH_SETUP = 40
_PUSH_SETUP_CODE = b"\x19\x09"
_LOCAL_TIME = b"\x00\x09"
"""C and D of the local time (E is 1) and the local date (2), which come as octet-strings of four and five bytes."""
_BYTES = (OCTET_STRING, DATE_TIME)
_TEXTS = (OCTET_STRING, DATE_TIME, VISIBLE_STRING, UTF8_STRING)
TYPE_NAMES = {tag: name for name, tag in TYPES.items()}
_SHORTEST_PADDED = 4
_SMALL = (INT8, UINT8)
_ABSTRACT = 96
"""From this value of C on a code names nothing that is measured."""
_BINARY = INTEGERS - {axdr.BCD}
_NUMBERS = INTEGERS | {axdr.FLOAT32, axdr.FLOAT64}
_WIDE = _NUMBERS - {INT8, UINT8, ENUM, axdr.BCD}
"""Numbers too wide for an attribute's number, a status or a unit."""
_WIDE_INTEGERS = _WIDE & INTEGERS


class Reading:
    """One value: its text (None for null), its unit (None where nothing states it)."""

    __slots__ = ("unit", "value")

    def __init__(self, value: str | None, unit: str | None) -> None:
        self.value = value
        self.unit = unit

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and (self.value, self.unit) == (other.value, other.unit)

    def __hash__(self) -> int:
        return hash((self.value, self.unit))

    def __repr__(self) -> str:
        return f"Reading({self.value!r}, {self.unit!r})"


class Interpretation:
    """Values by OBIS code in the order in which they came; a time and the meter's number that stood among them
    without a code."""

    def __init__(self) -> None:
        self.values: dict[str, Reading] = {}
        self.time: ClockTime | None = None
        self.meter: str | None = None
        self.scales: dict[str, tuple[int, int]] = {}

    def scale(self) -> None:
        """Apply scalers and units that came as values of their own."""
        for name, (scaler, unit) in self.scales.items():
            reading = self.values.get(name)
            if reading is not None and reading.unit is None and reading.value:
                self.values[name] = Reading(_rescaled(reading.value, scaler), unit_text(unit))


def text_of(data: Data, scaler: int = 0) -> str | None:
    """A value as text: exact decimals, ISO times, text that prints, else hex."""
    tag, value = data
    if tag in _BINARY:
        return str(value) if scaler == 0 else scaled_text(value, scaler)
    if tag in _BYTES:
        if len(value) == 12:
            try:
                return ClockTime.from_meter(value).iso() or value.hex()
            except DecodeError:
                pass
        return printable(value, padded=len(value) > _SHORTEST_PADDED and value[_SHORTEST_PADDED - 1] != 0)
    if tag in (VISIBLE_STRING, UTF8_STRING):
        return printable(value, padded=True)
    if tag in (NULL, axdr.DONT_CARE):
        return None
    if tag == axdr.BOOLEAN:
        return "true" if value else "false"
    if tag in (axdr.FLOAT32, axdr.FLOAT64):
        return _float_text(data, scaler)
    if tag in _LISTS:
        return "[" + ", ".join([str(text_of(item)) for item in value]) + "]"
    if tag in (axdr.DATE, axdr.TIME):
        return date_or_time(value) or value.hex()
    if tag == axdr.COMPACT_ARRAY:
        return "[" + ", ".join([str(text_of(item)) for item in value[1]]) + "]"
    if tag == axdr.BCD:
        if value & 0x0F < 10 and value < 0xA0:
            value = value // 16 * 10 + value % 16
        return scaled_text(value, scaler)
    return value.hex() if isinstance(value, bytes) else str(value)


def _float_text(data: Data, scaler: int) -> str:
    """The shortest decimal that is this float in its own width, times ten to the scaler."""
    tag, value = data
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - not a number
        return str(value)
    text = float_text(value)
    if tag == axdr.FLOAT32:
        wanted = axdr.encode(data)
        for digits in range(1, 10):
            short = float("{:.{}g}".format(value, digits))
            if axdr.encode((tag, short)) == wanted:
                text = float_text(short)
                break
    return _rescaled(text, scaler)


def _rescaled(text: str, scaler: int) -> str:
    """A decimal times ten to the scaler; any other text as it is."""
    whole, _, fraction = text.partition(".")
    try:
        return scaled_text(int(whole + fraction), scaler - len(fraction)) if scaler else text
    except ValueError:
        return text


def raw_values(body: Data) -> list[tuple[str, str | None]]:
    """Type and text of every value in a pushed Data that is not a list, in order."""
    tag, value = body
    if tag == axdr.COMPACT_ARRAY:
        tag, value = ARRAY, value[1]
    if tag not in _LISTS:
        return [(TYPE_NAMES.get(tag, "type %d" % tag), text_of(body))]  # noqa: UP031 - MicroPython
    found: list[tuple[str, str | None]] = []
    for item in value:
        found += raw_values(item)
    return found


def date_or_time(data: bytes) -> str | None:
    """COSEM's date of five bytes as `2026-06-01`, its time of four as `12:00:00`; None for anything else."""
    try:
        if len(data) == 5:
            time = ClockTime.from_bytes(data + b"\x00\x00\x00\xff\x80\x00\xff").iso()
            return None if time is None else time[:10]
        if len(data) == 4:
            time = ClockTime.from_bytes(b"\x07\xd0\x01\x01\xff" + data + b"\x80\x00\xff").iso()
            return None if time is None else time[11:]
    except DecodeError:
        pass
    return None


def number_of_a_meter(data: bytes) -> str | None:
    """Bytes without a code as the meter's number: printable, with a digit; None for any other."""
    text = printable(data)
    return text if text != data.hex() and any(c in "0123456789" for c in text) else None


def _time(data: bytes) -> ClockTime | None:
    try:
        return ClockTime.from_meter(data)
    except DecodeError:
        return None


def _is_code(data: Data) -> bool:
    """Whether a value looks like an OBIS code: six bytes, of a medium that exists."""
    tag, value = data
    return tag == OCTET_STRING and len(value) == 6 and value[0] < 16


def _is_scaler_unit(data: Data) -> bool:
    tag, value = data
    if tag != STRUCTURE or len(value) != 2:
        return False
    scaler, unit = value
    if scaler[0] == INT8 and unit[0] in (ENUM, UINT8):
        return True
    wide = (scaler[0] == INT8 and unit[0] == UINT16) or (scaler[0] == INT16 and unit[0] == ENUM)
    return wide and (unit[1] in UNITS or unit[1] == 255)


def interpret(body: Data) -> Interpretation:
    """Values by OBIS code."""
    found = Interpretation()
    layout = find_layout(body)
    if layout is not None:
        _by_layout(layout, body, found)
        return found
    items = body[1] if body[0] in _LISTS else body[1][1] if body[0] == axdr.COMPACT_ARRAY else []
    _walk(items, found)
    if not found.values:
        codes, normal = _with_codes_of_six(items)
        if codes:
            found = Interpretation()
            _walk(normal, found)
    found.scale()
    _scale_by_layout(items, found)
    return found


def _scale_by_layout(items: list[Data], found: Interpretation) -> None:
    """Scalers and units by the description of the meter's lists, where a list states none of them itself."""
    for reading in found.values.values():
        if reading.unit is not None:
            return
    scales = coded_scales(items)
    if not scales:
        return
    count = len(items)
    for name, reading in found.values.items():
        # The channel (group B) is the meter's own choice.
        scale = scales.get(name) or scales.get(name.partition(":")[2])
        text = reading.value
        if scale is None or not text or count > scale[2] or (text.isdigit() and int(text) > scale[3]):
            continue
        found.values[name] = Reading(_rescaled(text, scale[0]) if scale[0] else text, scale[1])


def _with_codes_of_six(items: list[Data]) -> tuple[int, list[Data]]:
    """How many codes of five bytes or of text there are in a list, and the list with six bytes in their place."""
    count = 0
    normal: list[Data] = []
    named = 1 < len(items) <= 4 and items[1][0] in _NUMBERS
    for item in items:
        tag, value = item
        code = None
        if tag in _LISTS:
            inner, value = _with_codes_of_six(value)
            count += inner
            normal.append((tag, value))
            continue
        if tag == OCTET_STRING and len(value) == 5 and value[0] < 2 and value[1] < 65:
            code = value + b"\xff"
        elif tag in (OCTET_STRING, VISIBLE_STRING, UTF8_STRING) and 9 <= len(value) <= 23:
            code = _code_of_text(value)
        elif named and not normal and tag in (OCTET_STRING, VISIBLE_STRING, UTF8_STRING) and 5 <= len(value) <= 8:
            code = _code_of_text(b"1-0:" + value) if value.count(b".") == 2 else None
        count += code is not None
        normal.append(item if code is None else (OCTET_STRING, code))
    return count, normal


def _code_of_text(value: bytes) -> bytes | None:
    """`1-0:1.8.0.255`, `1-0:1.8.0*255`, `1-0:1.8.0` or `1.0.1.8.0.255` as six bytes; None for any other text."""
    for byte in value:
        if byte not in b"0123456789.-:*":
            return None
    text = value.decode("ascii")
    if ":" not in text and not (text.count(".") == 5 and text.endswith(".255")):
        return None
    try:
        return obis_bytes(text)
    except DecodeError:
        return None


def _store(found: Interpretation, code: bytes, value: Data, scaler: int, unit: int, attribute: int = 2) -> None:
    name = obis_text(code)
    if attribute not in (0, 2):
        if _is_scaler_unit(value):
            found.scales[name] = (value[1][0][1], value[1][1][1])
            return
        if attribute == 1 and value == (OCTET_STRING, code):
            return  # an object's own name, which says nothing
        name += f":{attribute}"
    elif unit == 255 and scaler == 0:
        tag, inner = value
        if tag == STRUCTURE:
            # {value, {scaler, unit}} or {value, scaler, unit} in the value's place
            if len(inner) == 2 and inner[0][0] in _NUMBERS and _is_scaler_unit(inner[1]):
                value, scaler, unit = inner[0], inner[1][1][0][1], inner[1][1][1][1]
            elif len(inner) == 3 and inner[0][0] in _NUMBERS and inner[1][0] == INT8 and inner[2][0] == ENUM:
                value, scaler, unit = inner[0], inner[1][1], inner[2][1]
    text = text_of(value, scaler)
    if value[0] == OCTET_STRING and code[2:4] == _LOCAL_TIME:
        text = date_or_time(value[1]) or text
    elif value[0] not in _NUMBERS and code[0] and 0 < code[2] < _ABSTRACT:
        text = _not_a_number(value, text, scaler)
    found.values[name] = Reading(text, unit_text(unit))


def _not_a_number(value: Data, text: str | None, scaler: int) -> str | None:
    """The text of a measured value that came as bytes, bits or text, marked where its digits are no decimal number: hex
    and bits, and text that a scaler is stated for, which says nothing of texts."""
    tag, content = value
    if tag == axdr.BIT_STRING:
        return "0b" + str(text)
    if tag in _TEXTS and text is not None:
        if content and text == content.hex():
            return "0x" + text
        if scaler:
            return "%s x 10^%d" % (text, scaler)  # noqa: UP031 - MicroPython
    return text


def _scaled(items: list[Data], found: Interpretation) -> bool:
    """Take in {code, number, {scaler, unit}}, the most common of all; False where the list is something else."""
    if len(items) != 3:
        return False
    (tag, code), (kind, number), scale = items
    if kind not in INTEGERS or tag != OCTET_STRING or len(code) != 6 or code[0] >= 16 or not _is_scaler_unit(scale):
        return False
    (_, scaler), (_, unit) = scale[1]
    text = scaled_text(number, scaler) if kind in _BINARY else text_of(items[1], scaler)
    found.values[obis_text(code)] = Reading(text, unit_text(unit))
    return True


def _walk(items: list[Data], found: Interpretation) -> None:
    """A list: an item of its own, values one after another, a header with values, or more lists."""
    if _scaled(items, found):
        return
    codes = 0
    lists = 0
    for item in items:
        tag, value = item
        if tag == OCTET_STRING:
            codes += len(value) == 6 and value[0] < 16  # _is_code, thousands of times a second
        elif tag in _LISTS:
            lists += 1
        elif tag == axdr.COMPACT_ARRAY:
            _walk([(ARRAY, it[1][1]) if it[0] == axdr.COMPACT_ARRAY else it for it in items], found)
            return
    # The values after a header may be codes themselves, so it is looked for first.
    if lists and (_with_header(items, found, codes > 0) or _each_defined(items, found)):
        return
    if codes == 1 and _single(items, found):
        return
    if codes:
        _flat(items, found)
        return
    for item in items:
        if item[0] in _LISTS:
            if not _scaled(item[1], found) and not _only_definitions(item[1]):
                _walk(item[1], found)
        elif item[0] in (OCTET_STRING, DATE_TIME) and len(item[1]) == 12 and found.time is None:
            found.time = _time(item[1])


_MEASURED = ((UINT16, 3), (UINT16, 4), (UINT16, 5))
"""The classes that have a scaler and a unit: register, extended register, demand register."""

_ATTRIBUTES = (2, 3, 4, 5)
"""Those that hold values: where no class says that an attribute's number follows, any other number is a value."""

_ELECTRIC = frozenset([27, 28, 29, 30, 31, 32, 33, 35, 44])
"""W to A, V and Hz: units that an enumeration alone is taken for; a smaller one behind a value is rather its status."""


def _single(items: list[Data], found: Interpretation) -> bool:
    """One value with its code, and perhaps class, attribute, scaler and unit; False where the list is no such thing."""
    count = len(items)
    if count == 2:
        if _is_code(items[0]):
            _store(found, items[0][1], items[1], 0, 255)
        else:
            _store(found, items[1][1], items[0], 0, 255)
        return True
    at = 0
    while not _is_code(items[at]):
        at += 1
    code = items[at][1]
    if at > 0 and at + 3 == count and items[at - 1] in _MEASURED and _is_scaler_unit(items[at + 2]):
        kind, attribute = items[at + 1]
        if kind in (INT8, UINT8) and attribute in (3, 4):
            _store(found, code, items[at + 2], 0, 255, attribute)
            return True
    with_class = at > 0 and items[at - 1][0] == UINT16
    rest = [(index, item) for index, item in enumerate(items) if index != at]
    scaler, unit, attribute = 0, 255, 2
    for entry in rest:
        if _is_scaler_unit(entry[1]):
            scaler, unit = entry[1][1][0][1], entry[1][1][1][1]
            rest.remove(entry)
            break
    else:
        # scaler and unit without braces, at the end or before the value; behind a class also its attribute and a state
        if len(rest) >= 3 and rest[-2][1][0] == INT8 and rest[-1][1][0] == ENUM:
            first, second = rest[-2][1][1], rest[-1][1][1]
            if not with_class or count > 4 or first < 1 or second in _ELECTRIC:
                scaler, unit = first, second
                rest = rest[:-2]
        elif len(rest) == 3 and rest[0][1][0] == INT8 and rest[1][1][0] == ENUM and rest[2][1][0] in _NUMBERS:
            scaler, unit = rest[0][1][1], rest[1][1][1]
            rest = rest[2:]
    if len(rest) > 1 and with_class and any(index == at - 1 for index, _ in rest):
        rest = [entry for entry in rest if entry[0] != at - 1]  # the class
    elif len(rest) > 1:
        classes = [entry for entry in rest if entry[1][0] == UINT16 and entry[0] > 0]
        if len(rest) == 2 and at == count - 1 and len(classes) == 1:
            rest.remove(classes[0])
    if len(rest) > 1 and rest[0][0] == at + 1 and rest[0][1][0] in _SMALL:
        kind, number = rest[0][1]
        if with_class or _is_attribute(number, items[at + 2 :], unit != 255):
            attribute = number if kind == INT8 or unit == 255 else 2  # no other has a scaler and a unit
            rest = rest[1:]
        elif unit != 255 and not _is_scaler_unit(items[at + 2]):
            rest = rest[1:]  # a status before the value
    indexed = [index for index, _ in rest] == [at + 2, at + 3] and rest[0][1][0] == UINT16
    if indexed and (items[at - 1] not in _MEASURED or rest[1][1][0] not in _TEXTS):
        rest = rest[1:]  # the data index
    if len(rest) == 2 and unit == 255 and at < rest[0][0] and _is_unit_behind(rest[0][1], rest[1][1]):
        unit = rest.pop()[1][1]
    beside = _text_beside(code, rest, at, unit != 255)
    if beside is not None:
        rest.remove(beside)
        index, (tag, text) = beside
        if index == count - 1 and tag in (OCTET_STRING, VISIBLE_STRING) and _time(text) is None:
            found.meter = number_of_a_meter(text)
        elif index < at and tag in _BYTES and found.time is None:
            found.time = _time(text)
    if len(rest) != 1:
        return False
    _store(found, code, rest[0][1], scaler, unit, attribute)
    return True


def _is_attribute(number: int, behind: list[Data], scaled: bool) -> bool:
    """Whether a small number behind a code without a class is that of an attribute, or a status, and what is `behind`
    it the value; `scaled`: with scaler and unit. Else it is the value itself, and what is behind it belongs to it."""
    after = behind[0]
    if _is_scaler_unit(after):
        return len(behind) > 1 and behind[1][0] in _WIDE
    if scaled or len(behind) == 1:
        return number in _ATTRIBUTES or after[0] in _WIDE
    return number in _ATTRIBUTES and after[0] in _WIDE


def _is_unit_behind(value: Data, unit: Data) -> bool:
    """Whether an enumeration behind a number is its unit, without a scaler."""
    return value[0] in _NUMBERS and value[0] != ENUM and unit[0] == ENUM and unit[1] in _ELECTRIC


def _text_beside(code: bytes, rest: list[tuple[int, Data]], at: int, scaled: bool) -> tuple[int, Data] | None:
    """Of a number and a text the text, where the number is the value: a name, the meter's number, or the time at which
    the value was captured. None where it cannot be told from a value with its status."""
    if len(rest) != 2:
        return None
    (index, first), (_, second) = rest
    if first[0] in _NUMBERS and second[0] in _TEXTS:
        return rest[1] if scaled or index > at else None
    if first[0] in _TEXTS and second[0] in _NUMBERS:
        quantity = code[0] > 0 and code[2] > 0 and second[0] in _WIDE
        return rest[0] if scaled or index < at or quantity else None
    return None


def _flat(items: list[Data], found: Interpretation) -> None:
    """Values one after another in one list, each with its code before it, or (where a code ends the list) behind it."""
    if _is_code(items[-1]) and not _is_code(items[0]) and not (len(items) > 1 and _is_code(items[-2])):
        group: list[Data] = []
        for item in items:
            group.append(item)
            if _is_code(item):
                if not _single(group, found) and len(group) > 2:
                    _single(group[-2:], found)
                group = []
        return
    count = len(items)
    at = 0
    while at < count and not _is_code(items[at]):
        item = items[at]
        if item[0] in (OCTET_STRING, DATE_TIME) and len(item[1]) == 12 and found.time is None:
            found.time = _time(item[1])
        elif item[0] in _LISTS:
            _walk(item[1], found)
        at += 1
    if at < count and items[at][1][2:4] == _PUSH_SETUP_CODE:
        at += 1  # the list's own name, which no value belongs to
        while at < count and not _is_code(items[at]):
            at += 1
    with_class = at > 0 and items[at - 1][0] == UINT16
    with_attribute = not with_class and _leads_all(items, at, (INT8, 2), 0, 0)
    with_index = with_class and _leads_all(items, at, (UINT16, 0), 1, 1)
    while at < count:
        code = items[at]
        at += 1
        if at >= count:
            return
        if items[at][0] in _WIDE_INTEGERS and (at + 1 == count or _is_code(items[at + 1])):
            found.values[obis_text(code[1])] = Reading(str(items[at][1]), None)
            at += 1
            continue
        attribute = 2
        scaler, unit = 0, 255
        if items[at][0] in _SMALL and at + 1 < count:
            if with_class:
                attribute = items[at][1]
                at += 1 + with_index
            elif with_attribute:
                at += 1
            elif _is_scaled(items[at : at + 3]):
                scaler, unit = items[at][1], items[at + 1][1]
                at += 2
        value = items[at]
        at += 1
        if at < count and _is_scaler_unit(value) and items[at][0] in _NUMBERS:
            (_, scaler), (_, unit) = value[1]
            value = items[at]
            at += 1
        elif at < count and _is_scaler_unit(items[at]):
            scaler, unit = items[at][1][0][1], items[at][1][1][1]
            at += 1
        elif at + 1 < count and items[at][0] == INT8 and items[at + 1][0] == ENUM:
            scaler, unit = items[at][1], items[at + 1][1]
            at += 2
        _store(found, code[1], value, scaler, unit, attribute)
        while at < count and not _is_code(items[at]):
            tag, inner = items[at]
            at += 1
            if tag in _LISTS:
                _walk(inner, found)
            elif at == count and tag in (OCTET_STRING, VISIBLE_STRING) and _time(inner) is None:
                found.meter = number_of_a_meter(inner)


def _is_scaled(items: list[Data]) -> bool:
    """Whether scaler, unit and value follow one another, without braces."""
    return [item[0] for item in items[:2]] == [INT8, ENUM] and len(items) > 2 and items[2][0] in _NUMBERS


def _leads_all(items: list[Data], first: int, lead: Data, ahead: int, behind: int) -> bool:
    """Whether every value of a list has `lead` before it, so that it belongs to none of them: in one place alone it
    could be a value itself, and so it could before what is never wider than a status.

    `first` is the first code; between a code and its lead stand `ahead` items, before the next code `behind`.
    """
    if items[first + 1 + ahead : first + 2 + ahead] != [lead]:
        return False
    wide = False
    codes = [at for at in range(first, len(items)) if _is_code(items[at])] + [len(items) + behind]
    for at in range(len(codes) - 1):
        following = items[codes[at] + 1 + ahead : codes[at + 1] - behind]
        if len(following) < 2 or following[0] != lead or _is_scaler_unit(following[1]):
            return False
        if [item[0] for item in following[1:3]] == [INT8, ENUM]:
            return False
        wide = wide or following[1][0] in _WIDE
    return wide and len(codes) > 2


def _definition(data: Data) -> tuple[int, bytes, int] | None:
    """{class, code, attribute, data index (and perhaps more)} as class, code, attribute."""
    if data[0] != STRUCTURE or len(data[1]) < 3:
        return None
    kind, code, attribute = data[1][:3]
    if kind[0] == UINT16 and _is_code(code) and attribute[0] in (INT8, UINT8):
        rest = data[1][3:]
        if not rest or (rest[0][0] == UINT16 and len(rest) <= 3):
            return kind[1], code[1], attribute[1]
    return None


def _each_defined(items: list[Data], found: Interpretation) -> bool:
    """Values one after another, each behind its own {class, code, attribute, data index 0}, and perhaps with scaler
    and unit behind it; False where the list is something else."""
    named: list[tuple[bytes, int, Data, Data | None]] = []
    count = len(items)
    at = 0
    while at < count:
        definition = _definition(items[at])
        if definition is None or at + 1 == count or items[at][1][3:4] not in ([], [(UINT16, 0)]):
            return False
        value = items[at + 1]
        if value[0] in _LISTS and (count > 3 or any(_is_code(inner) for inner in value[1])):
            return False  # an item of its own, and what seems to define it is one whose value is 0
        at += 2
        scale = items[at] if at < count and _is_scaler_unit(items[at]) else None
        at += scale is not None
        named.append((definition[1], definition[2], value, scale))
    for code, attribute, value, scale in named:
        scaler, unit = (0, 255) if scale is None else (scale[1][0][1], scale[1][1][1])
        _store(found, code, value, scaler, unit, attribute)
    return len(named) > 0


def _only_definitions(items: list[Data]) -> bool:
    """Whether a list says what is sent and nothing of it: {class, code, attribute, data index 0} throughout."""
    for item in items:
        if _definition(item) is None or len(item[1]) < 4 or item[1][3] != (UINT16, 0):
            return False
    return len(items) > 0


def _with_header(items: list[Data], found: Interpretation, with_codes: bool) -> bool:
    """A list of definitions, then their values; False where the list is something else.

    `with_codes`: among the values are some that look like codes, and must not be taken for such where the number of
    values is not that of the definitions.
    """
    for at, item in enumerate(items):
        if item[0] not in _LISTS or not item[1] or item[1][0][0] != STRUCTURE:
            continue
        named = []
        for entry in item[1]:
            definition = _definition(entry)
            if definition is None:
                break
            named.append(definition)
        if len(named) != len(item[1]):
            continue
        values = items[at + 1 :]
        if len(values) == 1 and values[0][0] in _LISTS and len(named) > 1:
            values = values[0][1]
        if not values:
            continue
        itself = named[0][0] == _PUSH_SETUP and named[0][2] == 2 and values[0][0] not in _LISTS
        if itself or len(values) == len(named) - 1:
            named = named[1:]  # the first is this list itself
        if len(values) != len(named):
            if with_codes:
                return True
            continue
        for (_kind, code, attribute), value in zip(named, values):  # noqa: B905 - MicroPython
            _store(found, code, value, 0, 255, attribute)
        return True
    return False


def _by_layout(layout: Layout, body: Data, found: Interpretation) -> None:
    for column, value in zip(layout.columns, body[1]):  # noqa: B905 - MicroPython
        if column is not None:
            name, scaler, unit = column
            text = text_of(value, scaler)
            if name.startswith("1-0:0.9."):
                text = date_or_time(value[1]) or text
            found.values[name] = Reading(text, unit)


def untagged_items(data: bytes, position: int) -> Interpretation:
    """Class, code and attribute without tags before each value: not A-XDR, but sent. DecodeError.

    They stand in one list, or each with its value (and perhaps its scaler and unit) in a list of its own; in the count
    of a list a value and what stands before it are one, or two.
    """
    try:
        return _untagged(data, position, False)
    except DecodeError as error:
        try:
            return _untagged(data, position, True)
        except DecodeError:
            pass
        raise error


def _untagged(data: bytes, position: int, counts_two: bool) -> Interpretation:
    reader = Reader(data, position)
    found = Interpretation()
    _untagged_list(reader, found, counts_two, 0)
    reader.end()
    if not found.values:
        raise DecodeError("unknown_layout", "an OBIS code is expected here", position)
    found.scale()
    return found


def _untagged_list(reader: Reader, found: Interpretation, counts_two: bool, depth: int) -> None:
    if depth > axdr.MAX_DEPTH:
        raise DecodeError("too_deep", f"values nest deeper than {axdr.MAX_DEPTH}", reader.position)
    reader.u8()
    left = reader.length()
    while left > 0:
        left -= 1
        head = reader.data[reader.position : reader.position + 9]
        if head[:1] == b"\x00":
            reader.take(9)
            if head[1] == 0 or head[2] >= 16 or not 0 < head[8] < 32:
                raise DecodeError(
                    "unknown_layout", "class, OBIS code and attribute are expected here", reader.position - 9
                )
            if counts_two and depth == 0:
                raise DecodeError("cut_short", "a list of values ends before its last", reader.position)
            left -= counts_two
            value = reader.value()
            scaler, unit = 0, 255
            if left > 0 and reader.data[reader.position : reader.position + 3] == b"\x02\x02\x0f":
                start = reader.position
                after = reader.value()
                if _is_scaler_unit(after):
                    scaler, unit = after[1][0][1], after[1][1][1]
                    left -= 1
                else:
                    reader.position = start
            _store(found, head[2:8], value, scaler, unit, head[8])
        elif head[:1] in (b"\x01", b"\x02"):
            _untagged_list(reader, found, counts_two, depth + 1)
        else:
            reader.value()
