"""Every refusal of the trading program, each with its own error, and nothing changed by it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from campus import EPOCH_SECONDS, PAUSE_CLEARING, PAUSE_ORDERS, Refusal, idl, key
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from trading_world import (
    ASK,
    BID,
    CONFIG,
    CREDIT_MINT,
    CREDIT_VAULT,
    ENERGY_MINT,
    ENERGY_VAULT,
    EPOCH,
    MARKET,
    ORACLE,
    TOKEN,
    Member,
    Order,
    TradingWorld,
    address,
)

from authority.chain.programs import book_address

BEGIN = EPOCH * EPOCH_SECONDS
END = BEGIN + EPOCH_SECONDS


@contextmanager
def refused(world: TradingWorld, name: str) -> Iterator[None]:
    """What is done in here is refused with that error, and neither book nor market nor vaults change."""

    def state() -> list[bytes]:
        books = [world.data(book_address(epoch)) for epoch in (EPOCH - 1, EPOCH, EPOCH + 1, EPOCH + 2)]
        return [*books, *(world.data(where) for where in (MARKET, ENERGY_VAULT, CREDIT_VAULT))]

    before = state()
    with pytest.raises(Refusal) as caught:
        yield
    assert caught.value.name == name, str(caught.value)
    assert state() == before


def unsigned(instruction: Instruction, who: Pubkey) -> Instruction:
    """The instruction with one account's signature not asked for."""
    metas = [
        AccountMeta(meta.pubkey, meta.is_signer and meta.pubkey != who, meta.is_writable)
        for meta in instruction.accounts
    ]
    return Instruction(instruction.program_id, instruction.data, metas)


def copy_of(world: TradingWorld, original: Pubkey, name: str, owner: Pubkey | None = None) -> Pubkey:
    """An account elsewhere with the same bytes, of the same owner or another: a look-alike."""
    account = world.svm.get_account(original)
    assert account is not None
    where = key(name).pubkey()
    world.put(where, owner or account.owner, bytes(account.data))
    return where


# Making the market


def test_the_market_is_made_once_by_the_operator() -> None:
    world = TradingWorld(initialize=False)
    stranger = key("stranger")
    world.svm.airdrop(stranger.pubkey(), 10**10)
    with refused(world, "NotOperator"):
        world.initialize_market(operator=stranger.pubkey())
    with refused(world, "WrongMint"):
        world.initialize_market(energy_mint=CREDIT_MINT)
    with refused(world, "WrongVault"):
        world.initialize_market(energy_vault=CREDIT_VAULT, credit_vault=ENERGY_VAULT)
    with refused(world, "WrongMarket"):
        world.initialize_market(market=key("market").pubkey())
    with refused(world, "WrongMint"):
        world.initialize_market(credit_mint=ENERGY_MINT)
    for vault in ("energy_vault", "credit_vault"):
        with refused(world, "WrongVault"):
            world.initialize_market(150_000, **{vault: key("vault").pubkey()})
    with refused(world, "WrongConfig"):
        world.initialize_market(config=copy_of(world, CONFIG, "config"))
    with refused(world, "WrongTokenProgram"):
        world.initialize_market(token_program=idl("registry").program_id)
    with refused(world, "WrongSystemProgram"):
        world.initialize_market(system_program=TOKEN)
    for price in (49_999, 300_001):
        with refused(world, "ReferencePriceOutOfBounds"):
            world.initialize_market(price)
    world.initialize_market()
    with refused(world, "MarketExists"):
        world.initialize_market()


def test_the_fee_account_must_be_able_to_receive_credits() -> None:
    world = TradingWorld(initialize=False)
    energy = world.member().energy_account
    for account in (energy, CREDIT_MINT, key("nothing here").pubkey()):
        with refused(world, "UnusableFeeAccount"):
            world.initialize_market(fee_account=account)
    where = copy_of(world, world.fee_account, "not a token program's", CONFIG)
    with refused(world, "UnusableFeeAccount"):
        world.initialize_market(fee_account=where)
    world.put_tokens(world.fee_account, CREDIT_MINT, world.fee_owner.pubkey(), 0, state=2)
    with refused(world, "UnusableFeeAccount"):
        world.initialize_market()


