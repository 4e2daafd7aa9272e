"""The plan: what follows from where the chain stands, and when a stage of an epoch counts as complete."""

from __future__ import annotations

from dataclasses import replace

import pytest
from solders.keypair import Keypair

from authority.chain.accounts import BOOKS
from authority.market.hand_orders import CANCEL, PLACE, WAITING, HandOrder, Wish
from authority.market.standing_orders import ASK, BID, Limits, ProposedOrder, StandingOrder
from authority.settlement.actions import (
    MAX_ACCOUNTS,
    CancelOrder,
    Checkpoint,
    OpenBillingPeriod,
    OpenBook,
    PayOut,
    PlaceOrder,
    RefundBook,
    Retire,
    SettleIdleMeter,
    SettleSurplus,
    SubmitReading,
    TriggerClearing,
    acts_of,
    bundled,
    turns,
)
from authority.settlement.journal import WaitingFrame
from authority.settlement.plan import Situation, plan, stages_complete, stalled_members
from authority.settlement.snapshot import (
    BookStatus,
    BookView,
    ConfigView,
    MemberView,
    MeterView,
    OrderView,
    Pause,
    Payout,
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
    billing_period_start=0,
    billing_period_end=10_000,
)
EPOCH = 100
START = EPOCH * 900
"""The current epoch begins here: the boundary at which the energy of the one before is read."""


def key():
    return Keypair().pubkey()


METER_KEY = bytes(range(32))


def member(index=0, **changes):
    wallet = key()
    base = MemberView(
        name=f"member {index}",
        member=wallet,
        wallet=wallet,
        address=key(),
        member_index=index,
        active=True,
        closed=False,
        settling_meters=0b11,
        energy_token_account=key(),
        credit_token_account=key(),
        held_wh=0,
        credit=10**9,
        seat_wh=0,
        seat_credit=0,
        payout=Payout(0),
        boundary=START - 900,
        minted_wh=0,
        withdrawn_wh=0,
        open_withdrawal_wh=0,
        previous_withdrawal_wh=0,
        retired_wh=0,
        previous_retired_wh=0,
        fed_in_wh=0,
    )
    return replace(base, **changes)


def meter(owner, pk, slot=0, standing=START - 900, sequence=5, settles=True, **changes):
    base = MeterView(
        meter_pk=pk,
        name=f"meter {pk}",
        address=key(),
        state_address=key(),
        member=owner.member,
        settles=settles,
        active=True,
        slot=slot if settles else 255,
        key=METER_KEY,
        sequence=sequence,
        standing=standing,
        settled=standing,
        hash=bytes(16),
    )
    return replace(base, **changes)


def frame(pk, sequence, end, error=None, key=METER_KEY):
    return WaitingFrame(pk * 100 + sequence, pk, sequence, end, bytes(32), bytes(192), key, "pending", error=error)


def book(epoch=EPOCH, status=BookStatus.OPEN, orders=(), **changes):
    base = BookView(
        epoch=epoch,
        status=status,
        cutoff_at=(epoch + 1) * 900 - 60,
        closes_at=(epoch + 1) * 900,
        refundable_from=(epoch + 9) * 900,
        price=0,
        volume=0,
        bids=sum(each.is_bid for each in orders),
        asks=sum(not each.is_bid for each in orders),
        orders=tuple(orders),
        data=b"",
    )
    return replace(base, **changes)


def bid(number=0, member=0, price=100_000, quantity=500, filled=0, paid=False):
    return OrderView(True, price, number, quantity, filled, member, paid)


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
    readings = kinds(plan(situation(members=users, meters=meters, waiting=waiting)), SubmitReading)
    assert [reading.frame.sequence for reading in readings] == [6] * 6
    assert [len(bundle) for bundle in bundled(readings)] == [4, 2]


