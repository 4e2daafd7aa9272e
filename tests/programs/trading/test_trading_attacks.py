"""Attacks on the market, each failing for its own reason."""

from __future__ import annotations

import itertools
import random

import pytest
from campus import EPOCH_SECONDS, Refusal, idl, key
from trading_world import (
    ASK,
    BID,
    BOOKS,
    CREDIT,
    CREDIT_MINT,
    CREDIT_VAULT,
    ENERGY,
    ENERGY_MINT,
    ENERGY_VAULT,
    EPOCH,
    FINAL,
    MARKET,
    SYSTEM,
    Order,
    TradingWorld,
)

from authority.chain.programs import book_address

END = (EPOCH + 1) * EPOCH_SECONDS


def close_token_accounts(world: TradingWorld, member: int) -> None:
    """Leave nothing at the addresses of a member's token accounts."""
    for account in (world.members[member].energy_account, world.members[member].credit_account):
        world.supply[world.token_accounts[account]] -= world.balance(account)
        world.put(account, SYSTEM, b"", 0)
    world._put_mints()


# The price, and the book that it comes from


def test_a_wash_trade_does_not_move_the_reference_price(world: TradingWorld) -> None:
    # One member cannot trade with itself at all; two that collude must trade the minimum volume and pay for it.
    one, two = world.member(), world.member()
    world.place(one, ASK, 300_000, 10)
    with pytest.raises(Refusal) as caught:
        world.place(one, BID, 300_000, 10)
    assert caught.value.name == "CrossesOwnOrder"
    world.place(two, BID, 300_000, 10)
    world.set_time(END)
    cleared = world.clear().event("EpochCleared")
    assert (cleared["volume"], cleared["price"], cleared["new_reference_price"]) == (10, 300_000, 150_000)


@pytest.mark.finding("chain-13")
def test_nobody_moves_the_price_when_nobody_can_answer(world: TradingWorld) -> None:
    """100 Wh asked at the last second moved the price of 100 kWh from 190,000 to 80,000: placing ends, too."""
    seller, buyer, friend = world.member(), world.member(), world.member()
    world.place(seller, ASK, 80_000, 100_000)
    world.place(buyer, BID, 300_000, 100_000)
    for time in (END - 60, END - 30, END - 1):
        world.set_time(time)
        for side, price in ((ASK, 80_000), (BID, 300_000)):
            with pytest.raises(Refusal) as caught:
                world.place(friend, side, price, 100)
            assert caught.value.name == "AfterCutoff"
        with pytest.raises(Refusal) as caught:
            world.cancel(seller, ASK, 80_000, 0)
        assert caught.value.name == "AfterCutoff"
    world.set_time(END)
    assert world.clear().event("EpochCleared")["price"] == 150_000


@pytest.mark.finding("chain-13")
@pytest.mark.parametrize("cutoff", [0, 1, 899])
def test_both_end_at_the_same_moment_whatever_the_cut_off(cutoff: int) -> None:
    world = TradingWorld(parameters={"cancel_cutoff_seconds": cutoff})
    world.open()
    member = world.member()
    world.set_time(END - cutoff - 1)
    for _ in range(2):
        world.place(member, ASK, 100_000, 100)
    world.cancel(member, ASK, 100_000, 0)
    world.set_time(END - cutoff)
    for act in (lambda: world.place(member, ASK, 100_000, 100), lambda: world.cancel(member, ASK, 100_000, 1)):
        with pytest.raises(Refusal) as caught:
            act()
        assert caught.value.name == "AfterCutoff"


