"""A member leaves: what is settled, what is paid out or fed in, and what is erased.

Each step waits for the one before it, and all of it may be done again until nothing is left. The member's energy is
retired for what it drew, its own surplus is fed in, and its credits are redeemed: that sum the department owes it in
money, and the next payment file has it (authority.billing.payouts). Then the chain closes the member, and its name,
building and key are erased here; its bank account goes when it is paid. The log and the chain know it by its address
alone, and keep that.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authority.billing import credits
from authority.chain import accounts
from authority.enrolment import wallets
from authority.enrolment.steps import Done
from authority.log import log
from authority.operations import tickets
from authority.operations.chain_state import (
    MemberOnChain,
    full_name,
    member_of,
    member_on_chain,
    meter_on_chain,
    waiting,
)
from authority.operations.desk import CLOSED, Desk
from authority.operations.errors import LeftError
from authority.operations.members import set_status
from authority.operations.tokens import ENERGY, MOST_AT_ONCE, Holder
from authority.store.billing import CreditEntry
from authority.store.market import StandingOrderPolicy
from authority.store.metering import METER_RETIRED, Meter
from authority.store.people import FORMER_MEMBER, User

LEAVING = "leaving-"
"""Begins the reference under which a leaving member's credits are taken back: there is no transfer of a bank yet."""


def leave(desk: Desk, name: str, *, forfeit: bool = False) -> Done:
    """Take a member out: see above. With forfeit it gives up energy that it bought and did not use.

    NotFoundError, LeftError. What waits is a step with what to do.
    """
    done = desk.begin("leave", name)
    with desk.app.store.read() as session:
        user = member_of(session, name)
    if user.left_at is not None:
        raise LeftError(f"{name} has left already")
    found = member_on_chain(desk.client, user)
    if not _without_meters(desk, done, user) or not _without_orders(desk, done, user, found):
        return done
    if found is not None:
        if not _settle_up(desk, done, user, found, forfeit=forfeit):
            return done
        set_status(desk, done, user, found.user, CLOSED)
    _erase(desk, done, user, found)
    return done


def _without_meters(desk: Desk, done: Done, user: User) -> bool:
    with desk.app.store.read() as session:
        meters = list(session.scalars(select(Meter).where(Meter.user_id == user.id).order_by(Meter.id)))
        left = [meter for meter in meters if meter.state != METER_RETIRED]
        on_their_way = {meter.id: waiting(session, meter) for meter in meters}
    for meter in left:
        name = full_name(meter)
        todo = (
            f"{name} is still {user.name}'s: authority meters reassign {name} --to MEMBER, or authority meters retire "
            f"{name}"
        )
        desk.note(done, f"meter {name}", "in_use", todo)
    for meter in meters:
        on_chain = None if meter in left else meter_on_chain(desk.client, meter)
        if on_chain is not None and not on_chain.settled:
            todo = f"what {full_name(meter)} drew is booked in the next round of settlement; then do this again"
            desk.note(done, f"meter {full_name(meter)}", "not_settled", todo)
            left.append(meter)
        elif meter not in left and on_their_way[meter.id]:
            desk.note(
                done, f"meter {full_name(meter)}", f"{on_their_way[meter.id]} readings were left out when it ended"
            )
    return not left


def _without_orders(desk: Desk, done: Done, user: User, found: MemberOnChain | None) -> bool:
    """No new orders, and none that still lock something."""
    with desk.app.store.read() as session:
        has_order = session.get(StandingOrderPolicy, user.id) is not None
    if has_order:
        if not desk.dry_run:
            with desk.app.store.write() as session:
                session.execute(delete(StandingOrderPolicy).where(StandingOrderPolicy.user_id == user.id))
                data = {"wallet": user.wallet}
                log.record_act(session, "standing_order_removed", desk.actor, desk.app.clock(), data)
        desk.note(done, "standing order", "would end" if desk.dry_run else "ended", changed=True)
    orders = [] if found is None else list(found.balances.orders)
    if orders:
        last = max(int(order["epoch"]) for order in orders)
        todo = (
            f"{len(orders)} orders of {user.name} wait for the end of epoch {last}; once it is cleared, do this again"
        )
        desk.note(done, "orders", "in_the_book", todo)
    return not orders


