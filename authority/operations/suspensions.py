"""An operator suspends a member on the pages, or restores it, with a reason.

The pages' process has no key. It keeps the wish, and the settlement process, which has the operator's, does what
`authority members suspend` and `authority members resume` do, usually within seconds. Asked for both in turn, the last
one holds; asked for twice, it is done once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.chain.accounts import Status
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError, ProgramError, TransactionFailedError
from authority.errors import AuthorityError
from authority.language.reading import marked
from authority.log import log
from authority.operations import members
from authority.operations.desk import ACTIVE, STATUS_WORDS, SUSPENDED, Desk
from authority.refusals import ConflictError, NotFoundError
from authority.rounds import rounds
from authority.store.people import StatusRequest, User
from edge_agent.wire.log import StructuredLog

WAITING, DONE, WITHDRAWN, FAILED = "waiting", "done", "withdrawn", "failed"
WORDS = {
    WAITING: marked("goes to the chain"),
    DONE: marked("is on the chain"),
    WITHDRAWN: marked("was taken back before it was done"),
    FAILED: marked("could not be done"),
}
ASKED: dict[str, Status] = {STATUS_WORDS[each]: each for each in (SUSPENDED, ACTIVE)}
"""What a member can be made, by its word."""
PAUSE_SECONDS = 5.0
LONGEST_TOLD = 300

LOG = StructuredLog(__name__)


def account(session: Session, wallet: str) -> User:
    """The member that this wallet names; NotFoundError where there is none, or it has left."""
    found = session.scalar(select(User).where(User.wallet == wallet, User.left_at.is_(None)))
    if found is None:
        raise NotFoundError("there is no such account; see the list of accounts")
    return found


def open_of(session: Session, user_id: int) -> StatusRequest | None:
    """What is asked for of a member and not done yet."""
    asked = select(StatusRequest).where(StatusRequest.user_id == user_id, StatusRequest.state == WAITING)
    return session.scalars(asked.order_by(StatusRequest.id.desc())).first()


def of_member(session: Session, user_id: int, most: int = 20) -> list[StatusRequest]:
    """What was asked for of a member, the newest first."""
    asked = select(StatusRequest).where(StatusRequest.user_id == user_id)
    return list(session.scalars(asked.order_by(StatusRequest.id.desc()).limit(most)))


def ask(app: App, wallet: str, status: str, reason: str, *, actor: str) -> bool:
    """Ask that a member is suspended, or active again; whether that is new. What else was asked for is taken back.

    ConflictError before it is on the chain; NotFoundError.
    """
    with app.store.write() as session:
        log.lock(session)  # of two who ask at once the second one sees what the first one asked
        user = account(session, wallet)
        if user.registered_at is None:
            raise ConflictError("this member is not on the chain yet, so there is nothing to suspend or restore")
        before = open_of(session, user.id)
        if before is not None:
            if before.status == status:
                return False
            before.state, before.ended_at = WITHDRAWN, app.clock()
        session.add(
            StatusRequest(
                user_id=user.id, status=status, reason=reason, state=WAITING, told="", asked_by=actor,
                asked_at=app.clock(),
            )
        )  # fmt: skip
        data = {"reason": reason, "status": status, "wallet": user.wallet}
        log.record_act(session, "member_status_asked", actor, app.clock(), data)
        return True


# Carrying out, where the operator's key is


def carry_out(app: App, client: ChainClient) -> int:
    """Do what is asked for, the oldest first; how much was done.

    What the chain does not answer waits, and is tried again; what it refuses for good is `failed`, with the reason.
    """
    with app.store.read() as session:
        rows = session.execute(
            select(StatusRequest, User.name)
            .join(User, User.id == StatusRequest.user_id)
            .where(StatusRequest.state == WAITING)
            .order_by(StatusRequest.id)
        ).all()
    done = 0
    for row, name in rows:
        if not _waits(app, row.id):  # taken back while others were carried out
            continue
        desk = Desk(app, client, row.asked_by, row.reason)
        act = members.suspend if row.status == STATUS_WORDS[SUSPENDED] else members.resume
        try:
            act(desk, name)
        except (TransactionFailedError, ProgramError) as error:
            _mark(app, row.id, FAILED, str(error))
        except ChainError as error:
            _mark(app, row.id, WAITING, str(error))
        except AuthorityError as error:
            _mark(app, row.id, FAILED, str(error))
        else:
            done += 1
            _mark(app, row.id, DONE, "")
    return done


def _waits(app: App, number: int) -> bool:
    with app.store.read() as session:
        return session.get_one(StatusRequest, number).state == WAITING


def _mark(app: App, number: int, state: str, told: str) -> None:
    """Note what became of it, where it was not taken back meanwhile: what is asked for after it is done after it."""
    with app.store.write() as session:
        row = session.get(StatusRequest, number)
        if row is None or row.state != WAITING:
            return
        row.state, row.told = state, told[:LONGEST_TOLD]
        row.ended_at = None if state == WAITING else app.clock()


def run(app: App, client: Callable[[], ChainClient], stop: threading.Event) -> None:
    """Carry out what is asked for until `stop` is set."""

    def once() -> None:
        with closing(client()) as asking:
            carry_out(app, asking)

    rounds(once, stop, PAUSE_SECONDS, LOG, "members to be suspended or restored wait")
