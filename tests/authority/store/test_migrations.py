"""Stores of earlier releases, made as those made them, and what becomes of them."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from solders.keypair import Keypair
from sqlalchemy import Connection, create_engine, select, text

from authority import store as store_package
from authority.app import App
from authority.collector.frames import Sent
from authority.collector.ingest import Collector
from authority.collector.receipts import head
from authority.home.home import Home
from authority.home.settings import EpochSettings, Settings, StoreSettings
from authority.log import log, merkle
from authority.log.log import ReadingLeaf
from authority.store import Store
from authority.store.engine import MIGRATIONS, newest_revision
from authority.store.log import Act, Checkpoint, LogLeaf
from authority.store.metering import CarriedFrame, Frame, Meter, MeterKey, MeterTenure
from authority.store.settlement import SettlementAct, act_key
from edge_agent.wire.canonical import canonical_json
from edge_agent.wire.reading import Frame as SignedFrame
from edge_agent.wire.reading import Receipt, Record, previous_hash

NOW = 1_782_000_000
READINGS = 300
ROOT = Path(__file__).parents[3]


def downgraded(url: str, revision: str = "0002") -> Store:
    """An empty store as that revision left it."""
    config = Config()
    config.set_main_option("script_location", str(Path(store_package.__file__).parent / "migrations"))
    store = Store(create_engine(url))
    with store.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return store


def add_rows(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    """Put rows into a table of an earlier revision."""
    names = ", ".join(rows[0])
    values = ", ".join(f":{name}" for name in rows[0])
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), rows)  # noqa: S608


@pytest.fixture
def old(tmp_path: Path, store_url: str) -> tuple[Home, list[bytes], list[bytes], Keypair]:
    """A home whose store has an act, 300 readings of one meter, of which one is held, and an AML1 checkpoint."""
    url = store_url or f"sqlite:///{tmp_path / 'authority' / 'authority.db'}"
    home = Home.create(
        tmp_path / "authority", Settings(epoch=EpochSettings(900), store=StoreSettings(store_url)), now=NOW
    )
    store, key = downgraded(url), Keypair()
    public, previous = bytes(key.pubkey()), bytes(16)
    act = b'\x02{"actor":"x","data":{},"kind":"y","time":1}'
    leaves, frames, receipts = [act], [], []
    for n in range(READINGS):
        record = Record(
            sequence=n + 1, network_id=home.network_id, interval_end=NOW - 900 * (READINGS - n), generation=n,
            consumption=0, charge=0, discharge=0, interval_seconds=900, source=1, clock_deviation=0,
            previous_hash=previous,
        ).to_bytes()  # fmt: skip
        previous = previous_hash(record)
        frames.append(record + public + bytes(key.sign_message(record)))
        verdict, code = (2, 22) if n == READINGS - 1 else (1, 0)
        leaves.append(ReadingLeaf(verdict, code, NOW, SignedFrame.from_bytes(frames[-1])).to_bytes())
        receipt = Receipt(
            verdict=verdict, code=code, network_id=home.network_id, meter_key=public,
            record_hash=hashlib.sha256(record).digest(), sequence=n + 1, next_expected=n + 2, log_index=n + 1, time=NOW,
        )  # fmt: skip
        receipt.signature = bytes(home.receipt_key.sign_message(receipt.body()))
        receipts.append(receipt.to_bytes())
    with store.engine.begin() as connection:
        add = partial(add_rows, connection)
        add("gateways", [{"name": "gw-1", "state": "enrolled", "online": False}])
        add("users", [{"id": 1, "name": "u", "building": "A", "public": True, "wallet": "w"}])
        add(
            "installations",
            [{"n": 1, "building": "A", "kind": "k", "nameplate_w": 10_000, "storage_wh": 0, "since": 0}],
        )
        meter = {
            "id": 1, "name": "pv", "gateway_name": "gw-1", "serial": "s", "meter_id": bytes(32), "role": "generation",
            "source": "solar", "user_id": 1, "installation_n": 1, "state": "active", "public_key": public,
        }  # fmt: skip
        add("meters", [meter])
        its = {
            "public_key": public, "meter_pk": 1, "first_sequence": 1, "next_sequence": READINGS + 1,
            "head_hash": hashlib.sha256(frames[-1][:96]).digest(), "possession": bytes(64), "approved_at": 1,
        }  # fmt: skip
        add("meter_keys", [its])
        frontier: list[bytes] = []
        nodes: list[dict[str, Any]] = []
        rows = []
        for index, data in enumerate(leaves):
            leaf = merkle.leaf_hash(data)
            frontier, completed = merkle.extend(index, frontier, leaf)
            rows.append({"log_index": index, "data": data, "hash": leaf})
            nodes += [{"level": level, "position": position, "hash": value} for level, position, value in completed]
        add("log_leaves", rows)
        add("log_nodes", nodes)
        state = {"id": 1, "network_id": home.network_id, "size": len(leaves), "frontier": b"".join(frontier)}
        add("log_state", [state])
        add(
            "frames",
            [
                {
                    "log_index": n + 1, "meter_pk": 1, "public_key": public, "sequence": n + 1,
                    "interval_end": NOW - 900 * (READINGS - n), "record_hash": hashlib.sha256(frames[n][:96]).digest(),
                    "frame": frames[n], "verdict": "held" if n == READINGS - 1 else "accepted",
                    "code": "exceeds_nameplate" if n == READINGS - 1 else "ok", "receipt": receipts[n],
                    "received_at": NOW, "over": "mqtt",
                    "disposition": "held" if n == READINGS - 1 else "accepted", "chain_status": "pending",
                }
                for n in range(READINGS)
            ],
        )  # fmt: skip
        root = merkle.frontier_root(frontier)
        body = struct.pack("<4s8sQ32sq", b"AML1", home.network_id, len(leaves), root, 77)
        signed = body + bytes(home.receipt_key.sign_message(body))
        add("log_checkpoints", [{"size": len(leaves), "root": root, "time": 77, "checkpoint": signed}])
    store.close()
    return home, leaves, receipts, key


def test_a_store_of_the_first_release_goes_on(old: tuple[Home, list[bytes], list[bytes], Keypair]) -> None:
    home, leaves, receipts, key = old
    app = App.open(home.path, lambda: NOW)
    try:
        with app.store.read() as session:
            assert log.size(session) == len(leaves)
            assert [leaf.data for leaf in log.leaves(session, 0, 1_000)] == leaves
            assert all(leaf.hash == merkle.leaf_hash(leaf.data) for leaf in log.leaves(session, 0, 1_000))
            assert session.scalars(select(LogLeaf)).all() == []
            assert session.get_one(Act, 0).kind == "y"
            for size in (1, 255, 256, 257, len(leaves)):
                frontier: list[bytes] = []
                for index, data in enumerate(leaves[:size]):
                    frontier, _ = merkle.extend(index, frontier, merkle.leaf_hash(data))
                assert log.root(session, size) == merkle.frontier_root(frontier)
            kept = log.checkpoint_of(session.get_one(Checkpoint, len(leaves)), home.network_id)
            assert kept.verify(bytes(home.receipt_key.pubkey()))
            public = bytes(home.receipt_key.pubkey())
            assert log.open_checkpoint(kept.to_bytes(public), home.network_id, public) == (len(leaves), kept.root)
            row = session.get_one(MeterKey, bytes(key.pubkey()))
            assert (row.head_log_index, row.passed_log_index) == (READINGS, READINGS - 1)
            assert row.passed_record == leaves[READINGS - 1][12:108]
            assert head(session, session.get_one(Meter, 1)) == leaves[-1][12:] + receipts[-1]
        record = Record(
            sequence=READINGS + 1, network_id=home.network_id, interval_end=NOW, generation=READINGS, consumption=0,
            charge=0, discharge=0, interval_seconds=900, source=1, clock_deviation=0,
            previous_hash=previous_hash(leaves[-1][12:108]),
        ).to_bytes()  # fmt: skip
        frame = record + bytes(key.pubkey()) + bytes(key.sign_message(record))
        old_frames = leaves[1][12:] + leaves[200][12:]
        (done,) = Collector(app).ingest_all([Sent(old_frames + frame, "gw-1", "pv", "mqtt")])
        assert not isinstance(done, Exception)
        assert done.receipts[:2] == [receipts[0], receipts[199]]
        receipt = Receipt.from_bytes(done.receipts[2])
        assert (receipt.verdict, receipt.log_index, receipt.size) == (1, len(leaves), len(leaves) + 1)
        with app.store.read() as session:
            assert session.get_one(Frame, len(leaves)).receipt is None
    finally:
        app.store.close()


def test_changes_of_tenant_are_taken_from_the_acts(tmp_path: Path, store_url: str) -> None:
    """A meter that went from u1 to u2 and back, and one that stayed."""
    url = store_url or f"sqlite:///{tmp_path / 'authority.db'}"
    store = downgraded(url, "0017_oidc_sign_in")
    with store.engine.begin() as connection:
        add = partial(add_rows, connection)
        add("users", [{"id": n, "name": f"u{n}", "building": "A", "public": True, "wallet": f"w{n}"} for n in (1, 2)])
        add("gateways", [{"name": "gw-1", "state": "enrolled", "online": False}])
        add(
            "installations",
            [{"n": 1, "building": "A", "kind": "k", "nameplate_w": 10_000, "storage_wh": 0, "since": 0}],
        )
        meters = [
            {
                "id": n, "name": f"m{n}", "gateway_name": "gw-1", "serial": f"s{n}", "meter_id": bytes([n] * 32),
                "role": "load", "source": "none", "user_id": 1, "installation_n": 1, "state": "active",
            }
            for n in (1, 2)
        ]  # fmt: skip
        add("meters", meters)
        key = {"first_sequence": 1, "next_sequence": 9, "possession": bytes(64), "approved_at": 1}
        add("meter_keys", [key | {"public_key": bytes(32), "meter_pk": 1}])
        frames = [
            {
                "log_index": n, "meter_pk": 1, "public_key": bytes(32), "sequence": n, "interval_end": 900 * n,
                "record_hash": bytes(32), "frame": bytes(192), "verdict": "accepted", "code": "ok", "received_at": 0,
                "over": "mqtt", "disposition": "accepted", "chain_status": "confirmed",
            }
            for n in range(1, 9)
        ]  # fmt: skip
        add("frames", frames)
        acts = [
            {
                "log_index": 100 + at, "kind": "meter_reassigned", "actor": "x", "time": at,
                "data": json.dumps({"meter_id": bytes([1] * 32).hex(), "from": before, "to": after}),
            }
            for at, before, after in ((3 * 900 + 20, "w1", "w2"), (5 * 900 + 700, "w2", "w1"))
        ]  # fmt: skip
        add("acts", acts)
    store.close()
    opened = Store.open(url)
    try:
        with opened.read() as session:
            rows = session.scalars(select(MeterTenure).order_by(MeterTenure.id)).all()
            found = [(row.meter_pk, row.user_id, row.since_end, row.until_end) for row in rows]
    finally:
        opened.close()
    assert found == [(1, 1, None, 2_700), (1, 2, 2_700, 4_500), (1, 1, 4_500, None)]


def test_what_was_kept_twice_is_kept_once(tmp_path: Path, store_url: str) -> None:
    """Acts of which the row, the leaf or both stand; keys of acts; a frame on its way and one that landed."""
    url = store_url or f"sqlite:///{tmp_path / 'authority.db'}"
    store = downgraded(url, "0018_tenures")
    said = {"actor": "ö", "data": {"b": 1, "a": [2, "é"]}, "kind": "noted", "time": 7}
    leaf = b"\x02" + canonical_json(said)
    with store.engine.begin() as connection:
        add = partial(add_rows, connection)
        add("users", [{"id": 1, "name": "u", "building": "A", "public": True, "wallet": "w"}])
        add("gateways", [{"name": "gw-1", "state": "enrolled", "online": False}])
        add(
            "installations",
            [{"n": 1, "building": "A", "kind": "k", "nameplate_w": 10_000, "storage_wh": 0, "since": 0}],
        )
        meter = {
            "id": 1, "name": "pv", "gateway_name": "gw-1", "serial": "s", "meter_id": bytes(32), "role": "load",
            "source": "none", "user_id": 1, "installation_n": 1, "state": "active",
        }  # fmt: skip
        add("meters", [meter])
        key = {"first_sequence": 1, "next_sequence": 9, "possession": bytes(64), "approved_at": 1}
        add("meter_keys", [key | {"public_key": bytes(32), "meter_pk": 1}])
        frames = [
            {
                "log_index": n, "meter_pk": 1, "public_key": bytes(32), "sequence": n, "interval_end": 900 * n,
                "record_hash": bytes(32), "frame": bytes(192), "verdict": "accepted", "code": "ok", "received_at": 0,
                "over": "mqtt", "disposition": "accepted", "chain_status": status, "chain_signature": f"s{n}",
            }
            for n, status in enumerate(("confirmed", "submitted"), 11)
        ]  # fmt: skip
        add("frames", frames)
        row = {"log_index": 0, "kind": "noted", "actor": "ö", "time": 7, "data": json.dumps(said["data"])}
        add("acts", [row, row | {"log_index": 1, "kind": "other"}, row | {"log_index": 4}])
        leaves = {0: leaf, 1: leaf, 2: b"\x02no act", 3: b"\x03book"}
        add("log_leaves", [{"log_index": index, "data": data} for index, data in leaves.items()])
        add("settlement_acts", [{"key": "book:5", "log_index": 3}, {"key": "x:" + "y" * 150, "log_index": 0}])
    store.close()
    opened = Store.open(url)
    try:
        with opened.read() as session:
            acts = session.execute(select(Act.log_index, Act.kind, Act.data).order_by(Act.log_index)).all()
            kept = session.execute(select(LogLeaf.log_index, LogLeaf.data).order_by(LogLeaf.log_index)).all()
            keys = dict(session.execute(select(SettlementAct.key, SettlementAct.log_index)).all())
            carried = session.execute(select(CarriedFrame.log_index, CarriedFrame.signature)).all()
            made = log.act_leaf("noted", "ö", 7, canonical_json(said["data"]).decode())
    finally:
        opened.close()
    assert acts == [(index, "noted", said["data"]) for index in (0, 1, 4)]
    assert kept == [(2, b"\x02no act"), (3, b"\x03book")]
    assert keys == {act_key("book:5"): 3, act_key("x:" + "y" * 150): 0}
    assert carried == [(12, "s12")]
    assert made == leaf


def test_the_newest_revision_is_alembics_and_files_have_their_revisions_order() -> None:
    """So a start that has nothing to migrate need not load Alembic to know it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    newest_first = [item.revision for item in script.walk_revisions()]
    files = sorted((path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py")), reverse=True)
    assert [name[: len(revision)] for name, revision in zip(files, newest_first, strict=True)] == newest_first
    assert newest_revision() == script.get_current_head()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_store_that_has_nothing_to_migrate_is_opened_without_alembic(store_url: str, tmp_path: Path) -> None:
    url = store_url or f"sqlite:///{tmp_path / 'store.db'}"
    Store.open(url).close()
    code = (
        f"import sys\nfrom authority.store import Store\nStore.open({url!r}).close()\nprint('alembic' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert ran.stdout.split() == ["False"]
