"""Random lives of a whole campus, all five programs in one model: what meters measured is minted, traded and retired.

The steps of campus_life and, among them, the market's, delegates' and governance's: same results, same refusals,
exact conservation after every step. 200 lives of 50 steps run with the other tests, the same ones each time; the long
run, other lives each time, is `CAMPUS_MODEL_LIVES=20000 pytest tests/programs/trading/test_whole_campus.py`.
test_trading_model has the market alone, with crowded books and accounts that cannot receive.
"""

from __future__ import annotations

import os
from typing import Any

from campus import EPOCH_SECONDS, PARAMETERS, START, Campus, Member, key, readonly, writable
from campus_life import DELEGATE, EPOCH, USERS, CampusLife, rarely, signers, users
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from trading_world import ASK, BID, Book
from whole_model import WholeModel

from authority.chain import programs

LIVES = os.environ.get("CAMPUS_MODEL_LIVES")
DEPARTMENT = "department"
"""A member like the others, whose credit account takes the market's fees."""
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


class WholeCampusLife(CampusLife):
    """With the market."""

    model: WholeModel

    def make(self) -> None:
        parameters = PARAMETERS | LIMITS
        self.campus = Campus(parameters=parameters)
        self.model = WholeModel(START, EPOCH_SECONDS, parameters)
        self.members = {name: Member(key(f"wallet {name}")) for name in (*USERS, DEPARTMENT)}

    def open_the_market(self) -> None:
        self.register_user(DEPARTMENT, 2)
        fees = self.members[DEPARTMENT].credit_tokens
        self.both(
            lambda: self.model.initialize_market(170_000, DEPARTMENT),
            self.by_operator("trading", "initialize_market", {"reference_price": 170_000}, fee_account=fees),
        )
        self.register_user("carol", 0)
        for name in USERS:
            self.issue_credit(name, 5_000_000)

    def trading(
        self, name: str, args: dict[str, Any], remaining: list[Any] | None = None, **accounts: Pubkey
    ) -> Instruction:
        return self.campus.instruction("trading", name, args, accounts, remaining or [])

    def book(self, epoch: int) -> Book | None:
        """The chain's book of an epoch."""
        found = self.campus.svm.get_account(programs.book_address(epoch))
        return Book(bytes(found.data)) if found is not None and found.data else None

    def member_at(self, index: int) -> Member:
        return self.members[next(name for name, user in self.model.users.items() if user.index == index)]

    # The market

    @rule(offset=offsets)
    def open_book(self, offset: int) -> None:
        epoch = self.model.epoch + offset
        book = programs.book_address(epoch)
        self.both(
            lambda: self.model.open_epoch(epoch, self.operator_name()),
            self.trading("open_epoch", {"epoch": epoch}, payer=self.campus.operator.pubkey(), book=book),
            self.trading("grow_book", {}, book=book),
        )

    def operator_name(self) -> str:
        return str(self.campus.operator.pubkey())

    @rule(name=users, by=signers, side=sides, price=prices, quantity=quantities, offset=offsets)
    def place_order(self, name: str, by: str, side: int, price: int, quantity: int, offset: int) -> None:
        epoch, by = self.model.epoch + offset, self.actor(name, by)
        accounts = self.order_accounts(name, by, side, epoch)
        args = {"epoch": epoch, "side": side, "price": price, "quantity": quantity}
        self.both(
            lambda: self.model.place_order(name, by, side, price, quantity, epoch),
            self.trading("place_order", args, source=self.tokens(name, side), **accounts),
            signers=(self.wallet(by),),
        )

    @rule(name=users, side=sides, price=prices, quantity=quantities, offset=offsets)
    def cancel_any_order(self, name: str, side: int, price: int, quantity: int, offset: int) -> None:
        self._cancel(name, name, side, price, quantity, self.model.epoch + offset)

    @precondition(lambda self: self.with_orders())
    @rule(data=st.data(), by=signers)
    def cancel_an_order(self, data: st.DataObject, by: str) -> None:
        epoch = data.draw(st.sampled_from(self.with_orders()))
        book = self.model.market.books[epoch]
        side, order = data.draw(st.sampled_from([(side, order) for side in (BID, ASK) for order in book.sides[side]]))
        name = next(name for name, user in self.model.users.items() if user.index == order.member)
        self._cancel(name, self.actor(name, by), side, order.price, order.quantity, epoch)

    def _cancel(self, name: str, by: str, side: int, price: int, quantity: int, epoch: int) -> None:
        accounts = self.order_accounts(name, by, side, epoch)
        args = {"epoch": epoch, "side": side, "price": price, "quantity": quantity}
        self.both(
            lambda: self.model.cancel_order(name, by, side, price, quantity, epoch),
            self.trading("cancel_order", args, destination=self.tokens(name, side), **accounts),
            signers=(self.wallet(by),),
        )

    def with_orders(self) -> list[int]:
        return sorted(epoch for epoch, book in self.model.market.books.items() if book.orders())

    def wallet(self, name: str) -> Keypair:
        return self.members[name].wallet

    def tokens(self, name: str, side: int) -> Pubkey:
        return self.members[name].energy_tokens if side == ASK else self.members[name].credit_tokens

    def order_accounts(self, name: str, by: str, side: int, epoch: int) -> dict[str, Pubkey]:
        return {
            "authority": self.wallet(by).pubkey(),
            "user": self.members[name].user,
            "book": programs.book_address(epoch),
            "vault": programs.energy_vault() if side == ASK else programs.credit_vault(),
        }

    @rule(offset=st.sampled_from([-1, -1, -1, 0, -2]))
    def trigger_clearing(self, offset: int) -> None:
        self._clear(self.model.epoch + offset)

    def _clear(self, epoch: int) -> None:
        self.both(
            lambda: self.model.trigger_clearing(epoch),
            self.campus.instruction(
                "oracle", "trigger_clearing", {"epoch": epoch}, {"book": programs.book_address(epoch)}
            ),
        )

    @precondition(lambda self: self.model.market.books)
    @rule(data=st.data(), much_later=rarely)
    def refund(self, data: st.DataObject, much_later: bool) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.model.market.books)))
        if much_later:
            self.time_passes(9 * EPOCH_SECONDS)
        self.both(
            lambda: self.model.refund_epoch(epoch), self.trading("refund_epoch", {}, book=programs.book_address(epoch))
        )

    @precondition(lambda self: self.model.market.books)
    @rule(data=st.data())
    def settle_some(self, data: st.DataObject) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.model.market.books)))
        book = self.book(epoch)
        assert book is not None
        numbers = book.numbers()
        self._settle_orders(epoch, data.draw(st.lists(st.sampled_from(numbers), max_size=4)) if numbers else [])

    def _settle_orders(self, epoch: int, numbers: list[int]) -> None:
        book = self.book(epoch)
        assert book is not None
        remaining, last = [], None
        for number in numbers:
            index = book.order(number).member
            if index != last:
                member = self.member_at(index)
                remaining += [readonly(member.user), writable(member.energy_tokens), writable(member.credit_tokens)]
            last = index
        self.both(
            lambda: self.model.settle_orders(numbers, epoch),
            self.trading(
                "settle_orders",
                {"orders": numbers},
                remaining,
                book=programs.book_address(epoch),
                fee_account=self.members[DEPARTMENT].credit_tokens,
            ),
        )

    @precondition(lambda self: self.model.market.books)
    @rule(data=st.data(), mistaken=rarely)
    def close_book(self, data: st.DataObject, mistaken: bool) -> None:
        epoch = data.draw(st.sampled_from(sorted(self.model.market.books)))
        self._close(epoch, str(self.members["carol"].address) if mistaken else self.model.rent_payers[epoch])

    def _close(self, epoch: int, rent_to: str) -> None:
        self.both(
            lambda: self.model.close_epoch(epoch, rent_to),
            self.trading(
                "close_epoch",
                {},
                book=programs.book_address(epoch),
                checkpoint=programs.checkpoint_address(epoch),
                rent_payer=Pubkey.from_string(rent_to),
            ),
        )

    @rule(
        buyers=st.sampled_from([("carol",), ("carol", "bob"), ("alice",), USERS, ()]),
        by=signers,
        orders=st.lists(st.tuples(users, signers, st.sampled_from([ASK, BID]), prices, quantities), max_size=7),
        asked=st.integers(60_000, 170_000),
        bid=st.integers(150_000, 290_000),
        until=st.sampled_from(["closed", "closed", "closed", "checkpointed", "paid", "cleared"]),
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
        """A book from its opening on, mostly to its closing: members offer half of what they hold and bid for some."""
        self.open_book(0)
        epoch = self.model.epoch
        for name in USERS:
            held = self.model.tokens.get(name, 0)
            if name in buyers:
                self.place_order(name, by, BID, bid, 500, 0)
            elif held >= 20:
                self.place_order(name, by, ASK, asked, min(held // 2, 20_000), 0)
        for name, signer, side, price, quantity in orders:
            self.place_order(name, signer, side, price, quantity, 0)
        self.to_the_next_boundary()
        self._clear(epoch)
        found = self.book(epoch)
        if found is None or until == "cleared":
            return
        numbers = [number for number in found.numbers() if not found.is_settled(number)]
        numbers.sort(key=lambda number: found.order(number).member)
        for start in range(0, len(numbers), 4):
            self._settle_orders(epoch, numbers[start : start + 4])
        if until == "paid":
            return
        last = self.model.last_checkpoint
        for _ in range(epoch - (EPOCH - 1 if last is None else last)):
            self.checkpoint(1, 1)
        if until == "closed":
            self._close(epoch, self.model.rent_payers[epoch])

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
        """A member names a delegate, who offers or bids, takes some of it back, and retires."""
        side, price, quantity = order
        self.set_delegate(name, delegate, term, *allowances)
        self.open_book(0)
        self.time_passes(wait)
        self.place_order(name, DELEGATE, side, price, quantity, 0)
        self.place_order(name, DELEGATE, side, price, 10, 0)
        self._cancel(name, self.actor(name, DELEGATE), side, price, 10, self.model.epoch)
        self.retire(name, DELEGATE, 1, 0, 2)

    # What holds after every step

    @invariant()
    def the_market_agrees(self) -> None:
        if not hasattr(self, "model"):
            return
        campus, market = self.campus, self.model.market
        found = campus.account("trading", programs.market_address())
        assert found["reference_price"] == market.reference
        assert campus.tokens(programs.credit_vault()) == sum(book.escrow[BID] for book in market.books.values())
        assert campus.tokens(programs.energy_vault()) == sum(book.escrow[ASK] for book in market.books.values())
        for epoch, book in market.books.items():
            on_chain = self.book(epoch)
            assert on_chain is not None
            for side, orders in ((BID, on_chain.bids), (ASK, on_chain.asks)):
                expected = [(order.price, order.quantity, order.filled, order.member) for order in book.sides[side]]
                assert [(order.price, order.quantity, order.filled, order.member) for order in orders] == expected
            assert on_chain.status in {"open": (1,), "settling": (2, 3), "final": (4,)}[book.status]
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
TestWholeCampusLife = WholeCampusLife.TestCase
