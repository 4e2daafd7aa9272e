"""A file of more than about 500 lines of code says in its first lines why it is one file."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import rooms
from rooms import lines_of_code

ROOT = Path(__file__).parents[1]
MOST = 500
REASONS = ("One long file: ", "do not edit.")  # written by a person, or made by a program


def test_lines_of_code_are_counted_without_comments_and_docstrings() -> None:
    assert lines_of_code('"""What it is for.\n\nMore.\n"""\n\n# why\nX = (\n    1,\n)\n"""Its unit."""\n') == 3


def test_long_files_give_their_reason() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "edge_agent", "authority", "docs"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    paths = [ROOT / name for name in listed.stdout.split() if name.endswith(".py")]
    paths = paths or [path for name in ("edge_agent", "authority") for path in (ROOT / name).rglob("*.py")]
    assert len(paths) > 200
    long = [path for path in paths if path.exists() and lines_of_code(path.read_text(encoding="utf-8")) > MOST]
    silent = [
        str(path.relative_to(ROOT))
        for path in long
        if not any(
            reason in " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
            for reason in REASONS
        )
    ]
    assert long
    assert silent == []


def test_rooms_are_listed_and_a_circle_would_be_seen(capsys) -> None:
    assert rooms.main([]) == 0
    told = capsys.readouterr().out
    assert {"settlement/", "interfaces/oracle/", "dlms/"} <= set(told.split())
    assert "upward: none; sideways: none; in a circle: none" in told
    assert rooms.in_circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")}) == ["a", "b", "c"]
