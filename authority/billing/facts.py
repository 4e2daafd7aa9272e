"""What the chain's events say that bills are made of: withdrawals, retirements, credits, and when which price held.

A pure fold over the events in the chain's order. Energies are Wh, amounts micro-credits, times Unix seconds, prices
micro-credit per kWh; a member is named by the wallet that it registered with, in base58.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from authority.billing.errors import HistoryIncompleteError, PeriodOpenError, PeriodUnknownError
from authority.chain import programs
from authority.chain.idl import Event

RELEVANT = {
    "governance": ("Initialized", "ParametersStaged", "BillingPeriodOpened"),
    "registry": ("UserRegistered", "MeterRegistered", "MeterReassigned"),
    "oracle": ("SurplusSettled", "IdleMeterSettled"),
    "energy_token": ("EnergyRetired", "CreditIssued", "CreditRedeemed"),
    "trading": (),
}
"""The events that are looked at, by program."""


class Withdrawal(NamedTuple):
    """What a span withdrew: booked in `period`; it began at `since` and ended at `until`; meters: whose readings.

    A tuple, because each span of a campus makes one.
    """

    member: str
    period: int
    since: int
    until: int
    wh: int
    meters: tuple[bytes, ...]


class Retirement(NamedTuple):
    """Energy that was retired for a period: against withdrawals, or fed in for so many credits. A tuple likewise."""

    member: str
    period: int
    wh: int
    credits: int
    fed_in: bool
    epoch: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class CreditMoved:
    """Credits that the operator issued to a member (positive) or that it gave back (negative), in the open period."""

    member: str
    period: int
    amount: int
    epoch: int
    signature: bytes


@dataclass(slots=True)
class Share:
    """A member's part of a period's facts, each kind in the chain's order."""

    withdrawals: list[Withdrawal] = field(default_factory=list)
    retirements: list[Retirement] = field(default_factory=list)
    credits: list[CreditMoved] = field(default_factory=list)