@pytest.mark.finding("chain-20")
def test_books_clear_in_the_order_of_their_epochs(world: TradingWorld) -> None:
    buyer, seller = world.member(), world.member()
    for epoch, price in ((EPOCH, 60_000), (EPOCH + 1, 250_000), (EPOCH + 2, 120_000)):
        world.set_time(epoch * EPOCH_SECONDS)
        if epoch > EPOCH:
            world.open(epoch)
        world.place(seller, ASK, price, 2_000, epoch=epoch)
        world.place(buyer, BID, price, 2_000, epoch=epoch)
    world.set_time(END + 2 * EPOCH_SECONDS)
    for later in (EPOCH + 2, EPOCH + 1):
        with pytest.raises(Refusal) as caught:
            world.clear(later)
        assert caught.value.name == "EarlierBookUnsettled"
    # The earlier one sets the reference first. It need not be paid for the next to have its price.
    references = [
        world.clear(epoch, limit=0).event("EpochCleared")["new_reference_price"] for epoch in (EPOCH, EPOCH + 1)
    ]
    assert references == [60_000, 250_000]
    assert world.clear(EPOCH + 2).event("EpochCleared")["new_reference_price"] == 120_000
    for epoch in (EPOCH + 1, EPOCH):
        world.clear(epoch)
        assert world.book(epoch).status == FINAL


@pytest.mark.finding("chain-20")
def test_a_refund_keeps_the_order_too(world: TradingWorld) -> None:
    seller = world.member()
    world.place(seller, ASK, 100_000, 1_000)
    world.set_time(END)
    world.open(EPOCH + 1)
    world.place(seller, ASK, 100_000, 1_000, epoch=EPOCH + 1)
    world.set_time(END + 9 * EPOCH_SECONDS)
    for act in (lambda: world.refund(EPOCH + 1), lambda: world.clear(EPOCH + 1)):
        with pytest.raises(Refusal) as caught:
            act()
        assert caught.value.name == "EarlierBookUnsettled"
    world.refund(EPOCH, limit=0)
    world.clear(EPOCH + 1)
    world.refund(EPOCH)
    assert world.seat(seller).energy == 10_000_000


def test_epochs_without_a_book_leave_no_gap_in_the_order(world: TradingWorld) -> None:
    world.set_time(END + 5 * EPOCH_SECONDS)
    world.open(EPOCH + 6)
    assert world.book(EPOCH + 6).fields["previous"] == EPOCH
    world.set_time(END + 6 * EPOCH_SECONDS)
    with pytest.raises(Refusal) as caught:
        world.clear(EPOCH + 6)
    assert caught.value.name == "EarlierBookUnsettled"
    world.clear(EPOCH)
    world.clear(EPOCH + 6)


# Filling and blocking


def test_one_member_cannot_fill_a_side(world: TradingWorld) -> None:
    member = world.member()
    for number in range(8):
        world.place(member, BID, 300_000 - number, 10)
    with pytest.raises(Refusal) as caught:
        world.place(member, BID, 299_000, 10)
    assert caught.value.name == "TooManyOrders"
    with pytest.raises(Refusal) as caught:
        world.place(world.member(), BID, 300_000, 1)
    assert caught.value.name == "OrderTooSmall"


