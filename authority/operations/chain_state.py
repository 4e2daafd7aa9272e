"""What the chain says of one member or one meter, and what of it still waits. Energy in Wh, money in micro-credits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solders.pubkey import Pubkey
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from authority.chain import accounts, programs
from authority.chain.client import ChainClient, TokenAccount
from authority.chain.errors import ChainError
from authority.market.clearing import escrow_of_bid
from authority.refusals import NotFoundError
from authority.settlement.views import book_view, usable
from authority.store.metering import Frame, Meter, held_back, waiting_for_the_chain
from authority.store.people import User, user_named

_LONGEST = max(kind.size() for kind in (accounts.User, accounts.EnergyAccount, accounts.Retirement, accounts.EpochBook))
"""Bytes of the longest of a member's own accounts and the heads of books."""


def meter_of(session: Session, name: str) -> Meter:
    """The meter GATEWAY/METER with its member and installation; NotFoundError."""
    gateway, _, own = name.partition("/")
    query = select(Meter).where(Meter.gateway_name == gateway, Meter.name == own)
    found = session.scalar(query.options(joinedload(Meter.user), joinedload(Meter.installation)))
    if found is None:
        raise NotFoundError(f"there is no meter {name!r}; see: authority meters list")
    return found


def member_of(session: Session, name: str) -> User:
    """The member of this name; NotFoundError."""
    found = user_named(session, name)
    if found is None:
        raise NotFoundError(f"there is no member {name!r}; see: authority members list")
    return found


def full_name(meter: Meter) -> str:
    """What people call it."""
    return f"{meter.gateway_name}/{meter.name}"


def waiting(session: Session, meter: Meter) -> int:
    """Readings of a meter that are on their way to the chain."""
    query = select(func.count()).select_from(Frame).where(Frame.meter_pk == meter.id, waiting_for_the_chain(Frame))
    return session.scalar(query) or 0


def held(session: Session, meter: Meter) -> int:
    """Readings of a meter that wait for a person's decision."""
    query = select(func.count()).select_from(Frame).where(Frame.meter_pk == meter.id, held_back(Frame))
    return session.scalar(query) or 0


@dataclass(frozen=True)
class MeterOnChain:
    """A Meter and its MeterState; state is None before its first opening at the oracle."""

    meter: accounts.Meter
    state: accounts.MeterState | None

    @property
    def settled(self) -> bool:
        """Whether all that it measured so far, as the chain knows it, is settled."""
        if self.state is None or self.meter.role is accounts.MeterRole.SUBMETER:
            return True
        return self.state.interval_end == self.state.settled_end


def meter_on_chain(client: ChainClient, meter: Meter) -> MeterOnChain | None:
    """What the chain has of a meter; None before its registration."""
    account = client.account(accounts.Meter, programs.meter_address(meter.meter_id))
    if account is None:
        return None
    return MeterOnChain(account, client.account(accounts.MeterState, programs.meter_state_address(meter.meter_id)))


@dataclass(frozen=True)
class Balances:
    """What a member has: in its wallet (None where the token account cannot be used), free in its seat, in orders."""

    wallet_wh: int | None
    wallet_credit: int | None
    seat_wh: int
    seat_credit: int
    locked_wh: int
    locked_credit: int
    orders: tuple[dict[str, int | str], ...]

    @property
    def energy(self) -> int:
        """All of its energy."""
        return (self.wallet_wh or 0) + self.seat_wh + self.locked_wh

    @property
    def credit(self) -> int:
        """All of its credits."""
        return (self.wallet_credit or 0) + self.seat_credit + self.locked_credit


@dataclass(frozen=True)
class MemberOnChain:
    """A User with all that hangs on it."""

    user: accounts.User
    energy: accounts.EnergyAccount | None
    retirement: accounts.Retirement | None
    balances: Balances


