"""Building a changed copy of the Solana programs, for the lab that writes an instruction.

The sources are those of the project's directory, and the copy lies in its build/lab5, so that a second build takes
seconds. A file keeps its time where it did not change, for Cargo goes by that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import lab

PROJECT = Path(os.environ.get("CAMPUS_PROJECT") or lab.LABS.parents[1])
"""The project's directory, with the programs' sources: what the labs lie in, or what the environment names."""
PROGRAMS = PROJECT / "programs"
WORK = PROJECT / "build" / "lab5"
NOT_COPIED = {"target", "artifacts"}


def source(name: str) -> str:
    """A source file of the programs. AssertionError with what to do where they are not there."""
    path = PROGRAMS / name
    if not path.is_file():
        raise AssertionError(
            f"the programs' sources are not in {PROJECT}: from here on this lab needs the project's directory, not the "
            "labs alone. Name it: CAMPUS_PROJECT=/home/me/campus python lab5_write_an_instruction.py"
        )
    return path.read_text(encoding="utf-8")


def missing_toolchain() -> str:
    """What to do where the toolchain is not installed; empty where it is."""
    looks = f'. {PROGRAMS}/toolchain/versions.sh && test -x "$RUSTC" && test -x "$(sbpf_linker)"'
    found = subprocess.run(["bash", "-c", looks], capture_output=True, check=False)
    return (
        "" if found.returncode == 0 else "The programs' toolchain is missing: run programs/toolchain/setup.sh as root."
    )


def sources(changes: Mapping[str, str]) -> dict[str, bytes]:
    """The programs' source files by their path, with the changed ones in their place."""
    found = {}
    for path in sorted(PROGRAMS.rglob("*")):
        relative = path.relative_to(PROGRAMS)
        if path.is_file() and not NOT_COPIED.intersection(relative.parts):
            found[str(relative)] = path.read_bytes()
    return found | {name: text.encode() for name, text in changes.items()}


def build(program: str, changes: Mapping[str, str]) -> Path:
    """Build one program with these files (path under programs/, whole text); the directory with it and all others.

    AssertionError with what the compiler said where it does not build.
    """
    copy, artifacts = WORK / "programs", WORK / "artifacts"
    wanted = sources(changes)
    for name, content in wanted.items():
        file = copy / name
        if not file.is_file() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.chmod((PROGRAMS / name).stat().st_mode if (PROGRAMS / name).exists() else 0o644)
    for file in copy.rglob("*.rs"):
        if str(file.relative_to(copy)) not in wanted:
            file.unlink()
    command = [copy / "toolchain" / "build.sh", WORK / "target", program.replace("_", "-")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"the program does not build:\n{done.stderr}")
    shutil.copytree(PROGRAMS / "artifacts", artifacts, dirs_exist_ok=True)
    shutil.copyfile(WORK / "target" / "sbpf" / "release" / f"lib{program}.so", artifacts / f"{program}.so")
    return artifacts


def use(artifacts: Path) -> None:
    """Have every campus that is made from now on run these programs."""
    before = os.environ.get("CAMPUS_ARTIFACTS")
    os.environ["CAMPUS_ARTIFACTS"] = str(artifacts)

    def restore() -> None:
        if before is None:
            os.environ.pop("CAMPUS_ARTIFACTS", None)
        else:
            os.environ["CAMPUS_ARTIFACTS"] = before

    lab.CLOSING.callback(restore)
