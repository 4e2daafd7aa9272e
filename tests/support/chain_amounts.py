"""Which amounts a page may say, by the chain: of each member and of all, from accounts and events, and from no store.

The bills' figures are those of bill_reference, which works them out from the log's leaves and the chain's events.
"""

from __future__ import annotations

import html
import itertools
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from math import ceil
from typing import Any

from bill_reference import Account, Reference, events_of

from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.settlement.day_sums import Flows, netted
from edge_agent.wire.reading import ROLES, Record

MOVED = ("bought", "wheeling", "sold", "fee", "fed_in", "top_up", "pay_out")
"""Kinds of lines whose amounts moved already."""
_FIGURE = re.compile(r"(?<![\w.,:/-])[\u2212-]?(\d[\d\u202f]*\.\d{2,6})(?![\w.])([\s\u00a0\u202f]*kWh)?")
_NO_TEXT = re.compile(
    r'<(script|style|svg|input|textarea|select)\b.*?(?:</\1>|>)|<p class="axis".*?</p>|<!--.*?-->', re.DOTALL
)


@dataclass
class Known:
    """Wh and micro-credits (or micro-credits per kWh), all without their sign."""

    wh: set[int] = field(default_factory=lambda: {0})
    credits: set[int] = field(default_factory=lambda: {0})

    def energy(self, *values: int) -> None:
        self.wh.update(map(abs, values))

    def money(self, *values: int) -> None:
        self.credits.update(map(abs, values))

    def __or__(self, other: Known) -> Known:
        return Known(self.wh | other.wh, self.credits | other.credits)


@dataclass(frozen=True)
class Said:
    """A figure of a page: Wh, or micro-credits (per kWh)."""

    text: str
    value: int
    is_energy: bool