@pytest.mark.finding("chain-19")
@pytest.mark.parametrize("side", [1, 7, 512, 4_096])
def test_nobody_uses_up_the_sums_of_a_side(side: int) -> None:
    """1 GWh an order, within governance's bounds: five filled a side's u32, and an honest better bid was refused."""
    world = TradingWorld(parameters={"max_order_wh": 1_000_000_000, "max_orders_per_member": 64}, orders_per_side=side)
    world.open()
    largest = int(world.book().fields["max_order"])
    assert largest == min(1_000_000_000, (2**32 - 1) // side)
    hog, honest = world.member(energy=2**40, credits_=2**60), world.member(credits_=2**60)
    for number in range(min(32, side)):
        world.place(hog, BID, 100_000 + number, largest)
        world.place(hog, ASK, 200_000 + number, largest)
    world.place(honest, BID, 199_999, largest)
    with pytest.raises(Refusal) as caught:
        world.place(honest, BID, 199_998, largest + 1)
    assert caught.value.name == "OrderTooLarge"
    # And a whole side of the largest orders fits.
    world.fill_book([Order(100_000, number, largest, 0, 0) for number in range(side)])
    world.place(honest, BID, 110_000, largest)
    assert world.book().fields["bid_quantity"] == side * largest < 2**32


@pytest.mark.finding("chain-19")
def test_bounds_of_governance_that_do_not_fit_a_book_leave_one_that_takes_orders() -> None:
    world = TradingWorld(
        parameters={"min_order_wh": 1_000_000_000, "max_order_wh": 1_000_000_000}, orders_per_side=4_096
    )
    world.open()
    member = world.member()
    book = world.book().fields
    assert book["min_order"] == book["max_order"] == (2**32 - 1) // 4_096
    world.place(member, ASK, 100_000, book["max_order"])


@pytest.mark.finding("chain-3")
@pytest.mark.parametrize("seed", range(4))
def test_no_token_account_holds_up_the_market(seed: int) -> None:
    """Accounts closed, frozen or given away at any moment: orders are placed, displaced, cancelled, cleared, paid."""
    source = random.Random(seed)  # noqa: S311 - test data
    world = TradingWorld(orders_per_side=6, parameters={"max_orders_per_member": 3})
    world.open()
    members = [world.member() for _ in range(10)]

    def lose() -> None:
        member = source.choice(members)
        for account, mint in ((member.energy_account, ENERGY_MINT), (member.credit_account, CREDIT_MINT)):
            what = source.randrange(4)
            if what == 0:
                world.put_tokens(account, mint, key("thief").pubkey(), 0)
            elif what == 1:
                world.put_tokens(account, mint, member.wallet.pubkey(), 0, state=2)
            elif what == 2:
                world.put(account, SYSTEM, b"", 0)
            else:
                world.put_tokens(account, mint, member.wallet.pubkey(), 0)

    for epoch in range(EPOCH, EPOCH + 4):
        world.set_time(epoch * EPOCH_SECONDS)
        if epoch > EPOCH:
            world.open(epoch)
        placed, refusals = 0, set()
        for _ in range(40):
            lose()
            side = source.choice((BID, ASK))
            price = source.randint(100_000, 200_000)
            try:
                world.place(source.choice(members), side, price, source.randint(100, 5_000), epoch=epoch)
                placed += 1
            except Refusal as refusal:
                refusals.add(refusal.name)
        assert placed > 6
        assert refusals <= {"TooManyOrders", "CrossesOwnOrder", "BookFull"}
        book = world.book(epoch)
        for side, orders in ((BID, book.bids), (ASK, book.asks)):
            if orders:
                lose()
                order = source.choice(orders)
                world.cancel(members[order.member], side, order.price, order.number, epoch=epoch)
        world.set_time((epoch + 1) * EPOCH_SECONDS)
        lose()
        world.clear(epoch, limit=source.randint(0, 5))
        lose()
        world.clear(epoch)
        assert world.book(epoch).status == FINAL
        world.check()
    assert sum(seat.energy for seat in world.seats()) == 10 * 10_000_000


@pytest.mark.finding("chain-3")
def test_a_closed_account_of_the_worst_order_is_no_shield() -> None:
    world = TradingWorld(orders_per_side=4)
    world.open()
    shield, newcomer = world.member(), world.member()
    for _ in range(4):
        world.place(shield, ASK, 200_000, 10)
    held = world.seat(shield).energy
    close_token_accounts(world, 0)
    world.place(newcomer, ASK, 199_999, 10)
    assert world.seat(shield).energy == held + 10


@pytest.mark.finding("chain-3")
def test_no_epoch_earns_anybody_rent(world: TradingWorld) -> None:
    """Recreating what was closed paid 46.9 million lamports to a member: no step of an epoch makes or frees any."""
    seller, buyer = world.member(), world.member()
    accounts = [book_address(EPOCH), MARKET, world.fee_account, seller.energy_account, seller.credit_account]
    before = [world.svm.get_balance(account) for account in accounts]
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 120_000, 1_000)
    world.cancel(buyer, BID, 120_000, 1)
    world.place(buyer, BID, 120_000, 1_000)
    world.set_time(END)
    world.clear()
    world.withdraw_fees()
    world.withdraw(seller, CREDIT, 1)
    world.put_checkpoint()
    world.set_time((EPOCH + BOOKS) * EPOCH_SECONDS)
    world.open(EPOCH + BOOKS)
    assert [world.svm.get_balance(account) for account in accounts] == before


