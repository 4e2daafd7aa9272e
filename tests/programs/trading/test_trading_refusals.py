"""Every refusal of the trading program, each with its own error, and nothing changed by it."""

from __future__ import annotations

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
    BOOKS,
    CONFIG,
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
    ORACLE,
    SEATS,
    STEP,
    SYSTEM,
    TOKEN,
    VACANT,
    Book,
    Member,
    Order,
    TradingWorld,
)

from authority.chain import programs
from authority.chain.programs import book_address

BEGIN = EPOCH * EPOCH_SECONDS
END = BEGIN + EPOCH_SECONDS
MINT_AUTHORITY = programs.mint_authority()


@contextmanager
def refused(world: TradingWorld, name: str) -> Iterator[None]:
    """What is done in here is refused with that error, and no book, seat, market or vault changes."""

    def state() -> list[bytes]:
        books = [world.data(book_address(slot)) for slot in range(BOOKS)]
        return [*books, *(world.data(where) for where in (MARKET, SEATS, ENERGY_VAULT, CREDIT_VAULT))]

    before = state()
    with pytest.raises(Refusal) as caught:
        yield
    assert caught.value.name == name, str(caught.value)
    assert state() == before


@contextmanager
def refused_by_spl_token(world: TradingWorld) -> Iterator[None]:
    """What is done in here is refused by SPL Token, and no seat changes."""
    before = world.data(SEATS)
    with pytest.raises(Refusal) as caught:
        yield
    assert caught.value.code is None or caught.value.code < 100, str(caught.value)
    assert world.data(SEATS) == before


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


def with_fields(book: Book, **fields: int) -> bytes:
    """A book's data with other fields in its head, its orders as they are."""
    head = idl("trading").encode_account("EpochBook", book.fields | fields)
    return head + book.data[len(head) :]


# Making the market


def test_the_market_is_made_once_by_the_operator() -> None:
    world = TradingWorld(initialize=False)
    stranger = key("stranger")
    world.svm.airdrop(stranger.pubkey(), 10**10)
    with refused(world, "NotOperator"):
        world.initialize_market(operator=stranger.pubkey())
    with refused(world, "WrongVault"):
        world.initialize_market(energy_vault=CREDIT_VAULT, credit_vault=ENERGY_VAULT)
    for account, error in (
        ("market", "WrongMarket"),
        ("seats", "WrongSeats"),
        ("energy_mint", "WrongMint"),
        ("credit_mint", "WrongMint"),
        ("energy_vault", "WrongVault"),
        ("credit_vault", "WrongVault"),
        ("token_program", "WrongTokenProgram"),
        ("system_program", "WrongSystemProgram"),
    ):
        with refused(world, error):
            world.initialize_market(150_000, **{account: key("other").pubkey()})
    with refused(world, "WrongConfig"):
        world.initialize_market(config=copy_of(world, CONFIG, "config"))
    for price in (49_999, 300_001):
        with refused(world, "ReferencePriceOutOfBounds"):
            world.initialize_market(price)
    for side in (0, 4_097, 65_535):
        with refused(world, "CapacityOutOfBounds"):
            world.initialize_market(orders_per_side=side)
    world.initialize_market()
    with refused(world, "MarketExists"):
        world.initialize_market()


def test_the_fee_account_must_be_able_to_receive_credits() -> None:
    world = TradingWorld(initialize=False)
    energy = world.member(deposit=False).energy_account
    for account in (energy, CREDIT_MINT, key("nothing here").pubkey()):
        with refused(world, "UnusableFeeAccount"):
            world.initialize_market(fee_account=account)
    where = copy_of(world, world.fee_account, "not a token program's", CONFIG)
    with refused(world, "UnusableFeeAccount"):
        world.initialize_market(fee_account=where)
    for state in (0, 2):
        world.put_tokens(world.fee_account, CREDIT_MINT, world.fee_owner.pubkey(), 0, state=state)
        with refused(world, "UnusableFeeAccount"):
            world.initialize_market()


def test_the_fee_account_is_one_that_anyone_can_recreate() -> None:
    """Once an account of another kind is closed, its key alone makes it again: fees would wait till then."""
    world = TradingWorld(initialize=False)
    own = key("a token account of its own").pubkey()
    world.put_tokens(own, CREDIT_MINT, world.fee_owner.pubkey(), 0)
    with refused(world, "FeeAccountNotAssociated"):
        world.initialize_market(fee_account=own)
    world.put_tokens(world.fee_account, CREDIT_MINT, key("another owner").pubkey(), 0)
    with refused(world, "FeeAccountNotAssociated"):
        world.initialize_market()


def test_only_the_authority_names_another_fee_account(world: TradingWorld) -> None:
    member = world.member(deposit=False)
    world.put_config(authority=key("authority").pubkey())
    for accounts, error in (
        ({"authority": world.operator.pubkey()}, "NotAuthority"),
        ({"config": copy_of(world, CONFIG, "config")}, "WrongConfig"),
        ({"market": copy_of(world, MARKET, "market")}, "WrongMarket"),
        ({"fee_account": member.energy_account}, "UnusableFeeAccount"),
        ({"fee_account": CREDIT_VAULT}, "FeeAccountNotAssociated"),
    ):
        given = {"authority": key("authority").pubkey(), "fee_account": member.credit_account, **accounts}
        with refused(world, error):
            world.send(world.build("set_fee_account", {}, given))
    given = {"authority": key("authority").pubkey(), "fee_account": member.credit_account}
    instruction = world.build("set_fee_account", {}, given)
    with refused(world, "AuthorityMustSign"):
        world.send(unsigned(instruction, key("authority").pubkey()))
    world.send(instruction)


def test_nothing_works_without_a_market() -> None:
    world = TradingWorld(initialize=False)
    with refused(world, "MarketNotInitialized"):
        world.send(world.grow_book_instruction(0))
    with refused(world, "MarketNotInitialized"):
        world.send(world.open_instruction(EPOCH))
    with refused(world, "MarketNotInitialized"):
        world.send(world.grow_seats_instruction())
    with refused(world, "MarketNotInitialized"):
        world.clear()
    with refused(world, "MarketNotInitialized"):
        world.deposit(world.member(deposit=False), ENERGY, 1)


# Growing


