"""The program against the model: random sequences of instructions, hostile ones among them, compared after every step.

MODEL_EXAMPLES sets how many sequences there are (300 unless set), each of up to 60 steps.
"""

from __future__ import annotations

import os
from typing import Any

import hypothesis.strategies as st
import pytest
from campus import EPOCH_SECONDS, PAUSE_CLEARING, PAUSE_ORDERS, Refusal
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from trading_model import ASK, BID, CREDIT, ENERGY, Book, Member, Model, Refused
from trading_world import (
    BOOKS,
    CLEARING,
    CREDIT_MINT,
    CREDIT_VAULT,
    ENERGY_MINT,
    ENERGY_VAULT,
    EPOCH,
    FINAL,
    OPEN,
    REFUNDING,
    TradingWorld,
)
from trading_world import CREDIT as CREDIT_ARGUMENT
from trading_world import ENERGY as ENERGY_ARGUMENT

MEMBERS = 5
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "300"))
PARAMETERS = {
    "feed_in_price": 10,
    "retail_price": 20,
    "wheeling": 3,
    "min_order_wh": 5,
    "max_order_wh": 4_000,
    "cancel_cutoff_seconds": 60,
    "min_reference_volume_wh": 200,
    "fee_bps": 1_000,
    "max_orders_per_member": 6,
}
STATUS = {"open": OPEN, "clearing": CLEARING, "refunding": REFUNDING, "final": FINAL}
ARGUMENT = {CREDIT: CREDIT_ARGUMENT, ENERGY: ENERGY_ARGUMENT}

members = st.integers(0, MEMBERS - 1)
epochs = st.sampled_from([0, 0, 0, 0, 1, 1, 2, -1, -2, 16, -16])
sides = st.sampled_from([BID, ASK, BID, ASK, BID, ASK, 2])
assets = st.sampled_from([CREDIT, ENERGY])
prices = st.one_of(st.integers(10, 20), st.integers(10, 20), st.integers(8, 22))
quantities = st.one_of(st.integers(5, 60), st.integers(5, 4_000), st.integers(0, 4_100))
limits = st.sampled_from([65_535, 65_535, 0, 1, 2, 5])


