"""A member asks on its page for another wallet, because it lost its key or wants to hold it itself.

An operator approves it, and the settlement process, which has the operator's key, does what `authority members
replace-wallet` does: it proposes the wallet, and has it take over once the programs' delay is over. Until then the
member may take it back, and so may an operator. Each step is in the log; both sides see on their pages how far it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authority.app import App
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError, ProgramError, TransactionFailedError
from authority.enrolment.steps import Done
from authority.errors import AuthorityError
from authority.language.reading import marked
from authority.log import log
from authority.operations import replacing_wallets
from authority.operations.desk import Desk
from authority.operations.errors import WalletAskedError, WalletInvalidError
from authority.operations.members import address_of
from authority.refusals import NotFoundError
from authority.rounds import rounds
from authority.store.people import User, WalletRequest
from edge_agent.wire.log import StructuredLog

WAITING, APPROVED, PROPOSED, ENDING = "waiting", "approved", "proposed", "ending"
DONE, REFUSED, WITHDRAWN, FAILED = "done", "refused", "withdrawn", "failed"
OPEN = (WAITING, APPROVED, PROPOSED, ENDING)
WORDS = {
    WAITING: marked("waits for an operator of the department"),
    APPROVED: marked("is approved, and goes to the chain"),
    PROPOSED: marked("is proposed on the chain"),
    ENDING: marked("is being taken back"),
    DONE: marked("has taken over"),
    REFUSED: marked("was refused"),
    WITHDRAWN: marked("was taken back"),
    FAILED: marked("could not be had"),
}
REASON = "asked for by the member"
PAUSE_SECONDS = 5.0
LONGEST_TOLD = 300

LOG = StructuredLog(__name__)


def open_of(session: Session, user_id: int) -> WalletRequest | None:
    """What a member has asked for and what has not ended."""
    asked = select(WalletRequest).where(WalletRequest.user_id == user_id, WalletRequest.state.in_(OPEN))
    return session.scalars(asked.order_by(WalletRequest.id.desc())).first()


def last_of(session: Session, user_id: int) -> WalletRequest | None:
    """What a member asked for last."""
    asked = select(WalletRequest).where(WalletRequest.user_id == user_id)
    return session.scalars(asked.order_by(WalletRequest.id.desc())).first()


def listed(session: Session, most: int = 50, *, names: bool = True) -> list[tuple[WalletRequest, str]]:
    """Requests with the members' names, or wallets, those that have not ended first, then the newest."""
    ended = WalletRequest.ended_at.is_not(None)
    whose = User.name if names else User.wallet
    query = select(WalletRequest, whose).join(User, User.id == WalletRequest.user_id)
    return [(row, name) for row, name in session.execute(query.order_by(ended, WalletRequest.id.desc()).limit(most))]


def waiting(session: Session) -> list[int]:
    """The numbers of those that an operator has to decide."""
    return list(session.scalars(select(WalletRequest.id).where(WalletRequest.state == WAITING)))


def ask(app: App, user_id: int, to: str | None, *, actor: str) -> bool:
    """Ask for the wallet with this address, or (None) for one whose key the department keeps; whether it is new.

    WalletInvalidError; WalletAskedError where another one is asked for already.
    """
    wanted = None if to is None else str(address_of(to.strip()))
    with app.store.write() as session:
        log.lock(session)  # of two who ask at once the second one sees what the first one asked
        user = session.get_one(User, user_id)
        before = open_of(session, user_id)
        if before is not None:
            if (before.wallet, before.kept_here) == (wanted, to is None) or (before.kept_here and to is None):
                return False
            raise WalletAskedError("another wallet is asked for already: take that back first")
        if wanted is not None:
            _require_free(session, user, wanted)
        elif user.sealed_key is not None:
            raise WalletInvalidError("the department keeps the key of your wallet already")
        session.add(
            WalletRequest(
                user_id=user_id, wallet=wanted, kept_here=to is None, state=WAITING, told="", asked_by=actor,
                asked_at=app.clock(),
            )
        )  # fmt: skip
        _log(app, session, "wallet_asked", actor, user, {"to": wanted or "kept here"})
        return True


def _require_free(session: Session, user: User, wanted: str) -> None:
    if wanted == user.signs_as:
        raise WalletInvalidError("that is your wallet already")
    taken = select(User.id).where(
        or_(User.wallet == wanted, User.signing_wallet == wanted, User.next_wallet == wanted), User.id != user.id
    )
    if wanted == user.wallet or session.scalars(taken).first() is not None:
        raise WalletInvalidError("that wallet was a member's before: make a new one")


def take_back(app: App, user_id: int, *, actor: str) -> bool:
    """The member has what it asked for taken back; whether there was anything. WalletAskedError where it is late."""
    with app.store.write() as session:
        log.lock(session)
        found = open_of(session, user_id)
        return False if found is None else _end(app, session, found, WITHDRAWN, actor, "")


def refuse(app: App, number: int, reason: str, *, actor: str) -> bool:
    """An operator refuses a request, or takes an approved one back, with a reason; whether that is new."""
    with app.store.write() as session:
        log.lock(session)
        found = _found(session, number)
        if found.state in (REFUSED, ENDING):
            return False
        return _end(app, session, found, REFUSED, actor, reason)


