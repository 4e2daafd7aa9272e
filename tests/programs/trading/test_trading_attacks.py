"""Attacks on the market, each failing for its own reason."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from campus import EPOCH_SECONDS, Refusal, idl
from solders.instruction import AccountMeta
from trading_world import (
    ASK,
    BID,
    CREDIT_MINT,
    CREDIT_VAULT,
    ENERGY_MINT,
    ENERGY_VAULT,
    EPOCH,
    FINAL,
    MARKET,
    SYSTEM,
    TradingWorld,
)

from authority.chain.programs import book_address

END = (EPOCH + 1) * EPOCH_SECONDS


def trade(world: TradingWorld) -> None:
    """A cleared book: a seller's 512, a buyer's 0, both filled whole."""
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 120_000, 1_000)
    world.set_time(END)
    world.clear()


def close_token_account(world: TradingWorld, which: str, member: int) -> None:
    """Leave nothing at a member's token account's address."""
    account = getattr(world.members[member], which)
    world.supply[world.token_accounts[account]] -= world.balance(account)
    world.put(account, SYSTEM, b"", 0)
    world._put_mints()


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


def test_a_closed_account_of_the_worst_order_is_no_shield(world: TradingWorld) -> None:
    shield, newcomer = world.member(), world.member()
    book = world.book()
    book.fields["asks"] = [{"price": 200_000, "quantity": 10, "filled": 0, "member": 0}] * 512
    book.fields |= {"ask_count": 512, "ask_quantity": 5_120, "energy_escrow": 5_120}
    book.fields["ask_members"][0] = 512
    world.put_book(EPOCH, book)
    world.put_tokens(ENERGY_VAULT, ENERGY_MINT, MARKET, 5_120)
    close_token_account(world, "energy_account", 0)
    with pytest.raises(Refusal):
        world.place(newcomer, ASK, 199_999, 10, evict=shield)
    # Anyone can recreate the account, in the same transaction if need be.
    world.put_tokens(shield.energy_account, ENERGY_MINT, shield.wallet.pubkey(), 0)
    world.place(newcomer, ASK, 199_999, 10, evict=shield)
    assert world.balance(shield.energy_account) == 10


def test_nobody_leaves_in_the_last_second(world: TradingWorld) -> None:
    member = world.member()
    world.place(member, BID, 300_000, 1_000)
    world.set_time(END - 1)
    with pytest.raises(Refusal) as caught:
        world.cancel(member, BID, 300_000, 1_000)
    assert caught.value.name == "CancelTooLate"


def test_a_cancel_cannot_hit_an_order_that_was_not_meant(world: TradingWorld) -> None:
    member = world.member()
    world.place(member, ASK, 100_000, 1_000)
    world.cancel(member, ASK, 100_000, 1_000)
    world.place(member, ASK, 110_000, 1_000)
    with pytest.raises(Refusal) as caught:
        world.cancel(member, ASK, 100_000, 1_000)
    assert caught.value.name == "NoSuchOrder"


@pytest.mark.parametrize("which", ["energy_account", "credit_account"])
@pytest.mark.parametrize("state", ["closed", "frozen", "of another mint"])
def test_an_account_that_cannot_receive_blocks_nobody(world: TradingWorld, which: str, state: str) -> None:
    trade(world)
    seller, buyer = world.members
    account = getattr(seller, which)
    mint = world.token_accounts[account]
    amount = world.balance(account)
    if state == "closed":
        close_token_account(world, which, 0)
        amount = 0
    elif state == "frozen":
        world.put_tokens(account, mint, seller.wallet.pubkey(), amount, state=2)
    else:
        other = ENERGY_MINT if mint == CREDIT_MINT else CREDIT_MINT
        world.supply[mint] -= amount
        world.supply[other] += amount
        world.put_tokens(account, other, seller.wallet.pubkey(), amount)
    with pytest.raises(Refusal) as caught:
        world.settle(512)
    assert caught.value.name == "NothingSettled"
    outcome = world.settle(512, 0)
    assert [event.data["order"] for event in outcome.events] == [0]
    assert world.balance(buyer.energy_account) == 10_000_000 + 1_000
    assert not world.book().is_settled(512)
    if state == "of another mint":
        world.supply[world.token_accounts[account]] -= amount
        world.put(account, SYSTEM, b"", 0)
        world.put_tokens(account, mint, seller.wallet.pubkey(), 0)
    else:
        world.put_tokens(account, mint, seller.wallet.pubkey(), amount)
    world.settle(512)
    assert world.book().fields["status"] == FINAL


def test_a_fee_account_that_cannot_receive_holds_up_itself_alone(world: TradingWorld) -> None:
    trade(world)
    world.put(world.fee_account, SYSTEM, b"", 0)
    world.settle(512)
    outcome = world.settle(0)
    assert [event.name for event in outcome.events] == ["OrderSettled"]
    due = world.book().fields["credit_escrow"]
    assert due > 0
    world.put_checkpoint()
    with pytest.raises(Refusal) as caught:
        world.close()
    assert caught.value.name == "BookNotFinal"
    with pytest.raises(Refusal) as caught:
        world.settle()
    assert caught.value.name == "NothingToSettle"
    world.put_tokens(world.fee_account, CREDIT_MINT, world.fee_owner.pubkey(), 0)
    assert world.settle().event("EpochSettled")["fees"] == due == world.balance(world.fee_account)


def test_nothing_is_paid_twice(world: TradingWorld) -> None:
    trade(world)
    seller = world.members[0]
    world.settle(512)
    held = world.balance(seller.credit_account)
    for numbers in ([512], [512, 0], [0, 512]):
        with pytest.raises(Refusal) as caught:
            world.settle(*numbers)
        assert caught.value.name == "OrderAlreadySettled"
    assert world.balance(seller.credit_account) == held
    # Nor twice in one transaction, in one instruction or in two.
    once = world.settle_instruction([0])
    with pytest.raises(Refusal):
        world.send(once, once)
    world.send(once)


def test_one_book_cannot_eat_into_another(world: TradingWorld) -> None:
    trade(world)
    world.open(EPOCH + 1)
    rich = world.member()
    world.place(rich, ASK, 100_000, 500_000, epoch=EPOCH + 1)
    world.place(rich, BID, 90_000, 500_000, epoch=EPOCH + 1)
    book = world.book()
    book.fields["asks"][0]["quantity"] += 1
    book.fields["ask_quantity"] += 1
    world.put_book(EPOCH, book)
    world.settle(0)
    with pytest.raises(Refusal) as caught:
        world.settle(512)
    assert caught.value.name == "EscrowShort"
    book.fields["asks"][0]["quantity"] -= 1
    book.fields = world.book().fields | {"asks": book.fields["asks"], "ask_quantity": book.fields["ask_quantity"] - 1}
    world.put_book(EPOCH, book)


def test_tokens_sent_to_a_vault_buy_nothing(world: TradingWorld) -> None:
    trade(world)
    world.put_tokens(ENERGY_VAULT, ENERGY_MINT, MARKET, world.balance(ENERGY_VAULT) + 777)
    world.put_tokens(CREDIT_VAULT, CREDIT_MINT, MARKET, world.balance(CREDIT_VAULT) + 777)
    world.settle_all()
    assert (world.balance(ENERGY_VAULT), world.balance(CREDIT_VAULT)) == (777, 777)
    for vault, mint in ((ENERGY_VAULT, ENERGY_MINT), (CREDIT_VAULT, CREDIT_MINT)):
        world.put_tokens(vault, mint, MARKET, 0)


def test_a_book_does_not_close_early(world: TradingWorld) -> None:
    trade(world)
    for numbers in ([], [512]):
        if numbers:
            world.settle(*numbers)
        world.put_checkpoint()
        with pytest.raises(Refusal) as caught:
            world.close()
        assert caught.value.name == "BookNotFinal"
    before_the_end = hashlib.sha256(world.data(book_address(EPOCH))).digest()
    world.settle(0)
    world.put_checkpoint(book_hash=before_the_end)
    with pytest.raises(Refusal) as caught:
        world.close()
    assert caught.value.name == "BookHashMismatch"


def test_a_closed_book_does_not_come_back(world: TradingWorld) -> None:
    trade(world)
    world.settle_all()
    world.put_checkpoint()
    world.close()
    with pytest.raises(Refusal) as caught:
        world.send(*world.open_instructions(EPOCH))
    assert caught.value.name == "EpochNotOpenable"
    with pytest.raises(Refusal) as caught:
        world.close()
    assert caught.value.name == "WrongBook"


def test_a_book_is_not_revived_in_the_transaction_that_closes_it(world: TradingWorld) -> None:
    trade(world)
    world.settle_all()
    checkpoint = world.put_checkpoint()
    accounts = {"book": book_address(EPOCH), "checkpoint": checkpoint, "rent_payer": world.operator.pubkey()}
    close = world.build("close_epoch", {}, accounts)
    for again in (close, world.settle_raw([512], world.settlement_metas(world.members[0]))):
        with pytest.raises(Refusal) as caught:
            world.send(close, again)
        assert caught.value.name == "WrongBook"
    world.send(close)


def test_splitting_orders_skims_no_rounding(world: TradingWorld) -> None:
    # Sellers and buyers of odd Wh, alone and split: the fee account never pays, and no member gains by splitting.
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
    world.settle_all()
    world.check()
    assert world.balance(world.fee_account) >= 0
    fee_free = sum(quantities) * price // 1000
    assert world.balance(seller.credit_account) - 10**12 <= fee_free
    return world.balance(seller.credit_account) + world.balance(buyer.credit_account)


def test_a_settlement_of_other_accounts_cannot_name_a_vault(world: TradingWorld) -> None:
    # A User is believed only from the registry, so a forged one with the vaults as its accounts is refused.
    trade(world)
    seller = world.members[0]
    forged = seller.fields | {"energy_token_account": ENERGY_VAULT, "credit_token_account": CREDIT_VAULT}
    where = world.issuer.pubkey()
    data = idl("registry").encode_account("User", forged)
    for owner in (idl("trading").program_id, idl("oracle").program_id, SYSTEM):
        world.put(where, owner, data)
        metas = [
            AccountMeta(where, False, False),
            AccountMeta(ENERGY_VAULT, False, True),
            AccountMeta(CREDIT_VAULT, False, True),
        ]
        with pytest.raises(Refusal):
            world.send(world.settle_raw([512], metas))
    assert not world.book().is_settled(512)


def test_the_whole_book_of_hostile_remainders_clears(world: TradingWorld) -> None:
    # 512 orders at the margin whose remainders force every pass of the selection, against one order.
    for quantities in ([65_537 + number * 257 for number in range(512)], [1_000_000] * 512, list(range(10, 522))):
        world = TradingWorld()
        world.open()
        book = world.book()
        bids = [{"price": 200_000, "quantity": quantity, "filled": 0, "member": 0} for quantity in quantities]
        book.fields["bids"] = bids
        wanted = sum(quantities) // 3 + 1
        book.fields["asks"][0] = {"price": 100_000, "quantity": wanted, "filled": 0, "member": 1}
        book.fields |= {"bid_count": 512, "ask_count": 1, "bid_quantity": sum(quantities), "ask_quantity": wanted}
        book.fields |= {"energy_escrow": wanted, "credit_escrow": 1}
        world.put_book(EPOCH, book)
        world.set_time(END)
        outcome = world.clear()
        assert outcome.compute_units < 1_024 * 220
        shares = [order.filled for order in world.book().bids]
        whole = sum(quantities)
        floors = [quantity * wanted // whole for quantity in quantities]
        ranked = sorted(range(512), key=lambda k: (-(quantities[k] * wanted % whole), k))[: wanted - sum(floors)]
        assert shares == [floor + (index in set(ranked)) for index, floor in enumerate(floors)]
