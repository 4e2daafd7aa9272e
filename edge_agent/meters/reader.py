"""Reads what a meter holds, by its own description of itself: object list, capture objects, scalers and units.

Both `edge-agent read` and the pull driver stand on it. Nothing about a meter is assumed that it can be asked.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from edge_agent.dlms import axdr
from edge_agent.dlms.apdu.base import CosemAttribute, Selection
from edge_agent.dlms.axdr import DATE_TIME, NULL, OCTET_STRING
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem.association_ln import AssociationLn
from edge_agent.dlms.cosem.clock import Clock
from edge_agent.dlms.cosem.profile_generic import ProfileGeneric
from edge_agent.dlms.cosem.types import SCALER_UNIT, CaptureObject, ListedObject
from edge_agent.dlms.errors import DataAccessError, DecodeError, DlmsError
from edge_agent.dlms.obis import obis_bytes
from edge_agent.dlms.units import float_text, scaled_text, unit_text
from edge_agent.meters.connection import Connection

if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data

T = TypeVar("T")

DATA, REGISTER, EXTENDED_REGISTER, DEMAND_REGISTER, PROFILE_GENERIC, CLOCK = 1, 3, 4, 5, 7, 8
REGISTER_CLASSES = (REGISTER, EXTENDED_REGISTER, DEMAND_REGISTER)

SCALED_ATTRIBUTES = {(REGISTER, 2): 3, (EXTENDED_REGISTER, 2): 3, (DEMAND_REGISTER, 2): 4, (DEMAND_REGISTER, 3): 4}
"""(class, attribute) -> the attribute that holds its scaler and unit."""

_STRINGS = (OCTET_STRING, axdr.VISIBLE_STRING, axdr.UTF8_STRING)


def value_text(data: Data, scaler: int = 0) -> str | None:
    """A value as exact decimal text; None for null, text for strings that print, else hex; lists in brackets."""
    tag, value = data
    if tag in (axdr.NULL, axdr.DONT_CARE):
        return None
    if tag == axdr.ENUM:
        return str(value)
    if axdr.is_integer(data):
        return scaled_text(value, scaler)
    if tag in (axdr.FLOAT32, axdr.FLOAT64):
        return _float_text(data, scaler)
    if tag == axdr.BOOLEAN:
        return "true" if value else "false"
    if tag == DATE_TIME or (tag == OCTET_STRING and len(value) == 12):
        try:
            return ClockTime.from_meter(value).iso() or value.hex()
        except DecodeError:
            pass
    if tag in _STRINGS:
        return axdr.printable(value)
    if isinstance(value, bytes):
        return value.hex()
    if tag == axdr.COMPACT_ARRAY:
        value = value[1]
    if isinstance(value, list):
        return "[" + ", ".join(str(value_text(item)) for item in value) + "]"
    return str(value)


def _float_text(data: Data, scaler: int) -> str:
    """The shortest decimal that is this float in its own width, times ten to the scaler."""
    tag, value = data
    if not math.isfinite(value):
        return str(value)
    text = float_text(value)
    if tag == axdr.FLOAT32:
        for digits in range(1, 10):
            short = f"{value:.{digits}g}"
            if axdr.encode((tag, float(short))) == axdr.encode(data):
                text = float_text(float(short))
                break
    if scaler:
        whole, _, fraction = text.partition(".")
        text = scaled_text(int(whole + fraction), scaler - len(fraction))
    return text


LIFO, LARGEST = 2, 3
"""Sort methods of a profile whose rows, captured one after another, come newest first."""


class Profile:
    """A load profile as the meter describes it: columns, and rows with every value in its column's place.

    period is in seconds; newest_first: the buffer's first row is the last captured.
    """

    def __init__(self, columns: list[CaptureObject], period: int, newest_first: bool = False) -> None:
        self.columns = columns
        self.period = period
        self.newest_first = newest_first

    def captured_scaler(self, column: CaptureObject) -> int | None:
        """Where the scaler and unit of a captured register are captured with it, or None."""
        source = SCALED_ATTRIBUTES.get((column.class_id, column.attribute))
        for at, other in enumerate(self.columns):
            if (other.class_id, other.obis, other.attribute) == (column.class_id, column.obis, source):
                return at if other.data_index == 0 else None
        return None

    def index(self, class_id: int, obis: str | None = None, attribute: int = 2) -> int | None:
        """The first column of this class (and OBIS code), or None."""
        for at, column in enumerate(self.columns):
            if (column.class_id, column.attribute) == (class_id, attribute) and obis in (None, column.obis):
                return at
        return None

    @property
    def clock_index(self) -> int | None:
        """The column of the capture time, or None."""
        return self.index(CLOCK)


class ProfileRow:
    """One row: when it was captured (None: the profile has no clock), and the values in the order of the columns."""

    __slots__ = ("time", "values")

    def __init__(self, time: ClockTime | None, values: list[Data]) -> None:
        self.time = time
        self.values = values


class MeterReader:
    """Asks one meter, over an open connection. DlmsError and MeterError pass through."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._scalers: dict[tuple[int, str, int], tuple[int, int] | None] = {}

    def forget(self) -> None:
        """Ask for scalers and units again."""
        self._scalers.clear()

    def get(self, attribute: CosemAttribute, selection: Selection | None = None) -> Data:
        """One attribute's Data."""
        data: Data = self.connection.run(self.connection.client.get(attribute, selection))
        return data

    def logical_device_name(self) -> str:
        """The logical device name as text (hex where it does not print)."""
        data = self.get(CosemAttribute(DATA, obis_bytes("0-0:42.0.0.255"), 2))
        if data[0] in _STRINGS:
            return axdr.printable(bytes(data[1]).rstrip(b"\x00"))
        return value_text(data) or ""

    def clock(self) -> ClockTime:
        """The meter's clock."""
        clock = Clock("0-0:1.0.0.255")
        time: ClockTime = clock.decode("time", self.get(clock.attribute("time")))
        return time

    def clock_if_set(self) -> ClockTime | None:
        """The meter's clock; None where the meter keeps it to itself, or it was never set."""
        try:
            return self.clock()
        except DataAccessError:
            return None
        except DecodeError as error:
            if error.code != "bad_time":
                raise  # that is not a clock, but an answer that was damaged on the way
            return None

    def object_list(self) -> list[ListedObject]:
        """All objects that this client may see."""
        association = AssociationLn("0-0:40.0.0.255")
        objects: list[ListedObject] = association.decode("object_list", self.get(association.attribute("object_list")))
        return objects

    def scaler_unit(self, class_id: int, obis: str, attribute: int) -> tuple[int, int] | None:
        """Scaler and unit of a register's attribute; None where it has none or the meter does not tell."""
        source = SCALED_ATTRIBUTES.get((class_id, attribute))
        if source is None:
            return None
        key = (class_id, obis, source)
        if key not in self._scalers:
            data = _unless_refused(lambda: self.get(CosemAttribute(class_id, obis_bytes(obis), source)))
            found = None
            if data is not None:
                with contextlib.suppress(DecodeError):
                    found = SCALER_UNIT.decode(data)
            self._scalers[key] = found
        return self._scalers[key]

    def register(self, class_id: int, obis: str) -> dict[str, str | None]:
        """`{"value", "unit"}` of a register; an `error` where the meter refuses it."""
        try:
            data = self.get(CosemAttribute(class_id, obis_bytes(obis), 2))
        except DataAccessError as error:
            return {"value": None, "unit": None, "error": error.code}
        scaler, unit = self.scaler_unit(class_id, obis, 2) or (0, 255)
        return {"value": value_text(data, scaler), "unit": unit_text(unit)}

    def profile(self, obis: str) -> Profile:
        """Columns and capture period of a load profile."""
        generic = ProfileGeneric(obis)
        columns = generic.decode("capture_objects", self.get(generic.attribute("capture_objects")))
        period, order = self._number(generic, "capture_period"), self._number(generic, "sort_method")
        return Profile(columns, period, order in (LIFO, LARGEST))

    def _number(self, generic: ProfileGeneric, name: str) -> int:
        """An attribute, 0 where the meter refuses it or holds no number there; an answer that is damaged raises."""
        data = _unless_refused(lambda: self.get(generic.attribute(name)))
        if data is None:
            return 0
        try:
            return int(generic.decode(name, data))
        except DecodeError:
            return 0

    def entries_in_use(self, obis: str) -> int:
        """How many rows a load profile holds."""
        generic = ProfileGeneric(obis)
        return int(generic.decode("entries_in_use", self.get(generic.attribute("entries_in_use"))))

    def rows(self, obis: str, profile: Profile, selection: Selection | None = None) -> list[ProfileRow]:
        """The rows of a load profile, whole or selected. DecodeError `bad_profile` for rows that do not fit."""
        data = self.get(CosemAttribute(PROFILE_GENERIC, obis_bytes(obis), 2), selection)
        return unpack_rows(data, profile)


