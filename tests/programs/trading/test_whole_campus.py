"""Random lives of a whole campus, all five programs in one model: what meters measured is minted, traded and retired.

The steps of campus_life and, among them, the market's, delegates' and governance's: same results, same refusals,
exact conservation after every step. 200 lives of 50 steps run with the other tests, the same ones each time; the long
run, other lives each time, is `CAMPUS_MODEL_LIVES=20000 pytest tests/programs/trading/test_whole_campus.py`.
test_trading_model has the market alone, with crowded books and accounts that cannot receive.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from campus import EPOCH_SECONDS, PARAMETERS, START, Campus, key
from campus_life import DELEGATE, EPOCH, STRANGER, USERS, CampusLife, amounts, keys, person, rarely, signers, users
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from market_accounts import CLEARING, FINAL, OPEN, REFUNDING, Book
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from trading_model import ASK, BID, CREDIT, ENERGY
from trading_model import Book as ModelBook
from whole_model import WholeModel

from authority.chain import programs

pytestmark = pytest.mark.timeout(900)
LIVES = os.environ.get("CAMPUS_MODEL_LIVES")
DEPARTMENT = "department"
"""A member like the others, whose credit account takes the market's fees."""
CAPACITY = 6
"""Orders a side: few, so that orders are displaced."""
LIMITS = {
    "feed_in_price": 50_000,
    "retail_price": 300_000,
    "min_order_wh": 10,
    "max_order_wh": 20_000,
    "min_reference_volume_wh": 300,
    "max_orders_per_member": 4,
    "billing_period_epochs": 16,
}

sides = st.sampled_from([BID, ASK, BID, ASK, BID, ASK, 2])
prices = st.one_of(st.integers(60_000, 290_000), st.sampled_from([170_000, 50_000, 49_999, 300_000, 300_001]))
quantities = st.one_of(st.integers(10, 400), st.integers(10, 5_000), st.sampled_from([20_000, 0, 9, 20_001]))
offsets = st.sampled_from([0, 0, 0, 0, -1, 1, -2])
limits = st.sampled_from([100, 100, 100, 0, 1, 3])


