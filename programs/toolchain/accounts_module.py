#!/usr/bin/env python3
"""authority/chain/accounts.py: the programs' accounts as Python classes, made from their IDLs and sources.

usage: accounts_module.py [--check]

`make programs` writes the module too. Only types of a fixed size are known: what an account holds, and what lies behind
it (a seat, an order). Fields that are room to grow or padding have no name in Python. The integers that clients need
and that an IDL does not carry are read from the interface crates.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

WORKSPACE = pathlib.Path(__file__).resolve().parent.parent
ARTIFACTS = WORKSPACE / "artifacts"
INTERFACES = WORKSPACE / "interfaces"
MODULE = WORKSPACE.parent / "authority" / "chain" / "accounts.py"
PROGRAMS = ("governance", "registry", "energy_token", "oracle", "trading")
CONSTANTS = (
    ("governance", "RETIREMENT_GRACE_EPOCHS"),
    ("registry", "MAX_SETTLING_METERS"),
    ("trading", "BOOKS"),
    ("trading", "MAX_ORDERS_PER_SIDE"),
    ("trading", "REFUND_AFTER_EPOCHS"),
    ("trading", "SEATS_PER_STEP"),
)
"""Integers that Python needs and that no account holds, by interface crate."""

INTEGERS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i", "i64": "q"}
WIDTH = 120
HEAD = '''"""The programs' accounts, typed. Made from their IDLs by `make programs`: do not edit.

A class of ProgramAccount is an account: DISCRIMINATOR is what it starts with, SIZE the bytes of the whole, and
`from_account` reads one. A class of Fields is a part of an account, or an element of the array behind one. Bytes kept
free for later have no field here. A class of Code is a byte's meanings.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from solders.pubkey import Pubkey

