"""The typed accounts are what the IDLs say: committed text, sizes, and every field."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest
from scripts import loaded
from solders.pubkey import Pubkey

from authority.chain import accounts
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.idl import Idl
from authority.chain.layout import DISCRIMINATOR_SIZE, Fields, LayoutError, ProgramAccount

GENERATOR = Path(__file__).resolve().parents[3] / "programs" / "toolchain" / "accounts_module.py"
KINDS = [(program, name) for program in PROGRAM_NAMES for name in Idl.load(program).account_names]


def generator() -> Any:
    """programs/toolchain/accounts_module.py, which is not a package."""
    return loaded("programs/toolchain/accounts_module.py")


def kind_of(name: str) -> type[ProgramAccount]:
    found: type[ProgramAccount] = getattr(accounts, name)
    return found


def plain(value: object) -> object:
    """A typed value in the shape in which the IDL's decoder gives it."""
    if isinstance(value, Fields):
        return {name: plain(getattr(value, name)) for name in value.__slots__}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def without_room(value: object) -> object:
    """The IDL decoder's value without padding and room to grow."""
    if isinstance(value, dict):
        return {key: without_room(item) for key, item in value.items() if not generator_module.is_room(key)}
    return [without_room(item) for item in value] if isinstance(value, list) else value


def fields_of(program: str, name: str) -> bytes:
    """Any bytes for an account's fields, but 1 for a code, which every enum has."""
    types = generator_module.Program(program, generator_module.read_idls(generator_module.ARTIFACTS)[program])
    data = hashlib.shake_256(name.encode()).digest(kind_of(name).FORMAT.size)
    at = 0
    for field in types.fields(name):
        if isinstance(getattr(accounts, field.annotation, None), type) and field.format == "B":
            data = data[:at] + b"\1" + data[at + 1 :]
        at += struct.calcsize("<" + field.format)
    return data


generator_module = generator()


def test_the_committed_module_is_what_the_idls_give() -> None:
    wanted = generator_module.render(generator_module.read_idls(generator_module.ARTIFACTS))
    assert generator_module.MODULE.read_text(encoding="utf-8") == wanted


@pytest.mark.parametrize(("program", "name"), KINDS)
def test_every_field_is_read_as_the_idl_reads_it(program: str, name: str) -> None:
    kind = kind_of(name)
    idl = Idl.load(program)
    data = kind.DISCRIMINATOR + fields_of(program, name)
    assert idl.account_discriminator(name) == kind.DISCRIMINATOR
    assert kind.size() == DISCRIMINATOR_SIZE + kind.FORMAT.size
    assert idl.encode_account(name, idl.decode_account(data)[1]) == data  # nothing is left over: the size is the IDL's
    typed = kind.from_account(data + b"behind")
    assert plain(typed) == without_room(idl.decode_account(data)[1])


def test_what_is_another_account_or_cut_short_is_refused() -> None:
    data = accounts.Market.DISCRIMINATOR + bytes(accounts.Market.FORMAT.size)
    assert accounts.Market.from_account(data).fee_account == Pubkey.default()
    with pytest.raises(LayoutError, match="not a Config of governance"):
        accounts.Config.from_account(data)
    with pytest.raises(LayoutError, match=f"these are {len(data) - 1}"):
        accounts.Market.from_account(data[:-1])
    with pytest.raises(LayoutError, match="end at"):
        accounts.Order.array(bytes(20), 0, 2)


def test_a_code_that_means_nothing_is_refused() -> None:
    data = bytearray(accounts.EpochBook.DISCRIMINATOR + bytes(accounts.EpochBook.FORMAT.size))
    assert accounts.EpochBook.from_account(bytes(data)).status is accounts.BookStatus.GROWING
    data[DISCRIMINATOR_SIZE + 2] = 6
    with pytest.raises(LayoutError, match="6 is not a BookStatus: expected one of 0, 1, 2, 3, 4, 5"):
        accounts.EpochBook.from_account(bytes(data))
    user = accounts.User.DISCRIMINATOR + bytes(accounts.User.FORMAT.size)
    with pytest.raises(LayoutError, match="0 is not a Status: expected one of 1, 2, 3"):
        accounts.User.from_account(user)


def test_constants_are_those_of_the_sources() -> None:
    for crate, name in generator_module.CONSTANTS:
        assert getattr(accounts, name) == generator_module.constant(crate, name)[1]
    with pytest.raises(generator_module.LayoutError, match="no public integer"):
        generator_module.constant("trading", "NO_SUCH_THING")
