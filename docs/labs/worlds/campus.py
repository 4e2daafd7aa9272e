"""A whole campus in LiteSVM: the real programs, upgradeable, initialized by their own instructions; users and meters.

Everything happens as it does in service: the Ed25519 precompile verifies, transactions are signed, the clock is set by
the test. Keys come from names, so addresses, bumps and compute units are the same in every run.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.clock import Clock
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES, artifacts_directory, program_bytes
from authority.chain.idl import Event, Idl
from edge_agent.wire.reading import POSSESSION_MAGIC, ROLES, SOURCES, ZERO_HASH, Frame, Record

EPOCH_SECONDS = 900
START = 1_782_000_000
"""The time at which a campus is made: 2026-06-21, the start of epoch 1,980,000."""
WALLET_DELAY_EPOCHS = 96
NETWORK_ID = bytes.fromhex("c0ffee0123456789")
TRANSACTION_SIZE = 1232
SEATS_HEAD, SEAT_SIZE = 72, 40
"""Of trading's Seats: bytes before the first seat, and of each."""

CONSUMER, PROSUMER, INSTITUTION = range(3)
ACTIVE, SUSPENDED, CLOSED = 1, 2, 3
KINDS = ("load", "solar", "wind", "hydro", "other", "storage", "grid", "mixed")
PAUSE_REGISTRATION, PAUSE_READINGS, PAUSE_SETTLEMENT, PAUSE_ORDERS, PAUSE_CLEARING, PAUSE_CREDIT, PAUSE_RETIREMENT = (
    1 << bit for bit in range(7)
)

PARAMETERS = {
    "grace_seconds": 60,
    "clock_skew_seconds": 10,
    "feed_in_price": 50_000,
    "retail_price": 300_000,
    "wheeling": 20_000,
    "min_order_wh": 10,
    "max_order_wh": 1_000_000,
    "cancel_cutoff_seconds": 60,
    "min_reference_volume_wh": 1_000,
    "billing_period_epochs": 2_880,
    "netting_epochs": 4,
    "nameplate_tolerance_bps": 1_000,
    "storage_efficiency_bps": 9_000,
    "fee_bps": 50,
    "max_orders_per_member": 8,
}


ANCHORS_LINE = re.compile(
    r"^Program log: AnchorError occurred\. Error Code: (.*)\. Error Number: (\d*)\. Error Message: (.*)\.$"
)
"""What Anchor's clients look for in the logs: the error's name, its code, its message."""


class Refusal(Exception):  # noqa: N818 - what a program answers, not a fault of the test
    """A transaction that failed; `name` and `code`: the program's own error, if any; `told`: what the logs say."""

    def __init__(self, failure: FailedTransactionMetadata, name: str, code: int | None) -> None:
        super().__init__(f"{name} ({code}): {failure.err()}\n" + "\n".join(failure.meta().logs()))
        self.name = name
        self.code = code
        self.error = failure.err()
        self.told = {match.groups() for line in failure.meta().logs() if (match := ANCHORS_LINE.match(line))}


@cache
def idl(program: str) -> Idl:
    """The IDL of one of the programs."""
    return Idl.load(program)


@cache
def key(name: str) -> Keypair:
    """A keypair that is the same in every run."""
    return Keypair.from_seed(hashlib.sha256(name.encode()).digest())


def readonly(address: Pubkey) -> AccountMeta:
    """An account that an instruction reads."""
    return AccountMeta(address, is_signer=False, is_writable=False)


def writable(address: Pubkey) -> AccountMeta:
    """An account that an instruction writes."""
    return AccountMeta(address, is_signer=False, is_writable=True)


def unsigned(instruction: Instruction, address: Pubkey) -> Instruction:
    """The instruction without that account's signature."""
    metas = [
        AccountMeta(meta.pubkey, meta.is_signer and meta.pubkey != address, meta.is_writable)
        for meta in instruction.accounts
    ]
    return Instruction(instruction.program_id, bytes(instruction.data), metas)


