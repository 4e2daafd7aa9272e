"""The programs' accounts, typed. Made from their IDLs by `make programs`: do not edit.

A class of ProgramAccount is an account: DISCRIMINATOR is what it starts with, SIZE the bytes of the whole, and
`from_account` reads one. A class of Fields is a part of an account, or an element of the array behind one. Bytes kept
free for later have no field here. A class of Code is a byte's meanings.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

from solders.pubkey import Pubkey

from authority.chain.layout import Code, Fields, ProgramAccount

RETIREMENT_GRACE_EPOCHS = 8
"""Epochs after the end of a billing period for which its withdrawals can still be retired, and late spans be booked
    in it.
"""
MAX_SETTLING_METERS = 24
"""Greatest number of settling meters of one user: with their states they fit a transaction's 64 accounts."""
BOOKS = 16
"""Books in the ring. An epoch's book lies in slot epoch mod this, and its place is taken again that many epochs
    later: time enough for a book that nobody clears to be refunded (9 epochs from its beginning) and checkpointed.
"""
MAX_ORDERS_PER_SIDE = 4096
"""The most that a market may choose as its orders a side."""
REFUND_AFTER_EPOCHS = 8
"""Whole epochs after a book's end from which on anybody may refund it, if it was never cleared."""
SEATS_PER_STEP = 250
"""Seats that `grow_seats` adds at a time: 10,000 of the 10,240 bytes that an instruction may allocate."""


