"""oracle.trigger_clearing and checkpoint_epoch."""

from __future__ import annotations

import hashlib

import pytest
from campus import EPOCH_SECONDS, PAUSE_CLEARING, START, SUSPENDED, Campus, Outcome, Refusal, idl, key
from market_accounts import CLEARING, FINAL, GROWING, OPEN, REFUNDING, VACANT, Book, Order, head_size
from solders.pubkey import Pubkey

from authority.chain import programs

EPOCH = START // EPOCH_SECONDS


@pytest.fixture
def opened(campus: Campus) -> Campus:
    """A campus with one meter, so that the Oracle account exists."""
    campus.add_meter(campus.register_user("alice"), "pv", "building", "solar")
    return campus


def checkpoint(campus: Campus, epoch: int, log_size: int = 10, **accounts: Pubkey) -> Outcome:
    return pin(campus, epoch, bytes(32), log_size, **accounts)


def pin(campus: Campus, epoch: int, book_hash: bytes, log_size: int = 10, **accounts: Pubkey) -> Outcome:
    args = {"epoch": epoch, "log_size": log_size, "log_root": b"\1" * 32, "book_hash": book_hash}
    named = {
        "operator": campus.operator.pubkey(),
        "checkpoint": programs.checkpoint_address(epoch),
        "book": programs.book_address(epoch),
    }
    return campus.send(campus.instruction("oracle", "checkpoint_epoch", args, named | accounts))


def test_a_checkpoint_pins_log_and_totals(opened: Campus) -> None:
    opened.set_time(opened.boundary(1))
    event = checkpoint(opened, EPOCH).event("Checkpointed")
    found = opened.account("oracle", programs.checkpoint_address(EPOCH))
    assert (found["epoch"], found["log_size"]) == (EPOCH, 10)
    assert (found["log_root"], found["book_hash"]) == (b"\1" * 32, bytes(32))
    assert (found["minted"], found["energy_supply"], found["credit_supply"]) == (0, 0, 0)
    assert found["time"] == opened.boundary(1)
    assert event["log_root"] == b"\1" * 32


def test_a_checkpoint_counts_what_was_minted(opened: Campus) -> None:
    member = opened.register_user("bob")
    house = opened.add_meter(member, "house", "building", "solar")
    opened.round(member, opened.boundary(1), (house, (0, 0)))
    opened.round(member, opened.boundary(2), (house, (700, 100)))
    opened.round(member, opened.boundary(3), (house, (0, 40)))
    checkpoint(opened, EPOCH)
    found = opened.account("oracle", programs.checkpoint_address(EPOCH))
    assert (found["minted"], found["energy_supply"], found["withdrawn"], found["settlements"]) == (600, 600, 40, 3)


@pytest.mark.finding("chain-1")
@pytest.mark.finding("chain-2")
@pytest.mark.finding("chain-3")
def test_a_checkpoint_waits_for_no_member(opened: Campus) -> None:
    """Half enrolled, suspended, silent, read but never settled, its token accounts gone: the epochs are pinned."""
    half = opened.register_user("half enrolled")
    solar = opened.add_meter(half, "half pv", "generation", "solar")
    suspended = opened.register_user("suspended")
    load = opened.add_meter(suspended, "load", "load")
    opened.change("registry", suspended.user, status=SUSPENDED)
    opened.add_meter(opened.register_user("silent"), "never read", "load")
    closed = opened.register_user("closed accounts")
    opened.put(closed.energy_tokens, b"", programs.SYSTEM_PROGRAM)
    for n in range(1, 6):
        opened.set_time(opened.boundary(n))
        opened.submit((solar, solar.read(opened.boundary(n), 50)), (load, load.read(opened.boundary(n), 0, 50)))
        opened.change("registry", load.meter, generation=n)
        checkpoint(opened, EPOCH + n - 1)
        assert opened.account("oracle", programs.oracle_authority())["last_epoch"] == EPOCH + n - 1


