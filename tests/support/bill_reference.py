"""What each member's bill comes to, worked out a second time from the log's leaves and the chain's events alone.

    python tests/support/bill_reference.py BUNDLE

reads what `authority audit export --bundle` wrote, and prints JSON, an object for each member and period: `period`,
`wallet`, `wh` and `amount` (micro-credits) by kind of line, `due`, and the
leaves of what was withdrawn (`leaves`) and retired (`acts`).

Written apart from authority.billing, and otherwise: it keeps a running account a member and period, covers each
withdrawal as the chain books it, and finds a reading's leaf by the reading that the chain accepted.
"""

from __future__ import annotations

import json
import struct
import sys
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from solders.signature import Signature

from authority.chain import programs
from authority.chain.accounts import EpochBook, Order
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.chain.idl import Event, Idl
from edge_agent.wire.reading import Frame

READING, ACT, BOOK = 1, 2, 3


@dataclass
class Account:
    """A member's period: Wh and micro-credits by kind of line, and the leaves of its withdrawals."""

    wh: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    amount: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    leaves: set[int] = field(default_factory=set)
    acts: set[int] = field(default_factory=set)
    """The leaves of the acts by which the authority retired."""
    drawn: list[list[int]] = field(default_factory=list)
    """[Wh not yet covered, retail price, period in which the span ended], in the chain's order."""
    owed: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    """Wh left to pay, by price and period."""

    @property
    def due(self) -> int:
        return sum(self.amount[kind] for kind in ("remainder", "estimate", "estimate_withdrawn", "correction"))


def events_of(client: ChainClient) -> list[tuple[int, Signature, list[Event]]]:
    """Everything that succeeded, oldest first: time, signature, events."""
    found = []
    for signature in reversed(client.signatures(programs.config_address(), limit=1 << 30)):
        record = client.transaction(signature)
        assert record is not None
        if record.error is None:
            logged: list[Event] = []
            for name in PROGRAM_NAMES:
                logged += client.idl(name).events(record.logs)
            found.append((record.time, signature, logged))
    return found


def in_bundle(path: Path) -> Reference:
    """The same of a bundle, whose members are read here byte by byte."""
    with zipfile.ZipFile(path) as archive:
        idls = {name: Idl(json.loads(archive.read(f"idl/{name}.json"))) for name in PROGRAM_NAMES}
        leaves = list(_leaves(archive.read("leaves")))
        return Reference(leaves, list(_transactions(archive.read("history"), idls)))


def _leaves(data: bytes) -> Iterator[bytes]:
    """length u32, the leaf, its hash (32 bytes)."""
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        yield data[at + 4 : at + 4 + size]
        at += 4 + size + 32


def _transactions(data: bytes, idls: dict[str, Idl]) -> Iterator[tuple[int, Signature, list[Event]]]:
    """time i64, signature (64 bytes), events u16; of each event the program u8, length u16, bytes."""
    at = 0
    while at < len(data):
        time, signature, count = struct.unpack_from("<q64sH", data, at)
        at += 74
        events = []
        for _ in range(count):
            program, size = struct.unpack_from("<BH", data, at)
            at += 3 + size
            event = idls[PROGRAM_NAMES[program]].decode_event(data[at - size : at])
            if event is not None:
                events.append(event)
        yield time, Signature.from_bytes(signature), events


