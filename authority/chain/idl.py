"""Anchor IDL, specification 0.1.0: what drives every encoding and decoding for the programs.

One long file: encoding and decoding walk the same types, side by side, and a change of one is a change of the other.

An `Idl` is read from the JSON that a program's build emits. It encodes instructions (discriminator, then the
arguments in borsh), orders and resolves their accounts, decodes accounts and events (borsh, or bytemuck: C layout,
which Anchor takes only without padding, so fields simply follow one another), and names errors.

Values in Python: integers are int, `pubkey` is solders' Pubkey, `bytes` and `[u8; n]` are bytes, other arrays and
`vec` are lists, `option` is None or the value, a struct is a dict by field name, a tuple struct a list. An enum of unit
variants alone is a member of an IntEnum, and is written by its number or name; in any other enum a unit variant is its
name, and one with content a dict of one entry. A tuple struct of one field (a newtype, such as a unit) is that
field's value.

Source: the crate anchor-lang-idl-spec 0.1.0, and https://borsh.io for the wire format.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain.artifacts import PROGRAM_NAMES, idl_path
from authority.chain.errors import ChainError

SPECIFICATION: Final = "0.1.0"
DISCRIMINATOR_SIZE: Final = 8
"""Bytes that tell events apart, unless an IDL says otherwise."""
EVENT_INSTRUCTION_TAG: Final = (0x1D9ACB512EA545E4).to_bytes(8, "little")
"""What an event emitted by self-CPI starts with: SHA-256 of `anchor:event`, the first eight bytes."""

_T = TypeVar("_T")
_MAX_DEPTH = 32
_MAX_ZERO_SIZED = 1024

_FRAMEWORK_ERRORS: Final = {
    # Anchor v2's own errors that reach the chain as custom codes; its other checks end as built-in instruction errors.
    2000: ("ConstraintMut", "an account that must be writable was passed read-only"),
    2001: ("ConstraintHasOne", "an account does not hold the address of another that must belong to it"),
    2003: ("ConstraintRaw", "an account's own condition does not hold"),
    2005: ("ConstraintRentExempt", "an account is not rent exempt"),
    2007: ("ConstraintExecutable", "an account that must be a program is not executable"),
    2011: ("ConstraintClose", "an account cannot be closed into the one given"),
    2012: ("ConstraintAddress", "an account is not the one at the address that the program requires"),
    2013: ("ConstraintZero", "an account that must be new already has a discriminator"),
    2019: ("ConstraintSpace", "an account has another size than the program requires"),
    2020: ("ConstraintAccountIsNone", "an optional account is needed here and was left out"),
    2040: ("ConstraintDuplicateMutableAccount", "an account that is written was passed twice"),
    2500: ("RequireViolated", "a requirement of the program does not hold"),
    2501: ("RequireEqViolated", "two values that must be equal are not"),
    2502: ("RequireKeysEqViolated", "two addresses that must be equal are not"),
    2503: ("RequireNeqViolated", "two values that must differ are equal"),
    2504: ("RequireKeysNeqViolated", "two addresses that must differ are equal"),
    2505: ("RequireGtViolated", "a value is not greater than its bound"),
    2506: ("RequireGteViolated", "a value is less than its bound"),
}


class IdlError(ChainError):
    """Anything that the IDL and what it was asked for do not agree on; `code` names the cause."""

    code = "idl"


class IdlFormatError(IdlError):
    """The IDL itself cannot be used: not JSON, another specification, an unknown type."""

    code = "idl_format"


class IdlNameError(IdlError):
    """The IDL has no instruction, account, event or type of that name."""

    code = "idl_name"


class IdlValueError(IdlError):
    """A value does not fit the type that the IDL gives it; the message starts with the path to the value."""

    code = "idl_value"


class IdlAccountsError(IdlError):
    """An instruction's accounts are incomplete, or one is named that it does not have."""

    code = "idl_accounts"


class IdlDataError(IdlError):
    """Bytes are not what the IDL says: an unknown discriminator, cut short, an impossible tag."""

    code = "idl_data"


# Codecs -------------------------------------------------------------------------------------------------------------


class _Codec:
    """Writes and reads one type. `smallest` is the least number of bytes that a value can take."""

    smallest = 0

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        raise NotImplementedError

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[Any, int]:
        raise NotImplementedError

    def seed(self, value: object, path: str) -> bytes:
        """The value as a PDA seed: as written, save that text and bytes have no length in front."""
        out = bytearray()
        self.write(value, out, path, 0)
        return bytes(out)


def _take(data: bytes, offset: int, size: int, path: str) -> bytes:
    end = offset + size
    if end > len(data):
        raise IdlDataError(f"{path}: cut short: {size} bytes wanted at offset {offset}, {len(data) - offset} are there")
    return data[offset:end]


class _Integer(_Codec):
    def __init__(self, name: str, size: int, signed: bool) -> None:
        self.name = name
        self.smallest = size
        self.signed = signed
        bits = size * 8
        self.low = -(1 << (bits - 1)) if signed else 0
        self.high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise IdlValueError(f"{path}: {self.name} takes an int, not {type(value).__name__}")
        if not self.low <= value <= self.high:
            raise IdlValueError(f"{path}: {value} does not fit {self.name} ({self.low} to {self.high})")
        out += value.to_bytes(self.smallest, "little", signed=self.signed)

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[int, int]:
        raw = _take(data, offset, self.smallest, path)
        return int.from_bytes(raw, "little", signed=self.signed), offset + self.smallest