def test_a_newer_boundary_is_held_back():
    user = member()
    meters = [meter(user, 1, 0, standing=START), meter(user, 2, 1)]
    late = situation(members=[user], meters=meters, waiting=[frame(1, 6, START + 900)], now=START + 910)
    assert kinds(plan(late), SubmitReading) == []
    skipped = situation(
        members=[user], meters=meters, waiting=[frame(1, 6, START + 900), frame(2, 6, START + 900)], now=START + 910
    )
    assert len(kinds(plan(skipped), SubmitReading)) == 2


def test_submeters_are_never_held_back():
    user = member(settling_meters=1)
    meters = [meter(user, 1, standing=START), meter(user, 2, settles=False, standing=None, sequence=None)]
    waiting = [frame(2, 1, START), frame(2, 2, START + 900)]
    (reading,) = kinds(plan(situation(members=[user], meters=meters, waiting=waiting)), SubmitReading)
    assert reading.frame.sequence == 1


def test_a_reading_of_the_future_a_blocked_one_and_a_pause_wait():
    user = member(settling_meters=1)
    meters = [meter(user, 1)]
    assert not plan(situation(members=[user], meters=meters, waiting=[frame(1, 6, START + 900)], rows=[]))
    blocked = [frame(1, 6, START, error="NeedsRebase"), frame(1, 7, START + 900)]
    assert not plan(situation(members=[user], meters=meters, waiting=blocked, rows=[], now=START + 950))
    paused = replace(CONFIG, pause=Pause.READINGS)
    assert not plan(situation(members=[user], meters=meters, waiting=[frame(1, 6, START)], rows=[], config=paused))


def test_a_refused_companion_goes_alone():
    users = [member(index, settling_meters=1) for index in range(3)]
    meters = [meter(user, pk) for pk, user in enumerate(users, 1)]
    waiting = [frame(1, 6, START), frame(2, 6, START), frame(3, 6, START)]
    actions = plan(situation(members=users, meters=meters, waiting=waiting, rows=[]))
    refused = actions[1].subject
    assert [[each.subject for each in bundle] for bundle in bundled(actions, {refused})] == [
        [refused],
        [actions[0].subject, actions[2].subject],
    ]


def test_settlements_share_a_transaction_as_far_as_it_locks_accounts():
    """Three meters a member: six; twenty meters: one; a mint into a seat takes the place of a member."""

    def spans(users, meters):
        return [SettleSurplus(user, tuple(meter(user, pk, pk) for pk in range(meters)), START) for user in users]

    users = [member(index, held_wh=0) for index in range(7)]
    small, large = spans(users, 3), spans(users, 20)
    assert [len(bundle) for bundle in bundled(small)] == [6, 1]
    assert [len(bundle) for bundle in bundled(large)] == [1] * 7
    without = [*users[:5], replace(users[5], held_wh=None), users[6]]
    assert [len(bundle) for bundle in bundled(spans(without, 3))] == [5, 2]
    for bundle in bundled([*small, *large, *spans(without, 3)]):
        assert max(each.common for each in bundle) + sum(each.weight for each in bundle) <= MAX_ACCOUNTS


def test_members_acts_share_a_transaction_each_members_in_its_own_order():
    users = [member(index) for index in range(6)]
    order = ProposedOrder(ASK, 120_000, 500)

    def acts(user, orders, deposit=0):
        return [Retire(user, 0, 100, True, deposit=deposit), *[PlaceOrder(user, book(), order, deposit)] * orders]

    def shape(actions, alone=frozenset()):
        return [[len(turn) for turn in turns(bundle)] for bundle in bundled(actions, alone)]

    assert shape([act for user in users for act in acts(user, 0)]) == [[1] * 4, [1] * 2]
    assert shape([act for user in users for act in acts(user, 2)]) == [[3] * 3, [3] * 3]
    assert shape([act for user in users for act in acts(user, 1, deposit=1)]) == [[2] * 3, [2] * 3]
    assert shape(acts(users[0], 8)) == [[9]]
    mixed = [*acts(users[0], 2), PayOut(users[1], Payout.ENERGY, 1, EPOCH), *acts(users[2], 1)]
    assert shape(mixed) == [[3, 2], [1]]
    # what was refused goes alone, and nothing of its member after it
    first, last = mixed[0], mixed[-1]
    assert shape(mixed, {first.subject}) == [[1], [2], [1]]
    assert shape(mixed, {last.subject}) == [[3, 1], [1]]


