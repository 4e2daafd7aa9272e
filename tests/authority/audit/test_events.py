"""Readings and spans are read at one stroke as the IDL decodes them, and by the IDL where it has them otherwise."""

from __future__ import annotations

import copy
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from authority.audit.events import READING_ACCEPTED, SURPLUS_SETTLED, Accepted, Events, Settled
from authority.audit.history import Landed
from authority.chain.artifacts import PROGRAM_NAMES, idl_path
from authority.chain.idl import Idl, IdlDataError

DOCUMENT: dict[str, Any] = json.loads(idl_path("oracle").read_bytes())
IDLS = {name: Idl.load(name) for name in PROGRAM_NAMES}
U64, I64, U32, U16 = (
    st.integers(0, (1 << 64) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 16) - 1),
)
ADDRESS = st.binary(min_size=32, max_size=32)
KINDS = 3


def discriminator(name: str) -> bytes:
    return bytes(next(each["discriminator"] for each in DOCUMENT["events"] if each["name"] == name))


def one(data: bytes, idls: Any = IDLS) -> tuple[str, Any]:
    """The only event of a transaction."""
    (found,) = Events(idls).of(Landed(0, bytes(64), (("oracle", data),)))
    return found


def reordered(name: str) -> dict[str, Idl]:
    """IDLs in which the last field of an event stands first."""
    document = copy.deepcopy(DOCUMENT)
    fields = next(each for each in document["types"] if each["name"] == name)["type"]["fields"]
    fields.insert(0, fields.pop())
    return {**IDLS, "oracle": Idl(document)}


@given(ADDRESS, I64, st.tuples(U64, U64, U64, U64), U32, U16, U16)
def test_a_reading_is_what_the_idl_says(
    meter: bytes, end: int, registers: tuple[int, ...], sequence: int, flags: int, baseline: int
) -> None:
    fields = struct.pack("<32sq4QIH", meter, end, *registers, sequence, flags)
    last = struct.pack("<H", baseline)
    expected = READING_ACCEPTED, Accepted(Pubkey(meter), end, registers, sequence, flags)
    head = discriminator(READING_ACCEPTED)
    assert one(head + fields + last) == expected
    decoded = IDLS["oracle"].decode_event(head + fields + last)
    assert decoded is not None
    assert [decoded.data[name] for name in ("meter", "interval_end", "sequence", "flags")] == [
        Pubkey(meter), end, sequence, flags,
    ]  # fmt: skip
    assert tuple(decoded.data["registers"]) == registers
    assert one(head + last + fields, reordered(READING_ACCEPTED)) == expected


@given(ADDRESS, st.tuples(I64, I64), st.tuples(*[U64] * 7), U32, st.integers(0, KINDS - 1))
def test_a_span_is_what_the_idl_says(
    wallet: bytes, times: tuple[int, int], energies: tuple[int, ...], period: int, kind: int
) -> None:
    fields = struct.pack("<32sqq7QIB", wallet, *times, *energies, period, kind)
    expected = SURPLUS_SETTLED, Settled(Pubkey(wallet), *times, *energies, period, kind)
    head = discriminator(SURPLUS_SETTLED)
    assert one(head + fields + bytes(3)) == expected
    decoded = IDLS["oracle"].decode_event(head + fields + bytes(3))
    assert decoded is not None
    assert tuple(decoded.data.values())[:-1] == tuple(expected[1])
    assert one(head + bytes(3) + fields, reordered(SURPLUS_SETTLED)) == expected


@pytest.mark.parametrize("damage", ["short", "long", "kind"])
def test_a_damaged_span_is_refused_as_the_idl_refuses_it(damage: str) -> None:
    whole = discriminator(SURPLUS_SETTLED) + struct.pack("<32sqq7QIB3x", bytes(32), *[1] * 10, 0)
    wrong = {"short": whole[:-1], "long": whole + b"\0", "kind": whole[:-4] + bytes([KINDS]) + whole[-3:]}[damage]
    assert one(whole)[0] == SURPLUS_SETTLED
    with pytest.raises(IdlDataError):
        one(wrong)