def test_the_fee_account_is_one_that_anyone_can_recreate() -> None:
    """Once an account of another kind is closed, its key alone makes it again: books would not be final till then."""
    world = TradingWorld(initialize=False)
    own = key("a token account of its own").pubkey()
    world.put_tokens(own, CREDIT_MINT, world.fee_owner.pubkey(), 0)
    with refused(world, "FeeAccountNotAssociated"):
        world.initialize_market(fee_account=own)
    world.put_tokens(world.fee_account, CREDIT_MINT, key("another owner").pubkey(), 0)
    with refused(world, "FeeAccountNotAssociated"):
        world.initialize_market()


def test_nothing_works_without_a_market() -> None:
    world = TradingWorld(initialize=False)
    world.open()
    world.set_time(END)
    with refused(world, "MarketNotInitialized"):
        world.clear()


# Opening a book


@pytest.mark.parametrize("epoch", [0, EPOCH - 1, EPOCH + 2, 2**32 - 1])
def test_only_the_current_and_the_next_book_open(world: TradingWorld, epoch: int) -> None:
    with refused(world, "EpochNotOpenable"):
        world.send(*world.open_instructions(epoch))


def test_a_book_opens_once_at_its_address(world: TradingWorld) -> None:
    with refused(world, "BookExists"):
        world.send(world.open_instructions(EPOCH)[0])
    opening = world.build(
        "open_epoch", {"epoch": EPOCH + 1}, {"payer": world.operator.pubkey(), "book": book_address(EPOCH + 2)}
    )
    with refused(world, "WrongBook"):
        world.send(opening)
    with refused(world, "BookAlreadyGrown"):
        world.send(world.open_instructions(EPOCH)[1])
    other = world.build("grow_book", {}, {"book": MARKET})
    with refused(world, "WrongBook"):
        world.send(other)


def test_only_a_book_of_the_program_grows(world: TradingWorld) -> None:
    opening, _ = world.open_instructions(EPOCH + 1)
    world.send(opening)
    for owner, data in ((TOKEN, world.data(book_address(EPOCH + 1))), (idl("trading").program_id, bytes(10_240))):
        where = key("look-alike").pubkey()
        world.put(where, owner, data)
        with refused(world, "WrongBook"):
            world.send(world.build("grow_book", {}, {"book": where}))


def test_a_book_opens_by_the_real_config(world: TradingWorld) -> None:
    accounts = {
        "payer": world.operator.pubkey(),
        "book": book_address(EPOCH + 1),
        "config": copy_of(world, CONFIG, "c"),
    }
    with refused(world, "WrongConfig"):
        world.send(world.build("open_epoch", {"epoch": EPOCH + 1}, accounts))
    world.set_time(END)
    with refused(world, "WrongConfig"):
        world.clear(config=copy_of(world, CONFIG, "config"))


def test_a_paused_market_opens_no_book(world: TradingWorld) -> None:
    world.put_config(pause=PAUSE_ORDERS)
    with refused(world, "Paused"):
        world.send(*world.open_instructions(EPOCH + 1))


def test_a_book_takes_orders_when_it_is_whole(world: TradingWorld) -> None:
    member = world.member()
    opening, _ = world.open_instructions(EPOCH + 1)
    world.send(opening)
    world.set_time(END)
    with refused(world, "BookNotGrown"):
        world.place(member, ASK, 100_000, 100, epoch=EPOCH + 1)
    world.set_time(END + EPOCH_SECONDS)
    with refused(world, "BookNotGrown"):
        world.clear(EPOCH + 1)


# Placing


@pytest.mark.parametrize(
    ("side", "price", "quantity", "name"),
    [
        (2, 100_000, 100, "UnknownSide"),
        (255, 100_000, 100, "UnknownSide"),
        (ASK, 49_999, 100, "PriceBelowFeedIn"),
        (BID, 0, 100, "PriceBelowFeedIn"),
        (ASK, 300_001, 100, "PriceAboveRetail"),
        (BID, 2**32 - 1, 100, "PriceAboveRetail"),
        (ASK, 100_000, 9, "OrderTooSmall"),
        (BID, 100_000, 0, "OrderTooSmall"),
        (ASK, 100_000, 1_000_001, "OrderTooLarge"),
        (BID, 100_000, 2**32 - 1, "OrderTooLarge"),
    ],
)
def test_orders_out_of_bounds(world: TradingWorld, side: int, price: int, quantity: int, name: str) -> None:
    member = world.member()
    with refused(world, name):
        world.place(member, side, price, quantity)