def _end(app: App, session: Session, row: WalletRequest, state: str, actor: str, reason: str) -> bool:
    """End what nobody has begun; what is approved or proposed is taken back by whoever has the key."""
    if row.state == ENDING:
        return False
    if row.state not in OPEN:
        raise WalletAskedError("this request has ended already")
    begun = row.state in (APPROVED, PROPOSED)
    row.state, row.told = (ENDING if begun else state), reason[:LONGEST_TOLD]
    if not begun:
        row.ended_at = app.clock()
    if state == REFUSED:
        row.decided_by, row.decided_at = actor, app.clock()
    act = "wallet_refused" if state == REFUSED else "wallet_taken_back"
    _log(app, session, act, actor, session.get_one(User, row.user_id), {"reason": reason} if reason else {})
    return True


def approve(app: App, number: int, seen: str, *, actor: str) -> bool:
    """An operator approves a request as it was shown (`seen`: its wallet, empty where it is kept here); whether new.

    WalletAskedError where it has ended, or is for another wallet than was shown; NotFoundError.
    """
    with app.store.write() as session:
        log.lock(session)
        row = _found(session, number)
        if row.state in (APPROVED, PROPOSED, DONE):
            return False
        if row.state != WAITING:
            raise WalletAskedError("this request has ended already")
        if seen != (row.wallet or ""):
            raise WalletAskedError("this is another wallet than the one that was shown: look again")
        row.state, row.decided_by, row.decided_at = APPROVED, actor, app.clock()
        _log(app, session, "wallet_approved", actor, session.get_one(User, row.user_id), {})
        return True


def _found(session: Session, number: int) -> WalletRequest:
    found = session.get(WalletRequest, number)
    if found is None:
        raise NotFoundError("there is no such request; see the list of those that wait")
    return found


def _log(app: App, session: Session, act: str, actor: str, user: User, more: dict[str, object]) -> None:
    log.record_act(session, act, actor, app.clock(), {"wallet": user.wallet, **more})


# Carrying out, where the operator's key is


def carry_out(app: App, client: ChainClient) -> int:
    """Do what is approved, due or taken back, by the services of `authority members replace-wallet`; how much moved.

    What the chain does not answer waits, and is tried again; what it refuses for good is `failed`, with the reason.
    """
    with app.store.read() as session:
        rows = [
            (row.id, row.state, row.wallet, row.decided_by or row.asked_by, session.get_one(User, row.user_id).name)
            for row in session.scalars(
                select(WalletRequest)
                .where(
                    or_(
                        WalletRequest.state.in_((APPROVED, ENDING)),
                        (WalletRequest.state == PROPOSED) & (WalletRequest.due_at <= app.clock()),
                    )
                )
                .order_by(WalletRequest.id)
            )
        ]
    moved = 0
    for number, state, wallet, actor, name in rows:
        desk = Desk(app, client, actor, REASON)
        try:
            moved += _step(app, desk, number, state, wallet, name)
        except (TransactionFailedError, ProgramError) as error:
            _mark(app, number, FAILED, str(error))
        except ChainError as error:
            _mark(app, number, None, str(error))
        except AuthorityError as error:
            _mark(app, number, FAILED, str(error))
    return moved


def _step(app: App, desk: Desk, number: int, state: str, wallet: str | None, name: str) -> bool:
    if state == APPROVED:
        done = replacing_wallets.propose(desk, name, wallet)
        with app.store.write() as session:
            row = _found(session, number)
            row.wallet = row.wallet or session.get_one(User, row.user_id).next_wallet
            row.due_at, row.told = int(done.facts["from_time"]), ""
            row.state = PROPOSED if row.state == APPROVED else row.state
        return True
    if state == ENDING:
        replacing_wallets.cancel(desk, name)
        with app.store.read() as session:
            refused = _found(session, number).told
        _mark(app, number, REFUSED if refused else WITHDRAWN, refused)
        return True
    return _finished(app, number, wallet, name, replacing_wallets.finish(desk, name))


def _finished(app: App, number: int, wallet: str | None, name: str, done: Done) -> bool:
    if not done.complete:  # the chain's clock is behind
        return False
    with app.store.read() as session:
        signs = session.get_one(User, _found(session, number).user_id).signs_as
    took = signs == wallet
    _mark(app, number, DONE if took else FAILED, "" if took else marked("the proposal was taken back by a command"))
    return True


def _mark(app: App, number: int, state: str | None, told: str) -> None:
    """Note what became of it; None: it is as it was, and what is told stands in the way."""
    with app.store.write() as session:
        row = _found(session, number)
        if state is None:
            row.told = row.told if row.state == ENDING else told[:LONGEST_TOLD]
        else:
            row.state, row.told, row.ended_at = state, told[:LONGEST_TOLD], app.clock()


def run(app: App, client: Callable[[], ChainClient], stop: threading.Event) -> None:
    """Carry out what is asked for until `stop` is set."""

    def once() -> None:
        with closing(client()) as asking:
            carry_out(app, asking)

    rounds(once, stop, PAUSE_SECONDS, LOG, "wallets that were asked for wait")