@pytest.mark.finding("chain-16")
def test_a_thief_of_a_token_account_gets_nothing_out_of_a_seat(world: TradingWorld) -> None:
    """SetAuthority on an associated account: nobody pays out to the thief, and the wallet goes elsewhere."""
    delegate, thief = key("delegate").pubkey(), key("thief").pubkey()
    member, other = world.member(energy=500, delegate=delegate, delegate_until=END), world.member(energy=0)
    world.set_payout(member, 3)
    world.put_tokens(member.energy_account, ENERGY_MINT, thief, 0)
    for authority in (delegate, world.issuer.pubkey()):
        with pytest.raises(Refusal) as caught:
            world.withdraw(member, ENERGY, 500, authority=authority)
        assert caught.value.name == "UnusableTokenAccount"
    world.withdraw(member, ENERGY, 500, destination=other.energy_account)
    assert (world.balance(member.energy_account), world.balance(other.energy_account)) == (0, 500)


# Delegates


@pytest.mark.finding("chain-18")
def test_a_delegate_moves_value_by_trade_alone_and_within_the_books_prices(world: TradingWorld) -> None:
    """No withdrawal to itself; but an order against its own, between feed-in and retail, until its term ends."""
    crook = world.member()
    principal = world.member(credits_=10**6, delegate=crook.wallet.pubkey(), delegate_until=END - 100)
    for destination in (crook.credit_account, world.fee_account):
        with pytest.raises(Refusal) as caught:
            world.withdraw(principal, CREDIT, 1, authority=crook.wallet.pubkey(), destination=destination)
        assert caught.value.name == "WrongTokenAccount"
    world.place(crook, ASK, 300_000, 1_000)
    for price in (300_001, 10**9):
        with pytest.raises(Refusal) as caught:
            world.place(principal, BID, price, 1_000, authority=crook.wallet.pubkey())
        assert caught.value.name == "PriceAboveRetail"
    world.place(principal, BID, 300_000, 1_000, authority=crook.wallet.pubkey())
    with pytest.raises(Refusal) as caught:
        world.place(principal, BID, 300_000, 10_000, authority=crook.wallet.pubkey())
    assert caught.value.name == "NotEnoughCredit"
    world.set_time(END - 100)
    with pytest.raises(Refusal) as caught:
        world.place(principal, BID, 300_000, 10, authority=crook.wallet.pubkey())
    assert caught.value.name == "DelegationExpired"
    world.set_time(END)
    assert world.clear().event("EpochCleared")["price"] == 300_000
    seat = world.seat(principal)
    assert (seat.energy, seat.credit) == (10_000_000 + 1_000, 10**6 - 320_000)


# Money


def test_a_cancel_cannot_hit_an_order_that_was_not_meant(world: TradingWorld) -> None:
    member = world.member()
    world.place(member, ASK, 100_000, 1_000)
    world.cancel(member, ASK, 100_000, 0)
    world.place(member, ASK, 100_000, 2_000)
    with pytest.raises(Refusal) as caught:
        world.cancel(member, ASK, 100_000, 0)
    assert caught.value.name == "NoSuchOrder"


def test_nothing_is_paid_twice(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 120_000, 1_000)
    world.set_time(END)
    step = world.clear_instruction(limit=1)
    world.send(step, step)
    paid = world.seats()
    for instructions in ((step,), (world.clear_instruction(),)):
        with pytest.raises(Refusal) as caught:
            world.send(*instructions)
        assert caught.value.name == "AlreadyCleared"
    assert world.seats() == paid


def test_one_book_cannot_eat_into_another(world: TradingWorld) -> None:
    seller, buyer, rich = world.member(), world.member(), world.member()
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 120_000, 1_000)
    world.set_time(END)
    world.open(EPOCH + 1)
    world.place(rich, ASK, 100_000, 500_000, epoch=EPOCH + 1)
    world.place(rich, BID, 90_000, 500_000, epoch=EPOCH + 1)
    good = world.book()
    book = world.book()
    book.asks = [Order(100_000, 0, 1_001, 0, seller.index)]
    book.fields["ask_quantity"] = 1_001
    world.put_book(EPOCH, book)
    with pytest.raises(Refusal) as caught:
        world.clear()
    assert caught.value.name == "LockedShort"
    world.put_book(EPOCH, good)


