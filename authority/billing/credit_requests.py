"""Top-ups and payouts asked for on the treasurer's page, which the settlement process books.

The pages have none of the keys that move credits (authority.home.keyring), so they only ask; whoever has the keys books
what was asked by the same services as `authority credits`, in the name of who asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import select, true
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing import credits
from authority.billing.errors import BookingUndecidedError, ReferenceUsedError
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError, ProgramError, TransactionFailedError
from authority.errors import AuthorityError
from authority.log import log
from authority.rounds import rounds
from authority.store.billing import CreditEntry, CreditRequest
from authority.store.people import User
from edge_agent.wire.log import StructuredLog

WAITING, BOOKED, REFUSED = "waiting", "booked", "refused"
PAUSE_SECONDS = 5.0
LONGEST_TOLD = 300
PAGE = 50
LATEST = 2**62

LOG = StructuredLog(__name__)


@dataclass(frozen=True, slots=True)
class Booking:
    """A top-up or payout (negative), micro-credits: asked for on the page, or booked by command."""

    reference: str
    wallet: str
    amount: int
    state: str
    told: str
    at: int
    by: str


def ask(app: App, name: str, amount: int, reference: str, confirmed: int | None, *, actor: str) -> bool:
    """Ask for a top-up (amount above 0) or payout (below) in micro-credits; whether it was not asked for already.

    BillingErrors of `credits.check`, and `reference_used` where the reference stands for something else.
    """
    reference = credits.as_reference(app, reference)
    user = credits.check(app, name, abs(amount), reference, confirmed)
    with app.store.write() as session:
        log.lock(session)  # of two who ask at once the second one sees what the first one asked
        entry, before = session.get(CreditEntry, reference), session.get(CreditRequest, reference)
        known = [each for each in (entry, before) if each is not None and each.state not in (credits.FAILED, REFUSED)]
        if any((each.wallet, each.amount) != (user.wallet, amount) for each in known):
            raise ReferenceUsedError(f"{reference!r} was booked already, for another member or amount")
        if known:
            return False
        session.merge(
            CreditRequest(
                reference=reference, wallet=user.wallet, amount=amount, state=WAITING, told="", asked_at=app.clock(),
                asked_by=actor,
            )
        )  # fmt: skip
        return True


@dataclass(frozen=True, slots=True)
class Bookings:
    """Some bookings, the newest first; older is the moment before which the next ones are, None at the end."""

    rows: tuple[Booking, ...]
    older: int | None


_STATES = {
    **dict.fromkeys(credits.DECIDED, WAITING),
    **dict.fromkeys(credits.DECIDED.values(), BOOKED),
    credits.FAILED: REFUSED,
}
_ASKED = tuple((CreditRequest.asked_at, CreditRequest.state == state) for state in (WAITING, REFUSED))
"""Requests that may not be booked; of the others the entry says all."""
_TIMES = (*_ASKED, (CreditEntry.entered_at, true()))


def bookings(session: Session, before: int | None = None, most: int = PAGE) -> Bookings:
    """What was asked for and what was booked, each reference once; all of the same second stand together."""
    until = LATEST if before is None else before
    times = sorted(
        (
            at
            for column, which in _TIMES
            for at in session.scalars(select(column).where(which, column < until).order_by(column.desc()).limit(most))
        ),
        reverse=True,
    )
    since = times[most - 1] if len(times) >= most else 0
    found = dict[str, Booking]()
    for column, which in _ASKED:
        for each in session.scalars(select(CreditRequest).where(which, column >= since, column < until)):
            found[each.reference] = Booking(
                each.reference, each.wallet, each.amount, each.state, each.told, each.asked_at, each.asked_by
            )
    entries = select(CreditEntry).where(CreditEntry.entered_at >= since, CreditEntry.entered_at < until)
    for entry in session.scalars(entries):
        if _STATES[entry.state] == BOOKED or session.get(CreditRequest, entry.reference) is None:
            found[entry.reference] = Booking(
                entry.reference, entry.wallet, entry.amount, _STATES[entry.state], "", entry.entered_at,
                entry.entered_by,
            )  # fmt: skip
    more = any(
        session.scalar(select(column).where(which, column < since).order_by(column.desc()).limit(1)) is not None
        for column, which in _TIMES
    )
    rows = sorted(found.values(), key=lambda each: (-each.at, each.reference))
    return Bookings(tuple(rows), since if more else None)


def book_waiting(app: App, client: ChainClient) -> int:
    """Book what was asked for; how much of it is booked now. What cannot be known yet waits, and is tried again."""
    with app.store.read() as session:
        asked = list(
            session.scalars(
                select(CreditRequest)
                .where(CreditRequest.state == WAITING)
                .order_by(CreditRequest.asked_at, CreditRequest.reference)
            )
        )
        users = {user.wallet: user for user in session.scalars(select(User))} if asked else {}
    count = 0
    for each in asked:
        act = credits.top_up if each.amount > 0 else credits.pay_out
        try:
            act(app, client, users[each.wallet], abs(each.amount), each.reference, actor=each.asked_by)
        except (TransactionFailedError, ProgramError) as error:
            _mark(app, each.reference, REFUSED, str(error))
        except (ChainError, BookingUndecidedError) as error:
            _mark(app, each.reference, WAITING, str(error))
        except AuthorityError as error:
            _mark(app, each.reference, REFUSED, str(error))
        else:
            _mark(app, each.reference, BOOKED, "")
            count += 1
    return count


def _mark(app: App, reference: str, state: str, told: str) -> None:
    with app.store.write() as session:
        row = session.get(CreditRequest, reference)
        if row is not None:
            row.state, row.told = state, told[:LONGEST_TOLD]


def run(app: App, client: Callable[[], ChainClient], stop: threading.Event) -> None:
    """Book what is asked for until `stop` is set."""

    def once() -> None:
        with closing(client()) as asking:
            book_waiting(app, asking)

    rounds(once, stop, PAUSE_SECONDS, LOG, "credits that were asked for wait")
