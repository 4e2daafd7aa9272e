"""A market epoch from its opening to its close: what every instruction does when nothing is wrong."""

from __future__ import annotations

import hashlib

import pytest
from campus import EPOCH_SECONDS, PARAMETERS, PAUSE_CLEARING, PAUSE_ORDERS, idl, key
from trading_world import (
    ASK,
    BID,
    CLEARED,
    CREDIT_MINT,
    CREDIT_VAULT,
    ENERGY_MINT,
    ENERGY_VAULT,
    EPOCH,
    FINAL,
    GROWING,
    MARKET,
    OPEN,
    REFUNDING,
    SYSTEM,
    Order,
    TradingWorld,
    token_account,
)

from authority.chain.programs import book_address

END = (EPOCH + 1) * EPOCH_SECONDS


def test_the_market_owns_its_vaults_and_names_its_fee_account(world: TradingWorld) -> None:
    market = world.market()
    assert market["reference_price"] == 150_000
    assert market["fee_account"] == world.fee_account
    for vault, mint in ((ENERGY_VAULT, ENERGY_MINT), (CREDIT_VAULT, CREDIT_MINT)):
        assert world.data(vault) == token_account(mint, MARKET, 0)


def test_a_book_opens_with_the_parameters_of_its_epoch(world: TradingWorld) -> None:
    book = world.book().fields
    assert book["status"] == OPEN
    assert (book["opens_at"], book["closes_at"]) == (EPOCH * EPOCH_SECONDS, END)
    assert book["rent_payer"] == world.operator.pubkey()
    copied = {
        "feed_in_price": "feed_in_price",
        "retail_price": "retail_price",
        "wheeling": "wheeling",
        "min_order": "min_order_wh",
        "max_order": "max_order_wh",
        "cancel_cutoff_seconds": "cancel_cutoff_seconds",
        "min_reference_volume": "min_reference_volume_wh",
        "fee_bps": "fee_bps",
        "max_orders_per_member": "max_orders_per_member",
    }
    assert {name: book[name] for name in copied} == {name: PARAMETERS[source] for name, source in copied.items()}


def test_staged_parameters_hold_from_their_epoch(world: TradingWorld) -> None:
    staged = {**PARAMETERS, "wheeling": 1, "fee_bps": 7}
    world.put_config(staged=staged, staged_from=EPOCH + 1)
    world.open(EPOCH + 1)
    assert world.book(EPOCH).fields["wheeling"] == PARAMETERS["wheeling"]
    assert (world.book(EPOCH + 1).fields["wheeling"], world.book(EPOCH + 1).fields["fee_bps"]) == (1, 7)


def test_a_change_of_parameters_leaves_an_open_book_alone(world: TradingWorld) -> None:
    seller = world.member()
    world.put_config(max_order_wh=20, fee_bps=1_000, feed_in_price=200_000)
    world.place(seller, ASK, 60_000, 5_000)
    assert world.book().fields["fee_bps"] == PARAMETERS["fee_bps"]


def test_anyone_may_open_and_gets_the_rent_back(world: TradingWorld) -> None:
    stranger = key("stranger")
    world.svm.airdrop(stranger.pubkey(), 10**10)
    world.send(*world.open_instructions(EPOCH + 1, stranger.pubkey()))
    world.epochs.append(EPOCH + 1)
    book = world.book(EPOCH + 1)
    rent = world.svm.minimum_balance_for_rent_exemption(len(book.data))
    assert world.svm.get_balance(book_address(EPOCH + 1)) == rent
    assert world.svm.get_balance(stranger.pubkey()) == 10**10 - rent
    world.set_time((EPOCH + 2) * EPOCH_SECONDS)
    world.clear(EPOCH + 1)
    world.put_checkpoint(EPOCH + 1)
    assert world.close(EPOCH + 1, rent_payer=stranger.pubkey()).event("EpochClosed")["rent"] == rent
    assert world.svm.get_balance(stranger.pubkey()) == 10**10


def test_anyone_may_complete_a_book(world: TradingWorld) -> None:
    opening, growing = world.open_instructions(EPOCH + 1)
    world.send(opening)
    assert len(world.data(book_address(EPOCH + 1))) == 10_240
    assert idl("trading").decode_account(world.data(book_address(EPOCH + 1)) + bytes(10_000))[1]["status"] == GROWING
    world.send(growing)
    assert world.book(EPOCH + 1).fields["status"] == OPEN