def test_a_book_grows_at_its_slot_and_no_further(world: TradingWorld) -> None:
    for slot in (BOOKS, 255):
        with refused(world, "UnknownSlot"):
            world.send(world.grow_book_instruction(slot))
    with refused(world, "WrongBook"):
        world.send(world.grow_book_instruction(1, book=book_address(2)))
    with refused(world, "BookAlreadyGrown"):
        world.send(world.grow_book_instruction(EPOCH % BOOKS))
    with refused(world, "WrongBook"):
        world.send(world.grow_book_instruction((EPOCH + 1) % BOOKS, book=book_address(EPOCH)))
    with refused(world, "WrongBook"):
        world.send(world.grow_book_instruction(1, book=MARKET))
    with refused(world, "WrongMarket"):
        world.send(world.grow_book_instruction(1, market=copy_of(world, MARKET, "market")))
    with refused(world, "WrongSystemProgram"):
        world.send(world.grow_book_instruction(1, system_program=TOKEN))
    with refused(world, "PayerMustSign"):
        world.send(unsigned(world.grow_book_instruction(1), world.operator.pubkey()))


def test_only_a_book_of_the_program_grows(world: TradingWorld) -> None:
    world.send(world.grow_book_instruction(1))
    for owner, data in ((TOKEN, world.data(book_address(1))), (idl("trading").program_id, bytes(STEP))):
        where = key("look-alike").pubkey()
        world.put(where, owner, data)
        with refused(world, "WrongBook"):
            world.send(world.grow_book_instruction(1, book=where))


def test_a_book_that_grows_is_not_used(world: TradingWorld) -> None:
    member = world.member()
    world.send(world.grow_book_instruction((EPOCH + 1) % BOOKS))
    assert world.book(EPOCH + 1).status == GROWING
    for act in (
        lambda: world.send(world.open_instruction(EPOCH + 1)),
        lambda: world.place(member, ASK, 100_000, 100, epoch=EPOCH + 1),
        lambda: world.cancel(member, ASK, 100_000, 0, epoch=EPOCH + 1),
        lambda: world.clear(EPOCH + 1),
        lambda: world.refund(EPOCH + 1),
    ):
        with refused(world, "BookNotGrown"):
            act()


def test_a_damaged_book_does_not_grow(world: TradingWorld) -> None:
    for sent in (1, 2):
        slot = sent
        for _ in range(sent):
            world.send(world.grow_book_instruction(slot))
        data = bytearray(world.data(book_address(slot)))
        data[8] = 2
        world.put(book_address(slot), idl("trading").program_id, bytes(data))
        with refused(world, "BookInvariant"):
            world.send(world.grow_book_instruction(slot))


def test_a_book_says_that_it_is_growing_until_it_has_grown(world: TradingWorld) -> None:
    """Whatever its length: the status alone says that it is whole."""
    member = world.member()
    book = world.book()
    for status in (GROWING, VACANT):
        book.fields["status"] = status
        world.put_book(EPOCH, book)
        with refused(world, "BookNotOpen"):
            world.place(member, ASK, 100_000, 100)
        with refused(world, "BookNotOpen"):
            world.cancel(member, ASK, 100_000, 0)
        with refused(world, "BookNotOpen"):
            world.clear()
        with refused(world, "NotRefundable"):
            world.refund()
    book.fields |= {"status": GROWING}
    world.put_book(EPOCH, book)
    market = world.market() | {"latest_epoch": EPOCH - 1, "first_epoch": 0}
    world.put(MARKET, idl("trading").program_id, idl("trading").encode_account("Market", market))
    with refused(world, "BookNotGrown"):
        world.send(world.open_instruction(EPOCH))
    opening = world.open_instruction(EPOCH)
    data = bytearray(book.to_bytes())
    data[8 + 2] = 6  # the status
    world.put(book_address(EPOCH), idl("trading").program_id, bytes(data))
    for act in (world.clear, world.refund):
        with refused(world, "BookInvariant"):
            act()
    with refused(world, "BookInvariant"):
        world.send(opening)
    world.put_book(EPOCH, book)


def test_a_book_that_lacks_a_part_is_not_read_whatever_it_says(world: TradingWorld) -> None:
    """Its orders would lie beyond the account."""
    member = world.member()
    book = world.book()
    for status in (FINAL, OPEN):
        data = with_fields(book, status=status)[:STEP]
        world.put(book_address(EPOCH), idl("trading").program_id, data)
        world.set_time((EPOCH + BOOKS) * EPOCH_SECONDS)
        with refused(world, "BookNotGrown"):
            world.send(world.open_instruction(EPOCH + BOOKS))
        world.set_time(BEGIN)
        with refused(world, "BookNotGrown"):
            world.place(member, ASK, 100_000, 100)
    world.put_book(EPOCH, book)


def test_seats_grow_no_further_than_members_need(world: TradingWorld) -> None:
    with refused(world, "WrongRegistry"):
        world.send(world.grow_seats_instruction(registry=copy_of(world, programs.registry_address(), "registry")))
    with refused(world, "WrongSeats"):
        world.send(world.grow_seats_instruction(seats=copy_of(world, SEATS, "seats")))
    with refused(world, "WrongSystemProgram"):
        world.send(world.grow_seats_instruction(system_program=TOKEN))
    with refused(world, "PayerMustSign"):
        world.send(unsigned(world.grow_seats_instruction(), world.operator.pubkey()))
    world.put(programs.registry_address(), SYSTEM, b"")
    with refused(world, "RegistryNotInitialized"):
        world.send(world.grow_seats_instruction())
    world.put_registry(0)
    world.send(world.grow_seats_instruction())
    with refused(world, "SeatsSuffice"):
        world.send(world.grow_seats_instruction())
    world.put_registry(249)
    with refused(world, "SeatsSuffice"):
        world.send(world.grow_seats_instruction())
    world.put_registry(250)
    world.send(world.grow_seats_instruction())
    assert world.seats_head()["capacity"] == 750


def test_a_member_beyond_the_seats_waits_for_some(world: TradingWorld) -> None:
    member = world.member(deposit=False)
    world.update_member(member, member_index=250)
    for act in (
        lambda: world.deposit(member, ENERGY, 1),
        lambda: world.withdraw(member, ENERGY, 1),
        lambda: world.withdraw(member, ENERGY, 1, authority=world.issuer.pubkey()),
        lambda: world.set_payout(member, 1),
        lambda: world.place(member, ASK, 100_000, 100),
        lambda: credit_seat(world, ENERGY, 250, 0),
        lambda: burn_from_seat(world, 2**32 - 1, 1),
    ):
        with refused(world, "NoSeat"):
            act()
    world.send(world.grow_seats_instruction())
    world.deposit(member, ENERGY, 1)


# Opening a book