@dataclass(frozen=True, slots=True)
class Parameters(Fields):
    """Market and metering parameters. Changed by stage_parameters, effective from a later epoch."""

    FORMAT: ClassVar[struct.Struct] = struct.Struct("<IIIIIIIIIIIHHHH")

    grace_seconds: int
    """Seconds after a boundary for which the market waits for late readings."""
    clock_skew_seconds: int
    """Seconds by which a reading's interval end may lie ahead of the cluster's clock."""
    feed_in_price: int
    """Price of feed-in, micro-credits per kWh: the lowest price of an order."""
    retail_price: int
    """Retail price, micro-credits per kWh: the highest price of an order."""
    wheeling: int
    """Wheeling, micro-credits per kWh on top of the buyer's price."""
    min_order_wh: int
    """Least quantity of an order, Wh."""
    max_order_wh: int
    """Greatest quantity of an order, Wh."""
    cancel_cutoff_seconds: int
    """Seconds before the end of an epoch from which its orders can no longer be cancelled."""
    min_reference_volume_wh: int
    """Least cleared volume, Wh, for an epoch's price to become the reference price."""
    billing_period_epochs: int
    """Length of a billing period in epochs."""
    netting_epochs: int
    """Longest span, in epochs, over which generation is netted with consumption; a longer one mints nothing and counts
    its whole consumption as withdrawn.
    """
    nameplate_tolerance_bps: int
    """Tolerance on nameplate power and storage capacity, basis points."""
    storage_efficiency_bps: int
    """Share of the renewable energy charged into storage that may come out as renewable, basis points."""
    fee_bps: int
    """Market fee, basis points of the seller's proceeds, rounded down."""
    max_orders_per_member: int
    """Greatest number of open orders of one member in one epoch."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Parameters:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            grace_seconds=v[0],
            clock_skew_seconds=v[1],
            feed_in_price=v[2],
            retail_price=v[3],
            wheeling=v[4],
            min_order_wh=v[5],
            max_order_wh=v[6],
            cancel_cutoff_seconds=v[7],
            min_reference_volume_wh=v[8],
            billing_period_epochs=v[9],
            netting_epochs=v[10],
            nameplate_tolerance_bps=v[11],
            storage_efficiency_bps=v[12],
            fee_bps=v[13],
            max_orders_per_member=v[14],
        )


@dataclass(frozen=True, slots=True)
class Config(ProgramAccount):
    """The deployment's identity, its authority and operator, and its parameters."""

    PROGRAM: ClassVar[str] = "governance"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("9b0caae01efacc82")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BBHI8s32s32s32sIIIIIIIIIIIIIIIIIHHHHIIIIIIIIIIIHHHH128x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    pause: int
    """Pause bits: 0 registration, 1 readings, 2 settlement and minting, 3 orders, 4 clearing, 5 credit, 6 retirement.
    """
    epoch_seconds: int
    """Length of an epoch in seconds; fixed for ever."""
    network_id: bytes
    """Eight random bytes that name this deployment; a reading signed for another is refused."""
    authority: Pubkey
    """Holds the power of administration: parameters, operator, pause, the authority itself."""
    pending_authority: Pubkey
    """The authority proposed next, until it accepts; all zero where there is none."""
    operator: Pubkey
    """Signs daily business: registration, settlement, credit, checkpoints."""
    staged_from: int
    """Epoch from which `staged` holds in place of `parameters`; 0 where nothing is staged."""
    billing_period: int
    """Number of the open billing period."""
    billing_period_start: int
    """First epoch of the open billing period."""
    billing_period_end: int
    """Epoch at whose start the open billing period ends."""
    first_epoch: int
    """First epoch of the deployment."""
    previous_period_start: int
    """First epoch of the billing period before the open one; that of the deployment before there was one."""
    parameters: Parameters
    """Parameters in force (until `staged_from`)."""
    staged: Parameters
    """Parameters in force from `staged_from`, where that is not 0."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Config:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            pause=v[2],
            epoch_seconds=v[3],
            network_id=v[4],
            authority=Pubkey.from_bytes(v[5]),
            pending_authority=Pubkey.from_bytes(v[6]),
            operator=Pubkey.from_bytes(v[7]),
            staged_from=v[8],
            billing_period=v[9],
            billing_period_start=v[10],
            billing_period_end=v[11],
            first_epoch=v[12],
            previous_period_start=v[13],
            parameters=Parameters.of(v[14:29]),
            staged=Parameters.of(v[29:44]),
        )


class InstallationKind(Code):
    """What stands at an installation."""

    LOAD = 0
    SOLAR = 1
    WIND = 2
    HYDRO = 3
    OTHER = 4
    STORAGE = 5
    GRID = 6
    MIXED = 7


@dataclass(frozen=True, slots=True)
class Installation(ProgramAccount):
    """What stands somewhere on the campus, at `[installation, n]`. Readings are cross-checked with it."""

    PROGRAM: ClassVar[str] = "registry"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("29b4470be15ddbdb")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BBB1xI32sqQIIQII16x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    kind: InstallationKind
    """InstallationKind: 0 load, 1 solar, 2 wind, 3 hydro, 4 other renewable, 5 storage, 6 grid, 7 mixed."""
    n: int
    """Number of the installation."""
    building: bytes
    """Name of the building, UTF-8, zero-padded."""
    since: int
    """Since when it is in operation."""
    storage: int
    """Usable storage in Wh; 0 without storage."""
    nameplate: int
    """Greatest power through any one of its meters, W."""
    meters: int
    """Meters registered here."""
    staged_storage: int
    """Storage from `staged_from` on."""
    staged_nameplate: int
    """Nameplate from `staged_from` on."""
    staged_from: int
    """Epoch from which the staged storage and nameplate hold; 0 where nothing is staged."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Installation:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            kind=InstallationKind(v[2]),
            n=v[3],
            building=v[4],
            since=v[5],
            storage=v[6],
            nameplate=v[7],
            meters=v[8],
            staged_storage=v[9],
            staged_nameplate=v[10],
            staged_from=v[11],
        )


