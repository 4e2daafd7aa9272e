"""Drills: a store older than its chain, and a chain that went back; afterwards the audit holds, and says what was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recovery_campus import RecoveryCampus, audited, command
from sqlalchemy import select

from authority.chain import programs
from authority.chain.accounts import Oracle
from authority.cli import main
from authority.log import log
from authority.log.restoration import CHAIN_WENT_BACK, LOG_REFILLED, LOG_RESTORED, lost_leaf
from authority.settlement.worker import LogBehindError, Worker
from authority.store.log import Act
from authority.store.settlement import SettlementEpoch


def pinned(campus: RecoveryCampus) -> int:
    oracle = campus.client.account(Oracle, programs.oracle_authority())
    assert oracle is not None
    return oracle.log_size


def two_epochs_and_a_journal_are_lost(
    campus: RecoveryCampus, dump: Path, capsys: pytest.CaptureFixture[str], meter: str
) -> None:
    """The database of two epochs before is put back, and all send again but a meter whose gateway lost its journal."""
    worker = campus.worker()
    campus.copy_store(dump)
    for _ in range(2):
        campus.run_epoch(worker)
    campus.restore_store(dump)
    assert command(campus, capsys, "recover", "run")[0] == 3
    campus.lose_journals(meter)
    campus.send_again(meter)


def goes_on(campus: RecoveryCampus, worker: Worker) -> None:
    """Two epochs more, to their checkpoints."""
    for _ in range(2):
        campus.run_epoch(worker)
    campus.next_epoch()
    worker.settle_down()


def all_comes_back(campus: RecoveryCampus, capsys: pytest.CaptureFixture[str]) -> None:
    """The gateways send again, and nothing is waited for any more; then another epoch."""
    campus.send_again()
    assert command(campus, capsys, "recover", "run")[0] == 0
    worker = campus.worker()
    worker.settle_down()
    campus.run_epoch(worker)


@pytest.mark.finding("ops-8")
def test_a_store_older_than_its_chain_comes_back(
    campus: RecoveryCampus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three epochs with trade, a credit and a release are lost; gateways send again, and the audit holds."""
    worker = campus.worker()
    campus.copy_store(tmp_path / "dump.db")
    for _ in range(2):
        campus.run_epoch(worker)
    assert main(["market", "credit", "C", "77000", "--home", str(campus.home_path)]) == 0
    campus.run_epoch(worker)
    before, minted = campus.balances(), pinned(campus)
    campus.restore_store(tmp_path / "dump.db")

    with pytest.raises(LogBehindError, match="authority recover run"):
        campus.worker().round()
    with campus.app.store.read() as session:
        size = log.size(session)
    status, told = command(campus, capsys, "recover", "show")
    assert status == 3
    assert told["log"]["epochs"] > 0
    with campus.app.store.read() as session:
        assert log.size(session) == size

    status, told = command(campus, capsys, "recover", "run", "--reason", "disk failed")
    assert status == 3
    assert told["log"]["begun"]
    assert len(told["log"]["waiting"]) == len(campus.meters)
    assert told["log"]["acts"] > 0
    with campus.app.store.read() as session:
        assert log.size(session) > minted  # no place is used twice
    campus.send_again()
    status, told = command(campus, capsys, "recover", "run")
    assert (status, told["log"]["ended"], told["log"]["waiting"]) == (0, True, [])
    status, told = command(campus, capsys, "recover", "run")
    assert (status, told["log"]["begun"]) == (0, False)

    assert campus.balances() == before
    worker = campus.worker()
    worker.settle_down()
    goes_on(campus, worker)
    recoveries = audited(campus, capsys)
    assert len(recoveries["log_restored"]) == 1
    assert recoveries["given_up_checkpoints"] > 0
    assert recoveries["recovered_acts"] > 0
    assert (recoveries["lost_readings"], recoveries["lost_books"]) == (0, 0)
    assert main(["audit", "verify", "--home", str(campus.home_path), "--jobs", "1", "--url", campus.validator.url]) == 0
    assert "the log was restored at leaf" in capsys.readouterr().out


