"""What the APDU classes share: equality by bytes, a readable repr, and the descriptors that several carry."""

from __future__ import annotations

from edge_agent.dlms.axdr import OCTET_STRING, STRUCTURE, UINT16, UINT32, Reader, encode
from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.obis import obis_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data

INVOKE_NORMAL_CONFIRMED = 0x41
"""Invoke-id 1, confirmed service, normal priority."""


class Apdu:
    """Base of all APDUs: `TAG`, `to_bytes()`, `from_bytes()`; two are equal when their bytes are."""

    TAG = 0
    FIELDS: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """The whole APDU, its tag included."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Apdu) and type(self) is type(other) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return type(self).__name__ + "(" + ", ".join([f"{f}={getattr(self, f)!r}" for f in self.FIELDS]) + ")"


class CosemAttribute:
    """Attribute `index` (or method `index`) of the object `instance` (six bytes) of interface class `class_id`."""

    __slots__ = ("class_id", "index", "instance")

    def __init__(self, class_id: int, instance: bytes, index: int) -> None:
        self.class_id = class_id
        self.instance = instance
        self.index = index

    def to_bytes(self) -> bytes:
        """Nine bytes."""
        return self.class_id.to_bytes(2, "big") + self.instance + bytes((self.index & 0xFF,))

    @classmethod
    def read(cls, reader: Reader) -> CosemAttribute:
        """From where the reader stands."""
        class_id = reader.u16()
        instance = reader.take(6)
        index = reader.u8()
        return cls(class_id, instance, index - 256 if index > 127 else index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CosemAttribute) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return f"CosemAttribute({self.class_id}, {obis_text(self.instance)}, {self.index})"


class Selection:
    """Selective access: `selector` 1 (range) or 2 (entry) of a profile, and its parameters."""

    RANGE = 1
    ENTRY = 2
    __slots__ = ("parameters", "selector")

    def __init__(self, selector: int, parameters: Data) -> None:
        self.selector = selector
        self.parameters = parameters

    @classmethod
    def by_range(
        cls, restricting: tuple[int, bytes, int, int], start: Data, end: Data, columns: list[Data] | None = None
    ) -> Selection:
        """Rows whose `restricting` column (class, OBIS, attribute, data index) lies in [start, end]."""
        class_id, instance, attribute, data_index = restricting
        column = [(UINT16, class_id), (OCTET_STRING, instance), (15, attribute), (UINT16, data_index)]
        return cls(cls.RANGE, (STRUCTURE, [(STRUCTURE, column), start, end, (1, columns or [])]))

    @classmethod
    def by_entry(cls, first: int, last: int = 0, first_column: int = 1, last_column: int = 0) -> Selection:
        """Rows `first` to `last` and columns likewise, counted from 1; 0 is the last there is."""
        rows = [(UINT32, first), (UINT32, last)]
        return cls(cls.ENTRY, (STRUCTURE, rows + [(UINT16, first_column), (UINT16, last_column)]))

    def to_bytes(self) -> bytes:
        """The selector and its parameters."""
        return bytes((self.selector,)) + encode(self.parameters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selection) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return f"Selection({self.selector}, {self.parameters!r})"


def read_selection(reader: Reader) -> Selection | None:
    """An optional Selection: a presence byte, then itself."""
    if not read_present(reader):
        return None
    selector = reader.u8()
    return Selection(selector, reader.value())


def read_present(reader: Reader) -> bool:
    """The presence byte of an OPTIONAL field; DecodeError `bad_choice` where it is neither 0 nor 1."""
    at = reader.position
    present = reader.u8()
    if present > 1:
        raise DecodeError("bad_choice", f"0x{present:02x} is neither absent (0) nor present (1)", at)
    return present == 1


def write_selection(selection: Selection | None) -> bytes:
    """A presence byte, then the selection if there is one."""
    return b"\x00" if selection is None else b"\x01" + selection.to_bytes()


def bad_choice(what: str, found: int, offset: int) -> DecodeError:
    """The error for a CHOICE that the standard does not have."""
    return DecodeError("bad_choice", f"{found} is not a kind of {what}", offset)