@dataclass(frozen=True, slots=True)
class KeyUse(ProgramAccount):
    """A meter key that has been used: it can never be registered again. At `[key, public key]`."""

    PROGRAM: ClassVar[str] = "registry"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("a36f77ebe7850517")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BB6x32sq16x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    meter_id: bytes
    """The meter that uses or used it."""
    since: int
    """When it was registered."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> KeyUse:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            meter_id=v[2],
            since=v[3],
        )


class MeterRole(Code):
    """What a meter measures, and so which registers may move and how they settle."""

    BUILDING = 0
    GENERATION = 1
    STORAGE = 2
    LOAD = 3
    GRID = 4
    SUBMETER = 5


class Source(Code):
    """A renewable source, as in the signed reading."""

    NONE = 0
    SOLAR = 1
    WIND = 2
    HYDRO = 3
    OTHER = 4


class Status(Code):
    """Whether a user or a meter takes part."""

    ACTIVE = 1
    SUSPENDED = 2
    CLOSED = 3


@dataclass(frozen=True, slots=True)
class Meter(ProgramAccount):
    """An AMI meter, at `[meter, meter_id]`, meter_id = SHA-256(16-byte secret salt, serial)."""

    PROGRAM: ClassVar[str] = "registry"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("0573e3f03fa6ceb6")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BBBBBBH32s32s32s32sIIQIIqQIIH6x32x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    role: MeterRole
    """MeterRole: 0 building, 1 generation, 2 storage, 3 load, 4 grid, 5 submeter."""
    source: Source
    """Source: 0 none, 1 solar, 2 wind, 3 hydro, 4 other renewable."""
    status: Status
    """Status: 1 active, 2 suspended, 3 closed."""
    slot: int
    """Bit of this meter in its user's `settling_meters`; 255 where it does not settle."""
    generation: int
    """+1 at each change of key, user, map or status; the next settlement is then a baseline and credits nothing."""
    meter_id: bytes
    """Which meter it is."""
    key: bytes
    """Its Ed25519 key."""
    user: Pubkey
    """The member whose meter it is (`member` of its User: the wallet that it registered with)."""
    map_hash: bytes
    """SHA-256 of the approved meter map, under which alone the agent signs."""
    first_sequence: int
    """Sequence of the key's first record."""
    installation: int
    """Number of its installation."""
    storage: int
    """Usable storage of the installation in Wh."""
    nameplate: int
    """Nameplate power of the installation in W."""
    keys: int
    """Keys that the meter has had, this one included: each numbers its own records."""
    since: int
    """When it was registered."""
    staged_storage: int
    """Storage from `staged_from` on."""
    staged_nameplate: int
    """Nameplate from `staged_from` on."""
    staged_from: int
    """Epoch from which the staged storage and nameplate hold; 0 where nothing is staged."""
    user_since: int
    """`generation` with which it came to its user after a long silence: what was settled under an earlier one was
    another's.
    """

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Meter:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            role=MeterRole(v[2]),
            source=Source(v[3]),
            status=Status(v[4]),
            slot=v[5],
            generation=v[6],
            meter_id=v[7],
            key=v[8],
            user=Pubkey.from_bytes(v[9]),
            map_hash=v[10],
            first_sequence=v[11],
            installation=v[12],
            storage=v[13],
            nameplate=v[14],
            keys=v[15],
            since=v[16],
            staged_storage=v[17],
            staged_nameplate=v[18],
            staged_from=v[19],
            user_since=v[20],
        )


