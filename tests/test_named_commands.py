"""What messages tell people to type: every command that a text of the programs names can be typed so."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import authority.cli
import edge_agent.cli

ROOT = Path(__file__).parents[1]
PROGRAMS = {"edge-agent": edge_agent.cli.PROGRAM, "authority": authority.cli.PROGRAM}
SOMEWHERE = re.compile("|".join(f"{name} {command}" for name, each in PROGRAMS.items() for command in each.commands))
NAMED = re.compile(r"(?:^|[\s:(`])(authority|edge-agent) ((?:--?)?[a-z][^:;`()\n]*)")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a file but docstrings, by line; X stands for what is put in when they are said."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(id(node.value))  # a docstring
        if isinstance(node, ast.JoinedStr):
            inside.update(id(each) for each in ast.walk(node) if each is not node)
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [each.value if isinstance(each, ast.Constant) else "X" for each in node.values]
            yield node.lineno, "".join(str(part) for part in parts)


def named() -> list[tuple[str, str, list[str]]]:
    """Where, which program, and the words after it: to the end of the phrase."""
    found = []
    for package in ("authority", "edge_agent"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if not SOMEWHERE.search(path.read_text(encoding="utf-8")):
                continue
            for line, text in texts(path):
                for program, rest in NAMED.findall(text):
                    phrase = re.split(
                        r",(?:\s|$)|\.(?:\s|$)|\s(?:and|or|then|there|first|says|at|to|of|in|is)\s", rest
                    )[0]
                    try:
                        words = shlex.split(phrase)
                    except ValueError:
                        continue
                    found.append((f"{path.relative_to(ROOT)}:{line}", program, words))
    return found


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser] | None:
    """A parser's own subcommands."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(below[0].choices) if below else None


@cache
def parser_of(program: str, command: str) -> argparse.ArgumentParser:
    """A command's own parser."""
    return (subcommands(PROGRAMS[program]._parser(command)) or {})[command]


def wrong(program: str, words: list[str]) -> str | None:
    """What cannot be typed so, if anything: a command or action that is none, an option that it does not take, or a
    required one that is not named where others are."""
    command = words[0]
    if command not in PROGRAMS[program].commands:
        return None  # the authority is meant, and no command of it
    parser = parser_of(program, command)
    rest = words[1 : words.index("--")] if "--" in words else words[1:]
    while (below := subcommands(parser)) is not None and rest and re.fullmatch(r"[a-z][a-z-]+", rest[0]):
        if rest[0] not in below:
            return f"{program} {command} has no {rest[0]}"
        parser, rest = below[rest[0]], rest[1:]
    options = {option: action for action in parser._actions for option in action.option_strings}
    given = [word.partition("=")[0] for word in rest if word.startswith("--") and word != "--"]
    for option in given:
        if option not in options and option not in ("--home", "--config"):
            return f"{program} {command} takes no {option}"
    required = {each.option_strings[0] for each in options.values() if each.required}
    if rest and required - set(given):
        return f"{program} {' '.join(words)} lacks {', '.join(sorted(required - set(given)))}"
    return None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_that_a_message_names_can_be_typed() -> None:
    found = named()
    assert len(found) > 100
    assert [f"{place}: {what}" for place, program, words in found if (what := wrong(program, words))] == []


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("resume orders", "lacks --reason"),
        ("resume orders --reason WHY", None),
        ("market shew", "has no shew"),
        ("fund --soul 2", "takes no --soul"),
        ("watchdog --ledger DIR -- agave --identity FILE", None),
    ],
)
def test_what_cannot_be_typed_is_found(words: str, what: str | None) -> None:
    found = wrong("authority", words.split())
    assert found is None if what is None else what in (found or "")