def test_each_act_of_a_transaction_is_logged_under_a_key_of_its_own():
    user, other = member(), member(1)
    order = ProposedOrder(ASK, 120_000, 500)
    bundle = (*[PlaceOrder(user, book(), order, 0)] * 3, PlaceOrder(other, book(), order, 0))
    first = f"place_order:signature:{user.member}"
    assert [act.key for act in acts_of(bundle, "signature")] == [
        first, f"{first}:2", f"{first}:3", f"place_order:signature:{other.member}",
    ]  # fmt: skip


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


def test_the_current_epochs_book_is_opened_once_its_place_is_free():
    assert plan(situation()) == [OpenBook(EPOCH, None)]
    before = book(EPOCH - BOOKS, BookStatus.FINAL)
    assert plan(situation(books=[before], last=EPOCH - BOOKS)) == [OpenBook(EPOCH, EPOCH - BOOKS)]
    assert not plan(situation(books=[before], last=EPOCH - BOOKS - 1))  # its hash is in no checkpoint yet
    assert not plan(situation(books=[book()]))
    assert not plan(situation(config=replace(CONFIG, pause=Pause.ORDERS)))


def test_standing_orders_wait_for_the_members_surplus_and_never_repeat():
    user = member(boundary=START, held_wh=500, seat_wh=300)
    policies = {str(user.member): StandingOrder(sell_at=120_000)}
    rows = [row(EPOCH - 1, checkpointed_ms=1), row()]
    ready = situation(members=[user], books=[book()], rows=rows, policies=policies)
    (action,) = kinds(plan(ready), PlaceOrder)
    assert (action.order.quantity, action.order.price, action.deposit) == (800, 120_000, 500)
    behind = replace(user, boundary=START - 900)
    assert not plan(situation(members=[behind], books=[book()], rows=rows, policies=policies))
    rows[0].minted_ms = 1
    assert kinds(plan(situation(members=[behind], books=[book()], rows=rows, policies=policies)), PlaceOrder)
    assert not plan(situation(members=[user], books=[book()], rows=rows, policies=policies, now=START + 839))


def test_what_unsettled_books_may_bring_is_not_bid_for_again():
    user = member(boundary=START, open_withdrawal_wh=1_000)
    policies = {str(user.member): StandingOrder(buy_at=200_000)}
    paid = bid(1, quantity=300, filled=300, paid=True)
    before = book(EPOCH - 1, BookStatus.CLEARING, [bid(quantity=700, filled=400), paid])
    rows = [row()]
    (action,) = kinds(plan(situation(members=[user], books=[book(), before], rows=rows, policies=policies)), PlaceOrder)
    assert (action.order.side, action.order.quantity, action.deposit) == (BID, 600, 132_000)
    standing = book(orders=[bid(quantity=600)])
    assert not kinds(
        plan(situation(members=[user], books=[standing, before], rows=rows, policies=policies)), PlaceOrder
    )


def test_the_next_billing_period_comes_before_anything_else():
    over = replace(CONFIG, billing_period=4, billing_period_end=EPOCH)
    assert plan(situation(config=over)) == [OpenBillingPeriod(5)]
    assert plan(situation(config=replace(over, billing_period_end=EPOCH + 1))) == [OpenBook(EPOCH, None)]