def unpack_rows(data: Data, profile: Profile) -> list[ProfileRow]:
    """A buffer's Data as rows.

    Null-data stands for the value above it, a delta is added to that; in the clock's column null-data stands for the
    time above it plus the capture period (Blue Book, profile generic), or less it where the newest row comes first.
    DecodeError `bad_profile`.
    """
    items = data[1][1] if data[0] == axdr.COMPACT_ARRAY else data[1]
    if data[0] not in (axdr.ARRAY, axdr.COMPACT_ARRAY):
        raise DecodeError("bad_profile", f"a profile's buffer is an array, this has tag {data[0]}")
    clock = profile.clock_index
    rows: list[ProfileRow] = []
    above: list[Data] | None = None
    time: ClockTime | None = None
    for number, item in enumerate(items):
        if item[0] != axdr.STRUCTURE or len(item[1]) != len(profile.columns):
            count = len(item[1]) if item[0] == axdr.STRUCTURE else 1
            message = f"row {number} has {count} values, the profile {len(profile.columns)} columns"
            raise DecodeError("bad_profile", message)
        values: list[Data] = list(item[1])
        for at, value in enumerate(values):
            if value[0] == NULL and at != clock and above is not None:
                values[at] = above[at]
            elif value[0] in axdr.DELTAS:
                values[at] = _sum((NULL, None) if above is None else above[at], value, number)
        if clock is not None:
            time = _row_time(values[clock], time, -profile.period if profile.newest_first else profile.period, number)
        rows.append(ProfileRow(time, values))
        above = values
    return rows


