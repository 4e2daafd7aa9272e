"""The chain's metering, done again: from the events that it logged and the signed readings in the log, by the rule.

Every accepted reading must be one that the log had let pass; every settled span must be what authority.settlement.
surplus makes of the signed registers; every mint must be a span's. What comes out at the end is compared with the
accounts. A reading is judged by the log as the epoch's checkpoint pins it: what was carried before the checkpoint must
have passed before it.

Where the validator's history begins later than the deployment, members and meters take their first settlement in it as
given, and only what follows is recomputed; the audit says so.

One long file: one method for each event, and all of them move the same members and meters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.audit.acts import Acts
from authority.audit.books import Book
from authority.audit.chain_state import ChainState
from authority.audit.events import Accepted, Settled, Taken
from authority.audit.history import Landed
from authority.audit.money import Money
from authority.audit.reading import Reading
from authority.audit.registers import Registers
from authority.audit.tell import Find, Handler, Part, compare
from authority.audit.terms import Governed
from authority.chain import programs
from authority.chain.accounts import (
    Config,
    EnergyAccount,
    EpochBook,
    EpochCheckpoint,
    Meter,
    MeterState,
    Oracle,
    SpanKind,
    Status,
)
from authority.chain.errors import ChainError
from authority.chain.idl import Idl
from authority.chain.in_force import parameters_in
from authority.settlement.snapshot import Pause
from authority.settlement.surplus import MeterSpan, Span, SurplusError, settle_span, span_kind
from edge_agent.wire.reading import (
    FLAG_DATA_DOUBTFUL,
    FLAG_ESTIMATED,
    FLAG_REGISTER_RESET,
    FLAG_TAMPER,
    ROLES,
    TRUNCATED_HASH_SIZE,
)

DOUBTFUL = FLAG_ESTIMATED | FLAG_TAMPER | FLAG_DATA_DOUBTFUL
NO_REGISTERS = (0, 0, 0, 0)
_NOTHING: dict[int, list[Reading]] = {}


@dataclass(eq=False)
class _Meter:
    """A meter as the registry and the oracle have it; registers in Wh, times in Unix seconds."""

    meter_id: bytes
    role: str
    source: int
    installation: int
    user: Pubkey
    status: int = Status.ACTIVE
    changes: int = 0
    user_since: int = 0
    storages: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    interval_end: int = 0
    sequence: int = 0
    register_epoch: int = 0
    registers: tuple[int, ...] = NO_REGISTERS
    hash: bytes = bytes(16)
    doubt: int = 0
    flags: int = 0
    lost: bool = False
    """Whether its last reading is known by the chain's word alone, for the log lost it, and says so."""
    settled_end: int = 0
    settled_changes: int = 0
    settled: tuple[int, ...] = NO_REGISTERS
    carried: tuple[int, ...] = NO_REGISTERS

    @property
    def settles(self) -> bool:
        return self.role != "submeter"

    @property
    def known(self) -> bool:
        """Whether its registers at the last settlement, or at the first reading, are its present member's."""
        return self.settled_end == 0 or self.settled_changes >= self.user_since

    def risen(self) -> tuple[int, ...]:
        (g, c, i, o), (g0, c0, i0, o0), (gk, ck, ik, ok) = self.registers, self.settled, self.carried
        return g - g0 + gk, c - c0 + ck, i - i0 + ik, o - o0 + ok

    def drawn(self) -> int:
        _, consumption, charge, _ = self.risen()
        return consumption + charge

    def storage_at(self, epoch: int) -> int:
        return next(storage for first, storage in reversed(self.storages) if first <= epoch)

    def read(self, reading: Reading) -> None:
        self.sequence, self.interval_end, self.registers, self.register_epoch, self.flags, digest, _ = reading
        self.hash = digest[:TRUNCATED_HASH_SIZE]
        self.lost = False
        self.doubt |= self.flags & (DOUBTFUL | FLAG_REGISTER_RESET)

    def begin_with_user(self) -> None:
        """After a long silence before it changed hands, a meter's next reading is where its user's registers begin."""
        if not self.known:
            self.mark_settled()

    def mark_settled(self) -> None:
        self.settled, self.settled_end, self.settled_changes = self.registers, self.interval_end, self.changes
        self.doubt, self.carried = self.flags & DOUBTFUL if self.doubt else 0, NO_REGISTERS