def test_a_book_is_taken_to_its_end():
    old = EPOCH - 1
    rows = [row(old)]
    assert isinstance(plan(situation(books=[book(old)], rows=rows))[0], TriggerClearing)
    clearing = book(old, BookStatus.CLEARING, [bid(0, paid=True), bid(1)])
    assert plan(situation(books=[clearing], rows=rows)) == [TriggerClearing(clearing)]
    refunding = book(old, BookStatus.REFUNDING, [bid(0, paid=True), bid(1)])
    assert plan(situation(books=[refunding], rows=rows)) == [RefundBook(refunding)]
    earlier = book(old - 1)
    assert plan(situation(books=[refunding, earlier], rows=rows)) == [TriggerClearing(earlier)]
    final = book(old, BookStatus.FINAL)
    assert not plan(situation(books=[final], rows=rows))
    rows[0].settled_ms = 1
    assert not plan(situation(books=[final], rows=rows))
    rows[0].minted_ms = 1
    assert plan(situation(books=[final], rows=rows)) == [Checkpoint(old, final)]
    assert not plan(situation(books=[final], rows=rows, last=old))


def test_checkpoints_follow_one_another():
    done = {"minted_ms": 1, "settled_ms": 1}
    rows = [row(EPOCH - 3), row(EPOCH - 2, **done), row(EPOCH - 1, **done)]
    assert not plan(situation(rows=rows, last=EPOCH - 4))
    rows[0].checkpointed_ms = 1
    assert plan(situation(rows=rows, last=EPOCH - 3)) == [Checkpoint(EPOCH - 2, None)]


def test_a_book_that_cannot_be_cleared_is_refunded_when_due():
    old = EPOCH - 10
    refused = {f"clearing {old}": 3}
    (action,) = plan(situation(books=[book(old)], rows=[row(old)], refused=refused))
    assert isinstance(action, RefundBook)
    paused = replace(CONFIG, pause=Pause.CLEARING)
    assert plan(situation(config=paused, books=[book(old)], rows=[row(old)])) == [RefundBook(book(old))]
    assert not plan(situation(config=paused, books=[book(EPOCH - 8)], rows=[row(EPOCH - 8)]))
    (action,) = plan(situation(books=[book(EPOCH - 2)], rows=[row(EPOCH - 2)], refused={f"clearing {EPOCH - 2}": 3}))
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
    assert "minted" in stages_complete(replace(case, refused={action.subject: 1}), row(EPOCH - 1))


@pytest.mark.finding("chain-1")
@pytest.mark.finding("chain-2")
def test_no_epoch_waits_beyond_the_grace_for_what_a_member_can_withhold():
    user = member(settling_meters=1)
    refused = situation(
        now=START + 299, members=[user], meters=[meter(user, 1, standing=START)], refused={f"surplus {user.member}": 9}
    )
    assert "minted" not in stages_complete(refused, row(EPOCH - 1))
    assert "minted" in stages_complete(_at(refused, START + 300), row(EPOCH - 1))
    # a gateway that sends one old frame after the other, each taken by the chain
    drip = situation(
        members=[user], meters=[meter(user, 1, standing=START - 9_000)], waiting=[frame(1, 6, START - 8_100)]
    )
    assert "submitted" not in stages_complete(_at(drip, START + 599), row(EPOCH - 1))
    assert "minted" in stages_complete(_at(drip, START + 600), row(EPOCH - 1))


def _at(case, now):
    return replace(case, chain=replace(case.chain, now=now))


@pytest.mark.finding("chain-2")
def test_a_boundary_that_is_given_up_keeps_no_later_reading():
    user = member(boundary=START - 1_800)
    meters = [meter(user, 1, 0), meter(user, 2, 1)]
    case = situation(members=[user], meters=meters, waiting=[frame(1, 6, START), frame(2, 6, START)])
    assert not kinds(plan(case), SubmitReading)
    assert len(kinds(plan(replace(case, given_up={str(user.member): START - 900})), SubmitReading)) == 2
    assert kinds(plan(case), SettleSurplus)  # it is tried again all the same


@pytest.mark.finding("chain-4")
def test_nothing_is_settled_where_a_meter_stands_by_a_record_that_did_not_pass():
    user = member()
    meters = [meter(user, 1, 0, standing=START), meter(user, 2, 1, standing=START)]
    assert kinds(plan(situation(members=[user], meters=meters)), SettleSurplus)
    meters[1] = replace(meters[1], passed=False)
    assert not kinds(plan(situation(members=[user], meters=meters)), SettleSurplus)


