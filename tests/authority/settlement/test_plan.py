"""The plan: what follows from where the chain stands, and when a stage of an epoch counts as complete."""

from __future__ import annotations

from dataclasses import replace

import pytest
from solders.keypair import Keypair

from authority.market.standing_orders import BID, Limits, StandingOrder
from authority.settlement.journal import WaitingFrame
from authority.settlement.plan import (
    Checkpoint,
    CloseBook,
    OpenBillingPeriod,
    OpenBook,
    PlaceOrder,
    RefundBook,
    SettleOrders,
    SettleSurplus,
    Situation,
    SubmitReadings,
    TriggerClearing,
    plan,
    stages_complete,
)
from authority.settlement.snapshot import (
    BookStatus,
    BookView,
    ConfigView,
    MemberView,
    MeterView,
    OrderView,
    Pause,
    Snapshot,
)
from authority.store.settlement import SettlementEpoch

CONFIG = ConfigView(
    epoch_seconds=900,
    pause=Pause(0),
    grace_seconds=300,
    clock_skew_seconds=30,
    limits=Limits(80_000, 300_000, 20_000, 100, 1_000_000, 8),
    billing_period=0,
    billing_period_end=10_000,
)
EPOCH = 100
START = EPOCH * 900
"""The current epoch begins here: the boundary at which the energy of the one before is read."""


def key():
    return Keypair().pubkey()


def member(index=0, **changes):
    base = MemberView(
        name=f"member {index}",
        wallet=key(),
        address=key(),
        member_index=index,
        active=True,
        settling_meters=0b11,
        energy_token_account=key(),
        credit_token_account=key(),
        held_wh=0,
        credit=10**9,
        boundary=START - 900,
        minted_wh=0,
        withdrawn_wh=0,
        open_withdrawal_wh=0,
        retired_wh=0,
    )
    return replace(base, **changes)


def meter(owner, pk, slot=0, standing=START - 900, sequence=5, settles=True):
    return MeterView(
        meter_pk=pk,
        address=key(),
        state_address=key(),
        wallet=owner.wallet,
        settles=settles,
        slot=slot if settles else 255,
        sequence=sequence,
        standing=standing,
        hash=bytes(16),
    )


def frame(pk, sequence, end, error=None):
    return WaitingFrame(pk * 100 + sequence, pk, sequence, end, bytes(32), bytes(192), "pending", error=error)


def book(epoch=EPOCH, status=BookStatus.OPEN, orders=(), **changes):
    base = BookView(
        epoch=epoch,
        status=status,
        closes_at=(epoch + 1) * 900,
        refundable_from=(epoch + 9) * 900,
        price=0,
        volume=0,
        rent_payer=key(),
        orders=tuple(orders),
        data=b"",
    )
    return replace(base, **changes)


def order(number, member=0, price=100_000, quantity=500, filled=0, settled=False):
    return OrderView(number, price, quantity, filled, member, settled)


def row(epoch=EPOCH, **stages):
    return SettlementEpoch(epoch=epoch, state="collecting", first_seen_ms=0, **stages)


def situation(now=START + 10, members=(), meters=(), books=(), rows=None, waiting=(), last=None, **rest):
    chain = Snapshot(
        now=now,
        config=rest.pop("config", CONFIG),
        meters=tuple(meters),
        members=tuple(members),
        books={each.epoch: each for each in books},
        last_checkpoint=last,
    )
    queues = {}
    for each in waiting:
        queues.setdefault(each.meter_pk, []).append(each)
    return Situation(chain, queues, [row()] if rows is None else rows, rest.pop("policies", {}), **rest)


def kinds(actions, kind):
    return [action for action in actions if isinstance(action, kind)]


def test_readings_go_four_at_a_time_one_a_meter():
    users = [member(index, settling_meters=1) for index in range(6)]
    meters = [meter(user, pk) for pk, user in enumerate(users, 1)]
    waiting = [frame(pk, 6, START) for pk in range(1, 7)] + [frame(1, 7, START + 900)]
    batches = kinds(plan(situation(members=users, meters=meters, waiting=waiting)), SubmitReadings)
    assert [len(batch.readings) for batch in batches] == [4, 2]
    assert sorted(each.sequence for batch in batches for _, each in batch.readings) == [6] * 6


