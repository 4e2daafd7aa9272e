"""The embedded validator's ledger, without what a sealed bundle holds: audits, bills and settlement go on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from whole_campus import Campus, ValidatorProcess

from authority.cli import main
from authority.store.log import Act
from authority.validator.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KILLED = """
import os, sys
from authority.audit import pruning
from authority.cli import main
from authority.log import log
from authority.validator.ledger import Ledger

step = int(sys.argv[1])
pruning.AT_ONCE = 7
left = [step]


def die():
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), 9)


def around(call):
    def called(*words, **names):
        die()
        found = call(*words, **names)
        die()
        return found
    return called


log.record_act = around(log.record_act)
Ledger.drop = around(Ledger.drop)
sys.exit(main(sys.argv[2:]))
"""
"""`authority`, killed before or after the act is written, or before or after one of the commits that drop."""


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[Campus]:
    """A campus whose validator is a process, as it is in service: once stopped, nothing answers for it."""
    made = Campus(tmp_path / "campus", ValidatorProcess)
    yield made
    made.close()


@pytest.fixture
def run(campus: Any, capsys: Any) -> Any:
    """`authority audit WORDS --json` on the campus's home; what it prints, or the error where it ends with `status`."""

    def ran(*words: str, status: int = 0) -> Any:
        capsys.readouterr()
        found = main(["audit", words[0], "--home", str(campus.home_path), *words[1:], "--json"])
        printed = capsys.readouterr()
        assert found == status, printed.out + printed.err
        return json.loads(printed.out) if printed.out else printed.err

    return ran


def export(campus: Any, path: Path, *words: str) -> Path:
    """A bundle of the stopped campus."""
    assert main(["audit", "export", "--home", str(campus.home_path), "--bundle", str(path), *words]) == 0
    return path


def left(campus: Any) -> int:
    """How many transactions the ledger has."""
    ledger = Ledger(campus.home.validator_directory)
    try:
        return ledger.transactions()
    finally:
        ledger.close()


def time_passes(campus: Any) -> None:
    """The chain's slots come up with the campus's clock, so that no transaction of before could land again."""
    campus.next_epoch()
    campus.validator.stop()
    campus.validator.start()
    campus.worker().settle_down()


def test_what_a_bundle_holds_goes_and_everything_goes_on(campus: Any, tmp_path: Path, run: Any, capsys: Any) -> None:
    """Whatever step it is killed at; and without the bundle the audit says what it lacks."""
    state, worker = tmp_path / "state", campus.worker()
    campus.next_epoch()
    campus.start_market()
    for epoch in range(5):
        campus.run_epoch(worker, moving=epoch > 0)
    time_passes(campus)
    bills = campus.home_path
    assert main(["billing", "preview", "--home", str(bills), "--period", "0", "--json"]) == 0
    previewed = capsys.readouterr().out
    assert "ledger_in_use" in run("prune", "--bundle", str(tmp_path / "none"), status=1)
    campus.validator.stop()
    run("verify", "--state", str(state))
    whole = run("verify")
    bundle = export(campus, tmp_path / "bundle")
    words = ("prune", "--bundle", str(bundle), "--state", str(state), "--keep-days", "0")

    # What is young stays; a bundle that was changed is worth nothing; a look changes nothing.
    assert run(*words[:-1], "35")["dropped"] == 0
    changed = tmp_path / "changed"
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    assert "bundle_unsound" in run("prune", "--bundle", str(changed), "--keep-days", "0", status=1)
    assert "bundle_other" in run("verify", "--before", str(bundle), status=1)
    before, planned = left(campus), run(*words, "--dry-run")
    assert planned["changed"] is False
    assert planned["dropped"] > 20
    assert planned["dropped"] + planned["kept"] == before == left(campus)

    # Killed at each step, the ledger and the bundle together have everything.
    command = ["audit", *words, "--home", str(campus.home_path)]
    for step in (1, 2, 4):
        killed = subprocess.run([sys.executable, "-c", KILLED, str(step), *command], check=False, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        gone = before - left(campus)
        assert (gone > 0) == (step == 4)  # the act is in the log before anything goes
        assert run("verify", *(["--before", str(bundle)] if gone else []))["problems"] == []
    done = run(*words)
    assert 0 < done["dropped"] < planned["dropped"]
    assert done["kept"] == planned["kept"] == left(campus)
    assert run(*words)["changed"] is False
    with campus.app.store.read() as session:
        (act,) = session.query(Act).filter_by(kind="ledger_pruned").all()
    assert act.data.keys() == {"bundle", "last_dropped"}

    # With the bundle all of it is computed again; without it, it is said what is lacking, and where that is.
    again = run("verify", "--before", str(bundle))
    assert (again["problems"], again["minted_wh"]) == ([], whole["minted_wh"])
    assert run("verify", "--state", str(state))["problems"] == []
    (lacking,) = [each for each in run("verify", status=1)["problems"] if each["code"] == "history_incomplete"]
    assert act.data["bundle"] in lacking["message"]
    assert "--before" in lacking["message"]

    # The campus goes on, and so does its next bundle, for which more goes.
    campus.validator.start()
    assert main(["billing", "preview", "--home", str(bills), "--period", "0", "--json"]) == 0
    assert capsys.readouterr().out == previewed
    for _ in range(3):
        campus.run_epoch(worker)
    time_passes(campus)
    assert main(["billing", "ledger", "--home", str(bills), "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    campus.validator.stop()
    assert run("verify", "--state", str(state))["problems"] == []
    assert "bundle_unsound" in run("prune", "--bundle", str(export(campus, tmp_path / "part")), status=1)
    second = export(campus, tmp_path / "second", "--before", str(bundle))
    assert run("verify", "--bundle", str(second))["problems"] == []
    assert run("prune", "--bundle", str(second), "--keep-days", "0")["dropped"] > 20
    assert run("verify", "--before", str(second))["problems"] == []
