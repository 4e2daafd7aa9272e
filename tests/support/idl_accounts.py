"""Accounts as the IDLs alone decode them, into dicts by field name: what the typed classes are compared with."""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey

from authority.chain import accounts as typed
from authority.chain.client import ChainClient
from authority.chain.layout import ProgramAccount


def kind_of(name: str) -> type[ProgramAccount]:
    """The class of an account type by its name in the IDL."""
    found: type[ProgramAccount] = getattr(typed, name)
    return found


def account(client: ChainClient, program: str, address: Pubkey) -> dict[str, Any] | None:
    """One account; None where there is none."""
    found = client.raw_account(address)
    if found is None or not found.data:
        return None
    idl = client.idl(program)
    assert found.owner == idl.program_id, f"{address} belongs to {found.owner}, not to {program}"
    fields: dict[str, Any] = idl.decode_account(bytes(found.data))[1]
    return fields


def accounts(client: ChainClient, program: str, name: str) -> list[tuple[Pubkey, dict[str, Any]]]:
    """All accounts of one type."""
    decode = client.idl(program).decode_account
    return [(address, decode(data)[1]) for address, data in client.raw_accounts_of(kind_of(name))]
