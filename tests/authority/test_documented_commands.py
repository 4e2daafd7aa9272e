"""Every command of the authority in the operators' page is one that the program takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from authority.cli import COMMANDS, parse

PAGE = (Path(__file__).parents[2] / "docs/OPERATIONS.md").read_text(encoding="utf-8")
PLACEHOLDERS = {"ADDRESS": str(Pubkey.default()), "INDEX": "1", "...": "x"}


def commands() -> list[str]:
    """In backticks, and on lines of their own."""
    quoted = re.findall(r"`authority ([a-z][^`]*)`", PAGE)
    alone = re.findall(r"^ {4,}authority ([a-z].*?)(?:  +#.*)?$", PAGE, re.MULTILINE)
    return sorted({line.partition(" > ")[0].strip() for line in (*quoted, *alone)})


@pytest.mark.parametrize("command", commands())
def test_it_is_taken(command: str) -> None:
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(command)]
    if len(words) == 1 and words[0] in ("collector", "audit", "enrol", "market"):
        pytest.skip("speaks of the command, and is not one to type")
    arguments = parse(words)
    assert arguments.command in COMMANDS


def test_there_are_many() -> None:
    assert len(commands()) > 30