@pytest.mark.parametrize("side", [BID, ASK])
def test_orders_at_the_bounds_are_taken(world: TradingWorld, side: int) -> None:
    member = world.member()
    for price, quantity in ((50_000, 10), (300_000, 10), (100_000, 1_000_000)):
        world.place(member, side, price, quantity)
        world.cancel(member, side, price, quantity)


def test_orders_are_taken_during_the_epoch(world: TradingWorld) -> None:
    member = world.member()
    world.open(EPOCH + 1)
    with refused(world, "EpochNotBegun"):
        world.place(member, ASK, 100_000, 100, epoch=EPOCH + 1)
    world.set_time(BEGIN - 1)
    with refused(world, "EpochNotBegun"):
        world.place(member, ASK, 100_000, 100)
    world.set_time(END - 1)
    world.place(member, ASK, 100_000, 100)
    world.set_time(END)
    with refused(world, "EpochOver"):
        world.place(member, ASK, 100_000, 100)
    world.clear()
    with refused(world, "BookNotOpen"):
        world.place(member, ASK, 100_000, 100)
    with refused(world, "BookNotOpen"):
        world.cancel(member, ASK, 100_000, 100)


def test_a_paused_market_takes_no_orders(world: TradingWorld) -> None:
    member = world.member()
    world.put_config(pause=PAUSE_ORDERS)
    with refused(world, "Paused"):
        world.place(member, ASK, 100_000, 100)


@pytest.mark.parametrize("status", [0, 2, 3])
def test_only_active_members_place(world: TradingWorld, status: int) -> None:
    member = world.member(status=status)
    with refused(world, "UserNotActive"):
        world.place(member, ASK, 100_000, 100)


@pytest.mark.parametrize("do", ["place", "cancel"])
def test_only_the_wallet_or_its_delegate_may(world: TradingWorld, do: str) -> None:
    delegate = key("delegate").pubkey()
    member, other = world.member(delegate=delegate, delegate_until=BEGIN + 100), world.member()
    if do == "cancel":
        world.place(member, ASK, 100_000, 100)
    act: Callable[..., object] = getattr(world, do)
    with refused(world, "NotWalletOrDelegate"):
        act(member, ASK, 100_000, 100, authority=other.wallet.pubkey())
    world.set_time(BEGIN + 100)
    with refused(world, "DelegationExpired"):
        act(member, ASK, 100_000, 100, authority=delegate)
    world.update_member(member, delegate=Pubkey.default())
    with refused(world, "NotWalletOrDelegate"):
        act(member, ASK, 100_000, 100, authority=Pubkey.default())


def test_a_delegate_spends_only_what_was_approved(world: TradingWorld) -> None:
    delegate = key("delegate").pubkey()
    member = world.member(delegate=delegate, delegate_until=END)
    with pytest.raises(Refusal):
        world.place(member, ASK, 100_000, 100, authority=delegate)
    assert world.book().numbers() == []


def burn(world: TradingWorld, member: Member, **accounts: Pubkey) -> None:
    """As the energy token program calls it for a delegate."""
    named = {"user": member.user, "source": member.energy_account, **accounts}
    world.send(world.build("burn_delegated", {"amount": 100}, {**named}))


def test_the_energy_token_program_alone_has_a_members_tokens_burnt(world: TradingWorld) -> None:
    member, other = world.member(energy=500), world.member()
    world.place(other, ASK, 100_000, 100)
    for name, error in (
        ("mint_authority", "NotTheEnergyToken"),
        ("market", "WrongMarket"),
        ("user", "NotAUser"),
        ("energy_mint", "WrongMint"),
        ("token_program", "WrongTokenProgram"),
    ):
        with refused(world, error):
            burn(world, member, **{name: key("other").pubkey()})
    for source in (other.energy_account, ENERGY_VAULT):
        with refused(world, "WrongTokenAccount"):
            burn(world, member, source=source)
    named = {"user": member.user, "source": member.energy_account}
    made = world.build("burn_delegated", {"amount": 100}, named)
    with refused(world, "EnergyTokenMustSign"):
        world.send(unsigned(made, made.accounts[0].pubkey))
    with pytest.raises(Refusal):  # the member has approved nothing
        burn(world, member)
    world.put_tokens(member.energy_account, ENERGY_MINT, member.wallet.pubkey(), 500, delegate=MARKET)
    burn(world, member)
    world.supply[ENERGY_MINT] -= 100
    assert world.balance(member.energy_account) == 400


