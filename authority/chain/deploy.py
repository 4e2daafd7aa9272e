"""`authority deploy`: bring the five programs on a validator from "they stand there" to "a market can open".

Each step looks at the chain first and does only what is missing, so it can be run again after any interruption, and on
a deployment that is complete it changes nothing. Before the first step it compares the programs on the validator with
the released ones, byte for byte: nothing is initialized on a program that is another.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain.accounts import BOOKS, MAX_ORDERS_PER_SIDE, Config, EpochBook, Market, Order, Registry
from authority.chain.artifacts import PROGRAM_NAMES, program_bytes
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.chain.in_force import parameters_in
from authority.chain.programs import (
    PROGRAM_IDS,
    UPGRADEABLE_LOADER,
    associated_token_address,
    book_at_slot,
    config_address,
    create_associated_token_account,
    credit_mint,
    energy_mint,
    market_address,
    program_data_address,
    registry_address,
)
from authority.home.home import Home
from edge_agent.wire.command import DONE, add_json, print_json, tell

PROGRAM_DATA_HEADER_SIZE = 45
MINIMUM_LAMPORTS = 2_000_000_000
"""What the operator must hold to initialize and to enrol the first users, besides the books' rent: 2 SOL."""
ORDERS_PER_SIDE = 512
"""Bids, and asks, of a book where nothing else is asked for."""
GROWTH_SIZE = 10_240
"""Bytes that one instruction may add to an account."""
GROWTHS_PER_TRANSACTION = 12


Send = Callable[..., None]
"""Sends instructions, and the keypairs that sign them beside the operator, who pays."""


class ProgramMissingError(ChainError):
    """A program does not stand on the validator as an upgradeable one."""

    code = "program_missing"


class ProgramDiffersError(ChainError):
    """A program on the validator is not the released one."""

    code = "program_differs"


class DeploymentDiffersError(ChainError):
    """The chain was initialized for another deployment, or with other parameters that are fixed forever."""

    code = "deployment_differs"


class ParametersDifferError(ChainError):
    """authority.toml's [parameters] are not the chain's."""

    code = "parameters_differ"


class FundsMissingError(ChainError):
    """The operator has not enough lamports for rent and fees."""

    code = "funds_missing"


@dataclass(frozen=True)
class ProgramOnChain:
    """What a validator runs under a program's id: SHA-256 of the ELF, slot of its deployment, upgrade authority."""

    name: str
    sha256: str
    deployed_slot: int
    upgrade_authority: Pubkey | None


@dataclass(frozen=True)
class Deployment:
    """What a deployment is. `parameters` are governance's, by name; `reference_price` is the market's first.

    orders_per_side: how many bids, and how many asks, each of the market's books holds; fixed when the market is made.
    """

    network_id: bytes
    epoch_seconds: int
    parameters: Mapping[str, int]
    reference_price: int
    orders_per_side: int = ORDERS_PER_SIDE

    @classmethod
    def of(cls, home: Home, orders_per_side: int = ORDERS_PER_SIDE) -> Deployment:
        """A home's deployment; the first reference price lies midway between feed-in and retail."""
        parameters = home.settings.parameters
        return cls(
            home.network_id,
            home.settings.epoch.seconds,
            asdict(parameters),
            (parameters.feed_in_price + parameters.retail_price) // 2,
            orders_per_side,
        )


def check_programs(client: ChainClient) -> list[ProgramOnChain]:
    """Compare the five programs with the released ones. ProgramMissingError, ProgramDiffersError."""
    return [check_program(client, name, PROGRAM_IDS[name], program_bytes(name)) for name in PROGRAM_NAMES]


def check_program(client: ChainClient, name: str, program_id: Pubkey, released: bytes) -> ProgramOnChain:
    """Compare one program with its released ELF; zeros after it, which an upgrade can leave, do not count."""
    program, data = client.raw_accounts([program_id, program_data_address(program_id)])
    if program is None or not program.executable:
        raise ProgramMissingError(
            f"{name} ({program_id}) is not on the validator: put it into the genesis with --upgradeable-program, "
            "or start the embedded validator, which does"
        )
    if program.owner != UPGRADEABLE_LOADER or data is None or bytes(data.data[:4]) != b"\x03\0\0\0":
        raise ProgramMissingError(
            f"{name} ({program_id}) is not upgradeable: governance can be initialized by an upgrade authority alone"
        )
    header, elf = bytes(data.data[:PROGRAM_DATA_HEADER_SIZE]), bytes(data.data[PROGRAM_DATA_HEADER_SIZE:])
    if elf[: len(released)] != released or any(elf[len(released) :]):
        found = hashlib.sha256(elf.rstrip(b"\0")).hexdigest()
        raise ProgramDiffersError(
            f"{name} on the validator (SHA-256 {found[:16]}, without trailing zeros) is not the released one "
            f"({hashlib.sha256(released.rstrip(bytes(1))).hexdigest()[:16]}): upgrade it, or for a development ledger "
            "start again from nothing with: authority validator --reset"
        )
    authority = Pubkey.from_bytes(header[13:45]) if header[12] else None
    slot = int.from_bytes(header[4:12], "little")
    return ProgramOnChain(name, hashlib.sha256(released).hexdigest(), slot, authority)


