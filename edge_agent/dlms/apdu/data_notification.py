"""DataNotification (Green Book 9.3): what a meter pushes, with the time at which it did so, or none."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import Apdu
from edge_agent.dlms.axdr import DATE_TIME, Reader, encode, write_length
from edge_agent.dlms.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data


class DataNotification(Apdu):
    """`long_invoke` has 32 bits; `date_time` twelve bytes or none; `body` is the Data."""

    TAG = 0x0F
    FIELDS = ("body", "date_time", "long_invoke")

    def __init__(self, body: Data, date_time: bytes = b"", long_invoke: int = 0) -> None:
        self.body = body
        self.date_time = date_time
        self.long_invoke = long_invoke

    def to_bytes(self) -> bytes:
        """0F."""
        head = bytes((self.TAG,)) + self.long_invoke.to_bytes(4, "big")
        return head + write_length(len(self.date_time)) + self.date_time + encode(self.body)

    @classmethod
    def read(cls, reader: Reader) -> DataNotification:
        """From where the reader stands; what follows is left."""
        long_invoke, date_time = read_head(reader)
        return cls(reader.value(), date_time, long_invoke)

    @classmethod
    def from_bytes(cls, data: bytes) -> DataNotification:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        found = cls.read(reader)
        reader.end()
        return found


def read_head(reader: Reader) -> tuple[int, bytes]:
    """Invoke-id and date-time, the latter with or without the tag that some meters put before it: that of an
    octet-string with its length, or that of a date-time without one."""
    reader.expect(DataNotification.TAG, "a DataNotification")
    long_invoke = reader.u32()
    at = reader.position
    length = reader.length()
    if length == 9 and reader.data[reader.position : reader.position + 1] == b"\x0c":
        length = reader.length()
    elif length == DATE_TIME:
        length = 12
    if length not in (0, 12):
        raise DecodeError("bad_time", f"a DataNotification's time has 12 bytes or none, not {length}", at)
    return long_invoke, reader.take(length)