@pytest.mark.parametrize("epoch", [EPOCH + 2, EPOCH + BOOKS + 1, 2**32 - 1])
def test_only_the_current_and_the_next_book_open(world: TradingWorld, epoch: int) -> None:
    for slot in range(BOOKS):
        if not world.data(book_address(slot)):
            world.grow_book(slot)
    with refused(world, "EpochNotOpenable"):
        world.send(world.open_instruction(epoch))


def test_a_past_epoch_has_no_book_any_more(world: TradingWorld) -> None:
    world.grow_book((EPOCH + 1) % BOOKS)
    world.set_time(END + 2 * EPOCH_SECONDS)
    with refused(world, "EpochNotOpenable"):
        world.send(world.open_instruction(EPOCH + 1))


def test_nobody_opens_the_next_book_in_order_to_skip_the_current_one() -> None:
    world = TradingWorld()
    world.grow_book(EPOCH % BOOKS)
    world.grow_book((EPOCH + 1) % BOOKS)
    with refused(world, "EpochNotOpenable"):
        world.send(world.open_instruction(EPOCH + 1))
    world.send(world.open_instruction(EPOCH))
    world.send(world.open_instruction(EPOCH + 1))


def test_a_book_opens_once_at_its_place(world: TradingWorld) -> None:
    for epoch in (0, EPOCH - 1, EPOCH):
        if not world.data(book_address(epoch)):
            world.grow_book(epoch % BOOKS)
        with refused(world, "BookExists"):
            world.send(world.open_instruction(epoch))
    world.grow_book((EPOCH + 1) % BOOKS)
    world.grow_book((EPOCH + 2) % BOOKS)
    with refused(world, "WrongBook"):
        world.send(world.open_instruction(EPOCH + 1, book=book_address(EPOCH + 2)))
    with refused(world, "WrongBook"):
        world.send(world.open_instruction(EPOCH + 1, book=MARKET))
    with refused(world, "WrongMarket"):
        world.send(world.open_instruction(EPOCH + 1, market=copy_of(world, MARKET, "market")))


def test_a_book_opens_by_the_real_config(world: TradingWorld) -> None:
    world.grow_book((EPOCH + 1) % BOOKS)
    with refused(world, "WrongConfig"):
        world.send(world.open_instruction(EPOCH + 1, config=copy_of(world, CONFIG, "c")))
    world.set_time(END)
    with refused(world, "WrongConfig"):
        world.clear(config=copy_of(world, CONFIG, "config"))


def test_a_paused_market_opens_no_book(world: TradingWorld) -> None:
    world.grow_book((EPOCH + 1) % BOOKS)
    world.put_config(pause=PAUSE_ORDERS)
    with refused(world, "Paused"):
        world.send(world.open_instruction(EPOCH + 1))


def test_a_place_is_taken_when_its_last_book_is_final_and_pinned(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 100)
    world.place(buyer, BID, 100_000, 100)
    again = EPOCH + BOOKS
    world.set_time(again * EPOCH_SECONDS)
    pinned = world.put_checkpoint()
    with refused(world, "SlotOccupied"):
        world.send(world.open_instruction(again))
    world.clear(limit=1)
    world.put_checkpoint()
    with refused(world, "SlotOccupied"):
        world.send(world.open_instruction(again))
    before_the_end = world.book().hash()
    world.clear()
    for accounts, error in (
        ({"checkpoint": SYSTEM}, "WrongCheckpoint"),
        ({"checkpoint": CONFIG}, "WrongCheckpoint"),
        ({"checkpoint": copy_of(world, pinned, "another program's", TOKEN)}, "WrongCheckpoint"),
    ):
        with refused(world, error):
            world.send(world.open_instruction(again, **accounts))
    for wrong in (before_the_end, bytes(32)):
        world.put_checkpoint(book_hash=wrong)
        with refused(world, "BookHashMismatch"):
            world.send(world.open_instruction(again))
    other = world.put_checkpoint(EPOCH + 1, book_hash=world.book().hash())
    with refused(world, "WrongCheckpoint"):
        world.send(world.open_instruction(again, checkpoint=other))
    world.put_checkpoint()
    world.send(world.open_instruction(again))
    world.set_time((again + BOOKS) * EPOCH_SECONDS)
    with refused(world, "SlotOccupied"):
        world.send(world.open_instruction(again + BOOKS))


def test_a_refund_in_progress_keeps_its_place(world: TradingWorld) -> None:
    world.place(world.member(), ASK, 100_000, 100)
    world.set_time((EPOCH + BOOKS) * EPOCH_SECONDS)
    world.refund(limit=0)
    world.put_checkpoint()
    with refused(world, "SlotOccupied"):
        world.send(world.open_instruction(EPOCH + BOOKS))


# Seats


def test_only_the_wallet_or_its_delegate_brings_tokens(world: TradingWorld) -> None:
    delegate = key("delegate").pubkey()
    member, other = world.member(deposit=False, delegate=delegate, delegate_until=BEGIN + 100), world.member()
    with refused(world, "NotWalletOrDelegate"):
        world.deposit(member, ENERGY, 1, authority=other.wallet.pubkey())
    with refused(world, "MemberMustSign"):
        world.send(unsigned(world.deposit_instruction(member, ENERGY, 1), member.wallet.pubkey()))
    # A delegate takes from the member's own account alone, and only what was approved.
    world.put_tokens(other.energy_account, ENERGY_MINT, other.wallet.pubkey(), 500, delegate=MARKET)
    with refused(world, "WrongTokenAccount"):
        world.deposit(member, ENERGY, 1, authority=delegate, source=other.energy_account)
    with refused_by_spl_token(world):
        world.deposit(member, ENERGY, 1, authority=delegate)
    world.put_tokens(member.credit_account, CREDIT_MINT, member.wallet.pubkey(), 500, delegate=MARKET)
    with refused(world, "WrongTokenAccount"):
        world.deposit(member, CREDIT, 1, authority=delegate, source=other.credit_account)
    with refused_by_spl_token(world):
        world.deposit(member, CREDIT, 501, authority=delegate)
    world.deposit(member, CREDIT, 500, authority=delegate)
    world.set_time(BEGIN + 100)
    with refused(world, "DelegationExpired"):
        world.deposit(member, CREDIT, 1, authority=delegate)