@pytest.mark.finding("ops-8")
def test_readings_that_nobody_has_any_more_are_given_up_by_name(
    campus: RecoveryCampus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_epochs_and_a_journal_are_lost(campus, tmp_path / "dump.db", capsys, "C.building")
    status, told = command(campus, capsys, "recover", "run")
    assert status == 3
    assert [each.partition(":")[0] for each in told["log"]["waiting"]] == ["gw_c/building"]
    assert command(campus, capsys, "recover", "give-up", "gw_c/building", "--dry-run")[1]["last"] >= 3
    assert command(campus, capsys, "recover", "give-up", "gw_c/building")[0] == 0
    status, told = command(campus, capsys, "recover", "run")
    assert (status, told["log"]["ended"]) == (0, True)
    assert audited(campus, capsys)["lost_readings"] == 2
    goes_on(campus, campus.worker())
    assert audited(campus, capsys)["lost_readings"] == 2


@pytest.mark.finding("ops-8")
def test_a_receipt_that_somebody_kept_brings_its_reading_back(
    campus: RecoveryCampus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_epochs_and_a_journal_are_lost(campus, tmp_path / "dump.db", capsys, "C.building")
    files = []
    for sequence in (4, 3):
        files.append(tmp_path / str(sequence))
        files[-1].write_bytes(campus.kept["C.building", sequence])
    assert command(campus, capsys, "recover", "receipt", str(files[0]))[0] == 3  # the one before it first
    status, told = command(campus, capsys, "recover", "receipt", str(files[1]))
    assert (status, told["sequence"]) == (0, 3)
    assert told["log_index"] > told["lost_log_index"]
    for _ in range(2):
        status, told = command(campus, capsys, "recover", "receipt", str(files[0]))
        assert (status, told["sequence"]) == (0, 4)
    changed = bytearray(files[0].read_bytes())
    changed[-1] ^= 1
    files[0].write_bytes(changed)
    assert main(["recover", "receipt", str(files[0]), "--home", str(campus.home_path)]) == 1
    assert "[receipt_unusable]" in capsys.readouterr().err
    status, told = command(campus, capsys, "recover", "run")
    assert (status, told["log"]["ended"]) == (0, True)
    assert audited(campus, capsys)["lost_readings"] == 0


def test_a_restoration_that_names_other_checkpoints_excuses_nothing(
    campus: RecoveryCampus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    campus.copy_store(tmp_path / "dump.db")
    campus.run_epoch(campus.worker())
    lost = pinned(campus)
    campus.restore_store(tmp_path / "dump.db")
    with campus.app.store.write() as session:
        epoch = campus.epoch
        data = {"after": 0, "epochs": [0, epoch], "pins": "00" * 32, "until": lost + 1}
        index = log.record_act(session, LOG_RESTORED, "somebody", campus.wall.seconds(), data)
        log.append_all(session, [lost_leaf(index)] * (lost - index))
        log.record_act(session, LOG_REFILLED, "somebody", campus.wall.seconds(), {"restoration": index})
        log.append(session, lost_leaf(index))  # beyond what the act names
    campus.send_again()
    status, found = command(campus, capsys, "audit", "verify", "--jobs", "1", "--url", campus.validator.url)
    assert status == 1
    assert {"log_rewritten", "leaf_unknown"} <= {each["code"] for each in found["problems"]}


@pytest.mark.finding("ops-8")
def test_nothing_but_what_a_restoration_names_is_excused(
    campus: RecoveryCampus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two losses from the same dump; and a restoration that is not ended is a finding."""
    worker = campus.worker()
    campus.copy_store(tmp_path / "dump.db")
    campus.run_epoch(worker)
    campus.restore_store(tmp_path / "dump.db")
    verify = ["audit", "verify", "--jobs", "1", "--url", campus.validator.url]
    status, found = command(campus, capsys, *verify)
    assert status == 1
    assert "log_shortened" in {each["code"] for each in found["problems"]}
    assert command(campus, capsys, "recover", "run")[0] == 3
    status, found = command(campus, capsys, *verify)
    assert status == 1
    codes = {each["code"] for each in found["problems"]}
    assert "restoration_open" in codes
    assert "log_shortened" not in codes
    all_comes_back(campus, capsys)
    campus.restore_store(tmp_path / "dump.db")  # the same again
    assert command(campus, capsys, "recover", "run")[0] == 3
    all_comes_back(campus, capsys)
    assert len(audited(campus, capsys)["log_restored"]) == 1


@pytest.mark.finding("ops-7")
def test_a_chain_that_went_back_is_followed(
    campus: RecoveryCampus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ledger of two epochs ago is put back; readings go again, and what members had minted is minted again."""
    worker = campus.worker()
    directory = campus.home.validator_directory
    campus.validator.stop()
    shutil.copytree(directory, tmp_path / "ledger")
    campus.validator.start()
    campus.run_epoch(worker)
    assert main(["market", "credit", "D", "55000", "--home", str(campus.home_path)]) == 0
    campus.run_epoch(worker)
    minted = {name: campus.energy(name).minted for name in "ABCD"}
    campus.validator.stop()
    shutil.rmtree(directory)
    shutil.copytree(tmp_path / "ledger", directory)
    campus.validator.start()
    assert campus.energy("A").minted < minted["A"]

    worker = campus.worker()  # settlement follows by itself
    worker.settle_down()
    assert {name: campus.energy(name).minted for name in "ABCD"} == minted
    with campus.app.store.read() as session:
        assert session.scalar(select(Act.log_index).where(Act.kind == "chain_went_back")) is not None
        checkpointed = select(SettlementEpoch.epoch).where(SettlementEpoch.checkpointed_ms.is_not(None))
        assert all(campus.checkpoint(epoch) is not None for epoch in session.scalars(checkpointed))
    status, told = command(campus, capsys, "recover", "run")
    assert (status, told["credits_issued_again"]) == (0, 1)
    status, told = command(campus, capsys, "recover", "run")
    assert (status, told["credits_issued_again"]) == (0, 0)
    goes_on(campus, worker)
    recoveries = audited(campus, capsys)
    assert len(recoveries["chain_went_back"]) == 1
    assert recoveries["log_restored"] == []


class Killed(BaseException):
    """The worker's process ends here."""


@pytest.mark.parametrize("orders_kept", [False, True])
def test_a_book_that_was_logged_and_went_with_the_chain_is_not_the_epochs(
    campus: RecoveryCampus, tmp_path: Path, capsys: pytest.CaptureFixture[str], orders_kept: bool
) -> None:
    """The chain goes back after the log has an epoch's final book, and before the epoch's checkpoint is there."""
    worker = campus.worker()
    campus.run_epoch(worker)
    directory, copied = campus.home.validator_directory, tmp_path / "ledger"

    def copy() -> None:
        campus.validator.stop()
        shutil.copytree(directory, copied)
        campus.validator.start()

    if not orders_kept:
        copy()
        worker = campus.worker()
    boundary = campus.next_epoch()
    campus.read_all(boundary)
    worker.settle_down()  # the book of the epoch that runs now has orders
    if orders_kept:
        copy()
        worker = campus.worker()
    epoch = boundary // campus.epoch_seconds

    def die(*_: object) -> None:
        raise Killed

    worker.chain.checkpoint = die  # type: ignore[assignment]
    campus.read_all(campus.next_epoch())
    with pytest.raises(Killed):
        worker.settle_down()
    with campus.app.store.read() as session:
        row = session.get(SettlementEpoch, epoch)
        assert row is not None
        assert row.book_log_index is not None
        assert row.checkpointed_ms is None
    campus.validator.stop()
    shutil.rmtree(directory)
    shutil.copytree(copied, directory)
    campus.validator.start()

    worker = campus.worker()
    worker.settle_down()
    assert campus.checkpoint(epoch) is not None
    goes_on(campus, worker)
    recoveries = audited(campus, capsys)
    assert recoveries["log_restored"] == []
    if not orders_kept:
        assert len(recoveries["chain_went_back"]) == 1


def test_a_checkpoint_that_landed_after_its_chain_went_back_leaves_a_copy_of_its_book(
    campus: RecoveryCampus, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was sent before. Meanwhile the log has said that the chain went back, and has the epoch's book once more."""
    worker = campus.worker()
    campus.run_epoch(worker)
    epoch = campus.run_epoch(worker)
    book = campus.book(epoch)
    assert book is not None
    assert book.bid_count + book.ask_count > 0
    with campus.app.store.write() as session:
        row = session.get(SettlementEpoch, epoch)
        assert row is not None
        assert row.checkpointed_ms is not None
        leaf = log.leaf(session, row.book_log_index or 0)
        said = {"epochs": 0, "from_leaf": log.size(session), "last_epoch": epoch - 1, "readings": 0, "undone": 0}
        log.record_act(session, CHAIN_WENT_BACK, "settlement", campus.wall.seconds(), said)
        log.append(session, leaf)
    goes_on(campus, worker)
    goes_on(campus, worker)
    assert len(audited(campus, capsys)["chain_went_back"]) == 1