def test_a_newer_boundary_is_held_back():
    user = member()
    meters = [meter(user, 1, 0, standing=START), meter(user, 2, 1)]
    late = situation(members=[user], meters=meters, waiting=[frame(1, 6, START + 900)], now=START + 910)
    assert kinds(plan(late), SubmitReadings) == []
    skipped = situation(
        members=[user], meters=meters, waiting=[frame(1, 6, START + 900), frame(2, 6, START + 900)], now=START + 910
    )
    assert [len(batch.readings) for batch in kinds(plan(skipped), SubmitReadings)] == [2]


def test_submeters_are_never_held_back():
    user = member(settling_meters=1)
    meters = [meter(user, 1, standing=START), meter(user, 2, settles=False, standing=None, sequence=None)]
    waiting = [frame(2, 1, START), frame(2, 2, START + 900)]
    (batch,) = kinds(plan(situation(members=[user], meters=meters, waiting=waiting)), SubmitReadings)
    assert [each.sequence for _, each in batch.readings] == [1]


def test_a_reading_of_the_future_a_blocked_one_and_a_pause_wait():
    user = member(settling_meters=1)
    meters = [meter(user, 1)]
    assert not plan(situation(members=[user], meters=meters, waiting=[frame(1, 6, START + 900)], rows=[]))
    blocked = [frame(1, 6, START, error="NeedsRebase"), frame(1, 7, START + 900)]
    assert not plan(situation(members=[user], meters=meters, waiting=blocked, rows=[], now=START + 950))
    paused = replace(CONFIG, pause=Pause.READINGS)
    assert not plan(situation(members=[user], meters=meters, waiting=[frame(1, 6, START)], rows=[], config=paused))


def test_a_refused_companion_goes_alone():
    users = [member(index, settling_meters=1) for index in range(2)]
    meters = [meter(user, pk) for pk, user in enumerate(users, 1)]
    waiting = [frame(1, 6, START), frame(2, 6, START)]
    actions = plan(situation(members=users, meters=meters, waiting=waiting, alone={1, 2}, rows=[]))
    assert [len(action.readings) for action in actions] == [1, 1]


def test_surplus_is_settled_where_all_meters_stand_together():
    user = member()
    meters = [meter(user, 2, 1, standing=START), meter(user, 1, 0, standing=START)]
    (action,) = plan(situation(members=[user], meters=meters, rows=[]))
    assert isinstance(action, SettleSurplus)
    assert (action.boundary, [each.slot for each in action.meters]) == (START, [0, 1])
    apart = [meters[0], replace(meters[1], standing=START - 900)]
    assert not plan(situation(members=[user], meters=apart, rows=[]))
    half_seen = replace(user, settling_meters=0b111)
    assert not plan(situation(members=[half_seen], meters=meters, rows=[]))


def test_the_current_epochs_book_is_opened_and_completed():
    (action,) = plan(situation())
    assert action == OpenBook(EPOCH)
    (action,) = plan(situation(books=[book(status=BookStatus.GROWING)]))
    assert action == OpenBook(EPOCH, half_made=True)
    assert not plan(situation(config=replace(CONFIG, pause=Pause.ORDERS)))


def test_standing_orders_wait_for_the_members_surplus_and_never_repeat():
    user = member(boundary=START, held_wh=800)
    policies = {str(user.wallet): StandingOrder(sell_at=120_000)}
    rows = [row(EPOCH - 1, checkpointed_ms=1), row()]
    ready = situation(members=[user], books=[book()], rows=rows, policies=policies)
    (action,) = kinds(plan(ready), PlaceOrder)
    assert (action.order.quantity, action.order.price) == (800, 120_000)
    behind = replace(user, boundary=START - 900)
    assert not plan(situation(members=[behind], books=[book()], rows=rows, policies=policies))
    rows[0].minted_ms = 1
    assert kinds(plan(situation(members=[behind], books=[book()], rows=rows, policies=policies)), PlaceOrder)
    assert not plan(situation(members=[user], books=[book()], rows=rows, policies=policies, now=START + 899))


