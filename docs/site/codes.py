#!/usr/bin/env python3
"""docs/CODES.md: every code with which the two packages name what is wrong, made from their exception classes.

`codes.py` writes the page (`make docs` does so); `codes.py --check` says whether it is as it should be.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import authority
import edge_agent
from authority.errors import AuthorityError
from edge_agent.dlms.errors import DlmsError
from edge_agent.errors import EdgeError
from edge_agent.wire.problems import STATUS
from edge_agent.wire.reading import CODES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "CODES.md"
ROOTS = {edge_agent: EdgeError, authority: AuthorityError}
NO_MODULES_OF_OURS = (
    "authority.client",
    "authority.store.migrations.",
    "edge_agent.probe.micropython.",
    "edge_agent.__main__",
)
"""Not imported: what runs in others' programs and says the service's codes, Alembic's scripts, what MicroPython runs,
and the entry of `python -m edge_agent`."""

HEAD = """# Codes

Every error names its cause by a code, for programs; its message says what to do.
A command prints `command: message [code]`.
An answer over HTTP has `code` in its problem document, a log line has `code=`.
The refusals of the programs on the chain are in [ERRORS](ERRORS.md).
This page is made from the exception classes by `make docs`.
"""


def classes() -> list[type[BaseException]]:
    """Every exception class that a module of either package defines, in the order of their names."""
    found = set()
    for package in ROOTS:
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.startswith(NO_MODULES_OF_OURS):
                for value in vars(importlib.import_module(module.name)).values():
                    if inspect.isclass(value) and issubclass(value, BaseException):
                        found.add(value)
    ours = tuple(package.__name__ + "." for package in ROOTS)
    return sorted((cls for cls in found if cls.__module__.startswith(ours)), key=lambda c: (c.__module__, c.__name__))


def own_code(cls: type[BaseException]) -> str | None:
    """The code that a class states itself; None for a family, which other classes derive from."""
    code = vars(cls).get("code")
    return code if isinstance(code, str) else None


def checks() -> dict[str, set[str]]:
    """The codes of the DLMS core's failed checks, each with the classes that it is raised as."""
    families = {cls.__name__ for cls in classes() if issubclass(cls, DlmsError)}
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "edge_agent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in families
                and node.args
            ):
                for code in _literals(node.args[0]):
                    found.setdefault(code, set()).add(node.func.id)
    return found


def _literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _literals(node.body)
        yield from _literals(node.orelse)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for package, title in ((edge_agent, "The gateway"), (authority, "The authority")):
        parts += [f"\n## {title}\n", "| code | class | what it means |\n|---|---|---|\n"]
        rows = [cls for cls in classes() if cls.__module__.startswith(package.__name__ + ".") and own_code(cls)]
        for cls in sorted(rows, key=lambda cls: own_code(cls) or ""):
            meaning = " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split())
            parts.append(
                f"| `{own_code(cls)}` | `{cls.__module__}.{cls.__name__}` | {meaning.replace('|', chr(92) + '|')} |\n"
            )
    parts += ["\n## What a meter's bytes fail by\n"]
    parts += ["The protocol core has one class for each who has to do something, and a code for each check.\n\n"]
    parts += ["| code | raised as |\n|---|---|\n"]
    parts += [
        f"| `{code}` | {', '.join(f'`{name}`' for name in sorted(names))} |\n"
        for code, names in sorted(checks().items())
    ]
    parts += ["\n## In a receipt\n", "| number | code |\n|---|---|\n"]
    parts += [f"| {number} | `{name}` |\n" for number, name in CODES.items()]
    parts += ["\n## Over HTTP, from the collector\n", "| code | status |\n|---|---|\n"]
    parts += [f"| `{code}` | {status} |\n" for code, status in STATUS.items()]
    parts += ["\n## Of every command\n", "| code | what it means |\n|---|---|\n"]
    parts += ["| `system` | the operating system refused something: the message is its own |\n"]
    return "".join(parts)


def main(argv: list[str]) -> int:
    """Write the page, or check it; 1 where it is not as it should be."""
    text = page()
    if "--check" in argv:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