@dataclass(frozen=True, slots=True)
class Registry(ProgramAccount):
    """Counters of the registry, one account at `[registry]`."""

    PROGRAM: ClassVar[str] = "registry"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("2fae6ef6b8b6fcda")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BB2xIIII4x64x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    users: int
    """Users registered so far: the next member index."""
    installations: int
    """Installations registered so far."""
    meters: int
    """Meters registered so far."""
    keys: int
    """Keys used so far."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Registry:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            users=v[2],
            installations=v[3],
            meters=v[4],
            keys=v[5],
        )


class UserRole(Code):
    """What a user is."""

    CONSUMER = 0
    PROSUMER = 1
    INSTITUTION = 2


@dataclass(frozen=True, slots=True)
class User(ProgramAccount):
    """A member of the market, at `[user, member]`."""

    PROGRAM: ClassVar[str] = "registry"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("9f755fe3ef973aec")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BBBBI32s32s32s32sqIBBBBBBHI32s32s32x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    role: UserRole
    """UserRole: 0 consumer, 1 prosumer, 2 institution."""
    status: Status
    """Status: 1 active, 2 suspended, 3 closed."""
    member_index: int
    """Number of this member, from 0, in the order of registration; orders carry it."""
    wallet: Pubkey
    """The wallet that this user signs with now, or that the authority keeps for it."""
    energy_token_account: Pubkey
    """Associated token account for energy tokens."""
    credit_token_account: Pubkey
    """Associated token account for campus credits."""
    delegate: Pubkey
    """Who may place, cancel and retire for this user until `delegate_until`; all zero where there is none."""
    delegate_until: int
    """When the delegate's power ends."""
    settling_meters: int
    """Slots of this user's settling meters: bit n stands for the meter whose `slot` is n. Settlement needs them all."""
    building_meters: int
    """Active building meters."""
    generation_meters: int
    """Active generation meters."""
    storage_meters: int
    """Active storage meters."""
    load_meters: int
    """Active load meters."""
    grid_meters: int
    """Active grid meters."""
    source_meters: int
    """Meters (of the above) that have a renewable source: without one nothing is minted."""
    submeters: int
    """Active submeters."""
    next_wallet_from: int
    """Epoch from which `next_wallet` may take over; 0 where none is proposed."""
    member: Pubkey
    """The member's name for ever: the wallet that it registered with. Addresses, meters and the EnergyAccount go by it.
    """
    next_wallet: Pubkey
    """The wallet that is proposed next; all zero where there is none."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> User:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            role=UserRole(v[2]),
            status=Status(v[3]),
            member_index=v[4],
            wallet=Pubkey.from_bytes(v[5]),
            energy_token_account=Pubkey.from_bytes(v[6]),
            credit_token_account=Pubkey.from_bytes(v[7]),
            delegate=Pubkey.from_bytes(v[8]),
            delegate_until=v[9],
            settling_meters=v[10],
            building_meters=v[11],
            generation_meters=v[12],
            storage_meters=v[13],
            load_meters=v[14],
            grid_meters=v[15],
            source_meters=v[16],
            submeters=v[17],
            next_wallet_from=v[18],
            member=Pubkey.from_bytes(v[19]),
            next_wallet=Pubkey.from_bytes(v[20]),
        )


@dataclass(frozen=True, slots=True)
class WalletUse(ProgramAccount):
    """A wallet that a member moved to, at `[user, wallet]`: nobody registers with it any more, and it leads to the
    member.
    """

    PROGRAM: ClassVar[str] = "registry"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("e6c0030d68b6c774")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BB2xI32s16x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    member_index: int
    """The member's number."""
    member: Pubkey
    """The member: the wallet that it registered with."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> WalletUse:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            member_index=v[2],
            member=Pubkey.from_bytes(v[3]),
        )


class Place(Code):
    """Where a member's tokens are."""

    TOKEN_ACCOUNT = 0
    SEAT = 1


class Reason(Code):
    """Why energy is retired."""

    CONSUMPTION = 0
    FEED_IN = 1


