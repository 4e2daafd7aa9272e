"""Profile generic (class 7): rows of captured values, read whole, by range or by entry."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import Selection
from edge_agent.dlms.apdu.results import OTHER_REASON, SCOPE_OF_ACCESS_VIOLATED, TYPE_UNMATCHED, access_error
from edge_agent.dlms.axdr import ARRAY, DATE_TIME, NULL, OCTET_STRING, STRUCTURE
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.cosem.base import Attribute, CosemObject
from edge_agent.dlms.cosem.types import CAPTURE_OBJECTS, ENUMERATED, U32, CaptureObject
from edge_agent.dlms.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_agent.dlms.axdr import Data

SORT_FIFO = 1


class ProfileGeneric(CosemObject):
    """`buffer` is a list of rows, each a list of Data in the order of `capture_objects`; periods in seconds."""

    CLASS_ID = 7
    VERSION = 1
    ATTRIBUTES = (
        Attribute(2, "buffer"),
        Attribute(3, "capture_objects", CAPTURE_OBJECTS),
        Attribute(4, "capture_period", U32),
        Attribute(5, "sort_method", ENUMERATED),
        Attribute(6, "sort_object"),
        Attribute(7, "entries_in_use", U32),
        Attribute(8, "profile_entries", U32),
    )
    METHODS = ((1, "reset"), (2, "capture"))

    def get(self, index: int, selection: Selection | None = None) -> Data:
        """Server: as every object, but the buffer obeys a selection."""
        if index != 2:
            return super().get(index, selection)
        rows = self.values["buffer"]
        rows = rows() if callable(rows) else rows
        if selection is not None:
            rows = select_rows(rows, self.values["capture_objects"], selection)
        return (ARRAY, [(STRUCTURE, row) for row in rows])


def select_rows(rows: list[list[Data]], columns: list[CaptureObject], selection: Selection) -> list[list[Data]]:
    """The rows and columns that a selection names; DataAccessError where it makes no sense."""
    tag, fields = selection.parameters
    if tag != STRUCTURE or len(fields) != 4:
        raise access_error(TYPE_UNMATCHED, "expected a selection as a structure of four")
    if selection.selector == Selection.ENTRY:
        return _by_entry(rows, [field[1] for field in fields])
    if selection.selector == Selection.RANGE:
        return _by_range(rows, columns, fields)
    raise access_error(SCOPE_OF_ACCESS_VIOLATED, f"selector {selection.selector}")


def _by_entry(rows: list[list[Data]], bounds: list[Any]) -> list[list[Data]]:
    if not all(isinstance(bound, int) for bound in bounds) or bounds[0] < 1:
        raise access_error(OTHER_REASON, "a selection by entry that does not count from 1")
    first, last, first_column, last_column = bounds
    chosen = rows[first - 1 : last or None]
    start = max(first_column, 1) - 1
    return [row[start : last_column or None] for row in chosen]


def _by_range(rows: list[list[Data]], columns: list[CaptureObject], fields: list[Data]) -> list[list[Data]]:
    try:
        restricting = CaptureObject.from_data(fields[0])
        wanted = [CaptureObject.from_data(item) for item in fields[3][1] or []]
    except DecodeError:
        raise access_error(TYPE_UNMATCHED, "a selection by range without a restricting object") from None
    if restricting not in columns:
        raise access_error(SCOPE_OF_ACCESS_VIOLATED, "a restricting object that is not captured")
    at = columns.index(restricting)
    local = _is_local(fields[1]) or _is_local(fields[2])
    low, high = _comparable(fields[1], local), _comparable(fields[2], local)
    chosen = []
    for row in rows:
        value = _comparable(row[at], local)
        above = low is None or (type(value) is type(low) and value >= low)
        below = high is None or (type(value) is type(high) and value <= high)
        if above and below:
            chosen.append(row)
    if not wanted:
        return chosen
    indexes = []
    for column in wanted:
        if column not in columns:
            raise access_error(SCOPE_OF_ACCESS_VIOLATED, "a selected column that is not captured")
        indexes.append(columns.index(column))
    return [[row[index] for index in indexes] for row in chosen]


def _time(data: Data) -> ClockTime | None:
    tag, value = data
    if tag in (OCTET_STRING, DATE_TIME) and len(value) == 12:
        try:
            return ClockTime.from_bytes(value)
        except DecodeError:
            return None
    return None


def _is_local(data: Data) -> bool:
    time = _time(data)
    return time is not None and time.deviation is None


def _comparable(data: Data, local: bool) -> Any:
    """A value that orders: seconds of a date-time, local or UTC; itself for any other; None for no bound."""
    tag, value = data
    if tag == NULL:
        return None
    if tag in (OCTET_STRING, DATE_TIME) and len(value) == 12:
        time = _time(data)
        if time is None:
            return None
        unix = None if local else time.unix()
        return time.local_seconds() if unix is None else unix
    return value
