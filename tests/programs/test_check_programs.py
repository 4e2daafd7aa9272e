"""tests/check_programs.sh: what `make test` says of the built programs, by what `make` and the toolchain answer it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "check_programs.sh"


def run(tree: Path, *, user: int, toolchain: int = 0, **answers: int) -> tuple[int, list[str], str]:
    """The script's exit status, what it asked of make, and what it said on its error output."""
    asked = tree / "asked"
    cases = "".join(f"    {name.replace('_', '-')}) exit {status} ;;\n" for name, status in answers.items())
    for name, text in {
        "bin/make": f'for target; do :; done\necho "$target" >> {asked}\ncase $target in\n{cases}esac\nexit 99',
        "bin/id": f"echo {user}",
        "programs/toolchain/setup.sh": f"exit {toolchain}",
    }.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    (tree / "tests").mkdir()
    script = shutil.copy(SCRIPT, tree / "tests")
    environment = {**os.environ, "PATH": f"{tree / 'bin'}:{os.environ['PATH']}"}
    result = subprocess.run([script], check=False, env=environment, capture_output=True, text=True)
    return result.returncode, asked.read_text().split(), result.stderr


@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.parametrize("sample", [0, 2])
def test_the_sample_follows_the_build_and_decides(tmp_path: Path, user: int, sample: int) -> None:
    status, asked, said = run(tmp_path, user=user, programs_check=0, mutation_sample=sample)
    assert (status, asked, said) == (sample, ["programs-check", "mutation-sample"], "")


@pytest.mark.parametrize("user", [0, 1000])
def test_a_build_that_differs_fails_and_no_sample_is_run(tmp_path: Path, user: int) -> None:
    status, asked, said = run(tmp_path, user=user, programs_check=2)
    assert (status, asked, said) == (2, ["programs-check"], "")


def test_without_the_toolchain_neither_is_said_to_have_passed(tmp_path: Path) -> None:
    status, asked, said = run(tmp_path, user=1000, toolchain=3, programs_check=2)
    assert (status, asked) == (0, ["programs-check"])
    assert [line.split(",")[0] for line in said.splitlines()] == [
        "programs-check: NOT RUN",
        "mutation-sample: NOT RUN",
    ]


def test_root_installs_the_toolchain_so_its_failure_is_one(tmp_path: Path) -> None:
    status, asked, said = run(tmp_path, user=0, toolchain=3, programs_check=2)
    assert (status, asked, said) == (2, ["programs-check"], "")