@dataclass(frozen=True, slots=True)
class Retirement(ProgramAccount):
    """What a member retired, by billing period and reason; at `[retired, member]`."""

    PROGRAM: ClassVar[str] = "energy_token"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("b4243a5f94bc0f26")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BB2xI32sQQQQQQQ64x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    period: int
    """The period that `*_open` counts; `*_previous` counts the one before."""
    wallet: Pubkey
    """The member: the wallet that it registered with."""
    consumption_open: int
    """Retired against withdrawals of `period`."""
    consumption_previous: int
    """Retired against withdrawals of the period before."""
    feed_in_open: int
    """Fed in during `period`."""
    feed_in_previous: int
    """Fed in during the period before."""
    consumption_total: int
    """Retired against withdrawals, ever."""
    feed_in_total: int
    """Fed in, ever."""
    feed_in_credits: int
    """Credits received for feed-in, ever."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Retirement:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            period=v[2],
            wallet=Pubkey.from_bytes(v[3]),
            consumption_open=v[4],
            consumption_previous=v[5],
            feed_in_open=v[6],
            feed_in_previous=v[7],
            consumption_total=v[8],
            feed_in_total=v[9],
            feed_in_credits=v[10],
        )


@dataclass(frozen=True, slots=True)
class EnergyAccount(ProgramAccount):
    """What a member's meters have settled, at `[energy, member]`."""

    PROGRAM: ClassVar[str] = "oracle"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("e9f3507a4d59f29b")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BB2xI32sqI4xQQQQQQQQQQ64x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    period: int
    """The period that `withdrawals_open` counts; `withdrawals_previous` counts the one before."""
    wallet: Pubkey
    """The member: the wallet that it registered with."""
    boundary: int
    """The last settled boundary; 0 before the first."""
    settling_meters: int
    """The settling meters (slots of the User) that were settled there."""
    bank: int
    """Renewable energy in storage that may still come out as renewable."""
    withdrawals_open: int
    """Withdrawals in `period`."""
    withdrawals_previous: int
    """Withdrawals in the period before."""
    minted: int
    """Minted, ever."""
    generated: int
    """Generated, ever (g of the settlement rule)."""
    consumed: int
    """Consumed, ever (c)."""
    charged: int
    """Charged into storage, ever (q)."""
    discharged: int
    """Discharged from storage, ever (d)."""
    withdrawn: int
    """Withdrawn, ever."""
    surplus: int
    """Renewable surplus, ever (s): `minted` never exceeds it."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> EnergyAccount:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            period=v[2],
            wallet=Pubkey.from_bytes(v[3]),
            boundary=v[4],
            settling_meters=v[5],
            bank=v[6],
            withdrawals_open=v[7],
            withdrawals_previous=v[8],
            minted=v[9],
            generated=v[10],
            consumed=v[11],
            charged=v[12],
            discharged=v[13],
            withdrawn=v[14],
            surplus=v[15],
        )


@dataclass(frozen=True, slots=True)
class EpochCheckpoint(ProgramAccount):
    """What an epoch came to, at `[epoch, n]`: pins the audit log to the chain."""

    PROGRAM: ClassVar[str] = "oracle"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("1378ff73f8ae543e")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BB2xIQ32s32sQQQQQqQ32x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    epoch: int
    """The epoch."""
    log_size: int
    """Leaves in the audit log."""
    log_root: bytes
    """The log's root (RFC 6962) at that size."""
    book_hash: bytes
    """SHA-256 of the epoch's final order book; zero where it had none."""
    minted: int
    """Energy minted until now, ever."""
    energy_supply: int
    """Supply of energy tokens now; `minted` less it is what was retired."""
    credit_supply: int
    """Supply of campus credits now."""
    withdrawn: int
    """Energy withdrawn by all members until now, ever."""
    settlements: int
    """Spans settled until now."""
    time: int
    """The cluster's time as seen."""
    slot: int
    """The cluster's slot as seen."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> EpochCheckpoint:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            epoch=v[2],
            log_size=v[3],
            log_root=v[4],
            book_hash=v[5],
            minted=v[6],
            energy_supply=v[7],
            credit_supply=v[8],
            withdrawn=v[9],
            settlements=v[10],
            time=v[11],
            slot=v[12],
        )


@dataclass(frozen=True, slots=True)
class MeterState(ProgramAccount):
    """The last accepted reading of a meter, at `[state, meter_id]`; never closed."""

    PROGRAM: ClassVar[str] = "oracle"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("ed06d7aeedd8e903")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BBHI32sq4Q16sHHIB7xq4Q4Q32x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    generation: int
    """The Meter's `generation` when it was last settled: where the Meter has another by now, the next settlement is a
    baseline.
    """
    sequence: int
    """Sequence of the last accepted record; 0 before the first."""
    meter: Pubkey
    """Address of the Meter in the registry."""
    interval_end: int
    """Interval end of the last accepted record; 0 before the first."""
    registers: tuple[int, ...]
    """Its registers: generation, consumption, charge, discharge."""
    hash: bytes
    """Its hash: the first 16 bytes of SHA-256."""
    flags: int
    """Its flags."""
    doubt: int
    """Flags of readings at or since the last settlement for which the next one credits nothing."""
    keys: int
    """The Meter's `keys` when it was accepted: which key's numbering `sequence` belongs to."""
    register_epoch: int
    """Its register epoch."""
    settled_end: int
    """The boundary at which the meter was last settled; 0 before the first time."""
    settled: tuple[int, ...]
    """The registers as last settled, before that as at the first reading, or as a reset left them since."""
    carried: tuple[int, ...]
    """What the registers had risen by since then when they were reset."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> MeterState:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            generation=v[2],
            sequence=v[3],
            meter=Pubkey.from_bytes(v[4]),
            interval_end=v[5],
            registers=v[6:10],
            hash=v[10],
            flags=v[11],
            doubt=v[12],
            keys=v[13],
            register_epoch=v[14],
            settled_end=v[15],
            settled=v[16:20],
            carried=v[20:24],
        )


