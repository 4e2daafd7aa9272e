"""No choice of when to send, to be silent, to change a key or a meter leaves a member better off than honest sending.

Random members with every set of meters that settles, the same flows twice on the real programs: once each meter sends
at each boundary, once as the member likes. What it pays, at retail, less what its tokens are worth, at any price from
feed-in to retail, is never less. Two things are the department's own hand, and happen alike in both: a meter that is
installed later is read then, for what it showed before is nobody's; and registers are not reset.
SENDING_LIVES and SENDING_SEED make it more members, and others.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from campus import ACTIVE, PROSUMER, SUSPENDED, Campus, Member, SimulatedMeter, key

from authority.chain import programs
from authority.chain.accounts import SpanKind
from authority.settlement.surplus import MeterSpan, settle_span
from edge_agent.wire.reading import FLAG_DATA_DOUBTFUL, FLAG_ESTIMATED, FLAG_TAMPER

LIVES = int(os.environ.get("SENDING_LIVES", "60"))
SEED = int(os.environ.get("SENDING_SEED", "0"))
RETAIL, FEED_IN = 300, 50
STORAGE, EFFICIENCY = 50_000, 9_000
Flows = tuple[int, int, int, int]
"""Generation, consumption, charge and discharge of an epoch, Wh."""
SETS = {
    "building": ("building",),
    "parts": ("generation", "storage", "load"),
    "another load": ("generation", "load", "load"),
    "grid": ("generation", "storage", "grid"),
    "flat": ("load",),
}


def measured(role: str, flows: Flows, part: int | None = None) -> Flows:
    """What a meter of that role measures; a load meter the part of the consumption that goes through it."""
    g, c, q, d = flows
    net = g + d - c - q
    return {
        "building": flows,
        "generation": (g, 0, 0, 0),
        "storage": (0, 0, q, d),
        "load": (0, c if part is None else part, 0, 0),
        "grid": (max(0, net), max(0, -net), 0, 0),
    }[role]


@dataclass
class Gateway:
    """A meter, what it measured and sent so far, and when it sends."""

    meter: SimulatedMeter
    role: str
    joins: int
    """The epoch after which it is installed; 0 for those that are there at the beginning."""
    sends: set[int]
    back_fills: bool
    read: int = 0
    """The last epoch that it sent."""
    pending: list[int] = field(default_factory=list)
    changes: dict[int, str] = field(default_factory=dict)
    flags: dict[int, int] = field(default_factory=dict)


@dataclass
class Life:
    """A member's flows and what it chooses; honest, it sends everything in time and changes nothing."""

    kind: str
    days: list[Flows]
    netting: int
    seed: int

    @property
    def joins(self) -> int:
        """When another load meter is installed, which takes half of the load; beyond the end where none is."""
        return self.seed % len(self.days) if self.kind == "another load" else len(self.days)

    def flow(self, gateway: Gateway, epoch: int) -> Flows:
        """What a gateway's meter measures in an epoch."""
        flows = self.days[epoch - 1]
        half = flows[1] // 2
        part = None if epoch <= self.joins else half if gateway.joins else flows[1] - half
        return measured(gateway.role, flows, part)

    def gateways(self, campus: Campus, member: Member, *, honest: bool) -> list[Gateway]:
        """The member's meters; a second load meter is installed later."""
        chance, length = random.Random(self.seed), len(self.days)  # noqa: S311 - a test, to be repeated
        made = []
        for number, role in enumerate(SETS[self.kind]):
            source = "solar" if role in ("generation", "building") else "none"
            later = any(gateway.role == role for gateway in made) and self.joins > 0
            name = f"{role} {number}"
            meter = campus.new_meter(name, role) if later else campus.add_meter(member, name, role, source)
            often = chance.choice((0.2, 0.5, 0.9))
            sends = {n for n in range(1, length) if honest or chance.random() < often} | {length}
            gateway = Gateway(meter, role, self.joins if later else 0, sends, chance.random() < 0.5)
            if not honest:
                for n in range(1, length + 1):
                    if chance.random() < 0.15:
                        gateway.changes[n] = chance.choice(("key", "map", "away", "member", "idle"))
                    if chance.random() < 0.1:
                        gateway.flags[n] = chance.choice((FLAG_TAMPER, FLAG_ESTIMATED, FLAG_DATA_DOUBTFUL))
            made.append(gateway)
        return made

    def cost(self, worth: int, *, honest: bool) -> int:
        """What the member pays less what its tokens are worth, in micro-credits."""
        campus = Campus(parameters={"netting_epochs": self.netting})
        member = campus.register_user("alice", PROSUMER)
        everybody = self.gateways(campus, member, honest=honest)
        gateways: list[Gateway] = []
        for now in range(len(self.days) + 1):
            campus.set_time(campus.boundary(1 + now))
            for gateway in everybody:
                if gateway.joins == now:
                    self.install(campus, member, gateway, now)
                    gateways.append(gateway)
            if now == 0:
                campus.settle(member, campus.boundary(1), *(gateway.meter for gateway in gateways))
                continue
            for gateway in gateways:
                if gateway.joins == now:
                    continue
                if change := gateway.changes.get(now):
                    self.change(campus, member, gateway, change)
                if now in gateway.sends:
                    gateway.pending += range(gateway.read + 1, now + 1) if gateway.back_fills else [now]
            self.carry(campus, member, gateways, now)
        found = campus.account("oracle", member.energy_account)
        assert found["minted"] + found["bank"] <= found["surplus"]
        return int(found["withdrawn"]) * RETAIL - int(found["minted"]) * worth

    @staticmethod
    def install(campus: Campus, member: Member, gateway: Gateway, now: int) -> None:
        """The meter is registered, where it is not yet, and read for the first time."""
        meter = gateway.meter
        if now:
            installation = campus.register_installation()
            campus.send(meter.possession(), campus.register_meter_instruction(meter, member, installation))
            campus.send(campus.open_meter_instruction(meter, member))
        campus.submit((meter, meter.read(campus.boundary(1 + now))))
        gateway.read = now

    def carry(self, campus: Campus, member: Member, gateways: list[Gateway], now: int) -> None:
        """Readings go to the chain in the order of their boundaries; what stands at one boundary is settled there."""
        for n in sorted({each for gateway in gateways for each in gateway.pending} | {now}):
            boundary = campus.boundary(1 + n)
            for gateway in gateways:
                if n not in gateway.pending:
                    continue
                steps = [self.flow(gateway, epoch) for epoch in range(gateway.read + 1, n + 1)]
                step = [sum(column) for column in zip(*steps, strict=True)]
                flags = gateway.flags.get(n, 0)
                campus.submit((gateway.meter, gateway.meter.read(boundary, *step, flags=flags)))
                gateway.read = n
            if all(gateway.read == n for gateway in gateways):
                campus.settle(member, boundary, *(gateway.meter for gateway in gateways))
        for gateway in gateways:
            gateway.pending = []

    @staticmethod
    def change(campus: Campus, member: Member, gateway: Gateway, change: str) -> None:
        """One of the things that may change about a meter or its member."""
        meter, operator = gateway.meter, {"operator": campus.operator.pubkey()}

        def registry(name: str, args: dict[str, Any], **accounts: Any) -> None:
            campus.send(campus.instruction("registry", name, args, operator | accounts))

        def status(code: int) -> None:
            registry("set_meter_status", {"status": code}, user=member.user, meter=meter.meter)

        if change == "key":
            new = key(f"another key after {bytes(meter.key.pubkey()).hex()}")
            use = programs.key_use_address(bytes(new.pubkey()))
            replaced = campus.instruction(
                "registry",
                "replace_meter_key",
                {"first_sequence": 1},
                operator | {"meter": meter.meter, "key_use": use},
            )
            campus.send(meter.possession(1, key=new), replaced)
            meter.key, meter.sequence, meter.previous_hash = new, 0, bytes(16)
        elif change == "map":
            meter.map_hash = bytes(random.Random(bytes(meter.map_hash)).randbytes(32))  # noqa: S311 - a test's choice
            registry("set_meter_map", {"map_hash": meter.map_hash}, meter=meter.meter)
        elif change == "member":
            for code in (SUSPENDED, ACTIVE):
                registry("set_user_status", {"status": code}, user=member.user)
        else:
            status(SUSPENDED)
            state = campus.account("oracle", meter.state)
            if change == "idle" and state["settled_end"] != state["interval_end"]:
                accounts = {"user": member.user, "energy_account": member.energy_account}
                accounts |= {"meter": meter.meter, "meter_state": meter.state}
                campus.send(campus.instruction("oracle", "settle_idle_meter", {}, operator | accounts))
            status(ACTIVE)


