"""The ledger of credits: what each member has by everything that moved, held against what the chain says it has.

A member's balance is what was issued to it, less what it gave back, plus what it sold (less fees) and was paid for
feed-in, less what it bought with wheeling, and what members gave each other by hand. On the chain it is in its token
account, in its seat, and locked in bids. The two are equal as long as the member moves no credits by itself, which a
member with a wallet of its own may do, also to others.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from authority.app import App
from authority.billing.bill import trades_of
from authority.billing.credits import DECIDED
from authority.billing.errors import CreditsMovingError
from authority.billing.evidence import StoreEvidence
from authority.billing.facts import Facts
from authority.billing.history import catch_up, facts_of
from authority.chain import accounts, programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.market.clearing import escrow_of_bid
from authority.market.transfers import CREDIT, DONE, GIVE, SENT
from authority.store.billing import ChainEvents, CreditEntry
from authority.store.market import TransferRow
from authority.store.people import User

_GIFTS = (TransferRow.act == GIVE, TransferRow.asset == CREDIT, TransferRow.state == DONE)
FINAL = 5
"""A book's status when everything in it is paid."""
ATTEMPTS = 5


@dataclass(frozen=True)
class Balance:
    """A member's credits, micro-credit: issued less given back, moved by market, feed-in, gifts; and on the chain."""

    member: str
    booked: int
    traded: int
    fed_in: int
    given: int
    on_chain: int
    in_custody: bool

    @property
    def difference(self) -> int:
        """On the chain beyond what moved; of a member in custody it is 0."""
        return self.on_chain - self.booked - self.traded - self.fed_in - self.given


@dataclass(frozen=True)
class Ledger:
    """All balances; supply is the credits that there are, problems what does not agree, in words."""

    balances: tuple[Balance, ...]
    issued: int
    redeemed: int
    fed_in: int
    supply: int
    problems: tuple[str, ...]


def read(app: App, client: ChainClient) -> Ledger:
    """The ledger and what does not agree in it; BillingError `credits_moving` where the chain does not stand still."""
    for _ in range(ATTEMPTS):
        catch_up(app.store, client)
        before = _taken_in(app)
        chain = _Chain(client)
        catch_up(app.store, client)
        if _taken_in(app) == before:
            return _compare(app, client, chain)
    raise CreditsMovingError("credits moved while they were counted; give the command again")


def _taken_in(app: App) -> tuple[int, int]:
    """How far the history is taken in (folding leaves the last row), and how many gifts are on the chain."""
    with app.store.read() as session:
        gifts = session.scalar(select(func.count()).where(*_GIFTS)) or 0
        return session.scalar(select(func.max(ChainEvents.n))) or 0, gifts


class _Chain:
    """What the chain has of credits."""

    def __init__(self, client: ChainClient) -> None:
        self.supply = client.token_supply(programs.credit_mint()) or 0
        self.accounts = {str(user.member): user for _, user in client.accounts(accounts.User)}
        addresses = [user.credit_token_account for user in self.accounts.values()]
        held = dict(zip(addresses, client.token_balances(addresses), strict=True))
        raw = client.raw_account(programs.seats_address())
        data = b"" if raw is None else bytes(raw.data)
        capacity = accounts.Seats.from_account(data).capacity if data else 0
        seats = accounts.Seat.array(data, accounts.Seats.size(), capacity) if capacity else []
        self.locked: dict[int, int] = defaultdict(int)
        self.unlogged: dict[int, bytes] = {}
        for book in client.raw_accounts([programs.book_at_slot(slot) for slot in range(accounts.BOOKS)]):
            if book is not None:
                self._book(bytes(book.data))
        self.has: dict[str, int] = {}
        for member, user in self.accounts.items():
            seat = seats[user.member_index].credit if user.member_index < len(seats) else 0
            self.has[member] = (held[user.credit_token_account] or 0) + seat + self.locked[user.member_index]

    def _book(self, data: bytes) -> None:
        head = accounts.EpochBook.from_account(data)
        size, start = accounts.Order.FORMAT.size, accounts.EpochBook.size()
        if not head.epoch:
            return
        bids = accounts.Order.array(data, start, head.bid_count)
        for order in bids[head.paid :]:
            self.locked[order.member] += escrow_of_bid(order.quantity, order.price, head.wheeling)
        asks_at = start + head.capacity * size
        bids_end, asks_end = start + head.bid_count * size, asks_at + head.ask_count * size
        if head.paid:
            self.unlogged[head.epoch] = data[:bids_end] + data[asks_at:asks_end]


