"""`authority` as a person meets it: help with examples, and a pipe that closes early."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from authority.app import App
from authority.cli import COMMANDS, main, parse
from authority.home.home import Home
from authority.home.settings import Settings, StoreSettings
from authority.store import Store

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


def test_a_database_that_goes_away_in_the_middle_of_a_command_is_one_line(
    postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home.create(tmp_path / "home", Settings(store=StoreSettings(postgres())), now=1)
    App.open(home.path).store.close()
    words = ["enrol", "list", "--home", str(home.path)]
    assert main(words) == 0

    @contextmanager
    def killed(store: Store) -> Iterator[Session]:
        with store._readers() as session:
            session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            yield session

    monkeypatch.setattr(Store, "read", killed)
    capsys.readouterr()
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("authority: the database went away meanwhile, do it again")
    assert said.err.endswith("[store_unreachable]\n")
    assert said.err.count("\n") == 1
    assert "SELECT" not in said.err

    def wrong(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Store, "read", wrong)
    with pytest.raises(ZeroDivisionError):
        main(words)
