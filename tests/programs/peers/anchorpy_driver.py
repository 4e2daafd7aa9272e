"""Drives the programs through anchorpy 0.21.0, with the IDLs that it finds on the chain; run by a Python that has it.

    python anchorpy_driver.py URL AUTHORITY_KEYPAIR NAME=PROGRAM_ID...

Prints JSON: the IDLs as they were found; every account of every type of every program as anchorpy decodes it; then what
governance.set_paused with the authority's key, sent through anchorpy, came to: its signature and the Config's pause
bits, and the error of one that the program refuses.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from anchorpy import Context, Program, Provider, Wallet
from anchorpy.error import ProgramError
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.types import TxOpts
from solders.keypair import Keypair
from solders.pubkey import Pubkey

PAUSED = 0b10
UNKNOWN_BITS = 1 << 15


def plain(value: Any) -> Any:
    """A decoded value in JSON: public keys as text, bytes as numbers, a variant of an enum as its number."""
    if isinstance(value, Pubkey):
        return str(value)
    if isinstance(value, bytes | bytearray | list | tuple):
        return [plain(item) for item in value]
    if type(value).__module__ == "sumtypes":
        return value.index
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if not name.startswith("_")}
    return value


async def accounts(program: Program) -> dict[str, dict[str, Any]]:
    """A program's accounts by type and address."""
    return {
        name: {str(found.public_key): plain(found.account) for found in await client.all()}
        for name, client in program.account.items()
    }


async def set_paused(governance: Program, authority: Keypair) -> dict[str, Any]:
    """Pause readings, see it in the Config, and ask for bits that governance does not know."""
    config = Pubkey.find_program_address([b"config"], governance.program_id)[0]
    context = Context(accounts={"authority": authority.pubkey(), "config": config})
    signature = await governance.rpc["set_paused"](PAUSED, ctx=context)
    await governance.provider.connection.confirm_transaction(signature, Confirmed)
    fetched = await governance.account["Config"].fetch(config, Confirmed)
    try:
        await governance.rpc["set_paused"](UNKNOWN_BITS, ctx=context)
    except ProgramError as error:
        refusal: dict[str, Any] | None = {"code": error.code, "message": error.msg}
    else:
        refusal = None
    return {"signature": str(signature), "pause": fetched.pause, "refusal": refusal}


async def main() -> None:
    url, keypair, *named = sys.argv[1:]
    authority = Keypair.from_json(Path(keypair).read_text())
    connection = AsyncClient(url, Confirmed)
    provider = Provider(connection, Wallet(authority), TxOpts(preflight_commitment=Confirmed))
    addresses = {name: Pubkey.from_string(text) for name, text in (item.split("=") for item in named)}
    programs = {name: await Program.at(address, provider) for name, address in addresses.items()}
    answer = {
        "idls": {
            name: json.loads(await Program.fetch_raw_idl(address, provider)) for name, address in addresses.items()
        },
        "accounts": {name: await accounts(program) for name, program in programs.items()},
        "set_paused": await set_paused(programs["governance"], authority),
    }
    await connection.close()
    print(json.dumps(answer))


if __name__ == "__main__":
    asyncio.run(main())