_TIME_SIZE = 12


def _sum(above: Data, delta: Data, number: int) -> Data:
    if not axdr.is_integer(above):
        raise DecodeError("bad_profile", f"row {number} has a difference to a value that is not a whole number")
    return (axdr.INT64, above[1] + delta[1])


def _row_time(data: Data, before: ClockTime | None, period: int, number: int) -> ClockTime | None:
    if data[0] in (OCTET_STRING, DATE_TIME):
        try:
            return ClockTime.from_meter(data[1])
        except DecodeError:
            if len(data[1]) != _TIME_SIZE:
                raise
            return None  # captured while the clock was not set; the other rows count all the same
    if axdr.is_integer(data):  # a Unix time (class 8, attribute 2 as double-long-unsigned), which some meters capture
        return ClockTime.from_unix(int(data[1]), 0)
    if data[0] == NULL and before is not None and period:
        local = before.local_seconds()
        if local is not None:
            following = ClockTime.from_unix(local + period, 0, before.status)
            following.deviation = before.deviation
            return following
    if data[0] == NULL:
        return None
    raise DecodeError("bad_profile", f"row {number} has a capture time with tag {data[0]}")


def column_name(column: CaptureObject) -> str:
    """How a column is called: its OBIS code, with `:attribute` where it is not the value itself."""
    return column.obis if column.attribute in (0, 2) else f"{column.obis}:{column.attribute}"


def row_values(reader: MeterReader, profile: Profile, row: ProfileRow) -> dict[str, str | None]:
    """A row's values by column as exact decimals, without the clock; a captured scaler_unit scales its own row."""
    captured: dict[str, int] = {}
    for column, data in zip(profile.columns, row.values, strict=True):
        if column.attribute in (3, 4) and column.class_id in REGISTER_CLASSES:
            with_scaler = _captured_scaler(column, data)
            if with_scaler is not None:
                captured[column.obis] = with_scaler
    values: dict[str, str | None] = {}
    for column, data in zip(profile.columns, row.values, strict=True):
        if column.class_id == CLOCK and column.attribute == 2:
            continue
        if column.obis in captured and _captured_scaler(column, data) is not None:
            continue
        scaler = captured.get(column.obis)
        if scaler is None or (column.class_id, column.attribute) not in SCALED_ATTRIBUTES:
            known = reader.scaler_unit(column.class_id, column.obis, column.attribute)
            scaler = known[0] if known is not None else 0
        values[column_name(column)] = value_text(data, scaler)
    return values


