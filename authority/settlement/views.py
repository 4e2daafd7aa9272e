"""From the programs' accounts, as they stand on the chain, to what settlement plans with. Pure functions of bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.accounts import (
    REFUND_AFTER_EPOCHS,
    BookStatus,
    Config,
    EnergyAccount,
    EpochBook,
    Meter,
    MeterRole,
    MeterState,
    Order,
    Retirement,
    Seat,
    Status,
    User,
)
from authority.chain.client import TokenAccount
from authority.chain.in_force import parameters_in
from authority.market.standing_orders import Limits
from authority.settlement.snapshot import (
    BookView,
    ConfigView,
    MemberView,
    MeterView,
    OrderView,
    Pause,
    Payout,
)

NO_BOOK = bytes(32)
"""What a checkpoint says of an epoch that had no book."""


def config_view(config: Config, now: int) -> ConfigView:
    """Governance's Config with the parameters in force at a time (Unix seconds)."""
    parameters = parameters_in(config, now // config.epoch_seconds)
    return ConfigView(
        epoch_seconds=config.epoch_seconds,
        pause=Pause(config.pause & sum(Pause)),
        grace_seconds=parameters.grace_seconds,
        clock_skew_seconds=parameters.clock_skew_seconds,
        limits=Limits(
            feed_in_price=parameters.feed_in_price,
            retail_price=parameters.retail_price,
            wheeling=parameters.wheeling,
            min_order_wh=parameters.min_order_wh,
            max_order_wh=parameters.max_order_wh,
            max_orders_per_member=parameters.max_orders_per_member,
        ),
        billing_period=config.billing_period,
        billing_period_start=config.billing_period_start,
        billing_period_end=config.billing_period_end,
    )


def meter_view(
    pk: int, name: str, address: Pubkey, meter: Meter, state_address: Pubkey, state: MeterState, newest: bytes | None
) -> MeterView:
    """A Meter with its MeterState; whether its standing record was passed is the log's to say.

    newest is the public key that the department has approved last.
    """
    read = state.interval_end != 0
    same_key = state.keys == meter.keys
    return MeterView(
        meter_pk=pk,
        name=name,
        address=address,
        state_address=state_address,
        member=meter.user,
        settles=meter.role is not MeterRole.SUBMETER,
        active=meter.status is Status.ACTIVE,
        slot=meter.slot,
        key=meter.key,
        sequence=state.sequence if read and same_key else None,
        standing=state.interval_end if read else None,
        settled=state.settled_end or None,
        hash=state.hash,
        current_key=meter.key == newest,
    )


def usable(account: TokenAccount | None, owner: Pubkey, mint: Pubkey) -> int | None:
    """What an owner has in a token account; None where that is missing, frozen, of another mint or another's."""
    if account is None or account.frozen or (account.owner, account.mint) != (owner, mint):
        return None
    return account.amount


def member_view(
    name: str,
    address: Pubkey,
    user: User,
    account: EnergyAccount | None,
    retirement: Retirement | None,
    seat: Seat | None,
    energy: TokenAccount | None,
    credit: TokenAccount | None,
    period: int,
) -> MemberView:
    """A User with all that hangs on it, its token accounts among it; period is the open billing period."""
    withdrawn = _of_periods(account, period, "withdrawals_open", "withdrawals_previous")
    retired = _of_periods(retirement, period, "consumption_open", "consumption_previous")
    return MemberView(
        name=name,
        member=user.member,
        wallet=user.wallet,
        address=address,
        member_index=user.member_index,
        active=user.status is Status.ACTIVE,
        closed=user.status is Status.CLOSED,
        settling_meters=user.settling_meters,
        energy_token_account=user.energy_token_account,
        credit_token_account=user.credit_token_account,
        held_wh=usable(energy, user.wallet, programs.energy_mint()),
        credit=usable(credit, user.wallet, programs.credit_mint()),
        seat_wh=None if seat is None else seat.energy,
        seat_credit=None if seat is None else seat.credit,
        payout=Payout(0 if seat is None else seat.payout & sum(Payout)),
        boundary=(account.boundary or None) if account else None,
        minted_wh=account.minted if account else 0,
        withdrawn_wh=account.withdrawn if account else 0,
        open_withdrawal_wh=withdrawn[0],
        previous_withdrawal_wh=withdrawn[1],
        retired_wh=retired[0],
        previous_retired_wh=retired[1],
        fed_in_wh=retirement.feed_in_total if retirement else 0,
        delegate=user.delegate if user.delegate_until else None,
        delegate_until=user.delegate_until,
        energy_allowance=_allowance(energy),
        credit_allowance=_allowance(credit),
    )


def _allowance(account: TokenAccount | None) -> int:
    """What the market may take out of a token account."""
    return account.delegated if account is not None and account.delegate == programs.market_address() else 0


def _of_periods(
    account: EnergyAccount | Retirement | None, period: int, open_field: str, previous_field: str
) -> tuple[int, int]:
    """An account's figures of the open period and the one before; it may not have been turned on to the open one."""
    if account is None:
        return 0, 0
    opened: int = getattr(account, open_field)
    if account.period == period:
        return opened, getattr(account, previous_field)
    return (0, opened) if account.period == period - 1 else (0, 0)


def book_view(data: bytes) -> BookView | None:
    """A book of the ring, decoded; None where no epoch has taken its place yet (it is growing or vacant).

    Of a head alone it has no orders and no data.
    """
    head = EpochBook.from_account(data)
    if head.status in (BookStatus.GROWING, BookStatus.VACANT):
        return None
    if len(data) == EpochBook.size():
        return _of_head(head)
    size = Order.FORMAT.size
    bids_at = EpochBook.size()
    asks_at = bids_at + head.capacity * size
    bids = Order.array(data, bids_at, head.bid_count)
    asks = Order.array(data, asks_at, head.ask_count)
    orders = [
        OrderView(
            is_bid=place < len(bids),
            price=order.price,
            number=order.number,
            quantity=order.quantity,
            filled=order.filled,
            member=order.member,
            paid=place < head.paid,
        )
        for place, order in enumerate([*bids, *asks])
    ]
    live = (data[:bids_at], data[bids_at : bids_at + len(bids) * size], data[asks_at : asks_at + len(asks) * size])
    return replace(_of_head(head), orders=tuple(orders), data=b"".join(live))


def _of_head(head: EpochBook) -> BookView:
    return BookView(
        epoch=head.epoch,
        status=head.status,
        cutoff_at=head.cutoff_at,
        closes_at=head.closes_at,
        refundable_from=head.closes_at + REFUND_AFTER_EPOCHS * head.epoch_seconds,
        price=head.price,
        volume=head.volume,
        bids=head.bid_count,
        asks=head.ask_count,
        orders=(),
        data=b"",
    )


def book_hash(book: BookView | None) -> bytes:
    """What a checkpoint says of a book: SHA-256 of its head and live orders, zeros where the epoch had none."""
    return NO_BOOK if book is None else hashlib.sha256(book.data).digest()
