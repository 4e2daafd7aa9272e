"""A market epoch from its opening to the next book in its place: what every instruction does when nothing is wrong."""

from __future__ import annotations

import hashlib

import pytest
from campus import EPOCH_SECONDS, PARAMETERS, PAUSE_CLEARING, PAUSE_ORDERS, idl, key
from trading_world import (
    ASK,
    BID,
    BOOKS,
    CLEARING,
    CREDIT,
    CREDIT_MINT,
    CREDIT_VAULT,
    ENERGY,
    ENERGY_MINT,
    ENERGY_VAULT,
    EPOCH,
    FINAL,
    GROWING,
    MARKET,
    OPEN,
    REFUNDING,
    SEATS,
    SEATS_PER_STEP,
    STEP,
    SYSTEM,
    VACANT,
    Order,
    Seat,
    TradingWorld,
    token_account,
)

from authority.chain.programs import book_address

BEGIN = EPOCH * EPOCH_SECONDS
END = BEGIN + EPOCH_SECONDS


# The market, its seats and its ring of books


def test_the_market_owns_its_vaults_and_names_its_fee_account(world: TradingWorld) -> None:
    market = world.market()
    assert (market["reference_price"], market["orders_per_side"]) == (150_000, 512)
    assert market["fee_account"] == world.fee_account
    for vault, mint in ((ENERGY_VAULT, ENERGY_MINT), (CREDIT_VAULT, CREDIT_MINT)):
        assert world.data(vault) == token_account(mint, MARKET, 0)