def deploy(
    client: ChainClient,
    deployment: Deployment,
    *,
    authority: Keypair,
    operator: Keypair,
    airdrop: bool = False,
    dry_run: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> list[str]:
    """Do what is missing of: programs checked, governance, registry, tokens, market, books. The names of steps done.

    With dry_run nothing is sent, and the names are those of the steps that are missing.

    `authority` is governance's upgrade authority and becomes the Config's; `operator` signs the rest and pays.
    `airdrop` asks a development validator for the operator's lamports. Raises the errors of this module and of the
    client; run it again after any of them.
    """
    check_programs(client)
    report("the five programs are the released ones")
    if not dry_run:
        _fund(client, operator.pubkey(), book_size(deployment.orders_per_side), airdrop=airdrop)
    done = []

    def send(instructions: Sequence[Instruction], *signers: Keypair) -> None:
        if not dry_run:
            client.send(instructions, signers, payer=operator)

    steps: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("governance", lambda: _governance(client, send, deployment, authority, operator.pubkey())),
        ("registry", lambda: _registry(client, send, operator.pubkey())),
        ("energy_token", lambda: _energy_token(client, send, operator.pubkey())),
        ("fee_account", lambda: _fee_account(client, send, operator.pubkey())),
        ("market", lambda: _market(client, send, deployment, operator.pubkey())),
        ("books", lambda: _books(client, send, deployment, operator.pubkey())),
    )
    for name, step in steps:
        if step():
            done.append(name)
            report(f"{name}: would be initialized" if dry_run else f"{name}: initialized")
        else:
            report(f"{name}: was there already")
    return done


def fee_account_address(operator: Pubkey) -> Pubkey:
    """Where fees, wheeling and rounding go: the operator's associated credit account at the time of deployment."""
    return associated_token_address(operator, credit_mint())


def book_size(orders_per_side: int) -> int:
    """Bytes of a book's account."""
    return EpochBook.size() + 2 * orders_per_side * Order.FORMAT.size


def _fund(client: ChainClient, operator: Pubkey, size: int, *, airdrop: bool) -> None:
    if client.account(Market, market_address()) is None:
        needed = MINIMUM_LAMPORTS + BOOKS * client.rent(size)
    else:
        needed = MINIMUM_LAMPORTS
    if client.balance(operator) >= needed:
        return
    if not airdrop:
        raise FundsMissingError(
            f"the operator {operator} holds less than {needed / 10**9:g} SOL: send it some, "
            "or on a development validator use --airdrop"
        )
    client.airdrop(operator, 100 * needed)


def _governance(client: ChainClient, send: Send, deployment: Deployment, authority: Keypair, operator: Pubkey) -> bool:
    config = client.account(Config, config_address())
    if config is not None:
        _compare(config, deployment)
        return False
    args = {
        "network_id": deployment.network_id,
        "epoch_seconds": deployment.epoch_seconds,
        "operator": operator,
        "parameters": dict(deployment.parameters),
    }
    accounts = {"payer": operator, "authority": authority.pubkey()}
    initialize = client.instruction("governance", "initialize", {"args": args}, accounts)
    send([initialize], authority)
    return True


def _compare(config: Config, deployment: Deployment) -> None:
    """What is fixed forever must be the same; authority, operator and parameters may have changed since."""
    for name, found, wanted in (
        ("network id", config.network_id.hex(), deployment.network_id.hex()),
        ("epoch length", f"{config.epoch_seconds} s", f"{deployment.epoch_seconds} s"),
    ):
        if found != wanted:
            raise DeploymentDiffersError(
                f"the chain was initialized with the {name} {found}, this home has {wanted}: "
                "use the home that belongs to this chain, or another validator"
            )


def _registry(client: ChainClient, send: Send, operator: Pubkey) -> bool:
    if client.account(Registry, registry_address()) is not None:
        return False
    initialize = client.instruction("registry", "initialize", {}, {"operator": operator})
    send([initialize])
    return True


