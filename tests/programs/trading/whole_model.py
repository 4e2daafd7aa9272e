"""A plain model of all five programs as one: the energy that trades is the energy that meters' surplus became.

Joins campus_model (governance, registry, oracle, energy_token) and trading_model. A member's tokens, status and
parameters are the campus's own; the market's model sees them through views.
"""

from __future__ import annotations

from collections.abc import Callable

import trading_model as market
from campus_model import ACTIVE, CREDIT_TOKEN, ENERGY_TOKEN, Model, Refused, need
from trading_model import ASK, BID, BOOKS

ORDERS, CLEARING = 1 << 3, 1 << 4
assert (BID, ASK) == (CREDIT_TOKEN, ENERGY_TOKEN), "a side is the token that it locks"


class CampusMarket(market.Model):
    """The market's model among the others'."""

    def __init__(self, campus: Model, capacity: int) -> None:
        super().__init__(campus.parameters, campus.epoch_seconds, 0, campus.time, capacity)
        self.campus = campus

    def see(self, epoch: int | None = None) -> None:
        """Look at the campus as it is now; a book that is opened gets the parameters of `epoch`."""
        campus = self.campus
        self.time = campus.time
        self.orders_paused, self.clearing_paused = bool(campus.paused & ORDERS), bool(campus.paused & CLEARING)
        self.parameters = campus.in_force(campus.epoch if epoch is None else epoch)
        # A member's seat is the same list in both.
        self.members = [
            market.Member([0, 0], campus.seats[name], user.status == ACTIVE) for name, user in campus.users.items()
        ]


class WholeModel(Model):
    """All five programs."""

    def __init__(self, time: int, epoch_seconds: int, parameters: dict[str, int], capacity: int) -> None:
        super().__init__(time, epoch_seconds, parameters)
        self.market = CampusMarket(self, capacity)
        self.fees_to = ""
        """Whose credit account takes the fees: a member, or a former wallet."""
        self.payouts: dict[str, int] = {}
        """What anybody may pay out to a member: 1 energy, 2 credits."""
        self.first_book = 0

    def initialize_market(self, reference: int, fees_to: str) -> None:
        limits = self.in_force(self.epoch)
        need(limits["feed_in_price"] <= reference <= limits["retail_price"], "ReferencePriceOutOfBounds")
        self.market.reference, self.fees_to = reference, fees_to

    @staticmethod
    def _run(act: Callable[[], None]) -> None:
        try:
            act()
        except market.Refused as refused:
            raise Refused(str(refused)) from None

    def open_epoch(self, epoch: int) -> None:
        self.market.see(epoch)
        before = self.market.books.get(epoch % BOOKS)
        pinned = before is None or self.is_checkpointed(before.epoch)
        try:
            self.market.open(epoch, pinned=pinned)
        except market.Refused as refused:
            # The chain has no checkpoint to compare with: hashes are, a final book changes no more.
            raise Refused("WrongCheckpoint" if str(refused) == "BookHashMismatch" else str(refused)) from None
        self.first_book = self.first_book or epoch

    def deposit(self, name: str, by: str, token: int, amount: int) -> None:
        """By the member itself, or by its delegate within what was approved."""
        need(amount > 0, "ZeroAmount")
        need(name in self.users, "NotAUser")
        self.may_act(name, by)
        self.move(name, by, token, amount)
        self.seats[name][token] += amount

    def withdraw(self, name: str, by: str, token: int, amount: int) -> None:
        """To the member's own account, which must still be its own where its delegate or somebody allowed does it."""
        need(amount > 0, "ZeroAmount")
        need(name in self.users, "NotAUser")
        if not self.payouts.get(name, 0) & (1 if token == ASK else 2):
            self.may_act(name, by)
        need(by == name or self.can_receive(name, token), "UnusableTokenAccount")
        need(self.seats[name][token] >= amount, "NotEnoughEnergy" if token == ASK else "NotEnoughCredit")
        need((name, token) not in self.closed, "NoTokenAccount")
        self.seats[name][token] -= amount
        (self.credits, self.tokens)[token][name] += amount

    def set_payout(self, name: str, by: str, assets: int) -> None:
        need(assets <= 3, "UnknownPayout")
        need(name in self.users, "NotAUser")
        self.may_act(name, by)
        self.payouts[name] = assets

    def place_order(self, name: str, by: str, side: int, price: int, quantity: int, epoch: int) -> None:
        """By the member itself, or by another in its name."""
        need(side in (BID, ASK), "UnknownSide")
        self.running(ORDERS)
        need(name in self.users, "NotAUser")
        need(self.users[name].status == ACTIVE, "UserNotActive")
        self.may_act(name, by)
        self.market.see()
        self._run(lambda: self.market.place(self.users[name].index, side, price, quantity, epoch))

    def cancel_order(self, name: str, by: str, side: int, price: int, number: int, epoch: int) -> None:
        need(side in (BID, ASK), "UnknownSide")
        need(name in self.users, "NotAUser")
        self.may_act(name, by)
        self.market.see()
        self._run(lambda: self.market.cancel(self.users[name].index, side, price, number, epoch))

    def trigger_clearing(self, epoch: int, limit: int) -> None:
        self.running(CLEARING)
        need(self.time >= (epoch + 1) * self.epoch_seconds, "EpochNotOver")
        self.market.see()
        self._run(lambda: self.market.clear(epoch, limit))

    def refund_epoch(self, epoch: int, limit: int) -> None:
        self.market.see()
        self._run(lambda: self.market.refund(epoch, limit))

    def withdraw_fees(self) -> None:
        need(self.market.fees > 0, "NoFees")
        need((self.fees_to, CREDIT_TOKEN) not in self.closed, "NoTokenAccount")
        self._run(self.market.withdraw_fees)
        self.credits[self.fees_to] += self.market.fee_account
        self.market.fee_account = 0

    def set_fee_account(self, by: str, whose: str, token: int) -> None:
        need(by == self.authority, "NotAuthority")
        need(token == CREDIT_TOKEN and (whose, token) not in self.closed, "UnusableFeeAccount")
        need((whose, token) not in self.given_away, "FeeAccountNotAssociated")
        self.fees_to = whose

    def replace_wallet(self, name: str, wallet: str) -> None:
        former = self.users[name].wallet if name in self.users else ""
        super().replace_wallet(name, wallet)
        self.fees_to = former if self.fees_to == name else self.fees_to

    def held(self, token: int) -> int:
        """What the market's vault of a token owes."""
        self.market.see()
        return self.market.held(token)

    def has_no_unfinished_book(self, epoch: int) -> bool:
        book = self.market.books.get(epoch % BOOKS)
        return book is None or book.epoch != epoch or book.status == "final"

    def comes_before_the_books(self, epoch: int) -> bool:
        return not self.first_book or epoch <= self.first_book