class Reference:
    """The accounts of all members and periods; `of(period)` gives one period's."""

    def __init__(self, leaves: list[bytes], events: list[tuple[int, Signature, list[Event]]]) -> None:
        self.accounts: dict[tuple[int, str], Account] = defaultdict(Account)
        self.firsts: list[int] = []
        self.retail: list[tuple[int, int]] = []
        self.seconds = 0
        self.members: dict[int, str] = {}
        self.accepted: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.owner: dict[str, str] = {}
        self.readings = self._readings(leaves)
        self.retiring = self._retiring(leaves)
        for time, signature, logged in events:
            self.signature = str(signature)
            for event in logged:
                getattr(self, event.name, lambda *_: None)(event.data, time)
        for account in self.accounts.values():
            for left, price, of_period in account.drawn:
                account.owed[price, of_period] += left
            account.amount["remainder"] = sum(
                floor(Fraction(wh * price, 1000)) for (price, _), wh in account.owed.items()
            )
            account.wh["remainder"] = sum(account.owed.values())
        self._books(leaves)
        self._acts(leaves)

    def of(self, period: int) -> dict[str, Account]:
        return {wallet: account for (each, wallet), account in self.accounts.items() if each == period}

    def as_json(self) -> list[dict[str, Any]]:
        """All accounts, as the command prints them."""
        return [
            {
                "period": period,
                "wallet": wallet,
                "wh": account.wh,
                "amount": account.amount,
                "due": account.due,
                "leaves": sorted(account.leaves),
                "acts": sorted(account.acts),
            }
            for (period, wallet), account in sorted(self.accounts.items())
        ]

    # The log

    @staticmethod
    def _readings(leaves: list[bytes]) -> dict[tuple[bytes, int, int], int]:
        """Leaf by key, interval end and sequence."""
        found = {}
        for index, leaf in enumerate(leaves):
            if leaf[0] == READING:
                frame = Frame.from_bytes(leaf[12:])
                found[frame.public_key, frame.record.interval_end, frame.record.sequence] = index
        return found

    @staticmethod
    def _retiring(leaves: list[bytes]) -> dict[tuple[str, str], int]:
        """Leaf of the act by transaction and member."""
        found = {}
        for index, leaf in enumerate(leaves):
            if leaf[0] == ACT and (act := json.loads(leaf[1:]))["kind"] == "retire_energy":
                found[act["data"]["signature"], act["data"]["wallet"]] = index
        return found

    def _books(self, leaves: list[bytes]) -> None:
        for leaf in leaves:
            if leaf[0] != BOOK:
                continue
            data = zlib.decompress(leaf[5:])
            head = EpochBook.from_account(data)
            at, size = EpochBook.size(), Order.FORMAT.size
            for n, order in enumerate(Order.array(data, at, head.bid_count + head.ask_count)):
                assert size
                account = self.accounts[self._period_of_epoch(head.epoch), self.members[order.member]]
                value = Fraction(order.filled * head.price, 1000)
                if order.filled and n < head.bid_count:
                    paid = ceil(Fraction(order.filled * (head.price + head.wheeling), 1000))
                    account.wh["bought"] += order.filled
                    account.amount["bought"] += ceil(value)
                    account.amount["wheeling"] += paid - ceil(value)
                elif order.filled:
                    account.wh["sold"] += order.filled
                    account.amount["sold"] -= floor(value)
                    account.amount["fee"] += floor(Fraction(floor(value) * head.fee_bps, 10_000))

    def _acts(self, leaves: list[bytes]) -> None:
        acts = [(index, json.loads(leaf[1:])) for index, leaf in enumerate(leaves) if leaf[0] == ACT]
        closed = sorted((index, act["data"]["period"]) for index, act in acts if act["kind"] == "billing_period_closed")
        estimates = {index: act["data"] for index, act in acts if act["kind"] == "consumption_estimated"}
        gone = {act["data"]["correction"] for _, act in acts if act["kind"] == "correction_withdrawn"}
        for index, act in acts:
            data = act["data"]
            if index in gone:
                continue
            period = next((period for at, period in closed if index < at), None)
            if period is None:
                continue
            if act["kind"] == "bill_corrected":
                self.accounts[period, data["wallet"]].amount["correction"] += data["amount"]
            elif act["kind"] in ("consumption_estimated", "estimate_withdrawn"):
                entered = estimates[data["estimate"]] if act["kind"] == "estimate_withdrawn" else data
                kind, sign = ("estimate_withdrawn", -1) if act["kind"] == "estimate_withdrawn" else ("estimate", 1)
                value = floor(Fraction(entered["wh"] * self._price(entered["end_epoch"] - 1), 1000))
                self.accounts[period, data["wallet"]].amount[kind] += sign * value
                self.accounts[period, data["wallet"]].wh[kind] += sign * entered["wh"]

    # The chain, event by event

    def Initialized(self, data: Any, _: int) -> None:  # noqa: N802 - the event's name
        self.seconds, self.firsts = data["epoch_seconds"], [data["first_epoch"]]
        self.retail = [(0, data["parameters"]["retail_price"])]

    def ParametersStaged(self, data: Any, time: int) -> None:  # noqa: N802
        while self.retail[-1][0] > time // self.seconds:
            self.retail.pop()
        self.retail.append((data["from_epoch"], data["parameters"]["retail_price"]))

    def BillingPeriodOpened(self, data: Any, _: int) -> None:  # noqa: N802
        assert data["period"] == len(self.firsts)
        self.firsts.append(data["first_epoch"])

    def UserRegistered(self, data: Any, _: int) -> None:  # noqa: N802
        self.members[data["member_index"]] = str(data["wallet"])

    def MeterRegistered(self, data: Any, _: int) -> None:  # noqa: N802
        address = str(programs.meter_address(bytes(data["meter_id"])))
        self.owner[address] = str(data["user"])
        self.keys = {**getattr(self, "keys", {}), address: bytes(data["key"])}

    def MeterKeyReplaced(self, data: Any, _: int) -> None:  # noqa: N802
        self.keys[str(programs.meter_address(bytes(data["meter_id"])))] = bytes(data["after"])

    def MeterReassigned(self, data: Any, _: int) -> None:  # noqa: N802
        self.owner[str(programs.meter_address(bytes(data["meter_id"])))] = str(data["after"])

    def ReadingAccepted(self, data: Any, _: int) -> None:  # noqa: N802
        address = str(data["meter"])
        leaf = self.readings[self.keys[address], data["interval_end"], data["sequence"]]
        self.accepted[address].append((data["interval_end"], leaf))

    MeterRebased = ReadingAccepted

    def SurplusSettled(self, data: Any, _: int) -> None:  # noqa: N802
        meters = [address for address, owner in self.owner.items() if owner == str(data["wallet"])]
        self._withdrawn(data, meters)

    def IdleMeterSettled(self, data: Any, _: int) -> None:  # noqa: N802
        self._withdrawn(data, [str(data["meter"])])

    def _withdrawn(self, data: Any, meters: list[str]) -> None:
        if not data["withdrawn"]:
            return
        account = self.accounts[data["period"], str(data["wallet"])]
        ended_in = min(data["period"], self._period_of_epoch(ceil(Fraction(data["to"], self.seconds)) - 1))
        account.wh["withdrawn" if ended_in == data["period"] else "late_withdrawal"] += data["withdrawn"]
        account.drawn.append([data["withdrawn"], self._price(ceil(Fraction(data["to"], self.seconds)) - 1), ended_in])
        for meter in meters:
            account.leaves.update(leaf for end, leaf in self.accepted[meter] if end == data["to"])

    def EnergyRetired(self, data: Any, _: int) -> None:  # noqa: N802
        account = self.accounts[data["period"], str(data["wallet"])]
        act = self.retiring.get((self.signature, str(data["wallet"])))
        account.acts |= set() if act is None else {act}  # a member's own retirement is no act
        if data["reason"]:
            account.wh["fed_in"] += data["amount"]
            account.amount["fed_in"] -= data["credits"]
            return
        account.wh["retired"] += data["amount"]
        left = data["amount"]
        for part in account.drawn:  # never what was drawn later: the chain refuses that
            covered = min(part[0], left)
            part[0] -= covered
            left -= covered
        assert left == 0

    def CreditIssued(self, data: Any, _: int) -> None:  # noqa: N802
        self.accounts[len(self.firsts) - 1, str(data["wallet"])].amount["top_up"] -= data["amount"]

    def CreditRedeemed(self, data: Any, _: int) -> None:  # noqa: N802
        self.accounts[len(self.firsts) - 1, str(data["wallet"])].amount["pay_out"] += data["amount"]

    def _period_of_epoch(self, epoch: int) -> int:
        return max(period for period, first in enumerate(self.firsts) if first <= max(epoch, self.firsts[0]))

    def _price(self, epoch: int) -> int:
        return [price for first, price in self.retail if first <= epoch][-1]


def main() -> None:
    accounts = in_bundle(Path(sys.argv[1])).as_json()
    assert not any(name.startswith("authority.billing") for name in sys.modules)
    print(json.dumps(accounts))


if __name__ == "__main__":
    main()