@dataclass(frozen=True, slots=True)
class Oracle(ProgramAccount):
    """Campus-wide totals and the last checkpoint, one account at `[oracle]`, made with the first meter."""

    PROGRAM: ClassVar[str] = "oracle"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("8bc283b38cb3e5f4")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BBB1xIQQQQ64x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of this account's address."""
    has_checkpoint: int
    """1 once there is a checkpoint."""
    last_epoch: int
    """Epoch of the last checkpoint."""
    log_size: int
    """Size of the audit log at the last checkpoint."""
    minted: int
    """Energy minted, ever."""
    withdrawn: int
    """Energy withdrawn by all members, ever."""
    settlements: int
    """Spans settled, ever (baselines included)."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Oracle:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            has_checkpoint=v[2],
            last_epoch=v[3],
            log_size=v[4],
            minted=v[5],
            withdrawn=v[6],
            settlements=v[7],
        )


class SpanKind(Code):
    """How a span was settled."""

    NETTED = 0
    BASELINE = 1
    TOO_LONG = 2


class Asset(Code):
    """What a seat holds, as instructions name it."""

    ENERGY = 0
    CREDIT = 1


class BookStatus(Code):
    """Where a book stands in its life."""

    GROWING = 0
    VACANT = 1
    OPEN = 2
    CLEARING = 3
    REFUNDING = 4
    FINAL = 5


@dataclass(frozen=True, slots=True)
class EpochBook(ProgramAccount):
    """The head of one market epoch's order book; `capacity` bids and as many asks follow it.

    `open_epoch` gives it the parameters of its epoch, so that no later change of governance's Config touches orders
    that rest.
    """

    PROGRAM: ClassVar[str] = "trading"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("82c9eeea4f790e15")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BBBBIqqqqQQQIIIIIIIIHHHHHHIIIIIIII4x64x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of `[book, slot]`."""
    status: BookStatus
    """BookStatus: 0 growing, 1 vacant, 2 open, 3 clearing, 4 refunding, 5 final."""
    slot: int
    """Its slot in the ring: epoch mod 16."""
    epoch: int
    """The epoch whose book this is: orders are taken during it. 0 while vacant."""
    opens_at: int
    """When the epoch begins."""
    cutoff_at: int
    """From when on no order is placed or cancelled any more."""
    closes_at: int
    """When the epoch ends."""
    cleared_at: int
    """When the book was cleared or its refund began; 0 before."""
    energy_locked: int
    """Energy that the book's unpaid orders have locked."""
    credit_locked: int
    """Credits that the book's unpaid orders have locked."""
    fees: int
    """Fees, wheeling and what rounding left over; known when the book is final."""
    previous: int
    """The epoch of the book that was opened before this one, which is cleared or refunded before it; 0 for the first.
    """
    epoch_seconds: int
    """Length of an epoch."""
    feed_in_price: int
    """Lowest price that an order may name."""
    retail_price: int
    """Highest price that an order may name."""
    wheeling: int
    """What a buyer pays per kWh on top of the price, for the network."""
    min_order: int
    """Smallest quantity of an order."""
    max_order: int
    """Largest quantity of an order: governance's, and never more than a full side of such orders fits in u32."""
    min_reference_volume: int
    """Least volume with which this epoch moves the market's reference price."""
    fee_bps: int
    """Fee on the seller's proceeds, rounded down."""
    max_orders_per_member: int
    """Most orders, both sides together, that a member may have in this book."""
    capacity: int
    """Orders that a side holds."""
    bid_count: int
    """Bids in the book."""
    ask_count: int
    """Asks in the book."""
    paid: int
    """Orders that are paid: bids from the best, then asks from the best."""
    bid_quantity: int
    """Sum of the bids' quantities."""
    ask_quantity: int
    """Sum of the asks' quantities."""
    next_number: int
    """Number of the next order."""
    reference_price: int
    """The market's reference price as the clearing found it."""
    price: int
    """The clearing price; 0 where nothing traded."""
    lowest_price: int
    """The lowest price that would have cleared the book with the same volume."""
    highest_price: int
    """The highest price that would have cleared the book with the same volume."""
    volume: int
    """Energy that changed hands."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> EpochBook:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            status=BookStatus(v[2]),
            slot=v[3],
            epoch=v[4],
            opens_at=v[5],
            cutoff_at=v[6],
            closes_at=v[7],
            cleared_at=v[8],
            energy_locked=v[9],
            credit_locked=v[10],
            fees=v[11],
            previous=v[12],
            epoch_seconds=v[13],
            feed_in_price=v[14],
            retail_price=v[15],
            wheeling=v[16],
            min_order=v[17],
            max_order=v[18],
            min_reference_volume=v[19],
            fee_bps=v[20],
            max_orders_per_member=v[21],
            capacity=v[22],
            bid_count=v[23],
            ask_count=v[24],
            paid=v[25],
            bid_quantity=v[26],
            ask_quantity=v[27],
            next_number=v[28],
            reference_price=v[29],
            price=v[30],
            lowest_price=v[31],
            highest_price=v[32],
            volume=v[33],
        )


@dataclass(frozen=True, slots=True)
class Market(ProgramAccount):
    """The energy market of the campus: its reference price, where its tokens lie, and how far its books have come.

    Its address owns both vaults, so only the trading program moves what members have in the market.
    """

    PROGRAM: ClassVar[str] = "trading"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("dbbed53700e3c69a")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BBHIIIQQ32s32s32s32s32sIII4x48x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of `[market]`."""
    orders_per_side: int
    """Orders that a side of each book holds; fixed when the market is made."""
    reference_price: int
    """Price of the last epoch that traded at least the minimum volume; the next clearing price is the nearest to it."""
    reference_epoch: int
    """The epoch which set the reference price; 0 before the first."""
    epochs_cleared: int
    """How many epochs were cleared."""
    traded: int
    """Energy that changed hands since the market began."""
    turnover: int
    """What that energy cost at the clearing prices, rounded down for each epoch."""
    energy_mint: Pubkey
    """Mint of the energy token."""
    credit_mint: Pubkey
    """Mint of the campus credit."""
    energy_vault: Pubkey
    """Vault of the energy token: what is in seats, and what asks have locked."""
    credit_vault: Pubkey
    """Vault of the campus credit: what is in seats, what bids have locked, and the fees."""
    fee_account: Pubkey
    """Credit account that receives fees, wheeling and what rounding leaves over."""
    first_epoch: int
    """The epoch of the first book; 0 before there is one."""
    latest_epoch: int
    """The epoch of the last book that was opened; 0 before the first."""
    settled_epoch: int
    """The epoch of the last book that was cleared or whose refund began; 0 before the first. Books follow one another
    in this.
    """

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Market:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            orders_per_side=v[2],
            reference_price=v[3],
            reference_epoch=v[4],
            epochs_cleared=v[5],
            traded=v[6],
            turnover=v[7],
            energy_mint=Pubkey.from_bytes(v[8]),
            credit_mint=Pubkey.from_bytes(v[9]),
            energy_vault=Pubkey.from_bytes(v[10]),
            credit_vault=Pubkey.from_bytes(v[11]),
            fee_account=Pubkey.from_bytes(v[12]),
            first_epoch=v[13],
            latest_epoch=v[14],
            settled_epoch=v[15],
        )


