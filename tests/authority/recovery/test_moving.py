"""From the embedded validator to Agave, with its history."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agave_validator import released, start_agave_validator
from recovery_campus import RecoveryCampus, audited, command
from whole_campus import RealWall, ValidatorProcess

from authority.chain.client import ChainClient
from authority.cli import main
from authority.home.settings import ValidatorSettings
from authority.log import log
from authority.log.restoration import CHAIN_MOVED
from edge_agent.wire.files import sha256_of


def test_accounts_of_another_moment_are_not_taken_for_the_bundles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campus = RecoveryCampus(tmp_path, ValidatorProcess)
    try:
        campus.next_epoch()
        bundle, accounts = tmp_path / "bundle", tmp_path / "accounts"
        home = ["--home", str(campus.home_path)]
        assert main(["audit", "export", "--bundle", str(bundle), *home, "--url", campus.validator.url]) == 0
        status, told = command(campus, capsys, "recover", "accounts", str(accounts))
        assert (status, told["accounts"]) == (0, len(list(accounts.iterdir())))
        assert command(campus, capsys, "recover", "moved", str(bundle), "--dry-run")[0] == 0
        campus.run_epoch(campus.worker())
        assert main(["recover", "moved", str(bundle), *home]) == 1
        assert "[other_accounts]" in capsys.readouterr().err
        assert main(["audit", "verify", "--before", str(bundle), *home, "--url", campus.validator.url]) == 1
        assert "[bundle_other]" in capsys.readouterr().err
    finally:
        campus.close()


def test_a_validator_that_has_a_bundles_history_itself_is_not_audited_behind_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campus = RecoveryCampus(tmp_path, ValidatorProcess)
    try:
        campus.next_epoch()
        campus.run_epoch(campus.worker())
        bundle = tmp_path / "bundle"
        reach = ["--home", str(campus.home_path), "--url", campus.validator.url]
        assert main(["audit", "export", "--bundle", str(bundle), *reach]) == 0
        with campus.app.store.write() as session:
            log.record_act(session, CHAIN_MOVED, "somebody", campus.wall.seconds(), {"bundle": sha256_of(bundle)})
        campus.run_epoch(campus.worker())
        capsys.readouterr()
        assert main(["audit", "verify", "--before", str(bundle), *reach, "--jobs", "1"]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert "leave --before out" in said.err
        assert "[bundle_other]" in said.err
        audited(campus, capsys)
    finally:
        campus.close()


@pytest.mark.agave
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_campus_moves_to_agave_with_its_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], agave_in_namespace: Any
) -> None:
    campus = RecoveryCampus(tmp_path, ValidatorProcess, RealWall(), 20)
    started: list[Any] = []
    try:
        campus.next_epoch()
        campus.start_market()
        worker = campus.worker()
        campus.run_epoch(worker, moving=False)
        campus.run_epoch(worker)
        minted = sum(campus.energy(name).minted for name in "ABCD")
        bundle, accounts = tmp_path / "bundle", tmp_path / "accounts"
        home = ["--home", str(campus.home_path)]
        assert main(["audit", "export", "--bundle", str(bundle), *home, "--url", campus.validator.url]) == 0
        assert command(campus, capsys, "recover", "accounts", str(accounts))[0] == 0
        campus.validator.stop()

        elves = released(str(campus.home.authority.pubkey()))
        agave = start_agave_validator(tmp_path, elves, str(campus.operator.pubkey()), accounts=accounts)
        started.append(agave)
        settings = replace(campus.home.settings, validator=ValidatorSettings(embedded=False, url=agave.url))
        campus.home.save(settings)
        campus.client.close()
        campus.client = ChainClient(agave.url, attempts=4)
        assert command(campus, capsys, "recover", "moved", str(bundle))[1]["log_index"] is not None
        assert command(campus, capsys, "recover", "moved", str(bundle))[1]["log_index"] is None
        assert sum(campus.energy(name).minted for name in "ABCD") == minted
        worker = campus.worker(agave.url)
        for _ in range(2):
            campus.run_epoch(worker)
        assert sum(campus.energy(name).minted for name in "ABCD") > minted
        capsys.readouterr()
        status = main(["audit", "verify", "--before", str(bundle), *home, "--jobs", "1", "--json"])
        assert json.loads(capsys.readouterr().out)["problems"] == []
        assert status == 0
    finally:
        for each in started:
            each.stop()
        campus.journals.clear()
        campus.client.close()
        campus.app.store.close()