@pytest.mark.parametrize("side", [1, 250, 251, 512, 4_096])
def test_a_book_grows_in_steps_to_the_size_of_its_market(side: int) -> None:
    world = TradingWorld(orders_per_side=side)
    space = 216 + 2 * 20 * side
    payer = key("stranger")
    world.svm.airdrop(payer.pubkey(), 10**11)
    where = book_address(EPOCH)
    for step in range(-(-space // STEP)):
        if step:
            assert world.book().status == GROWING
        world.send(world.grow_book_instruction(EPOCH % BOOKS, payer=payer.pubkey()))
        assert len(world.data(where)) == min(space, (step + 1) * STEP)
    book = world.book().fields
    assert (book["status"], book["slot"], book["capacity"], book["epoch"]) == (VACANT, EPOCH % BOOKS, side, 0)
    rent = world.svm.minimum_balance_for_rent_exemption(space)
    assert world.svm.get_balance(where) == rent
    assert world.svm.get_balance(payer.pubkey()) == 10**11 - rent
    world.open()
    assert world.book().status == OPEN


def test_a_ring_of_books_is_grown_in_one_transaction_a_book() -> None:
    world = TradingWorld(orders_per_side=4_096)
    for slot in range(BOOKS):
        world.grow_book(slot)
        assert (world.book(slot).status, world.book(slot).fields["slot"]) == (VACANT, slot)


def test_seats_grow_as_members_come(world: TradingWorld) -> None:
    assert len(world.seats()) == world.seats_head()["capacity"] == SEATS_PER_STEP
    early = world.member(energy=7)
    world.send(world.grow_seats_instruction())
    assert len(world.seats()) == world.seats_head()["capacity"] == 2 * SEATS_PER_STEP
    assert world.seat(early).energy == 7
    while len(world.members) <= SEATS_PER_STEP:
        world.member(energy=0, credits_=0, deposit=False)
    late = world.members[-1]
    world.put_tokens(late.energy_account, ENERGY_MINT, late.wallet.pubkey(), 5)
    world.deposit(late, ENERGY, 5)
    assert world.seat(late) == Seat(5, 0)
    rent = world.svm.minimum_balance_for_rent_exemption(len(world.data(SEATS)))
    assert world.svm.get_balance(SEATS) >= rent


def test_a_book_opens_with_the_parameters_of_its_epoch(world: TradingWorld) -> None:
    book = world.book().fields
    assert book["status"] == OPEN
    assert (book["opens_at"], book["cutoff_at"], book["closes_at"]) == (BEGIN, END - 60, END)
    copied = {
        "feed_in_price": "feed_in_price",
        "retail_price": "retail_price",
        "wheeling": "wheeling",
        "min_order": "min_order_wh",
        "max_order": "max_order_wh",
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


def test_books_take_their_turns_and_no_account_is_made_or_freed() -> None:
    """Twice around the ring: each book takes the place of the one 16 epochs before it, once that one is pinned."""
    world = TradingWorld(orders_per_side=2)
    for slot in range(BOOKS):
        world.grow_book(slot)
    seller, buyer = world.member(), world.member()
    payer = world.svm.get_balance(world.operator.pubkey())
    places = [world.svm.get_account(book_address(slot)) for slot in range(BOOKS)]
    for epoch in range(EPOCH, EPOCH + 2 * BOOKS + 3):
        world.set_time(epoch * EPOCH_SECONDS)
        opened = world.open(epoch).event("EpochOpened")
        assert opened["epoch"] == epoch
        book = world.book(epoch)
        assert (book.fields["bid_count"], book.fields["ask_count"], book.fields["paid"]) == (0, 0, 0)
        assert book.fields["previous"] == (epoch - 1 if epoch > EPOCH else 0)
        world.place(seller, ASK, 100_000, 1_000, epoch=epoch)
        world.place(buyer, BID, 110_000 + epoch % 7, 1_000 + epoch % 5, epoch=epoch)
        assert [order.number for order in world.book(epoch).bids] == [1]
        world.set_time((epoch + 1) * EPOCH_SECONDS)
        world.clear(epoch)
        world.put_checkpoint(epoch)
        world.check()
    assert world.svm.get_balance(world.operator.pubkey()) == payer
    for slot, before in enumerate(places):
        after = world.svm.get_account(book_address(slot))
        assert before is not None
        assert after is not None
        assert (after.lamports, len(after.data)) == (before.lamports, len(before.data))


# Seats


def test_tokens_come_into_a_seat_and_leave_it(world: TradingWorld) -> None:
    member = world.member(energy=1_000, credits_=5_000, deposit=False)
    event = world.deposit(member, ENERGY, 700).event("Deposited")
    assert event == {"amount": 700, "member": member.index, "asset": ENERGY, "padding": bytes(3)}
    world.deposit(member, CREDIT, 5_000)
    assert world.seat(member) == Seat(700, 5_000)
    assert (world.balance(member.energy_account), world.balance(member.credit_account)) == (300, 0)
    event = world.withdraw(member, ENERGY, 600).event("Withdrawn")
    assert event == {
        "destination": member.energy_account,
        "amount": 600,
        "member": member.index,
        "asset": ENERGY,
        "padding": bytes(3),
    }
    world.withdraw(member, CREDIT, 5_000)
    assert world.seat(member) == Seat(100, 0)
    assert (world.balance(member.energy_account), world.balance(member.credit_account)) == (900, 5_000)


def test_a_wallet_withdraws_wherever_it_likes(world: TradingWorld) -> None:
    """Its own account may be gone, or somebody else's: what it has in the market is not lost by that."""
    member, other = world.member(energy=1_000), world.member(energy=0)
    world.put_tokens(member.energy_account, ENERGY_MINT, key("thief").pubkey(), 0)
    world.withdraw(member, ENERGY, 400, destination=other.energy_account)
    assert (world.seat(member).energy, world.balance(other.energy_account)) == (600, 400)


def test_what_is_free_can_be_withdrawn_whatever_is_paused(world: TradingWorld) -> None:
    member = world.member(energy=1_000)
    world.put_config(pause=0b111_1111)
    for status in (2, 3):
        world.update_member(member, status=status)
        world.withdraw(member, ENERGY, 100)
    assert world.seat(member).energy == 800


def test_a_delegate_deposits_what_was_approved_and_withdraws_to_the_members_own_account(world: TradingWorld) -> None:
    delegate = key("delegate").pubkey()
    member = world.member(energy=500, deposit=False, delegate=delegate, delegate_until=END)
    world.put_tokens(member.energy_account, ENERGY_MINT, member.wallet.pubkey(), 500, delegate=MARKET)
    world.deposit(member, ENERGY, 400, authority=delegate)
    assert (world.seat(member).energy, world.balance(member.energy_account)) == (400, 100)
    world.withdraw(member, ENERGY, 150, authority=delegate)
    assert (world.seat(member).energy, world.balance(member.energy_account)) == (250, 250)


def test_anyone_pays_out_where_the_member_allows_it(world: TradingWorld) -> None:
    delegate, stranger = key("delegate").pubkey(), world.issuer.pubkey()
    member = world.member(energy=500, credits_=500, delegate=delegate, delegate_until=END)
    world.set_payout(member, 2, authority=delegate)
    assert world.seat(member).payout == 2
    world.withdraw(member, CREDIT, 500, authority=stranger)
    assert (world.seat(member).credit, world.balance(member.credit_account)) == (0, 500)
    world.set_payout(member, 3)
    world.withdraw(member, ENERGY, 500, authority=stranger)
    assert world.balance(member.energy_account) == 500
    world.set_payout(member, 0)
    assert world.seat(member) == Seat(0, 0)


# Orders


def test_orders_rest_best_first_and_in_order_of_arrival(world: TradingWorld) -> None:
    one, two, three = world.member(), world.member(), world.member()
    for member, price in ((one, 100_000), (two, 120_000), (three, 100_000), (one, 90_000)):
        world.place(member, BID, price, 100)
    for member, price in ((two, 250_000), (three, 240_000), (one, 250_000)):
        world.place(member, ASK, price, 50)
    assert [(order.price, order.number, order.member) for order in world.book().bids] == [
        (120_000, 1, 1),
        (100_000, 0, 0),
        (100_000, 2, 2),
        (90_000, 3, 0),
    ]
    assert [(order.price, order.number, order.member) for order in world.book().asks] == [
        (240_000, 5, 2),
        (250_000, 4, 1),
        (250_000, 6, 0),
    ]
    assert (world.book().fields["bid_quantity"], world.book().fields["ask_quantity"]) == (400, 150)


def test_an_order_locks_what_it_may_cost_and_moves_no_token(world: TradingWorld) -> None:
    member = world.member(energy=1_000, credits_=10**9)
    vaults = (world.balance(ENERGY_VAULT), world.balance(CREDIT_VAULT))
    outcome = world.place(member, BID, 100_001, 333)
    locked = -(-333 * (100_001 + 20_000) // 1000)
    assert outcome.events == []
    assert not any("Tokenkeg" in line for line in outcome.meta.logs())
    assert world.seat(member) == Seat(1_000, 10**9 - locked, EPOCH, 1, 0, 100_001, 0)
    world.place(member, ASK, 200_000, 400)
    assert world.seat(member) == Seat(600, 10**9 - locked, EPOCH, 1, 1, 100_001, 200_000)
    book = world.book().fields
    assert (book["credit_locked"], book["energy_locked"]) == (locked, 400)
    assert (world.balance(ENERGY_VAULT), world.balance(CREDIT_VAULT)) == vaults


def test_cancelling_returns_what_was_locked(world: TradingWorld) -> None:
    member, other = world.member(), world.member()
    world.place(other, BID, 90_000, 100)
    before = world.book()
    held = world.seat(member)
    world.place(member, BID, 100_000, 333)
    world.cancel(member, BID, 100_000, 1)
    assert (world.seat(member).energy, world.seat(member).credit) == (held.energy, held.credit)
    assert world.book().fields == before.fields | {"next_number": 2}
    assert world.book().bids == before.bids


def test_any_of_equal_orders_is_cancelled_by_its_number(world: TradingWorld) -> None:
    members = [world.member() for _ in range(5)]
    for member in members:
        for _ in range(6):
            world.place(member, ASK, 100_000, 100)
    for member, number in ((members[2], 14), (members[0], 0), (members[4], 29), (members[1], 7)):
        world.cancel(member, ASK, 100_000, number)
        assert number not in [order.number for order in world.book().asks]
    assert len(world.book().asks) == 26
    assert world.seat(members[0]).asks == 5


def test_a_pause_and_a_suspension_let_members_leave(world: TradingWorld) -> None:
    member = world.member()
    world.place(member, ASK, 100_000, 100)
    world.place(member, BID, 90_000, 100)
    world.put_config(pause=0b111_1111)
    world.update_member(member, status=2)
    world.cancel(member, ASK, 100_000, 0)
    world.cancel(member, BID, 90_000, 1)
    assert (world.book().bids, world.book().asks) == ([], [])


def test_a_delegate_trades_without_any_approval_at_spl_token(world: TradingWorld) -> None:
    delegate = key("delegate").pubkey()
    member = world.member(energy=500, delegate=delegate, delegate_until=END)
    world.place(member, ASK, 100_000, 400, authority=delegate)
    assert world.seat(member).energy == 100
    world.cancel(member, ASK, 100_000, 0, authority=delegate)
    assert world.seat(member).energy == 500


def test_a_full_side_lets_the_worst_order_give_way() -> None:
    world = TradingWorld(parameters={"max_orders_per_member": 64}, orders_per_side=40)
    world.open()
    members = [world.member() for _ in range(8)]
    for number in range(40):
        world.place(members[number % 8], ASK, 200_000 - number // 8, 100 + number)
    worst = world.book().asks[-1]
    newcomer = world.member()
    evictee = members[worst.member]
    held = world.seat(evictee)
    world.place(newcomer, ASK, 199_998, 1_000)
    after = world.seat(evictee)
    assert (after.energy, after.asks) == (held.energy + worst.quantity, held.asks - 1)
    book = world.book()
    assert len(book.asks) == 40
    assert worst not in book.asks
    assert Order(199_998, 40, 1_000, 0, newcomer.index) in book.asks
    assert book.asks == sorted(book.asks, key=lambda order: (order.price, order.number))
    assert sum(order.quantity for order in book.asks) == book.fields["ask_quantity"] == book.fields["energy_locked"]
    # A member may displace its own.
    own = members[book.asks[-1].member]
    held = world.seat(own)
    quantity = book.asks[-1].quantity
    world.place(own, ASK, 199_999, 77)
    after = world.seat(own)
    assert (after.energy, after.asks) == (held.energy + quantity - 77, held.asks)
    world.check()
    buyer = world.member(credits_=10**13)
    world.place(buyer, BID, 199_997, 1_000_000)
    world.set_time(END)
    world.clear()
    assert world.book().status == FINAL
    world.check()


# Clearing, which pays


def test_a_market_epoch(world: TradingWorld) -> None:
    seller, thrifty, keen = (
        world.member(energy=5_000, credits_=0),
        world.member(credits_=10**7),
        world.member(credits_=10**7),
    )
    world.place(seller, ASK, 100_000, 5_000)
    world.place(thrifty, BID, 200_000, 3_000)
    world.place(keen, BID, 200_000, 4_000)
    world.set_time(END)
    outcome = world.clear()
    assert outcome.event("EpochCleared") == {
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
    # The fee of 0.5 % of 1 credit, wheeling of 5 kWh at 0.02, and what rounding left.
    assert outcome.event("EpochSettled") == {"fees": 105_000, "epoch": EPOCH, "orders": 3}
    book = world.book()
    assert book.status == FINAL
    assert book.bids == [Order(200_000, 1, 3_000, 2_143, 1), Order(200_000, 2, 4_000, 2_857, 2)]
    assert book.asks == [Order(100_000, 0, 5_000, 5_000, 0)]
    assert (book.fields["energy_locked"], book.fields["credit_locked"], book.fields["fees"]) == (0, 0, 105_000)
    assert (book.fields["paid"], book.fields["cleared_at"]) == (3, END)

    assert (world.seat(seller).energy, world.seat(seller).credit) == (0, 995_000)
    for buyer, filled in ((thrifty, 2_143), (keen, 2_857)):
        seat = world.seat(buyer)
        assert (seat.energy, seat.credit) == (10_000_000 + filled, 10**7 - -(-filled * 220_000 // 1000))
    world.check()
    market = world.market()
    assert (market["epochs_cleared"], market["traded"], market["turnover"]) == (1, 5_000, 1_000_000)
    assert (market["reference_price"], market["reference_epoch"]) == (200_000, EPOCH)
    assert (market["first_epoch"], market["latest_epoch"], market["settled_epoch"]) == (EPOCH, EPOCH, EPOCH)

    assert world.seats_head()["fees"] == 105_000
    assert world.withdraw_fees().event("FeesWithdrawn") == {"amount": 105_000}
    assert (world.seats_head()["fees"], world.balance(world.fee_account)) == (0, 105_000)


@pytest.mark.parametrize("limits", [[0, 1, 1, 1, 1, 1, 1], [6], [100], [4, 0, 2], [0, 5, 1], [3, 3], [2, 65_535]])
def test_a_book_is_paid_in_steps(limits: list[int]) -> None:
    world = TradingWorld(orders_per_side=8)
    world.open()
    members = [world.member() for _ in range(6)]
    for index, member in enumerate(members):
        world.place(member, ASK if index % 2 else BID, 150_000 + (-1) ** index * 1_000 * index, 1_000 + 37 * index)
    world.set_time(END)
    paid = 0
    for step, limit in enumerate(limits):
        outcome = world.clear(limit=limit)
        assert [event.name for event in outcome.events].count("EpochCleared") == (step == 0)
        paid = min(6, paid + limit)
        book = world.book()
        assert book.fields["paid"] == paid
        assert book.status == (FINAL if paid == 6 else CLEARING)
        assert book.fields["volume"] > 0
        world.check()
        # Between the steps the market goes on: another book is opened, and seats move.
        if step == 0:
            world.open(EPOCH + 1)
            world.place(members[0], ASK, 100_000, 50, epoch=EPOCH + 1)
        world.withdraw(members[0], ENERGY, 1)
    assert world.book().status == FINAL
    whole = TradingWorld(orders_per_side=8)
    whole.open()
    for index, member in enumerate([whole.member() for _ in range(6)]):
        whole.place(member, ASK if index % 2 else BID, 150_000 + (-1) ** index * 1_000 * index, 1_000 + 37 * index)
    whole.set_time(END)
    whole.clear()
    assert whole.book().leaf() == world.book().leaf()
    assert [seat.credit for seat in whole.seats()] == [seat.credit for seat in world.seats()]


def test_an_epoch_without_orders_is_final_at_once(world: TradingWorld) -> None:
    world.set_time(END)
    outcome = world.clear(limit=0)
    assert outcome.event("EpochCleared")["price"] == 0
    assert outcome.event("EpochSettled") == {"fees": 0, "epoch": EPOCH, "orders": 0}


def test_an_epoch_without_a_trade_returns_everything(world: TradingWorld) -> None:
    buyer, seller = world.member(), world.member()
    world.place(buyer, BID, 100_000, 500)
    world.place(seller, ASK, 100_001, 500)
    world.set_time(END)
    assert world.clear().event("EpochCleared")["volume"] == 0
    assert (world.seat(buyer).credit, world.seat(seller).energy) == (10**12, 10_000_000)
    assert world.seats_head()["fees"] == 0
    assert world.market()["reference_price"] == 150_000


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


def test_the_largest_book_is_cleared_and_paid_in_one_transaction() -> None:
    world = TradingWorld(orders_per_side=4_096, parameters={"max_orders_per_member": 64})
    world.open()
    for _ in range(128):
        world.member(energy=0, credits_=0, deposit=False)
    world.fill_book(
        [Order(150_000 - n % 2, n, 1_000 + n % 17, 0, n % 64) for n in sorted(range(4_096), key=lambda n: n % 2)],
        [Order(150_000, 4_096 + n, 1_000 + n % 13, 0, 64 + n % 64) for n in range(4_096)],
    )
    world.set_time(END)
    outcome = world.clear()
    assert outcome.event("EpochSettled")["orders"] == 8_192
    assert outcome.compute_units <= 1_400_000
    world.check()


# Refunding


@pytest.mark.parametrize("limits", [[2], [0, 1, 1], [1, 9]])
def test_a_book_that_nobody_clears_is_refunded(world: TradingWorld, limits: list[int]) -> None:
    buyer, seller = world.member(), world.member()
    world.place(buyer, BID, 200_000, 500)
    world.place(seller, ASK, 100_000, 700)
    world.set_time(END + 8 * EPOCH_SECONDS)
    paid = 0
    for step, limit in enumerate(limits):
        outcome = world.refund(limit=limit)
        if step == 0:
            refunded = outcome.event("EpochRefunded")
            assert refunded == {"energy": 700, "credits": 110_000, "epoch": EPOCH, "orders": 2}
        paid = min(2, paid + limit)
        assert world.book().fields["paid"] == paid
        assert world.book().status == (FINAL if paid == 2 else REFUNDING)
        world.check()
    assert (world.seat(buyer).credit, world.seat(seller).energy) == (10**12, 10_000_000)
    assert world.seats_head()["fees"] == 0
    assert (world.market()["epochs_cleared"], world.market()["settled_epoch"]) == (0, EPOCH)


def test_refunding_goes_on_while_all_is_paused(world: TradingWorld) -> None:
    seller = world.member()
    world.place(seller, ASK, 100_000, 700)
    world.put_config(pause=PAUSE_ORDERS | PAUSE_CLEARING)
    world.set_time(END + 8 * EPOCH_SECONDS)
    world.refund()
    assert world.seat(seller).energy == 10_000_000


# The fee account, and what lies at an address beforehand


def test_the_authority_names_another_fee_account(world: TradingWorld) -> None:
    member = world.member(deposit=False)
    accounts = {"authority": world.operator.pubkey(), "fee_account": member.credit_account}
    event = world.send(world.build("set_fee_account", {}, accounts)).event("FeeAccountChanged")
    assert event == {"before": world.fee_account, "fee_account": member.credit_account}
    assert world.market()["fee_account"] == member.credit_account
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 100_000, 1_000)
    world.set_time(END)
    world.clear()
    held = world.balance(member.credit_account)
    world.withdraw_fees(fee_account=member.credit_account)
    assert world.balance(member.credit_account) == held + 500 + 20_000


@pytest.mark.parametrize("lamports", [1, 10**6, 10**9])
def test_lamports_sent_to_an_address_beforehand_do_no_harm(lamports: int) -> None:
    world = TradingWorld(initialize=False)
    for where in (MARKET, SEATS, ENERGY_VAULT, CREDIT_VAULT, book_address(EPOCH)):
        world.put(where, SYSTEM, b"", lamports)
    world.initialize_market()
    world.open()
    world.place(world.member(), ASK, 100_000, 1_000)
    world.check()


def test_the_leaf_of_a_final_book_is_its_head_and_its_orders(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 100_000, 700)
    world.set_time(END)
    world.clear()
    book = world.book()
    data = world.data(book_address(EPOCH))
    half = (len(data) - 216) // 2
    assert book.leaf() == data[: 216 + 20] + data[216 + half : 216 + half + 20]
    # The program computes the same: it takes the place against this checkpoint.
    world.put_checkpoint(book_hash=hashlib.sha256(book.leaf()).digest())
    world.set_time((EPOCH + BOOKS) * EPOCH_SECONDS)
    world.open(EPOCH + BOOKS)
    assert idl("trading").decode_account(world.data(book_address(EPOCH)))[1]["epoch"] == EPOCH + BOOKS
