"""An audit that goes on from the last one finds what one from the beginning finds, and what was changed since."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from authority.audit import examine, state
from authority.audit.bundle import Bundle
from authority.audit.state import StateError
from authority.audit.verify import Audit, Progress, StoreLog
from authority.chain.accounts import MeterRole
from authority.cli import main
from authority.log.log import Leaf
from authority.store.metering import Frame


@pytest.fixture
def verify(campus: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """`audit verify --json`, with or without a state."""

    def run(*more: str) -> dict[str, Any]:
        capsys.readouterr()
        main(["audit", "verify", "--json", "--home", str(campus.home_path), "--url", campus.validator.url, *more])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return document

    return run


def test_each_audit_does_what_is_new_and_says_the_same(
    campus: Any, verify: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campus.start_market()
    worker, kept = campus.worker(), tmp_path / "state"
    seen: list[int] = []
    examined = examine.examine

    def counting(leaves: list[bytes], network_id: bytes, verified: int = 0) -> Any:
        seen.append(len(leaves))
        return examined(leaves, network_id, verified)

    monkeypatch.setattr(examine, "examine", counting)
    sizes = []
    for epoch in range(4):
        campus.run_epoch(worker, moving=epoch > 0)
        whole = verify()
        seen.clear()
        assert verify("--state", str(kept)) == whole
        assert whole["problems"] == []
        sizes.append(whole["entries"])
        assert sum(seen) == sizes[-1] - (sizes[-2] if epoch else 0)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert verify("--state", str(kept)) == verify()  # nothing is new
    with campus.app.store.write() as session:
        last = session.scalars(select(Frame).order_by(Frame.log_index.desc()).limit(1)).one()
        wrong = last.frame[:30] + bytes([last.frame[30] ^ 1]) + last.frame[31:]
        session.execute(update(Frame).where(Frame.log_index == last.log_index).values(frame=wrong))
    assert not verify()["ok"]
    before = kept.read_bytes()
    campus.run_epoch(worker)
    with campus.app.store.write() as session:
        newest = session.scalars(select(Frame).order_by(Frame.log_index.desc()).limit(1)).one()
        wrong = newest.frame[:30] + bytes([newest.frame[30] ^ 1]) + newest.frame[31:]
        session.execute(update(Frame).where(Frame.log_index == newest.log_index).values(frame=wrong))
    assert "row_differs" in {problem["code"] for problem in verify("--state", str(kept))["problems"]}
    assert kept.read_bytes() == before  # what does not hold is gone on from never


def test_a_bundle_can_be_gone_on_from(traded: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["audit", "verify", "--json", "--bundle", str(traded.bundle), "--state", str(tmp_path / "state")]
    said = []
    for _ in range(2):
        capsys.readouterr()
        assert main(command) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert said[0] == said[1]
    assert said[0]["minted_wh"] == traded.minted_wh
    assert main([*command, "--log-only"]) == 1
    assert "state_unusable" in capsys.readouterr().err


def test_signatures_before_a_verified_checkpoint_are_not_verified_again(
    campus: Any, verify: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    checkpoint = tmp_path / "checkpoint"
    assert main(["audit", "--home", str(campus.home_path), "checkpoint", "--out", str(checkpoint)]) == 0
    size = int(checkpoint.read_text(encoding="utf-8").split("\n")[1])
    campus.run_epoch(worker)
    spared: list[int] = []
    examined = examine.examine

    def counting(leaves: list[bytes], network_id: bytes, verified: int = 0) -> Any:
        spared.append(min(len(leaves), max(0, verified)))
        return examined(leaves, network_id, verified)

    monkeypatch.setattr(examine, "examine", counting)
    said = verify("--since", str(checkpoint))
    assert said == verify()
    assert said["ok"]
    assert sum(spared) == size
    other = tmp_path / "other"
    other.write_bytes(checkpoint.read_bytes().replace(b"\n", b"\n", 1)[:-2] + b"A\n")
    assert main(["audit", "verify", "--home", str(campus.home_path), "--log-only", "--since", str(other)]) == 1


@pytest.mark.parametrize("damage", ["cut", "byte", "other", "empty"])
def test_a_state_that_is_none_says_so(tmp_path: Path, damage: str) -> None:
    path, network, key = tmp_path / "state", b"12345678", bytes(32)
    assert state.load(path, network, key) is None
    state.save(path, state.to_bytes(Progress(readings=7)), network, key)
    found = state.load(path, network, key)
    assert found is not None
    assert found.readings == 7
    raw = path.read_bytes()
    changes = {"cut": raw[:-1], "byte": raw[:60] + bytes([raw[60] ^ 1]) + raw[61:], "other": raw, "empty": b""}
    path.write_bytes(changes[damage])
    with pytest.raises(StateError) as caught:
        state.load(path, b"anothers" if damage == "other" else network, key)
    assert caught.value.code == "state_unusable"


def test_a_state_runs_no_code(tmp_path: Path) -> None:
    """Whoever writes the file decides what is believed of the log, and no more."""
    path = tmp_path / "state"
    for evil in (b"cos\nsystem\n(S'true'\ntR.", b"cauthority.audit.state\nPath\n(S'x'\ntR."):
        state.save(path, evil, b"12345678", bytes(32))
        with pytest.raises(StateError):
            state.load(path, b"12345678", bytes(32))


def test_processes_find_what_one_finds(traded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    leaves = list(Bundle(traded.bundle).leaves()) * 30
    bad = leaves[40]
    data = bad.data[:20] + bytes([bad.data[20] ^ 1]) + bad.data[21:]
    leaves[40] = Leaf(bad.log_index, data, bad.hash)
    monkeypatch.setattr(examine, "WORTH_PROCESSES", 1)
    alone = list(examine.examined(leaves, bytes(8), jobs=1, size=len(leaves)))
    assert list(examine.examined(leaves, bytes(8), jobs=2, size=len(leaves))) == alone
    assert len(alone) > 2 * examine.BATCH
    spared = list(examine.examined(leaves, bytes(8), jobs=2, size=len(leaves), verified=41))
    assert [each[:3] for each in spared] == [each[:3] for each in alone]


def test_a_log_alone_can_be_gone_on_from(campus: Any) -> None:
    campus.read_all(campus.next_epoch())
    key = bytes(campus.home.receipt_key.pubkey())
    first = Audit(campus.home.network_id, key, keep=state.to_bytes)
    with campus.app.store.read() as session:
        first.run(StoreLog.of(session))
    assert first.findings == []
    assert first.kept is not None
    campus.read_all(campus.next_epoch())
    second = Audit(campus.home.network_id, key, progress=first.progress)
    with campus.app.store.read() as session:
        second.run(StoreLog.of(session))
    assert second.findings == []
    assert second.readings == 2 * len(campus.meters)


def test_a_code_is_kept_by_its_number_whatever_python_does_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_name(value: IntEnum, protocol: int) -> Any:  # as Python 3.11.2 pickles an enum
        return getattr, (type(value), value.name)

    monkeypatch.setattr(MeterRole, "__reduce_ex__", by_name)
    written = state.to_bytes(MeterRole.GRID)  # type: ignore[arg-type]
    read = state._Reader(io.BytesIO(written)).load()
    assert read is MeterRole.GRID