def _settle_up(desk: Desk, done: Done, user: User, found: MemberOnChain, *, forfeit: bool) -> bool:
    """Retire, feed in, redeem; whether nothing is left in the department's custody."""
    if user.sealed_key is None:
        if found.balances.seat_wh or found.balances.seat_credit:
            said = f"{found.balances.seat_wh} Wh and {found.balances.seat_credit} micro-credits"
            desk.note(done, "seat", f"{said} stay {user.name}'s to withdraw, with its own key, at any time")
        return True
    if desk.dry_run:
        plan = _plan(desk, found)
        done.facts |= plan
        desk.note(done, "energy", f"{plan['retired_wh']} Wh would be retired, {plan['fed_in_wh']} Wh fed in")
        if plan["left_wh"] and not forfeit:
            desk.note(done, "energy", "left_over", _left_over(user, plan["left_wh"]))
            return False
        desk.note(done, "credits", "would be redeemed, and are to be paid out in money")
        return True
    holder = Holder(desk, found.user, wallets.unseal(desk.app.home, user))
    told = {"retired_wh": 0, "fed_in_wh": 0, "redeemed": 0, "left_wh": 0}
    if found.balances.seat_wh:
        holder.withdraw(ENERGY, found.balances.seat_wh)
    for amount, period, feed_in in _retirements(desk, found):
        holder.retire(amount, period, feed_in=feed_in, from_seat=False)
        told["fed_in_wh" if feed_in else "retired_wh"] += amount
    told["redeemed"] = _redeem(desk, user)
    after = member_on_chain(desk.client, user)
    assert after is not None  # noqa: S101 - it was there
    told["left_wh"] = after.balances.energy
    done.facts |= told
    if told["retired_wh"] or told["fed_in_wh"]:
        desk.note(done, "energy", f"{told['retired_wh']} Wh retired, {told['fed_in_wh']} Wh fed in", changed=True)
    if told["redeemed"]:
        said = f"{told['redeemed'] // 1_000_000}.{told['redeemed'] % 1_000_000:06}"
        desk.note(
            done, "credits", f"{said} redeemed: they are owed in money, and in the next payment file", changed=True
        )
    if told["left_wh"] and not forfeit:
        desk.note(done, "energy", "left_over", _left_over(user, told["left_wh"]))
        return False
    return True


def _left_over(user: User, left_wh: int) -> str:
    return (
        f"{left_wh} Wh are left that {user.name} bought and did not draw, which cannot be fed in: let a standing order "
        "sell them first, or say --forfeit"
    )


def _redeem(desk: Desk, user: User) -> int:
    """Take all of its credits back, and keep that they are owed; how many were, in this run and those before it.

    Kept before anything is sent, as every payout is, so nothing is taken back that nobody is owed. Micro-credits;
    BillingError `booking_undecided` while an earlier run's may still land.
    """
    landed = [
        entry
        for entry in map(partial(credits.settle, desk.app, desk.client), _leaving_entries(desk, user))
        if entry.state == credits.LANDED
    ]
    found = member_on_chain(desk.client, user)
    amount = 0 if found is None else (found.balances.wallet_credit or 0) + found.balances.seat_credit
    if amount:
        reference = f"{LEAVING}{user.wallet}-{len(landed) + 1}"
        landed.append(credits.pay_out(desk.app, desk.client, user, amount, reference, actor=desk.actor))
    return -sum(entry.amount for entry in landed)


