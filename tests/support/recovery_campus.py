"""A campus whose readings go through the real collector out of the gateways' real journals, which send again."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from whole_campus import Campus

from authority.app import App
from authority.cli import main
from authority.collector.ingest import Collector
from authority.store.metering import MeterKey
from edge_agent.state.journal import Journal
from edge_agent.wire.reading import VERDICT_PARKED, split_receipts


class RecoveryCampus(Campus):
    """Every gateway has a journal, and the collector's own code takes its frames."""

    def __init__(self, directory: Path, *arguments: Any, **options: Any) -> None:
        self.directory = directory
        self.journals: dict[str, Journal] = {}
        self.kept: dict[tuple[str, int], bytes] = {}
        """Frame and receipt by meter and sequence, as a member may keep them."""
        super().__init__(directory, *arguments, **options)

    def register_meter(self, user: str, name: str, *arguments: Any) -> None:
        super().register_meter(user, name, *arguments)
        meter = self.meters[f"{user}.{name}"]
        key = bytes(meter.key.pubkey())
        with self.app.store.write() as session:
            session.add(
                MeterKey(
                    public_key=key, meter_pk=meter.pk, first_sequence=1, next_sequence=1, possession=bytes(64),
                    approved_at=1,
                )
            )  # fmt: skip
        gateway = f"gw_{user.lower()}"
        if gateway not in self.journals:
            self.journals[gateway] = Journal.open(self.directory / gateway, quota=10_000)
        self.journals[gateway].add_meter(key, name)

    def receive(self, name: str, frame: bytes, disposition: str = "accepted") -> int:
        """The gateway journals a frame, and sends what it has."""
        meter = self.meters[name]
        journal = self.journals[f"gw_{meter.user.lower()}"]
        journal.append([self.signed(frame)], now=self.wall.seconds())
        self.send(name)
        return 0

    def send(self, name: str) -> None:
        """Send a meter's frames until each has its receipt, from where the authority wants them."""
        meter = self.meters[name]
        gateway = f"gw_{meter.user.lower()}"
        journal, key = self.journals[gateway], bytes(meter.key.pubkey())
        for _ in range(20):
            entries = journal.waiting(key, 100)
            if not entries:
                return
            frames = [frame.to_bytes() for frame in journal.frames_of(entries)]
            answer = Collector(self.app).ingest(b"".join(frames), gateway=gateway, meter=None, over="https")
            receipts = split_receipts(b"".join([*answer.receipts, *answer.later]))
            journal.apply(receipts, now=self.wall.seconds())
            for entry, frame, receipt in zip(entries, frames, answer.receipts, strict=True):
                self.kept.setdefault((name, entry.sequence), frame + receipt)
            parked = [each.next_expected for each in receipts if each.verdict == VERDICT_PARKED]
            if parked:
                journal.requeue(key, min(parked))

    def send_again(self, *but: str) -> None:
        """What every gateway does when the authority is back: compare heads, and send what the authority lacks."""
        for name, meter in self.meters.items():
            if name in but:
                continue
            key = bytes(meter.key.pubkey())
            with self.app.store.read() as session:
                following = session.get_one(MeterKey, key).next_sequence
            self.journals[f"gw_{meter.user.lower()}"].requeue(key, following)
            self.send(name)

    def lose_journals(self, *names: str) -> None:
        """The gateway's disk is gone: nobody has the receipted frames of these meters any more."""
        for name in names:
            meter = self.meters[name]
            with sqlite3.connect(self.directory / f"gw_{meter.user.lower()}") as connection:
                connection.execute(
                    "DELETE FROM frame WHERE meter = (SELECT number FROM meter WHERE public_key = ?)",
                    (bytes(meter.key.pubkey()),),
                )
            connection.close()

    @property
    def store_file(self) -> Path:
        return self.home_path / "authority.db"

    def copy_store(self, target: Path) -> None:
        """What a nightly dump is."""
        with sqlite3.connect(self.store_file) as source, sqlite3.connect(target) as copy:
            source.backup(copy)
        source.close()
        copy.close()

    def restore_store(self, source: Path) -> None:
        """The database is lost, and its dump put back; the chain goes on."""
        self.app.store.close()
        for leftover in self.home_path.glob("authority.db*"):
            leftover.unlink()
        shutil.copy(source, self.store_file)
        self.app = App.open(self.home_path, self.wall.seconds)

    def close(self) -> None:
        for journal in self.journals.values():
            journal.close()
        super().close()


def command(campus: RecoveryCampus, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """A command's exit status and its JSON."""
    capsys.readouterr()
    status = main([*words, "--home", str(campus.home_path), "--json"])
    return status, json.loads(capsys.readouterr().out)


def audited(campus: RecoveryCampus, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The audit's document; it must find nothing."""
    status, found = command(campus, capsys, "audit", "verify", "--jobs", "1", "--url", campus.validator.url)
    assert found["problems"] == [], found["problems"]
    assert status == 0
    recoveries = found["recoveries"]
    assert isinstance(recoveries, dict)
    return recoveries
