"""The tree's rooms with their lines, and the arrows between them: which room uses which, upward ones, circles.

    make rooms        (python tests/support/rooms.py [--json])

The order of the rooms is that of the linter's contracts in pyproject.toml. Exit status 1 where an arrow runs upward or
sideways, or rooms stand in a circle.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import grimp

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # this tree's packages, wherever others are installed
PACKAGES = ("edge_agent", "authority")
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def lines_of_code(text: str) -> int:
    """Lines of Python that are neither empty nor only comment or docstring."""
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            code -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(code)


def tracked(folder: str, suffix: str) -> list[Path]:
    """The files that git knows in a folder, by their ending."""
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if name.endswith(suffix)]


def sizes(folder: str, suffix: str) -> dict[str, tuple[int, int, int]]:
    """Files, lines and lines of code by room; of Rust the lines of code are not counted (0)."""
    found: dict[str, list[int]] = {}
    for path in tracked(folder, suffix):
        parts = path.relative_to(ROOT / folder).parts
        depth = 2 if parts[0] == "interfaces" else 1
        room = "/".join(parts[:depth]) + ("/" if len(parts) > depth else "")
        text = path.read_text(encoding="utf-8")
        size = found.setdefault(room, [0, 0, 0])
        size[0] += 1
        size[1] += len(text.splitlines())
        size[2] += lines_of_code(text) if suffix == ".py" else 0
    return {room: (size[0], size[1], size[2]) for room, size in sorted(found.items())}


def layers(package: str) -> dict[str, int]:
    """How high each room stands, by the linter's contract."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (contract,) = [each for each in contracts if each["type"] == "layers" and each["containers"] == [package]]
    return {
        room.strip(): -depth for depth, layer in enumerate(contract["layers"]) for room in layer.split("|")
    }  # the first layer is the highest


def arrows(package: str, graph: grimp.ImportGraph) -> set[tuple[str, str]]:
    """Which room of a package uses which other one."""
    found = set()
    for module in graph.modules:
        for used in graph.find_modules_directly_imported_by(module):
            if module.startswith(f"{package}.") and used.startswith(f"{package}."):
                found.add((module.split(".")[1], used.split(".")[1]))
    return {(one, other) for one, other in found if one != other}


def in_circles(pairs: set[tuple[str, str]]) -> list[str]:
    """Rooms that reach themselves along the arrows."""
    reached = {one: {other for a, other in pairs if a == one} for one, _ in pairs}
    while True:
        further = {
            one: targets.union(*(reached.get(target, set()) for target in targets)) for one, targets in reached.items()
        }
        if further == reached:
            return sorted(one for one, targets in reached.items() if one in targets)
        reached = further


def report() -> dict[str, Any]:
    """Sizes by room, and the arrows of each package."""
    graph = grimp.build_graph(*PACKAGES)
    found: dict[str, Any] = {"rooms": {}, "arrows": {}}
    for folder, suffix in (("edge_agent", ".py"), ("authority", ".py"), ("programs", ".rs")):
        found["rooms"][folder] = sizes(folder, suffix)
    for package in PACKAGES:
        heights, pairs = layers(package), arrows(package, graph)
        found["arrows"][package] = {
            "rooms": len(heights),
            "arrows": len(pairs),
            "upward": sorted(f"{one} -> {other}" for one, other in pairs if heights[one] < heights[other]),
            "sideways": sorted(f"{one} -> {other}" for one, other in pairs if heights[one] == heights[other]),
            "in_a_circle": in_circles(pairs),
        }
    across = Counter(
        (module.split(".")[0], ".".join(used.split(".")[:2]))
        for module in graph.modules
        for used in graph.find_modules_directly_imported_by(module)
        if module.split(".")[0] != used.split(".")[0]
    )
    found["across"] = {f"{one} -> {other}": count for (one, other), count in sorted(across.items())}
    return found


def main(argv: list[str] | None = None) -> int:
    """Run as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(description="Rooms of the tree with their lines, and the arrows between them.")
    parser.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args(argv)
    found = report()
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        for folder, rooms in found["rooms"].items():
            print(f"{folder}: files, lines, lines of code" if folder in PACKAGES else f"{folder}: files, lines")
            total = tuple(map(sum, zip(*rooms.values(), strict=True)))
            for room, (files, lines, code) in [*rooms.items(), ("all", total)]:
                print(f"  {room:26}{files:5}{lines:8}{code or '':8}")
        for package, each in found["arrows"].items():
            print(f"{package}: {each['rooms']} rooms, {each['arrows']} arrows", end="")
            for kind in ("upward", "sideways", "in_a_circle"):
                print(f"; {kind.replace('_', ' ')}: {', '.join(each[kind]) or 'none'}", end="")
            print()
        print("between the packages: " + ", ".join(f"{pair} ({count})" for pair, count in found["across"].items()))
    return int(any(each[kind] for each in found["arrows"].values() for kind in ("upward", "sideways", "in_a_circle")))


if __name__ == "__main__":
    sys.exit(main())