def _energy_token(client: ChainClient, send: Send, operator: Pubkey) -> bool:
    if client.token_supply(energy_mint()) is not None and client.token_supply(credit_mint()) is not None:
        return False
    initialize = client.instruction("energy_token", "initialize", {}, {"operator": operator})
    send([initialize])
    return True


def _fee_account(client: ChainClient, send: Send, operator: Pubkey) -> bool:
    if client.token_balance(fee_account_address(operator)) is not None:
        return False
    create = create_associated_token_account(operator, operator, credit_mint())
    send([create])
    return True


def _market(client: ChainClient, send: Send, deployment: Deployment, operator: Pubkey) -> bool:
    if client.account(Market, market_address()) is not None:
        return False
    accounts = {"operator": operator, "fee_account": fee_account_address(operator)}
    args = {"reference_price": deployment.reference_price, "orders_per_side": deployment.orders_per_side}
    initialize = client.instruction("trading", "initialize_market", args, accounts)
    send([initialize])
    return True


def _books(client: ChainClient, send: Send, deployment: Deployment, operator: Pubkey) -> bool:
    """Make the ring of books, as far as it is not made: each step of a book adds what one instruction may."""
    market = client.account(Market, market_address())
    size = book_size(market.orders_per_side if market else deployment.orders_per_side)
    addresses = [book_at_slot(slot) for slot in range(BOOKS)]
    growths = []
    for slot, account in enumerate(client.raw_accounts(addresses)):
        missing = size - (0 if account is None else len(account.data))
        accounts = {"payer": operator, "book": addresses[slot]}
        growths += [client.instruction("trading", "grow_book", {"slot": slot}, accounts)] * -(-missing // GROWTH_SIZE)
    for start in range(0, len(growths), GROWTHS_PER_TRANSACTION):
        send(growths[start : start + GROWTHS_PER_TRANSACTION])
    return bool(growths)


# The command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments, besides --home."""
    parser.add_argument("--url", help="the validator (default: the home's [validator] url)")
    parser.add_argument(
        "--airdrop", action="store_true", help="take the operator's lamports from a faucet (development)"
    )
    parser.add_argument(
        "--orders-per-side",
        type=int,
        default=ORDERS_PER_SIDE,
        metavar="N",
        help=f"bids, and asks, that a book holds, forever: 1 to {MAX_ORDERS_PER_SIDE} (default: %(default)s)",
    )
    parser.add_argument("--check", action="store_true", help="only compare the programs with the released ones")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Deploy a home to its validator; says each step on standard output."""
    home, as_json, dry_run = Home.open(arguments.home), arguments.json, arguments.dry_run
    client = ChainClient(arguments.url or home.rpc_url)
    if arguments.check:
        programs = check_programs(client)
        lines = [
            f"{each.name}: {each.sha256}, deployed in slot {each.deployed_slot}, "
            f"upgrade authority {each.upgrade_authority or 'none'}"
            for each in programs
        ]
        found = [{**asdict(each), "upgrade_authority": str(each.upgrade_authority or "") or None} for each in programs]
        tell(arguments, found, "\n".join(lines))
        return DONE
    done = deploy(
        client,
        Deployment.of(home, arguments.orders_per_side),
        authority=home.authority,
        operator=home.operator,
        airdrop=arguments.airdrop,
        dry_run=dry_run,
        report=(lambda step: None) if as_json else print,
    )
    if as_json:
        print_json({"url": client.url, "steps": done, "dry_run": dry_run, "changed": bool(done) and not dry_run})
    elif not dry_run:
        print(f"deployed on {client.url}" if done else f"nothing to do on {client.url}", file=sys.stderr)
    if not (dry_run and done):
        _require_same_parameters(client, home)
    return DONE


def _require_same_parameters(client: ChainClient, home: Home) -> None:
    """ParametersDifferError where authority.toml's [parameters] do not act, since the chain has others."""
    config = client.account(Config, config_address())
    assert config is not None  # noqa: S101 - it was deployed just now
    epoch = int(client.clock().unix_timestamp) // config.epoch_seconds
    held = parameters_in(config, epoch)
    differ = [
        f"{name} is {getattr(held, name)} on the chain and {value} in the file"
        for name, value in asdict(home.settings.parameters).items()
        if getattr(held, name) != value
    ]
    if differ:
        raise ParametersDifferError(
            f"authority.toml's [parameters] do not act: {', '.join(differ)}. To change the chain: authority parameters "
            "stage; to write the chain's values into the file: authority parameters adopt"
        )