from authority.chain.layout import Code, Fields, ProgramAccount
'''


class LayoutError(Exception):
    """A type that this generator cannot put into a class, or a constant that is not where it should be."""


@dataclass(frozen=True)
class Field:
    """One field: struct's format characters, how many values they give, the Python type and what makes it of them."""

    name: str
    docs: str
    format: str
    values: int
    annotation: str
    expression: str


def is_room(name: str) -> bool:
    """Whether a field is padding or room to grow."""
    return re.fullmatch(r"(reserved|padding)(_?\d+)?", name) is not None


def constant_case(name: str) -> str:
    """`FeedIn` to `FEED_IN`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


class Program:
    """The types of one IDL."""

    def __init__(self, name: str, idl: Mapping[str, Any]) -> None:
        self.name = name
        self.discriminators = {item["name"]: bytes(item["discriminator"]) for item in idl["accounts"]}
        self.types = {item["name"]: item for item in idl["types"]}
        events = {item["name"] for item in idl["events"]}
        arguments = {
            part["name"]
            for instruction in idl["instructions"]
            for argument in instruction["args"]
            for part in [argument["type"].get("defined") if isinstance(argument["type"], dict) else None]
            if part
        }
        skipped = events | arguments - self._within(self.discriminators)
        self.names = [name for name in self._ordered(self.types) if name not in skipped]

    def _within(self, names: Mapping[str, Any]) -> set[str]:
        return set(self._ordered(names)) - set(names)

    def _parts(self, name: str) -> Iterator[str]:
        for field in self.types[name]["type"].get("fields", []):
            kind = field["type"]
            while isinstance(kind, dict) and "array" in kind:
                kind = kind["array"][0]
            if isinstance(kind, dict) and "defined" in kind:
                yield kind["defined"]["name"]

    def _ordered(self, names: Mapping[str, Any]) -> list[str]:
        """The types by name, each after those that it holds."""
        found: list[str] = []

        def add(name: str) -> None:
            for part in self._parts(name):
                add(part)
            if name not in found:
                found.append(name)

        for name in sorted(names):
            add(name)
        return found

    def is_code(self, name: str) -> bool:
        """Whether a type is an enum of one byte."""
        return bool(self.types[name]["type"]["kind"] == "enum")

    def fields(self, name: str) -> list[Field]:
        """The fields of a type; expressions take the values from `v`, beginning at `at`."""
        fields = []
        at = 0
        for item in self.types[name]["type"]["fields"]:
            field = self._field(f"{self.name}.{name}.{item['name']}", item, at)
            at += field.values
            fields.append(field)
        return fields

    def _field(self, where: str, item: Mapping[str, Any], at: int) -> Field:
        kind, docs = item["type"], " ".join(item.get("docs", []))
        if is_room(item["name"]):
            return Field(item["name"], docs, f"{self._size(where, kind)}x", 0, "", "")
        name = str(item["name"])
        if isinstance(kind, str) and kind in INTEGERS:
            return Field(name, docs, INTEGERS[kind], 1, "int", f"v[{at}]")
        if kind == "pubkey":
            return Field(name, docs, "32s", 1, "Pubkey", f"Pubkey.from_bytes(v[{at}])")
        if isinstance(kind, dict) and "defined" in kind and self.is_code(kind["defined"]["name"]):
            code = kind["defined"]["name"]
            return Field(name, docs, "B", 1, code, f"{code}(v[{at}])")
        if isinstance(kind, dict) and "defined" in kind:
            inner = self.fields(kind["defined"]["name"])
            values = sum(part.values for part in inner)
            form = "".join(part.format for part in inner)
            made = f"{kind['defined']['name']}.of(v[{at}:{at + values}])"
            return Field(name, docs, form, values, kind["defined"]["name"], made)
        if isinstance(kind, dict) and "array" in kind:
            element, count = kind["array"]
            if element == "u8":
                return Field(name, docs, f"{count}s", 1, "bytes", f"v[{at}]")
            if isinstance(element, str) and element in INTEGERS:
                form = f"{count}{INTEGERS[element]}"
                return Field(name, docs, form, count, "tuple[int, ...]", f"v[{at}:{at + count}]")
            if isinstance(element, dict) and "defined" in element:
                inner_name = element["defined"]["name"]
                form = f"{struct.calcsize('<' + ''.join(part.format for part in self.fields(inner_name))) * count}s"
                made = f"tuple({inner_name}.array(v[{at}], 0, {count}))"
                return Field(name, docs, form, 1, f"tuple[{inner_name}, ...]", made)
        raise LayoutError(f"{where} has type {kind}, for which there is no Python type here")

    def _size(self, where: str, kind: Any) -> int:
        if isinstance(kind, str) and kind in INTEGERS:
            return int(re.sub(r"\D", "", kind)) // 8
        if isinstance(kind, dict) and "array" in kind:
            return self._size(where, kind["array"][0]) * int(kind["array"][1])
        raise LayoutError(f"{where} is room to grow, but of type {kind}")

    def render(self, name: str) -> str:
        """One class."""
        if self.is_code(name):
            return self.render_code(name)
        fields = self.fields(name)
        is_account = name in self.discriminators
        kept = [field for field in fields if field.annotation]
        lines = [
            "@dataclass(frozen=True, slots=True)",
            f"class {name}({'ProgramAccount' if is_account else 'Fields'}):",
            *paragraph(self.types[name].get("docs", []), f"{name} of the {self.name} program."),
            "",
        ]
        if is_account:
            lines += [
                f'    PROGRAM: ClassVar[str] = "{self.name}"',
                f"    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex({self.discriminators[name].hex()!r})".replace(
                    "'", '"'
                ),
            ]
        lines += [f'    FORMAT: ClassVar[struct.Struct] = struct.Struct("<{"".join(f.format for f in fields)}")', ""]
        for field in kept:
            lines += [f"    {field.name}: {field.annotation}", *paragraph([field.docs], field.name)]
        lines += ["", "    @classmethod", f"    def of(cls, v: tuple[Any, ...]) -> {name}:"]
        lines += ['        """The fields, of the values that FORMAT unpacks."""', "        return cls("]
        lines += [f"            {field.name}={field.expression}," for field in kept]
        lines += ["        )"]
        return "\n".join(lines)

    def render_code(self, name: str) -> str:
        """The class of an enum: its variants by their numbers, but for those that are kept free."""
        variants = [variant["name"] for variant in self.types[name]["type"]["variants"]]
        members = [
            f"    {constant_case(variant)} = {number}"
            for number, variant in enumerate(variants)
            if variant != f"Reserved{number}"
        ]
        docs = paragraph(self.types[name].get("docs", []), f"{name} of the {self.name} program.")
        return "\n".join([f"class {name}(Code):", *docs, "", *members])


def paragraph(docs: list[str], otherwise: str) -> list[str]:
    """A docstring of Rust's documentation, wrapped; backticks stay."""
    text = "\n".join(docs).strip() or otherwise
    blocks = [" ".join(block.split()) for block in text.split("\n\n")]
    words = "\n\n".join(wrapped(block, WIDTH - 4 - (3 if not index else 0)) for index, block in enumerate(blocks))
    words = words.replace("\\", "\\\\")
    lines = [f'    """{words}'.replace("\n", "\n    ").replace("\n    \n", "\n\n")]
    if "\n" in words or len(lines[0]) + 3 > WIDTH:
        return [*lines, '    """']
    return [f'{lines[0]}"""']


def wrapped(text: str, width: int) -> str:
    """Text in lines of at most so many characters."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def constant(crate: str, name: str) -> tuple[str, int]:
    """A public integer of an interface crate with what is written above it; LayoutError where it is not there."""
    pattern = re.compile(rf"((?:^\s*///.*\n)*)^\s*pub const {name}: \w+ = ([\d_]+);", re.M)
    for path in sorted((INTERFACES / crate / "src").rglob("*.rs")):
        if match := pattern.search(path.read_text(encoding="utf-8")):
            docs = " ".join(line.strip().removeprefix("///").strip() for line in match[1].splitlines())
            return docs, int(match[2].replace("_", ""))
    raise LayoutError(f"the interface crate {crate} has no public integer {name}")


def render(idls: Mapping[str, Mapping[str, Any]]) -> str:
    """The module's text. LayoutError, also where two programs have a type of one name."""
    parts = [HEAD.replace("from typing import ClassVar", "from typing import Any, ClassVar")]
    constants = []
    for crate, name in CONSTANTS:
        docs, value = constant(crate, name)
        described = "\n".join(line.removeprefix("    ") for line in paragraph([docs], name))
        constants.append(f"{name} = {value}\n{described}")
    parts.append("\n".join(constants))
    taken: dict[str, str] = {}
    for program in PROGRAMS:
        types = Program(program, idls[program])
        for name in types.names:
            if name in taken:
                raise LayoutError(f"{taken[name]} and {program} both have a type {name}")
            taken[name] = program
            parts.append("\n" + types.render(name))
    return "\n\n".join(part.strip("\n") if not part.startswith("\n") else part for part in parts) + "\n"


def read_idls(directory: pathlib.Path) -> dict[str, dict[str, Any]]:
    """The IDLs in a directory, by program."""
    return {program: json.loads((directory / f"{program}.json").read_text()) for program in PROGRAMS}


def main() -> int:
    """Write the module, or with --check say whether it is what the IDLs give."""
    parser = argparse.ArgumentParser(description="Make authority/chain/accounts.py from the programs' IDLs.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    text = render(read_idls(ARTIFACTS))
    if not parser.parse_args().check:
        MODULE.write_text(text, encoding="utf-8")
        return 0
    if MODULE.read_text(encoding="utf-8") != text:
        print(f"{MODULE} is not what the IDLs give: run {pathlib.Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
