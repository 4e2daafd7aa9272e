"""`authority validator`: run the embedded validator on a home's ledger."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from solders.pubkey import Pubkey

from authority.chain.artifacts import PROGRAM_NAMES, program_bytes
from authority.chain.idl import Idl
from authority.errors import AuthorityError
from authority.home.home import Home
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis, GenesisProgram
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.server import RpcServer

STARTING_LAMPORTS = 1_000_000 * 1_000_000_000
"""What the authority's and the operator's keys hold at the first slot: a million SOL each."""


class ValidatorError(AuthorityError):
    """The embedded validator cannot be started so."""


class AddressInUseError(ValidatorError):
    """The validator's address is taken."""

    code = "address_in_use"


class ProgramArgumentError(ValidatorError):
    """--program takes an address and a file."""

    code = "program_argument"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments, besides --home."""
    parser.add_argument("--rpc-host", help="address to listen on (default: the home's [validator] host, 127.0.0.1)")
    parser.add_argument(
        "--rpc-port", type=int, help="port to listen on; 0 takes a free one (default: the home's, 8899)"
    )
    parser.add_argument("--reset", action="store_true", help="throw the ledger away and start a new one")
    parser.add_argument(
        "--airdrop",
        action=argparse.BooleanOptionalAction,
        help="answer requestAirdrop (default: the home's [validator] airdrop, no)",
    )
    parser.add_argument(
        "--browsers",
        action=argparse.BooleanOptionalAction,
        help="answer scripts of web pages, such as an explorer's (default: the home's [validator] browsers, no)",
    )
    parser.add_argument(
        "--upgradeable-program",
        nargs=2,
        action="append",
        default=[],
        metavar=("ID", "FILE"),
        help="a further program for a new ledger, with the home's authority as its upgrade authority",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Prints one line to standard output when it answers."""
    home = Home.open(arguments.home, "validator")
    directory = home.validator_directory
    ledger = Ledger(directory, reset=arguments.reset)
    try:
        bank = Bank(ledger, home_genesis(home, arguments.upgradeable_program))
        host = arguments.rpc_host or home.settings.validator.host
        port = home.settings.validator.port if arguments.rpc_port is None else arguments.rpc_port
        settings = home.settings.validator
        airdrops = settings.airdrop if arguments.airdrop is None else arguments.airdrop
        browsers = settings.browsers if arguments.browsers is None else arguments.browsers
        methods = Methods(bank, airdrops=airdrops, rpc_address=f"{host}:{port}")
        try:
            server = RpcServer((host, port), methods, browsers=browsers)
        except OSError as error:
            raise AddressInUseError(
                f"cannot listen on {host}:{port} ({error.strerror}): stop what does, or use --rpc-port",
            ) from error
        _serve(server, f"{bank.hashes.genesis_hash()}, ledger {ledger.path}")
    finally:
        ledger.close()
    return 0


def home_genesis(home: Home, more_programs: list[list[str]] | None = None) -> Genesis:
    """A home's genesis: the released programs, upgradeable by its authority; authority and operator funded."""
    authority = home.authority.pubkey()
    programs = [GenesisProgram(Idl.load(name).program_id, program_bytes(name), authority) for name in PROGRAM_NAMES]
    for text, path in more_programs or []:
        try:
            programs.append(GenesisProgram.from_file(Pubkey.from_string(text), Path(path), authority))
        except (ValueError, OSError) as error:
            raise ProgramArgumentError(f"--upgradeable-program {text} {path}: {error}") from error
    balances = {authority: STARTING_LAMPORTS, home.operator.pubkey(): STARTING_LAMPORTS}
    return Genesis(tuple(programs), balances)


def _serve(server: RpcServer, what: str) -> None:
    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with server:
        print(f"validator ready: {server.url}, genesis {what}", flush=True)
        server.serve_forever(poll_interval=0.2)
    print("validator stopped", file=sys.stderr)
