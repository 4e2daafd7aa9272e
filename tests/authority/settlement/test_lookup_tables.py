"""Lookup tables on a real validator: made once, filled to the brim, and made again where making them failed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import delete

from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.settlement.lookup_tables import CAPACITY, LookupTables
from authority.store.settlement import LookupEntry, LookupTable


def fresh(count: int) -> list[Pubkey]:
    return [Keypair().pubkey() for _ in range(count)]


def tables_of(campus: Any, url: str | None = None, common: int = 2) -> LookupTables:
    while campus.client.slot("finalized") < 3:  # as many slots as a test makes tables have passed
        time.sleep(0.05)
    client = ChainClient(url or campus.validator.url, attempts=2, sleep=lambda _: None)
    return LookupTables(client, campus.operator, campus.app.store, fresh(common), campus.wall.seconds)


def rows(campus: Any) -> dict[str, set[str]]:
    with campus.app.store.read() as session:
        found: dict[str, set[str]] = {row.address: set() for row in session.query(LookupTable)}
        for entry in session.query(LookupEntry):
            found[entry.table].add(entry.address)
    return found


def on_chain(tables: LookupTables, table: str) -> list[Pubkey]:
    held = tables.client.lookup_table(Pubkey.from_string(table))
    assert held is not None
    return list(held.addresses)


def test_a_table_that_could_not_be_made_is_not_taken_for_one(campus, proxy):
    lost = True

    def judge(request: dict[str, Any]) -> str:
        return "drop" if lost and request["method"] == "sendTransaction" else "pass"

    tables = tables_of(campus, proxy(judge).url)
    group = fresh(3)
    with pytest.raises(ChainError):
        tables.ensure([group])
    lost = False
    tables.ensure([group])
    (table,) = (address for address, entries in rows(campus).items() if entries)
    assert on_chain(tables, table) == [*tables.common, *group]


def test_a_table_whose_making_was_not_confirmed_is_used_once_it_is_there(campus, proxy):
    lost = True

    def judge(request: dict[str, Any]) -> str:
        if lost and request["method"] == "sendTransaction":
            return "swallow"
        return "drop" if lost and request["method"] == "getSignatureStatuses" else "pass"

    tables = tables_of(campus, proxy(judge).url)
    with pytest.raises(ChainError):
        tables.ensure([fresh(3)])
    lost = False
    tables.ensure([fresh(3)])
    assert len(rows(campus)) == 1


def test_tables_that_are_filled_within_one_slot_are_different_ones(campus, monkeypatch):
    tables = tables_of(campus)
    slot = tables.client.slot("finalized")
    monkeypatch.setattr(tables.client, "slot", lambda _: slot)
    groups = [fresh(127) for _ in range(6)]
    tables.ensure(groups)
    assert sorted(len(on_chain(tables, table)) for table in rows(campus)) == [256] * 3


def test_what_an_extension_left_before_it_was_noted_takes_room_too(campus):
    """Killed between extending and noting, with new groups to go first by the time it starts again."""
    tables = tables_of(campus)
    tables.ensure([fresh(100)])
    tables.ensure([fresh(100)])
    (table,) = rows(campus)
    with campus.app.store.write() as session:
        session.execute(delete(LookupEntry))
    again = LookupTables(tables.client, campus.operator, campus.app.store, tables.common, campus.wall.seconds)
    group = fresh(100)
    again.ensure([group])
    assert len(on_chain(again, table)) <= CAPACITY
    (other,) = (address for address, entries in rows(campus).items() if entries)
    assert on_chain(again, other)[-100:] == group