def _leaving_entries(desk: Desk, user: User) -> list[CreditEntry]:
    its = CreditEntry.reference.startswith(f"{LEAVING}{user.wallet}-", autoescape=True)
    with desk.app.store.read() as session:
        return list(session.scalars(select(CreditEntry).where(its).order_by(CreditEntry.log_index)))


def _retirements(desk: Desk, found: MemberOnChain) -> list[tuple[int, int, bool]]:
    """What is burnt of its energy, in order: amount (Wh), period, whether it is fed in."""
    config, energy, retirement = desk.config(), found.energy, found.retirement
    if energy is None:
        return []
    left, planned = (found.balances.wallet_wh or 0) + found.balances.seat_wh, []
    period = config.billing_period
    for number, owed in _owed(config, desk.epoch(), energy, retirement):
        amount = min(left, owed, MOST_AT_ONCE)
        if amount > 0:
            planned.append((amount, number, False))
            left -= amount
    fed_in = 0 if retirement is None else retirement.feed_in_total
    surplus = min(left, max(0, energy.minted - fed_in), MOST_AT_ONCE)
    if surplus > 0:
        planned.append((surplus, period, True))
    return planned


def _owed(config: accounts.Config, epoch: int, energy: Any, retirement: Any) -> list[tuple[int, int]]:
    """Withdrawals not covered yet: of the period before, while it still takes retirements, and of the open one."""
    period = config.billing_period

    def of(account: Any, opened: str, before: str) -> tuple[int, int]:
        if account is None:
            return 0, 0
        if account.period == period:
            return getattr(account, before), getattr(account, opened)
        return (getattr(account, opened), 0) if account.period == period - 1 else (0, 0)

    drawn = of(energy, "withdrawals_open", "withdrawals_previous")
    retired = of(retirement, "consumption_open", "consumption_previous")
    owed = [(period, drawn[1] - retired[1])]
    if period and epoch < config.billing_period_start + accounts.RETIREMENT_GRACE_EPOCHS:
        owed.insert(0, (period - 1, drawn[0] - retired[0]))
    return owed


def _plan(desk: Desk, found: MemberOnChain) -> dict[str, int]:
    planned = _retirements(desk, found)
    return {
        "retired_wh": sum(amount for amount, _, feed_in in planned if not feed_in),
        "fed_in_wh": sum(amount for amount, _, feed_in in planned if feed_in),
        "left_wh": found.balances.energy - sum(amount for amount, _, _ in planned),
        "credit_before_feed_in": found.balances.credit,
    }


def _erase(desk: Desk, done: Done, user: User, found: MemberOnChain | None) -> None:
    done.facts["erased"] = ["name", "building", "key of its wallet"]
    done.facts["next"] = [f"take {user.name!r} out of the campus plan: loaded with it, that makes a new member"]
    if desk.dry_run:
        desk.note(done, f"member {user.name}", "name, building and key would be erased")
        return
    with desk.app.store.write() as session:
        log.lock(session)
        kept = session.get_one(User, user.id)
        kept.name, kept.building, kept.public = _former_name(session, user, found), "", False
        kept.sealed_key = kept.next_wallet = kept.next_sealed_key = None
        kept.left_at = desk.app.clock()
        tickets.forget_words(session, user.id)
        data = {"reason": desk.reason, "wallet": user.wallet}
        data |= {name: done.facts.get(name, 0) for name in ("retired_wh", "fed_in_wh", "redeemed", "left_wh")}
        log.record_act(session, "member_left", desk.actor, desk.app.clock(), data)
    desk.note(
        done, f"member {user.name}", f"has left: name, building and key are erased; now {kept.name}", changed=True
    )


def _former_name(session: Session, user: User, found: MemberOnChain | None) -> str:
    """A name that says nothing and is nobody else's: by its index on the chain, or by its address."""
    named = "" if found is None else f"{FORMER_MEMBER}{found.user.member_index}"
    if named and session.scalar(select(User.id).where(User.name == named)) is None:
        return named
    return f"{FORMER_MEMBER}{user.wallet[:8]}"
