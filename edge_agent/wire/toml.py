"""The project's TOML files: every mistake gets a sentence with the file, the key and what it should hold.

A Table is read key by key, each with its type, bounds and default. What stays unread is an error, so that a misspelt
key is never passed over. gateway.toml, authority.toml and the emulator's files are read with it; only the exception
that they raise differs.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Refuse = Callable[[str, str], Exception]
"""Makes the exception for a key (with its table's name in front; empty for the whole file) and a message."""


def read_file(path: Path, refuse: Refuse, missing: str = "no such file") -> dict[str, Any]:
    """A TOML file as dictionaries; refused where it is `missing`, not UTF-8 text or not TOML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise refuse("", missing) from error
    except (OSError, UnicodeDecodeError) as error:
        raise refuse("", f"cannot be read as UTF-8 text: {error}") from error
    return read_text(text, refuse)


def read_text(text: str, refuse: Refuse) -> dict[str, Any]:
    """TOML text as dictionaries; refused where it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise refuse("", f"not TOML: {error}") from error


def value_text(value: object) -> str:
    """Text, a whole number, a truth value or a list of such, as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if isinstance(value, int):
        return str(value)
    # A basic string of TOML escapes as JSON does, and DEL as well.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


class Table:
    """One table, under the name by which messages call it."""

    def __init__(self, data: object, name: str, refuse: Refuse) -> None:
        self.name = name
        self._refuse = refuse
        if not isinstance(data, Mapping):
            raise refuse(name, "should be a table")
        self._data: dict[str, Any] = dict(data)
        self._read: list[str] = []

    def error(self, key: str, message: str) -> Exception:
        """The exception for one of this table's keys."""
        return self._refuse(self.within(key), message)

    def within(self, key: str) -> str:
        """How messages call a key of this table."""
        return f"{self.name}.{key}" if self.name else key

    def has(self, key: str) -> bool:
        """Whether the file has this key (and it was not read yet)."""
        return key in self._data

    def take(self, key: str, default: object = None, *, required: str | None = None) -> Any:
        """The value as it stands; the default where it is missing, or an error that says what is `required`."""
        self._read.append(key)
        if key not in self._data:
            if required is not None:
                raise self.error(key, f"missing: {required}")
            return default
        return self._data.pop(key)

    def text(self, key: str, default: str | None = None, *, required: str | None = None) -> str | None:
        """Text that is not blank."""
        value = self.take(key, default, required=required)
        if value is not None and (not isinstance(value, str) or not value.strip() or "\0" in value):
            raise self.error(key, f"{value!r} should be text in quotes, not empty")
        return value

    def required_text(self, key: str, what: str) -> str:
        """Text that must be there; `what` says what it is."""
        return str(self.text(key, required=what))

    def integer(self, key: str, default: int, low: int, high: int, unit: str = "") -> int:
        """A whole number within bounds."""
        value = self.take(key, default)
        if type(value) is not int or not low <= value <= high:
            of = f" ({unit})" if unit else ""
            raise self.error(key, f"{value!r} should be a whole number from {low} to {high}{of}")
        return value

    def seconds(self, key: str, default: float, low: float, high: float) -> float:
        """A time in seconds within bounds."""
        value = self.take(key, default)
        if type(value) not in (int, float) or not low <= value <= high:
            raise self.error(key, f"{value!r} should be a number of seconds from {low:g} to {high:g}")
        return float(value)

    def choice(self, key: str, default: Any, choices: tuple[Any, ...]) -> Any:
        """One of the choices, of the default's type."""
        value = self.take(key, default)
        if type(value) is not type(default) or value not in choices:
            raise self.error(key, f"{value!r} should be one of {', '.join(repr(choice) for choice in choices)}")
        return value

    def octets(self, key: str, size: int) -> bytes | None:
        """Bytes in hex, so many of them; None where the key is missing."""
        value = self.take(key)
        if value is None:
            return None
        try:
            data = bytes.fromhex(value) if isinstance(value, str) else b""
        except ValueError:
            data = b""
        if len(data) != size:
            raise self.error(key, f"should be {size} bytes in hex")
        return data

    def like(self, key: str, default: Any) -> Any:
        """A value of the default's type: a flag, text, a whole number from 0, a number, or a list of texts."""
        value = self.take(key, default)
        if value is default:
            return default
        if isinstance(default, tuple):
            good = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
            value = tuple(value) if good else value
        elif isinstance(default, float):
            good = isinstance(value, int | float) and not isinstance(value, bool)
            value = float(value) if good else value
        else:
            good = type(value) is type(default) and not (type(value) is int and value < 0)
        if not good:
            shown = list(default) if isinstance(default, tuple) else default
            raise self.error(key, f"{value!r} should be like {shown!r}")
        return value

    def done(self) -> None:
        """Refuse the first key that nobody asked for."""
        for key in sorted(self._data):
            raise self.error(key, f"not a key of this table; it takes {', '.join(sorted(set(self._read)))}")
