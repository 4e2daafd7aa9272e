"""The commands of a document, in the order in which a reader comes to them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parents[2] / "docs"
PROGRAMS = (
    "authority", "edge-agent", "meter-emulator", "sudo", "systemctl", "journalctl", "make", "openssl", "curl", "stty",
    "timeout", "export", "chmod", "timedatectl", "df", "dmesg", "apt-get", "printf", "echo",
)  # fmt: skip
"""What a line begins with that a person types."""


class Documented(NamedTuple):
    """A command as it stands in a document: its section, its line there, and whether it has a block of its own."""

    section: str
    line: int
    text: str
    block: bool


def documented(page: str) -> list[Documented]:
    """All commands of docs/PAGE, from blocks and from the text; a continued line is one command."""
    found = []
    section, lines = "", (DOCS / page).read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at]
        at += 1
        if heading := re.fullmatch(r"#+ (.*)", line):
            section = heading[1]
            continue
        if line.startswith("    "):
            while line.endswith("\\"):
                line = line[:-1].rstrip() + " " + lines[at].strip()
                at += 1
            text = re.sub(r"\s{2,}#.*$", "", line.strip()).strip()
            if text.split(" ")[0] in PROGRAMS and " = " not in text[:40]:  # a line of TOML is none
                found.append(Documented(section, number, text, True))
            continue
        found += [
            Documented(section, number, text.strip(), False)
            for text in re.findall(r"`([^`]+)`", line)
            if text.split(" ")[0] in PROGRAMS and " " in text
        ]
    return found


def block(page: str, first: str) -> str:
    """The indented block of docs/PAGE that begins with that line, without its indentation."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("    ") and line.strip() == first)
    end = next((at for at in range(start, len(lines)) if lines[at] and not lines[at].startswith("    ")), len(lines))
    return textwrap.dedent("\n".join(lines[start:end])) + "\n"
