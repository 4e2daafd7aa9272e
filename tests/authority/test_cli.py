"""`authority` as a person meets it: help with examples, and a pipe that closes early."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from authority.cli import COMMANDS, main, parse

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_help_leads_from_nothing_to_a_campus(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    examples = [line.split("  (")[0].split() for line in shown.splitlines() if line.startswith("  authority ")]
    assert [parse(words[1:]).command for words in examples] == ["init", "serve", "deploy", "enrol", "enrol"]
    assert all(name in shown for name in COMMANDS)


def test_a_reader_that_has_had_enough_is_no_error(tmp_path: Path) -> None:
    assert main(["init", "--home", str(tmp_path / "home")]) == 0
    closed = "import os, sys\nread, write = os.pipe()\nos.close(read)\nos.dup2(write, 1)\n"
    done = run(
        "-c",
        closed + "from authority.cli import main\nsys.exit(main(sys.argv[1:]))",
        "market",
        "--home",
        str(tmp_path / "home"),
        "show",
    )
    assert (done.returncode, done.stderr) == (141, "")


def test_what_the_plan_does_not_know_is_answered_with_what_it_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(tmp_path / "home")]
    main(["init", *home, "--name", "energy.campus.example"])
    assert "[collector] host" in capsys.readouterr().out
    main(["enrol", *home, "campus", str(ROOT / "authority/demo/campus.toml")])
    assert main(["enrol", *home, "claim", "dormitory-a"]) == 1
    assert "dormitory_a, dormitory_b" in capsys.readouterr().err
    assert main(["market", *home, "standing-order", "set", "Nobody", "--buy-at", "1"]) == 1
    assert "'Dormitory A', 'Dormitory B'" in capsys.readouterr().err