def captured_scaler(data: Data, unit: int) -> int | None:
    """The scaler of a captured scaler_unit; None where it is none, or one of another unit."""
    try:
        scaler, found = SCALER_UNIT.decode(data)
    except DecodeError:
        return None
    return int(scaler) if found == unit else None


def _captured_scaler(column: CaptureObject, data: Data) -> int | None:
    """The scaler in a captured scaler_unit (whole, or its first element), else None."""
    if SCALED_ATTRIBUTES.get((column.class_id, 2)) != column.attribute:
        return None
    if data[0] == axdr.STRUCTURE:
        try:
            return SCALER_UNIT.decode(data)[0]
        except DecodeError:
            return None
    return int(data[1]) if column.data_index == 1 and axdr.is_integer(data) else None


def registers_of(objects: Sequence[ListedObject]) -> list[ListedObject]:
    """Those of the list that hold a measured value."""
    return [item for item in objects if item.class_id in REGISTER_CLASSES]


def _unless_refused(read: Callable[[], T]) -> T | None:
    """What a reading gives, None where the meter refuses it."""
    try:
        return read()
    except DataAccessError:
        return None


RANGE_MARGIN = 3600
"""Seconds that a selection by range is wider than asked for, as a meter may compare the hours that its clock showed,
on either side of a change to or from summer time. What is too much is left out on this side."""


def range_selection(profile: Profile, since: int, until: int, deviation: int | None) -> Selection | None:
    """The selection of the rows from `since` to `until` in a clock of this deviation; None without a clock column.

    It is RANGE_MARGIN wider on either side.
    """
    at = profile.clock_index
    if at is None:
        return None
    column = profile.columns[at]
    bounds: list[Data] = []
    for unix in (since - RANGE_MARGIN, until + RANGE_MARGIN):
        bound = ClockTime.from_unix(unix, deviation or 0)
        bound.deviation = deviation
        bounds.append((OCTET_STRING, bound.to_bytes()))
    restricting = (column.class_id, obis_bytes(column.obis), column.attribute, column.data_index)
    return Selection.by_range(restricting, bounds[0], bounds[1])


def rows_between(
    reader: MeterReader, obis: str, profile: Profile, since: int, until: int, deviation: int | None
) -> list[ProfileRow]:
    """The rows of a load profile from `since` to `until`, both inclusive; of a meter that selects none, out of all.

    A row's own deviation counts; one that states none is taken as UTC, as the bounds are then.
    """
    try:
        rows = reader.rows(obis, profile, range_selection(profile, since, until, deviation))
    except DataAccessError:
        rows = reader.rows(obis, profile)
    found = []
    for row in rows:
        time = None
        if row.time is not None:
            time = row.time.local_seconds() if row.time.deviation is None else row.time.unix()
        if profile.clock_index is None or (time is not None and since <= time <= until):
            found.append(row)
    return found


def read_all(
    reader: MeterReader, profile_obis: str = "1-0:99.1.0.255", since: int | None = None, until: int | None = None
) -> dict[str, Any]:
    """The whole meter: `{"meter", "clock", "registers", "profile"}` as `edge-agent read --json` prints it.

    since and until (Unix seconds, both inclusive) bound the rows of the profile.
    """
    meter = _unless_refused(reader.logical_device_name)
    time = reader.clock_if_set()
    clock = None if time is None else time.iso()
    objects = reader.object_list()
    registers = {item.obis: reader.register(item.class_id, item.obis) for item in registers_of(objects)}
    listed = {(item.class_id, item.obis) for item in objects}
    rows: list[dict[str, Any]] = []
    if (PROFILE_GENERIC, profile_obis) in listed:
        try:
            profile = reader.profile(profile_obis)
            if since is None or until is None:
                found = reader.rows(profile_obis, profile)
            else:
                deviation = None if time is None else time.deviation
                found = rows_between(reader, profile_obis, profile, since, until, deviation)
            for row in found:
                shown = None if row.time is None else row.time.iso()
                rows.append({"time": shown, "values": row_values(reader, profile, row)})
        except DataAccessError as error:
            message = f"the load profile {profile_obis} cannot be read: {error.message}"
            raise DlmsError(error.code, message) from error
    return {"meter": meter, "clock": clock, "registers": registers, "profile": rows}
