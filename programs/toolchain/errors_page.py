"""docs/ERRORS.md: every refusal of the five programs, made from their IDLs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = """# Refusals of the programs

Each refusal has a code of its own, unique across the programs, and a message that says what to do. A client finds
the code as `Custom(code)` in the transaction's error, and name and message in its log. This page is made from the IDLs
by `make programs`.
"""


class DuplicateCodeError(Exception):
    """Two refusals share a code; the message names both."""


def render(idls: Mapping[str, dict[str, Any]]) -> str:
    """The page's text; DuplicateCodeError where two programs use one code."""
    taken: dict[int, str] = {}
    lines = [HEAD]
    for program, idl in idls.items():
        lines += [f"## {program}", "| code | name | what to do |", "|---|---|---|"]
        for error in idl.get("errors", []):
            name = f"{program}.{error['name']}"
            if error["code"] in taken:
                raise DuplicateCodeError(f"{name} and {taken[error['code']]} both have code {error['code']}")
            taken[error["code"]] = name
            lines.append(f"| {error['code']} | {error['name']} | {error.get('msg', '').replace('|', '/')} |")
        lines.append("")
    return "\n".join(lines)