def test_orders_rest_best_first_and_in_order_of_arrival(world: TradingWorld) -> None:
    one, two, three = world.member(), world.member(), world.member()
    for member, price in ((one, 100_000), (two, 120_000), (three, 100_000), (one, 90_000)):
        world.place(member, BID, price, 100)
    for member, price in ((two, 250_000), (three, 240_000), (one, 250_000)):
        world.place(member, ASK, price, 50)
    assert [(order.price, order.member) for order in world.book().bids] == [
        (120_000, 1),
        (100_000, 0),
        (100_000, 2),
        (90_000, 0),
    ]
    assert [(order.price, order.member) for order in world.book().asks] == [(240_000, 2), (250_000, 1), (250_000, 0)]
    assert (world.book().fields["bid_quantity"], world.book().fields["ask_quantity"]) == (400, 150)


def test_an_order_locks_what_it_may_cost(world: TradingWorld) -> None:
    member = world.member(energy=1_000, credits_=10**9)
    placed = world.place(member, BID, 100_001, 333).event("OrderPlaced")
    escrow = -(-333 * (100_001 + 20_000) // 1000)
    assert placed == {
        "escrow": escrow,
        "epoch": EPOCH,
        "member": 0,
        "price": 100_001,
        "quantity": 333,
        "side": BID,
        "place": 0,
    }
    assert world.balance(member.credit_account) == 10**9 - escrow
    placed = world.place(member, ASK, 200_000, 400).event("OrderPlaced")
    assert (placed["escrow"], placed["side"]) == (400, ASK)
    assert world.balance(member.energy_account) == 600
    assert (world.balance(CREDIT_VAULT), world.balance(ENERGY_VAULT)) == (escrow, 400)


def test_cancelling_returns_the_escrow_and_leaves_no_trace(world: TradingWorld) -> None:
    member, other = world.member(), world.member()
    world.place(other, BID, 90_000, 100)
    before = world.data(book_address(EPOCH))
    held = world.balance(member.credit_account)
    world.place(member, BID, 100_000, 333)
    cancelled = world.cancel(member, BID, 100_000, 333).event("OrderCancelled")
    assert (cancelled["member"], cancelled["place"]) == (0, 0)
    assert world.balance(member.credit_account) == held
    assert world.data(book_address(EPOCH)) == before


def test_of_equal_orders_the_latest_is_cancelled(world: TradingWorld) -> None:
    one, two = world.member(), world.member()
    for member in (one, two, one):
        world.place(member, ASK, 100_000, 100)
    assert world.cancel(one, ASK, 100_000, 100).event("OrderCancelled")["place"] == 2
    assert [order.member for order in world.book().asks] == [0, 1]


def test_a_pause_and_a_suspension_let_members_leave(world: TradingWorld) -> None:
    member = world.member()
    world.place(member, ASK, 100_000, 100)
    world.place(member, BID, 90_000, 100)
    world.put_config(pause=0b111_1111)
    world.update_member(member, status=2)
    world.cancel(member, ASK, 100_000, 100)
    world.cancel(member, BID, 90_000, 100)
    assert world.book().numbers() == []


def test_a_delegate_trades_for_a_member_that_approved_it(world: TradingWorld) -> None:
    delegate = key("delegate")
    member = world.member(delegate=delegate.pubkey(), delegate_until=END)
    world.put_tokens(member.energy_account, ENERGY_MINT, member.wallet.pubkey(), 500, delegate=MARKET)
    world.place(member, ASK, 100_000, 400, authority=delegate.pubkey())
    assert world.balance(member.energy_account) == 100
    world.cancel(member, ASK, 100_000, 400, authority=delegate.pubkey())
    assert world.balance(member.energy_account) == 500


def test_a_market_epoch(world: TradingWorld) -> None:
    seller, thrifty, keen = world.member(energy=5_000), world.member(credits_=10**7), world.member(credits_=10**7)
    world.place(seller, ASK, 100_000, 5_000)
    world.place(thrifty, BID, 200_000, 3_000)
    world.place(keen, BID, 200_000, 4_000)
    world.set_time(END)
    assert world.clear().event("EpochCleared") == {
        "epoch": EPOCH,
        "price": 200_000,
        "lowest_price": 200_000,
        "highest_price": 200_000,
        "volume": 5_000,
        "reference_price": 150_000,
        "new_reference_price": 200_000,
        "bids": 2,
        "asks": 1,
    }
    book = world.book()
    assert book.fields["status"] == CLEARED
    assert book.bids == [Order(200_000, 3_000, 2_143, 1), Order(200_000, 4_000, 2_857, 2)]
    assert book.asks == [Order(100_000, 5_000, 5_000, 0)]
    world.check()

    # 5 kWh at 0.2 are 1 credit, less 0.5 %.
    settled = world.settle(512).event("OrderSettled")
    assert (settled["order"], settled["credits"], settled["energy"]) == (512, 995_000, 0)
    assert world.balance(seller.credit_account) == 10**12 + 995_000
    world.check()
    outcome = world.settle(1, 0)
    assert world.balance(thrifty.energy_account) == 10_000_000 + 2_143
    assert world.balance(thrifty.credit_account) == 10**7 - -(-2_143 * 220_000 // 1000)
    assert world.balance(keen.credit_account) == 10**7 - -(-2_857 * 220_000 // 1000)
    # The fee, wheeling of 5 kWh at 0.02, and what rounding left.
    assert outcome.event("EpochSettled")["fees"] == world.balance(world.fee_account) == 5_000 + 100_000
    book = world.book()
    assert book.fields["status"] == FINAL
    assert (book.fields["energy_escrow"], book.fields["credit_escrow"], book.fields["fees_paid"]) == (0, 0, 105_000)

    world.put_checkpoint()
    closed = world.close().event("EpochClosed")
    assert closed["book_hash"] == hashlib.sha256(book.data).digest()
    assert world.data(book_address(EPOCH)) == b""
    market = world.market()
    assert (market["epochs_cleared"], market["traded"], market["turnover"]) == (1, 5_000, 1_000_000)
    assert (market["reference_price"], market["reference_epoch"]) == (200_000, EPOCH)


def test_adjacent_orders_of_a_member_are_paid_together(world: TradingWorld) -> None:
    member = world.member()
    for price in (100_000, 110_000, 120_000):
        world.place(member, ASK, price, 100)
    world.set_time(END)
    world.clear()
    outcome = world.settle(512, 513, 514)
    assert [event.name for event in outcome.events] == ["OrderSettled"] * 3 + ["EpochSettled"]
    assert (
        sum(
            "Instruction: Transfer" in log or "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA invoke" in log
            for log in outcome.meta.logs()
        )
        == 1
    )
    assert world.balance(member.energy_account) == 10_000_000


def test_orders_settle_in_any_order_and_any_split(world: TradingWorld) -> None:
    members = [world.member() for _ in range(6)]
    for index, member in enumerate(members):
        world.place(member, ASK if index % 2 else BID, 150_000 + (-1) ** index * 1_000 * index, 1_000 + 37 * index)
    world.set_time(END)
    world.clear()
    assert world.book().fields["volume"] > 0
    for numbers in ((514, 0), (2,), (512, 1, 513)):
        world.settle(*numbers)
        world.check()
    assert world.book().fields["status"] == FINAL


def test_an_epoch_without_orders_is_final_at_once(world: TradingWorld) -> None:
    world.set_time(END)
    outcome = world.clear()
    assert outcome.event("EpochCleared")["price"] == 0
    assert outcome.event("EpochSettled") == {"fees": 0, "epoch": EPOCH, "orders": 0}
    world.put_checkpoint()
    world.close()


def test_an_epoch_without_a_trade_returns_everything(world: TradingWorld) -> None:
    buyer, seller = world.member(), world.member()
    world.place(buyer, BID, 100_000, 500)
    world.place(seller, ASK, 100_001, 500)
    world.set_time(END)
    assert world.clear().event("EpochCleared")["volume"] == 0
    world.settle_all()
    assert (world.balance(buyer.credit_account), world.balance(seller.energy_account)) == (10**12, 10_000_000)
    assert world.balance(world.fee_account) == 0
    assert world.market()["reference_price"] == 150_000


def test_a_full_side_lets_the_worst_order_give_way(world: TradingWorld) -> None:
    world.put_config(max_orders_per_member=64)
    world.open(EPOCH + 1)
    world.set_time(END)
    members = [world.member() for _ in range(8)]
    for number in range(512):
        world.place(members[number % 8], ASK, 200_000 - number // 8, 100 + number, epoch=EPOCH + 1)
    worst = world.book(EPOCH + 1).asks[-1]
    newcomer = world.member()
    evictee = members[worst.member]
    held = world.balance(evictee.energy_account)
    outcome = world.place(newcomer, ASK, 199_990, 1_000, epoch=EPOCH + 1, evict=evictee)
    assert outcome.event("OrderEvicted") == {
        "escrow": worst.quantity,
        "epoch": EPOCH + 1,
        "member": worst.member,
        "price": worst.price,
        "quantity": worst.quantity,
        "side": ASK,
        "evictor": newcomer.index,
    }
    assert world.balance(evictee.energy_account) == held + worst.quantity
    book = world.book(EPOCH + 1)
    assert len(book.asks) == 512
    assert worst not in book.asks
    assert Order(199_990, 1_000, 0, newcomer.index) in book.asks
    assert book.asks == sorted(book.asks, key=lambda order: order.price)
    assert sum(order.quantity for order in book.asks) == book.fields["ask_quantity"] == book.fields["energy_escrow"]
    # A member that displaces its own order needs nobody's accounts.
    own = members[book.asks[-1].member]
    world.cancel(own, ASK, *next((o.price, o.quantity) for o in book.asks if o.member == own.index), epoch=EPOCH + 1)
    world.place(own, ASK, 199_999, 77, epoch=EPOCH + 1)
    assert world.book(EPOCH + 1).asks[-1].member == own.index
    world.cancel(own, ASK, 199_999, 77, epoch=EPOCH + 1)
    world.place(newcomer, ASK, 199_991, 1_000, epoch=EPOCH + 1)
    world.check()
    # The whole book still clears and settles, within a transaction's compute units.
    buyer = world.member(credits_=10**13)
    world.place(buyer, BID, 199_980, 1_000_000, epoch=EPOCH + 1)
    world.set_time((EPOCH + 2) * EPOCH_SECONDS)
    world.clear(EPOCH + 1)
    world.settle_all(EPOCH + 1, each=24)
    assert world.book(EPOCH + 1).fields["status"] == FINAL


def test_a_book_that_nobody_clears_is_refunded(world: TradingWorld) -> None:
    buyer, seller = world.member(), world.member()
    world.place(buyer, BID, 200_000, 500)
    world.place(seller, ASK, 100_000, 700)
    world.set_time(END + 8 * EPOCH_SECONDS)
    refunded = world.refund().event("EpochRefunded")
    assert (refunded["energy"], refunded["credits"], refunded["orders"]) == (700, 110_000, 2)
    assert world.book().fields["status"] == REFUNDING
    world.settle_all()
    assert (world.balance(buyer.credit_account), world.balance(seller.energy_account)) == (10**12, 10_000_000)
    assert world.book().fields["status"] == FINAL
    assert world.market()["epochs_cleared"] == 0


def test_settling_and_refunding_go_on_while_all_is_paused(world: TradingWorld) -> None:
    seller = world.member()
    world.place(seller, ASK, 100_000, 700)
    world.put_config(pause=PAUSE_ORDERS | PAUSE_CLEARING)
    world.set_time(END + 8 * EPOCH_SECONDS)
    world.refund()
    world.settle_all()
    world.put_checkpoint()
    world.close()
    assert world.balance(seller.energy_account) == 10_000_000


def test_the_reference_price_follows_only_epochs_of_enough_volume(world: TradingWorld) -> None:
    buyer, seller = world.member(), world.member()
    world.place(seller, ASK, 60_000, 999)
    world.place(buyer, BID, 60_000, 999)
    world.set_time(END)
    assert world.clear().event("EpochCleared")["new_reference_price"] == 150_000
    world.open(EPOCH + 1)
    world.place(seller, ASK, 60_000, 1_000, epoch=EPOCH + 1)
    world.place(buyer, BID, 60_000, 1_000, epoch=EPOCH + 1)
    world.set_time(END + EPOCH_SECONDS)
    assert world.clear(EPOCH + 1).event("EpochCleared")["new_reference_price"] == 60_000
    assert world.market()["reference_price"] == 60_000


def test_an_epoch_cleared_late_does_not_set_an_older_reference(world: TradingWorld) -> None:
    buyer, seller = world.member(), world.member()
    world.open(EPOCH + 1)
    for epoch, price in ((EPOCH, 60_000), (EPOCH + 1, 250_000)):
        world.set_time(epoch * EPOCH_SECONDS)
        world.place(seller, ASK, price, 2_000, epoch=epoch)
        world.place(buyer, BID, price, 2_000, epoch=epoch)
    world.set_time(END + EPOCH_SECONDS)
    world.clear(EPOCH + 1)
    late = world.clear(EPOCH).event("EpochCleared")
    assert (late["price"], late["new_reference_price"]) == (60_000, 250_000)


def test_a_member_may_hold_the_fee_account(world: TradingWorld) -> None:
    department = world.member()
    world.put_book(EPOCH, world.book())
    market = world.market() | {"fee_account": department.credit_account}
    world.put(MARKET, idl("trading").program_id, idl("trading").encode_account("Market", market))
    world.fee_account = department.credit_account
    buyer = world.member()
    world.place(department, ASK, 100_000, 1_000)
    world.place(buyer, BID, 100_000, 1_000)
    world.set_time(END)
    world.clear()
    world.settle(512, 0)
    assert world.balance(department.credit_account) == 10**12 + 100_000 + 20_000


@pytest.mark.parametrize("lamports", [1, 10**6, 10**9])
def test_lamports_sent_to_an_address_beforehand_do_no_harm(lamports: int) -> None:
    world = TradingWorld(initialize=False)
    for where in (MARKET, ENERGY_VAULT, CREDIT_VAULT, book_address(EPOCH)):
        world.put(where, SYSTEM, b"", lamports)
    world.initialize_market()
    world.open()
    seller = world.member()
    world.place(seller, ASK, 100_000, 1_000)
    world.check()