def relayed(relay: Pubkey, instruction: Instruction) -> Instruction:
    """The instruction, called by the relay program in place of the transaction."""
    metas = [AccountMeta(instruction.program_id, False, False), *instruction.accounts]
    return Instruction(relay, bytes(instruction.data), metas)


@dataclass
class Outcome:
    """A transaction that succeeded."""

    meta: TransactionMetadata
    events: list[Event]
    size: int

    @property
    def compute_units(self) -> int:
        """What the transaction used."""
        return self.meta.compute_units_consumed()

    def event(self, name: str) -> dict[str, Any]:
        """The fields of the one event of that name."""
        found = [event.data for event in self.events if event.name == name]
        assert len(found) == 1, f"{len(found)} events {name} among {[event.name for event in self.events]}"
        return found[0]


@dataclass
class Member:
    """A registered user."""

    wallet: Keypair

    @property
    def address(self) -> Pubkey:
        return self.wallet.pubkey()

    @property
    def user(self) -> Pubkey:
        return programs.user_address(self.address)

    @property
    def energy_account(self) -> Pubkey:
        return programs.energy_account_address(self.address)

    @property
    def energy_tokens(self) -> Pubkey:
        return programs.associated_token_address(self.address, programs.energy_mint())

    @property
    def credit_tokens(self) -> Pubkey:
        return programs.associated_token_address(self.address, programs.credit_mint())


@dataclass
class SimulatedMeter:
    """A meter that measures what the test says and signs as a gateway does."""

    key: Keypair
    meter_id: bytes
    role: str
    source: int
    sequence: int = 0
    registers: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    previous_hash: bytes = ZERO_HASH
    network_id: bytes = NETWORK_ID
    map_hash: bytes = bytes(32)
    register_epoch: int = 0

    @property
    def meter(self) -> Pubkey:
        return programs.meter_address(self.meter_id)

    @property
    def state(self) -> Pubkey:
        return programs.meter_state_address(self.meter_id)

    @property
    def pair(self) -> list[AccountMeta]:
        """What submit_readings and settle_surplus take of a meter."""
        return [readonly(self.meter), writable(self.state)]

    def possession(self, first_sequence: int = 1, *, key: Keypair | None = None) -> Instruction:
        """Proof of possession of the key: the Ed25519 instruction over AMK1."""
        message = possession_message(first_sequence, self.network_id, self.meter_id, self.map_hash)
        signer = key or self.key
        return programs.ed25519_instruction([(message, bytes(signer.pubkey()), bytes(signer.sign_message(message)))])

    def record(self, interval_end: int, **changes: Any) -> Record:
        """The record after the last, at the meter's registers; `changes` replace its fields."""
        fields: dict[str, Any] = {
            "sequence": self.sequence + 1,
            "network_id": self.network_id,
            "interval_end": interval_end,
            "generation": self.registers[0],
            "consumption": self.registers[1],
            "charge": self.registers[2],
            "discharge": self.registers[3],
            "interval_seconds": EPOCH_SECONDS,
            "source": self.source,
            "register_epoch": self.register_epoch,
            "previous_hash": self.previous_hash,
        }
        return Record(**(fields | changes))

    def sign(self, record: Record) -> Frame:
        """A frame of that record."""
        data = record.to_bytes()
        return Frame(data, bytes(self.key.pubkey()), bytes(self.key.sign_message(data)))

    def read(self, interval_end: int, *steps: int, **changes: Any) -> Frame:
        """Let the registers rise (generation, consumption, charge, discharge) and sign; the meter moves on."""
        self.registers = [before + step for before, step in zip(self.registers, (*steps, 0, 0, 0, 0), strict=False)]
        record = self.record(interval_end, **changes)
        self.sequence, self.register_epoch = record.sequence, record.register_epoch
        self.previous_hash = hashlib.sha256(record.to_bytes()).digest()[:16]
        return self.sign(record)


