"""Top-ups and payouts asked for on the treasurer's page, which the settlement process books.

The pages have none of the keys that move credits (authority.home.keyring), so they only ask; whoever has the keys books
what was asked by the same services as `authority credits`, in the name of who asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import select
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
    reference = reference.strip()
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


def bookings(session: Session) -> list[Booking]:
    """What was asked for and what was booked, the newest first, each reference once."""
    found = {
        each.reference: Booking(
            each.reference, each.wallet, each.amount, each.state, each.told, each.asked_at, each.asked_by
        )
        for each in session.scalars(select(CreditRequest))
    }
    states = {credits.FAILED: REFUSED}
    states |= dict.fromkeys(credits.DECIDED, WAITING) | dict.fromkeys(credits.DECIDED.values(), BOOKED)
    for entry in session.scalars(select(CreditEntry)):
        asked = found.get(entry.reference)
        if asked is None or states[entry.state] == BOOKED:
            state = states[entry.state]
            found[entry.reference] = Booking(
                entry.reference, entry.wallet, entry.amount, state, "", entry.entered_at, entry.entered_by
            )
    return sorted(found.values(), key=lambda each: (-each.at, each.reference))


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
