"""From a pushed Data to OBIS code, value and unit, whatever the order in which a meter puts them.

Most meters name each value by its OBIS code, in one of these ways, which are told apart by the types alone:

- items of their own: {code, value}, {code, value, {scaler, unit}}, {class, code, attribute, value}, {value, class,
  {scaler, unit}, code}, in any order;
- the same without braces, one after another in one list, the code first or last;
- a list of capture objects {class, code, attribute, index}, and then the values in the same order;
- class, code and attribute without tags before each value.

Meters that send values by position alone are described in files (push/layouts).
"""

from __future__ import annotations

from edge_agent.dlms import axdr
from edge_agent.dlms.axdr import (
    ARRAY,
    DATE_TIME,
    ENUM,
    INT8,
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
from edge_agent.dlms.obis import obis_text
from edge_agent.dlms.push.layouts import Layout, find_layout
from edge_agent.dlms.units import float_text, scaled_text, unit_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data

_LISTS = (ARRAY, STRUCTURE)
_BYTES = (OCTET_STRING, DATE_TIME)


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
    """Values by OBIS code in the order in which they came, and a time that stood among them without a code."""

    def __init__(self) -> None:
        self.values: dict[str, Reading] = {}
        self.time: ClockTime | None = None


def text_of(data: Data, scaler: int = 0) -> str | None:
    """A value as text: exact decimals, ISO times, text that prints, else hex."""
    tag, value = data
    if tag in INTEGERS:
        return str(value) if scaler == 0 else scaled_text(value, scaler)
    if tag in _BYTES:
        if len(value) == 12:
            try:
                return ClockTime.from_bytes(value).iso() or value.hex()
            except DecodeError:
                pass
        return printable(value)
    if tag in (VISIBLE_STRING, UTF8_STRING):
        return printable(value)
    if tag in (NULL, axdr.DONT_CARE):
        return None
    if tag == axdr.BOOLEAN:
        return "true" if value else "false"
    if tag in (axdr.FLOAT32, axdr.FLOAT64):
        return _float_text(data, scaler)
    if tag in _LISTS:
        return "[" + ", ".join([str(text_of(item)) for item in value]) + "]"
    if tag == axdr.COMPACT_ARRAY:
        return "[" + ", ".join([str(text_of(item)) for item in value[1]]) + "]"
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
    if scaler:
        whole, _, fraction = text.partition(".")
        text = scaled_text(int(whole + fraction), scaler - len(fraction))
    return text


def _time(data: bytes) -> ClockTime | None:
    try:
        return ClockTime.from_bytes(data)
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
    return scaler[0] == INT8 and unit[0] in (ENUM, UINT8)


def interpret(body: Data) -> Interpretation:
    """Values by OBIS code."""
    found = Interpretation()
    layout = find_layout(body)
    if layout is not None:
        _by_layout(layout, body, found)
    elif body[0] in _LISTS:
        _walk(body[1], found)
    elif body[0] == axdr.COMPACT_ARRAY:
        _walk(body[1][1], found)
    return found


def _store(found: Interpretation, code: bytes, value: Data, scaler: int, unit: int, attribute: int = 2) -> None:
    name = obis_text(code)
    if attribute not in (0, 2):
        if _is_scaler_unit(value):
            return  # already applied to the value that it belongs to
        name += f":{attribute}"
    found.values[name] = Reading(text_of(value, scaler), unit_text(unit))


def _walk(items: list[Data], found: Interpretation) -> None:
    """A list: an item of its own, values one after another, a header with values, or more lists."""
    if len(items) == 3 and items[1][0] in INTEGERS and _is_code(items[0]) and _is_scaler_unit(items[2]):
        scaler, unit = items[2][1]
        _store(found, items[0][1], items[1], scaler[1], unit[1])  # the most common of all, so without further ado
        return
    codes = 0
    lists = 0
    for item in items:
        if _is_code(item):
            codes += 1
        elif item[0] in _LISTS:
            lists += 1
    if codes == 1 and _single(items, found):
        return
    if codes:
        _flat(items, found)
        return
    if lists and _with_header(items, found):
        return
    for item in items:
        if item[0] in _LISTS:
            if not _only_definitions(item[1]):
                _walk(item[1], found)
        elif item[0] in (OCTET_STRING, DATE_TIME) and len(item[1]) == 12 and found.time is None:
            found.time = _time(item[1])


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
    rest = [(index, item) for index, item in enumerate(items) if index != at]
    scaler, unit, attribute = 0, 255, 2
    for entry in rest:
        if _is_scaler_unit(entry[1]):
            scaler, unit = entry[1][1][0][1], entry[1][1][1][1]
            rest.remove(entry)
            break
    else:
        # scaler and unit without braces, at the end
        if len(rest) >= 3 and rest[-2][1][0] == INT8 and rest[-1][1][0] == ENUM:
            scaler, unit = rest[-2][1][1], rest[-1][1][1]
            rest = rest[:-2]
    if len(rest) > 1 and at > 0 and items[at - 1][0] == UINT16 and any(index == at - 1 for index, _ in rest):
        rest = [entry for entry in rest if entry[0] != at - 1]  # the class
    elif len(rest) > 1:
        classes = [entry for entry in rest if entry[1][0] == UINT16 and entry[0] > 0]
        if len(rest) == 2 and at == count - 1 and len(classes) == 1:
            rest.remove(classes[0])
    if len(rest) > 1 and at + 1 < count and items[at + 1][0] in (INT8, UINT8) and rest[0][0] == at + 1:
        attribute = items[at + 1][1]
        rest = rest[1:]
    if len(rest) == 2 and rest[0][1][0] == UINT16 and rest[1][0] == rest[0][0] + 1 and rest[0][0] == at + 2:
        rest = rest[1:]  # the data index
    if len(rest) != 1:
        return False
    _store(found, code, rest[0][1], scaler, unit, attribute)
    return True


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
    with_class = at > 0 and items[at - 1][0] == UINT16
    while at < count:
        code = items[at]
        at += 1
        if at >= count:
            return
        attribute = 2
        if with_class and items[at][0] in (INT8, UINT8) and at + 1 < count:
            attribute = items[at][1]
            at += 1
        value = items[at]
        at += 1
        scaler, unit = 0, 255
        if at < count and _is_scaler_unit(items[at]):
            scaler, unit = items[at][1][0][1], items[at][1][1][1]
            at += 1
        elif at + 1 < count and items[at][0] == INT8 and items[at + 1][0] == ENUM:
            scaler, unit = items[at][1], items[at + 1][1]
            at += 2
        _store(found, code[1], value, scaler, unit, attribute)
        while at < count and not _is_code(items[at]):
            if items[at][0] in _LISTS:
                _walk(items[at][1], found)
            at += 1


def _definition(data: Data) -> tuple[int, bytes, int] | None:
    """{class, code, attribute, data index (and perhaps more)} as class, code, attribute."""
    if data[0] != STRUCTURE or len(data[1]) < 3:
        return None
    kind, code, attribute = data[1][:3]
    if kind[0] == UINT16 and _is_code(code) and attribute[0] in (INT8, UINT8):
        rest = data[1][3:]
        if not rest or (rest[0][0] == UINT16 and len(rest) <= 2):
            return kind[1], code[1], attribute[1]
    return None


def _only_definitions(items: list[Data]) -> bool:
    """Whether a list says what is sent and nothing of it: {class, code, attribute, data index 0} throughout."""
    for item in items:
        if _definition(item) is None or len(item[1]) < 4 or item[1][3] != (UINT16, 0):
            return False
    return len(items) > 0


def _with_header(items: list[Data], found: Interpretation) -> bool:
    """A list of definitions, then their values; False where the list is something else."""
    for at, item in enumerate(items):
        if item[0] not in _LISTS or not item[1]:
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
        if len(values) == len(named) - 1:
            named = named[1:]  # the first is this list itself
        if len(values) != len(named) or not values:
            continue
        scalers = {}
        for (_, code, _attribute), value in zip(named, values):  # noqa: B905 - MicroPython
            if _is_scaler_unit(value):
                scalers[code] = (value[1][0][1], value[1][1][1])
        for (kind, code, attribute), value in zip(named, values):  # noqa: B905
            scaler, unit = scalers.get(code, (0, 255)) if kind in (3, 4, 5) and attribute == 2 else (0, 255)
            _store(found, code, value, scaler, unit, attribute)
        return True
    return False


def _by_layout(layout: Layout, body: Data, found: Interpretation) -> None:
    for column, value in zip(layout.columns, body[1]):  # noqa: B905 - MicroPython
        if column is not None:
            name, scaler, unit = column
            found.values[name] = Reading(text_of(value, scaler), unit)


def untagged_items(data: bytes, position: int) -> Interpretation:
    """Class, code and attribute without tags before each value: not A-XDR, but sent. DecodeError."""
    reader = Reader(data, position)
    reader.u8()
    count = reader.length()
    found = Interpretation()
    for _ in range(count):
        reader.u16()
        code = reader.take(6)
        if code[0] >= 16:
            raise DecodeError("unknown_layout", "no OBIS code stands here", reader.position - 6)
        attribute = reader.u8()
        _store(found, code, reader.value(), 0, 255, attribute)
    reader.end()
    return found