@dataclass
class Facts:
    """The state of the fold. `only`: the period of which the single facts are kept; None keeps all."""

    only: int | None = None
    epoch_seconds: int = 0
    withdrawals: list[Withdrawal] = field(default_factory=list)
    retirements: list[Retirement] = field(default_factory=list)
    credits: list[CreditMoved] = field(default_factory=list)
    first_epochs: dict[int, int] = field(default_factory=dict)
    """With which epoch each billing period began."""
    members: dict[int, str] = field(default_factory=dict)
    """Members by their index."""
    meters: dict[bytes, str] = field(default_factory=dict)
    """The member of each meter, by meter id."""
    boundaries: dict[str, int] = field(default_factory=dict)
    """Up to when each member was settled last."""
    _prices: list[tuple[int, int]] = field(default_factory=list)
    _addresses: dict[str, bytes] = field(default_factory=dict)
    _of_member: dict[str, list[bytes]] = field(default_factory=dict)

    @property
    def open_period(self) -> int:
        """The billing period that is open where the events end."""
        return max(self.first_epochs, default=0)

    def end_epoch(self, period: int) -> int:
        """The first epoch after a period that has ended; BillingError `period_open`, `period_unknown`."""
        if period not in self.first_epochs:
            known = f"0 to {self.open_period}" if self.first_epochs else "none"
            raise PeriodUnknownError(f"there is no billing period {period}; the chain has {known}")
        if period + 1 not in self.first_epochs:
            raise PeriodOpenError(f"billing period {period} is still open on the chain: wait for its end")
        return self.first_epochs[period + 1]

    def period_of(self, boundary: int) -> int:
        """The billing period in which a span that ends at the boundary ended."""
        found = 0
        for period, first in reversed(self.first_epochs.items()):  # they were opened one after another
            if first * self.epoch_seconds < boundary:
                found = period
                break
        return found

    def retail_price(self, epoch: int) -> int:
        """The retail price in that epoch, micro-credit per kWh."""
        return next((price for first, price in reversed(self._prices) if first <= epoch), self._prices[0][1])

    def shares(self, period: int, member: str | None = None) -> Iterator[tuple[str, Share]]:
        """What there is of each member in a period, in the order of the members' indexes; or of one member alone."""
        found: dict[str, Share] = {}
        for withdrawal in self.withdrawals:
            if withdrawal.period == period:
                found.setdefault(withdrawal.member, Share()).withdrawals.append(withdrawal)
        for retirement in self.retirements:
            if retirement.period == period:
                found.setdefault(retirement.member, Share()).retirements.append(retirement)
        for moved in self.credits:
            if moved.period == period:
                found.setdefault(moved.member, Share()).credits.append(moved)
        for _, each in self.indexed(member):
            yield each, found.get(each) or Share()

    def indexed(self, member: str | None = None) -> list[tuple[int, str]]:
        """The members by their indexes, or one of them."""
        return sorted(each for each in self.members.items() if member in (None, each[1]))

    def drawn(self, period: int, member: str) -> Iterator[Withdrawal]:
        """What a member withdrew in a period."""
        return (each for each in self.withdrawals if each.period == period and each.member == member)

    def last_epoch(self, until: int) -> int:
        """The epoch that ends at a boundary, or in which it lies."""
        return -(-until // self.epoch_seconds) - 1

    def apply(self, time: int, signature: bytes, events: Iterable[Event]) -> None:
        """Take in what one transaction logged at that time."""
        for event in events:
            handler = getattr(self, f"_on_{event.name}", None)
            if handler is None:
                continue
            if not self.epoch_seconds and event.name != "Initialized":
                raise HistoryIncompleteError(
                    "the chain's history does not reach back to the deployment, so nothing can be billed from it: "
                    "name a validator that has all of it in [validator] url",
                )
            handler(event.data, time, signature)

    def _keeps(self, period: int) -> bool:
        return self.only is None or self.only == period

    def _on_Initialized(self, data: Mapping[str, Any], _: int, __: bytes) -> None:  # noqa: N802 - the event's name
        self.epoch_seconds = data["epoch_seconds"]
        self.first_epochs[0] = data["first_epoch"]
        self._prices.append((0, data["parameters"]["retail_price"]))

    def _on_ParametersStaged(self, data: Mapping[str, Any], time: int, _: bytes) -> None:  # noqa: N802
        current = time // self.epoch_seconds
        self._prices = [each for each in self._prices if each[0] <= current]  # what was not yet due is replaced
        self._prices.append((data["from_epoch"], data["parameters"]["retail_price"]))

    def _on_BillingPeriodOpened(self, data: Mapping[str, Any], _: int, __: bytes) -> None:  # noqa: N802
        self.first_epochs[data["period"]] = data["first_epoch"]

    def _on_UserRegistered(self, data: Mapping[str, Any], _: int, __: bytes) -> None:  # noqa: N802
        self.members[data["member_index"]] = str(data["wallet"])

    def _on_MeterRegistered(self, data: Mapping[str, Any], _: int, __: bytes) -> None:  # noqa: N802
        meter_id = bytes(data["meter_id"])
        self._give(meter_id, str(data["user"]))
        self._addresses[str(programs.meter_address(meter_id))] = meter_id

    def _on_MeterReassigned(self, data: Mapping[str, Any], _: int, __: bytes) -> None:  # noqa: N802
        meter_id = bytes(data["meter_id"])
        self._of_member[self.meters[meter_id]].remove(meter_id)
        self._give(meter_id, str(data["after"]))

    def _give(self, meter_id: bytes, member: str) -> None:
        self.meters[meter_id] = member
        bisect.insort(self._of_member.setdefault(member, []), meter_id)

    def _on_SurplusSettled(self, data: Mapping[str, Any], _: int, __: bytes) -> None:  # noqa: N802
        member, until = str(data["wallet"]), data["to"]
        since = data["from"] or self.boundaries.get(member, until)
        self.boundaries[member] = until
        if data["withdrawn"] and self._keeps(data["period"]):
            meters = tuple(self._of_member.get(member, ()))
            self.withdrawals.append(Withdrawal(member, data["period"], since, until, data["withdrawn"], meters))

    def _on_IdleMeterSettled(self, data: Mapping[str, Any], _: int, __: bytes) -> None:  # noqa: N802
        if data["withdrawn"] and self._keeps(data["period"]):
            member, meter = str(data["wallet"]), self._addresses[str(data["meter"])]
            self.withdrawals.append(
                Withdrawal(member, data["period"], data["from"], data["to"], data["withdrawn"], (meter,))
            )

    def _on_EnergyRetired(self, data: Mapping[str, Any], time: int, signature: bytes) -> None:  # noqa: N802
        if self._keeps(data["period"]):
            epoch, fed_in = time // self.epoch_seconds, bool(data["reason"])
            self.retirements.append(
                Retirement(
                    str(data["wallet"]), data["period"], data["amount"], data["credits"], fed_in, epoch, signature
                )
            )

    def _on_CreditIssued(self, data: Mapping[str, Any], time: int, signature: bytes) -> None:  # noqa: N802
        self._credit(data, data["amount"], time, signature)

    def _on_CreditRedeemed(self, data: Mapping[str, Any], time: int, signature: bytes) -> None:  # noqa: N802
        self._credit(data, -data["amount"], time, signature)

    def _credit(self, data: Mapping[str, Any], amount: int, time: int, signature: bytes) -> None:
        if self._keeps(self.open_period):
            epoch = time // self.epoch_seconds
            self.credits.append(CreditMoved(str(data["wallet"]), self.open_period, amount, epoch, signature))
