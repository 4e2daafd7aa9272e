"""A plain model of all five programs as one: the energy that trades is the energy that meters' surplus became.

Joins campus_model (governance, registry, oracle, energy_token) and trading_model. A member's tokens, status and
parameters are the campus's own; the market's model sees them through views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trading_model as market
from campus_model import ACTIVE, CREDIT_TOKEN, ENERGY_TOKEN, Model, Refused, need
from trading_model import ASK, BID

ORDERS, CLEARING = 1 << 3, 1 << 4
assert (BID, ASK) == (CREDIT_TOKEN, ENERGY_TOKEN), "a side is the token that it locks"


class Tokens:
    """A member's [credits, energy], as the market's model reads and writes them."""

    def __init__(self, model: Model, name: str) -> None:
        self._stores, self._name = (model.credits, model.tokens), name

    def __getitem__(self, side: int) -> int:
        return self._stores[side][self._name]

    def __setitem__(self, side: int, amount: int) -> None:
        self._stores[side][self._name] = amount


class CampusMarket(market.Model):
    """The market's model among the others'."""

    def __init__(self, campus: Model) -> None:
        super().__init__(campus.parameters, campus.epoch_seconds, 0, campus.time)
        self.campus = campus
        self.names: list[str] = []
        self.signer = ""

    def see(self, epoch: int | None = None, signer: str = "") -> None:
        """Look at the campus as it is now; a book that is opened gets the parameters of `epoch`."""
        campus = self.campus
        self.time, self.signer = campus.time, signer
        self.orders_paused, self.clearing_paused = bool(campus.paused & ORDERS), bool(campus.paused & CLEARING)
        self.parameters = campus.in_force(campus.epoch if epoch is None else epoch)
        self.names = list(campus.users)
        self.members = [
            market.Member(Tokens(campus, name), user.status == ACTIVE) for name, user in campus.users.items()
        ]

    def _lock(self, member: int, side: int, amount: int) -> None:
        self.campus.move(self.names[member], self.signer, side, amount)


class WholeModel(Model):
    """All five programs."""

    def __init__(self, time: int, epoch_seconds: int, parameters: dict[str, int]) -> None:
        super().__init__(time, epoch_seconds, parameters)
        self.market = CampusMarket(self)
        self.fees_to = ""
        self.rent_payers: dict[int, str] = {}

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

    def open_epoch(self, epoch: int, payer: str) -> None:
        self.market.see(epoch)
        self._run(lambda: self.market.open(epoch))
        self.rent_payers[epoch] = payer

    def place_order(self, name: str, by: str, side: int, price: int, quantity: int, epoch: int) -> None:
        """By the member itself, or by another in its name."""
        need(side in (BID, ASK), "UnknownSide")
        self.running(ORDERS)
        need(name in self.users, "NotAUser")
        need(self.users[name].status == ACTIVE, "UserNotActive")
        self.may_act(name, by)
        self.market.see(signer=by)
        self._run(lambda: self.market.place(self.users[name].index, side, price, quantity, epoch))

    def cancel_order(self, name: str, by: str, side: int, price: int, quantity: int, epoch: int) -> None:
        need(side in (BID, ASK), "UnknownSide")
        need(name in self.users, "NotAUser")
        self.may_act(name, by)
        self.market.see()
        self._run(lambda: self.market.cancel(self.users[name].index, side, price, quantity, epoch))

    def trigger_clearing(self, epoch: int) -> None:
        self.running(CLEARING)
        need(self.time >= (epoch + 1) * self.epoch_seconds, "EpochNotOver")
        self.market.see()
        self._run(lambda: self.market.clear(epoch))

    def refund_epoch(self, epoch: int) -> None:
        self.market.see()
        self._run(lambda: self.market.refund(epoch))

    def settle_orders(self, numbers: Sequence[int], epoch: int) -> None:
        self.market.see()
        self._run(lambda: self.market.settle(numbers, epoch))
        self.credits[self.fees_to] += self.market.fee_account
        self.market.fee_account = 0

    def close_epoch(self, epoch: int, rent_to: str) -> None:
        need(epoch in self.market.books, "WrongBook")
        need(self.market.books[epoch].status == "final", "BookNotFinal")
        need(rent_to == self.rent_payers[epoch], "WrongRentPayer")
        need(self.is_checkpointed(epoch), "WrongCheckpoint")
        # The checkpoint was compared with the book, and a final book changes no more.
        self._run(lambda: self.market.close(epoch, pinned=True))

    def has_no_unfinished_book(self, epoch: int) -> bool:
        return epoch not in self.market.books or self.market.books[epoch].status == "final"
