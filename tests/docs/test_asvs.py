"""docs/SECURITY.md's table of ASVS points: every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def named() -> list[tuple[str, str]]:
    """(file, test or nothing) of what the table names; `::name` alone is of the file before it."""
    text = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
    table = text.partition("## OWASP ASVS")[2].partition("\n## ")[0]
    found, file = [], ""
    for path, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(test_\w+))?`", table):
        file = path or file
        if path or test:
            found.append((file, test))
    return found


def test_every_point_names_a_test_that_there_is() -> None:
    missing = []
    for file, test in named():
        path = ROOT / file
        defined = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
        if test and test not in defined:
            missing.append(f"{file}::{test}")
    assert missing == []
    assert len(named()) > 30


def test_each_row_of_the_table_says_how_it_is_met() -> None:
    table = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8").partition("## OWASP ASVS")[2]
    rows = [line for line in table.partition("\n## ")[0].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 40
    assert [row for row in rows if len(row.split("|")[3].strip()) < 20] == []