def test_checkpoints_follow_one_another(opened: Campus, refused) -> None:
    opened.set_time(opened.boundary(5))
    checkpoint(opened, EPOCH)
    for wrong in (EPOCH, EPOCH - 1, EPOCH + 2):
        with refused("CheckpointOutOfOrder"):
            checkpoint(opened, wrong)
    checkpoint(opened, EPOCH + 1)


def test_an_epoch_is_checkpointed_after_its_end(opened: Campus, refused) -> None:
    opened.set_time(opened.boundary(1) - 1)
    with refused("EpochNotOver"):
        checkpoint(opened, EPOCH)


def test_the_log_cannot_shrink(opened: Campus, refused) -> None:
    opened.set_time(opened.boundary(5))
    checkpoint(opened, EPOCH, 10)
    with refused("LogShrank"):
        checkpoint(opened, EPOCH + 1, 9)
    checkpoint(opened, EPOCH + 1, 10)


def test_only_the_operator_checkpoints(opened: Campus, refused) -> None:
    opened.set_time(opened.boundary(1))
    stranger = key("stranger")
    opened.svm.airdrop(stranger.pubkey(), 10**10)
    args = {"epoch": EPOCH, "log_size": 1, "log_root": bytes(32), "book_hash": bytes(32)}
    accounts = {
        "operator": stranger.pubkey(),
        "checkpoint": programs.checkpoint_address(EPOCH),
        "book": programs.book_address(EPOCH),
    }
    with refused("NotOperator"):
        opened.send(opened.instruction("oracle", "checkpoint_epoch", args, accounts), signers=[stranger])


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("config", "WrongConfig"),
        ("oracle", "WrongOracle"),
        ("checkpoint", "WrongAddress"),
        ("book", "WrongAddress"),
        ("market", "WrongAddress"),
        ("energy_mint", "WrongMint"),
        ("credit_mint", "WrongMint"),
        ("system_program", "WrongProgram"),
    ],
)
def test_another_account_is_refused(opened: Campus, refused, account, error) -> None:
    opened.set_time(opened.boundary(1))
    with refused(error):
        checkpoint(opened, EPOCH, **{account: key("other").pubkey()})


def test_each_mint_in_its_place(opened: Campus, refused) -> None:
    opened.set_time(opened.boundary(1))
    with refused("WrongMint"):
        checkpoint(opened, EPOCH, energy_mint=programs.credit_mint())
    with refused("WrongMint"):
        checkpoint(opened, EPOCH, credit_mint=programs.energy_mint())


def test_there_is_no_checkpoint_before_the_first_meter(campus: Campus, refused) -> None:
    campus.set_time(campus.boundary(1))
    with refused("OracleNotOpen"):
        checkpoint(campus, EPOCH)


# The book that a checkpoint pins


def put_book(campus: Campus, status: int, epoch: int = EPOCH, bids: int = 2, asks: int = 1) -> bytes:
    """A book as trading leaves it, of 3 orders a side; its hash."""
    trading = idl("trading")
    empty = trading.account_discriminator("EpochBook") + bytes(head_size("EpochBook") - 8 + 6 * 20)
    book = Book(empty)
    book.put([Order(9 - n, n, 5, 0, 0) for n in range(bids)], [Order(10 + n, 5 + n, 5, 0, 1) for n in range(asks)])
    book.fields |= {"version": 1, "status": status, "epoch": epoch, "slot": epoch % programs.BOOKS, "capacity": 3}
    data = book.to_bytes()
    campus.put(programs.book_address(epoch), data, programs.PROGRAM_IDS["trading"])
    return Book(data).hash()