def test_a_record_of_another_key_waits_for_its_key():
    user = member(settling_meters=1)
    other = bytes(32)
    case = situation(members=[user], meters=[meter(user, 1)], waiting=[frame(1, 6, START, key=other)])
    assert not kinds(plan(case), SubmitReading)
    renewed = meter(user, 1, key=other, sequence=None)
    (reading,) = kinds(
        plan(situation(members=[user], meters=[renewed], waiting=[frame(1, 1, START, key=other)])), SubmitReading
    )
    assert reading.frame.sequence == 1


def test_an_idle_meter_is_settled_by_itself():
    user = member(settling_meters=1)
    meters = [meter(user, 1, standing=START), meter(user, 2, active=False, standing=START, settled=START - 900)]
    actions = plan(situation(members=[user], meters=meters, rows=[]))
    assert [type(action) for action in actions] == [SettleSurplus, SettleIdleMeter]
    assert actions[0].meters == (meters[0],)
    meters[1] = replace(meters[1], settled=START)
    assert not kinds(plan(situation(members=[user], meters=meters, rows=[])), SettleIdleMeter)


PERIOD = replace(CONFIG, billing_period=4, billing_period_start=EPOCH)


@pytest.mark.finding("authority-02")
def test_what_was_bought_is_retired_for_its_period_before_anything_else():
    user = member(boundary=START, seat_wh=5_000, previous_withdrawal_wh=5_500, previous_retired_wh=500)
    policies = {str(user.member): StandingOrder(sell_at=90_000, buy_at=250_000)}
    case = situation(members=[user], books=[book()], policies=policies, config=PERIOD)
    (action,) = kinds(plan(case), Retire)
    assert (action.period, action.amount, action.from_seat, action.feed_in) == (3, 5_000, True, False)
    assert not kinds(plan(case), PlaceOrder)
    done = replace(user, seat_wh=0, previous_retired_wh=5_500)
    assert not kinds(
        plan(situation(members=[done], books=[book()], policies=policies, config=PERIOD)), Retire | PlaceOrder
    )


def test_a_member_retires_and_orders_in_one_round():
    """Each act is planned on what the one before it leaves in the seat and in the token account."""
    user = member(boundary=START, seat_wh=1_000, held_wh=2_000_000, open_withdrawal_wh=400)
    policies = {str(user.member): StandingOrder(sell_at=90_000, buy_at=250_000)}
    case = situation(members=[user], books=[book()], policies=policies)
    retirement, *orders = plan(case)
    assert (retirement.amount, retirement.from_seat) == (400, True)
    assert [(each.order.side, each.order.quantity, each.deposit) for each in orders] == [
        (ASK, 1_000_000, 999_400), (ASK, 1_000_000, 1_000_000), (ASK, 600, 600),
    ]  # fmt: skip
    done = replace(user, seat_wh=0, held_wh=0, retired_wh=400)  # as the chain has it then
    assert not plan(situation(members=[done], books=[book()], policies=policies))
    behind = replace(user, boundary=START - 900)
    rows = [row(EPOCH - 1), row()]
    (alone,) = plan(situation(members=[behind], books=[book()], rows=rows, policies=policies))
    assert isinstance(alone, Retire)  # its surplus of the last epoch comes before its orders


def test_a_transaction_retires_once_for_a_member():
    """The log tells of a retirement by its transaction and its member: the next one, and orders, wait for a round."""
    user = member(boundary=START, seat_wh=300, held_wh=900, open_withdrawal_wh=400)
    policies = {str(user.member): StandingOrder(sell_at=90_000, buy_at=250_000)}
    (retirement,) = plan(situation(members=[user], books=[book()], policies=policies))
    assert (retirement.amount, retirement.from_seat) == (300, True)
    then = replace(user, seat_wh=0, retired_wh=300)
    second, order = plan(situation(members=[then], books=[book()], policies=policies))
    assert (second.amount, second.from_seat) == (100, False)
    assert (order.order.side, order.order.quantity, order.deposit) == (ASK, 800, 800)


