"""The programs are upgraded: announced an epoch ahead, carried out with those bytes and no others, and compared."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from campus_fixtures import campus, small_agave_campus
from whole_campus import Campus, RealWall

from authority.chain.artifacts import artifacts_directory, program_bytes
from authority.chain.deploy import check_programs
from authority.cli import main
from authority.operations.upgrade import BUFFER_HEADER_SIZE, buffer_address

__all__ = ["campus", "small_agave_campus"]

Commanded = Callable[..., tuple[int, dict[str, Any], str]]


def commanded(campus: Campus, capsys: pytest.CaptureFixture[str]) -> Commanded:
    """Runs `authority upgrade`: exit status, JSON, and what it says on stderr."""

    def run(*words: str) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        status = main(["upgrade", *words, "--json", "--home", str(campus.home_path)])
        output = capsys.readouterr()
        return status, json.loads(output.out) if output.out else {}, output.err

    return run


@pytest.fixture
def command(campus: Campus, capsys: pytest.CaptureFixture[str]) -> Commanded:
    return commanded(campus, capsys)


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another release: governance's file is longer than the one on the chain, and does the same."""
    directory = tmp_path / "release"
    shutil.copytree(artifacts_directory(), directory)
    with (directory / "governance.so").open("ab") as file:
        file.write(b"\x07" * 2_000)
    monkeypatch.setenv("CAMPUS_ARTIFACTS", str(directory))
    return directory


def upgraded_whole(campus: Campus, command: Commanded) -> None:
    """Announce, wait, carry out; the programs are the released ones, and work."""
    status, told, _ = command("announce", "--dry-run")
    assert (status, told["changed"]) == (0, False)
    assert command("show")[1]["announced"] is None
    assert command("run")[2].endswith("[not_announced]\n")
    status, told, _ = command("announce", "--reason", "release 2")
    assert (status, told["changed"]) == (0, True)
    due = told["from_epoch"] * campus.epoch_seconds
    assert command("announce")[1]["changed"] is False
    status, _, error = command("run")
    assert (status, "[not_due]" in error) == (1, True)
    if not isinstance(campus.wall, RealWall):  # which does not stand still while the command looks
        campus.go_to(due - 1)
        assert "[not_due]" in command("run")[2]  # a whole epoch lies between
    campus.go_to(due + 1)
    status, told, _ = command("run", "--dry-run")
    assert (status, told["changed"]) == (0, False)
    status, told, error = command("run")
    assert status == 0, error
    assert told["changed"] is True
    assert len(check_programs(campus.client)) == 5
    campus.next_slot()
    assert command("run")[1]["changed"] is False
    assert not any(each["differs"] for each in command("show")[1]["programs"])
    home = ["--home", str(campus.home_path)]
    assert main(["deploy", "--check", *home]) == 0
    assert main(["pause", "credit", "--reason", "it answers", *home]) == 0


def test_an_upgrade_is_announced_carried_out_and_compared(campus: Campus, command: Commanded, release: Path) -> None:
    upgraded_whole(campus, command)
    assert campus.audit() == 0


@pytest.mark.agave
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_agave_takes_an_upgrade_too(
    small_agave_campus: Campus, capsys: pytest.CaptureFixture[str], release: Path
) -> None:
    upgraded_whole(small_agave_campus, commanded(small_agave_campus, capsys))
    assert small_agave_campus.audit() == 0


def test_an_upgrade_that_was_killed_goes_on(campus: Campus, command: Commanded, release: Path) -> None:
    assert command("announce")[0] == 0
    campus.next_epoch()
    campus.next_epoch()
    words = ["upgrade", "run", "--home", str(campus.home_path)]
    process = subprocess.Popen([sys.executable, "-m", "authority.cli", *words])
    elf = program_bytes("governance")
    buffer = buffer_address(campus.operator.pubkey(), campus.home.authority.pubkey(), elf)
    while (account := campus.client.raw_account(buffer)) is None or not any(account.data[BUFFER_HEADER_SIZE:]):
        assert process.poll() is None
    process.kill()
    process.wait()
    spent = campus.client.balance(campus.operator.pubkey())
    status, told, error = command("run")
    assert (status, told["changed"]) == (0, True), error
    assert len(check_programs(campus.client)) == 5
    assert campus.client.raw_account(buffer) is None  # its rent came back
    assert campus.client.balance(campus.operator.pubkey()) > spent
    assert campus.audit() == 0


def test_other_bytes_than_the_announced_ones_are_refused(campus: Campus, command: Commanded, release: Path) -> None:
    assert command("announce")[0] == 0
    with (release / "governance.so").open("ab") as file:
        file.write(b"\x08")
    campus.next_epoch()
    campus.next_epoch()
    status, _, error = command("run")
    assert (status, "[other_artifact]" in error) == (1, True)
    assert command("announce")[1]["changed"] is True  # the other one, with a notice of its own
    assert "[not_due]" in command("run")[2]
    assert command("cancel")[1]["changed"] is True
    assert "[not_announced]" in command("run")[2]
    assert command("cancel")[1]["changed"] is False
