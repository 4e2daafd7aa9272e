"""Tokens that members move by hand, in the store: asked for on the pages or by a program, carried out by settlement.

Whoever asks has no key; settlement signs with the custodial one, as for orders by hand. A wish is done once. It is
`waiting` as long as it can be taken back, `going` from when settlement has taken it up, `sent` (with its transaction's
signature, in one commit with what keeps it from being signed a second time) until the chain says what became of it,
then `done` or `refused` for good, or `taken_back`. What never reached the chain is `going` again. Energies are Wh,
credits micro-credits, times Unix seconds.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from authority.figures import credits, kilowatt_hours
from authority.home.settings import TransferSettings
from authority.language.reading import gettext
from authority.log import log
from authority.market.policies import MarketError
from authority.store.base import table_of
from authority.store.market import TRANSFER_OPEN, MemberCode, TransferRow
from authority.store.people import User, user_named

DEPOSIT, WITHDRAW, GIVE = ACTS = ("deposit", "withdraw", "give")
ENERGY, CREDIT = ASSETS = ("energy", "credit")
WAITING, GOING, SENT, DONE, REFUSED, TAKEN_BACK = "waiting", "going", "sent", "done", "refused", "taken_back"
MOST_A_DAY = 100
"""How many transfers a member may ask for in 24 hours."""
DAY_SECONDS = 86_400
LONGEST_TOLD = 300
MAX_AMOUNT = 2**63 - 1
CODE_BYTES = 16


class TransfersFullError(MarketError):
    """A member asked for too many transfers in a day."""

    code = "transfers_full"


class TransferLimitError(MarketError):
    """A gift beyond what a member may give in a day."""

    code = "transfer_limit"


class TransferKeyUsedError(MarketError):
    """An idempotency key that stands for another transfer."""

    code = "transfer_key_used"


class TransferGoneError(MarketError):
    """A transfer that is under way or decided: it cannot be taken back any more."""

    code = "transfer_gone"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be moved: an act, energy or credit, how much, and (give) to which member, by its row."""

    act: str
    asset: str
    amount: int
    to: int | None = None

    @property
    def words(self) -> str:
        """The amount, as people read it."""
        return amount_words(self.asset, self.amount)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A wish of the member that the wallet names, and what became of it; told is why it was refused.

    to_wallet names who is given to. goes_at is when it may no longer be taken back.
    """

    id: int
    user_id: int
    wallet: str
    to_wallet: str | None
    wish: Wish
    state: str
    told: str
    signature: str | None
    asked_at: int
    goes_at: int


def amount_words(asset: str, amount: int) -> str:
    """Wh as kWh, micro-credits as credits."""
    return kilowatt_hours(amount) if asset == ENERGY else gettext("%(credits)s credits", credits=credits(amount))


def ask(
    session: Session, user_id: int, wish: Wish, key: str, *, by: str, now: int, limits: TransferSettings
) -> Transfer:
    """Ask for it once for the key (a member's own; at most 64 characters), and log who asked.

    `transfer_key_used` where the key stands for something else, `transfer_limit` beyond what may be given in a day,
    `transfers_full` beyond 100 in a day.
    """
    user = session.get_one(User, user_id, with_for_update=True)  # two that come at once are one after the other
    known = of_key(session, user_id, key)
    if known is not None:
        if known.wish != wish:
            raise TransferKeyUsedError("this idempotency key stands for another transfer: use a new one for each")
        return known
    require_within_limits(session, user_id, wish, now=now, limits=limits)
    row = TransferRow(
        user_id=user_id, to_user_id=wish.to, request_key=key, act=wish.act, asset=wish.asset, amount=wish.amount,
        state=WAITING, told="", asked_at=now, goes_at=now + (limits.take_back_seconds if wish.act == GIVE else 0),
    )  # fmt: skip
    session.add(row)
    session.flush()
    data: dict[str, object] = {"act": wish.act, "amount": wish.amount, "asset": wish.asset, "wallet": user.wallet}
    if wish.to is not None:
        data["to"] = session.get_one(User, wish.to).wallet
    log.record_act(session, "transfer_asked", by, now, data)
    return one(session, row.id)


def require_within_limits(
    session: Session, user_id: int, wish: Wish, *, now: int, limits: TransferSettings
) -> tuple[int, int]:
    """What was given of the asset in the last 24 hours, and the most; errors as `ask`."""
    newest = session.scalars(
        select(TransferRow).where(TransferRow.user_id == user_id).order_by(TransferRow.id.desc()).limit(MOST_A_DAY)
    ).all()
    late = [row for row in newest if row.asked_at > now - DAY_SECONDS]
    if len(late) == MOST_A_DAY:
        raise TransfersFullError(f"you asked for {MOST_A_DAY} transfers in the last 24 hours: wait for a while")
    most = limits.energy_a_day_wh if wish.asset == ENERGY else limits.credits_a_day
    given = sum(
        row.amount
        for row in late
        if (row.act, row.asset) == (GIVE, wish.asset) and row.state not in (REFUSED, TAKEN_BACK)
    )
    if wish.act == GIVE and given + wish.amount > most:
        raise TransferLimitError(
            f"you may give {amount_words(wish.asset, most)} in 24 hours, and gave {amount_words(wish.asset, given)} of "
            "that already"
        )
    return given, most


def take_back(session: Session, user_id: int, number: int, *, by: str, now: int) -> Transfer | None:
    """Take a wish back that settlement has not taken up; twice is once. Logged. None where the member has none such.

    `transfer_gone` where it is under way or decided.
    """
    row = session.get(TransferRow, number, with_for_update=True)
    if row is None or row.user_id != user_id:
        return None
    if row.state == WAITING:
        mine = update(TransferRow).where(TransferRow.id == number, TransferRow.state == WAITING)
        taken: Any = session.execute(mine.values(state=TAKEN_BACK))
        if taken.rowcount:
            data = {"act": row.act, "amount": row.amount, "asset": row.asset}
            wallet = session.get_one(User, user_id).wallet
            log.record_act(session, "transfer_taken_back", by, now, {**data, "wallet": wallet})
    session.refresh(row)
    if row.state != TAKEN_BACK:
        raise TransferGoneError("this transfer is under way or decided already, and cannot be taken back")
    return one(session, number)


# Looking

_TO = aliased(User)
_ROWS = (
    select(*table_of(TransferRow).columns, User.wallet, _TO.wallet.label("to_wallet"))
    .join(User, User.id == TransferRow.user_id)
    .outerjoin(_TO, _TO.id == TransferRow.to_user_id)
)


def one(session: Session, number: int) -> Transfer:
    """A transfer that is there."""
    return _of(session.execute(_ROWS.where(TransferRow.id == number)).one())


def of_key(session: Session, user_id: int, key: str) -> Transfer | None:
    """What a member asked for under a key."""
    its = _ROWS.where(TransferRow.user_id == user_id, TransferRow.request_key == key)
    found = session.execute(its).one_or_none()
    return None if found is None else _of(found)


def of_member(session: Session, user_id: int, *, before: int | None, limit: int) -> list[Transfer]:
    """What a member moved, and what it was given, the newest first; before: older than that number."""
    older = () if before is None else (TransferRow.id < before,)
    newest = _ROWS.where(*older).order_by(TransferRow.id.desc()).limit(limit)
    own = session.execute(newest.where(TransferRow.user_id == user_id))
    got = session.execute(newest.where(TransferRow.to_user_id == user_id, TransferRow.state == DONE))
    found = sorted((*own, *got), key=lambda row: row.id, reverse=True)
    return [_of(row) for row in found[:limit]]


def code_of(session: Session, user_id: int) -> str | None:
    """What a member's QR code says; None before the first."""
    found = session.get(MemberCode, user_id)
    return None if found is None else found.code


def new_code(session: Session, user_id: int, now: int) -> str:
    """A new code for a member; the former one leads nowhere from now on."""
    made = MemberCode(user_id=user_id, code=secrets.token_urlsafe(CODE_BYTES), made_at=now)
    return session.merge(made).code


def by_code(session: Session, code: str) -> User | None:
    """Whose code this is, as long as the member is in the market."""
    its = select(User).join(MemberCode, MemberCode.user_id == User.id)
    return session.scalar(its.where(MemberCode.code == code, User.left_at.is_(None)))


def by_name(session: Session, name: str) -> User | None:
    """The member of exactly this name, as long as it is in the market."""
    found = user_named(session, name)
    return None if found is None or found.left_at is not None else found


# For settlement

_OPEN = _ROWS.where(TRANSFER_OPEN).order_by(TransferRow.id)


def open_transfers(session: Session) -> list[Transfer]:
    """What is not decided yet, the oldest first."""
    return [_of(row) for row in session.connection().execute(_OPEN)]


def take_up(session: Session, ids: Sequence[int]) -> None:
    """These go now, but for those that were taken back meanwhile: what goes cannot be taken back any more."""
    session.execute(
        update(TransferRow).where(TransferRow.id.in_(ids), TransferRow.state == WAITING).values(state=GOING)
    )  # fmt: skip


def mark(session: Session, ids: Sequence[int], state: str, *, told: str = "", signature: str | None = None) -> None:
    """What became of these; nothing that is decided changes any more."""
    values: dict[str, object] = {"state": state, "told": told[:LONGEST_TOLD]}
    if state in (SENT, GOING):
        values["signature"] = signature
    session.execute(update(TransferRow).where(TransferRow.id.in_(ids), TRANSFER_OPEN).values(**values))


def undo(session: Session, signatures: Sequence[str], told: str) -> None:
    """These transactions are on the chain no more: what they moved was not moved, and has to be asked for again."""
    its = TransferRow.signature.in_(signatures)
    session.execute(update(TransferRow).where(its, TransferRow.state == DONE).values(state=REFUSED, told=told))


def _of(row: Any) -> Transfer:
    wish = Wish(row.act, row.asset, row.amount, row.to_user_id)
    return Transfer(
        row.id, row.user_id, row.wallet, row.to_wallet, wish, row.state, row.told, row.signature, row.asked_at,
        row.goes_at,
    )  # fmt: skip