class WholeCampusLife(CampusLife):
    """With the market."""

    model: WholeModel

    def make(self) -> None:
        parameters = PARAMETERS | LIMITS
        self.campus = Campus(parameters=parameters)
        self.model = WholeModel(START, EPOCH_SECONDS, parameters, CAPACITY)
        self.members = {name: person(name) for name in (*USERS, DEPARTMENT)}

    def open_the_market(self) -> None:
        self.register_user(DEPARTMENT, 2)
        fees = self.members[DEPARTMENT].credit_tokens
        args = {"reference_price": 170_000, "orders_per_side": CAPACITY}
        self.both(
            lambda: self.model.initialize_market(170_000, DEPARTMENT),
            self.by_operator("trading", "initialize_market", args, fee_account=fees),
        )
        for slot in range(programs.BOOKS):
            grow = self.trading(
                "grow_book", {"slot": slot}, payer=self.campus.operator.pubkey(), book=programs.book_address(slot)
            )
            self.campus.send(grow)
        self.register_user("carol", 0)
        for name in USERS:
            self.issue_credit(name, 5_000_000)
            self.deposit(name, name, CREDIT, 4_000_000)

    def trading(self, name: str, args: dict[str, Any], **accounts: Pubkey) -> Instruction:
        return self.campus.instruction("trading", name, args, accounts)

    def book(self, epoch: int) -> Book:
        """The chain's book in the slot of an epoch."""
        found = self.campus.svm.get_account(programs.book_address(epoch))
        assert found is not None
        return Book(bytes(found.data))

    # Seats

    @rule(name=users, by=signers, token=st.sampled_from([CREDIT, ENERGY]), amount=amounts)
    def deposit(self, name: str, by: str, token: int, amount: int) -> None:
        by = self.actor(name, by)
        self.both(
            lambda: self.model.deposit(name, by, token, amount),
            self.trading(
                "deposit",
                self.of(token, amount),
                source=self.tokens(name, token),
                **self.seat_accounts(name, by, token),
            ),
            signers=(self.wallet(by),),
        )

    @rule(name=users, by=signers, token=st.sampled_from([CREDIT, ENERGY]), amount=amounts)
    def withdraw(self, name: str, by: str, token: int, amount: int) -> None:
        by = self.actor(name, by)
        self.both(
            lambda: self.model.withdraw(name, by, token, amount),
            self.trading(
                "withdraw",
                self.of(token, amount),
                destination=self.tokens(name, token),
                **self.seat_accounts(name, by, token),
            ),
            signers=(self.wallet(by),),
        )

    @staticmethod
    def of(token: int, amount: int) -> dict[str, int]:
        """Arguments: the program names assets the other way round."""
        return {"asset": 0 if token == ENERGY else 1, "amount": amount}

    def seat_accounts(self, name: str, by: str, token: int) -> dict[str, Pubkey]:
        return {
            "authority": self.wallet(by).pubkey(),
            "user": self.members[name].user,
            "vault": programs.energy_vault() if token == ENERGY else programs.credit_vault(),
        }

    # The market

    @rule(offset=offsets)
    def open_book(self, offset: int) -> None:
        epoch = self.model.epoch + offset
        before = self.book(epoch).fields["epoch"]
        checkpoint = programs.checkpoint_address(before) if before else programs.SYSTEM_PROGRAM
        self.both(
            lambda: self.model.open_epoch(epoch),
            self.trading("open_epoch", {"epoch": epoch}, book=programs.book_address(epoch), checkpoint=checkpoint),
            payer=STRANGER,
        )

    @rule(name=users, by=signers, side=sides, price=prices, quantity=quantities, offset=offsets)
    def place_order(self, name: str, by: str, side: int, price: int, quantity: int, offset: int) -> None:
        epoch, by = self.model.epoch + offset, self.actor(name, by)
        args = {"epoch": epoch, "side": side, "price": price, "quantity": quantity}
        self.both(
            lambda: self.model.place_order(name, by, side, price, quantity, epoch),
            self.trading("place_order", args, **self.order_accounts(name, by, epoch)),
            signers=(self.wallet(by),),
        )

    @rule(name=users, side=sides, price=prices, number=st.integers(0, 5), offset=offsets)
    def cancel_any_order(self, name: str, side: int, price: int, number: int, offset: int) -> None:
        self._cancel(name, name, side, price, number, self.model.epoch + offset)

    @precondition(lambda self: self.with_orders())
    @rule(data=st.data(), by=signers)
    def cancel_an_order(self, data: st.DataObject, by: str) -> None:
        book = data.draw(st.sampled_from(self.with_orders()))
        side, order = data.draw(st.sampled_from(book.orders()))
        name = next(name for name, user in self.model.users.items() if user.index == order.member)
        self._cancel(name, self.actor(name, by), side, order.price, order.number, book.epoch)

    def _cancel(self, name: str, by: str, side: int, price: int, number: int, epoch: int) -> None:
        args = {"epoch": epoch, "side": side, "price": price, "number": number}
        self.both(
            lambda: self.model.cancel_order(name, by, side, price, number, epoch),
            self.trading("cancel_order", args, **self.order_accounts(name, by, epoch)),
            signers=(self.wallet(by),),
        )

    def with_orders(self) -> list[ModelBook]:
        books = [book for book in self.model.market.books.values() if book.orders()]
        return sorted(books, key=lambda book: book.epoch)

    def tokens(self, name: str, token: int) -> Pubkey:
        return self.members[name].energy_tokens if token == ENERGY else self.members[name].credit_tokens

    def order_accounts(self, name: str, by: str, epoch: int) -> dict[str, Pubkey]:
        return {
            "authority": self.wallet(by).pubkey(),
            "user": self.members[name].user,
            "book": programs.book_address(epoch),
        }

    @rule(offset=st.sampled_from([-1, -1, -1, 0, -2]), limit=limits)
    def trigger_clearing(self, offset: int, limit: int) -> None:
        self._clear(self.model.epoch + offset, limit)

    @precondition(lambda self: self.model.market.books)
    @rule(data=st.data(), limit=limits)
    def clear_a_book(self, data: st.DataObject, limit: int) -> None:
        self._clear(self._any_book(data), limit)

    def _any_book(self, data: st.DataObject) -> int:
        """The epoch of a book, rather of one that is not final."""
        books = sorted(self.model.market.books.values(), key=lambda book: (book.status == "final", book.epoch))
        chosen: ModelBook = data.draw(st.sampled_from(books))
        return chosen.epoch

    def _clear(self, epoch: int, limit: int = 100) -> None:
        args = {"epoch": epoch, "limit": limit}
        self.both(
            lambda: self.model.trigger_clearing(epoch, limit),
            self.campus.instruction("oracle", "trigger_clearing", args, {"book": programs.book_address(epoch)}),
            payer=STRANGER,
        )

    @precondition(lambda self: self.model.market.books)
    @rule(data=st.data(), much_later=rarely, limit=limits)
    def refund(self, data: st.DataObject, much_later: bool, limit: int) -> None:
        epoch = self._any_book(data)
        if much_later:
            self.time_passes(9 * EPOCH_SECONDS)
        self._refund(epoch, limit)

    def _refund(self, epoch: int, limit: int) -> None:
        self.both(
            lambda: self.model.refund_epoch(epoch, limit),
            self.trading("refund_epoch", {"epoch": epoch, "limit": limit}, book=programs.book_address(epoch)),
            payer=STRANGER,
        )

    @rule(refunded=rarely)
    def books_out_of_order(self, refunded: bool) -> None:
        """The later of two books waits for the earlier one."""
        first = self.model.epoch
        for _ in range(2):
            self.open_book(0)
            self.to_the_next_boundary()
        if refunded:
            self.time_passes(9 * EPOCH_SECONDS)
        for epoch in (first + 1, first, first + 1):
            self._refund(epoch, 100) if refunded else self._clear(epoch)

    @rule()
    def withdraw_fees(self) -> None:
        fees = self._account(self.model.fees_to, CREDIT)
        instruction = self.trading("withdraw_fees", {}, fee_account=fees)
        self.both(self.model.withdraw_fees, instruction, payer=STRANGER)

    @rule(by=keys, whose=st.sampled_from([*USERS, DEPARTMENT]), token=st.sampled_from([CREDIT, CREDIT, ENERGY]))
    def set_fee_account(self, by: str, whose: str, token: int) -> None:
        if whose not in self.model.users:
            return
        accounts = {"authority": key(by).pubkey(), "fee_account": self._account(whose, token)}
        self.both(
            lambda: self.model.set_fee_account(by, whose, token),
            self.trading("set_fee_account", {}, **accounts),
            signers=(key(by),),
        )

    @rule(name=users, by=signers, assets=st.sampled_from([0, 1, 2, 3, 3, 4]), amount=amounts)
    def set_payout(self, name: str, by: str, assets: int, amount: int) -> None:
        """What anybody may pay out to the member's own account; and somebody does."""
        actor = self.actor(name, by)
        accounts = {"authority": self.wallet(actor).pubkey(), "user": self.members[name].user}
        self.both(
            lambda: self.model.set_payout(name, actor, assets),
            self.trading("set_payout", {"assets": assets}, **accounts),
            signers=(self.wallet(actor),),
        )
        for token in (CREDIT, ENERGY):
            self.withdraw(name, "stranger", token, amount)

    @rule(
        side=st.sampled_from([BID, ASK]),
        price=st.integers(100_000, 200_000),
        step=st.sampled_from([-5_000, -1, 0, 1, 5_000]),
        orders=st.integers(5, 15),
    )
    def a_crowded_side(self, side: int, price: int, step: int, orders: int) -> None:
        """More orders on a side than it holds: the worst give way, or the newcomer does; the next epoch's wait."""
        self.open_book(0)
        self.open_book(1)
        self.place_order(USERS[0], USERS[0], side, price, 10, 1)
        for number in range(orders):
            self.place_order(USERS[number % len(USERS)], USERS[number % len(USERS)], side, price + number * step, 10, 0)

    @rule(
        buyers=st.sampled_from([("carol",), ("carol", "bob"), ("alice",), USERS, ()]),
        by=signers,
        orders=st.lists(st.tuples(users, signers, st.sampled_from([ASK, BID]), prices, quantities), max_size=7),
        asked=st.integers(60_000, 170_000),
        bid=st.integers(150_000, 290_000),
        until=st.sampled_from(["checkpointed", "checkpointed", "checkpointed", "paid", "cleared"]),
    )
    def a_market_epoch(
        self,
        buyers: tuple[str, ...],
        by: str,
        orders: list[tuple[str, str, int, int, int]],
        asked: int,
        bid: int,
        until: str,
    ) -> None:
        """A book from its opening on, mostly to its checkpoint: members offer half of what they hold, or bid."""
        self.open_book(0)
        epoch = self.model.epoch
        for name in USERS:
            if self.model.tokens.get(name, 0):
                self.deposit(name, name, ENERGY, self.model.tokens[name])
            held = self.model.seats.get(name, [0, 0])[ENERGY]
            if name in buyers:
                self.place_order(name, by, BID, bid, 500, 0)
            elif held >= 20:
                self.place_order(name, by, ASK, asked, min(held // 2, 20_000), 0)
        for name, signer, side, price, quantity in orders:
            self.place_order(name, signer, side, price, quantity, 0)
        self.to_the_next_boundary()
        self._clear(epoch, 0 if until == "cleared" else 100)
        if until != "checkpointed":
            return
        last = self.model.last_checkpoint
        for _ in range(epoch - (EPOCH - 1 if last is None else last)):
            self.checkpoint(1, 1)

    @rule(
        name=users,
        delegate=users,
        term=st.sampled_from([5 * EPOCH_SECONDS, EPOCH_SECONDS, 1]),
        allowances=st.tuples(st.sampled_from([100, 10_000, 0]), st.sampled_from([60_000_000, 10_000, 0])),
        order=st.tuples(st.sampled_from([ASK, BID]), prices, quantities),
        wait=st.sampled_from([0, 0, 1, 10]),
    )
    def a_delegates_work(
        self,
        name: str,
        delegate: str,
        term: int,
        allowances: tuple[int, int],
        order: tuple[int, int, int],
        wait: int,
    ) -> None:
        """A member names a delegate, who deposits what was approved, offers or bids, takes some back, and retires."""
        side, price, quantity = order
        self.set_delegate(name, delegate, term)
        for token, amount in ((1, allowances[0]), (0, allowances[1])):
            self.approve(name, token, amount)
        self.open_book(0)
        self.time_passes(wait)
        self.deposit(name, DELEGATE, side, 100)
        self.place_order(name, DELEGATE, side, price, quantity, 0)
        self.place_order(name, DELEGATE, side, price, 10, 0)
        book = self.model.market.books.get(self.model.epoch % programs.BOOKS)
        last = book.next_number - 1 if book is not None else 0
        self._cancel(name, self.actor(name, DELEGATE), side, price, max(0, last), self.model.epoch)
        self.retire(name, DELEGATE, 1, 0, 2)

    # What holds after every step

    @invariant()
    def the_market_agrees(self) -> None:
        if not hasattr(self, "model"):
            return
        campus, market = self.campus, self.model.market
        found = campus.account("trading", programs.market_address())
        assert found["reference_price"] == market.reference
        assert campus.tokens(programs.credit_vault()) == self.model.held(CREDIT)
        assert campus.tokens(programs.energy_vault()) == self.model.held(ENERGY)
        seats = campus.account("trading", programs.seats_address())
        assert (seats["credit_held"], seats["energy_held"]) == (self.model.held(CREDIT), self.model.held(ENERGY))
        assert seats["fees"] == market.fees
        for slot, book in market.books.items():
            on_chain = self.book(slot)
            assert on_chain.fields["epoch"] == book.epoch
            for side, orders in ((BID, on_chain.bids), (ASK, on_chain.asks)):
                expected = [(o.price, o.number, o.quantity, o.filled, o.member) for o in book.sides[side]]
                assert [(o.price, o.number, o.quantity, o.filled, o.member) for o in orders] == expected
            status = {"open": OPEN, "clearing": CLEARING, "refunding": REFUNDING, "final": FINAL}[book.status]
            assert (on_chain.status, on_chain.fields["paid"]) == (status, book.paid)
        config = campus.account("governance", programs.config_address())
        assert config["authority"] == key(self.model.authority).pubkey()
        assert config["operator"] == key(self.model.operator).pubkey()


WholeCampusLife.TestCase.settings = settings(
    max_examples=int(LIVES or 200),
    stateful_step_count=50,
    derandomize=LIVES is None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestWholeCampusLife = pytest.mark.slow(WholeCampusLife.TestCase)
