"""The chain's metering, done again: from the events that it logged and the signed readings in the log, by the rule.

Every accepted reading must be one that the log had let pass; every settled span must be what authority.settlement.
surplus makes of the signed registers; every mint must be a span's. What comes out at the end is compared with the
accounts. A reading is judged by the log as the epoch's checkpoint pins it: what was carried before the checkpoint must
have passed before it.

Where the validator's history begins later than the deployment, members and meters take their first settlement in it as
given, and only what follows is recomputed; the audit says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.audit.chain_state import ChainState
from authority.audit.history import Landed
from authority.chain import programs
from authority.chain.accounts import (
    Config,
    EnergyAccount,
    EpochBook,
    EpochCheckpoint,
    Meter,
    MeterState,
    Oracle,
    Retirement,
)
from authority.chain.errors import ChainError
from authority.chain.idl import Idl
from authority.settlement.snapshot import Pause
from authority.settlement.surplus import MeterSpan, Span, SpanKind, SurplusError, settle_span, span_kind
from edge_agent.wire.reading import (
    FLAG_DATA_DOUBTFUL,
    FLAG_ESTIMATED,
    FLAG_REGISTER_RESET,
    FLAG_TAMPER,
    ROLES,
    Record,
)

ACTIVE = 1
DOUBTFUL = FLAG_ESTIMATED | FLAG_TAMPER | FLAG_DATA_DOUBTFUL
NO_REGISTERS = (0, 0, 0, 0)

Find = Callable[[str, object, str], None]
"""Told of what does not hold: code, where, message."""


@dataclass
class _Terms:
    """The parameters in force as governance staged them: (first epoch, netting_epochs, storage_efficiency_bps)."""

    epoch_seconds: int
    stages: list[tuple[int, int, int]] = field(default_factory=list)

    def stage(self, first_epoch: int, parameters: Mapping[str, Any], now: int) -> None:
        current = now // self.epoch_seconds
        self.stages = [stage for stage in self.stages if stage[0] <= current][-1:]
        self.stages.append((first_epoch, parameters["netting_epochs"], parameters["storage_efficiency_bps"]))

    def at(self, epoch: int) -> tuple[int, int]:
        """netting_epochs and storage_efficiency_bps in that epoch."""
        held = [stage for stage in self.stages if stage[0] <= epoch] or self.stages[:1]
        return held[-1][1], held[-1][2]


@dataclass(eq=False)
class _Meter:
    """A meter as the registry and the oracle have it; registers in Wh, times in Unix seconds."""

    meter_id: bytes
    role: str
    source: int
    installation: int
    user: Pubkey
    status: int = ACTIVE
    changes: int = 0
    user_since: int = 0
    storages: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    interval_end: int = 0
    sequence: int = 0
    registers: tuple[int, ...] = NO_REGISTERS
    hash: bytes = bytes(16)
    doubt: int = 0
    flags: int = 0
    settled_end: int = 0
    settled_changes: int = 0
    settled: tuple[int, ...] = NO_REGISTERS
    carried: tuple[int, ...] = NO_REGISTERS

    @property
    def settles(self) -> bool:
        return self.role != "submeter"

    @property
    def known(self) -> bool:
        """Whether its registers at the last settlement are its present member's."""
        return self.settled_end != 0 and self.settled_changes >= self.user_since

    def risen(self) -> tuple[int, ...]:
        return tuple(
            now - before + kept for now, before, kept in zip(self.registers, self.settled, self.carried, strict=True)
        )

    def drawn(self) -> int:
        _, consumption, charge, _ = self.risen()
        return consumption + charge

    def storage_at(self, epoch: int) -> int:
        return next(storage for first, storage in reversed(self.storages) if first <= epoch)

    def read(self, record: Record, digest: bytes) -> None:
        self.interval_end, self.sequence = record.interval_end, record.sequence
        self.registers, self.hash, self.flags = record.registers, digest[:16], record.flags
        self.doubt |= record.flags & (DOUBTFUL | FLAG_REGISTER_RESET)

    def mark_settled(self) -> None:
        self.settled, self.settled_end, self.settled_changes = self.registers, self.interval_end, self.changes
        self.doubt, self.carried = self.flags & DOUBTFUL if self.doubt else 0, NO_REGISTERS


TOTALS = ("minted", "generated", "consumed", "charged", "discharged", "withdrawn", "surplus")
_PARTS = ("mint", "generation", "consumption", "charge", "discharge", "withdrawal", "surplus")