def test_what_unsettled_books_may_bring_is_not_bid_for_again():
    user = member(boundary=START, open_withdrawal_wh=1_000)
    policies = {str(user.wallet): StandingOrder(buy_at=200_000)}
    before = book(EPOCH - 1, BookStatus.CLEARED, [order(0, quantity=700, filled=400)])
    rows = [row()]
    (action,) = kinds(plan(situation(members=[user], books=[book(), before], rows=rows, policies=policies)), PlaceOrder)
    assert (action.order.side, action.order.quantity) == (BID, 600)
    standing = book(orders=[order(0, quantity=600)])
    assert not plan(situation(members=[user], books=[standing, before], rows=rows, policies=policies))


def test_the_next_billing_period_comes_before_anything_else():
    over = replace(CONFIG, billing_period=4, billing_period_end=EPOCH)
    assert plan(situation(config=over)) == [OpenBillingPeriod(5)]
    assert plan(situation(config=replace(over, billing_period_end=EPOCH + 1))) == [OpenBook(EPOCH)]


def test_a_book_is_taken_to_its_end():
    old = EPOCH - 1
    rows = [row(old)]
    assert isinstance(plan(situation(books=[book(old)], rows=rows))[0], TriggerClearing)
    cleared = book(
        old, BookStatus.CLEARED, [order(0, member=3), order(1, member=1, settled=True), order(512, member=2)]
    )
    (action,) = plan(situation(books=[cleared], rows=rows))
    assert isinstance(action, SettleOrders)
    assert action.orders == (512, 0)
    (action,) = plan(situation(books=[book(old, BookStatus.CLEARED)], rows=rows))
    assert action == SettleOrders(action.book, ())
    final = book(old, BookStatus.FINAL)
    assert not plan(situation(books=[final], rows=rows))
    rows[0].settled_ms = 1
    assert not plan(situation(books=[final], rows=rows))
    rows[0].minted_ms = 1
    assert plan(situation(books=[final], rows=rows)) == [Checkpoint(old, final)]
    assert not plan(situation(books=[final], rows=rows, last=old))
    rows[0].checkpointed_ms = 1
    assert plan(situation(books=[final], rows=rows, last=old)) == [CloseBook(final)]


def test_checkpoints_follow_one_another():
    done = {"minted_ms": 1, "settled_ms": 1}
    rows = [row(EPOCH - 3), row(EPOCH - 2, **done), row(EPOCH - 1, **done)]
    assert not plan(situation(rows=rows, last=EPOCH - 4))
    rows[0].checkpointed_ms = 1
    assert plan(situation(rows=rows, last=EPOCH - 3)) == [Checkpoint(EPOCH - 2, None)]


def test_a_book_that_cannot_be_cleared_is_refunded_when_due():
    old = EPOCH - 10
    failing = {f"clearing {old}"}
    (action,) = plan(situation(books=[book(old)], rows=[row(old)], failing=failing))
    assert isinstance(action, RefundBook)
    (action,) = plan(situation(books=[book(EPOCH - 2)], rows=[row(EPOCH - 2)], failing={f"clearing {EPOCH - 2}"}))
    assert isinstance(action, TriggerClearing)


@pytest.mark.parametrize(
    ("standing", "boundary", "now", "stages"),
    [
        (START - 900, START - 900, START + 10, ["ended", "cleared", "settled"]),
        (START, START - 900, START + 10, ["ended", "submitted", "cleared", "settled"]),
        (START, START, START + 10, ["ended", "submitted", "minted", "cleared", "settled"]),
        (START - 900, START - 900, START + 300, ["ended", "submitted", "minted", "cleared", "settled"]),
        (START - 900, START - 900, START - 1, []),
    ],
)
def test_stages(standing, boundary, now, stages):
    user = member(boundary=boundary, settling_meters=1)
    case = situation(now=now, members=[user], meters=[meter(user, 1, standing=standing)])
    assert stages_complete(case, row(EPOCH - 1)) == stages


def test_grace_does_not_end_while_a_reading_of_the_epoch_can_still_go():
    user = member(settling_meters=1)
    case = situation(now=START + 300, members=[user], meters=[meter(user, 1)], waiting=[frame(1, 6, START)], rows=[])
    assert "submitted" not in stages_complete(case, row(EPOCH - 1))
    (action,) = plan(case)
    assert "minted" in stages_complete(replace(case, failing={action.subject}), row(EPOCH - 1))