def figures(page: str) -> Iterator[Said]:
    """Every figure with decimals in what a page says; axes of charts are no amounts."""
    body = re.sub(r"<table.*?</table>", _units_in_cells, page.partition("<main")[2], flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", " ", _NO_TEXT.sub(" ", body)))
    for match in _FIGURE.finditer(text):
        number, unit = Decimal(match[1].replace("\u202f", "")), bool(match[2])
        value = number * (1_000 if unit else 1_000_000)
        assert value == int(value), match[0]
        yield Said(match[0].strip(), int(value), unit)


def _units_in_cells(table: re.Match[str]) -> str:
    """A table whose figures have the unit kWh themselves, where its head has it for a column."""
    head, body = table[0].partition("<tbody")[::2]
    columns = {place for place, name in enumerate(re.findall(r"<th[^>]*>(.*?)</th>", head)) if name == "kWh"}
    if not columns:
        return table[0]

    def row(found: re.Match[str]) -> str:
        cells = re.split(r"(?=<t[hd][ >])", found[0])  # what comes before the first cell, and the cells
        for place in columns:
            cells[place + 1] = re.sub(r"(\d)(?=</td>)", r"\1 kWh", cells[place + 1])
        return "".join(cells)

    return head + "<tbody" + re.sub(r"<tr.*?</tr>", row, body, flags=re.DOTALL)


def unknown(page: str, known: Known) -> list[str]:
    """The figures of a page that the chain does not know."""
    return [each.text for each in figures(page) if each.value not in (known.wh if each.is_energy else known.credits)]


DAY_KEY = 3
"""How many numbers name a day: year, month, day."""


class ChainAmounts:
    """All that chain and log say of amounts, by the members' wallets."""

    def __init__(self, client: ChainClient, leaves: Sequence[bytes]) -> None:
        self.client = client
        events = events_of(client)
        self.reference = Reference(list(leaves), events)
        config = client.account(accounts.Config, programs.config_address())
        assert config is not None
        self.epoch_seconds = config.epoch_seconds
        self.members = {str(user.member): user for _, user in client.accounts(accounts.User)}
        self.prices = Known()
        for parameters in (config.parameters, config.staged):
            its = {name: getattr(parameters, name) for name in ("feed_in_price", "retail_price", "wheeling")}
            self.prices.money(*its.values(), its["retail_price"] - its["wheeling"])
            self.prices.energy(parameters.min_order_wh, parameters.max_order_wh)
        self.of: dict[str, Known] = {wallet: Known() for wallet in self.members}
        self.book = Known()
        self._sums: dict[str, dict[tuple[int, ...], dict[str, int]]] = {}
        self._trades: dict[str, list[tuple[int, bool, int, int]]] = defaultdict(list)
        self._books(leaves)
        self._balances()
        self._events(events)
        self._energy(events)
        self.bills = self._bills()

    @property
    def all(self) -> Known:
        """What the department may say: of each member, and of all together."""
        found = self.prices | self.book | self.bills
        for known in self.of.values():
            found = found | known
        return found

    def member(self, wallet: str) -> Known:
        """What a member may be told of itself."""
        return self.prices | self.book | self.of[wallet]

    def _books(self, leaves: Sequence[bytes]) -> None:
        """Every order of the final books in the log, whose hashes the chain pins, and of those that are open."""
        heads = [zlib.decompress(leaf[5:]) for leaf in leaves if leaf[0] == 3]
        wallets = {user.member_index: wallet for wallet, user in self.members.items()}
        self._locked: dict[str, list[int]] = {wallet: [0, 0] for wallet in self.members}
        for data in heads:
            head = accounts.EpochBook.from_account(data)
            count = head.bid_count + head.ask_count
            for n, order in enumerate(accounts.Order.array(data, accounts.EpochBook.size(), count)):
                self._order(wallets[order.member], head, order, buys=n < head.bid_count)
        for slot in range(16):
            account = self.client.raw_account(programs.book_at_slot(slot))
            if account is None or not account.data:
                continue
            data = bytes(account.data)
            head = accounts.EpochBook.from_account(data)
            if head.status.name not in ("OPEN", "CLEARING"):
                continue
            size = accounts.EpochBook.size()
            for buys, first, count in (
                (True, size, head.bid_count),
                (False, size + head.capacity * accounts.Order.FORMAT.size, head.ask_count),
            ):
                orders = accounts.Order.array(data, first, count)
                self._depth(orders, buys=buys)
                for order in orders:
                    wallet = wallets[order.member]
                    locked = ceil(order.quantity * (order.price + head.wheeling) / 1_000) if buys else order.quantity
                    self._locked[wallet][1 if buys else 0] += locked
                    self._order(wallet, head, order, buys=buys)

    def _depth(self, orders: Sequence[Any], *, buys: bool) -> None:
        """The sums by price of a side of the running book, each with those of better prices."""
        total = 0
        for price in sorted({order.price for order in orders}, reverse=buys):
            its = sum(order.quantity for order in orders if order.price == price)
            total += its
            self.book.money(price)
            self.book.energy(its, total)

    def _order(self, wallet: str, head: Any, order: Any, *, buys: bool) -> None:
        known = self.of[wallet]
        known.energy(order.quantity, order.filled)
        known.money(order.price, head.price)
        if order.filled:
            value = order.filled * head.price
            paid = -(-order.filled * (head.price + head.wheeling) // 1_000)
            gross = value // 1_000
            amount = paid if buys else gross - gross * head.fee_bps // 10_000
            known.money(amount)
            if buys:
                known.money(ceil(order.quantity * (order.price + head.wheeling) / 1_000) - paid)
            else:
                known.energy(order.quantity - order.filled)
            self._trades[wallet].append(((head.epoch + 1) * self.epoch_seconds, buys, order.filled, amount))

    def _balances(self) -> None:
        seats = self.client.raw_account(programs.seats_address())
        assert seats is not None
        for wallet, user in self.members.items():
            offset = accounts.Seats.size() + user.member_index * accounts.Seat.FORMAT.size
            seat = accounts.Seat.array(bytes(seats.data), offset, 1)[0]
            energy, credit = (
                self.client.token_balance(programs.associated_token_address(user.member, mint)) or 0
                for mint in (programs.energy_mint(), programs.credit_mint())
            )
            locked_wh, locked_credit = self._locked[wallet]
            self.of[wallet].energy(energy, seat.energy, locked_wh, energy + seat.energy + locked_wh)
            self.of[wallet].money(credit, seat.credit, locked_credit, credit + seat.credit + locked_credit)

    def _events(self, events: Iterable[tuple[int, Any, list[Any]]]) -> None:
        """What was retired, minted, issued and redeemed, each by itself and by billing period."""
        minted: dict[tuple[str, int], int] = defaultdict(int)
        for _, _, logged in events:
            for event in logged:
                if event.name == "EnergyRetired":
                    self.of[str(event.data["wallet"])].energy(event.data["amount"])
                elif event.name in ("CreditIssued", "CreditRedeemed"):
                    self.of[str(event.data["wallet"])].money(event.data["amount"])
                elif event.name == "SurplusSettled":
                    period = self.reference._period_of_epoch(-(-event.data["to"] // self.epoch_seconds) - 1)
                    minted[str(event.data["wallet"]), period] += event.data["minted"]
        for (wallet, _), wh in minted.items():
            self.of[wallet].energy(wh)

    def _energy(self, events: Iterable[tuple[int, Any, list[Any]]]) -> None:
        """Flows by the registers that the chain took, and trades: of each quarter of an hour, day, month and year."""
        meters = {str(address): meter for address, meter in self.client.accounts(accounts.Meter)}
        read: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        for _, _, logged in events:
            for event in logged:
                if event.name == "ReadingAccepted":
                    read[str(event.data["meter"])][event.data["interval_end"]] = event.data
        for wallet, user in self.members.items():
            address = str(programs.user_address(user.member))
            its = [
                (ROLES[meter.role], read[name])
                for name, meter in meters.items()
                if str(meter.user) in (wallet, address) and ROLES[meter.role] != "submeter"
            ]
            sums: dict[tuple[int, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
            ends = sorted(set.intersection(*(set(each) for _, each in its))) if its else []
            for before, after in itertools.pairwise(ends):
                flows = netted([(role, _record(each[before]), _record(each[after])) for role, each in its])
                assert flows is not None
                for key in _ranges(after):
                    for name in Flows._fields:
                        sums[key][name] += getattr(flows, name)
            for end, buys, wh, amount in self._trades[wallet]:
                for key in _ranges(end):
                    sums[key]["bought" if buys else "sold"] += wh
                    sums[key]["paid" if buys else "received"] += amount
            self._sums[wallet] = sums
            for found in sums.values():
                _say(self.of[wallet], found)

    def steps(self, wallet: str) -> Mapping[tuple[int, ...], Mapping[str, int]]:
        """A member's energy (Wh) and trades (Wh, micro-credits) by quarter of an hour, day, month and year in UTC."""
        return self._sums[wallet]

    def days(self, wallet: str, first: date, last: date) -> Known:
        """What a member may be told of its energy and trades in these days together, both included, in UTC."""
        known, together = Known(), Counter[str]()
        for key, found in self._sums[wallet].items():
            if len(key) == DAY_KEY and first <= date(*key) <= last:
                together.update(found)
        _say(known, together)
        return known

    def _bills(self) -> Known:
        """The members' bills, and what all of them of a period come to; of one that runs as they are so far."""
        together, periods = Known(), defaultdict(list)
        for (period, wallet), account in self.reference.accounts.items():
            known = self.of[wallet]
            known.energy(*account.wh.values(), *account.owed.values())
            known.money(*account.amount.values(), account.due, _moved(account))
            known.money(*(wh * price // 1_000 for (price, _), wh in account.owed.items()))
            known.money(*(price for price, _ in account.owed))
            known.energy(_drawn(account))
            known.energy(account.wh["retired"])
            periods[period].append(account)
        for its in periods.values():
            dues = [account.due for account in its]
            together.energy(sum(map(_drawn, its)), sum(account.wh["retired"] for account in its))
            together.money(sum(dues), sum(map(_moved, its)))
            together.money(sum(due for due in dues if due > 0), sum(due for due in dues if due < 0))
        return together


def _say(known: Known, found: Mapping[str, int]) -> None:
    known.energy(*(found[name] for name in (*Flows._fields, "bought", "sold") if name in found))
    known.money(*(found[name] for name in ("paid", "received") if name in found))


def _drawn(account: Account) -> int:
    return account.wh["withdrawn"] + account.wh["late_withdrawal"]


def _moved(account: Account) -> int:
    return sum(account.amount[kind] for kind in MOVED)


def _ranges(end: int) -> list[tuple[int, ...]]:
    """The quarter, day, month and year in UTC in which an interval that ends then lies."""
    last = datetime.fromtimestamp(end - 1, UTC)
    day = (last.year, last.month, last.day)
    return [(*day, last.hour, last.minute // 15), day, day[:2], day[:1]]


def _record(event: dict[str, Any]) -> Record:
    generation, consumption, charge, discharge = event["registers"]
    return Record(
        sequence=1, network_id=bytes(8), interval_end=event["interval_end"], generation=generation,
        consumption=consumption, charge=charge, discharge=discharge, interval_seconds=60, source=0,
    )  # fmt: skip