def a_life(number: int, netting: int) -> Life:
    """One of the random members; the same for the same SEED."""
    chance = random.Random(f"{SEED} {number}")  # noqa: S311 - a test, to be repeated
    kind = chance.choice(list(SETS))
    most = [chance.choice((0, 900, 9_000)) if part else 9_000 for part in range(4)]
    if kind in ("flat", "another load"):
        most[2:] = [0, 0]
    if kind == "flat":
        most[0] = 0
    days: list[Flows] = []
    for _ in range(chance.randint(2, 9)):
        g, c, q, d = (chance.randint(0, top) for top in most)
        days.append((g, c, q, min(d, 5_000)))
    return Life(kind, days, netting, chance.randrange(2**32))


def partitions(length: int, most: int) -> Iterator[list[int]]:
    """Every way to cut so many epochs into spans of at most `most`."""
    if length == 0:
        yield []
    for first in range(1, min(most, length) + 1):
        for rest in partitions(length - first, most):
            yield [first, *rest]


def least(life: Life, worth: int) -> int:
    """The least that any netting within netting_epochs costs, by the rule in Python."""
    grid = life.kind == "grid"

    def cost(spans: list[int]) -> int:
        begin, bank, total = 0, 0, 0
        for length in spans:
            part = life.days[begin : begin + length]
            g, c, q, d = (sum(column) for column in zip(*part, strict=True))
            meters = [MeterSpan("storage", storage_wh=STORAGE, charge=q, discharge=d)]
            if grid:
                given, taken = (sum(each) for each in zip(*(measured("grid", f)[:2] for f in part), strict=True))
                meters.append(MeterSpan("grid", consumption=taken, generation=given))
            else:
                meters.append(MeterSpan("load", consumption=c))
            if life.kind != "flat":
                meters.append(MeterSpan("generation", 1, generation=g))
            span = settle_span(meters, bank, EFFICIENCY, SpanKind.NETTED)
            total += RETAIL * span.withdrawal - worth * span.mint
            begin, bank = begin + length, span.bank
        return total

    return min(cost(spans) for spans in partitions(len(life.days), life.netting))


@pytest.mark.finding("chain-7")
@pytest.mark.finding("chain-8")
@pytest.mark.parametrize("number", range(LIVES))
def test_no_choice_leaves_a_member_better_off_than_honest_sending(number: int) -> None:
    """Exactly so where a span nets one epoch."""
    life = a_life(number, netting=1)
    for worth in (FEED_IN, RETAIL):
        assert life.cost(worth, honest=False) >= life.cost(worth, honest=True), life


@pytest.mark.finding("chain-8")
@pytest.mark.parametrize("number", range(LIVES // 2))
def test_a_member_nets_within_netting_epochs_and_no_further(number: int) -> None:
    """What the parameter grants is all that silence can bring."""
    life = a_life(number, netting=4)
    for worth in (FEED_IN, RETAIL):
        assert life.cost(worth, honest=False) >= least(life, worth), life