def test_the_market_moves_a_members_tokens_for_its_delegate_alone(world: TradingWorld) -> None:
    """Another member's delegate has no part in what this one approved, nor has the market without a delegate."""
    helper = key("delegate").pubkey()
    member, other = world.member(), world.member(delegate=helper, delegate_until=END)
    world.put_tokens(member.energy_account, ENERGY_MINT, member.wallet.pubkey(), 500, delegate=MARKET)
    with refused(world, "NotWalletOrDelegate"):
        world.place(member, ASK, 100_000, 100, authority=helper)
    with refused(world, "WrongTokenAccount"):
        world.place(other, ASK, 100_000, 100, authority=helper, source=member.energy_account)
    with refused(world, "NotWalletOrDelegate"):
        world.place(member, ASK, 100_000, 100, authority=MARKET)


def test_an_order_needs_the_tokens_that_it_locks(world: TradingWorld) -> None:
    member = world.member(energy=99, credits_=11_999)
    for side in (ASK, BID):
        with pytest.raises(Refusal):
            world.place(member, side, 100_000, 100)
    assert world.book().numbers() == []


def test_tokens_come_from_the_members_own_account_into_the_right_vault(world: TradingWorld) -> None:
    member, other = world.member(), world.member()
    with refused(world, "WrongTokenAccount"):
        world.place(member, ASK, 100_000, 100, source=other.energy_account)
    with refused(world, "WrongTokenAccount"):
        world.place(member, BID, 100_000, 100, source=member.energy_account)
    with refused(world, "WrongVault"):
        world.place(member, ASK, 100_000, 100, vault=CREDIT_VAULT)
    with refused(world, "WrongVault"):
        world.place(member, BID, 100_000, 100, vault=other.credit_account)
    world.place(member, ASK, 100_000, 100)
    with refused(world, "WrongMarket"):
        world.cancel(member, ASK, 100_000, 100, market=copy_of(world, MARKET, "market"))
    with refused(world, "WrongTokenAccount"):
        world.cancel(member, ASK, 100_000, 100, destination=other.energy_account)
    with refused(world, "WrongVault"):
        world.cancel(member, ASK, 100_000, 100, vault=CREDIT_VAULT)


def test_a_member_has_so_many_orders_and_no_more(world: TradingWorld) -> None:
    member = world.member()
    for number in range(4):
        world.place(member, ASK, 200_000 + number, 100)
        world.place(member, BID, 100_000 + number, 100)
    for side, price in ((ASK, 250_000), (BID, 60_000)):
        with refused(world, "TooManyOrders"):
            world.place(member, side, price, 100)
    world.cancel(member, BID, 100_000, 100)
    world.place(member, ASK, 250_000, 100)


def test_the_cap_counts_a_member_and_not_others_in_its_bucket(world: TradingWorld) -> None:
    members = [world.member() for _ in range(257)]
    one, alike = members[0], members[256]
    for number in range(8):
        world.place(one, ASK, 200_000 + number, 100)
    world.place(alike, ASK, 200_000, 100)
    world.place(alike, BID, 199_999, 100)
    with refused(world, "TooManyOrders"):
        world.place(one, ASK, 200_000, 100)
    with refused(world, "CrossesOwnOrder"):
        world.place(alike, BID, 200_000, 100)
    world.place(members[1], BID, 200_000, 100)


@pytest.mark.parametrize(("bid", "crosses"), [(199_999, False), (200_000, True), (200_001, True)])
def test_no_member_trades_with_itself(world: TradingWorld, bid: int, crosses: bool) -> None:
    member, other = world.member(), world.member()
    world.place(other, ASK, 100_000, 100)
    world.place(member, ASK, 200_000, 100)
    if crosses:
        with refused(world, "CrossesOwnOrder"):
            world.place(member, BID, bid, 100)
        world.cancel(member, ASK, 200_000, 100)
        world.place(member, BID, bid, 100)
        with refused(world, "CrossesOwnOrder"):
            world.place(member, ASK, 200_000, 100)
    else:
        world.place(member, BID, bid, 100)


