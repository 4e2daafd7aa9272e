"""A plain model of governance, registry, oracle and energy_token: what each instruction does, and why it refuses.

Written from docs/ARCHITECTURE.md and the instructions' descriptions, in integers and dicts. Each method either changes
the model or raises Refused with the name of the program's error. The order of checks is the programs' own: where two
things are wrong at once, the same one is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ROLES = ("building", "generation", "storage", "load", "grid", "submeter")
REGISTERS_OF = {
    "building": (0, 1, 2, 3),
    "generation": (0,),
    "storage": (2, 3),
    "load": (1,),
    "grid": (0, 1),
    "submeter": (0, 1, 2, 3),
}
KINDS = ("load", "solar", "wind", "hydro", "other", "storage", "grid", "mixed")
ACTIVE, SUSPENDED, CLOSED = 1, 2, 3
REGISTRATION, READINGS, SETTLEMENT, _ORDERS, _CLEARING, CREDIT, RETIREMENT = (1 << bit for bit in range(7))
CREDIT_TOKEN, ENERGY_TOKEN = 0, 1
LONGEST_TERM = 366 * 86_400
MAX_STEP = 10**12
GRACE_EPOCHS = 8
WALLET_DELAY_EPOCHS = 96
MAX_FIRST_SEQUENCE = 2**31 - 1
SPARE_SEQUENCES = 16
MOST_BEFORE_THE_FIRST = 35_136
DOUBTFUL_FLAGS = 1 << 0 | 1 << 4 | 1 << 8


class Refused(Exception):  # noqa: N818 - what a program answers
    """An instruction that the programs refuse; `name` is their error's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def need(holds: bool, error: str) -> None:
    """Refuse where something does not hold."""
    if not holds:
        raise Refused(error)


@dataclass
class Installation:
    kind: str
    nameplate: int
    storage: int
    staged: Size | None = None

    def size(self) -> Size:
        """What holds before anything staged does."""
        return Size(self.nameplate, self.storage, 0)


@dataclass(frozen=True)
class Size:
    """A nameplate and a storage, from an epoch on."""

    nameplate: int
    storage: int
    from_epoch: int


@dataclass
class User:
    index: int
    role: int
    wallet: str
    next_wallet: str | None = None
    next_wallet_from: int = 0
    status: int = ACTIVE
    slots: dict[int, str] = field(default_factory=dict)
    """Slot to the name of the settling meter that has it."""
    submeters: int = 0
    delegate: str | None = None
    delegate_until: int = 0


@dataclass
class Approval:
    """What the member lets the market move out of one of its accounts by SPL Token's Approve, for its delegate."""

    amount: int
    to: str = "market"
    """Or the member that SPL Token lets move them instead."""


@dataclass
class Meter:
    user: str
    role: str
    source: int
    installation: int
    key: int
    first_sequence: int
    slot: int
    map: int
    size: Size
    staged: Size | None = None
    keys: int = 1
    status: int = ACTIVE
    generation: int = 0
    user_since: int = 0

    def bounds(self, first: int, last: int) -> tuple[int, int]:
        """Nameplate and storage that hold from one epoch to another: the greater ones where they change between."""
        if self.staged is None or last < self.staged.from_epoch:
            return self.size.nameplate, self.size.storage
        if first >= self.staged.from_epoch:
            return self.staged.nameplate, self.staged.storage
        return max(self.size.nameplate, self.staged.nameplate), max(self.size.storage, self.staged.storage)


@dataclass
class State:
    generation: int
    keys: int
    sequence: int = 0
    interval_end: int = 0
    registers: tuple[int, ...] = (0, 0, 0, 0)
    previous_hash: bytes = bytes(16)
    register_epoch: int = 0
    settled_end: int = 0
    settled: tuple[int, ...] = (0, 0, 0, 0)
    carried: tuple[int, ...] = (0, 0, 0, 0)
    flags: int = 0
    doubt: int = 0

    def risen(self) -> tuple[int, ...]:
        """What the registers rose by since the last settlement, what a reset ended included."""
        parts = zip(self.registers, self.settled, self.carried, strict=True)
        return tuple(now - before + carried for now, before, carried in parts)

    def settle(self, generation: int) -> None:
        """Settled at the last reading; if that is doubtful, what follows is, too."""
        self.settled, self.settled_end, self.generation = self.registers, self.interval_end, generation
        self.carried, self.doubt = (0, 0, 0, 0), self.flags & DOUBTFUL_FLAGS


@dataclass
class Energy:
    period: int
    boundary: int = 0
    slots: frozenset[int] = frozenset()
    bank: int = 0
    withdrawals_open: int = 0
    withdrawals_previous: int = 0
    minted: int = 0
    withdrawn: int = 0
    surplus: int = 0


@dataclass
class Retired:
    period: int
    consumption_open: int = 0
    consumption_previous: int = 0
    consumption_total: int = 0
    feed_in_open: int = 0
    feed_in_previous: int = 0
    feed_in_total: int = 0
    feed_in_credits: int = 0


