"""How the values of COSEM attributes become Python's, and back: one small codec for each type that classes use."""

from __future__ import annotations

from edge_agent.dlms import axdr
from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.axdr import ARRAY, ENUM, INT8, OCTET_STRING, STRUCTURE, UINT8, UINT16, UINT32
from edge_agent.dlms.clock_time import ClockTime
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.obis import obis_bytes, obis_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_agent.dlms.axdr import Data


def _wrong(what: str, data: Data) -> DecodeError:
    return DecodeError("type_unmatched", f"{what} cannot have the type with tag {data[0]}")


class Codec:
    """As it is: the value of the attribute is the Data itself."""

    def decode(self, data: Data) -> Any:
        """The Python value; DecodeError `type_unmatched`."""
        return data

    def encode(self, value: Any) -> Data:
        """The Data."""
        return value  # type: ignore[no-any-return]


class Number(Codec):
    """A whole number, written with `tag`, read with any integer's tag."""

    def __init__(self, tag: int) -> None:
        self.tag = tag

    def decode(self, data: Data) -> int:
        """The number."""
        if axdr.is_integer(data):
            return int(data[1])
        raise _wrong("a number", data)

    def encode(self, value: int) -> Data:
        """With this codec's tag."""
        return (self.tag, value)


class Boolean(Codec):
    """True or false; some meters send a number."""

    def decode(self, data: Data) -> bool:
        """Whether it is true."""
        if data[0] == axdr.BOOLEAN or axdr.is_integer(data):
            return bool(data[1])
        raise _wrong("a boolean", data)

    def encode(self, value: bool) -> Data:
        """As BOOLEAN."""
        return (axdr.BOOLEAN, value)


class Octets(Codec):
    """Bytes."""

    def decode(self, data: Data) -> bytes:
        """The bytes of an octet-string, or of a string."""
        if data[0] in (OCTET_STRING, axdr.VISIBLE_STRING, axdr.UTF8_STRING, axdr.DATE_TIME, axdr.DATE, axdr.TIME):
            return bytes(data[1])
        raise _wrong("an octet-string", data)

    def encode(self, value: bytes) -> Data:
        """As OCTET_STRING."""
        return (OCTET_STRING, value)


class Time(Codec):
    """A date and time in twelve bytes."""

    def decode(self, data: Data) -> ClockTime:
        """From an octet-string or a date-time."""
        if data[0] in (OCTET_STRING, axdr.DATE_TIME):
            return ClockTime.from_meter(data[1])
        raise _wrong("a date-time", data)

    def encode(self, value: ClockTime) -> Data:
        """As OCTET_STRING."""
        return (OCTET_STRING, value.to_bytes())


class Name(Codec):
    """A logical name as OBIS text."""

    def decode(self, data: Data) -> str:
        """`1-0:1.8.0.255`."""
        if data[0] == OCTET_STRING and len(data[1]) == 6:
            return obis_text(data[1])
        raise _wrong("a logical name", data)

    def encode(self, value: str) -> Data:
        """As OCTET_STRING of six bytes."""
        return (OCTET_STRING, obis_bytes(value))


class ScalerUnit(Codec):
    """(scaler, unit): a power of ten and the number of a unit."""

    def decode(self, data: Data) -> tuple[int, int]:
        """From a structure of two."""
        if data[0] == STRUCTURE and len(data[1]) == 2 and all(axdr.is_integer(item) for item in data[1]):
            scaler, unit = data[1][0][1], data[1][1][1]
            if -128 <= scaler <= 127:
                return scaler, unit
        raise _wrong("a scaler_unit", data)

    def encode(self, value: tuple[int, int]) -> Data:
        """As structure {integer, enum}."""
        return (STRUCTURE, [(INT8, value[0]), (ENUM, value[1])])


class CaptureObject:
    """One column of a profile: class, OBIS text, attribute, data index (0: the whole attribute)."""

    __slots__ = ("attribute", "class_id", "data_index", "obis")

    def __init__(self, class_id: int, obis: str, attribute: int, data_index: int = 0) -> None:
        self.class_id = class_id
        self.obis = obis
        self.attribute = attribute
        self.data_index = data_index

    @classmethod
    def from_data(cls, data: Data) -> CaptureObject:
        """From a capture_object_definition; DecodeError `type_unmatched`."""
        if data[0] == STRUCTURE and len(data[1]) >= 3:
            items = data[1]
            numbers = [item for at, item in enumerate(items) if at != 1]
            if all(axdr.is_integer(item) for item in numbers) and items[1][0] == OCTET_STRING and len(items[1][1]) == 6:
                index = items[3][1] if len(items) > 3 else 0
                return cls(items[0][1], obis_text(items[1][1]), items[2][1], index)
        raise _wrong("a capture object", data)

    def to_data(self) -> Data:
        """As structure {long-unsigned, octet-string, integer, long-unsigned}."""
        name = obis_bytes(self.obis)
        fields = [(UINT16, self.class_id), (OCTET_STRING, name), (INT8, self.attribute), (UINT16, self.data_index)]
        return (STRUCTURE, fields)

    def cosem_attribute(self) -> CosemAttribute:
        """What a GET of this column's source addresses."""
        return CosemAttribute(self.class_id, obis_bytes(self.obis), self.attribute)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CaptureObject) and self.to_data() == other.to_data()

    def __hash__(self) -> int:
        return hash((self.class_id, self.obis, self.attribute, self.data_index))

    def __repr__(self) -> str:
        return f"CaptureObject({self.class_id}, {self.obis!r}, {self.attribute}, {self.data_index})"


