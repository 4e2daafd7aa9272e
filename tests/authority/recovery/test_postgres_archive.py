"""The documented way: PostgreSQL with its log archived, restored to a moment, then `authority recover`."""

from __future__ import annotations

from pathlib import Path

import pytest
from archived_postgres import ArchivedPostgres
from recovery_campus import RecoveryCampus, audited, command
from whole_campus import ValidatorProcess

from authority.app import App


@pytest.mark.finding("ops-8")
def test_a_database_brought_back_to_a_moment_is_recovered(
    cluster: ArchivedPostgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campus = RecoveryCampus(tmp_path, ValidatorProcess, store_url=cluster.url)
    try:
        campus.next_epoch()
        campus.start_market()
        worker = campus.worker()
        campus.run_epoch(worker, moving=False)
        cluster.base_backup()
        campus.run_epoch(worker)
        moment = cluster.ask("SELECT clock_timestamp()::text")
        campus.run_epoch(worker)
        campus.app.store.close()
        cluster.lose_and_restore(moment)
        campus.app = App.open(campus.home_path, campus.wall.seconds)
        status, told = command(campus, capsys, "recover", "run", "--reason", "the database was lost")
        assert (status, told["log"]["begun"], told["log"]["epochs"]) == (3, True, 1)
        campus.send_again()
        status, told = command(campus, capsys, "recover", "run")
        assert (status, told["log"]["ended"]) == (0, True)
        worker = campus.worker()
        worker.settle_down()
        campus.run_epoch(worker)
        recoveries = audited(campus, capsys)
        assert (recoveries["given_up_checkpoints"], recoveries["lost_readings"]) == (1, 0)
    finally:
        campus.close()
