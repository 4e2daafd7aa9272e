"""What every COSEM object has: a class, a version, a logical name, attributes and methods by name and number."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import CosemAttribute
from edge_agent.dlms.apdu.results import OBJECT_UNAVAILABLE, READ_WRITE_DENIED, access_error
from edge_agent.dlms.cosem.types import DATA, ListedObject
from edge_agent.dlms.obis import obis_bytes, obis_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_agent.dlms.apdu.base import Selection
    from edge_agent.dlms.axdr import Data
    from edge_agent.dlms.cosem.types import Codec

READ = 1
WRITE = 2


class Attribute:
    """Number, name and type of an attribute, and whether a client may write it."""

    __slots__ = ("codec", "index", "name", "writable")

    def __init__(self, index: int, name: str, codec: Codec = DATA, writable: bool = False) -> None:
        self.index = index
        self.name = name
        self.codec = codec
        self.writable = writable


class CosemObject:
    """An object of either side.

    On the client's side it names what to ask for (`object.attribute("value")`) and decodes the answer
    (`object.decode("value", data)`). On the server's side its `values` hold what is answered: a value, or a function
    without arguments that gives it when it is asked for.
    """

    CLASS_ID = 0
    VERSION = 0
    ATTRIBUTES: tuple[Attribute, ...] = ()
    METHODS: tuple[tuple[int, str], ...] = ()

    def __init__(self, name: str | bytes, **values: Any) -> None:
        self.name = name if isinstance(name, bytes) else obis_bytes(name)
        self.values: dict[str, Any] = values
        self.methods: dict[str, Any] = {}

    @property
    def obis(self) -> str:
        """The logical name as text."""
        return obis_text(self.name)

    def find(self, name: str | int) -> Attribute:
        """The attribute by name or number; KeyError."""
        for attribute in self.ATTRIBUTES:
            if name in (attribute.name, attribute.index):
                return attribute
        raise KeyError(name)

    def attribute(self, name: str | int) -> CosemAttribute:
        """What a GET or SET of this attribute addresses."""
        return CosemAttribute(self.CLASS_ID, self.name, self.find(name).index)

    def method(self, name: str) -> CosemAttribute:
        """What an ACTION of this method addresses; KeyError."""
        for index, known in self.METHODS:
            if known == name:
                return CosemAttribute(self.CLASS_ID, self.name, index)
        raise KeyError(name)

    def decode(self, name: str | int, data: Data) -> Any:
        """The Python value of an attribute's Data; DecodeError."""
        return self.find(name).codec.decode(data)

    def encode(self, name: str | int, value: Any) -> Data:
        """The Data of an attribute's Python value."""
        return self.find(name).codec.encode(value)

    def get(self, index: int, selection: Selection | None = None) -> Data:
        """Server: the Data of an attribute; DataAccessError."""
        if index == 1:
            return (9, self.name)
        what = f"{self.obis} attribute {index}"
        try:
            attribute = self.find(index)
        except KeyError:
            raise access_error(READ_WRITE_DENIED, what) from None
        if attribute.name not in self.values:
            raise access_error(OBJECT_UNAVAILABLE, what)
        value = self.values[attribute.name]
        return attribute.codec.encode(value() if callable(value) else value)

    def set(self, index: int, data: Data) -> None:
        """Server: take a new value; DataAccessError where it may not be written, DecodeError for a wrong type."""
        try:
            attribute = self.find(index)
        except KeyError:
            attribute = None
        if attribute is None or not attribute.writable:
            raise access_error(READ_WRITE_DENIED, f"writing {self.obis} attribute {index}")
        self.store(attribute, attribute.codec.decode(data))

    def store(self, attribute: Attribute, value: Any) -> None:
        """Server: put a written value in its place."""
        self.values[attribute.name] = value

    def act(self, index: int, parameters: Data | None) -> Data | None:
        """Server: call a method; DataAccessError where there is none."""
        for number, name in self.METHODS:
            if number == index and name in self.methods:
                return self.methods[name](parameters)  # type: ignore[no-any-return]
        raise access_error(READ_WRITE_DENIED, f"{self.obis} method {index}")

    def listed(self) -> ListedObject:
        """Server: this object's line in the object list."""
        access = {1: READ}
        for attribute in self.ATTRIBUTES:
            if attribute.name in self.values:
                access[attribute.index] = READ | WRITE if attribute.writable else READ
        return ListedObject(
            self.CLASS_ID,
            self.VERSION,
            self.obis,
            access,
            {number: 1 for number, name in self.METHODS if name in self.methods},
        )
