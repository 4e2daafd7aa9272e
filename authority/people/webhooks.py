"""Webhooks of members: made, ended and listed, what they are told of, and what became of each message.

A message is a POST of JSON with `Campus-Signature: t=UNIX,v1=HEX`, HEX being HMAC-SHA256 of `UNIX.BODY` by the secret,
as the department's own webhook has it. It may come twice: its `id` stays. Energies are Wh, amounts micro-credits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from authority.billing.bill import trades_of
from authority.chain.accounts import EpochBook
from authority.log import log
from authority.market.book_leaf import book_of_leaf
from authority.people import secrets
from authority.people.errors import WebhookInvalidError, WebhookUnknownError
from authority.people.roles import MEMBER, Principal
from authority.store.billing import IssuedBill
from authority.store.metering import METER_ACTIVE, Frame, Meter
from authority.store.people import User
from authority.store.persons import PersonRole, Webhook, WebhookDelivery
from authority.store.settlement import SettlementEpoch

BILL_ISSUED, ORDER_FILLED, EPOCH_CLEARED, METER_SILENT = EVENTS = (
    "bill_issued", "order_filled", "epoch_cleared", "meter_silent",
)  # fmt: skip
WAITING, DELIVERED, GIVEN_UP = "waiting", "delivered", "given_up"
MOST = 5
MOST_TRIES, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 12, 60, 3_600
"""More than eight hours of a receiver that is away."""
CLAIM_SECONDS = 300
"""For how long a message that is on its way is nobody else's."""
KEPT_SECONDS = 30 * 86_400
SILENT_EPOCHS = 4
"""A meter is silent whose last reading ended so many epochs ago."""
EPOCHS_AT_ONCE, SHOWN = 96, 50
LONGEST_TOLD = 300


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that is to leave now: where to, with which secret it is signed, and what it says."""

    id: int
    url: str
    secret: str
    body: bytes


def make(session: Session, owner: Principal, url: str, events: Sequence[str], now: int, epoch: int) -> tuple[str, str]:
    """A new webhook's id and secret; it tells of what happens from now on. Logged. WebhookInvalidError.

    The caller has looked whether the address may be sent to (authority.people.outside).
    """
    wanted = [each for each in EVENTS if each in events]
    if not wanted or len(wanted) != len(set(events)):
        raise WebhookInvalidError(f"a webhook tells of one event or more of: {', '.join(EVENTS)}")
    count = select(func.count()).select_from(Webhook).where(Webhook.person_id == owner.person_id)
    if (session.scalar(count) or 0) >= MOST:
        raise WebhookInvalidError(f"you have {MOST} webhooks already: end one that is not needed")
    secret, _ = secrets.make()
    made = Webhook(
        id=secrets.public_id(),
        person_id=owner.person_id,
        url=url,
        events=" ".join(wanted),
        secret=secret,
        created_at=now,
        bill_after=session.scalar(select(func.max(IssuedBill.number))) or 0,
        epoch_after=epoch - 1,
        stopped_at=None,
    )
    session.add(made)
    session.flush()
    log.record_act(session, "webhook_made", owner.actor, now, {"events": wanted, "webhook": made.id})
    return made.id, secret


def listed(session: Session, owner: Principal) -> list[dict[str, Any]]:
    """A person's webhooks, without their secrets."""
    its = select(Webhook).where(Webhook.person_id == owner.person_id).order_by(Webhook.created_at, Webhook.id)
    return [
        {
            "webhook": each.id,
            "url": each.url,
            "events": each.events.split(),
            "created_at": each.created_at,
            "stopped_at": each.stopped_at,
        }
        for each in session.scalars(its)
    ]


def deliveries(session: Session, owner: Principal, id: str, before: int | None = None) -> list[dict[str, Any]]:
    """The newest messages of a webhook, at most 51, older than that number; WebhookUnknownError."""
    _own(session, owner, id)
    older = () if before is None else (WebhookDelivery.id < before,)
    its = select(WebhookDelivery).where(WebhookDelivery.webhook_id == id, *older)
    return [
        {
            "id": each.id,
            "event": each.event,
            "state": each.state,
            "tries": each.tries,
            "made_at": each.made_at,
            "told": each.told,
        }
        for each in session.scalars(its.order_by(WebhookDelivery.id.desc()).limit(SHOWN + 1))
    ]


def end(session: Session, owner: Principal, id: str, now: int) -> None:
    """End a webhook of one's own, with its messages; WebhookUnknownError. Logged."""
    found = _own(session, owner, id)
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.webhook_id == id))
    session.delete(found)
    session.flush()
    log.record_act(session, "webhook_ended", owner.actor, now, {"webhook": id})


def resume(session: Session, owner: Principal, id: str, now: int) -> None:
    """Switch a webhook on again; what was given up stays so, what waits goes at once. WebhookUnknownError."""
    found = _own(session, owner, id)
    found.stopped_at = None
    waits = (WebhookDelivery.webhook_id == id, WebhookDelivery.state == WAITING)
    session.execute(update(WebhookDelivery).where(*waits).values(next_at=now, tries=0))


def _own(session: Session, owner: Principal, id: str) -> Webhook:
    found = session.get(Webhook, id)
    if found is None or found.person_id != owner.person_id:
        raise WebhookUnknownError
    return found


# What there is to tell