def test_deposits_that_make_no_sense_are_refused(world: TradingWorld) -> None:
    member = world.member(energy=100, deposit=False)
    for asset in (2, 255):
        with refused(world, "UnknownAsset"):
            world.deposit(member, asset, 1)
    with refused(world, "ZeroAmount"):
        world.deposit(member, ENERGY, 0)
    with refused_by_spl_token(world):
        world.deposit(member, ENERGY, 101)
    with refused_by_spl_token(world):
        world.deposit(member, ENERGY, 1, source=member.credit_account)
    for account, error in (
        ("market", "WrongMarket"),
        ("seats", "WrongSeats"),
        ("vault", "WrongVault"),
        ("user", "NotAUser"),
        ("token_program", "WrongTokenProgram"),
    ):
        with refused(world, error):
            world.deposit(member, ENERGY, 1, **{account: key("other").pubkey()})
    for asset, vault in ((ENERGY, CREDIT_VAULT), (CREDIT, ENERGY_VAULT)):
        with refused(world, "WrongVault"):
            world.deposit(member, asset, 1, vault=vault)


def test_a_seat_gives_what_is_free_and_no_more(world: TradingWorld) -> None:
    member = world.member(energy=1_000, credits_=20_000)
    other = world.member()
    assert other.index == 1
    world.place(member, ASK, 100_000, 400)
    world.place(member, BID, 60_000, 100)
    with refused(world, "NotEnoughEnergy"):
        world.withdraw(member, ENERGY, 601)
    with refused(world, "NotEnoughCredit"):
        world.withdraw(member, CREDIT, 12_001)
    world.withdraw(member, ENERGY, 600)
    world.withdraw(member, CREDIT, 12_000)
    with refused(world, "NotEnoughEnergy"):
        world.place(member, ASK, 100_000, 10)
    with refused(world, "NotEnoughCredit"):
        world.place(member, BID, 60_000, 10)


def test_withdrawals_that_make_no_sense_are_refused(world: TradingWorld) -> None:
    member = world.member(energy=100)
    with refused(world, "UnknownAsset"):
        world.withdraw(member, 2, 1)
    with refused(world, "ZeroAmount"):
        world.withdraw(member, ENERGY, 0)
    with refused_by_spl_token(world):
        world.withdraw(member, ENERGY, 1, destination=member.credit_account)
    for account, error in (
        ("market", "WrongMarket"),
        ("seats", "WrongSeats"),
        ("vault", "WrongVault"),
        ("user", "NotAUser"),
        ("token_program", "WrongTokenProgram"),
    ):
        with refused(world, error):
            world.withdraw(member, ENERGY, 1, **{account: key("other").pubkey()})
    with refused(world, "WrongVault"):
        world.withdraw(member, ENERGY, 1, vault=CREDIT_VAULT, destination=member.credit_account)
    with refused(world, "WithdrawToVault"):
        world.withdraw(member, ENERGY, 1, destination=ENERGY_VAULT)


def test_others_pay_out_only_what_was_allowed_and_only_to_the_member(world: TradingWorld) -> None:
    delegate, stranger = key("delegate").pubkey(), world.issuer.pubkey()
    member, other = world.member(energy=100, delegate=delegate, delegate_until=BEGIN + 100), world.member()
    with refused(world, "NotWalletOrDelegate"):
        world.withdraw(member, ENERGY, 1, authority=stranger)
    world.set_payout(member, 2)
    with refused(world, "NotWalletOrDelegate"):
        world.withdraw(member, ENERGY, 1, authority=stranger)
    world.set_payout(member, 3)
    for authority in (stranger, delegate):
        for asset, theirs in ((ENERGY, other.energy_account), (CREDIT, other.credit_account)):
            with refused(world, "WrongTokenAccount"):
                world.withdraw(member, asset, 1, authority=authority, destination=theirs)
    unsigned_wallet = unsigned(world.withdraw_instruction(member, ENERGY, 1), member.wallet.pubkey())
    with refused(world, "MemberMustSign"):
        world.send(unsigned_wallet)
    for owner, state, mint in (
        (key("thief").pubkey(), 1, ENERGY_MINT),
        (member.wallet.pubkey(), 2, ENERGY_MINT),
        (member.wallet.pubkey(), 0, ENERGY_MINT),
        (member.wallet.pubkey(), 1, CREDIT_MINT),
    ):
        world.token_accounts[member.energy_account] = mint
        world.put_tokens(member.energy_account, mint, owner, 0, state=state)
        for authority in (stranger, delegate):
            with refused(world, "UnusableTokenAccount"):
                world.withdraw(member, ENERGY, 1, authority=authority)
    world.put(member.energy_account, SYSTEM, b"", 0)
    with refused(world, "UnusableTokenAccount"):
        world.withdraw(member, ENERGY, 1, authority=stranger)
    world.token_accounts[member.energy_account] = ENERGY_MINT
    world.put_tokens(member.energy_account, ENERGY_MINT, member.wallet.pubkey(), 0)
    world.withdraw(member, ENERGY, 1, authority=stranger)
    world.set_payout(member, 0)
    world.set_time(BEGIN + 100)
    with refused(world, "DelegationExpired"):
        world.withdraw(member, ENERGY, 1, authority=delegate)


def test_the_member_or_its_delegate_allows_the_payout(world: TradingWorld) -> None:
    member, other = world.member(), world.member()
    for assets in (4, 7, 255):
        with refused(world, "UnknownPayout"):
            world.set_payout(member, assets)
    with refused(world, "NotWalletOrDelegate"):
        world.set_payout(member, 1, authority=other.wallet.pubkey())
    with refused(world, "NotAUser"):
        world.set_payout(member, 1, user=CONFIG)
    with refused(world, "WrongSeats"):
        world.set_payout(member, 1, seats=copy_of(world, SEATS, "seats"))
    accounts = {"authority": member.wallet.pubkey(), "user": member.user}
    with refused(world, "MemberMustSign"):
        world.send(unsigned(world.build("set_payout", {"assets": 1}, accounts), member.wallet.pubkey()))


# What the energy token program alone may do


def credit_seat(world: TradingWorld, asset: int, member: int, amount: int, **accounts: Pubkey) -> None:
    """As the energy token program calls it after a minting."""
    given = {"vault": ENERGY_VAULT if asset == ENERGY else CREDIT_VAULT, **accounts}
    world.send(world.build("credit_seat", {"asset": asset, "member": member, "amount": amount}, given))


def burn_from_seat(world: TradingWorld, member: int, amount: int, **accounts: Pubkey) -> None:
    """As the energy token program calls it in a retirement."""
    world.send(world.build("burn_from_seat", {"member": member, "amount": amount}, accounts))