def approve_instruction(member: Member, account: Pubkey, amount: int) -> Instruction:
    """SPL Token's Approve by the member: the market may move so much out of one of its accounts, for its delegate."""
    metas = [writable(account), readonly(programs.market_address()), AccountMeta(member.address, True, False)]
    return Instruction(programs.TOKEN_PROGRAM, struct.pack("<BQ", 4, amount), metas)


def possession_message(first_sequence: int, network_id: bytes, meter_id: bytes, map_hash: bytes) -> bytes:
    """AMK1: what a meter's new key signs (docs/PROTOCOL.md)."""
    return struct.pack("<4sI8s32s32s", POSSESSION_MAGIC, first_sequence, network_id, meter_id, map_hash)


class Campus:
    """The programs in LiteSVM, with the instructions that tests need."""

    def __init__(self, *, initialize: bool = True, parameters: Mapping[str, int] | None = None) -> None:
        self.svm = LiteSVM()
        self.authority, self.operator = key("authority"), key("operator")
        self.parameters = {**PARAMETERS, **(parameters or {})}
        self.meters: dict[bytes, SimulatedMeter] = {}
        self.installations = 0
        self.fee_account = programs.SYSTEM_PROGRAM
        for keypair in (self.authority, self.operator):
            self.svm.airdrop(keypair.pubkey(), 10**13)
        for name in PROGRAM_NAMES:
            self.deploy(name)
        self.set_time(START)
        if initialize:
            self.initialize()

    # The validator

    def deploy(self, name: str, authority: Pubkey | None = None) -> None:
        """Put a program in place as upgradeable by the authority."""
        program = programs.PROGRAM_IDS[name]
        data_address = programs.program_data_address(program)
        header = struct.pack("<IQB32s", 3, 0, 1, bytes(authority or self.authority.pubkey()))
        for address, data, executable in (
            (data_address, header + program_bytes(name), False),
            (program, struct.pack("<I32s", 2, bytes(data_address)), True),
        ):
            self.put(address, data, programs.UPGRADEABLE_LOADER, executable=executable)

    def add_relay(self) -> Pubkey:
        """A program that calls another with what it was given; its id."""
        relay = key("relay program").pubkey()
        self.svm.add_program_from_file(relay, artifacts_directory() / "testing" / "relay.so")
        return relay

    def put(self, address: Pubkey, data: bytes, owner: Pubkey, *, executable: bool = False) -> None:
        """Place an account, rent-exempt."""
        rent = self.svm.minimum_balance_for_rent_exemption(len(data))
        self.svm.set_account(address, Account(rent, data, owner, executable))

    def set_time(self, time: int) -> None:
        """Set the cluster's clock."""
        clock = self.svm.get_clock()
        self.svm.set_clock(Clock(clock.slot + 1, time, clock.epoch, clock.leader_schedule_epoch, time))

    @property
    def time(self) -> int:
        return self.svm.get_clock().unix_timestamp

    def boundary(self, n: int) -> int:
        """The n-th epoch boundary after the start."""
        return START + n * EPOCH_SECONDS

    def instruction(
        self,
        program: str,
        name: str,
        args: Mapping[str, Any] | None = None,
        accounts: Mapping[str, Pubkey | None] | None = None,
        remaining: Sequence[AccountMeta] = (),
    ) -> Instruction:
        """An instruction, by the program's IDL."""
        return idl(program).instruction(name).build(args or {}, dict(accounts or {}), remaining)

    def send(
        self,
        *instructions: Instruction,
        signers: Sequence[Keypair] = (),
        payer: Keypair | None = None,
        tables: Sequence[AddressLookupTableAccount] = (),
    ) -> Outcome:
        """Run a transaction; Refusal where it fails."""
        payer = payer or self.operator
        self.svm.expire_blockhash()
        message = MessageV0.try_compile(payer.pubkey(), list(instructions), list(tables), self.svm.latest_blockhash())
        wanted = message.account_keys[: message.header.num_required_signatures]
        known = {keypair.pubkey(): keypair for keypair in (payer, self.operator, self.authority, *signers)}
        return self._outcome(VersionedTransaction(message, [known[address] for address in wanted]))

    def send_unverified(self, *instructions: Instruction) -> Outcome:
        """Run a transaction whose signatures are demanded but not verified: an address of a program can sign, too."""
        self.svm.expire_blockhash()
        message = MessageV0.try_compile(self.operator.pubkey(), list(instructions), [], self.svm.latest_blockhash())
        signatures = [Signature.default()] * message.header.num_required_signatures
        transaction = VersionedTransaction.populate(message, signatures)
        self.svm = self.svm.with_sigverify(False)
        try:
            return self._outcome(transaction)
        finally:
            self.svm = self.svm.with_sigverify(True)

    def _outcome(self, transaction: VersionedTransaction) -> Outcome:
        result = self.svm.send_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            raise refusal(result)
        events = [event for name in PROGRAM_NAMES for event in idl(name).events(result.logs())]
        return Outcome(result, events, len(bytes(transaction)))

    def account(self, program: str, address: Pubkey) -> dict[str, Any]:
        """An account's fields."""
        found = self.svm.get_account(address)
        assert found is not None, f"there is no account {address}"
        assert found.owner == programs.PROGRAM_IDS[program]
        return idl(program).decode_account(bytes(found.data))[1]

    def change(self, program: str, address: Pubkey, **fields: Any) -> None:
        """Overwrite fields of an account, to reach a state that no instruction leads to."""
        found = self.svm.get_account(address)
        assert found is not None
        name, value = idl(program).decode_account(bytes(found.data))
        self.put(address, idl(program).encode_account(name, value | fields), found.owner)

    def tokens(self, account: Pubkey) -> int:
        """The balance of a token account."""
        found = self.svm.get_account(account)
        assert found is not None, f"there is no token account {account}"
        return int(struct.unpack_from("<Q", found.data, 64)[0])

    def supply(self, mint: Pubkey) -> int:
        """A mint's supply."""
        found = self.svm.get_account(mint)
        assert found is not None
        return int(struct.unpack_from("<Q", found.data, 36)[0])

    def lookup_table(self, addresses: Iterable[Pubkey]) -> AddressLookupTableAccount:
        """An address lookup table with these addresses, in place and usable."""
        listed = list(addresses)
        table = key(f"table {len(listed)} {listed[0]}").pubkey()
        header = struct.pack("<IQQBB32sH", 1, 2**64 - 1, 0, 0, 1, bytes(self.operator.pubkey()), 0)
        self.put(table, header + b"".join(map(bytes, listed)), programs.LOOKUP_TABLE_PROGRAM)
        return AddressLookupTableAccount(table, listed)

    # The programs' instructions

    def initialize(self) -> None:
        """governance, energy_token, registry."""
        self.send(self.initialize_governance())
        operator = {"operator": self.operator.pubkey()}
        self.send(self.instruction("energy_token", "initialize", {}, operator))
        self.send(self.instruction("registry", "initialize", {}, operator))

    def initialize_governance(self, **changes: Any) -> Instruction:
        """governance.initialize by the authority."""
        args = {
            "network_id": NETWORK_ID,
            "epoch_seconds": EPOCH_SECONDS,
            "operator": self.operator.pubkey(),
            "parameters": self.parameters,
        }
        accounts = {"payer": self.operator.pubkey(), "authority": self.authority.pubkey()}
        return self.instruction("governance", "initialize", {"args": args | changes}, accounts)

    def set_paused(self, bits: int) -> Outcome:
        """Pause activities."""
        accounts = {"authority": self.authority.pubkey()}
        return self.send(self.instruction("governance", "set_paused", {"bits": bits}, accounts))

    def register_user_instruction(self, member: Member, role: int = PROSUMER, /, **accounts: Pubkey) -> Instruction:
        """registry.register_user."""
        named = {
            "operator": self.operator.pubkey(),
            "user": member.user,
            "wallet": member.address,
            "energy_token_account": member.energy_tokens,
            "credit_token_account": member.credit_tokens,
        }
        return self.instruction("registry", "register_user", {"role": role}, named | accounts)

    def register_user(self, name: str, role: int = PROSUMER) -> Member:
        """Register a member with a wallet of its own."""
        member = Member(key(f"wallet {name}"))
        self.svm.airdrop(member.address, 10**10)
        self.send(self.register_user_instruction(member, role))
        return member

    def set_delegate_instruction(
        self, member: Member, delegate: Pubkey, until: int, /, **accounts: Pubkey
    ) -> Instruction:
        """registry.set_delegate."""
        named = {"wallet": member.address, "user": member.user, "delegate": delegate}
        return self.instruction("registry", "set_delegate", {"until": until}, named | accounts)

    def register_installation_instruction(
        self, n: int, kind: str = "mixed", /, accounts: Mapping[str, Pubkey] | None = None, **changes: Any
    ) -> Instruction:
        """registry.register_installation."""
        args = {
            "n": n,
            "kind": KINDS.index(kind),
            "building": b"Dormitory A".ljust(32, b"\0"),
            "nameplate_w": 100_000,
            "storage_wh": 50_000 if kind in ("storage", "mixed") else 0,
            "since": START - 86_400,
        }
        named = {"operator": self.operator.pubkey(), "installation": programs.installation_address(n)}
        return self.instruction("registry", "register_installation", args | changes, named | dict(accounts or {}))

    def register_installation(self, kind: str = "mixed", **changes: Any) -> int:
        """Register an installation; its number."""
        number = self.installations
        self.installations += 1
        self.send(self.register_installation_instruction(number, kind, **changes))
        return number

    def make_market(self, *, orders_per_side: int = 16, reference_price: int | None = None) -> None:
        """trading.initialize_market; the authority's credit account takes the fees."""
        department = self.authority.pubkey()
        self.fee_account = programs.associated_token_address(department, programs.credit_mint())
        create = programs.create_associated_token_account(self.operator.pubkey(), department, programs.credit_mint())
        accounts = {"operator": self.operator.pubkey(), "fee_account": self.fee_account}
        args = {
            "reference_price": reference_price or self.parameters["feed_in_price"],
            "orders_per_side": orders_per_side,
        }
        self.send(create, self.instruction("trading", "initialize_market", args, accounts))

    def open_book_instructions(self, epoch: int) -> list[Instruction]:
        """trading.open_epoch, and grow_book where the slot has no book yet: of so few orders a side, in one step."""
        book = programs.book_address(epoch)
        accounts = {"payer": self.operator.pubkey(), "book": book}
        grow = self.instruction("trading", "grow_book", {"slot": epoch % programs.BOOKS}, accounts)
        found = self.svm.get_account(book)
        there = found is not None and bool(found.data)
        before = self.account("trading", book)["epoch"] if there else 0
        checkpoint = programs.checkpoint_address(before) if before else programs.SYSTEM_PROGRAM
        open_ = self.instruction("trading", "open_epoch", {"epoch": epoch}, {"book": book, "checkpoint": checkpoint})
        return [open_] if there else [grow, open_]

    def open_book(self, epoch: int) -> Outcome:
        """Open an epoch's book."""
        return self.send(*self.open_book_instructions(epoch))

    def deposit_instruction(self, member: Member, asset: int, amount: int, /, **accounts: Pubkey) -> Instruction:
        """trading.deposit by the wallet: 0 energy, 1 credits."""
        named = {
            "authority": member.address,
            "user": member.user,
            "source": member.credit_tokens if asset else member.energy_tokens,
            "vault": programs.credit_vault() if asset else programs.energy_vault(),
        }
        return self.instruction("trading", "deposit", {"asset": asset, "amount": amount}, named | accounts)

    def deposit(self, member: Member, asset: int, amount: int) -> Outcome:
        """Bring tokens into a member's seat."""
        return self.send(self.deposit_instruction(member, asset, amount), signers=[member.wallet])

    def seat(self, member: Member) -> tuple[int, int]:
        """(energy, credits) that are free in a member's seat."""
        found = self.svm.get_account(programs.seats_address())
        assert found is not None
        at = SEATS_HEAD + SEAT_SIZE * int(self.account("registry", member.user)["member_index"])
        energy, credits_ = struct.unpack_from("<QQ", found.data, at)
        return energy, credits_

    def new_meter(self, name: str, role: str, source: str = "none") -> SimulatedMeter:
        """A meter that is not registered yet."""
        meter_id = hashlib.sha256(f"salt {name}".encode()).digest()
        return SimulatedMeter(key(f"meter {name}"), meter_id, role, SOURCES.index(source))

    def register_meter_instruction(
        self,
        meter: SimulatedMeter,
        member: Member,
        installation: int,
        /,
        *,
        first_sequence: int = 1,
        **accounts: Pubkey,
    ) -> Instruction:
        """registry.register_meter."""
        args = {
            "meter_id": meter.meter_id,
            "role": ROLES.index(meter.role),
            "source": meter.source,
            "map_hash": meter.map_hash,
            "first_sequence": first_sequence,
        }
        named = {
            "operator": self.operator.pubkey(),
            "user": member.user,
            "installation": programs.installation_address(installation),
            "meter": meter.meter,
            "key_use": programs.key_use_address(bytes(meter.key.pubkey())),
        }
        return self.instruction("registry", "register_meter", args, named | accounts)

    def open_meter_instruction(self, meter: SimulatedMeter, member: Member, /, **accounts: Pubkey) -> Instruction:
        """oracle.open_meter."""
        named = {
            "operator": self.operator.pubkey(),
            "meter": meter.meter,
            "user": member.user,
            "meter_state": meter.state,
            "energy_account": member.energy_account,
        }
        return self.instruction("oracle", "open_meter", {}, named | accounts)

    def add_meter(
        self, member: Member, name: str, role: str, source: str = "none", installation: int | None = None
    ) -> SimulatedMeter:
        """Register and open a meter, at a mixed installation of its own where none is given."""
        if installation is None:
            installation = self.register_installation()
        meter = self.new_meter(name, role, source)
        self.send(meter.possession(), self.register_meter_instruction(meter, member, installation))
        self.send(self.open_meter_instruction(meter, member))
        self.meters[meter.meter_id] = meter
        return meter

    def replace_wallet_instruction(self, member: Member, wallet: Pubkey, /, **accounts: Pubkey) -> Instruction:
        """registry.replace_wallet: the member's next wallet takes over."""
        named = {
            "operator": self.operator.pubkey(),
            "user": member.user,
            "wallet": wallet,
            "wallet_use": programs.user_address(wallet),
            "energy_token_account": programs.associated_token_address(wallet, programs.energy_mint()),
            "credit_token_account": programs.associated_token_address(wallet, programs.credit_mint()),
        }
        return self.instruction("registry", "replace_wallet", {}, named | accounts)

    def stage_installation_instruction(
        self, installation: int, nameplate_w: int, storage_wh: int, from_epoch: int, /, **accounts: Pubkey
    ) -> Instruction:
        """registry.stage_installation."""
        args = {"nameplate_w": nameplate_w, "storage_wh": storage_wh, "from_epoch": from_epoch}
        named = {"operator": self.operator.pubkey(), "installation": programs.installation_address(installation)}
        return self.instruction("registry", "stage_installation", args, named | accounts)

    def follow_installation_instruction(
        self, installation: int, meter: SimulatedMeter, /, **accounts: Pubkey
    ) -> Instruction:
        """registry.follow_installation."""
        named = {
            "operator": self.operator.pubkey(),
            "installation": programs.installation_address(installation),
            "meter": meter.meter,
        }
        return self.instruction("registry", "follow_installation", {}, named | accounts)

    def submit_instruction(self, meters: Sequence[SimulatedMeter]) -> Instruction:
        """oracle.submit_readings for these meters, in order."""
        remaining = [meta for meter in meters for meta in meter.pair]
        return self.instruction("oracle", "submit_readings", {}, {"operator": self.operator.pubkey()}, remaining)

    def submit(self, *readings: tuple[SimulatedMeter, Frame], **options: Any) -> Outcome:
        """Submit signed readings."""
        frames = programs.ed25519_frames([frame for _, frame in readings])
        return self.send(frames, self.submit_instruction([meter for meter, _ in readings]), **options)

    def settle_instruction(
        self, member: Member, boundary: int, meters: Sequence[SimulatedMeter], /, **accounts: Pubkey | None
    ) -> Instruction:
        """oracle.settle_surplus over these meters; None leaves an optional account out."""
        named: dict[str, Pubkey | None] = {
            "operator": self.operator.pubkey(),
            "user": member.user,
            "energy_account": member.energy_account,
            "energy_token_account": member.energy_tokens,
        }
        remaining = [meta for meter in meters for meta in meter.pair]
        return self.instruction("oracle", "settle_surplus", {"interval_end": boundary}, named | accounts, remaining)

    def settle(self, member: Member, boundary: int, *meters: SimulatedMeter) -> Outcome:
        """Settle a member."""
        return self.send(self.settle_instruction(member, boundary, meters))

    def round(self, member: Member, boundary: int, *steps: tuple[SimulatedMeter, tuple[int, ...]]) -> Outcome:
        """Read, submit and settle all of a member's meters at a boundary; the settlement's outcome."""
        self.set_time(boundary)
        for meter, step in steps:
            self.submit((meter, meter.read(boundary, *step)))
        return self.settle(member, boundary, *(meter for meter, _ in steps))


