"""`authority idl`: the programs' IDLs as accounts, for the genesis of an Agave ledger."""

from __future__ import annotations

import argparse
from pathlib import Path

from authority.chain.account_files import account_file
from authority.chain.errors import ChainError
from authority.chain.published_idls import published_idls
from authority.home.home import Home
from edge_agent.wire.command import DONE, add_json, tell

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
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the accounts, and say how to use them."""
    authority = Home.open(arguments.home).authority.pubkey()
    written = []
    try:
        arguments.directory.mkdir(parents=True, exist_ok=True)
        for idl in published_idls(authority):
            lamports = (_ACCOUNT_OVERHEAD + len(idl.data)) * _LAMPORTS_PER_BYTE  # rent exempt
            text = account_file(idl.address, idl.owner, idl.data, lamports)
            path = arguments.directory / f"{idl.address}.json"
            path.write_text(text, encoding="utf-8")
            written.append(str(path))
    except OSError as error:
        raise IdlDirectoryError(f"{error.filename} cannot be written ({error.strerror}): name another") from error
    tell(arguments, {"files": written}, f"start a new Agave ledger with --account-dir {arguments.directory}")
    return DONE
