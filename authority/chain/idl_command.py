"""`authority idl`: the programs' IDLs as accounts, for the genesis of an Agave ledger."""

from __future__ import annotations

import argparse
import base64
import json
from pathlib import Path

from authority.chain.errors import ChainError
from authority.chain.published_idls import PublishedIdl, published_idls
from authority.home.home import Home

RENT_EPOCH = (1 << 64) - 1
_ACCOUNT_OVERHEAD = 128
_LAMPORTS_PER_BYTE = 6_960


class IdlDirectoryError(ChainError):
    """The directory for the accounts cannot be written."""

    code = "idl_directory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments, besides --home."""
    parser.add_argument(
        "directory",
        type=Path,
        help="where to write one file for each account; a new ledger takes them with Agave's --account-dir",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the accounts, and say how to use them."""
    authority = Home.open(arguments.home).authority.pubkey()
    try:
        arguments.directory.mkdir(parents=True, exist_ok=True)
        for idl in published_idls(authority):
            (arguments.directory / f"{idl.address}.json").write_text(account_file(idl) + "\n", encoding="utf-8")
    except OSError as error:
        raise IdlDirectoryError(f"{error.filename} cannot be written ({error.strerror}): name another") from error
    print(f"start a new Agave ledger with --account-dir {arguments.directory}")
    return 0


def account_file(idl: PublishedIdl) -> str:
    """An account as `solana account --output json` writes it, rent exempt."""
    account = {
        "lamports": (_ACCOUNT_OVERHEAD + len(idl.data)) * _LAMPORTS_PER_BYTE,
        "data": [base64.b64encode(idl.data).decode(), "base64"],
        "owner": str(idl.owner),
        "executable": False,
        "rentEpoch": RENT_EPOCH,
        "space": len(idl.data),
    }
    return json.dumps({"pubkey": str(idl.address), "account": account}, indent=1)