def refusal(failure: FailedTransactionMetadata) -> Refusal:
    """The refusal that a failed transaction tells of."""
    inner = getattr(failure.err(), "err", None)
    code = getattr(inner, "code", None)
    if code is not None:
        for name in PROGRAM_NAMES:
            if (error := idl(name).error(code)) is not None:
                refused = Refusal(failure, error.name, code)
                if code in idl(name).errors:  # one of ours, not Anchor's: whichever program refuses, it says so by name
                    assert refused.told == {(error.name, str(code), error.message.removesuffix("."))}, str(refused)
                return refused
    return Refusal(failure, str(inner or failure.err()).rpartition(".")[2], code)


LOSSES = ["closed", "frozen", "given away", "of another mint", "uninitialised"]
"""How a member's token account comes to be unable to take what is the member's."""


def lose(campus: Campus, member: Member, asset: int, loss: str) -> Pubkey:
    """Bring that about for the member's account of energy (0) or credits (1); the account."""
    account = member.credit_tokens if asset else member.energy_tokens
    if loss == "given away":
        set_authority = bytes([6, 2, 1]) + bytes(key("thief").pubkey())
        metas = [writable(account), AccountMeta(member.address, True, False)]
        campus.send(Instruction(programs.TOKEN_PROGRAM, set_authority, metas), signers=[member.wallet])
    elif loss == "closed":
        metas = [writable(account), writable(member.address), AccountMeta(member.address, True, False)]
        campus.send(Instruction(programs.TOKEN_PROGRAM, bytes([9]), metas), signers=[member.wallet])
    else:
        data = bytearray(campus.svm.get_account(account).data)
        if loss == "of another mint":
            data[:32] = bytes(programs.energy_mint() if asset else programs.credit_mint())
        data[108] = {"frozen": 2, "of another mint": 1, "uninitialised": 0}[loss]
        campus.put(account, bytes(data), programs.TOKEN_PROGRAM)
    return account