def test_the_energy_token_program_alone_puts_into_a_seat_what_is_in_the_vault(world: TradingWorld) -> None:
    member = world.member(energy=500, credits_=500)
    for account, error in (("mint_authority", "NotTheEnergyToken"), ("seats", "WrongSeats"), ("vault", "WrongVault")):
        with refused(world, error):
            credit_seat(world, ENERGY, member.index, 0, **{account: key("other").pubkey()})
    with refused(world, "WrongVault"):
        credit_seat(world, ENERGY, member.index, 0, vault=CREDIT_VAULT)
    with refused(world, "UnknownAsset"):
        credit_seat(world, 2, member.index, 0)
    args = {"asset": ENERGY, "member": member.index, "amount": 0}
    made = world.build("credit_seat", args, {"vault": ENERGY_VAULT})
    with refused(world, "EnergyTokenMustSign"):
        world.send(unsigned(made, MINT_AUTHORITY))
    for asset, vault, mint in ((ENERGY, ENERGY_VAULT, ENERGY_MINT), (CREDIT, CREDIT_VAULT, CREDIT_MINT)):
        with refused(world, "VaultShort"):
            credit_seat(world, asset, member.index, 1)
        world.put_tokens(vault, mint, MARKET, 510)
        with refused(world, "VaultShort"):
            credit_seat(world, asset, member.index, 11)
        credit_seat(world, asset, member.index, 10)
    assert (world.seat(member).energy, world.seat(member).credit) == (510, 510)
    with refused(world, "SeatsInvariant"):
        credit_seat(world, CREDIT, member.index, 2**64 - 100)


def test_the_energy_token_program_alone_burns_out_of_a_seat(world: TradingWorld) -> None:
    member, other = world.member(energy=500), world.member()
    world.place(member, ASK, 100_000, 100)
    for name, error in (
        ("mint_authority", "NotTheEnergyToken"),
        ("market", "WrongMarket"),
        ("seats", "WrongSeats"),
        ("energy_mint", "WrongMint"),
        ("energy_vault", "WrongVault"),
        ("token_program", "WrongTokenProgram"),
    ):
        with refused(world, error):
            burn_from_seat(world, member.index, 100, **{name: key("other").pubkey()})
    made = world.build("burn_from_seat", {"member": member.index, "amount": 100}, {})
    with refused(world, "EnergyTokenMustSign"):
        world.send(unsigned(made, MINT_AUTHORITY))
    with refused(world, "NotEnoughEnergy"):
        burn_from_seat(world, member.index, 401)
    burn_from_seat(world, member.index, 400)
    world.supply[ENERGY_MINT] -= 400
    assert (world.seat(member).energy, world.seat(other).energy) == (0, 10_000_000)


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
    for number, (price, quantity) in enumerate(((50_000, 10), (300_000, 10), (100_000, 1_000_000))):
        world.place(member, side, price, quantity)
        world.cancel(member, side, price, number)


def test_orders_are_taken_during_the_epoch_and_until_the_cut_off(world: TradingWorld) -> None:
    member = world.member()
    world.open(EPOCH + 1)
    with refused(world, "EpochNotBegun"):
        world.place(member, ASK, 100_000, 100, epoch=EPOCH + 1)
    world.set_time(BEGIN - 1)
    with refused(world, "EpochNotBegun"):
        world.place(member, ASK, 100_000, 100)
    world.set_time(END - 61)
    world.place(member, ASK, 100_000, 100)
    for time in (END - 60, END - 1, END, END + 8 * EPOCH_SECONDS):
        world.set_time(time)
        with refused(world, "AfterCutoff"):
            world.place(member, ASK, 100_000, 100)
    world.clear(limit=0)
    for _ in range(2):
        with refused(world, "BookNotOpen"):
            world.place(member, ASK, 100_000, 100)
        with refused(world, "BookNotOpen"):
            world.cancel(member, ASK, 100_000, 0)
        if world.book().fields["paid"] == 0:
            world.clear()


def test_an_order_names_the_epoch_that_it_is_for(world: TradingWorld) -> None:
    """A book's account serves one epoch after another: no order lands in another's."""
    member = world.member()
    for epoch in (0, EPOCH - BOOKS, EPOCH + BOOKS):
        accounts = {"book": book_address(EPOCH)}
        with refused(world, "WrongBook"):
            world.place(member, ASK, 100_000, 100, epoch=epoch, **accounts)
        with refused(world, "WrongBook"):
            world.cancel(member, ASK, 100_000, 0, epoch=epoch, **accounts)
        with refused(world, "WrongBook"):
            world.clear(epoch, **accounts)
        with refused(world, "WrongBook"):
            world.refund(epoch, **accounts)


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
    last = 100 if do == "place" else 0
    act: Callable[..., object] = getattr(world, do)
    with refused(world, "NotWalletOrDelegate"):
        act(member, ASK, 100_000, last, authority=other.wallet.pubkey())
    world.set_time(BEGIN + 100)
    with refused(world, "DelegationExpired"):
        act(member, ASK, 100_000, last, authority=delegate)
    world.update_member(member, delegate=Pubkey.default())
    with refused(world, "NotWalletOrDelegate"):
        act(member, ASK, 100_000, last, authority=Pubkey.default())


def test_a_member_has_so_many_orders_and_no_more(world: TradingWorld) -> None:
    member = world.member()
    for number in range(4):
        world.place(member, ASK, 200_000 + number, 100)
        world.place(member, BID, 100_000 + number, 100)
    for side, price in ((ASK, 250_000), (BID, 60_000)):
        with refused(world, "TooManyOrders"):
            world.place(member, side, price, 100)
    world.cancel(member, BID, 100_000, 1)
    world.place(member, ASK, 250_000, 100)
    with refused(world, "TooManyOrders"):
        world.place(member, BID, 60_000, 100)
    # The next epoch's book counts anew.
    world.open(EPOCH + 1)
    world.set_time(END)
    world.place(member, BID, 60_000, 100, epoch=EPOCH + 1)


@pytest.mark.parametrize(("bid", "crosses"), [(199_999, False), (200_000, True), (200_001, True)])
def test_no_member_trades_with_itself(world: TradingWorld, bid: int, crosses: bool) -> None:
    member, other = world.member(), world.member()
    world.place(other, ASK, 100_000, 100)
    world.place(member, ASK, 200_000, 100)
    if crosses:
        with refused(world, "CrossesOwnOrder"):
            world.place(member, BID, bid, 100)
        world.cancel(member, ASK, 200_000, 1)
        world.place(member, BID, bid, 100)
        with refused(world, "CrossesOwnOrder"):
            world.place(member, ASK, 200_000, 100)
    else:
        world.place(member, BID, bid, 100)