def collect(session: Session, now: int, epoch_seconds: int) -> int:
    """Note what there is to tell, each thing once for a webhook; how many messages that are."""
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.made_at < now - KEPT_SECONDS))
    made = 0
    for hook in session.scalars(select(Webhook).where(Webhook.stopped_at.is_(None)).order_by(Webhook.id)):
        role = session.get(PersonRole, (hook.person_id, MEMBER))
        user = None if role is None or role.member_id is None else session.get(User, role.member_id)
        if user is None or user.left_at is not None:
            continue
        wanted = set(hook.events.split())
        for event, subject, data in (*_bills(session, hook, user), *_epochs(session, hook, user, epoch_seconds)):
            made += event in wanted and _note(session, hook, event, subject, data, now)
        if METER_SILENT in wanted:
            for subject, data in _silent(session, hook, user, now, epoch_seconds):
                made += _note(session, hook, METER_SILENT, subject, data, now)
    return made


def _note(session: Session, hook: Webhook, event: str, subject: str, data: Mapping[str, object], now: int) -> bool:
    its = (WebhookDelivery.webhook_id == hook.id, WebhookDelivery.subject == subject)
    if session.scalar(select(WebhookDelivery.id).where(*its)) is not None:
        return False
    body = {"data": data, "event": event, "id": f"{hook.id}:{subject}", "time": now}
    session.add(
        WebhookDelivery(
            webhook_id=hook.id, person_id=hook.person_id, event=event, subject=subject, body=json.dumps(body),
            state=WAITING, tries=0, made_at=now, next_at=now, told="",
        )
    )  # fmt: skip
    session.flush()
    return True


def _bills(session: Session, hook: Webhook, user: User) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    its = (IssuedBill.wallet == user.wallet, IssuedBill.number > hook.bill_after)
    found = session.execute(
        select(IssuedBill.number, IssuedBill.period, IssuedBill.due).where(*its).order_by(IssuedBill.number)
    ).all()
    for row in found:
        hook.bill_after = row.number
        data = {"bill": row.number, "due_micro_credits": row.due, "period": row.period}
        yield BILL_ISSUED, f"bill:{row.number}", data


def _epochs(
    session: Session, hook: Webhook, user: User, epoch_seconds: int
) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Final books, in their order, and the member's fills in them; what may not be told of a book is null."""
    rows = session.execute(
        select(SettlementEpoch.epoch, SettlementEpoch.book_log_index, SettlementEpoch.publishable)
        .where(SettlementEpoch.epoch > hook.epoch_after, SettlementEpoch.book_log_index.is_not(None))
        .order_by(SettlementEpoch.epoch)
        .limit(EPOCHS_AT_ONCE)
    ).all()
    for row in rows:
        hook.epoch_after = row.epoch
        data = book_of_leaf(log.leaf(session, row.book_log_index))
        head = EpochBook.from_account(data)
        told = bool(row.publishable)
        cleared = {
            "ended_at": (row.epoch + 1) * epoch_seconds,
            "epoch": row.epoch,
            "price_micro_credits_per_kwh": head.price if told else None,
            "traded_wh": head.volume if told else None,
        }
        yield EPOCH_CLEARED, f"epoch:{row.epoch}", cleared
        if user.member_index is None:
            continue
        for place, trade in enumerate(trades_of(data, member=user.member_index)):
            filled = {
                "amount_micro_credits": abs(trade.amount + trade.charge),
                "epoch": row.epoch,
                "filled_wh": trade.wh,
                "price_micro_credits_per_kwh": head.price,
                "side": "bid" if trade.is_bid else "ask",
            }
            yield ORDER_FILLED, f"fill:{row.epoch}:{place}", filled


def _silent(
    session: Session, hook: Webhook, user: User, now: int, epoch_seconds: int
) -> Iterator[tuple[str, Mapping[str, object]]]:
    for meter in session.scalars(select(Meter).where(Meter.user_id == user.id, Meter.state == METER_ACTIVE)):
        newest = select(Frame.interval_end).where(Frame.meter_pk == meter.id).order_by(Frame.log_index.desc()).limit(16)
        last = max(session.scalars(newest), default=None)
        if last is not None and last < now - SILENT_EPOCHS * epoch_seconds and now > hook.created_at:
            data = {"last_reading_at": last, "meter": f"{meter.gateway_name}/{meter.name}"}
            yield f"silent:{meter.id}:{last}", data


# Sending


def claim(session: Session, now: int) -> Claimed | None:
    """A message that is due, for a while nobody else's; None where nothing is."""
    put_off_by_a_clock_that_went_back = WebhookDelivery.next_at > now + LONGEST_WAIT_SECONDS
    is_due = or_(WebhookDelivery.next_at <= now, put_off_by_a_clock_that_went_back)
    found = session.execute(
        select(WebhookDelivery, Webhook)
        .join(Webhook, Webhook.id == WebhookDelivery.webhook_id)
        .where(WebhookDelivery.state == WAITING, is_due, Webhook.stopped_at.is_(None))
        .order_by(WebhookDelivery.next_at, WebhookDelivery.id)
        .limit(1)
        .with_for_update(of=WebhookDelivery, skip_locked=True)
    ).one_or_none()
    if found is None:
        return None
    delivery, hook = found
    delivery.tries, delivery.next_at = delivery.tries + 1, now + CLAIM_SECONDS
    return Claimed(delivery.id, hook.url, hook.secret, delivery.body.encode())


def delivered(session: Session, id: int) -> None:
    """A message was taken."""
    found = session.get(WebhookDelivery, id)
    if found is not None:
        found.state, found.told = DELIVERED, ""


def failed(session: Session, id: int, why: str, now: int) -> None:
    """A message was not taken: it is tried again later, and after twelve tries its webhook is switched off."""
    found = session.get(WebhookDelivery, id)
    if found is None:
        return
    found.told = why[:LONGEST_TOLD]
    if found.tries < MOST_TRIES:
        found.next_at = now + min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS << (found.tries - 1))
        return
    found.state = GIVEN_UP
    hook = session.get_one(Webhook, found.webhook_id)
    hook.stopped_at = hook.stopped_at or now
