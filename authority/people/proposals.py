"""Two people for what is dangerous: one proposes, another one approves, and it is carried out once.

Each of them has the role that the kind takes (authority.people.dangerous), when it acts and when the act is carried
out; whoever lost it meanwhile counts no more. A proposal is open for OPEN_SECONDS, and once approved it may be carried
out for as long. What the approver looked at is what is done: an approval names the digest of it.

The log has each step with pseudonyms alone: `proposal_made`, `proposal_approved`, `proposal_refused`,
`proposal_withdrawn`, `proposal_done`, `proposal_failed`. That one ran out of time follows from its `until`.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority import typed
from authority.app import App
from authority.billing import issuing
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.errors import AuthorityError
from authority.home.settings import NO
from authority.language.reading import marked
from authority.log import log
from authority.log.nameless import require_nameless
from authority.people import dangerous, records, secrets
from authority.people.dangerous import KINDS, Behind, By, Kind
from authority.people.errors import (
    ProposalChangedError,
    ProposalInvalidError,
    ProposalOverError,
    ProposalUnknownError,
    RoleMissingError,
    SamePersonError,
)
from authority.people.roles import Principal
from authority.store.persons import Person, Proposal

OPEN_SECONDS = 3 * 86_400
WAITING, APPROVED, DONE, FAILED = "waiting", "approved", "done", "failed"
REFUSED, WITHDRAWN, EXPIRED = "refused", "withdrawn", "expired"
WORDS = {
    WAITING: marked("waits for another person"),
    APPROVED: marked("is approved, and waits to be carried out"),
    DONE: marked("is done"),
    FAILED: marked("was not done"),
    REFUSED: marked("was refused"),
    WITHDRAWN: marked("was withdrawn"),
    EXPIRED: marked("ran out of time"),
}
ON_PAGE, BY_COMMAND = "page", "command"
SHORTEST_REASON, LONGEST_REASON = 3, 200
LOCK_NAME = "approvals.lock"
"""In the home: who carries out what is approved, one at a time."""


class AlreadyRunningError(AuthorityError):
    """Somebody carries out what is approved just now."""

    code = "already_running"


# Reading


def state_of(proposal: Proposal, now: int) -> str:
    """How a proposal stands now."""
    return EXPIRED if proposal.state in (WAITING, APPROVED) and proposal.expires_at <= now else proposal.state


def listed(session: Session, roles: frozenset[str] | None, most: int | None = None) -> list[Proposal]:
    """The proposals that these roles see (None: all), the newest first."""
    kinds = [kind.name for kind in KINDS.values() if roles is None or kind.sees & roles]
    query = select(Proposal).where(Proposal.kind.in_(kinds)).order_by(Proposal.proposed_at.desc(), Proposal.id)
    return list(session.scalars(query.limit(most)))


def undecided(session: Session, now: int) -> list[Proposal]:
    """What is open: it waits for another person, or, approved, for whoever carries it out; the first proposed first."""
    query = select(Proposal).where(Proposal.state.in_((WAITING, APPROVED)), Proposal.expires_at > now)
    return list(session.scalars(query.order_by(Proposal.proposed_at, Proposal.id)))


def of(session: Session, id: str, roles: frozenset[str] | None = None) -> Proposal:
    """A proposal that these roles see (None: any); ProposalUnknownError."""
    found = session.get(Proposal, id)
    if found is None or (roles is not None and not KINDS[found.kind].sees & roles):
        raise ProposalUnknownError(f"there is no proposal {id!r} for you")
    return found


def by_login(session: Session, login: str, now: int) -> Principal:
    """Who acts by a command; PersonUnknownError."""
    return records.principal(session, records.find(session, login), BY_COMMAND, now)


# Proposing and deciding


def reason_of(session: Session, text: str) -> str:
    """Why, fit for the log; ProposalInvalidError, NamesSomebodyError."""
    reason = typed.line(text)
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise ProposalInvalidError(f"say why, in {SHORTEST_REASON} to {LONGEST_REASON} characters; it is logged")
    typed.require_shown(reason, ProposalInvalidError)
    require_nameless(session, reason)
    return reason


def propose(app: App, who: Principal, kind: str, data: Mapping[str, Any], reason: str, *, via: str) -> Proposal:
    """Propose an act; the proposal. The same one that is still open is not made twice. Logged.

    RoleMissingError, ProposalInvalidError, NamesSomebodyError; ProposalOverError where another person proposes the same
    already.
    """
    now, digest = app.clock(), dangerous.digest(kind, data)
    with app.store.write() as session:
        log.lock(session)
        _require(session, who.pseudonym, KINDS[kind].proposes, now)
        words = reason_of(session, reason)
        same = select(Proposal).where(
            Proposal.digest == digest, Proposal.state.in_((WAITING, APPROVED)), Proposal.expires_at > now
        )
        for known in session.scalars(same):
            if known.proposed_by == who.pseudonym:
                return known
            raise ProposalOverError(f"the same is proposed already: look at {known.id}")
        made = Proposal(
            id=secrets.public_id(), kind=kind, data=dict(data), digest=digest, reason=words, state=WAITING, told="",
            proposed_by=who.pseudonym, proposed_at=now, expires_at=now + OPEN_SECONDS,
        )  # fmt: skip
        session.add(made)
        session.flush()
        said = {"kind": kind, "proposal": made.id, "reason": words, "until": made.expires_at, "via": via}
        log.record_act(session, "proposal_made", who.actor, now, {**said, "what": dangerous.logged(kind, data)})
        return made


def approve(app: App, who: Principal, id: str, seen: bytes, *, via: str) -> Proposal:
    """Approve what was looked at (its digest), and carry it out where that takes no key. Logged. Twice is once.

    ProposalUnknownError, ProposalOverError, ProposalChangedError, SamePersonError, RoleMissingError; and what carrying
    it out raises, after which it stands as approved or failed.
    """
    now = app.clock()
    with app.store.write() as session:
        proposal, kind = _locked(session, id, who)
        _require(session, who.pseudonym, kind.approves, now)
        again = proposal.approved_by == who.pseudonym and proposal.state in (APPROVED, DONE)
        if not again:
            _require_open(proposal, now, WAITING)
            if proposal.digest != seen:
                raise ProposalChangedError("this is not what you looked at: open it again")
            _require_two(app, proposal.proposed_by, who.pseudonym)
            _require(session, proposal.proposed_by, kind.proposes, now)
            proposal.state, proposal.approved_by, proposal.approved_at = APPROVED, who.pseudonym, now
            proposal.expires_at = now + OPEN_SECONDS
            data = {"digest": seen.hex(), "kind": proposal.kind, "proposal": id, "until": proposal.expires_at}
            log.record_act(session, "proposal_approved", who.actor, now, {**data, "via": via})
    if kind.by is By.STORE and proposal.state == APPROVED:
        return carry_out(app, id)
    return proposal


def refuse(app: App, who: Principal, id: str, *, via: str) -> Proposal:
    """Refuse a proposal that is not carried out yet, approved or not. Logged. Twice is once.

    ProposalUnknownError, ProposalOverError, RoleMissingError.
    """
    with app.store.write() as session:
        proposal, kind = _locked(session, id, who)
        _require(session, who.pseudonym, kind.approves, app.clock())
        return _end(session, app, proposal, who, REFUSED, "proposal_refused", via)


def withdraw(app: App, who: Principal, id: str, *, via: str) -> Proposal:
    """Take one's own proposal back, while it is not carried out. Logged. Twice is once.

    ProposalUnknownError (for whose it is not, too), ProposalOverError.
    """
    with app.store.write() as session:
        proposal, _ = _locked(session, id, who)
        if proposal.proposed_by != who.pseudonym:
            raise ProposalUnknownError("this is not your proposal: refuse it, or leave it")
        return _end(session, app, proposal, who, WITHDRAWN, "proposal_withdrawn", via)


def _end(
    session: Session, app: App, proposal: Proposal, who: Principal, state: str, act: str, via: str
) -> Proposal:  # fmt: skip
    now = app.clock()
    if (proposal.state, proposal.ended_by) == (state, who.pseudonym):
        return proposal
    _require_open(proposal, now, WAITING, APPROVED)
    proposal.state, proposal.ended_by, proposal.ended_at = state, who.pseudonym, now
    log.record_act(session, act, who.actor, now, {"kind": proposal.kind, "proposal": proposal.id, "via": via})
    return proposal


def _locked(session: Session, id: str, who: Principal | None = None) -> tuple[Proposal, Kind]:
    """The proposal under the log's lock: of two who decide at once the second one sees what the first one did."""
    log.lock(session)
    proposal = session.get(Proposal, id, populate_existing=True, with_for_update=True)
    if proposal is None or (who is not None and not KINDS[proposal.kind].sees & who.roles):
        raise ProposalUnknownError(f"there is no proposal {id!r} for you")
    return proposal, KINDS[proposal.kind]


