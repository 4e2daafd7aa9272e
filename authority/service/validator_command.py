"""`authority validator`: run the embedded validator on a home's ledger."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from solders.pubkey import Pubkey

from authority import heap
from authority.chain.artifacts import PROGRAM_NAMES, program_bytes
from authority.chain.idl import Idl
from authority.chain.published_idls import published_idls
from authority.errors import AuthorityError
from authority.home.clock import clock_of
from authority.home.home import Home
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis, GenesisDescription, GenesisProgram
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.pubsub import PubSubServer
from authority.validator.server import RpcServer

STARTING_LAMPORTS = 1_000_000 * 1_000_000_000
"""What the authority's and the operator's keys hold at the first slot: a million SOL each."""
FREE_PORT_ATTEMPTS = 32
"""How often to look for two free ports in a row."""


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
        "--rpc-port",
        type=int,
        help="port to listen on, and the next one for subscriptions; 0 takes two free ones (default: the home's, 8899)",
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
        bank = Bank(ledger, home_genesis(home, arguments.upgradeable_program), wall=clock_of(home.path))
        host = arguments.rpc_host or home.settings.validator.host
        port = home.settings.validator.port if arguments.rpc_port is None else arguments.rpc_port
        settings = home.settings.validator
        airdrops = settings.airdrop if arguments.airdrop is None else arguments.airdrop
        browsers = settings.browsers if arguments.browsers is None else arguments.browsers
        rpc, pubsub = _listen(bank, host, port, airdrops=airdrops, browsers=browsers)
        _serve(rpc, pubsub, f"{bank.hashes.genesis_hash()}, ledger {ledger.path}")
    finally:
        ledger.close()
    return 0


def home_genesis(home: Home, more_programs: list[list[str]] | None = None) -> Genesis:
    """A home's genesis: the released programs and their IDLs, upgradeable by its authority; the keys funded."""
    authority = home.authority.pubkey()
    programs = [GenesisProgram(Idl.load(name).program_id, program_bytes(name), authority) for name in PROGRAM_NAMES]
    for text, path in more_programs or []:
        try:
            programs.append(GenesisProgram.from_file(Pubkey.from_string(text), Path(path), authority))
        except (ValueError, OSError) as error:
            raise ProgramArgumentError(f"--upgradeable-program {text} {path}: {error}") from error
    balances = {authority: STARTING_LAMPORTS, home.operator.pubkey(): STARTING_LAMPORTS}
    descriptions = (
        GenesisDescription(idl.program, idl.address, idl.owner, idl.data) for idl in published_idls(authority)
    )
    return Genesis(tuple(programs), balances, tuple(descriptions))


def _listen(bank: Bank, host: str, port: int, *, airdrops: bool, browsers: bool) -> tuple[RpcServer, PubSubServer]:
    """The two doors, on a port and the next; a free pair for port 0. AddressInUseError."""
    for attempt in range(FREE_PORT_ATTEMPTS, 0, -1):
        methods = Methods(bank, airdrops=airdrops)
        taken = port
        try:
            rpc = RpcServer((host, port), methods, browsers=browsers)
            taken = rpc.server_address[1] + 1
            try:
                pubsub = PubSubServer((host, taken), bank, browsers=browsers)
            except (OSError, OverflowError):
                rpc.server_close()
                raise
        except (OSError, OverflowError) as error:
            if port == 0 and attempt > 1:
                continue
            what = error.strerror if isinstance(error, OSError) else "there is no such port"
            raise AddressInUseError(
                f"cannot listen on {host}:{taken} ({what}): stop what does, or use --rpc-port; "
                "subscriptions are served at the port after the RPC's",
            ) from error
        methods.tell_addresses(f"{host}:{taken - 1}", f"{host}:{taken}")
        return rpc, pubsub
    raise AssertionError("the last attempt returns or raises")


def _serve(rpc: RpcServer, pubsub: PubSubServer, what: str) -> None:
    def stop(*_: object) -> None:
        threading.Thread(target=rpc.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with rpc:
        pubsub.start()
        print(f"validator ready: {rpc.url}, genesis {what}", flush=True)
        heap.settle()
        rpc.serve_forever(poll_interval=0.2)
        pubsub.stop()
    print("validator stopped", file=sys.stderr)