STATE = (
    "interval_end", "sequence", "registers", "register_epoch", "hash", "flags", "settled_end", "settled", "carried",
    "doubt",
)  # fmt: skip
"""What is compared of a MeterState."""
OF_THE_RECORD = ("hash", "register_epoch")
"""What of it only the record says, and no event."""
SPAN = ("from", "generated", "consumed", "charged", "discharged", "bank", "minted", "withdrawn", "kind")
"""What is compared of a SurplusSettled."""
TOTALS = ("minted", "generated", "consumed", "charged", "discharged", "withdrawn", "surplus")


class _Settling(NamedTuple):
    """The meters that settle together for a member, and their ids."""

    meters: tuple[_Meter, ...]
    ids: frozenset[bytes]

    @classmethod
    def of(cls, meters: Iterable[_Meter]) -> _Settling:
        found = tuple(meter for meter in meters if meter.settles and meter.status == Status.ACTIVE)
        return cls(found, frozenset(meter.meter_id for meter in found))


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
        generation, consumption, charge, discharge, surplus, _, _, _, _, mint, withdrawal = span
        totals = self.totals
        totals["minted"] += mint
        totals["generated"] += generation
        totals["consumed"] += consumption
        totals["charged"] += charge
        totals["discharged"] += discharge
        totals["withdrawn"] += withdrawal
        totals["surplus"] += surplus


