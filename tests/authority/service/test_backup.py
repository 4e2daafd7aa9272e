"""The drill: a campus that runs is backed up, its host is lost, and a home is made of the backup."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from authority.app import App
from authority.cli import main
from authority.collector.ingest import Collector
from authority.home.home import Home
from authority.log import log
from authority.service import sealing
from authority.service.sealing import SealedReader, SealedWriter, SealError, Secret
from authority.service.validator_command import home_genesis
from authority.store.log import Act
from authority.store.metering import Frame, Meter
from authority.validator.bank import Bank
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.write_text("correct horse battery staple\n")
    return path


def tree(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home.path / "keys").iterdir()}


@pytest.mark.finding("ops-8")
@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_lost_host_is_made_again(
    app: App, add_meter: Callable[..., Any], passphrase: Path, postgres: Callable[[], str], tmp_path: Path, target: str
) -> None:
    """From either database into either, while readings come and the validator works."""
    meter = add_meter()
    collector = Collector(app)
    collector.ingest(b"".join(meter.next(5) for _ in range(40)), gateway="gw-1", meter=None, over="https")
    ledger = Ledger(app.home.validator_directory)
    Bank(ledger, home_genesis(app.home))
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            collector.ingest(meter.next(5), gateway="gw-1", meter=None, over="https")

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        secret = ["--passphrase-file", str(passphrase)]
        assert main(["backup", str(tmp_path / "b"), "--home", str(app.home.path), *secret]) == 0
    finally:
        stop.set()
        writer.join()
        genesis = Methods(Bank(ledger, home_genesis(app.home))).call("getGenesisHash", [])
        ledger.close()
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    assert not list(app.home.path.glob(".backup-*"))
    home = tmp_path / "new" / "home"
    store = ["--store", postgres() if target == "postgresql" else ""]
    assert main(["restore", str(tmp_path / "b"), "--home", str(home), *secret, *store]) == 0
    restored = App.open(home, app.clock)
    try:
        assert tree(restored.home) == tree(app.home)
        assert restored.home.settings.network == app.home.settings.network
        with restored.store.read() as new, app.store.read() as old:
            size = log.size(new)
            assert 40 <= size <= log.size(old)
            assert log.root(new) == log.root(old, size)
            frames = select(func.count()).select_from(Frame).where(Frame.log_index < size)
            assert new.scalar(frames) == old.scalar(frames)
            assert new.scalars(select(Meter.serial)).all() == old.scalars(select(Meter.serial)).all()
        with restored.store.write() as session:  # it goes on: rows are numbered on, and the log grows
            log.record_act(session, "test", "operator", 1, {})
            assert session.scalar(select(func.count()).select_from(Act)) == 1
        assert [oct(p.stat().st_mode & 0o077) for p in home.rglob("*") if p.stat().st_mode & 0o077] == []
        again = Ledger(restored.home.validator_directory)
        assert Methods(Bank(again, home_genesis(restored.home))).call("getGenesisHash", []) == genesis
        again.close()
    finally:
        restored.store.close()


@pytest.fixture
def backed_up(home: Home, passphrase: Path, tmp_path: Path) -> Path:
    file = tmp_path / "campus.backup"
    assert main(["backup", str(file), "--home", str(home.path), "--passphrase-file", str(passphrase)]) == 0
    return file


@pytest.mark.finding("ops-8")
def test_a_backup_is_checked_without_making_anything(
    backed_up: Path, passphrase: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["restore", str(backed_up), "--home", str(tmp_path / "new"), "--passphrase-file", str(passphrase)]
    capsys.readouterr()
    assert main([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == 1
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_text("")
    assert main(words) == 1
    assert "home_exists" in capsys.readouterr().err


@pytest.mark.finding("ops-8")
@pytest.mark.parametrize("change", ["first", "middle", "last", "cut", "longer", "empty", "other"])
def test_a_damaged_backup_restores_nothing(
    backed_up: Path, passphrase: Path, tmp_path: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(backed_up.read_bytes())
    at = {"first": 20, "middle": len(data) // 2, "last": len(data) - 1}.get(change)
    if at is not None:
        data[at] ^= 1
    data = {"cut": data[:-100], "longer": data + b"x", "empty": bytearray(), "other": bytearray(b"no backup")}.get(
        change, data
    )
    backed_up.write_bytes(data)
    words = ["restore", str(backed_up), "--home", str(tmp_path / "new"), "--passphrase-file", str(passphrase)]
    assert main(words) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new-*"))


@pytest.mark.finding("ops-8")
def test_another_secret_does_not_open_it(
    backed_up: Path, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, key = tmp_path / "other", tmp_path / "key"
    other.write_text("another passphrase\n")
    key.write_text(os.urandom(32).hex())
    words = ["--home", str(tmp_path / "new")]
    assert main(["restore", str(backed_up), *words, "--passphrase-file", str(other)]) == 1
    assert "wrong_secret" in capsys.readouterr().err
    assert main(["restore", str(backed_up), *words, "--key-file", str(key)]) == 1
    assert "sealed with a passphrase" in capsys.readouterr().err
    assert main(["backup", str(backed_up), "--home", str(home.path), "--key-file", str(key)]) == 0
    assert main(["restore", str(backed_up), *words, "--key-file", str(key)]) == 0
    other.write_text("short\n")
    assert main(["backup", str(backed_up), "--home", str(home.path), "--passphrase-file", str(other)]) == 1
    assert "secret_weak" in capsys.readouterr().err


@pytest.mark.parametrize("size", [0, 1, sealing.CHUNK - 1, sealing.CHUNK, sealing.CHUNK + 1, 3 * sealing.CHUNK])
def test_what_is_sealed_comes_out_again_and_no_chunk_moves(tmp_path: Path, size: int) -> None:
    secret, data, path = Secret.key(bytes(32)), os.urandom(size), tmp_path / "sealed"
    with path.open("wb") as file, SealedWriter(file, secret) as sealed:
        sealed.write(data)

    def read() -> bytes:
        with path.open("rb") as file:
            return SealedReader(file, lambda _kind: secret).readall()

    assert read() == data
    whole = path.read_bytes()
    chunk = sealing.CHUNK + sealing.TAG
    if size > sealing.CHUNK:
        for other in (whole[:40] + whole[40 + chunk :], whole[: 40 + chunk], whole + whole[-50:]):
            path.write_bytes(other)
            with pytest.raises(SealError):
                read()