class _Bool(_Codec):
    smallest = 1

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        if not isinstance(value, bool):
            raise IdlValueError(f"{path}: bool takes True or False, not {type(value).__name__}")
        out.append(value)

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[bool, int]:
        raw = _take(data, offset, 1, path)[0]
        if raw > 1:
            raise IdlDataError(f"{path}: expected a bool (0 or 1), not {raw}")
        return raw == 1, offset + 1


class _PublicKey(_Codec):
    smallest = 32

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        if isinstance(value, Pubkey):
            out += bytes(value)
        elif isinstance(value, (bytes, bytearray)) and len(value) == 32:
            out += value
        else:
            raise IdlValueError(f"{path}: pubkey takes a Pubkey or 32 bytes, not {type(value).__name__}")

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[Pubkey, int]:
        return Pubkey.from_bytes(_take(data, offset, 32, path)), offset + 32


def _write_length(length: int, out: bytearray) -> None:
    out += length.to_bytes(4, "little")


def _read_length(data: bytes, offset: int, smallest: int, path: str) -> tuple[int, int]:
    length = int.from_bytes(_take(data, offset, 4, path), "little")
    offset += 4
    room = (len(data) - offset) // smallest if smallest else _MAX_ZERO_SIZED
    if length > room:
        raise IdlDataError(f"{path}: says it has {length} items, there is room for {room}")
    return length, offset


class _Bytes(_Codec):
    smallest = 4

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        raw = self.seed(value, path)
        _write_length(len(raw), out)
        out += raw

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[bytes, int]:
        length, offset = _read_length(data, offset, 1, path)
        return _take(data, offset, length, path), offset + length

    def seed(self, value: object, path: str) -> bytes:
        if not isinstance(value, (bytes, bytearray)):
            raise IdlValueError(f"{path}: takes bytes, not {type(value).__name__}")
        return bytes(value)


class _Text(_Codec):
    smallest = 4

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        raw = self.seed(value, path)
        _write_length(len(raw), out)
        out += raw

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[str, int]:
        length, offset = _read_length(data, offset, 1, path)
        try:
            return _take(data, offset, length, path).decode(), offset + length
        except UnicodeDecodeError as error:
            raise IdlDataError(f"{path}: is not UTF-8: {error}") from error

    def seed(self, value: object, path: str) -> bytes:
        if not isinstance(value, str):
            raise IdlValueError(f"{path}: takes str, not {type(value).__name__}")
        return value.encode()


class _Option(_Codec):
    smallest = 1

    def __init__(self, inner: _Codec) -> None:
        self.inner = inner

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        out.append(value is not None)
        if value is not None:
            self.inner.write(value, out, path, depth)

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[Any, int]:
        tag = _take(data, offset, 1, path)[0]
        if tag > 1:
            raise IdlDataError(f"{path}: expected an option's tag (0 or 1), not {tag}")
        return self.inner.read(data, offset + 1, path, depth) if tag else (None, offset + 1)


def _items(value: object, path: str) -> Sequence[object]:
    if not isinstance(value, (list, tuple, bytes, bytearray)):
        raise IdlValueError(f"{path}: takes a list, not {type(value).__name__}")
    return value


class _Vec(_Codec):
    smallest = 4

    def __init__(self, inner: _Codec) -> None:
        self.inner = inner

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        items = _items(value, path)
        _write_length(len(items), out)
        for index, item in enumerate(items):
            self.inner.write(item, out, f"{path}[{index}]", depth)

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[list[Any], int]:
        length, offset = _read_length(data, offset, self.inner.smallest, path)
        items = []
        for index in range(length):
            item, offset = self.inner.read(data, offset, f"{path}[{index}]", depth)
            items.append(item)
        return items, offset


class _Array(_Codec):
    def __init__(self, inner: _Codec, length: int) -> None:
        self.inner = inner
        self.length = length
        self.smallest = inner.smallest * length

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        items = _items(value, path)
        if len(items) != self.length:
            raise IdlValueError(f"{path}: takes {self.length} items, these are {len(items)}")
        for index, item in enumerate(items):
            self.inner.write(item, out, f"{path}[{index}]", depth)

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[list[Any], int]:
        items = []
        for index in range(self.length):
            item, offset = self.inner.read(data, offset, f"{path}[{index}]", depth)
            items.append(item)
        return items, offset


class _ByteArray(_Codec):
    def __init__(self, length: int) -> None:
        self.smallest = length

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        if not isinstance(value, (bytes, bytearray)):
            raise IdlValueError(f"{path}: takes {self.smallest} bytes, not {type(value).__name__}")
        if len(value) != self.smallest:
            raise IdlValueError(f"{path}: takes {self.smallest} bytes, these are {len(value)}")
        out += value

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[bytes, int]:
        return _take(data, offset, self.smallest, path), offset + self.smallest