def test_an_order_that_was_taken_back_bars_no_other(world: TradingWorld) -> None:
    """The seat remembers the best price that the member had: what it no longer has is seen in the book."""
    member, other, third = world.member(), world.member(), world.member()
    for price in (100_000, 250_000):
        world.place(member, ASK, price, 100)
    world.place(other, ASK, 110_000, 100)
    world.cancel(member, ASK, 100_000, 0)
    world.place(member, BID, 120_000, 100)
    with refused(world, "CrossesOwnOrder"):
        world.place(member, BID, 250_000, 100)
    for price in (130_000, 90_000):
        world.place(third, BID, price, 100)
    world.cancel(member, BID, 120_000, 3)
    world.place(member, BID, 60_000, 100)
    world.place(member, ASK, 80_000, 100)
    with refused(world, "CrossesOwnOrder"):
        world.place(member, ASK, 60_000, 100)


@pytest.mark.parametrize(("side", "no_better", "better"), [(ASK, 100_000, 99_999), (BID, 100_000, 100_001)])
def test_only_a_better_order_enters_a_full_side(world: TradingWorld, side: int, no_better: int, better: int) -> None:
    owner, newcomer = world.member(), world.member()
    orders = [Order(100_000, number, 100, 0, owner.index) for number in range(512)]
    world.fill_book(*((orders, []) if side == BID else ([], orders)))
    with refused(world, "BookFull"):
        world.place(newcomer, side, no_better, 100)
    world.place(newcomer, side, better, 100)
    book = world.book()
    kept = (book.bids, book.asks)[side]
    assert kept == [Order(better, 512, 100, 0, newcomer.index), *orders[:511]]


# Cancelling


def test_a_cancel_names_an_order_of_the_member(world: TradingWorld) -> None:
    member, other = world.member(), world.member()
    for owner in (member, other, member):
        world.place(owner, ASK, 100_000, 100)
    for side, price, number in ((BID, 100_000, 0), (ASK, 100_001, 0), (ASK, 99_999, 0), (ASK, 100_000, 3)):
        with refused(world, "NoSuchOrder"):
            world.cancel(member, side, price, number)
    with refused(world, "OrderOfAnotherMember"):
        world.cancel(member, ASK, 100_000, 1)
    with refused(world, "UnknownSide"):
        world.cancel(member, 2, 100_000, 0)
    world.cancel(member, ASK, 100_000, 0)
    with refused(world, "NoSuchOrder"):
        world.cancel(member, ASK, 100_000, 0)


def test_no_cancelling_in_the_last_seconds(world: TradingWorld) -> None:
    member = world.member()
    for _ in range(2):
        world.place(member, ASK, 100_000, 100)
    world.set_time(END - 61)
    world.cancel(member, ASK, 100_000, 0)
    for time in (END - 60, END - 1, END, END + 8 * EPOCH_SECONDS):
        world.set_time(time)
        with refused(world, "AfterCutoff"):
            world.cancel(member, ASK, 100_000, 1)


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
    world.clear(limit=0)
    world.put_config(pause=PAUSE_CLEARING)
    with refused(world, "Paused"):
        world.clear()
    world.put_config()
    world.clear()
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
    world.refund(limit=0)
    for _ in range(2):
        with refused(world, "AlreadyCleared"):
            world.clear()
        if world.book().fields["paid"] == 0:
            world.refund()
    with refused(world, "NotRefundable"):
        world.refund()
    world.open(EPOCH + 9)
    world.set_time(END + 9 * EPOCH_SECONDS)
    world.clear(EPOCH + 9)
    world.set_time(END + 99 * EPOCH_SECONDS)
    with refused(world, "NotRefundable"):
        world.refund(EPOCH + 9)


def test_a_clearing_in_progress_is_not_refunded(world: TradingWorld) -> None:
    world.place(world.member(), ASK, 100_000, 100)
    world.set_time(END)
    world.clear(limit=0)
    world.set_time(END + 8 * EPOCH_SECONDS)
    with refused(world, "NotRefundable"):
        world.refund()
    world.clear()


def test_fees_go_to_the_fee_account_once(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    with refused(world, "NoFees"):
        world.withdraw_fees()
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 100_000, 1_000)
    world.set_time(END)
    world.clear()
    for account, error in (
        ("market", "WrongMarket"),
        ("seats", "WrongSeats"),
        ("credit_vault", "WrongVault"),
        ("fee_account", "WrongFeeAccount"),
        ("token_program", "WrongTokenProgram"),
    ):
        with refused(world, error):
            world.withdraw_fees(**{account: key("other").pubkey()})
    with refused(world, "WrongFeeAccount"):
        world.withdraw_fees(fee_account=buyer.credit_account)
    world.put(world.fee_account, SYSTEM, b"", 0)
    with refused_by_spl_token(world):
        world.withdraw_fees()
    world.put_tokens(world.fee_account, CREDIT_MINT, world.fee_owner.pubkey(), 0)
    world.withdraw_fees()
    with refused(world, "NoFees"):
        world.withdraw_fees()


# Look-alikes


def test_look_alike_accounts(world: TradingWorld) -> None:
    member, other = world.member(), world.member()
    world.place(other, ASK, 100_000, 100)
    for owner in (None, TOKEN):
        config = copy_of(world, CONFIG, "config", owner)
        with refused(world, "WrongConfig"):
            world.place(member, ASK, 100_000, 100, config=config)
        seats = copy_of(world, SEATS, "seats", owner)
        for act in (
            lambda seats=seats: world.place(member, ASK, 100_000, 100, seats=seats),
            lambda seats=seats: world.cancel(other, ASK, 100_000, 0, seats=seats),
            lambda seats=seats: world.clear(seats=seats),
            lambda seats=seats: world.refund(seats=seats),
        ):
            with refused(world, "WrongSeats"):
                act()
        market = copy_of(world, MARKET, "market", owner)
        for act in (
            lambda market=market: world.clear(market=market),
            lambda market=market: world.refund(market=market),
        ):
            with refused(world, "WrongMarket"):
                act()
    foreign = copy_of(world, member.user, "user", idl("trading").program_id)
    for user in (foreign, CONFIG):
        with refused(world, "NotAUser"):
            world.place(member, ASK, 100_000, 100, user=user)
        with refused(world, "NotAUser"):
            world.cancel(other, ASK, 100_000, 0, user=user)
    foreign = copy_of(world, book_address(EPOCH), "book", TOKEN)
    world.open(EPOCH + 1)
    for book in (foreign, other.user, book_address(EPOCH + 1)):
        with refused(world, "WrongBook"):
            world.place(member, ASK, 100_000, 100, book=book)
        with refused(world, "WrongBook"):
            world.cancel(other, ASK, 100_000, 0, book=book)


