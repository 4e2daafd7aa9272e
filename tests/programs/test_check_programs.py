"""tests/check_programs.sh: what `make test` says of the built programs, by what `make` and the toolchain answer it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "check_programs.sh"


def run(tree: Path, *words: str, user: int, toolchain: int = 0, **answers: int) -> tuple[int, list[str], str]:
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
    result = subprocess.run([script, *words], check=False, env=environment, capture_output=True, text=True)
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


@pytest.mark.parametrize(("tests", "sample", "status"), [(0, 0, 0), (3, 0, 3), (0, 2, 2), (3, 2, 3)])
def test_what_is_run_beside_the_sample_and_the_sample_both_decide(
    tmp_path: Path, tests: int, sample: int, status: int
) -> None:
    command = ["sh", "-c", f"echo the-tests >> {tmp_path / 'asked'}; exit {tests}"]
    found, asked, said = run(tmp_path, *command, user=0, programs_check=0, mutation_sample=sample)
    assert (found, asked[0], sorted(asked), said) == (
        status, "programs-check", ["mutation-sample", "programs-check", "the-tests"], "",
    )  # fmt: skip


def test_the_command_is_run_where_there_is_no_toolchain_and_not_where_the_build_differs(tmp_path: Path) -> None:
    for tree, toolchain, status in (("without", 3, 4), ("differs", 0, 2)):
        (tmp_path / tree).mkdir()
        command = ["sh", "-c", f"echo the-tests >> {tmp_path / tree / 'asked'}; exit 4"]
        found, asked, _ = run(tmp_path / tree, *command, user=1000, toolchain=toolchain, programs_check=2)
        assert (found, "the-tests" in asked, "mutation-sample" in asked) == (status, status == 4, False), tree


def test_the_tests_take_the_programs_of_a_compiler_that_has_moved_on(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = ["sh", "-c", f'echo "${{CAMPUS_ARTIFACTS-none}}" >> {told}']
    run(tmp_path, *command, user=0, programs_check=0, mutation_sample=0)
    moved = tmp_path / "programs/target/checked/compiler-moved-on"
    make = tmp_path / "bin/make"
    make.write_text(make.read_text().replace("case", f"mkdir -p {moved.parent}; touch {moved}\ncase"))
    script, environment = tmp_path / "tests/check_programs.sh", {**os.environ, "PATH": f"{make.parent}:/usr/bin:/bin"}
    subprocess.run([script, *command], check=True, env=environment, capture_output=True)
    assert told.read_text().split() == ["none", str(moved.parent)]