class _Struct(_Codec):
    def __init__(self, fields: Sequence[tuple[str, _Codec]]) -> None:
        self.fields = fields
        self.smallest = sum(codec.smallest for _, codec in fields)

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        if not isinstance(value, Mapping):
            raise IdlValueError(f"{path}: takes a dict, not {type(value).__name__}")
        names = {name for name, _ in self.fields}
        if unknown := sorted(str(key) for key in value if key not in names):
            raise IdlValueError(f"{path}: has no field {', '.join(unknown)}; its fields are {', '.join(sorted(names))}")
        for name, codec in self.fields:
            if name not in value:
                raise IdlValueError(f"{path}.{name}: is missing")
            codec.write(value[name], out, f"{path}.{name}", depth)

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[dict[str, Any], int]:
        result = {}
        for name, codec in self.fields:
            result[name], offset = codec.read(data, offset, f"{path}.{name}", depth)
        return result, offset


class _Row:
    """Reads a struct whose fields all have one size at one stroke, as those of nearly all events have.

    A number that is no variant of its enum raises IndexError: the codec's own reader says which it was.
    """

    def __init__(self, codec: _Struct, layout: str, parts: Sequence[_Part]) -> None:
        names = [name for name, _ in codec.fields]
        self._layout = struct.Struct("<" + layout)
        self.values = parts[-1][1] if parts else 0
        self._plain = [(name, start) for name, (start, end, _) in zip(names, parts, strict=True) if end == start + 1]
        self._names = [name for name, _ in self._plain]
        self._all_plain = [start for _, start in self._plain] == list(range(self.values))
        self._pick = _picker([start for _, start in self._plain])
        made = [(name, *part) for name, part in zip(names, parts, strict=True) if part[2] is not None]
        self._addresses = [(name, start) for name, start, _, make in made if make is _address]
        self._made = [each for each in made if each[3] is not _address]

    @classmethod
    def of(cls, codec: _Codec) -> _Row | None:
        """For a struct's codec; None where it is none, or one of a size that varies."""
        if not isinstance(codec, _Struct):
            return None
        layout, parts, at = "", [], 0
        for _, field_codec in codec.fields:
            found = _fixed(field_codec)
            if found is None:
                return None
            letters, count, make = found
            parts.append((at, at + count, make))
            layout, at = layout + letters, at + count
        return cls(codec, layout, parts)

    @property
    def size(self) -> int:
        """Bytes of a struct."""
        return self._layout.size

    @staticmethod
    def columns(item: _Tagged, names: Sequence[str]) -> Columns | None:
        """How struct reads these fields alone, behind the discriminator; None where they do not lie in this order."""
        if not isinstance(item.codec, _Struct) or [name for name, _ in item.codec.fields if name in names] != [*names]:
            return None
        layout, codes = f"<{len(item.discriminator)}x", {}
        for name, codec in item.codec.fields:
            found = _fixed(codec)
            if found is None:
                return None
            letters = found[0]
            layout += letters if name in names else f"{struct.calcsize('<' + letters)}x"
            if isinstance(codec, _Codes):
                codes[name] = len(codec.variants)
        return Columns(item.discriminator, struct.Struct(layout), codes)

    def read(self, data: bytes, offset: int) -> dict[str, Any]:
        """The fields of a struct that lies whole in the data."""
        return self.made(self._layout.unpack_from(data, offset))

    def made(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """The fields, of the values as they lie."""
        if self._all_plain:
            found = dict(zip(self._names, values, strict=True))
        else:
            found = dict(zip(self._names, self._pick(values), strict=True))
        for name, start in self._addresses:
            found[name] = Pubkey(values[start])
        for name, start, end, make in self._made:
            found[name] = make(values[start:end])  # type: ignore[misc] # only those that are made of theirs
        return found


class Columns(NamedTuple):
    """Some fields of an event as they lie: addresses as 32 bytes, codes as numbers, each number of an array for itself.

    layout reads the whole event, and passes over what was not asked for; codes says how many variants each enum has.
    """

    discriminator: bytes
    layout: struct.Struct
    codes: Mapping[str, int]


def _address(values: tuple[Any, ...]) -> Pubkey:
    return Pubkey(values[0])


def _picker(places: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Takes the values at these places out of a tuple."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


_Part = tuple[int, int, "Callable[[tuple[Any, ...]], Any] | None"]
_LETTERS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def _fixed(codec: _Codec) -> tuple[str, int, Callable[[tuple[Any, ...]], Any] | None] | None:
    """How struct reads a field: its letters, how many values they are, and what is made of these (None: the value)."""
    match codec:
        case _Integer() if codec.smallest in _LETTERS:
            letter = _LETTERS[codec.smallest]
            return letter.lower() if codec.signed else letter, 1, None
        case _PublicKey():
            return "32s", 1, _address
        case _ByteArray():
            return f"{codec.smallest}s", 1, None
        case _Array(inner=_Integer()):
            found = _fixed(codec.inner)
            return None if found is None else (found[0] * codec.length, codec.length, list)
        case _Struct():
            row = _Row.of(codec)
            if row is None:
                return None
            return row._layout.format.removeprefix("<"), row.values, row.made
        case _Codes():
            variants = tuple(codec.variants)
            return "B", 1, lambda values: variants[values[0]]
    return None


class _Tuple(_Codec):
    def __init__(self, fields: Sequence[_Codec]) -> None:
        self.fields = fields
        self.smallest = sum(codec.smallest for codec in fields)

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        items = _items(value, path)
        if len(items) != len(self.fields):
            raise IdlValueError(f"{path}: takes {len(self.fields)} items, these are {len(items)}")
        for index, (codec, item) in enumerate(zip(self.fields, items, strict=True)):
            codec.write(item, out, f"{path}.{index}", depth)

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[list[Any], int]:
        items = []
        for index, codec in enumerate(self.fields):
            item, offset = codec.read(data, offset, f"{path}.{index}", depth)
            items.append(item)
        return items, offset


class _Enum(_Codec):
    smallest = 1

    def __init__(self, variants: Sequence[tuple[str, _Codec | None]]) -> None:
        self.variants = variants

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        name: object = value
        content: object = None
        if isinstance(value, Mapping) and len(value) == 1:
            name, content = next(iter(value.items()))
        for index, (variant, codec) in enumerate(self.variants):
            if variant != name:
                continue
            if (codec is None) != (content is None):
                raise IdlValueError(
                    f"{path}: variant {variant} {'has no content' if codec is None else 'needs content'}"
                )
            out.append(index)
            if codec is not None:
                codec.write(content, out, f"{path}.{variant}", depth)
            return
        raise IdlValueError(f"{path}: {name!r} is not one of {', '.join(variant for variant, _ in self.variants)}")

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[Any, int]:
        tag = _take(data, offset, 1, path)[0]
        if tag >= len(self.variants):
            raise IdlDataError(f"{path}: {tag} is not a variant; the type has {len(self.variants)}")
        name, codec = self.variants[tag]
        if codec is None:
            return name, offset + 1
        content, offset = codec.read(data, offset + 1, f"{path}.{name}", depth)
        return {name: content}, offset


class _Codes(_Codec):
    """An enum of unit variants alone: one byte, which is the variant's number."""

    smallest = 1

    def __init__(self, name: str, variants: Sequence[str]) -> None:
        self.variants = IntEnum(name, variants, start=0)  # type: ignore[misc]  # made of data, not of literals

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        for variant in self.variants:
            if value in (variant.name, variant.value) and not isinstance(value, bool):
                out.append(variant)
                return
        raise IdlValueError(f"{path}: {value!r} is not one of {', '.join(variant.name for variant in self.variants)}")

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[IntEnum, int]:
        tag = _take(data, offset, 1, path)[0]
        try:
            return self.variants(tag), offset + 1
        except ValueError as error:
            raise IdlDataError(f"{path}: {tag} is not a variant; the type has {len(self.variants)}") from error


class _Recursive(_Codec):
    """Stands in for a type inside its own definition; its depth is bounded, since hostile data could nest forever."""

    smallest = 1  # what ends the recursion is an option, a vec or an enum, and each takes a byte

    def __init__(self) -> None:
        self.target: _Codec | None = None

    def write(self, value: object, out: bytearray, path: str, depth: int) -> None:
        self._checked(path, depth, IdlValueError).write(value, out, path, depth + 1)

    def read(self, data: bytes, offset: int, path: str, depth: int) -> tuple[Any, int]:
        return self._checked(path, depth, IdlDataError).read(data, offset, path, depth + 1)

    def _checked(self, path: str, depth: int, error: type[IdlError]) -> _Codec:
        if depth >= _MAX_DEPTH or self.target is None:
            raise error(f"{path}: nests deeper than {_MAX_DEPTH}")
        return self.target


_PRIMITIVES: Final[Mapping[str, _Codec]] = {
    "bool": _Bool(),
    "pubkey": _PublicKey(),
    "bytes": _Bytes(),
    "string": _Text(),
    **{
        f"{kind}{bits}": _Integer(f"{kind}{bits}", bits // 8, kind == "i")
        for kind in "ui"
        for bits in (8, 16, 32, 64, 128, 256)
    },
}


class _Types:
    """Makes codecs of the IDL's types; each defined type once for each set of generic arguments."""

    def __init__(self, definitions: Sequence[Mapping[str, Any]]) -> None:
        self.definitions = {_text(item, "name"): item for item in definitions}
        self._made: dict[str, _Codec] = {}
        self._making: dict[str, _Recursive] = {}

    def defined(self, name: str, arguments: Sequence[Any] = ()) -> _Codec:
        key = json.dumps([name, *arguments], sort_keys=True)
        if key in self._made:
            return self._made[key]
        if key in self._making:
            return self._making[key]
        definition = self.definitions.get(name)
        if definition is None:
            raise IdlFormatError(f"type {name} is used but not defined")
        parameters = [_text(item, "name") for item in definition.get("generics", [])]
        if len(parameters) != len(arguments):
            raise IdlFormatError(f"type {name} takes {len(parameters)} generic arguments, {len(arguments)} are given")
        placeholder = self._making[key] = _Recursive()
        codec = self._definition(name, definition, dict(zip(parameters, arguments, strict=True)))
        placeholder.target = codec
        del self._making[key]
        self._made[key] = codec
        return codec

    def _definition(self, name: str, definition: Mapping[str, Any], generics: Mapping[str, Any]) -> _Codec:
        serialization = definition.get("serialization", "borsh")
        if serialization not in ("borsh", "bytemuck", "bytemuckunsafe"):
            raise IdlFormatError(f"type {name} is serialized as {serialization!r}, which this client does not know")
        body = definition.get("type", {})
        match body.get("kind"):
            case "struct":
                return self._fields(body.get("fields", []), generics)
            case "enum" if all(not item.get("fields") for item in body["variants"]):
                return _Codes(name, [_text(item, "name") for item in body["variants"]])
            case "enum" if serialization == "borsh":
                return _Enum(
                    [
                        (_text(item, "name"), self._fields(item["fields"], generics) if item.get("fields") else None)
                        for item in body.get("variants", [])
                    ]
                )
            case "type":
                return self.of(body.get("alias"), generics)
        raise IdlFormatError(f"type {name} has a definition that this client does not know: {body.get('kind')!r}")

    def _fields(self, fields: Sequence[Any], generics: Mapping[str, Any]) -> _Codec:
        if fields and all(isinstance(item, Mapping) and "name" in item and "type" in item for item in fields):
            return _Struct([(_text(item, "name"), self.of(item["type"], generics)) for item in fields])
        if len(fields) == 1:
            return self.of(fields[0], generics)
        return _Tuple([self.of(item, generics) for item in fields]) if fields else _Struct([])

    def of(self, kind: Any, generics: Mapping[str, Any] | None = None) -> _Codec:
        """The codec of an IdlType as it stands in the JSON."""
        generics = generics or {}
        if isinstance(kind, str):
            if kind in _PRIMITIVES:
                return _PRIMITIVES[kind]
            raise IdlFormatError(f"type {kind!r} is not one that this client knows")
        if isinstance(kind, Mapping) and len(kind) == 1:
            name, content = next(iter(kind.items()))
            match name:
                case "option":
                    return _Option(self.of(content, generics))
                case "vec":
                    return _Vec(self.of(content, generics))
                case "array":
                    return self._array(content, generics)
                case "generic":
                    return self.of(self._generic(content, generics, "type"), {})
                case "defined":
                    arguments = [self._argument(item, generics) for item in content.get("generics", [])]
                    return self.defined(_text(content, "name"), arguments)
        raise IdlFormatError(f"type {kind!r} is not one that this client knows")

    def _array(self, content: Sequence[Any], generics: Mapping[str, Any]) -> _Codec:
        inner, length = content
        if isinstance(length, Mapping):
            length = int(self._generic(length.get("generic"), generics, "value"))
        if not isinstance(length, int) or isinstance(length, bool) or length < 0:
            raise IdlFormatError(f"an array has the length {length!r}")
        codec = self.of(inner, generics)
        return _ByteArray(length) if codec is _PRIMITIVES["u8"] else _Array(codec, length)

    @staticmethod
    def _generic(name: Any, generics: Mapping[str, Any], part: str) -> Any:
        if name not in generics or part not in generics[name]:
            raise IdlFormatError(f"generic parameter {name!r} has no {part}")
        return generics[name][part]

    def _argument(self, item: Mapping[str, Any], generics: Mapping[str, Any]) -> Mapping[str, Any]:
        kind = item.get("type")
        if isinstance(kind, Mapping) and "generic" in kind:
            return {"kind": "type", "type": self._generic(kind["generic"], generics, "type")}
        return item


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key) if isinstance(item, Mapping) else None
    if not isinstance(value, str):
        raise IdlFormatError(f"the IDL has no text under {key!r} in {str(item)[:80]}")
    return value


def _discriminator(item: Mapping[str, Any]) -> bytes:
    try:
        return bytes(item["discriminator"])
    except (KeyError, TypeError, ValueError) as error:
        raise IdlFormatError(f"{item.get('name')} has no discriminator of bytes") from error


# The parts of an IDL -------------------------------------------------------------------------------------------------

AccountMap = Mapping[str, "Pubkey | AccountMap | None"]
"""Addresses by account name; None leaves an optional account out; a composite's accounts nest."""


@dataclass(frozen=True)
class AccountItem:
    """One account of an instruction, as the IDL has it. `path` names the composites that it lies in."""

    name: str
    path: tuple[str, ...]
    writable: bool
    signer: bool
    optional: bool
    address: str | None
    pda: Mapping[str, Any] | None


@dataclass(frozen=True)
class ErrorItem:
    """A program's error: its code on the chain, its name, and what it tells the person."""

    code: int
    name: str
    message: str


class Event(NamedTuple):
    """One event that a program logged, with its fields."""

    name: str
    data: dict[str, Any]


class InstructionItem:
    """One instruction of a program: encodes its arguments and puts its accounts in order."""

    def __init__(self, program_id: Pubkey, item: Mapping[str, Any], types: _Types) -> None:
        self.program_id = program_id
        self.name = _text(item, "name")
        self.discriminator = _discriminator(item)
        self.accounts = tuple(_account_items(item.get("accounts", []), ()))
        self._items = {(*each.path, each.name): each for each in self.accounts}
        self.account_names = frozenset(each.name for each in self.accounts)
        # Anchor's sign for an optional account that is left out is the program's own id.
        self._absent = AccountMeta(program_id, is_signer=False, is_writable=False)
        self._arguments = _Struct([(_text(arg, "name"), types.of(arg.get("type"))) for arg in item.get("args", [])])
        self._argument_types = {_text(arg, "name"): arg.get("type") for arg in item.get("args", [])}
        self._types = types

    @property
    def argument_names(self) -> tuple[str, ...]:
        """The arguments' names, in order."""
        return tuple(name for name, _ in self._arguments.fields)

    def encode(self, args: Mapping[str, object] | None = None) -> bytes:
        """The instruction's data: discriminator and arguments. Raises IdlValueError."""
        out = bytearray(self.discriminator)
        self._arguments.write(args or {}, out, self.name, 0)
        return bytes(out)

    def decode(self, data: bytes) -> dict[str, Any]:
        """The arguments in an instruction's data; IdlDataError for another discriminator or trailing bytes."""
        if not data.startswith(self.discriminator):
            raise IdlDataError(f"{self.name}: the data starts with another discriminator")
        args, end = self._arguments.read(data, len(self.discriminator), self.name, 0)
        if end != len(data):
            raise IdlDataError(f"{self.name}: {len(data) - end} bytes follow the arguments")
        return args

    def build(
        self,
        args: Mapping[str, object] | None = None,
        accounts: AccountMap | None = None,
        remaining: Sequence[AccountMeta] = (),
    ) -> Instruction:
        """The instruction, ready for a message. Raises IdlValueError and IdlAccountsError."""
        metas = [*self.account_metas(accounts, args), *remaining]
        return Instruction(self.program_id, self.encode(args), metas)

    def account_metas(
        self, accounts: AccountMap | None = None, args: Mapping[str, object] | None = None
    ) -> list[AccountMeta]:
        """The accounts in the IDL's order.

        An address given here goes before the IDL's own; what is not given is taken from a fixed address or a PDA in the
        IDL. A PDA whose seeds need another account's content cannot be resolved here and must be given.
        IdlAccountsError names what is missing or unknown.
        """
        if (known := self._known_metas(accounts or {})) is not None:
            return known
        given = dict(_flatten(accounts or {}, ()))
        items = self._items
        if unknown := sorted(".".join(key) for key in given if key not in items):
            raise IdlAccountsError(
                f"{self.name} has no account {', '.join(unknown)}; it has {', '.join('.'.join(key) for key in items)}"
            )
        resolver = _Resolver(self, items, given, args or {})
        metas = []
        for key, item in items.items():
            address = resolver.address(key)
            if address is None:
                metas.append(self._absent)
            else:
                metas.append(AccountMeta(address, is_signer=item.signer, is_writable=item.writable))
        return metas

    def _known_metas(self, accounts: AccountMap) -> list[AccountMeta] | None:
        """The same where each account is given by an address, or is the same whatever is given; None where not so."""
        metas, taken = [], 0
        for name, item, constant in self._in_order:
            if name in accounts:
                address = accounts[name]
                if item.path or not (isinstance(address, Pubkey) or (address is None and item.optional)):
                    return None
                taken += 1
                metas.append(self._absent if address is None else AccountMeta(address, item.signer, item.writable))
            elif constant is not None:
                metas.append(constant)
            else:
                return None
        return metas if taken == len(accounts) else None

    def is_at(self, name: str, address: Pubkey) -> bool:
        """Whether the IDL states, or makes of constants alone, this very address for an account."""
        constant = self._constant.get((name,))
        return constant is not None and constant.pubkey == address

    @functools.cached_property
    def _in_order(self) -> Sequence[tuple[str, AccountItem, AccountMeta | None]]:
        return [(key[-1], item, self._constant.get(key)) for key, item in self._items.items()]

    @functools.cached_property
    def _constant(self) -> Mapping[tuple[str, ...], AccountMeta]:
        """The accounts whose addresses the IDL states, or makes of nothing but constants."""
        found = {}
        for key, item in self._items.items():
            pda = item.pda or {}
            parts = [*pda.get("seeds", []), *([pda["program"]] if pda.get("program") is not None else [])]
            if item.address in self.account_names or any(part.get("kind") != "const" for part in parts):
                continue
            with suppress(IdlAccountsError):
                address = _Resolver(self, self._items, {}, {}).address(key)
                found[key] = self._absent if address is None else AccountMeta(address, item.signer, item.writable)
        return found

    def argument_seed(self, path: str, args: Mapping[str, object]) -> bytes:
        """The bytes of an argument, or of a field in it (`args.epoch`), as a seed."""
        first, *rest = path.split(".")
        kind = self._argument_types.get(first)
        value: object = args.get(first)
        if kind is None:
            raise IdlAccountsError(f"{self.name}: a seed comes from argument {first}, which it does not have")
        for name in rest:
            definition = self._types.definitions.get(kind["defined"]["name"]) if "defined" in kind else None
            fields = definition["type"].get("fields", []) if definition else []
            kind = next((item["type"] for item in fields if item["name"] == name), None)
            if kind is None:
                raise IdlAccountsError(f"{self.name}: a seed comes from {path}, which is not in its arguments")
            value = value.get(name) if isinstance(value, Mapping) else None
        return self._types.of(kind).seed(value, f"{self.name}.{path}")


class _Resolver:
    def __init__(
        self,
        instruction: InstructionItem,
        items: Mapping[tuple[str, ...], AccountItem],
        given: Mapping[tuple[str, ...], Pubkey | None],
        args: Mapping[str, object],
    ) -> None:
        self.instruction = instruction
        self.items = items
        self.given = given
        self.args = args
        self.open: set[tuple[str, ...]] = set()

    def address(self, key: tuple[str, ...]) -> Pubkey | None:
        item = self.items[key]
        if key in self.given:
            address = self.given[key]
            if address is None and not item.optional:
                raise IdlAccountsError(f"{self.instruction.name}: account {'.'.join(key)} is not optional")
            return address
        if key in self.open:
            raise IdlAccountsError(
                f"{self.instruction.name}: the seeds of {'.'.join(key)} lead back to itself: give it"
            )
        self.open.add(key)
        try:
            if item.address is not None and (fixed := self._fixed(item.address, key)) is not None:
                return fixed
            if item.pda is not None and (found := self._pda(item.pda, key)) is not None:
                return found
        finally:
            self.open.discard(key)
        if item.optional:
            return None
        raise IdlAccountsError(f"{self.instruction.name}: account {'.'.join(key)} is not given and cannot be derived")

    def _fixed(self, text: str, key: tuple[str, ...]) -> Pubkey | None:
        sibling = (*key[:-1], text)
        if sibling in self.items:
            return self.address(sibling)
        try:
            return Pubkey.from_string(text)
        except ValueError:
            return None  # a path into another account's content, such as `config.operator`

    def _pda(self, pda: Mapping[str, Any], key: tuple[str, ...]) -> Pubkey | None:
        seeds = [self._seed(seed, key) for seed in pda.get("seeds", [])]
        program: bytes | None = bytes(self.instruction.program_id)
        if pda.get("program") is not None:
            program = self._seed(pda["program"], key)
        known = [seed for seed in seeds if seed is not None]
        if program is None or len(known) != len(seeds):
            return None
        try:
            return Pubkey.find_program_address(known, Pubkey.from_bytes(program))[0]
        except (ValueError, TypeError) as error:
            raise IdlAccountsError(
                f"{self.instruction.name}: the seeds of {'.'.join(key)} give no address: {error}"
            ) from error

    def _seed(self, seed: Mapping[str, Any], key: tuple[str, ...]) -> bytes | None:
        match seed.get("kind"):
            case "const":
                return bytes(seed["value"])
            case "arg":
                return self.instruction.argument_seed(_text(seed, "path"), self.args)
            case "account":
                sibling = (*key[:-1], _text(seed, "path"))
                if sibling not in self.items:
                    return None  # a field of another account: only the caller knows it
                address = self.address(sibling)
                return None if address is None else bytes(address)
        raise IdlFormatError(f"{self.instruction.name}: a seed of the kind {seed.get('kind')!r} is not known")


def _account_items(items: Sequence[Mapping[str, Any]], path: tuple[str, ...]) -> Iterator[AccountItem]:
    for item in items:
        name = _text(item, "name")
        if "accounts" in item:
            yield from _account_items(item["accounts"], (*path, name))
            continue
        yield AccountItem(
            name=name,
            path=path,
            writable=bool(item.get("writable", False)),
            signer=bool(item.get("signer", False)),
            optional=bool(item.get("optional", False)),
            address=item.get("address"),
            pda=item.get("pda"),
        )


def _flatten(accounts: AccountMap, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Pubkey | None]]:
    for name, value in accounts.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, (*path, name))
        elif value is None or isinstance(value, Pubkey):
            yield (*path, name), value
        else:
            raise IdlAccountsError(f"account {'.'.join((*path, name))} takes a Pubkey, not {type(value).__name__}")