def test_tokens_sent_to_a_vault_buy_nothing(world: TradingWorld) -> None:
    """They are in no seat, and no instruction takes them out: not even the next minting into a seat."""
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 120_000, 1_000)
    dust = {ENERGY_VAULT: (ENERGY_MINT, ENERGY), CREDIT_VAULT: (CREDIT_MINT, CREDIT)}
    for vault, (mint, _) in dust.items():
        world.put_tokens(vault, mint, MARKET, world.balance(vault) + 777)
    world.set_time(END)
    world.clear()
    world.withdraw_fees()
    for member in (seller, buyer):
        for asset, free in ((ENERGY, world.seat(member).energy), (CREDIT, world.seat(member).credit)):
            if free:
                world.withdraw(member, asset, free)
    for vault, (mint, asset) in dust.items():
        assert world.balance(vault) == 777
        with pytest.raises(Refusal):
            world.withdraw(seller, asset, 1)
        world.put_tokens(vault, mint, MARKET, 0)


def test_splitting_orders_skims_no_rounding() -> None:
    # Sellers and buyers of odd Wh, alone and split: the fees never pay, and no member gains by splitting.
    for price, quantity in itertools.product((50_001, 123_457, 299_999), (13, 101)):
        assert settled_by(price, [quantity] * 4) <= settled_by(price, [4 * quantity])


def settled_by(price: int, quantities: list[int]) -> int:
    """Credits that a buyer and a seller hold together after trading these quantities at one price."""
    world = TradingWorld()
    world.open()
    seller, buyer = world.member(), world.member()
    for quantity in quantities:
        world.place(seller, ASK, price, quantity)
        world.place(buyer, BID, price, quantity)
    world.set_time(END)
    world.clear()
    world.check()
    assert world.seat(seller).credit - 10**12 <= sum(quantities) * price // 1000
    return world.seat(seller).credit + world.seat(buyer).credit


def test_a_forged_user_reaches_no_seat(world: TradingWorld) -> None:
    # A User is believed only from the registry: a forged one with a stranger's wallet and a member's index is refused.
    member = world.member()
    world.place(member, ASK, 100_000, 1_000)
    stranger = world.issuer
    forged = member.fields | {"wallet": stranger.pubkey()}
    where = key("forged").pubkey()
    data = idl("registry").encode_account("User", forged)
    for owner in (idl("trading").program_id, idl("oracle").program_id, SYSTEM):
        world.put(where, owner, data)
        accounts = {"authority": stranger.pubkey(), "user": where}
        for act in (
            lambda accounts=accounts: world.withdraw(member, ENERGY, 1, **accounts),
            lambda accounts=accounts: world.place(member, ASK, 100_000, 10, **accounts),
            lambda accounts=accounts: world.cancel(member, ASK, 100_000, 0, **accounts),
            lambda accounts=accounts: world.deposit(member, ENERGY, 1, **accounts),
            lambda accounts=accounts: world.set_payout(member, 3, **accounts),
        ):
            with pytest.raises(Refusal) as caught:
                act()
            assert caught.value.name == "NotAUser"


def test_the_whole_book_of_hostile_remainders_clears() -> None:
    # 512 orders at the margin whose remainders force every pass of the selection, against one order.
    for quantities in ([65_537 + number * 257 for number in range(512)], [1_000_000] * 512, list(range(10, 522))):
        world = TradingWorld()
        world.open()
        for _ in range(2):
            world.member(energy=0, credits_=0)
        wanted = sum(quantities) // 3 + 1
        world.fill_book(
            [Order(200_000, number, quantity, 0, 0) for number, quantity in enumerate(quantities)],
            [Order(100_000, 512, wanted, 0, 1)],
        )
        world.set_time(END)
        outcome = world.clear()
        assert outcome.compute_units < 1_024 * 260
        shares = [order.filled for order in world.book().bids]
        whole = sum(quantities)
        floors = [quantity * wanted // whole for quantity in quantities]
        ranked = sorted(range(512), key=lambda k: (-(quantities[k] * wanted % whole), k))[: wanted - sum(floors)]
        assert shares == [floor + (index in set(ranked)) for index, floor in enumerate(floors)]
        world.check()
