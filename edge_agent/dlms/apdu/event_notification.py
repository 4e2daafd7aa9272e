"""EventNotification-Request (Green Book 9.3): a meter reports one attribute's value unasked."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import Apdu, CosemAttribute, read_present
from edge_agent.dlms.axdr import Reader, encode, write_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data


class EventNotification(Apdu):
    """`date_time` is twelve bytes or None."""

    TAG = 0xC2
    FIELDS = ("attribute", "value", "date_time")

    def __init__(self, attribute: CosemAttribute, value: Data, date_time: bytes | None = None) -> None:
        self.attribute = attribute
        self.value = value
        self.date_time = date_time

    def to_bytes(self) -> bytes:
        """C2."""
        time = self.date_time
        head = b"\x00" if time is None else b"\x01" + write_length(len(time)) + time
        return bytes((self.TAG,)) + head + self.attribute.to_bytes() + encode(self.value)

    @classmethod
    def read(cls, reader: Reader) -> EventNotification:
        """From where the reader stands; what follows is left."""
        reader.expect(cls.TAG, "an EventNotification")
        time = reader.octets() if read_present(reader) else None
        attribute = CosemAttribute.read(reader)
        return cls(attribute, reader.value(), time)

    @classmethod
    def from_bytes(cls, data: bytes) -> EventNotification:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        found = cls.read(reader)
        reader.end()
        return found