def test_signatures_are_demanded(world: TradingWorld) -> None:
    member = world.member()
    who = member.wallet.pubkey()
    with refused(world, "MemberMustSign"):
        world.send(unsigned(world.place_instruction(member, ASK, 100_000, 100), who))
    world.place(member, ASK, 100_000, 100)
    with refused(world, "MemberMustSign"):
        world.send(unsigned(world.cancel_instruction(member, ASK, 100_000, 0), who))


@pytest.mark.finding("chain-11")
def test_one_account_given_twice_is_refused_by_name(world: TradingWorld) -> None:
    """Every pair of accounts of every instruction: given twice, the refusal says which of the two is wrong."""
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 100_000, 1_000)
    world.set_time(END)
    world.clear()
    world.set_time(BEGIN + 1)
    world.put_registry(250)
    instructions = [
        world.grow_book_instruction((EPOCH + 1) % BOOKS),
        world.grow_seats_instruction(),
        world.open_instruction(EPOCH + 1),
        world.build("set_fee_account", {}, {"authority": world.operator.pubkey(), "fee_account": world.fee_account}),
        world.deposit_instruction(seller, ENERGY, 1),
        world.withdraw_instruction(seller, ENERGY, 1),
        world.build("set_payout", {"assets": 1}, {"authority": seller.wallet.pubkey(), "user": seller.user}),
        world.place_instruction(seller, ASK, 100_000, 100),
        world.cancel_instruction(seller, ASK, 100_000, 0),
        world.clear_instruction(),
        world.build("refund_epoch", {"epoch": EPOCH, "limit": 1}, {"book": book_address(EPOCH)}),
        world.build("withdraw_fees", {}, {"fee_account": world.fee_account}),
        world.build("credit_seat", {"asset": 0, "member": 0, "amount": 1}, {"vault": ENERGY_VAULT}),
        world.build("burn_from_seat", {"member": 0, "amount": 1}, {}),
    ]
    refusals = []
    for instruction in instructions:
        metas = instruction.accounts
        for first in range(len(metas)):
            for second in range(len(metas)):
                if first == second or not (metas[first].is_writable or metas[second].is_writable):
                    continue
                given = list(metas)
                given[second] = AccountMeta(metas[first].pubkey, metas[second].is_signer, metas[second].is_writable)
                try:
                    world.send(Instruction(instruction.program_id, instruction.data, given))
                except Refusal as refusal:
                    refusals.append((refusal.name, first, second, str(refusal)))
    assert len(refusals) > 150
    assert [found for found in refusals if found[0] == "ConstraintDuplicateMutableAccount"] == []


# Self-checks: states that no instruction leaves behind


def test_a_damaged_book_is_not_built_upon(world: TradingWorld) -> None:
    member = world.member()
    world.place(member, ASK, 100_000, 100)
    good = world.book()
    for damage in (
        {"energy_locked": 99},
        {"credit_locked": 1},
        {"ask_count": 513},
        {"bid_count": 513},
        {"ask_quantity": 2**32 - 50},
        {"bid_quantity": 1},
        {"version": 2},
        {"paid": 1},
        {"next_number": 2**32 - 1},
    ):
        world.put(book_address(EPOCH), idl("trading").program_id, with_fields(good, **damage))
        with refused(world, "BookInvariant"):
            world.place(member, ASK, 110_000, 100)
        world.put_book(EPOCH, good)


def test_a_side_with_more_orders_than_it_holds_is_not_built_upon() -> None:
    world = TradingWorld(orders_per_side=2)
    world.open()
    member = world.member()
    world.place(member, ASK, 100_000, 100)
    good = world.book()
    for count, act in (
        (3, lambda: world.place(member, ASK, 90_000, 100)),
        (3, lambda: world.cancel(member, ASK, 100_000, 0)),
    ):
        book = with_fields(good, ask_count=count)
        world.put(book_address(EPOCH), idl("trading").program_id, book)
        with refused(world, "BookInvariant"):
            act()
    world.put_book(EPOCH, good)


def test_an_unsorted_book_is_not_cleared(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 100)
    world.place(seller, ASK, 200_000, 100)
    world.place(buyer, BID, 250_000, 150)
    book = world.book()
    book.asks.reverse()
    world.put_book(EPOCH, book)
    world.set_time(END)
    with refused(world, "UnfairClearing"):
        world.clear()


def test_no_book_pays_more_than_it_has_locked(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 100)
    world.place(buyer, BID, 100_000, 100)
    good = world.book()
    for name, cancel in (
        ("energy_locked", lambda: world.cancel(seller, ASK, 100_000, 0)),
        ("credit_locked", lambda: world.cancel(buyer, BID, 100_000, 1)),
    ):
        world.put(book_address(EPOCH), idl("trading").program_id, with_fields(good, **{name: 1}))
        with refused(world, "LockedShort"):
            cancel()
    world.put_book(EPOCH, good)
    world.set_time(END)
    world.clear(limit=0)
    good = world.book()
    for name in ("energy_locked", "credit_locked"):
        world.put(book_address(EPOCH), idl("trading").program_id, with_fields(good, **{name: 1}))
        with refused(world, "LockedShort"):
            world.clear()
    # Energy that no order accounts for would be lost: the book is not final with it.
    world.put(book_address(EPOCH), idl("trading").program_id, with_fields(good, energy_locked=101))
    with refused(world, "BookInvariant"):
        world.clear()
    # A cursor beyond the orders pays nobody.
    world.put(book_address(EPOCH), idl("trading").program_id, with_fields(good, paid=3))
    with refused(world, "BookInvariant"):
        world.clear()
    world.put_book(EPOCH, good)


def test_a_full_sides_worst_order_gives_back_what_is_there() -> None:
    world = TradingWorld(orders_per_side=1)
    world.open()
    one, two = world.member(), world.member()
    world.place(one, BID, 100_000, 100)
    good = world.book()
    world.put(book_address(EPOCH), idl("trading").program_id, with_fields(good, credit_locked=2**64 - 1))
    with refused(world, "BookInvariant"):
        world.place(two, BID, 110_000, 100)
    world.put_book(EPOCH, good)
    seats = world.seats()
    seats[one.index].bids = 0
    world.put_seats(seats)
    with refused(world, "SeatsInvariant"):
        world.place(two, BID, 110_000, 100)
    with refused(world, "SeatsInvariant"):
        world.cancel(one, BID, 100_000, 0)
    seats[one.index].bids = 1
    seats[one.index].epoch = EPOCH - 1
    world.put_seats(seats)
    with refused(world, "SeatsInvariant"):
        world.place(two, BID, 110_000, 100)