class CaptureObjects(Codec):
    """The columns of a profile."""

    def decode(self, data: Data) -> list[CaptureObject]:
        """From an array."""
        if data[0] == ARRAY:
            return [CaptureObject.from_data(item) for item in data[1]]
        raise _wrong("a list of capture objects", data)

    def encode(self, value: list[CaptureObject]) -> Data:
        """As array."""
        return (ARRAY, [item.to_data() for item in value])


class ListedObject:
    """One line of an association's object list: class, version, OBIS text, and attribute access by number."""

    __slots__ = ("access", "class_id", "methods", "obis", "version")

    def __init__(
        self,
        class_id: int,
        version: int,
        obis: str,
        access: dict[int, int] | None = None,
        methods: dict[int, int] | None = None,
    ) -> None:
        self.class_id = class_id
        self.version = version
        self.obis = obis
        self.access = access or {}
        self.methods = methods or {}

    @classmethod
    def from_data(cls, data: Data) -> ListedObject:
        """From an object_list_element, with or without readable access rights; DecodeError `type_unmatched`."""
        if data[0] != STRUCTURE or len(data[1]) < 3:
            raise _wrong("an element of the object list", data)
        items = data[1]
        name = items[2]
        if not (
            axdr.is_integer(items[0]) and axdr.is_integer(items[1]) and name[0] == OCTET_STRING and len(name[1]) == 6
        ):
            raise _wrong("an element of the object list", data)
        rights: list[dict[int, int]] = [{}, {}]
        if len(items) > 3 and items[3][0] == STRUCTURE:
            for table, array in zip(rights, items[3][1]):  # noqa: B905
                for entry in array[1] if array[0] == ARRAY else []:
                    if entry[0] != STRUCTURE or len(entry[1]) < 2:
                        continue
                    number, mode = entry[1][:2]
                    if not axdr.is_integer(number) or not (axdr.is_integer(mode) or mode[0] == axdr.BOOLEAN):
                        raise _wrong("an access right of the object list", entry)
                    table[number[1]] = int(mode[1])
        return cls(items[0][1], items[1][1], obis_text(name[1]), rights[0], rights[1])

    def to_data(self) -> Data:
        """With access rights as version 1 and 2 of the association have them."""
        attributes = [
            (STRUCTURE, [(INT8, number), (ENUM, mode), (axdr.NULL, None)])
            for number, mode in sorted(self.access.items())
        ]
        methods = [(STRUCTURE, [(INT8, number), (ENUM, mode)]) for number, mode in sorted(self.methods.items())]
        rights = (STRUCTURE, [(ARRAY, attributes), (ARRAY, methods)])
        head = [(UINT16, self.class_id), (UINT8, self.version), (OCTET_STRING, obis_bytes(self.obis))]
        return (STRUCTURE, head + [rights])

    def __repr__(self) -> str:
        return f"ListedObject({self.class_id}, {self.version}, {self.obis!r})"


class ObjectList(Codec):
    """An association's object list."""

    def decode(self, data: Data) -> list[ListedObject]:
        """From an array."""
        if data[0] == ARRAY:
            return [ListedObject.from_data(item) for item in data[1]]
        raise _wrong("an object list", data)

    def encode(self, value: list[ListedObject]) -> Data:
        """As array."""
        return (ARRAY, [item.to_data() for item in value])


DATA = Codec()
BOOLEAN = Boolean()
OCTETS = Octets()
TIME = Time()
NAME = Name()
SCALER_UNIT = ScalerUnit()
CAPTURE_OBJECTS = CaptureObjects()
OBJECT_LIST = ObjectList()
U8 = Number(UINT8)
U16 = Number(UINT16)
U32 = Number(UINT32)
I8 = Number(INT8)
I16 = Number(axdr.INT16)
ENUMERATED = Number(ENUM)