def _require_open(proposal: Proposal, now: int, *states: str) -> None:
    state = state_of(proposal, now)
    if state not in states:
        raise ProposalOverError(f"this proposal {WORDS[state]}")


def _require_two(app: App, one: str, other: str | None) -> None:
    if one == other and app.home.settings.people.two_persons != NO:
        raise SamePersonError


def _require(session: Session, pseudonym: str | None, roles: frozenset[str], now: int) -> None:
    """RoleMissingError where this person has none of the roles now, whatever it had when its page was opened."""
    person = session.scalar(select(Person).where(Person.pseudonym == pseudonym))
    held = frozenset[str]() if person is None else records.principal(session, person, "", now).roles
    if not held & roles:
        raise RoleMissingError(f"{pseudonym or 'nobody'} has not the role that this takes: {', '.join(sorted(roles))}")


# Carrying out


def carry_out(app: App, id: str, client: ChainClient | None = None) -> Proposal:
    """Carry out what is approved, once; with the authority's key where a client is given.

    Looks again whether both people have their roles. What stands in the way for good makes it `failed`, with the
    reason; a chain that does not answer leaves it approved. The error is raised in both cases. Logged.
    """
    with app.store.write() as session:
        proposal, kind = _locked(session, id)
        if proposal.state == DONE:
            return proposal
        _require_open(proposal, app.clock(), APPROVED)
    try:
        if kind.name in _IN_THE_STORE:
            return _in_the_store(app, id)
        with app.store.read() as session:
            _require_both(app, session, proposal)
        if kind.name == dangerous.CORRECTION:
            return _correct(app, id)
        if kind.name == dangerous.CREDITS:
            dangerous.ask_credits(app, dict(proposal.data), proposal.proposed_by)
        elif kind.by is By.KEYS and client is not None:
            dangerous.with_keys(app, client, proposal)
        else:
            return proposal
    except ChainError as error:
        with app.store.write() as session:
            session.get_one(Proposal, id).told = str(error)[:300]
        raise
    except AuthorityError as error:
        with app.store.write() as session:
            _finish(app, session, _locked(session, id)[0], FAILED, str(error))
        raise
    with app.store.write() as session:
        return _finish(app, session, _locked(session, id)[0], DONE)