def member_on_chain(client: ChainClient, user: User) -> MemberOnChain | None:
    """What the chain has of a member; None before its registration.

    In two requests: pages ask it. The first has the heads of all books, the second those that hold orders, whole.
    """
    member = Pubkey.from_string(user.wallet)
    own = (programs.user_address(member), programs.energy_account_address(member), programs.retirement_address(member))
    ring = [programs.book_at_slot(slot) for slot in range(accounts.BOOKS)]
    user_found, energy_found, retirement_found, *heads = client.raw_accounts([*own, *ring], _LONGEST)
    if (data := client.account_data(accounts.User, own[0], user_found)) is None:
        return None
    account = accounts.User.from_account(data)
    energy = client.account_data(accounts.EnergyAccount, own[1], energy_found)
    retirement = client.account_data(accounts.Retirement, own[2], retirement_found)
    books = [
        address
        for address, raw in zip(ring, heads, strict=True)
        if (data := client.account_data(accounts.EpochBook, address, raw)) is not None and _has_unpaid(data)
    ]
    wanted = [account.energy_token_account, account.credit_token_account, programs.seats_address(), *books]
    energy_tokens, credit_tokens, seats_account, *whole = client.raw_accounts(wanted)
    seat = _seat(client.account_data(accounts.Seats, programs.seats_address(), seats_account), account.member_index)
    datas = [client.account_data(accounts.EpochBook, address, raw) for address, raw in zip(books, whole, strict=True)]
    orders, locked_wh, locked_credit = _orders([data for data in datas if data is not None], account.member_index)
    return MemberOnChain(
        account,
        None if energy is None else accounts.EnergyAccount.from_account(energy),
        None if retirement is None else accounts.Retirement.from_account(retirement),
        Balances(
            usable(TokenAccount.of(energy_tokens), account.wallet, programs.energy_mint()),
            usable(TokenAccount.of(credit_tokens), account.wallet, programs.credit_mint()),
            0 if seat is None else seat.energy,
            0 if seat is None else seat.credit,
            locked_wh,
            locked_credit,
            tuple(orders),
        ),
    )


def _has_unpaid(data: bytes) -> bool:
    """Whether a book holds orders that are not paid yet, by its head."""
    head = accounts.EpochBook.from_account(data)
    vacant = head.status in (accounts.BookStatus.GROWING, accounts.BookStatus.VACANT)
    return not vacant and head.paid < head.bid_count + head.ask_count


def seat_of(client: ChainClient, member_index: int) -> accounts.Seat | None:
    """A member's seat in the market; None where there is none for it yet."""
    found = client.raw_account(programs.seats_address())
    return _seat(client.account_data(accounts.Seats, programs.seats_address(), found), member_index)


def _seat(data: bytes | None, member_index: int) -> accounts.Seat | None:
    if data is None or member_index >= accounts.Seats.from_account(data).capacity:
        return None
    return accounts.Seat.array(data, accounts.Seats.size() + member_index * accounts.Seat.FORMAT.size, 1)[0]


def seats(client: ChainClient) -> list[accounts.Seat]:
    """All seats in the market, by the member's index; empty where there are none yet."""
    found = client.raw_account(programs.seats_address())
    data = client.account_data(accounts.Seats, programs.seats_address(), found)
    if data is None:
        return []
    return accounts.Seat.array(data, accounts.Seats.size(), accounts.Seats.from_account(data).capacity)


def _orders(datas: Sequence[bytes], member_index: int) -> tuple[list[dict[str, int | str]], int, int]:
    """A member's orders in these books that are not paid yet, and what they lock: Wh, micro-credits."""
    wheeling = {head.epoch: head.wheeling for head in map(accounts.EpochBook.from_account, datas)}
    orders: list[dict[str, int | str]] = []
    locked_wh = locked_credit = 0
    for book in filter(None, map(book_view, datas)):
        for order in book.orders:
            if order.member != member_index or order.paid:
                continue
            side = "bid" if order.is_bid else "ask"
            orders.append(
                {
                    "epoch": book.epoch,
                    "side": side,
                    "price": order.price,
                    "quantity": order.quantity,
                    "number": order.number,
                }
            )
            if order.is_bid:
                locked_credit += escrow_of_bid(order.quantity, order.price, wheeling[book.epoch])
            else:
                locked_wh += order.quantity
    return orders, locked_wh, locked_credit


def reachable(client: ChainClient) -> str | None:
    """Why the validator cannot be asked; None where it answers."""
    try:
        client.health()
    except ChainError as error:
        return str(error)
    return None