class TradingMachine(RuleBasedStateMachine):
    """One market, five members, and a clock that only goes forward."""

    @initialize(capacity=st.sampled_from([512, 512, 4, 2, 1]), rich=st.booleans())
    def start(self, capacity: int, rich: bool) -> None:
        """A market whose books hold many orders or few, and members that have much or little in their seats."""
        self.world = TradingWorld(parameters=PARAMETERS, reference_price=15, orders_per_side=capacity)
        self.model = Model(self.world.parameters, EPOCH_SECONDS, 15, self.world.time, capacity)
        for slot in range(BOOKS):
            self.world.grow_book(slot)
        self.world.open()
        self.model.open(EPOCH)
        for _ in range(MEMBERS):
            amount = 10**6 if rich else 900
            self.world.member(energy=amount, credits_=amount, deposit=False)
            self.model.members.append(Member([amount, amount]))
            for asset in (CREDIT, ENERGY):
                self.world.deposit(self.world.members[-1], ARGUMENT[asset], amount * 3 // 4)
                self.model.deposit(len(self.model.members) - 1, asset, amount * 3 // 4)

    def now(self) -> int:
        """The current epoch."""
        return self.model.time // EPOCH_SECONDS

    def same(self, on_chain: Any, in_model: Any) -> None:
        """Both do it, or both refuse it by the same name."""
        try:
            in_model()
        except Refused as refused:
            expected = str(refused)
            with pytest.raises(Refusal) as caught:
                on_chain()
            assert expected in (caught.value.name, "tokens"), f"{expected} expected: {caught.value}"
            if expected == "tokens":
                assert caught.value.code is None or caught.value.code < 100
        else:
            on_chain()

    @rule(seconds=st.sampled_from([1, 100, 300, 840, 899, 900, 900, 9 * 900, 15 * 900]))
    def wait(self, seconds: int) -> None:
        self.model.time += seconds
        self.world.set_time(self.model.time)

    @rule(offset=epochs, pinned=st.sampled_from([True, True, True, False]))
    def open(self, offset: int, pinned: bool) -> None:
        epoch = self.now() + offset
        before = self.model.books.get(epoch % BOOKS)
        if before is not None:
            self.world.put_checkpoint(before.epoch, None if pinned else bytes(32))
        self.same(lambda: self.world.open(epoch), lambda: self.model.open(epoch, pinned=pinned))

    # Seats

    @rule(member=members, asset=assets, amount=st.integers(0, 1_000))
    def deposit(self, member: int, asset: int, amount: int) -> None:
        self.same(
            lambda: self.world.deposit(self.world.members[member], ARGUMENT[asset], amount),
            lambda: self.model.deposit(member, asset, amount),
        )

    @rule(member=members, asset=assets, amount=st.integers(0, 1_000), by_wallet=st.booleans())
    def withdraw(self, member: int, asset: int, amount: int, by_wallet: bool) -> None:
        found = self.world.members[member]
        authority = found.wallet.pubkey() if by_wallet else self.world.issuer.pubkey()
        self.same(
            lambda: self.world.withdraw(found, ARGUMENT[asset], amount, authority=authority),
            lambda: self.model.withdraw(member, asset, amount, by_wallet=by_wallet),
        )

    @rule(member=members, allowed=st.sampled_from([0, 1, 2, 3, 3, 4]))
    def set_payout(self, member: int, allowed: int) -> None:
        self.same(
            lambda: self.world.set_payout(self.world.members[member], allowed),
            lambda: self.model.set_payout(member, allowed),
        )

    @rule()
    def withdraw_fees(self) -> None:
        self.same(self.world.withdraw_fees, self.model.withdraw_fees)

    # Orders

    @rule(member=members, side=sides, price=prices, quantity=quantities, offset=epochs)
    def place(self, member: int, side: int, price: int, quantity: int, offset: int) -> None:
        epoch = self.now() + offset
        self.same(
            lambda: self.world.place(self.world.members[member], side, price, quantity, epoch=epoch),
            lambda: self.model.place(member, side, price, quantity, epoch),
        )

    @rule(member=members, side=sides, price=prices, number=st.integers(0, 9), offset=epochs)
    def cancel(self, member: int, side: int, price: int, number: int, offset: int) -> None:
        self._cancel(member, side, price, number, self.now() + offset)

    @precondition(lambda self: any(book.orders() for book in self.model.books.values()))
    @rule(data=st.data(), mistaken=st.sampled_from([False, False, False, True]))
    def cancel_one(self, data: st.DataObject, mistaken: bool) -> None:
        book = data.draw(st.sampled_from([book for book in self.model.books.values() if book.orders()]))
        side, order = data.draw(st.sampled_from(book.orders()))
        member = (order.member + mistaken) % MEMBERS
        self._cancel(member, side, order.price, order.number, book.epoch)

    def _cancel(self, member: int, side: int, price: int, number: int, epoch: int) -> None:
        self.same(
            lambda: self.world.cancel(self.world.members[member], side, price, number, epoch=epoch),
            lambda: self.model.cancel(member, side, price, number, epoch),
        )

    # Clearing and refunding

    @rule(offset=epochs, limit=limits)
    def clear(self, offset: int, limit: int) -> None:
        epoch = self.now() + offset
        self.same(lambda: self.world.clear(epoch, limit), lambda: self.model.clear(epoch, limit))

    @rule(data=st.data(), limit=limits)
    def clear_one(self, data: st.DataObject, limit: int) -> None:
        epoch = self._unpaid(data)
        self.same(lambda: self.world.clear(epoch, limit), lambda: self.model.clear(epoch, limit))

    @rule(data=st.data(), limit=limits)
    def refund(self, data: st.DataObject, limit: int) -> None:
        epoch = self._unpaid(data)
        self.same(lambda: self.world.refund(epoch, limit), lambda: self.model.refund(epoch, limit))

    def _unpaid(self, data: st.DataObject) -> int:
        """The epoch of one of the books, rather of one that is not final; the earliest comes first."""
        books = sorted(self.model.books.values(), key=lambda book: (book.status == "final", book.epoch))
        chosen: Book = data.draw(st.sampled_from(books))
        return chosen.epoch

    # The world around

    @rule(orders=st.sampled_from([False, False, True]), clearing=st.sampled_from([False, False, True]))
    def pause(self, orders: bool, clearing: bool) -> None:
        self.model.orders_paused, self.model.clearing_paused = orders, clearing
        self.world.put_config(pause=PAUSE_ORDERS * orders | PAUSE_CLEARING * clearing)

    @rule(member=members, active=st.sampled_from([True, True, False]))
    def suspend(self, member: int, active: bool) -> None:
        self.model.members[member].active = active
        self.world.update_member(self.world.members[member], status=1 if active else 2)

    @rule(member=members, there=st.sampled_from([True, True, False]))
    def lose_accounts(self, member: int, there: bool) -> None:
        """Both accounts are frozen, or thawed."""
        found = self.world.members[member]
        for account, mint in ((found.energy_account, ENERGY_MINT), (found.credit_account, CREDIT_MINT)):
            state = 1 if there else 2
            amount = self.world.balance(account)
            self.world.put_tokens(account, mint, found.wallet.pubkey(), amount, state=state)
        self.model.members[member].receives = there

    @invariant()
    def agree(self) -> None:
        if not hasattr(self, "model"):
            return
        seats = self.world.seats()
        for member, found, seat in zip(self.model.members, self.world.members, seats, strict=False):
            held = [self.world.balance(found.credit_account), self.world.balance(found.energy_account)]
            assert held == member.tokens
            assert [seat.credit, seat.energy] == member.seat
            assert seat.payout == member.payout
        assert self.world.balance(CREDIT_VAULT) == self.model.held(CREDIT)
        assert self.world.balance(ENERGY_VAULT) == self.model.held(ENERGY)
        assert self.world.balance(self.world.fee_account) == self.model.fee_account
        assert self.world.seats_head()["fees"] == self.model.fees
        assert self.world.market()["reference_price"] == self.model.reference
        assert self.world.market()["settled_epoch"] == self.model.settled
        for slot, book in self.model.books.items():
            found_book = self.world.book(slot)
            assert found_book.fields["epoch"] == book.epoch
            for side, orders in ((BID, found_book.bids), (ASK, found_book.asks)):
                expected = [(o.price, o.number, o.quantity, o.filled, o.member) for o in book.sides[side]]
                assert [(o.price, o.number, o.quantity, o.filled, o.member) for o in orders] == expected
            assert (found_book.status, found_book.fields["paid"]) == (STATUS[book.status], book.paid)
            assert found_book.fields["fees"] == book.fees
            for member, seat in enumerate(seats[:MEMBERS]):
                if seat.epoch == book.epoch and book.status == "open":
                    mine = [sum(order.member == member for order in side) for side in book.sides]
                    assert [seat.bids, seat.asks] == mine
        self.world.check()


@pytest.mark.slow
def test_the_program_does_what_the_model_does() -> None:
    run_state_machine_as_test(
        TradingMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=60,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