@pytest.mark.parametrize(("bids", "asks"), [(2, 1), (0, 0), (3, 3), (0, 3), (3, 0)])
def test_a_checkpoint_pins_the_final_book(opened: Campus, bids: int, asks: int) -> None:
    opened.set_time(opened.boundary(1))
    final = put_book(opened, FINAL, bids=bids, asks=asks)
    event = pin(opened, EPOCH, final).event("Checkpointed")
    found = opened.account("oracle", programs.checkpoint_address(EPOCH))
    assert event["book_hash"] == found["book_hash"] == final


def test_what_lies_behind_a_books_orders_is_not_pinned(opened: Campus) -> None:
    """Orders of earlier epochs, left behind in its account."""
    opened.set_time(opened.boundary(1))
    final = put_book(opened, FINAL, bids=1)
    where = programs.book_address(EPOCH)
    found = opened.svm.get_account(where)
    assert found is not None
    data = bytearray(found.data)
    data[-1] ^= 1
    opened.put(where, bytes(data), found.owner)
    pin(opened, EPOCH, final)


@pytest.mark.parametrize("status", [GROWING, VACANT, OPEN, CLEARING, REFUNDING])
def test_an_epoch_waits_for_its_book_to_be_final(opened: Campus, refused, status: int) -> None:
    """Whatever hash is named: pinned now, the book's place could never be taken."""
    opened.set_time(opened.boundary(1))
    unfinished = put_book(opened, status)
    for named in (unfinished, bytes(32), hashlib.sha256(b"another").digest()):
        with refused("BookUnfinished"):
            pin(opened, EPOCH, named)
    pin(opened, EPOCH, put_book(opened, FINAL))


def test_a_book_that_grows_is_no_epochs(opened: Campus, refused) -> None:
    """grow_book is not done with the slot: no epoch has a book there. While it lacks a part, it is not read at all."""
    opened.make_market(orders_per_side=512)
    accounts = {"payer": opened.operator.pubkey(), "book": programs.book_address(EPOCH)}
    grow = opened.instruction("trading", "grow_book", {"slot": EPOCH % programs.BOOKS}, accounts)
    opened.send(grow)
    opened.set_time(opened.boundary(1))
    with refused("BookNotGrown"):
        pin(opened, EPOCH, bytes(32))
    opened.send(grow, grow)
    pin(opened, EPOCH, bytes(32))


@pytest.mark.parametrize("other", [EPOCH - programs.BOOKS, EPOCH + programs.BOOKS])
def test_another_epochs_book_in_the_slot_is_none_of_this_epoch(opened: Campus, refused, other: int) -> None:
    opened.set_time(opened.boundary(1))
    final = put_book(opened, FINAL, other)
    with refused("WrongBookHash"):
        pin(opened, EPOCH, final)
    pin(opened, EPOCH, bytes(32))


def test_the_hash_is_the_books(opened: Campus, refused) -> None:
    opened.set_time(opened.boundary(1))
    with refused("WrongBookHash"):  # there is no book
        pin(opened, EPOCH, b"\2" * 32)
    final = put_book(opened, FINAL)
    for wrong in (bytes(32), b"\2" * 32, final[:-1] + bytes([final[-1] ^ 1])):
        with refused("WrongBookHash"):
            pin(opened, EPOCH, wrong)
    pin(opened, EPOCH, final)


def test_lamports_at_the_books_address_are_no_book(opened: Campus) -> None:
    opened.svm.airdrop(programs.book_address(EPOCH), 10**9)
    opened.set_time(opened.boundary(1))
    pin(opened, EPOCH, bytes(32))


def test_another_slots_final_book_is_refused(opened: Campus, refused) -> None:
    opened.set_time(opened.boundary(3))
    final = put_book(opened, FINAL, EPOCH + 1)
    with refused("WrongAddress"):
        pin(opened, EPOCH, final, book=programs.book_address(EPOCH + 1))