def test_every_instruction_that_changes_a_book_checks_it_last(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    world.place(seller, ASK, 100_000, 100)
    world.place(buyer, BID, 100_000, 100)

    def damaged(act: Callable[[], object], **damage: int) -> None:
        good = world.book()
        world.put(book_address(EPOCH), idl("trading").program_id, with_fields(good, **(damage or {"version": 2})))
        with refused(world, "BookInvariant"):
            act()
        world.put_book(EPOCH, good)

    damaged(lambda: world.place(seller, ASK, 110_000, 100))
    damaged(lambda: world.cancel(seller, ASK, 100_000, 0))
    world.set_time(END + 8 * EPOCH_SECONDS)
    damaged(world.clear)
    damaged(world.refund)
    world.clear(limit=0)
    damaged(lambda: world.clear(limit=1))
    damaged(lambda: world.clear(limit=0), volume=101)
    world.clear()
    world.put_checkpoint()
    world.set_time((EPOCH + BOOKS) * EPOCH_SECONDS)
    # The version is the head's first byte: pinned with it, so that nothing but the invariant is wrong.
    good = world.book()
    world.put(book_address(EPOCH), idl("trading").program_id, with_fields(good, version=2))
    world.put_checkpoint()
    with refused(world, "BookInvariant"):
        world.send(world.open_instruction(EPOCH + BOOKS))
    world.put_book(EPOCH, good)


def test_a_damaged_market_is_not_built_upon(world: TradingWorld) -> None:
    good = world.data(MARKET)
    authority = {"authority": world.operator.pubkey(), "fee_account": world.fee_account}
    world.grow_book((EPOCH + 1) % BOOKS)
    for damage in (
        {"version": 2},
        {"bump": 1},
        {"orders_per_side": 0},
        {"orders_per_side": 4_097},
        {"reference_price": 0},
        {"turnover": 1},
        {"first_epoch": EPOCH + 2},
        {"reference_epoch": EPOCH + 1},
    ):
        fields = idl("trading").decode_account(good)[1] | damage
        world.put(MARKET, idl("trading").program_id, idl("trading").encode_account("Market", fields))
        for time, act in (
            (BEGIN, lambda: world.send(world.open_instruction(EPOCH + 1))),
            (BEGIN, lambda: world.send(world.build("set_fee_account", {}, authority))),
            (END, world.clear),
            (END + 8 * EPOCH_SECONDS, world.refund),
        ):
            world.set_time(time)
            with refused(world, "MarketInvariant"):
                act()
    fields = idl("trading").decode_account(good)[1] | {"settled_epoch": EPOCH + 1}
    world.put(MARKET, idl("trading").program_id, idl("trading").encode_account("Market", fields))
    with refused(world, "MarketInvariant"):
        world.send(world.build("set_fee_account", {}, authority))
    world.put(MARKET, idl("trading").program_id, good)


def test_damaged_seats_are_not_built_upon(world: TradingWorld) -> None:
    seller, buyer = world.member(), world.member()
    third = world.member(energy=0, credits_=0)
    world.put_tokens(third.energy_account, ENERGY_MINT, third.wallet.pubkey(), 10)
    world.place(seller, ASK, 100_000, 1_000)
    world.place(buyer, BID, 100_000, 1_000)
    good = world.data(SEATS)
    head = world.seats_head()

    def acts() -> Iterator[tuple[int, Callable[[], object]]]:
        yield BEGIN, lambda: world.deposit(third, ENERGY, 1)
        yield BEGIN, lambda: world.withdraw(seller, ENERGY, 1)
        yield BEGIN, lambda: world.set_payout(seller, 1)
        yield BEGIN, lambda: world.place(seller, ASK, 110_000, 100)
        yield BEGIN, lambda: world.cancel(seller, ASK, 100_000, 0)
        yield BEGIN, lambda: credit_seat(world, ENERGY, 0, 0)
        yield BEGIN, lambda: burn_from_seat(world, 0, 1)
        yield BEGIN, lambda: world.send(world.grow_seats_instruction())
        yield END, world.clear
        yield END + 8 * EPOCH_SECONDS, world.refund

    for damage in ({"version": 2}, {"bump": 1}, {"fees": 2**64 - 1}):
        data = bytearray(good)
        encoded = idl("trading").encode_account("Seats", head | damage)
        data[: len(encoded)] = encoded
        world.put(SEATS, idl("trading").program_id, bytes(data))
        for time, act in acts():
            world.set_time(time)
            with refused(world, "SeatsInvariant"):
                act()
    for damage in ({"version": 2, "fees": 5}, {"bump": 2, "fees": 5}):
        data = bytearray(good)
        encoded = idl("trading").encode_account("Seats", head | damage)
        data[: len(encoded)] = encoded
        world.put(SEATS, idl("trading").program_id, bytes(data))
        with refused(world, "SeatsInvariant"):
            world.withdraw_fees()
    # More seats than the account has room for.
    encoded = idl("trading").encode_account("Seats", head | {"capacity": 251})
    world.put(SEATS, idl("trading").program_id, encoded + good[len(encoded) :])
    with refused(world, "SeatsInvariant"):
        world.set_payout(seller, 1)
    # A vault that owes less than a seat holds.
    for name, asset in (("energy_held", ENERGY), ("credit_held", CREDIT)):
        encoded = idl("trading").encode_account("Seats", head | {name: 0})
        world.put(SEATS, idl("trading").program_id, encoded + good[len(encoded) :])
        with refused(world, "SeatsInvariant"):
            world.withdraw(seller, asset, 1)
    world.put(SEATS, idl("trading").program_id, good)


def test_every_error_is_met() -> None:
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    unmet = [
        item.name for item in idl("trading").errors.values() if not any(f'"{item.name}"' in text for text in texts)
    ]
    assert unmet == []


def test_members_are_told_apart_by_their_index(world: TradingWorld) -> None:
    """A User's index is its seat: another member's wallet reaches none but its own."""
    one, two = world.member(energy=100), world.member(energy=200)
    assert isinstance(one, Member)
    with refused(world, "NotWalletOrDelegate"):
        world.withdraw(one, ENERGY, 1, authority=two.wallet.pubkey(), destination=two.energy_account)
    with refused(world, "NotEnoughEnergy"):
        world.withdraw(one, ENERGY, 101)
