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
from trading_model import ASK, BID, SIDE, Member, Model, Refused
from trading_model import Order as ModelOrder
from trading_world import CREDIT_MINT, CREDIT_VAULT, ENERGY_MINT, ENERGY_VAULT, EPOCH, MARKET, TradingWorld

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

members = st.integers(0, MEMBERS - 1)
epochs = st.sampled_from([0, 0, 0, 0, 1, 1, 2, -1, -2])
sides = st.sampled_from([BID, ASK, BID, ASK, BID, ASK, 2])
prices = st.one_of(st.integers(10, 20), st.integers(10, 20), st.integers(8, 22))
quantities = st.one_of(st.integers(5, 60), st.integers(5, 4_000), st.integers(0, 4_100))


class TradingMachine(RuleBasedStateMachine):
    """One market, five members, and a clock that only goes forward."""

    @initialize(crowded=st.booleans(), rich=st.booleans())
    def start(self, crowded: bool, rich: bool) -> None:
        """A market whose current book is empty or, on the asks' side, nearly full."""
        self.world = TradingWorld(parameters=PARAMETERS, reference_price=15)
        self.model = Model(self.world.parameters, EPOCH_SECONDS, 15, self.world.time)
        self.world.open()
        self.model.open(EPOCH)
        for _ in range(MEMBERS):
            self.join(10**6 if rich else 900)
        if crowded:
            self.crowd()

    def join(self, amount: int) -> None:
        """Another member, with so many of both tokens."""
        self.world.member(energy=amount, credits_=amount)
        self.model.members.append(Member([amount, amount]))

    def crowd(self) -> None:
        """510 asks of a sixth member."""
        self.join(0)
        book = self.world.book()
        orders = [ModelOrder(18 + (number > 300), 5 + number % 7, MEMBERS) for number in range(SIDE - 2)]
        total = sum(order.quantity for order in orders)
        book.fields["asks"][: SIDE - 2] = [
            {"price": order.price, "quantity": order.quantity, "filled": 0, "member": order.member} for order in orders
        ]
        book.fields |= {"ask_count": SIDE - 2, "ask_quantity": total, "energy_escrow": total}
        book.fields["ask_members"][MEMBERS] = SIDE - 2
        self.world.put_book(EPOCH, book)
        self.world.put_tokens(ENERGY_VAULT, ENERGY_MINT, MARKET, total)
        self.model.books[EPOCH].sides[ASK].extend(orders)
        self.model.books[EPOCH].escrow[ASK] = total

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

    @rule(seconds=st.sampled_from([1, 100, 300, 840, 899, 900, 900, 9 * 900]))
    def wait(self, seconds: int) -> None:
        self.model.time += seconds
        self.world.set_time(self.model.time)

    @rule(offset=epochs)
    def open(self, offset: int) -> None:
        epoch = self.now() + offset
        self.same(lambda: self.world.open(epoch), lambda: self.model.open(epoch))

    @rule(member=members, side=sides, price=prices, quantity=quantities, offset=epochs)
    def place(self, member: int, side: int, price: int, quantity: int, offset: int) -> None:
        epoch = self.now() + offset
        evict = None
        book = self.model.books.get(epoch)
        if book is not None and side in (BID, ASK) and len(book.sides[side]) == SIDE:
            evict = self.world.members[book.sides[side][-1].member]
        self.same(
            lambda: self.world.place(self.world.members[member], side, price, quantity, epoch=epoch, evict=evict),
            lambda: self.model.place(member, side, price, quantity, epoch),
        )

    @rule(member=members, side=sides, price=prices, quantity=quantities, offset=epochs)
    def cancel(self, member: int, side: int, price: int, quantity: int, offset: int) -> None:
        self._cancel(member, side, price, quantity, self.now() + offset)

    @precondition(lambda self: any(book.orders() for book in self.model.books.values()))
    @rule(data=st.data())
    def cancel_one(self, data: st.DataObject) -> None:
        book = data.draw(st.sampled_from([book for book in self.model.books.values() if book.orders()]))
        side = data.draw(st.sampled_from([side for side in (BID, ASK) if book.sides[side]]))
        order = data.draw(st.sampled_from(book.sides[side]))
        self._cancel(order.member, side, order.price, order.quantity, book.epoch)

    def _cancel(self, member: int, side: int, price: int, quantity: int, epoch: int) -> None:
        self.same(
            lambda: self.world.cancel(self.world.members[member], side, price, quantity, epoch=epoch),
            lambda: self.model.cancel(member, side, price, quantity, epoch),
        )

    @rule(offset=epochs)
    def clear(self, offset: int) -> None:
        epoch = self.now() + offset
        self.same(lambda: self.world.clear(epoch), lambda: self.model.clear(epoch))

    @precondition(lambda self: self.model.books)
    @rule(data=st.data())
    def clear_one(self, data: st.DataObject) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.model.books)))
        self.same(lambda: self.world.clear(epoch), lambda: self.model.clear(epoch))

    @precondition(lambda self: self.model.books)
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.model.books)))
        self.same(lambda: self.world.refund(epoch), lambda: self.model.refund(epoch))

    @precondition(lambda self: self.model.books)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.model.books)))
        numbers = self.world.book(epoch).numbers()
        chosen = data.draw(st.lists(st.sampled_from(numbers), max_size=9)) if numbers else []
        if data.draw(st.booleans()):
            chosen.sort(key=lambda number: self.world.book(epoch).order(number).member)
        self.same(
            lambda: self.world.settle(*chosen, epoch=epoch),
            lambda: self.model.settle(chosen, epoch),
        )

    @precondition(lambda self: self.model.books)
    @rule(data=st.data())
    def settle_rest(self, data: st.DataObject) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.model.books)))
        book = self.model.books[epoch]
        numbers = [number for number in self.world.book(epoch).numbers() if not book.find(number)[1].settled][:40]
        numbers.sort(key=lambda number: book.find(number)[1].member)
        self.same(
            lambda: self.world.settle(*numbers, epoch=epoch),
            lambda: self.model.settle(numbers, epoch),
        )

    @precondition(lambda self: self.model.books)
    @rule(data=st.data(), pinned=st.booleans())
    def close(self, data: st.DataObject, pinned: bool) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.model.books)))
        self.world.put_checkpoint(epoch, None if pinned else bytes(32))
        self.same(lambda: self.world.close(epoch), lambda: self.model.close(epoch, pinned=pinned))

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
        for member, found in zip(self.model.members, self.world.members, strict=True):
            held = [self.world.balance(found.credit_account), self.world.balance(found.energy_account)]
            assert held == member.tokens
        assert self.world.balance(CREDIT_VAULT) == sum(book.escrow[BID] for book in self.model.books.values())
        assert self.world.balance(ENERGY_VAULT) == sum(book.escrow[ASK] for book in self.model.books.values())
        assert self.world.balance(self.world.fee_account) == self.model.fee_account
        assert self.world.market()["reference_price"] == self.model.reference
        for epoch, book in self.model.books.items():
            found_book = self.world.book(epoch)
            for side, orders in ((BID, found_book.bids), (ASK, found_book.asks)):
                expected = [(order.price, order.quantity, order.filled, order.member) for order in book.sides[side]]
                assert [(order.price, order.quantity, order.filled, order.member) for order in orders] == expected
            settled = [number for number in found_book.numbers() if found_book.is_settled(number)]
            assert settled == [number for number in found_book.numbers() if book.find(number)[1].settled]
            status = {"open": (1,), "settling": (2, 3), "final": (4,)}[book.status]
            assert found_book.status in status


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