def _require_both(app: App, session: Session, proposal: Proposal) -> None:
    kind, now = KINDS[proposal.kind], app.clock()
    _require(session, proposal.proposed_by, kind.proposes, now)
    _require(session, proposal.approved_by, kind.approves, now)
    _require_two(app, proposal.proposed_by, proposal.approved_by)


def _finish(app: App, session: Session, proposal: Proposal, state: str, told: str = "") -> Proposal:
    """Note how it ended, once; the log has the cause's place in the chain of acts, and no words of an error."""
    if proposal.state == APPROVED:
        proposal.state, proposal.told, proposal.ended_at = state, told[:300], app.clock()
        proposal.ended_by = proposal.proposed_by
        act = "proposal_done" if state == DONE else "proposal_failed"
        data = {"kind": proposal.kind, "proposal": proposal.id}
        log.record_act(session, act, proposal.proposed_by, app.clock(), data)
    return proposal


@contextmanager
def _due(app: App, id: str) -> Iterator[tuple[Session, Proposal]]:
    """An approved proposal in the session in which it is carried out, and noted as done, in one."""
    with app.store.write() as session:
        proposal, _ = _locked(session, id)
        _require_open(proposal, app.clock(), APPROVED)
        _require_both(app, session, proposal)
        yield session, proposal


