"""A function out of a Python file of somebody's own: a member's strategy, a market rule.

The file is read once, and its text is what runs, in every process and after every interruption. It is a program like
any other and runs with the rights of whoever simulates: nothing here shuts it in.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from authority.simulation.errors import OwnCodeInvalidError


@dataclass(frozen=True)
class OwnFunction:
    """A function by its name, with the text of the file that it is in."""

    file: str
    name: str
    text: str

    @classmethod
    def read(cls, path: Path, name: str) -> OwnFunction:
        """Read the file and look whether it has the function. OwnCodeInvalidError."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise OwnCodeInvalidError(f"cannot read {path}: {error}") from error
        found = cls(str(path), name, text)
        found.load()
        return found

    @property
    def sha256(self) -> bytes:
        """Of the file's text, and of what is used of it."""
        return hashlib.sha256(f"{self.name}\0{self.text}".encode()).digest()

    def load(self) -> Callable[..., Any]:
        """The function. OwnCodeInvalidError with the line where the file cannot be run, or has no such function."""
        module = ModuleType(f"own_{self.sha256.hex()[:16]}")
        module.__file__ = self.file
        sys.modules[module.__name__] = module  # dataclasses of the file look their module up
        try:
            exec(compile(self.text, self.file, "exec"), module.__dict__)  # noqa: S102 - the user's own program
        except SyntaxError as error:
            raise OwnCodeInvalidError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
        except Exception as error:
            raise OwnCodeInvalidError(f"{self.where(error)}: {told(error)}") from error
        function = getattr(module, self.name, None)
        if not callable(function):
            raise OwnCodeInvalidError(f"{self.file}: there is no function {self.name!r} in it")
        return function  # type: ignore[no-any-return]

    def where(self, error: BaseException) -> str:
        """The file, and its last line that an error came through; the file alone where it came through none."""
        line, trace = None, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.file:
                line = trace.tb_lineno
            trace = trace.tb_next
        return self.file if line is None else f"{self.file}, line {line}"


def told(error: BaseException) -> str:
    """An error as people read it: its kind and what it says."""
    return f"{type(error).__name__}: {error}"