def test_bids_share_the_credit_of_seat_and_account():
    user = member(boundary=START, credit=600_000_000, seat_credit=30_000_000, open_withdrawal_wh=2_500_000)
    policies = {str(user.member): StandingOrder(buy_at=200_000)}
    orders = plan(situation(members=[user], books=[book()], policies=policies))
    assert [(each.order.quantity, each.deposit) for each in orders] == [
        (1_000_000, 190_000_000), (1_000_000, 220_000_000), (500_000, 110_000_000),
    ]  # fmt: skip


def test_orders_by_hand_go_together_up_to_a_cancellation_or_another_book():
    user = member(boundary=START, seat_wh=500, held_wh=1_000)

    def wished(number, wish):
        return HandOrder(number, str(user.member), wish, WAITING, "", None, 0)

    place = [wished(n, Wish(PLACE, EPOCH, ASK, 120_000 + n, 400)) for n in range(2)]
    cancel = wished(2, Wish(CANCEL, EPOCH, ASK, 120_000, 0, 7))
    later = wished(3, Wish(PLACE, EPOCH + 1, ASK, 120_000, 400))

    def planned(*orders, **rest):
        wishes = {str(user.member): orders}
        policies = {str(user.member): StandingOrder(sell_at=90_000)}
        return plan(situation(members=[user], books=[book()], policies=policies, by_hand=wishes, **rest))

    first, second, third = planned(*place, cancel, *place)
    assert [(each.by_hand, each.deposit) for each in (first, second)] == [(0, 0), (1, 300)]
    assert isinstance(third, CancelOrder)
    assert [each.by_hand for each in planned(*place, later)] == [0, 1]
    assert [each.by_hand for each in planned(later)] == [None]  # the standing order's, meanwhile


@pytest.mark.finding("authority-02")
@pytest.mark.parametrize(("epochs", "quantity"), [(0, 700), (6, 700), (7, 200), (8, 200)])
def test_the_last_withdrawal_of_a_period_is_still_bought_for_after_its_turn(epochs, quantity):
    user = member(boundary=START, previous_withdrawal_wh=500, open_withdrawal_wh=200)
    policies = {str(user.member): StandingOrder(buy_at=250_000)}
    config = replace(PERIOD, billing_period_start=EPOCH - epochs)
    (action,) = kinds(plan(situation(members=[user], books=[book()], policies=policies, config=config)), PlaceOrder)
    assert action.order.quantity == quantity  # what is bought in the eighth epoch comes too late


def test_what_a_member_wants_paid_out_is_paid_out_once_an_epoch():
    user = member(seat_wh=70, seat_credit=9, payout=Payout.ENERGY)
    case = situation(members=[user], rows=[])
    assert plan(case) == [PayOut(user, Payout.ENERGY, 70, case.chain.epoch)]
    assert not plan(replace(case, paid_out={f"energy of {user.member}"}))
    assert not plan(situation(members=[replace(user, held_wh=None)], rows=[]))  # it has no usable account


@pytest.mark.finding("authority-14")
def test_a_member_that_waits_for_a_meter_is_told_about_with_the_meter():
    user = member(boundary=START - 1_800)
    meters = [meter(user, 1, 0), meter(user, 2, 1, standing=START - 1_800)]
    waiting = [frame(1, 6, START)]
    assert not stalled_members(situation(members=[user], meters=meters, waiting=waiting, now=START + 299))
    (stalled,) = stalled_members(situation(members=[user], meters=meters, waiting=waiting, now=START + 300))
    assert (stalled.awaited, stalled.since, stalled.waiting) == ((meters[1],), START - 1_800, 1)
    silent = [replace(each, standing=START - 1_800) for each in meters]
    assert not stalled_members(situation(members=[user], meters=silent, now=START + 300))