class Replay(Part):
    """The state of the replay. minted_wh is what the signed readings entitle all members to, by the rule."""

    def __init__(self, find: Find, idls: Mapping[str, Idl], state: ChainState) -> None:
        super().__init__(find, state)
        self.idls = idls
        self.acts = Acts(find, state)
        self.governed = Governed(find, state)
        self.registers = Registers(find, state, self.governed)
        self.money = Money(find, state, self.governed, self.registers)
        self.begun = False
        self.complete = False
        self.began: int | None = None
        self.minted_wh = 0
        self.withdrawn_wh = 0
        self.settlements = 0
        self.given = 0
        """Spans that the chain settled on grounds older than its history: they are taken as given."""
        self.readings = 0
        self.lost = 0
        """Readings that are known by the chain's word alone: the log lost them, and says so."""
        self._lost: dict[Pubkey, list[tuple[int, int]]] = {}
        """By meter, first sequence and the one after the last of readings that the log says it lost."""
        self._prices: dict[int, tuple[int, ...]] = {}
        """Price, bounds, volume and reference price by epoch, of the first to come: the chain's event or the log's
        book."""
        self._passed: dict[Pubkey, dict[int, list[Reading]]] = {}
        """By meter and interval end, what the log let pass and the chain did not take yet."""
        self._addresses: dict[bytes, Pubkey] = {}
        """Meters' addresses on the chain, by meter id."""
        self._meters: dict[Pubkey, _Meter] = {}
        self._of_user: dict[Pubkey, list[_Meter]] = {}
        self._settling: dict[Pubkey, _Settling] = {}
        """By member, until one of its meters comes, goes or changes its status."""
        self._members: dict[Pubkey, _Member] = {}
        self._installations: dict[int, int] = {}
        self._to_mint: dict[Pubkey, int] = {}
        self._checkpointed: tuple[int, int] = (0, 0)
        """Epoch of the last checkpoint, and the log's size that it pins."""
        self._handlers: dict[str, list[Handler]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What is kept: all but the run's own."""
        own = ("idls", "_handlers", "_settling")
        return {name: value for name, value in super().__getstate__().items() if name not in own}

    def resume_with(self, find: Find, idls: Mapping[str, Idl], state: ChainState) -> None:
        """Go on in another run: with its findings, and the chain as it is by now."""
        self.idls = idls
        for part in (self, self.acts, self.governed, self.registers, self.money):
            part.resume(find, state)
        self._handlers, self._settling = {}, {}
        self._listen()

    def _listen(self) -> None:
        """Have each part hear of the events that it takes; only this one where the history does not reach back."""
        parts = (self.governed, self.acts, self.registers, self.money, self) if self.complete else (self,)
        for part in parts:
            for event, handler in part.handlers().items():
                self._handlers.setdefault(event, []).append(handler)

    def stands_at(self, meter_id: bytes) -> bytes | None:
        """The hash (16 bytes) of the last reading that the chain took of a meter and the log had let pass.

        None where the log says that it lost that reading.
        """
        meter = self._meters.get(programs.meter_address(meter_id))
        if meter is not None and meter.lost:
            return None
        return b"" if meter is None else meter.hash

    # The log's side

    def passed(self, meter_id: bytes, reading: Reading) -> None:
        """The log let a reading pass: it may be accepted from now on."""
        address = self._addresses.get(meter_id)
        if address is None:
            address = self._addresses[meter_id] = programs.meter_address(meter_id)
        meter, end = self._meters.get(address), reading.interval_end
        if meter is not None and end <= meter.interval_end:
            return
        waiting = self._passed.get(address)
        if waiting is None:
            waiting = self._passed[address] = {}
        if end in waiting:
            waiting[end].append(reading)
        else:
            waiting[end] = [reading]

    def lose(self, meter_id: bytes, first: int, following: int) -> None:
        """The log says that it lost a meter's readings [first, following), and could not get them back."""
        self._lost.setdefault(programs.meter_address(meter_id), []).append((first, following))

    def went_back(self, last_epoch: int, first: int, until: int) -> None:
        """The chain went back to the checkpoint of an epoch: later books, and acts of the leaves [first, until), were
        undone.
        """
        for epoch in [each for each in self._prices if each > last_epoch]:
            del self._prices[epoch]
        self.money.went_back(last_epoch)
        self.acts.undo(first, until)

    def book(self, book: Book) -> None:
        """The log has an epoch's final book: the chain must have cleared it so."""
        if self.complete:
            self.money.book(book)
        if not book.was_refunded:
            self._cleared(book.head)

    def _cleared(self, head: EpochBook) -> None:
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
        self.begun = True
        self._listen()
        if self.complete:
            return
        self.governed.begin_late()
        for address, meter in self.state.all(Meter):
            known = _Meter(
                meter.meter_id, ROLES[meter.role], meter.source, meter.installation, meter.user, meter.status
            )
            known.storages = [(0, meter.storage)]
            self._add(address, known)
            self._members[meter.user] = _Member(based=False)

    def apply(self, landed: Landed, events: Iterable[Taken]) -> None:
        """Take one transaction's events in."""
        self._to_mint.clear()
        handlers = self._handlers
        try:
            for name, data in events:
                for handler in handlers.get(name, ()):
                    handler(data, landed)
        except (KeyError, ChainError) as error:
            where = f"transaction {Signature.from_bytes(landed.signature)}"
            self.find("event_not_understood", where, f"an event cannot be replayed: {error!r}")

    def _on_installation_registered(self, data: Mapping[str, Any], _: Landed) -> None:
        self._installations[data["n"]] = data["storage"]

    def _on_meter_registered(self, data: Mapping[str, Any], _: Landed) -> None:
        meter_id = bytes(data["meter_id"])
        storage = self._installations.get(data["installation"], 0)
        meter = _Meter(meter_id, ROLES[data["role"]], data["source"], data["installation"], data["user"])
        meter.storages = [(0, storage)]
        self._add(programs.meter_address(meter_id), meter)

    def _on_installation_followed(self, data: Mapping[str, Any], landed: Landed) -> None:
        meter = self._registered(data)
        if self.governed.terms is not None:
            now = self.governed.terms.epoch(landed.time)
            meter.storages = [*[each for each in meter.storages if each[0] <= now][-1:]]
            meter.storages.append((data["from_epoch"], data["storage"]))

    def _on_meter_key_replaced(self, data: Mapping[str, Any], _: Landed) -> None:
        self._registered(data).changes += 1

    _on_meter_map_changed = _on_meter_key_replaced

    def _on_meter_status_changed(self, data: Mapping[str, Any], _: Landed) -> None:
        meter = self._registered(data)
        meter.changes += 1
        meter.status = data["after"]
        self._settling.pop(meter.user, None)

    def _on_meter_reassigned(self, data: Mapping[str, Any], _: Landed) -> None:
        meter = self._registered(data)
        meter.changes += 1
        self._of_user[meter.user].remove(meter)
        self._settling.pop(meter.user, None)
        meter.user = data["after"]
        if not data["boundary"]:
            meter.user_since = meter.changes
        self._give(meter)

    def _registered(self, data: Mapping[str, Any]) -> _Meter:
        return self._meters[programs.meter_address(bytes(data["meter_id"]))]

    def _accept(
        self, address: Pubkey, end: int, sequence: int, registers: tuple[int, ...]
    ) -> tuple[_Meter, Reading | None]:
        """The meter, and the reading of the log that an event speaks of; None where the log did not let one pass."""
        self.readings += 1
        meter = self._meters[address]
        waiting = self._passed.get(address, _NOTHING)
        found = None
        for each in waiting.get(end, ()):
            if each.sequence == sequence and each.registers == registers:
                found = each
                break
        if len(waiting) == 1 and found is not None:
            del waiting[end]
        elif waiting:
            for older in [each for each in waiting if each <= end]:
                del waiting[older]  # what was passed over never goes to the chain: a later reading carries its energy
        if found is None and any(first <= sequence < after for first, after in self._lost.get(address, ())):
            self.lost += 1
            meter.lost = True
        elif found is None:
            self.find(
                "reading_not_passed",
                f"meter {meter.meter_id.hex()[:16]}…",
                f"the chain took reading {sequence} of the interval that ended at {end}, which the log had "
                "not let pass by then",
            )
        return meter, found

    def _on_reading_accepted(self, data: Accepted, _: Landed) -> None:
        address, end, registers, sequence, flags = data
        meter, found = self._accept(address, end, sequence, registers)
        if not meter.interval_end:
            meter.settled = registers
        if found is not None:
            meter.read(found)
        else:
            meter.interval_end, meter.sequence, meter.registers = end, sequence, registers
            meter.flags, meter.hash = flags, b""
            meter.doubt |= flags & DOUBTFUL
        meter.begin_with_user()

    def _on_meter_rebased(self, data: Mapping[str, Any], landed: Landed) -> None:
        registers = tuple(data["after"])
        meter, found = self._accept(data["meter"], data["interval_end"], data["sequence"], registers)
        self.acts.rebased(landed, None if found is None else found.log_index)
        before = tuple(data["before"])
        if meter.interval_end and before != meter.registers:
            self.find("registers_differ", f"meter {meter.meter_id.hex()[:16]}…", "was rebased from other registers")
        meter.carried = tuple(
            kept + max(0, now - settled)
            for kept, now, settled in zip(meter.carried, before, meter.settled, strict=True)
        )
        meter.interval_end, meter.sequence, meter.registers = data["interval_end"], data["sequence"], registers
        meter.doubt |= FLAG_REGISTER_RESET
        if found is not None:
            meter.read(found)
        meter.settled = registers
        meter.begin_with_user()

    def _on_surplus_settled(self, data: Settled, _: Landed) -> None:
        wallet = data.wallet
        self.settlements += 1
        member = self._members.get(wallet)
        if member is None:
            member = self._members[wallet] = _Member()
        settling = self._settling.get(wallet)
        if settling is None:
            settling = self._settling[wallet] = _Settling.of(self._of(wallet))
        self._to_mint[wallet] = self._to_mint.get(wallet, 0) + data.minted
        if not member.based:
            self.given += 1
            member.based = all(meter.interval_end == data.to for meter in settling.meters)
        else:
            self._recompute(member, settling, data)
        member.boundary, member.bank = data.to, data.bank
        member.meters = settling.ids
        for meter in settling.meters:
            meter.mark_settled()

    def _recompute(self, member: _Member, settling: _Settling, data: Settled) -> None:
        terms, boundary, since, meters = self.governed.terms, data.to, member.boundary, settling.meters
        unchanged = member.meters == settling.ids
        together: list[_Meter] = []
        earlier: list[_Meter] = []
        for meter in meters:
            if meter.interval_end != boundary or terms is None:
                self._span_differs(data, "was settled where not all of the member's meters have a reading")
                return
            if meter.known:
                (together if meter.settled_end == since > 0 else earlier).append(meter)
            unchanged = unchanged and meter.settled_changes == meter.changes and not meter.doubt
        if terms is None:
            return
        epoch = terms.epoch(boundary) - 1
        parameters = terms.at(epoch)
        kind = span_kind(
            None if since == 0 else -(-(boundary - since) // terms.epoch_seconds),
            parameters["netting_epochs"],
            unchanged=unchanged and len(together) == len(meters),
        )
        efficiency = parameters["storage_efficiency_bps"]
        try:
            span = settle_span(
                _spans(together, epoch), member.bank, efficiency, kind, _spans(earlier, epoch) if earlier else ()
            )
        except SurplusError as error:
            self._span_differs(data, f"the signed registers are not a span by the rule: {error}")
            return
        member.add(span)
        self.minted_wh += span.mint
        self.withdrawn_wh += span.withdrawal
        began = 0 if kind is SpanKind.BASELINE else since
        found = (began, span.generation, span.consumption, span.charge, span.discharge, span.bank, span.mint,
                 span.withdrawal, kind)  # fmt: skip
        _, since, _, generated, consumed, charged, discharged, bank, minted, withdrawn, _, said_kind = data
        said = (since, generated, consumed, charged, discharged, bank, minted, withdrawn, said_kind)
        if said != found:
            for name, now, then in zip(SPAN, said, found, strict=True):
                if now != then:
                    self._span_differs(data, f"the chain says {name} {now}, by the rule it is {then}")

    def _span_differs(self, data: Settled, message: str) -> None:
        self.find("span_differs", f"member {data.wallet}, boundary {data.to}", message)

    def _of(self, wallet: Pubkey) -> list[_Meter]:
        return self._of_user.get(wallet, [])

    def _add(self, address: Pubkey, meter: _Meter) -> None:
        self._meters[address] = meter
        self._give(meter)

    def _give(self, meter: _Meter) -> None:
        self._of_user.setdefault(meter.user, []).append(meter)
        self._settling.pop(meter.user, None)

    def _on_idle_meter_settled(self, data: Mapping[str, Any], _: Landed) -> None:
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

    def _on_energy_minted_to_seat(self, data: Mapping[str, Any], _: Landed) -> None:
        # What goes to a token account has no event of its own: the mint's supply tells of it.
        settled = self._to_mint.pop(data["wallet"], 0)
        if settled != data["amount"]:
            amount = data["amount"]
            self.find("mint_differs", f"member {data['wallet']}", f"{amount} Wh were minted, {settled} Wh settled")

    def _on_epoch_cleared(self, data: Mapping[str, Any], _: Landed) -> None:
        names = ("price", "lowest_price", "highest_price", "volume", "reference_price")
        self._meet(data["epoch"], tuple(data[name] for name in names))

    def _on_checkpointed(self, data: Mapping[str, Any], _: Landed) -> None:
        epoch = data["epoch"]
        if self.complete and data["minted"] != self.minted_wh:
            message = f"pins {data['minted']} Wh minted, by the signed readings it is {self.minted_wh}"
            self.find("minted_differs", f"epoch {epoch}", message)
        account = self.state.account(EpochCheckpoint, programs.checkpoint_address(epoch))
        if account is None:
            self.find("checkpoint_gap", f"epoch {epoch}", "was checkpointed, and the chain has no account of it")
            return
        names = ("epoch", "log_size", "log_root", "book_hash", "minted", "energy_supply", "credit_supply")
        said = ((name, getattr(account, name), data[name]) for name in names)
        compare(
            self.find,
            f"epoch {epoch}",
            *((name, now, bytes(then) if isinstance(now, bytes) else then) for name, now, then in said),
        )
        if self.complete:
            compare(
                self.find,
                f"epoch {epoch}",
                ("withdrawn", account.withdrawn, self.withdrawn_wh),
                ("settlements", account.settlements, self.settlements),
            )
            if data["energy_supply"] > data["minted"] - self.money.retired_wh:
                message = f"pins {data['energy_supply']} Wh in all, and {data['minted']} Wh were minted"
                self.find("not_conserved", f"epoch {epoch}", f"{message}, {self.money.retired_wh} Wh of them retired")
        self._checkpointed = epoch, data["log_size"]

    # The end

    def finish(self, *, whole: bool) -> None:
        """Compare what came out with the accounts; `whole`: the history has the transactions of the market too."""
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
            compare(
                self.find,
                "oracle",
                ("minted", oracle.minted, self.minted_wh),
                ("withdrawn", oracle.withdrawn, self.withdrawn_wh),
                ("settlements", oracle.settlements, self.settlements),
                ("last_epoch", oracle.last_epoch, self._checkpointed[0]),
                ("log_size", oracle.log_size, self._checkpointed[1]),
            )
        accounts = {account.wallet: account for _, account in self.state.all(EnergyAccount)}
        for wallet, member in self._members.items():
            account = accounts.pop(wallet, None)
            if account is None:
                self.find("account_missing", f"member {wallet}", "was settled, and has no EnergyAccount")
                continue
            compare(
                self.find,
                f"member {wallet}",
                ("boundary", account.boundary, member.boundary),
                ("bank", account.bank, member.bank),
                *((name, getattr(account, name), member.totals[name]) for name in TOTALS),
            )
        for wallet, account in accounts.items():
            compare(
                self.find, f"member {wallet}", *((name, getattr(account, name), 0) for name in ("boundary", *TOTALS))
            )
        self.governed.finish()
        self.registers.finish()
        self.money.finish(whole=whole)
        self.acts.finish()
        self._compare_meters()

    def _compare_meters(self) -> None:
        for address, meter in self.state.all(Meter):
            where, replayed = f"meter {meter.meter_id.hex()[:16]}…", self._meters.get(address)
            if replayed is None:
                self.find("account_differs", where, "is registered, and no event says so")
        for _, state in self.state.all(MeterState):
            replayed = self._meters.get(state.meter)
            if replayed is None:
                self.find("account_differs", f"meter at {state.meter}", "has a state, and no event registered it")
                continue
            where = f"meter {replayed.meter_id.hex()[:16]}…"
            names = [name for name in STATE if not (replayed.lost and name in OF_THE_RECORD)]
            compare(self.find, where, *((name, getattr(state, name), getattr(replayed, name)) for name in names))

    def behind(self) -> Iterable[tuple[bytes, list[Reading]]]:
        """Meters with readings that passed and did not reach the chain in time: id, and the readings, oldest first.

        A reading may wait while another of the member's meters has none for a boundary, and all may while governance
        has paused readings: those are not counted, nor what the chain refused for good, where the log says so.
        """
        config = self.state.account(Config, programs.config_address())
        if config is None or config.pause & Pause.READINGS:
            return
        parameters = parameters_in(config, self.state.now // config.epoch_seconds)
        due = self.state.now - parameters.grace_seconds - config.epoch_seconds
        standing = {state.meter: state.interval_end for _, state in self.state.all(MeterState)}
        for address, meter in self._meters.items():
            late = [
                each
                for end, readings in sorted(self._passed.get(address, {}).items())
                if standing.get(address, 0) < end <= due
                for each in readings
                if each.log_index not in self.acts.refused
            ]
            if not late or meter.status != Status.ACTIVE:
                continue
            others = [
                programs.meter_address(each.meter_id)
                for each in self._of(meter.user)
                if each is not meter and each.settles and each.status == Status.ACTIVE and meter.settles
            ]
            oldest = late[0].interval_end
            if all(max([standing.get(each, 0), *self._passed.get(each, ())]) >= oldest for each in others):
                yield meter.meter_id, late


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