def _in_the_store(app: App, id: str) -> Proposal:
    """What changes a person's record."""
    with _due(app, id) as (session, proposal):
        person = session.scalar(select(Person).where(Person.pseudonym == proposal.data["person"]))
        _finish(app, session, proposal, DONE, "" if person else marked("this person was erased before"))
        if person is not None:
            _IN_THE_STORE[proposal.kind](session, person, proposal, app.clock())
        return proposal


def _correct(app: App, id: str) -> Proposal:
    """Enter a correction: a bill that is issued meanwhile has it once or not at all."""
    with _due(app, id) as (session, proposal):
        issuing.enter_correction(session, proposal.data, actor=proposal.proposed_by, now=app.clock())
        return _finish(app, session, proposal, DONE)


def _erase(session: Session, person: Person, proposal: Proposal, now: int) -> None:
    records.erase(session, person, by=proposal.proposed_by, now=now)


def _appoint(session: Session, person: Person, proposal: Proposal, now: int) -> None:
    """Give the role. Who has it signs in anew, so that the session has a department's length and is in the log."""
    if records.grant(session, person, str(proposal.data["role"]), by=proposal.proposed_by, now=now):
        records.end_all(session, person, now)


_IN_THE_STORE = {dangerous.ERASE: _erase, dangerous.APPOINT: _appoint}


def reveal(app: App, who: Principal, id: str) -> Behind:
    """Show who proposed it, once, who is behind the pseudonym; logged as a reading of that one's data.

    ProposalUnknownError, ProposalOverError, RoleMissingError; ProposalInvalidError where it leads to nobody any more.
    """
    with app.store.write() as session:
        proposal, kind = _locked(session, id, who)
        if kind.by is not By.PROPOSER or proposal.proposed_by != who.pseudonym:
            raise ProposalUnknownError("this is for who proposed it alone")
        if proposal.state == DONE:
            raise ProposalOverError("this was shown already, once: propose it again")
        _require_open(proposal, app.clock(), APPROVED)
        _require_both(app, session, proposal)
        pseudonym = str(proposal.data["pseudonym"])
        found = dangerous.behind(session, pseudonym)
        told = "" if found else marked("it leads to nobody any more")
        _finish(app, session, proposal, DONE if found else FAILED, told)
        if found is not None:
            data = {"proposal": id, "subject": pseudonym, "what": "who a pseudonym is"}
            log.record_act(session, "data_read", who.actor, app.clock(), data)
    if found is None:
        raise ProposalInvalidError("this pseudonym leads to nobody any more")
    return found


def approved_to_run(session: Session, now: int) -> list[Proposal]:
    """What a command with the authority's key is to carry out, the first approved first.

    What an approval carries out itself is among it only where that was broken off.
    """
    kinds = [kind.name for kind in KINDS.values() if kind.by is not By.PROPOSER]
    query = select(Proposal).where(Proposal.state == APPROVED, Proposal.kind.in_(kinds), Proposal.expires_at > now)
    return list(session.scalars(query.order_by(Proposal.approved_at, Proposal.id)))


@contextmanager
def alone(app: App) -> Iterator[None]:
    """One command at a time carries out what is approved; AlreadyRunningError."""
    with (app.home.path / LOCK_NAME).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(
                "what is approved is being carried out just now: wait for that command"
            ) from error
        yield