@dataclass
class Reading:
    """A signed record; `key` is the number of the meter's key that signed it."""

    key: int
    network: bool
    sequence: int
    interval_end: int
    registers: tuple[int, ...]
    source: int
    register_epoch: int
    flags: int
    previous_hash: bytes
    own_hash: bytes


RESET_FLAG = 1 << 6


class Model:
    """The campus, as it should be."""

    def __init__(self, time: int, epoch_seconds: int, parameters: dict[str, int]) -> None:
        self.time = time
        self.epoch_seconds = epoch_seconds
        self.parameters = dict(parameters)
        self.staged: dict[str, int] | None = None
        self.staged_from = 0
        self.paused = 0
        self.authority, self.operator = "authority", "operator"
        self.proposed: str | None = None
        self.period = 0
        self.period_start = self.previous_start = self.epoch
        self.period_end = self.epoch + parameters["billing_period_epochs"]
        self.users: dict[str, User] = {}
        self.installations: dict[int, Installation] = {}
        self.meters: dict[str, Meter] = {}
        self.states: dict[str, State] = {}
        self.energy: dict[str, Energy] = {}
        self.retired: dict[str, Retired] = {}
        self.tokens: dict[str, int] = {}
        self.credits: dict[str, int] = {}
        self.seats: dict[str, list[int]] = {}
        """What is free in the market, as [credits, energy]."""
        self.given_away: set[tuple[str, int]] = set()
        """(member, token) whose token account belongs to somebody else."""
        self.closed: set[tuple[str, int]] = set()
        """(member, token) whose token account is closed."""
        self.approvals: dict[tuple[str, int], Approval] = {}
        self.wallets: set[str] = set()
        """Those that were ever a member's: none becomes another's. A former one keeps what was in its accounts."""
        self.used_keys: set[tuple[str, int]] = set()
        self.burnt = 0
        self.minted = self.withdrawn = self.settlements = 0
        self.last_checkpoint: int | None = None
        self.first_checkpoint = 0
        self.log_size = 0

    @property
    def epoch(self) -> int:
        return self.time // self.epoch_seconds

    def in_force(self, epoch: int) -> dict[str, int]:
        """The parameters of an epoch."""
        if self.staged is not None and epoch >= self.staged_from:
            return self.staged
        return self.parameters

    def running(self, bit: int) -> None:
        need(not self.paused & bit, "Paused")

    # governance

    def propose_authority(self, by: str, proposed: str | None) -> None:
        need(by == self.authority, "NotAuthority")
        self.proposed = proposed

    def accept_authority(self, by: str) -> None:
        need(self.proposed is not None, "NoPendingAuthority")
        need(by == self.proposed, "NotPendingAuthority")
        self.authority, self.proposed = by, None

    def set_operator(self, by: str, operator: str | None) -> None:
        need(by == self.authority, "NotAuthority")
        need(operator is not None, "ZeroKey")
        assert operator is not None
        self.operator = operator

    def set_paused(self, bits: int) -> None:
        need(bits < 128, "UnknownPauseBits")
        self.paused = bits

    def stage_parameters(self, parameters: dict[str, int], from_epoch: int) -> None:
        need(from_epoch > self.epoch + 1, "StagedTooEarly")
        need(from_epoch - self.epoch <= 35_136, "StagedTooLate")
        need(self.staged is None or self.staged_from != self.epoch + 1, "StagedAlreadyDue")
        need(self.epoch < self.period_end, "BillingPeriodOverdue")
        self._check_parameters(parameters)
        self.parameters = dict(self.in_force(self.epoch))
        self.staged, self.staged_from = dict(parameters), from_epoch

    def _check_parameters(self, new: dict[str, int]) -> None:
        need(new["grace_seconds"] <= self.epoch_seconds, "GraceOutOfBounds")
        need(new["clock_skew_seconds"] <= self.epoch_seconds, "ClockSkewOutOfBounds")
        need(new["nameplate_tolerance_bps"] <= 10_000, "ToleranceOutOfBounds")
        need(new["storage_efficiency_bps"] <= 10_000, "EfficiencyOutOfBounds")
        need(0 < new["feed_in_price"] <= new["retail_price"] <= 10**9, "PricesOutOfBounds")
        need(new["wheeling"] <= new["retail_price"], "WheelingOutOfBounds")
        need(new["fee_bps"] <= 1_000, "FeeOutOfBounds")
        need(0 < new["min_order_wh"] <= new["max_order_wh"] <= 10**9, "OrderSizeOutOfBounds")
        need(0 < new["max_orders_per_member"] <= 64, "OrderCountOutOfBounds")
        most = new["max_order_wh"] * new["max_orders_per_member"]
        need(most <= (2**32 - 1) // 64, "MemberOrdersOutOfBounds")
        need(0 < new["netting_epochs"] <= 96, "NettingOutOfBounds")
        need(new["cancel_cutoff_seconds"] < self.epoch_seconds, "CancelCutoffOutOfBounds")
        need(new["min_reference_volume_wh"] > 0, "ReferenceVolumeOutOfBounds")
        need(16 <= new["billing_period_epochs"] <= 35_136, "BillingPeriodOutOfBounds")

    def open_billing_period(self) -> None:
        need(self.epoch >= self.period_end, "BillingPeriodNotOver")
        self.period += 1
        self.previous_start = self.period_start
        self.period_start = self.period_end
        self.period_end += self.in_force(self.period_start)["billing_period_epochs"]

    # registry

    def register_user(self, name: str, role: int) -> None:
        self.running(REGISTRATION)
        need(role <= 2, "UnknownUserRole")
        need(f"wallet {name}" not in self.wallets, "AlreadyRegistered")
        self.users[name] = User(len(self.users), role, f"wallet {name}")
        self.wallets.add(f"wallet {name}")
        self.tokens[name] = self.credits[name] = 0
        self.seats[name] = [0, 0]

    def register_installation(self, number: int, kind: int, nameplate: int, storage: int) -> None:
        self.running(REGISTRATION)
        need(number not in self.installations, "AlreadyRegistered")
        need(kind < len(KINDS), "UnknownInstallationKind")
        need(0 < nameplate <= 10**8, "NameplateOutOfBounds")
        need(storage < 2**32 and (storage == 0 or KINDS[kind] in ("storage", "mixed")), "StorageOutOfBounds")
        self.installations[number] = Installation(KINDS[kind], nameplate, storage)

    def stage_installation(self, number: int, nameplate: int, storage: int, from_epoch: int) -> None:
        need(number in self.installations, "NotAnInstallation")
        self.running(REGISTRATION)
        need(self.epoch < from_epoch <= self.epoch + 35_136, "StagedOutOfBounds")
        need(0 < nameplate <= 10**8, "NameplateOutOfBounds")
        installation = self.installations[number]
        need(storage < 2**32 and (storage == 0 or installation.kind in ("storage", "mixed")), "StorageOutOfBounds")
        if installation.staged is not None and self.epoch >= installation.staged.from_epoch:
            installation.nameplate, installation.storage = installation.staged.nameplate, installation.staged.storage
        installation.staged = Size(nameplate, storage, from_epoch)

    def follow_installation(self, number: int, name: str) -> None:
        need(number in self.installations, "NotAnInstallation")
        need(name in self.meters, "NotAMeter")
        self.running(REGISTRATION)
        meter, installation = self.meters[name], self.installations[number]
        need(meter.installation == number, "MeterOfAnother")
        meter.size, meter.staged = installation.size(), installation.staged

    def set_user_role(self, name: str, role: int) -> None:
        need(name in self.users, "NotAUser")
        user = self.users[name]
        need(role <= 2, "UnknownUserRole")
        need(user.status != CLOSED, "StatusClosed")
        need(user.role != role, "RoleUnchanged")
        generates = any(meter.source for meter in self._settling(user))
        need(role != 0 or not generates, "ConsumerCannotGenerate")
        user.role = role

    def propose_wallet(self, name: str, wallet: str | None) -> None:
        need(name in self.users, "NotAUser")
        self.running(REGISTRATION)
        user = self.users[name]
        need(user.status != CLOSED, "StatusClosed")
        need(wallet != self.operator, "OperatorAsMember")
        need(wallet is not None or user.next_wallet is not None, "NoWalletProposed")
        user.next_wallet = wallet
        user.next_wallet_from = self.epoch + WALLET_DELAY_EPOCHS if wallet else 0

    def replace_wallet(self, name: str, wallet: str) -> None:
        """The former wallet keeps what is in its token accounts, and a delegation to it, as whoever holds its key."""
        need(name in self.users, "NotAUser")
        self.running(REGISTRATION)
        user = self.users[name]
        need(user.status != CLOSED, "StatusClosed")
        need(user.next_wallet == wallet, "NoWalletProposed")
        need(self.epoch >= user.next_wallet_from, "WalletNotDue")
        need(wallet not in self.wallets, "AlreadyRegistered")
        former = user.wallet
        for token, store in enumerate((self.credits, self.tokens)):
            store[former], store[name] = store[name], 0
            for places in (self.given_away, self.closed):
                if (name, token) in places:
                    places.remove((name, token))
                    places.add((former, token))
            if (name, token) in self.approvals:
                self.approvals[former, token] = self.approvals.pop((name, token))
        for each in self.users.values():
            each.delegate = former if each.delegate == name else each.delegate
        for approval in self.approvals.values():
            approval.to = former if approval.to == name else approval.to
        user.wallet, user.next_wallet, user.next_wallet_from = wallet, None, 0
        user.delegate, user.delegate_until = None, 0
        self.wallets.add(wallet)

    def register_meter(
        self, name: str, user: str, installation: int, role: int, source: int, key: int, map_: int = 0
    ) -> None:
        need(user in self.users, "NotAUser")
        need(installation in self.installations, "NotAnInstallation")
        self.running(REGISTRATION)
        need(role < len(ROLES), "UnknownMeterRole")
        need(source <= 4, "UnknownSource")
        owner = self.users[user]
        need(owner.status == ACTIVE, "UserNotActive")
        need(_admits(self.installations[installation].kind, ROLES[role], source), "RoleSourceMismatch")
        need(name not in self.meters, "AlreadyRegistered")
        need((name, key) not in self.used_keys, "KeyUsedBefore")
        stands = self.installations[installation]
        meter = Meter(user, ROLES[role], source, installation, key, 1, 255, map_, stands.size(), stands.staged)
        meter.slot = self._free_slot(owner, meter)
        self._check_set(owner, added=meter)
        self._take(owner, name, meter)
        self.meters[name] = meter
        self.used_keys.add((name, key))

    def set_delegate(self, name: str, delegate: str | None, until: int) -> None:
        """Whatever became of the member's token accounts."""
        need(name in self.users, "NotAUser")
        user = self.users[name]
        if delegate is not None:
            need(user.status == ACTIVE, "UserNotActive")
            need(0 < until - self.time <= LONGEST_TERM and delegate != name, "DelegationTermOutOfBounds")
        user.delegate, user.delegate_until = delegate, until if delegate is not None else 0

    def may_act(self, name: str, by: str) -> None:
        """The registry's part: the member itself, or its delegate within its term."""
        if by == name:
            return
        user = self.users[name]
        need(by == user.delegate, "NotWalletOrDelegate")
        need(self.time < user.delegate_until, "DelegationExpired")

    def move(self, name: str, by: str, token: int, amount: int) -> None:
        """SPL Token's part: tokens leave a member's account, by its own signature or within a delegate's allowance."""
        store = (self.credits, self.tokens)[token]
        approval = self.approvals.get((name, token))
        need((name, token) not in self.closed, "NoTokenAccount")
        need(amount <= store[name], "InsufficientFunds")
        if by != name:
            need(approval is not None and approval.to in (by, "market"), "OwnerMismatch")
        need((name, token) not in self.given_away, "OwnerMismatch")
        if by != name and approval is not None:
            need(amount <= approval.amount, "InsufficientFunds")
            approval.amount -= amount
            if approval.amount == 0:
                del self.approvals[name, token]
        store[name] -= amount

    def set_user_status(self, name: str, status: int) -> None:
        need(name in self.users, "NotAUser")
        user = self.users[name]
        _next_status(user.status, status)
        need(status != CLOSED or not (user.slots or user.submeters), "UserHasMeters")
        user.status = status

    def set_meter_status(self, name: str, status: int) -> None:
        need(name in self.meters, "NotAMeter")
        meter = self.meters[name]
        owner = self.users[meter.user]
        _next_status(meter.status, status)
        if status == ACTIVE:
            need(owner.status == ACTIVE, "MeterOfInactiveUser")
            self._check_set(owner, added=meter)
            self._take(owner, name, meter)
        elif meter.status == ACTIVE:
            self._give(owner, meter)
        meter.status = status
        meter.generation += 1

    def reassign_meter(self, name: str, taker: str) -> None:
        need(name in self.meters, "NotAMeter")
        need(taker in self.users, "NotAUser")
        need(taker != self.meters[name].user, "GivenTwice")
        need(name in self.states, "NotAMeterState")
        self.running(REGISTRATION)
        meter = self.meters[name]
        need(meter.status != CLOSED, "StatusClosed")
        giver = self.users[meter.user]
        need(self.users[taker].status == ACTIVE, "UserNotActive")
        state = self.states[name]
        need(meter.role == "submeter" or state.settled_end == state.interval_end, "NotAtSettledBoundary")
        if meter.status == ACTIVE:
            self._check_set(self.users[taker], added=meter)
            self._give(giver, meter)
            self._take(self.users[taker], name, meter)
        meter.user = taker
        meter.generation += 1
        if self.time - state.settled_end > self.in_force(self.epoch)["netting_epochs"] * self.epoch_seconds:
            meter.user_since = meter.generation

    def replace_meter_key(self, name: str, key: int, first_sequence: int, map_: int) -> None:
        """map_: the one under which the new key's proof of possession was signed."""
        need(name in self.meters, "NotAMeter")
        self.running(REGISTRATION)
        meter = self.meters[name]
        need(meter.status != CLOSED, "StatusClosed")
        need(1 <= first_sequence <= MAX_FIRST_SEQUENCE, "FirstSequenceOutOfBounds")
        need(map_ == meter.map, "PossessionMessage")
        need((name, key) not in self.used_keys, "KeyUsedBefore")
        meter.key, meter.first_sequence = key, first_sequence
        meter.keys += 1
        meter.generation += 1
        self.used_keys.add((name, key))

    def set_meter_map(self, name: str, map_: int) -> None:
        need(name in self.meters, "NotAMeter")
        need(self.meters[name].status != CLOSED, "StatusClosed")
        self.meters[name].map = map_
        self.meters[name].generation += 1

    def _settling(self, user: User) -> list[Meter]:
        return [self.meters[name] for name in user.slots.values()]

    def _free_slot(self, user: User, meter: Meter) -> int:
        if meter.role == "submeter":
            return 255
        slot = next(slot for slot in range(32) if slot not in user.slots)
        need(slot < 24, "TooManyMeters")
        return slot

    def _check_set(self, user: User, added: Meter) -> None:
        roles = [meter.role for meter in self._settling(user)]
        if added.role != "submeter":
            self._free_slot(user, added)
            roles.append(added.role)
        sources = [meter.source for meter in self._settling(user)]
        if added.role != "submeter":
            sources.append(added.source)
        need("building" not in roles or len(roles) == 1, "BuildingMeterStandsAlone")
        need(roles.count("grid") <= 1 and not ("grid" in roles and "load" in roles), "LoadOrGridMeters")
        need(user.role != 0 or not any(sources), "ConsumerCannotGenerate")

    def _take(self, user: User, name: str, meter: Meter) -> None:
        meter.slot = self._free_slot(user, meter)
        if meter.slot == 255:
            user.submeters += 1
        else:
            user.slots[meter.slot] = name

    def _give(self, user: User, meter: Meter) -> None:
        if meter.slot == 255:
            user.submeters -= 1
        else:
            del user.slots[meter.slot]
        meter.slot = 255

    # oracle

    def open_meter(self, name: str) -> None:
        need(name in self.meters, "NotAMeter")
        self.running(REGISTRATION)
        need(name not in self.states, "AlreadyOpen")
        meter = self.meters[name]
        self.energy.setdefault(meter.user, Energy(self.period))
        self.states[name] = State(meter.generation, meter.keys)

    def open_energy_account(self, name: str) -> None:
        need(name in self.users, "NotAUser")
        self.running(REGISTRATION)
        need(name not in self.energy, "AlreadyOpen")
        self.energy[name] = Energy(self.period)

    def _authentic(self, name: str, reading: Reading) -> tuple[Meter, State]:
        meter, state = self.meters[name], self.states[name]
        need(reading.key == meter.key, "WrongKey")
        need(reading.network, "RecordNetwork")
        need(meter.status == ACTIVE, "MeterNotActive")
        need(reading.source == meter.source, "SourceMismatch")
        need(reading.flags < 1 << 9, "UnknownFlags")
        need(reading.interval_end > 0 and reading.interval_end % self.epoch_seconds == 0, "IntervalNotAligned")
        skew = self.in_force(self.epoch)["clock_skew_seconds"]
        need(reading.interval_end <= self.time + skew, "IntervalInFuture")
        return meter, state

    def _in_order(self, meter: Meter, state: State, reading: Reading) -> None:
        need(reading.sequence >= meter.first_sequence, "SequenceBelowFirst")
        if not state.interval_end:
            need(reading.sequence - meter.first_sequence <= MOST_BEFORE_THE_FIRST, "SequenceTooFar")
            return
        same_key = state.keys == meter.keys
        step = reading.sequence - (state.sequence if same_key else meter.first_sequence - 1)
        need(step > 0, "SequenceNotRising")
        need(reading.interval_end > state.interval_end, "IntervalNotRising")
        need(step != 1 or not same_key or reading.previous_hash == state.previous_hash, "PreviousHash")
        epochs = (reading.interval_end - state.interval_end) // self.epoch_seconds
        need(step <= epochs + SPARE_SEQUENCES, "SequenceTooFar")

    def submit(self, name: str, reading: Reading) -> None:
        self.running(READINGS)
        need(name in self.states, "NotAMeterState")
        meter, state = self._authentic(name, reading)
        need(not reading.flags & RESET_FLAG, "NeedsRebase")
        self._in_order(meter, state, reading)
        if state.interval_end:
            need((reading.register_epoch - state.register_epoch) % 256 <= 1, "RegisterEpoch")
            self._steps(meter, state, reading)
        else:
            state.settled = reading.registers
        self._record(meter, state, reading)
        self._begin_with_user(name)

    def rebase(self, name: str, reading: Reading) -> None:
        need(name in self.meters, "NotAMeter")
        need(name in self.states, "NotAMeterState")
        self.running(READINGS)
        meter, state = self._authentic(name, reading)
        self._in_order(meter, state, reading)
        need(bool(reading.flags & RESET_FLAG and state.interval_end), "NotARebase")
        need((reading.register_epoch - state.register_epoch) % 256 == 1, "RegisterEpoch")
        state.carried = state.risen()
        self._record(meter, state, reading)
        state.settled = state.registers
        self._begin_with_user(name)

    def _begin_with_user(self, name: str) -> None:
        """After a long silence before it changed hands, a meter's next reading is where its user's registers begin."""
        if not self._known(name):
            self.states[name].settle(self.meters[name].generation)

    def _steps(self, meter: Meter, state: State, reading: Reading) -> None:
        first = state.interval_end // self.epoch_seconds
        nameplate, capacity = meter.bounds(first, reading.interval_end // self.epoch_seconds - 1)
        tolerance = self.in_force(self.epoch)["nameplate_tolerance_bps"]
        elapsed = reading.interval_end - state.interval_end
        limit = min(nameplate * elapsed // 3600 * (10_000 + tolerance) // 10_000 + 1, MAX_STEP)
        steps = [0, 0, 0, 0]
        for index, (now, before) in enumerate(zip(reading.registers, state.registers, strict=True)):
            need(now >= before, "RegisterDecreased")
            if now == before:
                continue
            need(index in REGISTERS_OF[meter.role], "RegisterNotPermitted")
            steps[index] = now - before
            own = MAX_STEP if index == 1 and meter.role == "building" else limit
            need(steps[index] <= own, "ExceedsNameplate")
        if meter.role in ("storage", "building"):
            storage = capacity + capacity * tolerance // 10_000 + 1
            _, _, charge, discharge = steps
            if charge or discharge:
                fits = discharge <= charge + storage and charge <= 2 * (discharge + storage)
                need(fits, "ExceedsStorage")

    @staticmethod
    def _record(meter: Meter, state: State, reading: Reading) -> None:
        state.keys = meter.keys
        state.sequence, state.interval_end = reading.sequence, reading.interval_end
        state.registers, state.register_epoch = reading.registers, reading.register_epoch
        state.previous_hash, state.flags = reading.own_hash, reading.flags
        state.doubt |= reading.flags & (DOUBTFUL_FLAGS | RESET_FLAG)

    def settle(self, name: str, boundary: int, meters: list[str]) -> int:
        """Settle a member; what is minted."""
        need(name in self.users, "NotAUser")
        need(name in self.energy, "NotAnEnergyAccount")
        self.running(SETTLEMENT)
        user, energy = self.users[name], self.energy[name]
        need(user.status != CLOSED, "StatusClosed")
        roles = [meter.role for meter in self._settling(user)]
        complete = roles == ["building"] or ("building" not in roles and ("load" in roles) != ("grid" in roles))
        need(complete, "MeterSetNotSettleable")
        need(boundary > energy.boundary, "BoundaryNotRising")
        self._require_set(name, boundary, meters)

        inside = [each for each in meters if self._known(each) and self.states[each].settled_end == energy.boundary > 0]
        undoubted = len(inside) == len(meters) and all(
            self.states[each].generation == self.meters[each].generation and not self.states[each].doubt
            for each in inside
        )
        epochs = (boundary - energy.boundary) // self.epoch_seconds
        kind = "netted" if energy.slots == frozenset(user.slots) and undoubted else "baseline"
        if epochs > self.in_force((boundary - 1) // self.epoch_seconds)["netting_epochs"]:
            kind = "too long"
        if energy.boundary == 0:
            kind = "baseline"
        earlier = [each for each in meters if self._known(each) and each not in inside]
        minted, withdrawal, bank, surplus = self._net(inside, energy.bank, boundary, kind)
        withdrawal += sum(self.states[each].risen()[1] + self.states[each].risen()[2] for each in earlier)
        self._book(energy, boundary, withdrawal)
        for each in meters:
            self.states[each].settle(self.meters[each].generation)
        energy.boundary, energy.slots, energy.bank = boundary, frozenset(user.slots), bank
        energy.minted += minted
        energy.surplus += surplus
        self.minted += minted
        self.settlements += 1
        self.mint(name, ENERGY_TOKEN, minted)
        return minted

    def _require_set(self, name: str, boundary: int, meters: list[str]) -> None:
        user = self.users[name]
        seen = set()
        for each in meters:
            need(each in self.states, "NotAMeterState")
            meter, state = self.meters[each], self.states[each]
            need(meter.user == name, "MeterOfAnotherUser")
            need(meter.slot in user.slots and meter.slot not in seen, "MeterSetIncomplete")
            seen.add(meter.slot)
            need(state.interval_end != 0, "NoReading")
            need(state.interval_end == boundary, "NotAtBoundary")
        need(seen == set(user.slots), "MeterSetIncomplete")

    def _known(self, name: str) -> bool:
        """Whether the registers at the meter's last settlement, or at its first reading, are this member's."""
        state = self.states[name]
        return state.settled_end == 0 or state.generation >= self.meters[name].user_since

    def _book(self, energy: Energy, boundary: int, withdrawal: int) -> None:
        """In the period in which the span ended, while that takes retirements; then in the open one."""
        need(not withdrawal or boundary <= self.period_end * self.epoch_seconds, "BillingPeriodNotOpen")
        self._roll(energy)
        ended = self.period > 0 and boundary <= self.period_start * self.epoch_seconds
        of_previous = boundary > self.previous_start * self.epoch_seconds
        if ended and of_previous and self.epoch < self.period_start + GRACE_EPOCHS:
            energy.withdrawals_previous += withdrawal
        else:
            energy.withdrawals_open += withdrawal
        energy.withdrawn += withdrawal
        self.withdrawn += withdrawal

    def settle_idle(self, name: str, meter_name: str) -> None:
        """A meter that takes no part is settled alone: what it drew is withdrawn."""
        need(name in self.users, "NotAUser")
        need(name in self.energy, "NotAnEnergyAccount")
        need(meter_name in self.meters, "NotAMeter")
        need(meter_name in self.states, "NotAMeterState")
        self.running(SETTLEMENT)
        meter, state = self.meters[meter_name], self.states[meter_name]
        need(meter.user == name, "MeterOfAnotherUser")
        need(meter.role != "submeter", "MeterNotSettling")
        need(meter.status != ACTIVE, "MeterIsActive")
        need(state.interval_end != 0, "NoReading")
        need(state.settled_end != state.interval_end, "BoundaryNotRising")
        withdrawal = state.risen()[1] + state.risen()[2] if self._known(meter_name) else 0
        self._book(self.energy[name], state.interval_end, withdrawal)
        state.settle(meter.generation)

    def mint(self, name: str, token: int, amount: int) -> None:
        """To the member's token account, or to its seat where that is somebody else's or is not there."""
        if not self.can_receive(name, token):
            self.seats[name][token] += amount
        else:
            (self.credits, self.tokens)[token][name] += amount

    def can_receive(self, name: str, token: int) -> bool:
        """Whether the member's token account takes what is the member's."""
        return (name, token) not in self.given_away | self.closed

    # SPL Token's own acts

    def give_away(self, name: str, token: int) -> None:
        """SetAuthority: the account's owner is another from now on, and what was approved is no more."""
        need((name, token) not in self.closed, "NoTokenAccount")
        need((name, token) not in self.given_away, "OwnerMismatch")
        self.given_away.add((name, token))
        self.approvals.pop((name, token), None)

    def approve(self, name: str, token: int, amount: int) -> None:
        """Approve: the market may move so much, in place of what was approved before."""
        need((name, token) not in self.closed, "NoTokenAccount")
        need((name, token) not in self.given_away, "OwnerMismatch")
        self.approvals[name, token] = Approval(amount)

    def approve_another(self, name: str, to: str, token: int, amount: int) -> None:
        """Another member may move so much; an account has one such approval, and the market's ends with it."""
        need((name, token) not in self.closed, "NoTokenAccount")
        need((name, token) not in self.given_away, "OwnerMismatch")
        self.approvals[name, token] = Approval(amount, to)

    def revoke(self, name: str, token: int) -> None:
        """Nobody but the member moves anything of the account."""
        need((name, token) not in self.closed, "NoTokenAccount")
        need((name, token) not in self.given_away, "OwnerMismatch")
        self.approvals.pop((name, token), None)

    def close(self, name: str, token: int) -> None:
        """The account is no more; it has to be empty."""
        need((name, token) not in self.closed, "NoTokenAccount")
        need((self.credits, self.tokens)[token][name] == 0, "NonNativeHasBalance")
        need((name, token) not in self.given_away, "OwnerMismatch")
        self.closed.add((name, token))
        self.approvals.pop((name, token), None)

    def reopen(self, name: str, token: int) -> None:
        """Anybody makes a member's associated account again; where it is there, nothing happens."""
        need((name, token) not in self.given_away, "NotTheWallets")
        self.closed.discard((name, token))

    def transfer(self, name: str, by: str, to: str, token: int, amount: int) -> None:
        """A member, or whom it approved, sends tokens to another's account, whoever owns that."""
        need(not {(name, token), (to, token)} & self.closed, "NoTokenAccount")
        approval = self.approvals.get((name, token))
        need(amount <= (self.credits, self.tokens)[token][name], "InsufficientFunds")
        need(by == name or (approval is not None and approval.to == by), "OwnerMismatch")
        self.move(name, by, token, amount)
        (self.credits, self.tokens)[token][to] += amount

    def burn(self, name: str, token: int, amount: int) -> None:
        """A member burns tokens of its own, for nothing."""
        self.move(name, name, token, amount)
        self.burnt += amount if token == ENERGY_TOKEN else 0

    def _roll(self, energy: Energy) -> None:
        if energy.period != self.period:
            follows = energy.period + 1 == self.period
            energy.withdrawals_previous = energy.withdrawals_open if follows else 0
            energy.withdrawals_open = 0
            energy.period = self.period

    def _net(self, meters: list[str], bank: int, boundary: int, kind: str) -> tuple[int, int, int, int]:
        """Minted, withdrawn, bank and surplus of a span that is netted, a baseline, or too long."""
        sums = {"g": 0, "c": 0, "q": 0, "d": 0, "import": 0, "export": 0}
        slots = {
            "generation": ("g", "", "", ""),
            "load": ("", "c", "", ""),
            "storage": ("", "", "q", "d"),
            "building": ("g", "c", "q", "d"),
            "grid": ("export", "import", "", ""),
        }
        storage: dict[int, int] = {}
        grid = False
        for each in meters:
            meter, state = self.meters[each], self.states[each]
            for name, risen in zip(slots[meter.role], state.risen(), strict=True):
                if name:
                    sums[name] += risen
            last = (boundary - 1) // self.epoch_seconds
            if meter.role in ("storage", "building") and (capacity := meter.bounds(last, last)[1]):
                storage.setdefault(meter.installation, capacity)
            grid = grid or meter.role == "grid"
        g, q, d = sums["g"], sums["q"], sums["d"]
        c = max(0, sums["import"] + g + d - sums["export"] - q) if grid else sums["c"]
        net = g + d - c - q
        if kind != "netted":
            return 0, c + q if kind == "too long" else max(0, -net), 0, 0
        if not any(self.meters[each].source for each in meters):
            return 0, max(0, -net), bank, 0
        surplus = max(0, g - c)
        into = min(q, surplus)
        efficiency = self.in_force((boundary - 1) // self.epoch_seconds)["storage_efficiency_bps"]
        banked = min(sum(storage.values()), bank + into * efficiency // 10_000)
        out = min(d, banked)
        return min(max(0, net), surplus - into + out), max(0, -net), banked - out, surplus

    def checkpoint(self, epoch: int, log_size: int, book_hash: bytes, on_chain: bytes) -> None:
        """on_chain: the hash of the book's account, zero where there is none."""
        need(bool(self.states), "OracleNotOpen")
        need(self.time >= (epoch + 1) * self.epoch_seconds, "EpochNotOver")
        need(self.last_checkpoint is None or epoch == self.last_checkpoint + 1, "CheckpointOutOfOrder")
        need(self.last_checkpoint is not None or self.comes_before_the_books(epoch), "CheckpointOutOfOrder")
        need(log_size >= self.log_size, "LogShrank")
        need(self.has_no_unfinished_book(epoch), "BookUnfinished")
        need(book_hash == on_chain, "WrongBookHash")
        if self.last_checkpoint is None:
            self.first_checkpoint = epoch
        self.last_checkpoint, self.log_size = epoch, log_size

    def has_no_unfinished_book(self, epoch: int) -> bool:
        """Whether the epoch's book is final, or there is none; here is no market."""
        return True

    def comes_before_the_books(self, epoch: int) -> bool:
        """Whether no book is of an earlier epoch; here is no market."""
        return True

    def is_checkpointed(self, epoch: int) -> bool:
        return self.last_checkpoint is not None and self.first_checkpoint <= epoch <= self.last_checkpoint

    # energy_token

    def issue_credit(self, name: str, amount: int) -> None:
        self.running(CREDIT)
        need(name in self.users, "NotAUser")
        need(self.users[name].status == ACTIVE, "UserNotActive")
        need(amount > 0, "ZeroAmount")
        self.mint(name, CREDIT_TOKEN, amount)

    def redeem_credit(self, name: str, amount: int) -> None:
        self.running(CREDIT)
        need(name in self.users, "NotAUser")
        need(amount > 0, "ZeroAmount")
        self.move(name, name, CREDIT_TOKEN, amount)

    def retire(self, name: str, by: str, reason: int, period: int, amount: int, source: int = 0) -> None:
        """source: 0 the token account, 1 the seat. The accounts are looked at before what is asked for."""
        need(name in self.users, "NotAUser")
        need(name in self.energy, "NotAnEnergyAccount")
        self.running(RETIREMENT)
        need(reason <= 1, "UnknownReason")
        need(source <= 1, "UnknownSource")
        need(amount > 0, "ZeroAmount")
        need(amount < 2**32, "TooMuchAtOnce")
        need(self.users[name].status == ACTIVE, "UserNotActive")
        self.may_act(name, by)
        need(source == 1 or by == name, "DelegateRetiresFromSeat")
        previous = self.period > 0 and period == self.period - 1
        in_grace = self.epoch < self.period_start + GRACE_EPOCHS
        need(period == self.period or (reason == 0 and previous and in_grace), "PeriodClosed")
        retired = self.retired.get(name, Retired(self.period))
        changes: dict[str, Any] = dict(vars(retired))
        if retired.period != self.period:
            follows = retired.period + 1 == self.period
            for kind in ("consumption", "feed_in"):
                changes[f"{kind}_previous"] = changes[f"{kind}_open"] if follows else 0
                changes[f"{kind}_open"] = 0
            changes["period"] = self.period
        paid = 0
        if reason == 0:
            which = "consumption_open" if period == self.period else "consumption_previous"
            changes[which] += amount
            changes["consumption_total"] += amount
            need(changes[which] <= self._withdrawals(self.energy[name], period), "ExceedsWithdrawals")
        else:
            paid = amount * self.in_force(self.epoch)["feed_in_price"] // 1000
            need(paid > 0, "TooSmall")
            changes["feed_in_open"] += amount
            changes["feed_in_total"] += amount
            need(changes["feed_in_total"] <= self.energy[name].minted, "ExceedsOwnSurplus")
            changes["feed_in_credits"] += paid
        if source == 0:
            self.move(name, by, ENERGY_TOKEN, amount)
            self.mint(name, CREDIT_TOKEN, paid)
        else:
            need(self.seats[name][ENERGY_TOKEN] >= amount, "NotEnoughEnergy")
            self.seats[name][ENERGY_TOKEN] -= amount
            self.seats[name][CREDIT_TOKEN] += paid
        self.retired[name] = Retired(**changes)

    @staticmethod
    def _withdrawals(energy: Energy, period: int) -> int:
        if period == energy.period:
            return energy.withdrawals_open
        return energy.withdrawals_previous if period + 1 == energy.period else 0


def _admits(kind: str, role: str, source: int) -> bool:
    names = ("none", "solar", "wind", "hydro", "other")
    if role == "submeter":
        return True
    if role in ("generation", "building"):
        return (kind in ("mixed", names[source])) if source else role == "building"
    if source:
        return False
    return kind in (role, "mixed") if role in ("storage", "grid") else True


def _next_status(current: int, status: int) -> None:
    need(1 <= status <= 3, "UnknownStatus")
    need(current != CLOSED, "StatusClosed")
    need(current != status, "StatusUnchanged")
