"""What every member has in the market, and what it retired: done again from deposits, books, issues and retirements.

A seat's balance is what was deposited, issued and minted into it, less what was withdrawn and retired out of it, with
what its orders in final books bought and sold, less what its open orders lock. So a payment that went to the wrong
member is seen, also where all tokens are there. What lies in wallets is the members' own, and moves without a trace in
the programs' events: it is counted as a whole (authority.audit.conservation).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from solders.pubkey import Pubkey

from authority.audit.books import Book
from authority.audit.chain_state import ChainState
from authority.audit.conservation import seats_of, supply_of
from authority.audit.events import Settled
from authority.audit.history import Landed
from authority.audit.registers import CLOCK_SECONDS, Registers
from authority.audit.tell import Find, Part, compare
from authority.audit.terms import Governed
from authority.chain import programs
from authority.chain.accounts import (
    Asset,
    BookStatus,
    EnergyAccount,
    EpochBook,
    Market,
    Order,
    Place,
    Reason,
    Retirement,
)
from authority.market.clearing import buyer_pays, seller_gets


@dataclass
class _Retired:
    """A Retirement as its events make it; by_rule are the credits that the feed-in price gives."""

    period: int
    consumption_open: int = 0
    consumption_previous: int = 0
    feed_in_open: int = 0
    feed_in_previous: int = 0
    consumption_total: int = 0
    feed_in_total: int = 0
    feed_in_credits: int = 0
    by_rule: int = 0

    def move_on(self, period: int) -> None:
        """Begin another billing period."""
        if self.period == period:
            return
        follows = self.period + 1 == period
        self.consumption_previous = self.consumption_open if follows else 0
        self.feed_in_previous = self.feed_in_open if follows else 0
        self.consumption_open = self.feed_in_open = 0
        self.period = period


@dataclass
class _Withdrawn:
    """The billing periods of an EnergyAccount."""

    period: int
    withdrawals_open: int = 0
    withdrawals_previous: int = 0

    def move_on(self, period: int) -> None:
        """Begin another billing period."""
        if self.period != period:
            self.withdrawals_previous = self.withdrawals_open if self.period + 1 == period else 0
            self.withdrawals_open, self.period = 0, period


@dataclass
class _Seats:
    """By member index, what came into the seats less what went out. unsure: credits of which no event says where."""

    energy: Counter[int] = field(default_factory=Counter)
    credit: Counter[int] = field(default_factory=Counter)
    unsure: Counter[int] = field(default_factory=Counter)
    fees: int = 0

    def book(self, head: EpochBook, bids: Iterable[Order], asks: Iterable[Order]) -> None:
        """What orders that were paid brought and took."""
        for bid in bids:
            self.energy[bid.member] += bid.filled
            self.credit[bid.member] -= buyer_pays(bid.filled, head.price, head.wheeling)
        for ask in asks:
            self.energy[ask.member] -= ask.filled
            self.credit[ask.member] += seller_gets(ask.filled, head.price, head.fee_bps)

    def lock(self, head: EpochBook, bids: Iterable[Order], asks: Iterable[Order]) -> None:
        """What orders lock that are not paid."""
        for bid in bids:
            self.credit[bid.member] -= buyer_pays(bid.quantity, bid.price, head.wheeling)
        for ask in asks:
            self.energy[ask.member] -= ask.quantity


@dataclass
class _Market:
    reference_price: int = 0
    reference_epoch: int = 0
    epochs_cleared: int = 0
    traded: int = 0
    turnover: int = 0
    first_epoch: int = 0
    latest_epoch: int = 0
    settled_epoch: int = 0
    orders_per_side: int = 0
    fee_account: Pubkey | None = None

    def cleared(self, book: Book) -> None:
        """A book got its price, or was refunded."""
        head = book.head
        self.settled_epoch = head.epoch
        if book.was_refunded or head.status is BookStatus.REFUNDING:
            return
        self.epochs_cleared += 1
        self.traded += head.volume
        self.turnover += head.price * head.volume // 1_000
        if head.volume and head.volume >= head.min_reference_volume:
            self.reference_price, self.reference_epoch = head.price, head.epoch


class Money(Part):
    """Follows the tokens' and the market's events, and the log's books."""

    def __init__(self, find: Find, state: ChainState, governed: Governed, registers: Registers) -> None:
        super().__init__(find, state)
        self.governed, self.registers = governed, registers
        self.retired_wh = 0
        self.credits = 0
        """Issued and paid for feed-in, less redeemed: what the supply of credits may be at most."""
        self._seats = _Seats()
        self._market = _Market()
        self._retired: dict[Pubkey, _Retired] = {}
        self._withdrawn: dict[Pubkey, _Withdrawn] = {}
        self._by_period: dict[int, tuple[Counter[Pubkey], Counter[Pubkey]]] = {}
        """Withdrawals and retirements by period and member, of the periods that may still change."""
        self._last_book = -1
        self._logged: dict[int, Book] = {}
        """Books of the log by epoch that the chain has not pinned yet: until then they may be undone."""
        self._outcomes: dict[int, dict[str, Any]] = {}
        """What the chain said of the outcomes of books that the log has not had."""
        self.seats_given = False
        """Whether books with orders were lost, so that what each seat holds cannot be computed again."""
        self._look(state)

    def resume(self, find: Find, state: ChainState) -> None:
        """Go on in another run: with its findings, and the chain as it is by now."""
        super().resume(find, state)
        self._look(state)

    def _look(self, state: ChainState) -> None:
        """See which books are in the ring."""
        self._ring = {
            head.epoch: (head, state.accounts[address][1])
            for address, head in state.all(EpochBook)
            if head.status >= BookStatus.OPEN
        }

    def __getstate__(self) -> dict[str, Any]:
        """What is kept: all but the run's own."""
        return {name: value for name, value in super().__getstate__().items() if name != "_ring"}

    # Energy drawn and retired

    def _on_energy_account_opened(self, data: Mapping[str, Any], _: Landed) -> None:
        self._account(data["wallet"])

    _on_meter_opened = _on_energy_account_opened

    def _on_surplus_settled(self, data: Settled, landed: Landed) -> None:
        self._drawn(data.wallet, data.to, data.withdrawn, data.period, landed)

    def _on_idle_meter_settled(self, data: Mapping[str, Any], landed: Landed) -> None:
        self._drawn(data["wallet"], data["to"], data["withdrawn"], data["period"], landed)

    def _drawn(self, wallet: Pubkey, to: int, amount: int, period: int, landed: Landed) -> None:
        account, terms = self._account(wallet), self.governed.terms
        if terms is None:
            return
        account.move_on(terms.period.number)
        expected = terms.period_of_span(to, landed.time) if amount else terms.period.number
        if period != expected and period not in {terms.period_of_span(to, at) for at in _about(landed.time)}:
            where = f"member {wallet}, boundary {to}"
            self.find("period_differs", where, f"was booked in billing period {period}, by the rule in {expected}")
        if period == account.period:
            account.withdrawals_open += amount
        else:
            account.withdrawals_previous += amount
        if amount:
            self._of_period(period)[0][wallet] += amount

    def _on_energy_retired(self, data: Mapping[str, Any], landed: Landed) -> None:
        amount, wallet = data["amount"], data["wallet"]
        terms = self.governed.terms
        period = terms.period.number if terms is not None else data["period"]
        retired = self._retired.setdefault(wallet, _Retired(period))
        retired.move_on(period)
        self.retired_wh += amount
        self.credits += data["credits"]
        retired.feed_in_credits += data["credits"]
        if data["reason"] == Reason.FEED_IN:
            retired.feed_in_open += amount
            retired.feed_in_total += amount
            retired.by_rule += self._feed_in(amount, data["credits"], landed.time)
        else:
            if data["period"] == retired.period:
                retired.consumption_open += amount
            else:
                retired.consumption_previous += amount
            retired.consumption_total += amount
            self._of_period(data["period"])[1][wallet] += amount
        index = self._index(wallet)
        if data["source"] == Place.SEAT:
            self._seats.energy[index] -= amount
            self._seats.credit[index] += data["credits"]
        else:
            self._seats.unsure[index] += data["credits"]

    def _feed_in(self, amount: int, said: int, time: int) -> int:
        """The credits for a feed-in, by the price of its epoch."""
        terms = self.governed.terms
        if terms is None:
            return said
        prices = [terms.at(terms.epoch(moment))["feed_in_price"] for moment in _about(time)]
        credits = [amount * price // 1_000 for price in prices]
        return said if said in credits else credits[len(credits) // 2]

    def _on_billing_period_opened(self, data: Mapping[str, Any], _: Landed) -> None:
        for period in [each for each in self._by_period if each + 2 <= data["period"]]:
            withdrawn, retired = self._by_period.pop(period)
            for wallet, amount in retired.items():
                if amount > withdrawn[wallet]:
                    self._exceeds(wallet, period, amount, withdrawn[wallet])

    def _exceeds(self, wallet: Pubkey, period: int, retired: int, withdrawn: int) -> None:
        message = f"retired {retired} Wh against billing period {period}, in which it drew {withdrawn} Wh"
        self.find("retirement_exceeds", f"member {wallet}", message)

    def _of_period(self, period: int) -> tuple[Counter[Pubkey], Counter[Pubkey]]:
        found = self._by_period.get(period)
        if found is None:
            found = self._by_period[period] = (Counter(), Counter())
        return found

    def _account(self, wallet: Pubkey) -> _Withdrawn:
        found = self._withdrawn.get(wallet)
        if found is None:
            terms = self.governed.terms
            found = self._withdrawn[wallet] = _Withdrawn(0 if terms is None else terms.period.number)
        return found

    # Credits, and tokens that go into seats and out of them

    def _on_credit_issued(self, data: Mapping[str, Any], _: Landed) -> None:
        self.credits += data["amount"]
        if data["to"] == Place.SEAT:
            self._seats.credit[self._index(data["wallet"])] += data["amount"]

    def _on_credit_redeemed(self, data: Mapping[str, Any], _: Landed) -> None:
        self.credits -= data["amount"]

    def _on_energy_minted_to_seat(self, data: Mapping[str, Any], _: Landed) -> None:
        self._seats.energy[self._index(data["wallet"])] += data["amount"]

    def _on_deposited(self, data: Mapping[str, Any], _: Landed) -> None:
        self._move(data["asset"], data["member"], data["amount"])

    def _on_withdrawn(self, data: Mapping[str, Any], _: Landed) -> None:
        self._move(data["asset"], data["member"], -data["amount"])

    def _on_fees_withdrawn(self, data: Mapping[str, Any], _: Landed) -> None:
        self._seats.fees -= data["amount"]

    def _move(self, asset: int, member: int, amount: int) -> None:
        (self._seats.energy if asset == Asset.ENERGY else self._seats.credit)[member] += amount

    def _index(self, wallet: Pubkey) -> int:
        return self.registers.members[wallet].member_index

    # The market

    def _on_market_initialized(self, data: Mapping[str, Any], _: Landed) -> None:
        self._market.reference_price, self._market.fee_account = data["reference_price"], data["fee_account"]
        self._market.orders_per_side = data["orders_per_side"]

    def _on_fee_account_changed(self, data: Mapping[str, Any], _: Landed) -> None:
        self._market.fee_account = data["fee_account"]

    def _on_epoch_opened(self, data: Mapping[str, Any], _: Landed) -> None:
        self._market.latest_epoch = data["epoch"]
        self._market.first_epoch = self._market.first_epoch or data["epoch"]

    def _on_epoch_cleared(self, data: Mapping[str, Any], _: Landed) -> None:
        self._outcomes.setdefault(data["epoch"], {}).update(data)

    _on_epoch_settled = _on_epoch_refunded = _on_epoch_cleared

    def lose_books(self, epochs: Iterable[int]) -> None:
        """Books were lost with the log's leaves: what the chain said of them stands in their place."""
        for epoch in sorted(epochs):
            said = self._outcomes.get(epoch)
            if said is None:
                continue
            market = self._market
            market.settled_epoch = max(market.settled_epoch, epoch)
            self._seats.fees += said.get("fees", 0)
            self.seats_given |= bool(said.get("orders", 0))
            if "price" not in said:
                continue  # it was refunded
            market.epochs_cleared += 1
            market.traded += said["volume"]
            market.turnover += said["price"] * said["volume"] // 1_000
            terms = self.governed.terms
            least = 0 if terms is None else terms.at(epoch)["min_reference_volume_wh"]
            if said["volume"] and said["volume"] >= least and epoch > market.reference_epoch:
                market.reference_price, market.reference_epoch = said["new_reference_price"], epoch

    def went_back(self, last_epoch: int) -> None:
        """The chain went back to an epoch's checkpoint: the log's books of later epochs were undone."""
        for epoch in [each for each in self._logged if each > last_epoch]:
            del self._logged[epoch]

    def _on_checkpointed(self, data: Mapping[str, Any], _: Landed) -> None:
        if data["credit_supply"] > self.credits:
            message = f"pins {data['credit_supply']} micro-credits; {self.credits} were issued and paid for feed-in"
            self.find("not_conserved", f"epoch {data['epoch']}", message)
        book = self._logged.pop(data["epoch"], None)
        if book is not None:
            self._take(book)
            self._outcomes.pop(data["epoch"], None)

    def book(self, book: Book) -> None:
        """A final book of the log: it counts from its epoch's checkpoint on, and once.

        Of an epoch whose checkpoint is there it is one more copy: a checkpoint that was sent before the chain went back
        may land after it.
        """
        if book.head.epoch > self._last_book:
            self._logged[book.head.epoch] = book

    def _take(self, book: Book) -> None:
        self._last_book = book.head.epoch
        self._seats.book(book.head, book.bids, book.asks)
        self._seats.fees += book.head.fees
        self._market.cleared(book)

    def _on_the_chain(self) -> Iterator[Book]:
        """The ring's books that the log does not have."""
        for epoch, (head, data) in sorted(self._ring.items()):
            if epoch > self._last_book:
                start, size = EpochBook.size(), Order.FORMAT.size
                bids = Order.array(data, start, head.bid_count)
                asks = Order.array(data, start + head.capacity * size, head.ask_count)
                yield Book(head, bids, asks)

    # The end

    def finish(self, *, whole: bool) -> None:
        """Compare what came out with the accounts; the seats only where the history has all of the market's."""
        self._compare_retirements()
        self._compare_periods()
        for epoch, book in sorted(self._logged.items()):
            head, _ = self._ring.get(epoch, (book.head, b""))
            if head.status is BookStatus.FINAL:
                self._take(book)  # else the chain had not finished it when it was read: it counts from there
        for book in list(self._on_the_chain()):
            head, paid = book.head, book.head.paid
            if head.status is BookStatus.FINAL:
                self._take(book)
                continue
            if head.status is not BookStatus.OPEN:
                self._market.cleared(book)
            asks_paid = max(0, paid - len(book.bids))
            if head.status is BookStatus.CLEARING:
                self._seats.book(head, book.bids[:paid], book.asks[:asks_paid])
            self._seats.lock(head, book.bids[paid:], book.asks[asks_paid:])
        if supply_of(self.state, programs.credit_mint()) > self.credits:
            message = f"there are more credits than the {self.credits} that were issued and paid for feed-in"
            self.find("not_conserved", "chain", message)
        market = self.state.account(Market, programs.market_address())
        if market is None:
            return
        expected = {name: value for name, value in vars(self._market).items() if whole or name != "settled_epoch"}
        compare(self.find, "market", *((name, getattr(market, name), value) for name, value in expected.items()))
        if whole:
            self._compare_seats()

    def _compare_seats(self) -> None:
        head, seats = seats_of(self.state)
        if head is None:
            return
        compare(self.find, "market", ("fees", head.fees, self._seats.fees))
        if self.seats_given:
            return  # what all of them hold together is counted (conservation)
        wallets = {member.member_index: wallet for wallet, member in self.registers.members.items()}
        for index, seat in enumerate(seats):
            where = f"seat of member {wallets[index]}" if index in wallets else f"seat {index}"
            credit, unsure = self._seats.credit[index], self._seats.unsure[index]
            compare(self.find, where, ("energy", seat.energy, self._seats.energy[index]))
            if not credit <= seat.credit <= credit + unsure:
                compare(self.find, where, ("credit", seat.credit, credit))

    def _compare_retirements(self) -> None:
        missing = dict(self._retired)
        minted = {account.wallet: account.minted for _, account in self.state.all(EnergyAccount)}
        open_period = 0 if self.governed.terms is None else self.governed.terms.period.number
        for _, account in self.state.all(Retirement):
            where, retired = f"member {account.wallet}", missing.pop(account.wallet, _Retired(account.period))
            expected = vars(retired)
            by_rule = expected.pop("by_rule")
            compare(self.find, where, *((name, getattr(account, name), value) for name, value in expected.items()))
            if account.feed_in_credits == retired.feed_in_credits != by_rule:
                compare(self.find, where, ("feed_in_credits", account.feed_in_credits, by_rule))
            if account.feed_in_total > minted.get(account.wallet, 0):
                message = f"fed in {account.feed_in_total} Wh, and {minted.get(account.wallet, 0)} Wh were its surplus"
                self.find("retirement_exceeds", where, message)
            for period, amount in (
                (account.period, account.consumption_open),
                (account.period - 1, account.consumption_previous),
            ):
                if period + 2 <= open_period:
                    continue  # it was judged when it could change no more
                withdrawn = self._of_period(period)[0][account.wallet]
                if amount > withdrawn:
                    self._exceeds(account.wallet, period, amount, withdrawn)
        for wallet in missing:
            self.find("account_missing", f"member {wallet}", "retired energy, and has no Retirement")

    def _compare_periods(self) -> None:
        for _, account in self.state.all(EnergyAccount):
            expected = self._withdrawn.get(account.wallet)
            if expected is not None:
                figures = ((name, getattr(account, name), value) for name, value in vars(expected).items())
                compare(self.find, f"member {account.wallet}", *figures)


def _about(time: int) -> tuple[int, int, int]:
    return time - CLOCK_SECONDS, time, time + CLOCK_SECONDS