@dataclass(frozen=True)
class _Tagged:
    """An account type or an event: a discriminator and what follows it."""

    name: str
    discriminator: bytes
    codec: _Codec = field(repr=False)
    row: _Row | None = field(repr=False)


class Idl:
    """A program's interface: see the module's text for what it does and which values it takes."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        metadata = document.get("metadata")
        if not isinstance(metadata, Mapping) or metadata.get("spec") != SPECIFICATION:
            found = metadata.get("spec") if isinstance(metadata, Mapping) else None
            raise IdlFormatError(f"this client reads IDL specification {SPECIFICATION}, this IDL says {found!r}")
        try:
            self.program_id = Pubkey.from_string(_text(document, "address"))
        except ValueError as error:
            raise IdlFormatError(f"cannot read the IDL's address: {error}") from error
        self.name = _text(metadata, "name")
        try:
            types = _Types(document.get("types", []))
            self._instructions = {
                item.name: item
                for item in (InstructionItem(self.program_id, raw, types) for raw in document.get("instructions", []))
            }
            self._accounts = _tagged(document.get("accounts", []), types)
            self._events = {item.discriminator: item for item in _tagged(document.get("events", []), types).values()}
            self.errors = {
                int(item["code"]): ErrorItem(int(item["code"]), _text(item, "name"), item.get("msg") or item["name"])
                for item in document.get("errors", [])
            }
            self.constants = {_text(item, "name"): _text(item, "value") for item in document.get("constants", [])}
        except (AttributeError, KeyError, TypeError) as error:
            raise IdlFormatError(f"the IDL of {self.name} has not the shape of specification 0.1.0: {error}") from error

    @classmethod
    def load(cls, source: str | Path) -> Idl:
        """The IDL at a path, or of one of the five programs by name. IdlFormatError, ArtifactError."""
        path = idl_path(source) if isinstance(source, str) and source in PROGRAM_NAMES else Path(source)
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise IdlFormatError(f"{path} cannot be read as an IDL: {error}") from error
        if not isinstance(document, Mapping):
            raise IdlFormatError(f"{path} is not an IDL: expected a JSON object")
        return cls(document)

    @classmethod
    def released(cls, program: str) -> Idl:
        """The IDL of one of the five programs, read once for all clients. IdlFormatError, ArtifactError."""
        path = idl_path(program)
        return _read(path, path.stat().st_mtime_ns)

    @property
    def instruction_names(self) -> tuple[str, ...]:
        """The instructions, in the IDL's order."""
        return tuple(self._instructions)

    @property
    def account_names(self) -> tuple[str, ...]:
        """The account types, in the IDL's order."""
        return tuple(self._accounts)

    def instruction(self, name: str) -> InstructionItem:
        """An instruction by name; IdlNameError."""
        return _named(self._instructions, name, f"instruction of {self.name}")

    def decode_instruction(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """Name and arguments of an instruction's data; IdlDataError where it is none of this program's."""
        for item in self._instructions.values():
            if data.startswith(item.discriminator):
                return item.name, item.decode(data)
        start = data[:8].hex() or "nothing"
        raise IdlDataError(f"the data is not an instruction of {self.name}: it starts with {start}")

    def account_discriminator(self, name: str) -> bytes:
        """What an account of this type starts with, for filters; IdlNameError."""
        return _named(self._accounts, name, f"account of {self.name}").discriminator

    def decode_account(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """Type and fields of an account's data. Bytes after the fields (room to grow) are passed over. IdlDataError."""
        for item in self._accounts.values():
            if data.startswith(item.discriminator):
                value, _ = item.codec.read(data, len(item.discriminator), item.name, 0)
                return item.name, value
        raise IdlDataError(f"the data is not an account of {self.name}: it starts with {data[:8].hex() or 'nothing'}")

    def encode_account(self, name: str, value: Mapping[str, object]) -> bytes:
        """An account's data: for tests and tools that place accounts in a validator of their own."""
        item = _named(self._accounts, name, f"account of {self.name}")
        out = bytearray(item.discriminator)
        item.codec.write(value, out, name, 0)
        return bytes(out)

    def decode_event(self, data: bytes) -> Event | None:
        """An event's data, logged or sent by self-CPI; None where it is none of this program's. IdlDataError."""
        item = self._events.get(data[:DISCRIMINATOR_SIZE])
        if item is None:
            data = data.removeprefix(EVENT_INSTRUCTION_TAG)
            item = self._events.get(data[:DISCRIMINATOR_SIZE])
        if item is None:
            others = (each for each in self._events.values() if data.startswith(each.discriminator))
            item = next(others, None)
            if item is None:
                return None
        start = len(item.discriminator)
        if item.row is not None and len(data) == start + item.row.size:
            with suppress(IndexError):
                return Event(item.name, item.row.read(data, start))
        value, end = item.codec.read(data, start, item.name, 0)
        if end != len(data):
            raise IdlDataError(f"{item.name}: {len(data) - end} bytes follow the event")
        return Event(item.name, value)

    def event_columns(self, name: str, fields: Sequence[str]) -> Columns | None:
        """How some fields of an event lie, for whoever reads millions; None where it has not these, in this order."""
        item = next((each for each in self._events.values() if each.name == name), None)
        return None if item is None else _Row.columns(item, fields)

    def events(self, logs: Iterable[str]) -> list[Event]:
        """The events that this program, and no other, logged in a transaction. IdlDataError for a damaged one."""
        found = []
        for program, data in logged_data(logs):
            if program == str(self.program_id) and (event := self.decode_event(data)) is not None:
                found.append(event)
        return found

    def error(self, code: int) -> ErrorItem | None:
        """The error behind a custom code: the program's own, or Anchor's; None where neither knows it."""
        if code in self.errors:
            return self.errors[code]
        if code in _FRAMEWORK_ERRORS:
            return ErrorItem(code, *_FRAMEWORK_ERRORS[code])
        return None


def _tagged(items: Sequence[Mapping[str, Any]], types: _Types) -> dict[str, _Tagged]:
    named = [(_text(item, "name"), item) for item in items]
    return {
        name: _Tagged(name, _discriminator(item), codec, _Row.of(codec))
        for name, item, codec in ((name, item, types.defined(name)) for name, item in named)
    }


def _named(items: Mapping[str, _T], name: str, what: str) -> _T:
    if name not in items:
        raise IdlNameError(f"there is no {what} named {name!r}; there are {', '.join(items) or 'none'}")
    return items[name]


def logged_data(logs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The `Program data:` lines of a transaction's logs, each with the id of the program that logged it.

    Which program it was follows from the lines `Program ID invoke [depth]` and `Program ID success` or `failed`, which
    the runtime alone can write; what a program says itself always starts with `Program log:`.
    """
    stack: list[str] = []
    for line in logs:
        words = line.split(" ")
        if words[0] != "Program" or len(words) < 3:
            continue
        if words[1] == "data:":
            if stack:
                try:
                    yield stack[-1], b"".join(base64.b64decode(word, validate=True) for word in words[2:])
                except binascii.Error:
                    continue
        elif words[1] in ("log:", "return:"):
            continue
        elif words[2] == "invoke":
            stack.append(words[1])
        elif words[2] in ("success", "failed:", "failed") and stack:
            stack.pop()


@functools.lru_cache(maxsize=16)
def _read(path: Path, _changed: int) -> Idl:
    """An IDL's file as it was then; it is never changed once it is read, so all may use it."""
    return Idl.load(path)
