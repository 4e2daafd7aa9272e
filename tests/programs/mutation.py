#!/usr/bin/env python3
"""Take each guard out of the programs, one at a time: some test must fail for every one.

usage: mutation.py [--program NAME ...] [--sample N --seed TEXT] [--list] [--keep DIR]

A guard is a statement that refuses: the `return Err(...)` of an `if`, a call of a `require_*` or of an `invariant`, and
an address that an accounts struct demands. A mutant that does not compile, or whose tests fail, is dead; one that lives
is printed, and makes the exit status 1. It works on a copy of the tree, so nothing here changes. All of it takes an
hour or two; `--sample 8 --seed COMMIT` is a few minutes, another handful for each commit. Needs
programs/toolchain/setup.sh.

Guards that are told twice on purpose are taken out together: the address of Config, Registry and Oracle is demanded by
the accounts struct, which writes it into the IDL, and again by the loader, which other programs call.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ("governance", "registry", "energy_token", "oracle", "trading")
TWICE = {"CONFIG_ADDRESS": "WrongConfig", "REGISTRY_ADDRESS": "WrongRegistry", "ORACLE_ADDRESS": "WrongOracle"}
REFUSAL = re.compile(r"^(\s*)return Err\(.*\);$")
CALL = re.compile(r"^\s*(\w[\w.]*\.)?(require_\w+\(.*\)|\w*invariant\(\))\?;$")
TAIL = re.compile(r"^\s*\w+\.invariant\(\)$")
ADDRESS = re.compile(r"(, )?address = ([\w:]+) @ [\w:]+")


@dataclass(frozen=True)
class Guard:
    """A guard: where it is, and the lines that replace its own when it is taken out."""

    program: str
    path: Path
    line: int
    text: str
    replacement: str
    also: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line + 1}: {self.text.strip()}"


def sources(program: str) -> Iterator[Path]:
    """A program's Rust files and its interface's, relative to the root; for governance also what all of them share."""
    folders = [f"programs/{program}/src", f"programs/interfaces/{program}/src"]
    if program == "oracle":
        folders.append("programs/interfaces/common/src")
    for folder in folders:
        yield from sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.rs"))


def guards(program: str) -> Iterator[Guard]:
    """The guards of a program, in the order of its files."""
    for path in sources(program):
        lines = (ROOT / path).read_text().split("\n")
        for number, line in enumerate(lines):
            if line.startswith("#[cfg(test)]"):
                break
            before = lines[number - 1].rstrip() if number else ""
            if REFUSAL.match(line):
                # The `else` of a `let ... else` must leave: it is no guard that could be taken out.
                if not before.endswith("else {"):
                    name = next((name for name, error in TWICE.items() if error in line), "")
                    yield Guard(program, path, number, line, "", name)
            elif CALL.match(line):
                yield Guard(program, path, number, line, "")
            elif TAIL.match(line):
                yield Guard(program, path, number, line, re.sub(r"\w+\.invariant\(\)", "Ok(())", line))
            elif (match := ADDRESS.search(line)) and match[2] not in TWICE:
                yield Guard(program, path, number, line, line.replace(match[0], "").replace("#[account()]", ""))


class Copy:
    """A copy of what is built and tested, in which one guard at a time is missing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        ignored = shutil.ignore_patterns("target", "__pycache__", "*.pyc")
        for folder in ("programs", "authority", "edge_agent", "tests/programs"):
            shutil.copytree(ROOT / folder, root / folder, ignore=ignored, dirs_exist_ok=True)
        (root / "docs").mkdir(exist_ok=True)
        shutil.copy(ROOT / "pyproject.toml", root)

    def build(self, program: str, shared: bool) -> bool:
        """Build what a guard of that program can be in; whether it compiles."""
        for name in PROGRAMS if shared else (program,):
            command = [self.root / "programs/toolchain/build.sh", self.root / "target", name.replace("_", "-")]
            if subprocess.run(command, check=False, capture_output=True).returncode:
                return False
            built = self.root / "target" / "sbpf" / "release" / f"lib{name}.so"
            shutil.copyfile(built, self.root / "programs" / "artifacts" / f"{name}.so")
        return True

    def passes(self, program: str, shared: bool) -> bool:
        """Whether the program's tests pass; where all programs share what is tested, the others' too."""
        folder = self.root / "tests" / "programs"
        files = sorted(folder.glob(f"test_{program}*.py")) or [folder / program]
        if shared:
            files = [*files, *(path for path in sorted(folder.glob("test_*.py")) if path not in files)]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", *map(str, files)]
        environment = {**os.environ, "PYTHONPATH": str(self.root)}
        result = subprocess.run(command, check=False, capture_output=True, cwd=self.root, env=environment)
        return result.returncode == 0

    def survives(self, guard: Guard) -> bool:
        """Whether nothing notices that the guard is missing."""
        changed: dict[Path, str] = {}

        def write(path: Path, text: str) -> None:
            target = self.root / path
            changed.setdefault(path, target.read_text())
            target.write_text(text)

        lines = (self.root / guard.path).read_text().split("\n")
        lines[guard.line] = guard.replacement
        write(guard.path, "\n".join(lines))
        if guard.also:
            for path in (self.root / "programs").rglob("instructions/*.rs"):
                text = path.read_text()
                without = re.sub(rf"(, )?address = {guard.also} @ [\w:]+", "", text).replace("#[account()]", "")
                if without != text:
                    write(path.relative_to(self.root), without)
        try:
            shared = "interfaces" in guard.path.parts
            return self.build(guard.program, shared) and self.passes(guard.program, shared)
        finally:
            for path, text in changed.items():
                (self.root / path).write_text(text)
            for name in PROGRAMS:
                shutil.copy(ROOT / "programs" / "artifacts" / f"{name}.so", self.root / "programs" / "artifacts")


def main() -> int:
    """Run as the command line says; 1 where a guard is missed by nobody."""
    parser = argparse.ArgumentParser(description="Take each guard out of the programs: some test must fail.")
    parser.add_argument("--program", nargs="+", choices=PROGRAMS, default=PROGRAMS)
    parser.add_argument("--sample", type=int, help="so many guards only")
    parser.add_argument("--seed", default="", help="which ones: the same text, the same sample")
    parser.add_argument("--list", action="store_true", help="print the guards and do nothing")
    parser.add_argument("--keep", type=Path, help="work in this directory and leave it")
    arguments = parser.parse_args()
    chosen = [guard for program in arguments.program for guard in guards(program)]
    total = len(chosen)
    if arguments.sample is not None:
        chosen = random.Random(arguments.seed).sample(chosen, min(arguments.sample, total))  # noqa: S311 - no secret
    if arguments.list:
        print("\n".join(map(str, chosen)))
        return 0
    survivors = []
    with tempfile.TemporaryDirectory(prefix="campus-mutation-") as scratch:
        copy = Copy(arguments.keep or Path(scratch))
        for program in arguments.program:
            if not copy.build(program, shared=False) or not copy.passes(program, shared=False):
                print(f"{program}: its tests do not pass as it stands", file=sys.stderr)
                return 1
        for number, guard in enumerate(chosen, 1):
            alive = copy.survives(guard)
            print(f"{number}/{len(chosen)} {'ALIVE' if alive else 'dead '} {guard}", flush=True)
            if alive:
                survivors.append(guard)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} guards ({total} in all) are missed when taken out")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