def fill_side(world: TradingWorld, side: int, *, price: int, quantity: int = 100, count: int = 512) -> None:
    """Fill a side with one member's orders, escrow in the vault as if they had been placed one by one."""
    member = world.members[0]
    book = world.book()
    name, vault, mint = ("bid", CREDIT_VAULT, CREDIT_MINT) if side == BID else ("ask", ENERGY_VAULT, ENERGY_MINT)
    order = {"price": price, "quantity": quantity, "filled": 0, "member": member.index}
    book.fields[f"{name}s"][:count] = [dict(order) for _ in range(count)]
    book.fields |= {f"{name}_count": count, f"{name}_quantity": count * quantity}
    book.fields[f"{name}_members"][member.index % 256] = count
    each = quantity if side == ASK else -(-quantity * (price + 20_000) // 1000)
    book.fields["energy_escrow" if side == ASK else "credit_escrow"] = count * each
    world.put_book(EPOCH, book)
    world.put_tokens(vault, mint, MARKET, count * each)


@pytest.mark.parametrize(("side", "no_better", "better"), [(ASK, 100_000, 99_999), (BID, 100_000, 100_001)])
def test_only_a_better_order_enters_a_full_side(world: TradingWorld, side: int, no_better: int, better: int) -> None:
    evictee, newcomer, third = world.member(), world.member(), world.member()
    fill_side(world, side, price=100_000)
    with refused(world, "BookFull"):
        world.place(newcomer, side, no_better, 100, evict=evictee)
    with refused(world, "EvictionAccountsMissing"):
        world.place(newcomer, side, better, 100)
    with refused(world, "EvictionAccountsMissing"):
        world.place(newcomer, side, better, 100, evict=third)
    instruction = world.place_instruction(newcomer, side, better, 100, evict=evictee)
    metas = instruction.accounts
    metas[-1] = AccountMeta(third.energy_account if side == ASK else third.credit_account, False, True)
    with refused(world, "WrongTokenAccount"):
        world.send(Instruction(instruction.program_id, instruction.data, metas))
    world.place(newcomer, side, better, 100, evict=evictee)
    book = world.book()
    assert (book.bids, book.asks)[side][0] == Order(better, 100, 0, newcomer.index)


def test_a_member_displaces_its_own_worst_order_without_more_accounts() -> None:
    world = TradingWorld(parameters={"max_orders_per_member": 64})
    world.open()
    owner, rest = world.member(), world.member()
    fill_side(world, ASK, price=100_000, count=511)
    world.place(rest, ASK, 200_000, 50)
    held = world.balance(rest.energy_account)
    world.place(rest, ASK, 150_000, 70)
    assert world.balance(rest.energy_account) == held + 50 - 70
    assert world.book().asks[-1] == Order(150_000, 70, 0, rest.index)
    assert owner.index == 0
    world.check()


def test_a_sides_total_fits_u32() -> None:
    world = TradingWorld(parameters={"max_order_wh": 1_000_000_000})
    world.open()
    member = world.member(energy=2**33)
    for _ in range(4):
        world.place(member, ASK, 100_000, 1_000_000_000)
    with refused(world, "SideTooLarge"):
        world.place(member, ASK, 100_000, 294_967_296)
    world.place(member, ASK, 100_000, 294_967_295)
    assert world.book().fields["ask_quantity"] == 2**32 - 1


# Cancelling


def test_a_cancel_names_an_order_of_the_member(world: TradingWorld) -> None:
    member, other = world.member(), world.member()
    world.place(member, ASK, 100_000, 100)
    world.place(other, ASK, 100_000, 101)
    for side, price, quantity in ((BID, 100_000, 100), (ASK, 100_001, 100), (ASK, 100_000, 99), (ASK, 100_000, 101)):
        with refused(world, "NoSuchOrder"):
            world.cancel(member, side, price, quantity)
    with refused(world, "UnknownSide"):
        args = {"epoch": EPOCH, "side": 2, "price": 100_000, "quantity": 100}
        accounts = {
            "authority": member.wallet.pubkey(),
            "user": member.user,
            "book": book_address(EPOCH),
            "destination": member.energy_account,
            "vault": ENERGY_VAULT,
        }
        world.send(world.build("cancel_order", args, accounts))


def test_no_cancelling_in_the_last_seconds(world: TradingWorld) -> None:
    member = world.member()
    for _ in range(2):
        world.place(member, ASK, 100_000, 100)
    world.set_time(END - 61)
    world.cancel(member, ASK, 100_000, 100)
    for time in (END - 60, END - 1, END, END + 8 * EPOCH_SECONDS):
        world.set_time(time)
        with refused(world, "CancelTooLate"):
            world.cancel(member, ASK, 100_000, 100)


# Clearing and refunding


def test_clearing_waits_for_the_end_and_happens_once(world: TradingWorld) -> None:
    world.place(world.member(), ASK, 100_000, 100)
    world.set_time(END - 1)
    with refused(world, "EpochNotOver"):
        world.clear()
    world.set_time(END)
    world.put_config(pause=PAUSE_CLEARING)
    with refused(world, "Paused"):
        world.clear()
    world.put_config()
    world.clear()
    with refused(world, "AlreadyCleared"):
        world.clear()
    world.settle_all()
    with refused(world, "AlreadyCleared"):
        world.clear()


def test_only_the_oracle_clears(world: TradingWorld) -> None:
    world.set_time(END)
    with refused(world, "NotTheOracle"):
        world.clear(oracle=world.operator.pubkey())
    with refused(world, "OracleMustSign"):
        world.send(unsigned(world.clear_instruction(), ORACLE))


def test_a_refund_is_for_books_that_were_never_cleared(world: TradingWorld) -> None:
    world.place(world.member(), ASK, 100_000, 100)
    for time in (BEGIN, END, END + 8 * EPOCH_SECONDS - 1):
        world.set_time(time)
        with refused(world, "NotRefundable"):
            world.refund()
    world.set_time(END + 8 * EPOCH_SECONDS)
    world.refund()
    with refused(world, "NotRefundable"):
        world.refund()
    with refused(world, "AlreadyCleared"):
        world.clear()
    world.open(EPOCH + 9)
    world.set_time(END + 9 * EPOCH_SECONDS)
    world.clear(EPOCH + 9)
    world.set_time(END + 99 * EPOCH_SECONDS)
    with refused(world, "NotRefundable"):
        world.refund(EPOCH + 9)


# Settling


def test_orders_settle_after_the_clearing_and_once(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 100)
    world.place(seller, ASK, 110_000, 100)
    world.place(buyer, BID, 105_000, 150)
    with refused(world, "NotSettleable"):
        world.settle(512)
    world.set_time(END)
    world.clear()
    with refused(world, "NothingToSettle"):
        world.settle()
    for number in (1, 511, 514, 1_023, 1_024, 65_535):
        with refused(world, "OrderOutOfRange"):
            world.send(world.settle_raw([number], world.settlement_metas(seller)))
    for twice in ([512, 512], [512, 513, 512]):
        with refused(world, "OrderAlreadySettled"):
            world.settle(*twice)
    world.settle(512)
    with refused(world, "OrderAlreadySettled"):
        world.settle(512)
    with refused(world, "OrderAlreadySettled"):
        world.settle(513, 512)
    world.settle_all()
    for numbers in ([513], []):
        with refused(world, "OrderAlreadySettled"):
            world.settle(*numbers)


def test_settlement_pays_the_member_whose_order_it_is(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 100)
    world.place(buyer, BID, 100_000, 100)
    world.set_time(END)
    world.clear()
    mine, theirs = world.settlement_metas(seller), world.settlement_metas(buyer)
    for metas in ([], mine[:1], mine[:2]):
        with refused(world, "SettlementAccountsMissing"):
            world.send(world.settle_raw([512], metas))
    with refused(world, "SettlementAccountsMissing"):
        world.send(world.settle_raw([512, 0], mine))
    with refused(world, "WrongMember"):
        world.send(world.settle_raw([512], theirs))
    with refused(world, "WrongMember"):
        world.send(world.settle_raw([512, 0], theirs + mine))
    for metas in ([mine[0], theirs[1], mine[2]], [mine[0], mine[1], theirs[2]], [mine[0], mine[2], mine[1]]):
        with refused(world, "WrongTokenAccount"):
            world.send(world.settle_raw([512], metas))
    with refused(world, "WrongFeeAccount"):
        world.settle(512, fee_account=buyer.credit_account)
    with refused(world, "WrongVault"):
        world.settle(512, energy_vault=buyer.energy_account)
    with refused(world, "WrongVault"):
        world.settle(512, credit_vault=buyer.credit_account)
    with refused(world, "WrongMarket"):
        world.settle(512, market=copy_of(world, MARKET, "market"))
    with refused(world, "NotAUser"):
        world.send(world.settle_raw([512], [AccountMeta(MARKET, False, False), *mine[1:]]))


# Closing


def test_a_book_closes_when_it_is_final_and_pinned(world: TradingWorld) -> None:
    seller = world.member()
    world.place(seller, ASK, 100_000, 100)
    for step in (lambda: None, lambda: world.set_time(END), world.clear):
        step()
        world.put_checkpoint()
        with refused(world, "BookNotFinal"):
            world.close()
    world.settle_all()
    with refused(world, "BookHashMismatch"):
        world.close()
    with refused(world, "WrongCheckpoint"):
        world.close(checkpoint=CONFIG)
    world.put_checkpoint(book_hash=bytes(32))
    with refused(world, "BookHashMismatch"):
        world.close()
    other = address("oracle", b"epoch", (EPOCH + 1).to_bytes(4, "little"))
    world.put_checkpoint()
    world.put_checkpoint(EPOCH + 1, book_hash=hashlib.sha256(world.data(book_address(EPOCH))).digest())
    with refused(world, "WrongCheckpoint"):
        world.close(checkpoint=other)
    with refused(world, "WrongRentPayer"):
        world.close(rent_payer=world.issuer.pubkey())
    with refused(world, "BookAlreadyGrown"):
        world.send(world.build("grow_book", {}, {"book": book_address(EPOCH)}))
    world.close()
    with refused(world, "WrongBook"):
        world.close()


# Look-alikes


def test_look_alike_accounts(world: TradingWorld) -> None:
    member, other = world.member(), world.member()
    world.place(other, ASK, 100_000, 100)
    token = idl("trading").program_id
    for owner in (None, TOKEN):
        config = copy_of(world, CONFIG, "config", owner)
        with refused(world, "WrongConfig"):
            world.place(member, ASK, 100_000, 100, config=config)
        market = copy_of(world, MARKET, "market", owner)
        with refused(world, "WrongMarket"):
            world.place(member, ASK, 100_000, 100, market=market)
        with refused(world, "WrongMarket"):
            world.clear(market=market)
    foreign = copy_of(world, member.user, "user", token)
    with refused(world, "NotAUser"):
        world.place(member, ASK, 100_000, 100, user=foreign)
    with refused(world, "NotAUser"):
        world.place(member, ASK, 100_000, 100, user=CONFIG)
    foreign = copy_of(world, book_address(EPOCH), "book", TOKEN)
    with refused(world, "WrongBook"):
        world.place(member, ASK, 100_000, 100, book=foreign)
    with refused(world, "WrongBook"):
        world.place(member, ASK, 100_000, 100, book=other.user)
    world.open(EPOCH + 1)
    with refused(world, "WrongBook"):
        world.place(member, ASK, 100_000, 100, book=book_address(EPOCH + 1))
    with refused(world, "WrongBook"):
        world.cancel(other, ASK, 100_000, 100, book=book_address(EPOCH + 1))
    for act in (world.place, world.cancel):
        with refused(world, "WrongTokenProgram"):
            act(member, ASK, 100_000, 100, token_program=idl("registry").program_id)
    with refused(world, "WrongTokenProgram"):
        world.settle(token_program=idl("registry").program_id)
    opening, _ = world.open_instructions(EPOCH + 2)
    metas = [*opening.accounts[:-1], AccountMeta(TOKEN, False, False)]
    with refused(world, "WrongSystemProgram"):
        world.send(Instruction(opening.program_id, opening.data, metas))


def test_signatures_are_demanded(world: TradingWorld) -> None:
    member = world.member()
    who = member.wallet.pubkey()
    with refused(world, "MemberMustSign"):
        world.send(unsigned(world.place_instruction(member, ASK, 100_000, 100), who))
    with refused(world, "PayerMustSign"):
        world.send(unsigned(world.open_instructions(EPOCH + 1)[0], world.operator.pubkey()))
    world.place(member, ASK, 100_000, 100)
    accounts = {
        "authority": who,
        "user": member.user,
        "book": book_address(EPOCH),
        "destination": member.energy_account,
        "vault": ENERGY_VAULT,
    }
    args = {"epoch": EPOCH, "side": ASK, "price": 100_000, "quantity": 100}
    with refused(world, "MemberMustSign"):
        world.send(unsigned(world.build("cancel_order", args, accounts), who))


# Self-checks: states that no instruction leaves behind


def test_a_damaged_book_is_not_built_upon(world: TradingWorld) -> None:
    member = world.member()
    world.place(member, ASK, 100_000, 100)
    good = world.book().fields
    damages = (
        {"energy_escrow": 99},
        {"ask_count": 513},
        {"ask_quantity": 2**32 - 50},
        {"version": 2},
        {"settled_count": 1},
    )
    for damage in damages:
        book = world.book()
        book.fields = good | damage
        world.put_book(EPOCH, book)
        with pytest.raises(Refusal) as caught:
            world.place(member, ASK, 110_000, 100)
        assert caught.value.name in ("BookInvariant", "SideTooLarge")
    book.fields = good
    world.put_book(EPOCH, book)


def test_an_unsorted_book_is_not_cleared(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 100)
    world.place(seller, ASK, 200_000, 100)
    world.place(buyer, BID, 250_000, 150)
    book = world.book()
    asks = book.fields["asks"]
    asks[0], asks[1] = asks[1], asks[0]
    world.put_book(EPOCH, book)
    world.set_time(END)
    with refused(world, "UnfairClearing"):
        world.clear()


def test_no_book_pays_more_than_it_holds(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 100)
    world.place(buyer, BID, 100_000, 100)
    good = world.book()
    for name in ("energy_escrow", "credit_escrow"):
        book = world.book()
        book.fields[name] = 1
        world.put_book(EPOCH, book)
        with refused(world, "EscrowShort"):
            world.cancel(*((seller, ASK) if name == "energy_escrow" else (buyer, BID)), 100_000, 100)
    world.put_book(EPOCH, good)
    world.set_time(END)
    world.clear()
    good = world.book()
    for name, number in (("energy_escrow", 0), ("credit_escrow", 512)):
        book = world.book()
        book.fields[name] = 1
        world.put_book(EPOCH, book)
        with refused(world, "EscrowShort"):
            world.settle(number)
        world.put_book(EPOCH, good)


def test_every_instruction_that_changes_a_book_checks_it_last(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 100)
    world.place(buyer, BID, 100_000, 100)

    def damaged(act: Callable[[], object]) -> None:
        good = world.book()
        book = world.book()
        book.fields["version"] = 2
        world.put_book(EPOCH, book)
        with refused(world, "BookInvariant"):
            act()
        world.put_book(EPOCH, good)

    damaged(lambda: world.place(seller, ASK, 110_000, 100))
    damaged(lambda: world.cancel(seller, ASK, 100_000, 100))
    world.set_time(END + 8 * EPOCH_SECONDS)
    damaged(world.clear)
    damaged(world.refund)
    world.clear()
    damaged(lambda: world.settle(512))
    world.settle_all()

    def close() -> None:
        world.put_checkpoint()
        world.close()

    damaged(close)


def test_a_damaged_book_does_not_grow(world: TradingWorld) -> None:
    opening, growing = world.open_instructions(EPOCH + 1)
    world.send(opening)
    where = book_address(EPOCH + 1)
    data = bytearray(world.data(where))
    data[8] = 2
    world.put(where, idl("trading").program_id, bytes(data))
    with refused(world, "BookInvariant"):
        world.send(growing)


def test_a_book_says_that_it_is_growing_until_it_has_grown(world: TradingWorld) -> None:
    book = world.book()
    book.fields["status"] = 0
    world.put_book(EPOCH, book)
    with refused(world, "BookNotOpen"):
        world.place(world.member(), ASK, 100_000, 100)
    with refused(world, "NotSettleable"):
        world.settle()
    world.set_time(END)
    with refused(world, "BookNotGrown"):
        world.clear()
    book.fields["status"] = 5
    world.put_book(EPOCH, book)
    for act in (world.clear, world.settle):
        with refused(world, "BookInvariant"):
            act()


def test_a_damaged_market_is_not_built_upon(world: TradingWorld) -> None:
    good = world.data(MARKET)
    world.set_time(END)
    for damage in ({"version": 2}, {"bump": 1}, {"reference_price": 0}, {"turnover": 1}):
        fields = idl("trading").decode_account(good)[1] | damage
        world.put(MARKET, idl("trading").program_id, idl("trading").encode_account("Market", fields))
        with refused(world, "MarketInvariant"):
            world.clear()
    world.put(MARKET, idl("trading").program_id, good)


def test_every_error_is_met() -> None:
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    unmet = [
        item.name for item in idl("trading").errors.values() if not any(f'"{item.name}"' in text for text in texts)
    ]
    assert unmet == []