def test_no_book_is_left_without_a_checkpoint(opened: Campus, refused) -> None:
    """The first checkpoint comes no later than the first book: else that one's place could never be taken."""
    opened.make_market()
    opened.set_time(opened.boundary(1))
    opened.open_book(EPOCH + 1)
    trigger_at = opened.boundary(4)
    opened.set_time(trigger_at)
    for late in (EPOCH + 2, EPOCH + 3):
        with refused("CheckpointOutOfOrder"):
            checkpoint(opened, late)
    checkpoint(opened, EPOCH)
    trigger(opened, EPOCH + 1)
    found = opened.svm.get_account(programs.book_address(EPOCH + 1))
    assert found is not None
    pin(opened, EPOCH + 1, Book(bytes(found.data)).hash())
    checkpoint(opened, EPOCH + 2)


# Clearing: what the oracle itself sees to; the auction is the market's


def trigger(campus: Campus, epoch: int, limit: int = 1_000, **accounts: Pubkey) -> Outcome:
    named = {"book": programs.book_address(epoch)}
    args = {"epoch": epoch, "limit": limit}
    return campus.send(campus.instruction("oracle", "trigger_clearing", args, named | accounts))


def test_a_running_epoch_is_not_cleared(opened: Campus, refused) -> None:
    opened.set_time(opened.boundary(1) - 1)
    with refused("EpochNotOver"):
        trigger(opened, EPOCH)


def test_clearing_can_be_paused(opened: Campus, refused) -> None:
    opened.set_time(opened.boundary(1))
    opened.set_paused(PAUSE_CLEARING)
    with pytest.raises(Refusal) as caught:
        trigger(opened, EPOCH)
    assert caught.value.name == "Paused"
    assert str(programs.PROGRAM_IDS["trading"]) not in str(caught.value), "the oracle does not even ask the market"


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("config", "WrongConfig"),
        ("oracle", "WrongOracle"),
        ("market", "WrongAddress"),
        ("seats", "WrongAddress"),
        ("trading_program", "WrongProgram"),
    ],
)
def test_another_account_in_a_clearing_is_refused(opened: Campus, refused, account, error) -> None:
    opened.set_time(opened.boundary(1))
    with refused(error):
        trigger(opened, EPOCH, **{account: key("other").pubkey()})


def test_another_epochs_book_is_refused(opened: Campus, refused) -> None:
    opened.make_market()
    opened.open_book(EPOCH)
    opened.open_book(EPOCH + 1)
    opened.set_time(opened.boundary(2))
    for book in (programs.book_address(EPOCH + 1), key("other").pubkey()):
        with refused("WrongBook"):
            trigger(opened, EPOCH, book=book)
    with refused("WrongBook"):
        trigger(opened, EPOCH - programs.BOOKS, book=programs.book_address(EPOCH))
    trigger(opened, EPOCH)


def test_anyone_has_the_market_cleared_step_by_step(opened: Campus, refused) -> None:
    """The limit is the caller's: what one call leaves, the next goes on with."""
    opened.make_market()
    opened.open_book(EPOCH)
    member = opened.register_user("seller")
    accounts = {
        "operator": opened.operator.pubkey(),
        "user": member.user,
        "credit_token_account": member.credit_tokens,
    }
    opened.send(opened.instruction("energy_token", "issue_credit", {"amount": 10**9}, accounts))
    opened.deposit(member, 1, 10**9)
    for price in (60_000, 70_000, 80_000):
        named = {"authority": member.address, "user": member.user, "book": programs.book_address(EPOCH)}
        args = {"epoch": EPOCH, "side": 0, "price": price, "quantity": 1_000}
        opened.send(opened.instruction("trading", "place_order", args, named), signers=[member.wallet])
    opened.set_time(opened.boundary(1))
    for limit, paid in ((0, 0), (2, 2), (2, 3)):
        trigger(opened, EPOCH, limit)
        assert opened.account("trading", programs.book_address(EPOCH))["paid"] == paid
    with refused("AlreadyCleared"):
        trigger(opened, EPOCH)
    assert opened.seat(member) == (0, 10**9)
