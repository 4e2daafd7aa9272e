"""Any single byte that is changed in what the authority keeps or gives out is found, and named.

In the store: readings, leaves, tiles, checkpoints, cosignatures, acts. In an exported folder: each file. Bundles have
their own test (test_bundle), the chain's accounts theirs (test_forged).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packed_accounts import packed
from solders.keypair import Keypair
from sqlalchemy import LargeBinary, Table, Text, select, type_coerce, update

from authority.app import App
from authority.audit.verify import Audit, StoreLog
from authority.chain.accounts import EpochBook
from authority.cli import main
from authority.collector import held
from authority.collector.ingest import Collector
from authority.log import log, note, publish
from authority.market.book_leaf import book_leaf
from authority.store.base import CanonicalJson, table_of
from authority.store.log import Act, Checkpoint, KeptCosignature, LogLeaf, LogState, LogTile, PublishedCheckpoint
from authority.store.metering import Frame

SIZE = 300
COLUMNS: dict[type[Any], tuple[str, ...]] = {
    Frame: ("frame", "public_key", "record_hash", "sequence", "interval_end", "meter_pk", "verdict", "code",
            "received_at", "disposition"),
    LogLeaf: ("data",),
    LogTile: ("hashes",),
    LogState: ("frontier", "size"),
    Checkpoint: ("root", "signature"),
    KeptCosignature: ("time", "signature", "witness"),
    PublishedCheckpoint: ("public_key",),
    Act: ("kind", "actor", "time", "data"),
}  # fmt: skip
"""What is kept of the log, by table; names and numbers are changed in a letter or a bit."""
NAMED = {
    Frame: {"leaf_hash", "row_differs", "reading_signature", "reading_verdict", "reading_malformed", "leaf_missing"},
    LogLeaf: {"leaf_hash"},
    LogTile: {"leaf_hash", "tile_differs", "root_differs"},
    LogState: {"root_differs", "leaf_missing", "log_shortened"},
    Checkpoint: {"checkpoint_signature", "log_rewritten", "cosignature_differs"},
    KeptCosignature: {"cosignature_differs"},
    PublishedCheckpoint: {"checkpoint_signature"},
    Act: {"leaf_hash"},
}


def findings(app: App) -> list[Any]:
    audit = Audit(app.home.network_id, bytes(app.home.receipt_key.pubkey()))
    try:
        with app.store.read() as session:
            audit.run(StoreLog.of(session))
    except Exception as error:  # an edge that cannot be put together is no log: it is told with its cause
        pytest.fail(f"the audit stopped: {error!r}")
    return audit.findings


@pytest.fixture
def kept(app: App, add_meter: Callable[..., Any]) -> App:
    """A log of more than a tile: readings (one held and released), acts, a checkpoint that a witness cosigned."""
    meter = add_meter()
    witness = Keypair()
    with app.store.write() as session:
        approved = {"key": meter.public_key.hex(), "meter_id": (b"m" * 32).hex(), "first_sequence": 1}
        log.record_act(session, "gateway_approved", "operator", 1, {"meters": [approved]})
    frames = [meter.next(), meter.next(clock_deviation=100), meter.next(5)]
    Collector(app).ingest(b"".join(frames), gateway="gw-1", meter=None, over="https")
    with app.store.write() as session:
        held.release(session, 2, actor="operator", reason="checked", now=5)
        log.append(session, book_leaf(packed(EpochBook, status=5, epoch=8)))
        for number in range(SIZE - 6):
            log.record_act(session, "noted", "operator", number, {"number": number})
        signed = publish.publish(session, app.home.network_id, app.home.receipt_key, 1)
        message = b"cosignature/v1\ntime 7\n" + signed.body()
        key = note.VerifierKey("w", bytes(witness.pubkey()), note.COSIGNATURE)
        session.add(
            KeptCosignature(
                size=signed.size, witness=str(key), time=7, signature=bytes(witness.sign_message(message))
            )
        )  # fmt: skip
    assert findings(app) == []
    return app


def as_kept(value: Any, kind: Any) -> Any:
    """A column or a value of it as the database has it: of canonical JSON the text."""
    return type_coerce(value, Text()) if isinstance(kind, CanonicalJson) else value


def changed(value: Any, data: st.DataObject) -> Any:
    """A value with one byte, letter or bit of it changed."""
    if isinstance(value, int):
        return value ^ 1 << data.draw(st.integers(0, 5))
    at = data.draw(st.integers(0, len(value) - 1))
    if isinstance(value, str):
        return value[:at] + ("x" if value[at] != "x" else "y") + value[at + 1 :]
    return value[:at] + bytes([value[at] ^ data.draw(st.integers(1, 255))]) + value[at + 1 :]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_byte_of_the_store_is_found_and_named(kept: App, data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(list(COLUMNS)))
    table: Table = table_of(model)
    column = table.c[data.draw(st.sampled_from(COLUMNS[model]))]
    with kept.store.read() as session:
        keys = table.primary_key.columns
        rows = session.execute(select(*keys, as_kept(column, column.type).label("value")).order_by(*keys)).all()
    row = data.draw(st.sampled_from(rows))
    here = [key == value for key, value in zip(table.primary_key.columns, row, strict=False)]
    wrong = changed(row.value, data)
    if isinstance(column.type, LargeBinary):
        assert len(wrong) == len(row.value)
    with kept.store.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        try:
            with connection.begin_nested():
                connection.execute(update(table).where(*here).values({column.name: as_kept(wrong, column.type)}))
        except Exception:
            return  # the database itself refuses it: no such meter
    found = findings(kept)
    codes = {finding.code for finding in found}
    with kept.store.engine.begin() as connection:
        back = [
            key == (wrong if key.name == column.name else value)
            for key, value in zip(table.primary_key.columns, row, strict=False)
        ]
        connection.execute(update(table).where(*back).values({column.name: as_kept(row.value, column.type)}))
    assert codes & NAMED[model], (model.__name__, column.name, found)
    if model in (Frame, LogLeaf):
        assert str(row[0]) in {finding.where for finding in found}


def test_any_byte_of_an_exported_folder_is_found_and_its_file_named(
    kept: App, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tiles"
    assert main(["audit", "--home", str(kept.home.path), "export", "--tiles", str(folder)]) == 0
    assert main(["audit", "verify", "--tiles", str(folder)]) == 0
    key = bytes(kept.home.receipt_key.pubkey()).hex()
    assert main(["audit", "verify", "--tiles", str(folder), "--key", key, "--json"]) == 0
    assert main(["audit", "verify", "--tiles", str(folder), "--key", "11" * 32, "--json"]) == 1
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        raw = path.read_bytes()
        for at in {0, len(raw) // 3, len(raw) // 2, len(raw) - 2, len(raw) - 1}:
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
            capsys.readouterr()
            assert main(["audit", "verify", "--tiles", str(folder), "--json"]) == 1, (path, at)
            said = json.loads(capsys.readouterr().out)
            name = str(path.relative_to(folder))
            assert any(name in problem["where"] or name in problem["message"] for problem in said["problems"]), (
                name,
                at,
                said,
            )
        path.write_bytes(raw)
    (folder / "tile/0/000").unlink()
    assert main(["audit", "verify", "--tiles", str(folder)]) == 1
