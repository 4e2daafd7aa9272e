"""Transactions in the ledger are packed, and come back byte for byte; an earlier release's are read as before."""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.account import Account
from solders.pubkey import Pubkey

from authority.validator.ledger import LEARN_AT, Entry, Ledger
from authority.validator.packing import DICTIONARY_SIZE, Packer, learnt

ADDRESSES = [Pubkey.from_bytes(bytes([number]) * 32) for number in range(1, 6)]


@given(st.binary(max_size=400), st.binary(max_size=400), st.binary(min_size=1, max_size=400))
def test_what_is_packed_comes_back(data, sample, other):
    plain, packer = Packer(), Packer(learnt([sample, data]))
    assert plain.unpack(plain.pack(data)) == data
    assert packer.unpack(packer.pack(data)) == data
    assert packer.pack(data) == packer.pack(data)  # one leaves nothing behind for the next
    assert packer.unpack(plain.pack(data)) == data  # it was packed before there was a dictionary
    assert packer.unpack(b"\1" + other) == b"\1" + other  # a transaction of an earlier release
    assert packer.unpack('{"logs":[]}') == b'{"logs":[]}'


def test_a_packed_value_that_is_cut_short_is_told():
    packed = Packer().pack(bytes(range(200)))
    with pytest.raises(zlib.error):
        Packer().unpack(packed[:-20])


def test_a_dictionary_is_of_samples_that_are_unlike_each_other_and_no_larger_than_deflate_can_use():
    kinds = [sha256(bytes([kind])).hexdigest().encode() * 9 for kind in range(3)]
    found = learnt([*kinds[:1] * 50, kinds[1], *kinds[:1] * 50, kinds[2]])
    assert {
        found[at : at + len(kinds[0])] for at in range(len(found) - 3 * len(kinds[0]), len(found), len(kinds[0]))
    } == {*kinds}
    assert learnt([bytes(range(256)) * 200])[-1:] == b"\xff"
    assert len(learnt([bytes(range(256)) * 200])) == DICTIONARY_SIZE
    assert learnt([]) == b""


def test_what_an_earlier_release_packed_by_all_of_a_long_dictionary_comes_back():
    dictionary = b"".join(sha256(bytes([number])).digest() * 9 for number in range(200))[-DICTIONARY_SIZE:]
    data = dictionary[:300] + b"between" + dictionary[-300:] + bytes(20_000) + dictionary[-300:]
    packer = Packer(dictionary)
    assert packer.unpack(packer.pack(data)) == data
    before = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=dictionary)
    assert packer.unpack(b"\0\1" + before.compress(data) + before.flush()) == data


def entry(number):
    """A transaction much like the others."""
    named = [ADDRESSES[0], ADDRESSES[1 + number % 4]]
    meta = {"logMessages": [f"Program {each} invoke [1]" for each in named], "fee": 5_000 + number}
    content = b"\1" + number.to_bytes(64, "big") + b"".join(map(bytes, named))
    return Entry(number // 10, number, bytes(32), number.to_bytes(64, "big"), content, None, meta, named, ())


def test_a_transaction_is_found_by_each_address_that_it_names_new_or_known(tmp_path):
    first, second, third = ADDRESSES[:3]
    names = [[first], [first, second, second], [third, first], []]
    ledger = Ledger(tmp_path)
    try:
        for number, named in enumerate(names):
            ledger.record(replace(entry(number), mentions=named))
        for address in ADDRESSES[:3]:
            found = [each.status.number for each in ledger.mentions(address, 9, None, None)]
            assert found == [number + 1 for number, named in reversed(list(enumerate(names))) if address in named]
    finally:
        ledger.close()


def told(ledger, count):
    """All that the ledger says of its transactions."""
    landed = [ledger.landed(number.to_bytes(64, "big")) for number in range(count)]
    mentions = [ledger.mentions(address, count, None, None) for address in ADDRESSES]
    return [(each.number, each.slot, each.content, each.meta) for each in landed], mentions


def test_a_ledger_learns_what_its_transactions_have_in_common_and_reads_them_all(tmp_path):
    ledger, count = Ledger(tmp_path), LEARN_AT + 44
    try:
        for number in range(count):
            if number % 20 == 0:
                ledger.group()
            ledger.record(entry(number))
            if number % 20 == 19:
                ledger.commit()
        sizes = [row[0] for row in ledger._connection.execute("SELECT length(meta) FROM landed ORDER BY number")]
        expected = told(ledger, count)
    finally:
        ledger.close()
    assert max(sizes[-20:]) < min(sizes[:LEARN_AT]) / 2
    for number, (_, _, content, meta) in enumerate(expected[0]):
        assert (content, meta) == (entry(number).content, entry(number).meta)
    again = Ledger(tmp_path)
    try:
        assert told(again, count) == expected
    finally:
        again.close()


def test_a_ledger_of_version_1_is_taken_over(tmp_path):
    ledger = Ledger(tmp_path)
    for number in range(30):
        ledger.record(entry(number))
    expected = told(ledger, 30)
    ledger.close()
    earlier = sqlite3.connect(tmp_path / "ledger.db")
    for number, content, meta in earlier.execute("SELECT number, content, meta FROM landed").fetchall():
        plain = Packer()
        values = (plain.unpack(content), plain.unpack(meta).decode(), number)
        earlier.execute("UPDATE landed SET content = ?, meta = ? WHERE number = ?", values)
    earlier.commit()
    earlier.executescript(
        """
        CREATE TABLE old (address BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (address, number)) WITHOUT ROWID;
        INSERT INTO old SELECT address, number FROM mention JOIN named ON named.id = mention.name;
        DROP TABLE mention; DROP TABLE named; ALTER TABLE old RENAME TO mention; PRAGMA user_version = 1;
        """
    )
    earlier.close()
    for _ in range(2):
        taken_over = Ledger(tmp_path)
        try:
            assert told(taken_over, 30) == expected
        finally:
            taken_over.close()


@pytest.mark.parametrize("dropped", [[1], [3, 4, 9], range(1, 31), []])
def test_what_is_dropped_is_gone_and_all_else_stays(tmp_path, dropped):
    ledger, everything = Ledger(tmp_path), [n.to_bytes(64, "big") for n in range(40)]
    for number in range(40):
        ledger.record(entry(number))
    ledger.renew([(ADDRESSES[0], Account(7, b"data", ADDRESSES[1]))])
    numbers, accounts = {ledger.status(signature).number: signature for signature in everything}, [*ledger.accounts()]
    ledger.drop(dropped)
    ledger.close()
    again = Ledger(tmp_path)
    left = {number: signature for number, signature in numbers.items() if number not in dropped}
    assert {n: s for n, s in numbers.items() if again.landed(s) is not None} == left
    assert again.transactions() == len(left)
    for address in ADDRESSES:
        mentioned = {each.status.signature for each in again.mentions(address, 99, None, None)}
        assert mentioned == {s for s in left.values() if address in entry(int.from_bytes(s, "big")).mentions}
    slots = {int.from_bytes(signature, "big") // 10 for signature in left.values()}
    assert {slot for slot in range(4) if again.block_time(slot) is not None} == slots
    assert [*again.accounts()] == accounts
    assert again._connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert again._connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert again.count() == 40
    assert again.first_from_slot(3) == 31
    assert again.first_from_slot(99) == 41
    assert again.record(entry(41)) == 41
    again.close()