def _compare(app: App, client: ChainClient, chain: _Chain) -> Ledger:
    problems = []
    facts = facts_of(app.store, {name: client.idl(name) for name in PROGRAM_NAMES})
    credits = facts.all_credits()
    with app.store.read() as session:
        traded = _traded(facts, StoreEvidence(session), chain)
        in_custody = set(session.scalars(select(User.wallet).where(User.sealed_key.is_not(None))))
        entries = list(session.scalars(select(CreditEntry)))
        given = _given(session)
        moving = session.scalar(select(func.count()).where(TransferRow.state == SENT, *_GIFTS[:2])) or 0
    booked: dict[str, int] = defaultdict(int)
    landed: dict[tuple[str, str], int] = defaultdict(int)
    for moved in credits:
        booked[moved.member] += moved.amount
        landed[str(Signature.from_bytes(moved.signature)), moved.member] += moved.amount
    balances = []
    for _, member in sorted(facts.members.items()):
        user = chain.accounts.get(member)
        custody = member in in_custody and user is not None and user.wallet == Pubkey.from_string(member)
        fed_in, has = facts.fed_in[member], chain.has.get(member, 0)
        balance = Balance(member, booked[member], traded[member], fed_in, given[member], has, custody)
        balances.append(balance)
        if balance.in_custody and balance.difference:
            problems.append(f"{member} has {balance.difference} micro-credits on the chain beyond what moved")
    if moving:
        problems.append(f"{moving} gifts are on their way: give the command again when settlement has seen to them")
    issued = sum(each.amount for each in credits if each.amount > 0)
    redeemed = -sum(each.amount for each in credits if each.amount < 0)
    paid = sum(facts.fed_in.values())
    if chain.supply != issued + paid - redeemed:
        problems.append(f"there are {chain.supply} micro-credits, by the events {issued + paid - redeemed}")
    for entry in entries:
        moved_on_chain = landed.get((entry.signature, entry.wallet), 0)
        if entry.state in DECIDED:
            problems.append(f"it is not known what became of {entry.reference!r}: give its command again")
        elif moved_on_chain != (entry.amount if entry.state in DECIDED.values() else 0):
            said = f"{entry.amount} micro-credits are booked as {entry.state}"
            problems.append(f"{entry.reference!r}: {said}, and {moved_on_chain} moved on the chain")
    return Ledger(tuple(balances), issued, redeemed, paid, chain.supply, tuple(problems))


def _given(session: Session) -> dict[str, int]:
    """What each member was given by others by hand, less what it gave."""
    given: dict[str, int] = defaultdict(int)
    to = aliased(User)
    rows = (
        select(User.wallet, to.wallet, func.sum(TransferRow.amount))
        .join(User, User.id == TransferRow.user_id)
        .join(to, to.id == TransferRow.to_user_id)
        .where(*_GIFTS)
        .group_by(User.wallet, to.wallet)
    )
    for giver, taker, amount in session.execute(rows):
        given[giver] -= int(amount)
        given[taker] += int(amount)
    return given


def _traded(facts: Facts, evidence: StoreEvidence, chain: _Chain) -> dict[str, int]:
    """What the market moved for each member, by every book of the log and those in the ring that are not there yet."""
    traded: dict[str, int] = defaultdict(int)
    logged = set()
    for _, data in evidence.books(0, 1 << 32):
        logged.add(accounts.EpochBook.from_account(data).epoch)
        for trade in trades_of(data):
            traded[facts.members[trade.member]] -= trade.amount + trade.charge
    for epoch, data in chain.unlogged.items():
        if epoch not in logged:
            for trade in trades_of(data, paid_only=True):
                traded[facts.members[trade.member]] -= trade.amount + trade.charge
    return traded