@dataclass(frozen=True, slots=True)
class Order(Fields):
    """A limit order: 20 bytes."""

    FORMAT: ClassVar[struct.Struct] = struct.Struct("<IIIII")

    price: int
    """The most that a buyer pays per kWh (wheeling comes on top), or the least that a seller takes."""
    number: int
    """Which order of its book it is, in order of arrival, both sides together, from 0. Equal prices stand in this
    order.
    """
    quantity: int
    """Energy offered or wanted."""
    filled: int
    """Energy that the auction gave it; 0 until the book is cleared."""
    member: int
    """Member index of the registry's User whose order it is."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Order:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            price=v[0],
            number=v[1],
            quantity=v[2],
            filled=v[3],
            member=v[4],
        )


@dataclass(frozen=True, slots=True)
class Seat(Fields):
    """A member's place in the market: 40 bytes."""

    FORMAT: ClassVar[struct.Struct] = struct.Struct("<QQIHHIIB7x")

    energy: int
    """Energy that is free: in the vault, and locked by no order."""
    credit: int
    """Credits that are free."""
    epoch: int
    """The epoch in whose book the member ordered last; the next four fields speak of that book."""
    bids: int
    """The member's bids that rest there."""
    asks: int
    """The member's asks that rest there."""
    highest_bid: int
    """No bid of the member that rests there is dearer."""
    lowest_ask: int
    """No ask of the member that rests there is cheaper."""
    payout: int
    """What anyone may pay out to the member's own account: bit 0 energy, bit 1 credits."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Seat:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            energy=v[0],
            credit=v[1],
            epoch=v[2],
            bids=v[3],
            asks=v[4],
            highest_bid=v[5],
            lowest_ask=v[6],
            payout=v[7],
        )


@dataclass(frozen=True, slots=True)
class Seats(ProgramAccount):
    """The head of the seats; `capacity` seats follow it."""

    PROGRAM: ClassVar[str] = "trading"
    DISCRIMINATOR: ClassVar[bytes] = bytes.fromhex("ca2cf45428e9d100")
    FORMAT: ClassVar[struct.Struct] = struct.Struct("<BB2xIQQQ32x")

    version: int
    """Layout version, 1."""
    bump: int
    """Bump of `[seats]`."""
    capacity: int
    """Seats that follow."""
    energy_held: int
    """Energy that the vault owes: what is in seats and what books have locked."""
    credit_held: int
    """Credits that the vault owes: what is in seats, what books have locked, and the fees."""
    fees: int
    """Fees, wheeling and roundings that wait for `withdraw_fees`."""

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Seats:
        """The fields, of the values that FORMAT unpacks."""
        return cls(
            version=v[0],
            bump=v[1],
            capacity=v[2],
            energy_held=v[3],
            credit_held=v[4],
            fees=v[5],
        )