@dataclass
class _Member:
    """An EnergyAccount: lifetime totals by their names there, in Wh."""

    boundary: int = 0
    meters: frozenset[bytes] = frozenset()
    bank: int = 0
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOTALS, 0))
    based: bool = True
    """Whether everything that its next settlement goes by is known."""

    def add(self, span: Span) -> None:
        for total, part in zip(TOTALS, _PARTS, strict=True):
            self.totals[total] += getattr(span, part)


@dataclass(frozen=True, slots=True)
class _Passed:
    record: Record
    digest: bytes


@dataclass
class Replay:
    """The state of the replay. minted_wh is what the signed readings entitle all members to, by the rule."""

    find: Find
    idls: Mapping[str, Idl]
    state: ChainState
    complete: bool = False
    began: int | None = None
    minted_wh: int = 0
    withdrawn_wh: int = 0
    settlements: int = 0
    given: int = 0
    """Spans that the chain settled on grounds older than its history: they are taken as given."""
    readings: int = 0
    retired_wh: int = 0
    _prices: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Price, bounds, volume and reference price by epoch, of the first to come: the chain's event or the log's book."""
    _passed: dict[Pubkey, dict[int, list[_Passed]]] = field(default_factory=dict)
    _meters: dict[Pubkey, _Meter] = field(default_factory=dict)
    _of_user: dict[Pubkey, list[_Meter]] = field(default_factory=dict)
    _members: dict[Pubkey, _Member] = field(default_factory=dict)
    _installations: dict[int, int] = field(default_factory=dict)
    _terms: _Terms | None = None
    _to_mint: dict[Pubkey, int] = field(default_factory=dict)
    _retired: dict[Pubkey, list[int]] = field(default_factory=dict)
    """By member: retired against withdrawals (Wh), fed in (Wh), credits received for it."""

    # The log's side

    def passed(self, meter_id: bytes, record: Record, digest: bytes) -> None:
        """The log let a reading pass: it may be accepted from now on."""
        address = programs.meter_address(meter_id)
        meter = self._meters.get(address)
        if meter is None or record.interval_end > meter.interval_end:
            kept = self._passed.setdefault(address, {}).setdefault(record.interval_end, [])
            kept.append(_Passed(record, digest))

    def book(self, head: EpochBook) -> None:
        """The log has an epoch's final book: the chain must have cleared it so."""
        figures = (head.price, head.lowest_price, head.highest_price, head.volume, head.reference_price)
        self._meet(head.epoch, figures)

    def _meet(self, epoch: int, figures: tuple[int, ...]) -> None:
        other = self._prices.pop(epoch, None)
        if other is None:
            self._prices[epoch] = figures
        elif other != figures:
            self.find("book_differs", f"epoch {epoch}", "the log's book is not what the chain said when it cleared it")

    # The chain's side

    def begin(self, first: Landed | None) -> None:
        """See whether the history is whole: it starts with the deployment's own first transaction."""
        self.began = first.time if first is not None else None
        names = [] if first is None else [event.name for event in first.decoded(self.idls)]
        self.complete = "Initialized" in names
        if self.complete:
            return
        config = self.state.account(Config, programs.config_address())
        if config is not None:
            terms = self._terms = _Terms(config.epoch_seconds)
            terms.stages.append((0, config.parameters.netting_epochs, config.parameters.storage_efficiency_bps))
            if config.staged_from:
                staged = config.staged
                terms.stages.append((config.staged_from, staged.netting_epochs, staged.storage_efficiency_bps))
        for address, meter in self.state.all(Meter):
            known = _Meter(
                meter.meter_id, ROLES[meter.role], meter.source, meter.installation, meter.user, meter.status
            )
            known.storages = [(0, meter.storage)]
            self._add(address, known)
            self._members[meter.user] = _Member(based=False)

    def apply(self, landed: Landed) -> None:
        """Take one transaction's events in."""
        self._to_mint.clear()
        try:
            for event in landed.decoded(self.idls):
                handler = getattr(self, f"_on_{event.name}", None)
                if handler is not None:
                    handler(event.data, landed)
        except (KeyError, ChainError) as error:
            where = f"transaction {Signature.from_bytes(landed.signature)}"
            self.find("event_not_understood", where, f"an event cannot be replayed: {error!r}")
        for wallet, amount in self._to_mint.items():
            if amount:
                self.find("mint_differs", f"member {wallet}", f"{amount} Wh were settled and not minted with it")

    def _on_Initialized(self, data: Mapping[str, Any], landed: Landed) -> None:  # noqa: N802 - the event's name
        self._terms = _Terms(data["epoch_seconds"])
        self._terms.stage(0, data["parameters"], landed.time)

    def _on_ParametersStaged(self, data: Mapping[str, Any], landed: Landed) -> None:  # noqa: N802
        if self._terms is not None and self.complete:
            self._terms.stage(data["from_epoch"], data["parameters"], landed.time)

    def _on_InstallationRegistered(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        self._installations[data["n"]] = data["storage"]

    def _on_MeterRegistered(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        meter_id = bytes(data["meter_id"])
        storage = self._installations.get(data["installation"], 0)
        meter = _Meter(meter_id, ROLES[data["role"]], data["source"], data["installation"], data["user"])
        meter.storages = [(0, storage)]
        self._add(programs.meter_address(meter_id), meter)

    def _on_InstallationFollowed(self, data: Mapping[str, Any], landed: Landed) -> None:  # noqa: N802
        meter = self._registered(data)
        if self._terms is not None:
            now = landed.time // self._terms.epoch_seconds
            meter.storages = [*[each for each in meter.storages if each[0] <= now][-1:]]
            meter.storages.append((data["from_epoch"], data["storage"]))

    def _on_MeterKeyReplaced(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        self._registered(data).changes += 1

    _on_MeterMapChanged = _on_MeterKeyReplaced  # noqa: N815

    def _on_MeterStatusChanged(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        meter = self._registered(data)
        meter.changes += 1
        meter.status = data["after"]

    def _on_MeterReassigned(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        meter = self._registered(data)
        meter.changes += 1
        self._of_user[meter.user].remove(meter)
        meter.user_since, meter.user = meter.changes, data["after"]
        self._of_user.setdefault(meter.user, []).append(meter)

    def _registered(self, data: Mapping[str, Any]) -> _Meter:
        return self._meters[programs.meter_address(bytes(data["meter_id"]))]

    def _accept(self, data: Mapping[str, Any], registers: tuple[int, ...]) -> tuple[_Meter, _Passed | None]:
        """The meter, and the reading of the log that an event speaks of; None where the log did not let one pass."""
        self.readings += 1
        address, end = data["meter"], data["interval_end"]
        meter = self._meters[address]
        waiting = self._passed.get(address, {})
        found = next(
            (
                each
                for each in waiting.get(end, ())
                if each.record.sequence == data["sequence"] and each.record.registers == registers
            ),
            None,
        )
        for older in [each for each in waiting if each <= end]:
            del waiting[older]  # what was passed over never goes to the chain: a later reading carries its energy
        if found is None:
            self.find(
                "reading_not_passed",
                f"meter {meter.meter_id.hex()[:16]}…",
                f"the chain took reading {data['sequence']} of the interval that ended at {end}, which the log had "
                "not let pass by then",
            )
        return meter, found

    def _on_ReadingAccepted(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        registers = tuple(data["registers"])
        meter, found = self._accept(data, registers)
        if found is not None:
            meter.read(found.record, found.digest)
            return
        meter.interval_end, meter.sequence, meter.registers = data["interval_end"], data["sequence"], registers
        meter.flags, meter.hash = data["flags"], b""
        meter.doubt |= data["flags"] & DOUBTFUL

    def _on_MeterRebased(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        registers = tuple(data["after"])
        meter, found = self._accept(data, registers)
        before = tuple(data["before"])
        if meter.interval_end and before != meter.registers:
            self.find("registers_differ", f"meter {meter.meter_id.hex()[:16]}…", "was rebased from other registers")
        if meter.settled_end:
            meter.carried = tuple(
                kept + max(0, now - settled)
                for kept, now, settled in zip(meter.carried, before, meter.settled, strict=True)
            )
        meter.interval_end, meter.sequence, meter.registers = data["interval_end"], data["sequence"], registers
        meter.doubt |= FLAG_REGISTER_RESET
        if found is not None:
            meter.read(found.record, found.digest)
        meter.settled = registers

    def _on_SurplusSettled(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        wallet: Pubkey = data["wallet"]
        where = f"member {wallet}, boundary {data['to']}"
        self.settlements += 1
        member = self._members.setdefault(wallet, _Member())
        meters = [meter for meter in self._of(wallet) if meter.settles and meter.status == ACTIVE]
        self._to_mint[wallet] = self._to_mint.get(wallet, 0) + data["minted"]
        if not member.based:
            self.given += 1
            member.based = all(meter.interval_end == data["to"] for meter in meters)
        else:
            self._recompute(member, meters, data, where)
        member.boundary, member.bank = data["to"], data["bank"]
        member.meters = frozenset(meter.meter_id for meter in meters)
        for meter in meters:
            meter.mark_settled()

    def _recompute(self, member: _Member, meters: list[_Meter], data: Mapping[str, Any], where: str) -> None:
        if any(meter.interval_end != data["to"] for meter in meters) or self._terms is None:
            self.find("span_differs", where, "was settled where not all of the member's meters have a reading")
            return
        epoch = data["to"] // self._terms.epoch_seconds - 1
        netting, efficiency = self._terms.at(epoch)
        together = [meter for meter in meters if meter.known and meter.settled_end == member.boundary]
        earlier = [meter for meter in meters if meter.known and meter.settled_end != member.boundary]
        kind = span_kind(
            None if member.boundary == 0 else -(-(data["to"] - member.boundary) // self._terms.epoch_seconds),
            netting,
            unchanged=len(together) == len(meters)
            and member.meters == {meter.meter_id for meter in meters}
            and all(meter.settled_changes == meter.changes and meter.doubt == 0 for meter in meters),
        )
        try:
            span = settle_span(_spans(together, epoch), member.bank, efficiency, kind, earlier=_spans(earlier, epoch))
        except SurplusError as error:
            self.find("span_differs", where, f"the signed registers are not a span by the rule: {error}")
            return
        member.add(span)
        self.minted_wh += span.mint
        self.withdrawn_wh += span.withdrawal
        for name, said, found in (
            ("kind", data["kind"], int(kind)),
            ("from", data["from"], 0 if kind is SpanKind.BASELINE else member.boundary),
            ("minted", data["minted"], span.mint),
            ("withdrawn", data["withdrawn"], span.withdrawal),
            ("generated", data["generated"], span.generation),
            ("consumed", data["consumed"], span.consumption),
            ("charged", data["charged"], span.charge),
            ("discharged", data["discharged"], span.discharge),
            ("bank", data["bank"], span.bank),
        ):
            if said != found:
                self.find("span_differs", where, f"the chain says {name} {said}, by the rule it is {found}")

    def _of(self, wallet: Pubkey) -> list[_Meter]:
        return self._of_user.get(wallet, [])

    def _add(self, address: Pubkey, meter: _Meter) -> None:
        self._meters[address] = meter
        self._of_user.setdefault(meter.user, []).append(meter)

    def _on_IdleMeterSettled(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        meter = self._meters[data["meter"]]
        member = self._members.setdefault(data["wallet"], _Member())
        withdrawn = meter.drawn() if meter.known else 0
        where = f"meter {meter.meter_id.hex()[:16]}…"
        if member.based and withdrawn != data["withdrawn"]:
            said = data["withdrawn"]
            self.find("span_differs", where, f"the chain says withdrawn {said}, by the rule it is {withdrawn}")
        member.totals["withdrawn"] += withdrawn
        self.withdrawn_wh += withdrawn
        meter.mark_settled()

    def _on_EnergyMinted(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        settled = self._to_mint.pop(data["wallet"], 0)
        if settled != data["amount"]:
            amount = data["amount"]
            self.find("mint_differs", f"member {data['wallet']}", f"{amount} Wh were minted, {settled} Wh settled")

    def _on_EnergyRetired(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        self.retired_wh += data["amount"]
        totals = self._retired.setdefault(data["wallet"], [0, 0, 0])
        totals[1 if data["reason"] else 0] += data["amount"]
        totals[2] += data["credits"]

    def _on_EpochCleared(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        names = ("price", "lowest_price", "highest_price", "volume", "reference_price")
        self._meet(data["epoch"], tuple(data[name] for name in names))

    def _on_Checkpointed(self, data: Mapping[str, Any], _: Landed) -> None:  # noqa: N802
        epoch = data["epoch"]
        if self.complete and data["minted"] != self.minted_wh:
            message = f"pins {data['minted']} Wh minted, by the signed readings it is {self.minted_wh}"
            self.find("minted_differs", f"epoch {epoch}", message)
        account = self.state.account(EpochCheckpoint, programs.checkpoint_address(epoch))
        if account is None:
            self.find("checkpoint_gap", f"epoch {epoch}", "was checkpointed, and the chain has no account of it")
            return
        names = ("log_size", "log_root", "book_hash", "minted", "energy_supply", "credit_supply")
        said = ((name, getattr(account, name), data[name]) for name in names)
        self._compare(
            f"epoch {epoch}",
            *((name, now, bytes(then) if isinstance(now, bytes) else then) for name, now, then in said),
        )

    # The end

    def finish(self) -> None:
        """Compare what came out with the accounts."""
        oracle = self.state.account(Oracle, programs.oracle_authority())
        settlements = 0 if oracle is None else oracle.settlements
        if not self.complete:
            since = "the validator has none" if self.began is None else f"it begins at {self.began} (Unix seconds)"
            if oracle is not None:
                self.find(
                    "history_incomplete",
                    "chain",
                    f"the chain's history does not reach back to the deployment: {since}; of {settlements} spans "
                    f"{self.settlements - self.given} were recomputed",
                )
            return
        if oracle is not None:
            self._compare(
                "oracle",
                ("minted", oracle.minted, self.minted_wh),
                ("withdrawn", oracle.withdrawn, self.withdrawn_wh),
                ("settlements", oracle.settlements, self.settlements),
            )
        accounts = {account.wallet: account for _, account in self.state.all(EnergyAccount)}
        for wallet, member in self._members.items():
            account = accounts.pop(wallet, None)
            if account is None:
                self.find("account_missing", f"member {wallet}", "was settled, and has no EnergyAccount")
                continue
            self._compare(
                f"member {wallet}",
                ("boundary", account.boundary, member.boundary),
                ("bank", account.bank, member.bank),
                *((name, getattr(account, name), member.totals[name]) for name in TOTALS),
            )
        for wallet, account in accounts.items():
            self._compare(f"member {wallet}", *((name, getattr(account, name), 0) for name in ("boundary", *TOTALS)))
        for _, retirement in self.state.all(Retirement):
            consumption, fed_in, credits = self._retired.pop(retirement.wallet, [0, 0, 0])
            self._compare(
                f"member {retirement.wallet}",
                ("consumption_total", retirement.consumption_total, consumption),
                ("feed_in_total", retirement.feed_in_total, fed_in),
                ("feed_in_credits", retirement.feed_in_credits, credits),
            )
        for wallet in self._retired:
            self.find("account_missing", f"member {wallet}", "retired energy, and has no Retirement")
        self._compare_meters()

    def _compare_meters(self) -> None:
        for address, meter in self.state.all(Meter):
            where, replayed = f"meter {meter.meter_id.hex()[:16]}…", self._meters.get(address)
            if replayed is None:
                self.find("account_differs", where, "is registered, and no event says so")
                continue
            self._compare(
                where,
                ("role", ROLES[meter.role], replayed.role),
                ("source", meter.source, replayed.source),
                ("installation", meter.installation, replayed.installation),
                ("user", meter.user, replayed.user),
                ("status", meter.status, replayed.status),
            )
        for _, state in self.state.all(MeterState):
            replayed = self._meters.get(state.meter)
            if replayed is None:
                self.find("account_differs", f"meter at {state.meter}", "has a state, and no event registered it")
                continue
            names = ("interval_end", "sequence", "registers", "hash", "settled_end", "settled", "carried", "doubt")
            where = f"meter {replayed.meter_id.hex()[:16]}…"
            self._compare(where, *((name, getattr(state, name), getattr(replayed, name)) for name in names))

    def _compare(self, where: str, *figures: tuple[str, object, object]) -> None:
        for name, said, found in figures:
            if said != found:
                self.find(
                    "account_differs", where, f"the chain's account says {name} {said}, by log and events it is {found}"
                )

    def behind(self) -> Iterable[tuple[bytes, int, int]]:
        """Meters with readings that passed and did not reach the chain in time: id, how many, the oldest's end.

        A reading may wait while another of the member's meters has none for a boundary, and all may while governance
        has paused readings: those are not counted.
        """
        config = self.state.account(Config, programs.config_address())
        if config is None or config.pause & Pause.READINGS:
            return
        staged = config.staged_from and self.state.now // config.epoch_seconds >= config.staged_from
        parameters = config.staged if staged else config.parameters
        due = self.state.now - parameters.grace_seconds - config.epoch_seconds
        standing = {state.meter: state.interval_end for _, state in self.state.all(MeterState)}
        for address, meter in self._meters.items():
            ends = [end for end in self._passed.get(address, ()) if standing.get(address, 0) < end <= due]
            if not ends or meter.status != ACTIVE:
                continue
            others = [
                programs.meter_address(each.meter_id)
                for each in self._of(meter.user)
                if each is not meter and each.settles and each.status == ACTIVE and meter.settles
            ]
            if all(max([standing.get(each, 0), *self._passed.get(each, ())]) >= min(ends) for each in others):
                yield meter.meter_id, len(ends), min(ends)


def _spans(meters: Iterable[_Meter], epoch: int) -> list[MeterSpan]:
    """The meters' steps, with the storage of each installation counted once."""
    counted: set[int] = set()
    spans = []
    for meter in meters:
        storage = 0
        if meter.role in ("storage", "building") and meter.installation not in counted:
            storage = meter.storage_at(epoch)
            if storage:
                counted.add(meter.installation)
        spans.append(MeterSpan(meter.role, meter.source, storage, *meter.risen()))
    return spans
