"""What takes two people: each kind of act, whose it is, what it says, and how it is carried out.

An act is data that say all of it. What can be looked up when it is proposed is looked up then, and kept with it; where
that is otherwise when it is to be done, it is not done. Doing it looks at what is there, so that it may be broken off
and done again: parameters that are staged already are not staged twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing import credit_requests, credits, issuing
from authority.chain.client import ChainClient
from authority.governance import acts
from authority.language.reading import marked
from authority.log import gate
from authority.operations import handover, upgrade
from authority.operations.desk import Desk
from authority.operations.members import address_of
from authority.people import records
from authority.people.errors import ProposalChangedError, ProposalInvalidError, RoleInvalidError
from authority.people.roles import AUDITOR, AUTHORITY, OF_THE_DEPARTMENT, TREASURER
from authority.store.people import User
from authority.store.persons import Person, Proposal
from edge_agent.wire.canonical import canonical_json

Data = dict[str, Any]
PARAMETERS, OPERATOR, HANDOVER, UPGRADE = "parameters", "operator", "handover", "upgrade"
ERASE, UNMASK, CREDITS, APPOINT = "erase", "unmask", "credits", "appoint"
CORRECTION = "correction"
DAY_SECONDS = 86_400


class By(Enum):
    """Who carries an act out once it is approved."""

    STORE = auto()
    """The process that approves it: the store is all that it takes, or settlement does the rest."""
    KEYS = auto()
    """A command where the authority's key is: no process that serves has it."""
    PROPOSER = auto()
    """Who proposed it is shown something, once."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of act: what people call it, who may propose it, who may approve it, and who carries it out."""

    name: str
    words: str
    proposes: frozenset[str]
    approves: frozenset[str]
    by: By

    @property
    def sees(self) -> frozenset[str]:
        """Who sees proposals of this kind."""
        return self.proposes | self.approves


_OF_AUTHORITY, _READERS = frozenset({AUTHORITY}), frozenset({AUDITOR, AUTHORITY})
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(PARAMETERS, marked("Change the market's parameters"), _OF_AUTHORITY, _OF_AUTHORITY, By.KEYS),
        Kind(OPERATOR, marked("Name another operator"), _OF_AUTHORITY, _OF_AUTHORITY, By.KEYS),
        Kind(HANDOVER, marked("Name another authority"), _OF_AUTHORITY, _OF_AUTHORITY, By.KEYS),
        Kind(UPGRADE, marked("Announce an upgrade of the programs"), _OF_AUTHORITY, _OF_AUTHORITY, By.KEYS),
        Kind(ERASE, marked("Erase a person"), _OF_AUTHORITY, _OF_AUTHORITY, By.STORE),
        Kind(APPOINT, marked("Give a role of the department"), _OF_AUTHORITY, _OF_AUTHORITY, By.STORE),
        Kind(UNMASK, marked("Show who is behind a pseudonym"), _READERS, _READERS, By.PROPOSER),
        Kind(
            CREDITS,
            marked("Book credits above the limit"),
            frozenset({TREASURER}),
            frozenset({TREASURER, AUTHORITY}),
            By.STORE,
        ),
        Kind(
            CORRECTION,
            marked("Correct a bill above the limit"),
            frozenset({TREASURER}),
            frozenset({TREASURER, AUTHORITY}),
            By.STORE,
        ),
    )
}


def digest(kind: str, data: Mapping[str, Any]) -> bytes:
    """SHA-256 of all that an act does: what an approval is of."""
    return hashlib.sha256(canonical_json({"data": dict(data), "kind": kind})).digest()


def logged(kind: str, data: Mapping[str, Any]) -> Data:
    """What the log says of an act: without what people write, such as the names in a bank's references."""
    return {name: value for name, value in data.items() if (kind, name) not in _NOT_LOGGED}


_NOT_LOGGED = frozenset({(CREDITS, "reference"), (CORRECTION, "reason")})
"""A correction's reason is in the log with the correction, on whose bill it is printed."""


# What is proposed


def parameters(client: ChainClient, changes: Mapping[str, int], from_epoch: int | None) -> Data:
    """Other parameters from an epoch on (None: in a day, so that another person has the time to look).

    GovernanceError, OutOfRangeError, ChainErrors.
    """
    governance = acts.read(client)
    if from_epoch is None:
        from_epoch = governance.epoch + acts.NEAREST_EPOCHS + -(-DAY_SECONDS // governance.epoch_seconds)
    if not changes:
        raise acts.NothingToChangeError("name what is to change, such as feed_in_price")
    acts.check_staging(governance, changes, from_epoch)
    return {
        "changes": {name: [governance.parameters[name], value] for name, value in changes.items()},
        "from_epoch": from_epoch,
        "replaces": governance.staged_from,
    }


def unstaging(client: ChainClient) -> Data:
    """What is staged is to be taken back: the parameters that hold are staged in its place.

    NothingStagedError; OutOfRangeError where it is too late; ChainErrors.
    """
    governance = acts.read(client)
    if governance.staged is None or governance.staged_from is None:
        raise acts.NothingStagedError("nothing is staged that could be taken back")
    acts.check_staging(governance, {}, governance.staged_from)
    kept = {name: now for name, now in governance.parameters.items() if governance.staged[name] != now}
    return {
        "changes": {name: [now, now] for name, now in kept.items()},
        "from_epoch": governance.staged_from,
        "replaces": governance.staged_from,
    }


def operator(client: ChainClient, address: str) -> Data:
    """Another operator. NothingToChangeError, WalletInvalidError, ChainErrors."""
    wanted, before = str(address_of(address.strip())), acts.read(client).operator
    if wanted == before:
        raise acts.NothingToChangeError(f"{wanted} is the operator already")
    return {"before": before, "operator": wanted}


def authority(client: ChainClient, address: str) -> Data:
    """Another authority, which accepts with its own key. NothingToChangeError, WalletInvalidError, ChainErrors."""
    wanted, before = str(address_of(address.strip())), acts.read(client).authority
    if wanted == before:
        raise acts.NothingToChangeError(f"{wanted} is the authority already")
    return {"authority": wanted, "before": before}


def programs(app: App, client: ChainClient) -> Data:
    """The released programs in the place of those on the chain. NothingToChangeError, ChainErrors, ArtifactError."""
    changes = _differing(Desk(app, client, ""))
    if not changes:
        raise acts.NothingToChangeError("the programs on the chain are the released ones")
    return {"programs": changes}


def _differing(desk: Desk) -> dict[str, list[str]]:
    return {each.name: [each.on_chain, each.released] for each in upgrade.standing(desk) if each.differs}


def erasure(session: Session, login: str) -> Data:
    """A person's record is to be deleted. PersonUnknownError."""
    return {"person": records.find(session, login).pseudonym}


def require_of_the_department(role: str) -> None:
    """RoleInvalidError for what is no role of the department."""
    if role not in OF_THE_DEPARTMENT:
        raise RoleInvalidError(f"choose a role of the department: {', '.join(sorted(OF_THE_DEPARTMENT))}")


def appointment(session: Session, pseudonym: str, role: str) -> Data:
    """A person is to have a role of the department. NotFoundError, RoleInvalidError, ProposalInvalidError."""
    require_of_the_department(role)
    person = records.by_pseudonym(session, pseudonym)
    if role in {held.role for held in records.roles_of(session, person)}:
        raise ProposalInvalidError("this person has that role already")
    return {"person": pseudonym, "role": role}


def unmasking(session: Session, pseudonym: str) -> Data:
    """Who is behind a pseudonym of the log: a person's, a member's wallet, a gateway's, or that of who acted at the
    machine itself. ProposalInvalidError.
    """
    pseudonym = pseudonym.strip()
    if behind(session, pseudonym) is None:
        raise ProposalInvalidError("this pseudonym leads to nobody: it is mistyped, or who it was is erased")
    return {"pseudonym": pseudonym}


def booking(app: App, name: str, amount: int, reference: str) -> Data:
    """A top-up, or payout (negative), in micro-credits. BillingErrors of `credits.check`, but for the limit."""
    reference = credits.as_reference(app, reference)
    user = credits.check(app, name, abs(amount), reference, abs(amount))
    return {"amount": amount, "reference": reference, "wallet": user.wallet}


def correction(app: App, number: int, line: int, amount: int, reason: str) -> Data:
    """A correction of a bill's line, in micro-credits. The errors of `issuing.correction_of`."""
    with app.store.read() as session:
        return issuing.correction_of(session, number, line, amount, reason)


# Who is behind a pseudonym


@dataclass(frozen=True, slots=True)
class Behind:
    """Who a pseudonym of the log stands for: a person with login and roles, or a member with its building."""

    pseudonym: str
    name: str
    login: str
    roles: tuple[str, ...]
    building: str


def behind(session: Session, pseudonym: str) -> Behind | None:
    """Who it is; None where it leads to nobody."""
    person = session.scalar(select(Person).where(Person.pseudonym == pseudonym))
    if person is not None:
        roles = tuple(
            held.role + (f" of {held.member.name}" if held.member else "") for held in records.roles_of(session, person)
        )
        return Behind(pseudonym, person.name, person.login, roles, "")
    user = session.scalar(select(User).where(User.wallet == pseudonym, User.left_at.is_(None)))
    if user is not None:
        return Behind(pseudonym, user.name, "", (), user.building)
    name = gate.name_of(session, pseudonym)
    return None if name is None else Behind(pseudonym, name, "", (), "")


# Carrying out: with the authority's key, and by the store alone


def with_keys(app: App, client: ChainClient, proposal: Proposal) -> None:
    """Do what the chain has to be told. ProposalChangedError where it is no longer what was looked at; ChainErrors."""
    data: Data = proposal.data
    actor, reason = proposal.proposed_by, proposal.reason
    _WITH_KEYS[proposal.kind](app, Desk(app, client, actor, reason), data)


def _stage(app: App, desk: Desk, data: Data) -> None:
    governance = acts.read(desk.client)
    changes = {name: after for name, (_, after) in data["changes"].items()}
    wanted = {**governance.parameters, **changes}
    if governance.staged_from == data["from_epoch"] and governance.staged == wanted:
        return
    if governance.staged is None and wanted == dict(governance.parameters):  # taken back already
        return
    for name, (before, _) in data["changes"].items():
        present = governance.parameters[name]
        if present != before:
            raise ProposalChangedError(f"{name} is {present} now, and was {before} when it was proposed: propose again")
    if governance.staged_from != data["replaces"]:
        raise ProposalChangedError("other parameters were staged meanwhile: look at them, and propose it again")
    acts.check_staging(governance, changes, data["from_epoch"])
    acts.stage(app, desk.client, wanted, data["from_epoch"], actor=desk.actor)


def _set_operator(app: App, desk: Desk, data: Data) -> None:
    present = acts.read(desk.client).operator
    if present == data["operator"]:
        return
    if present != data["before"]:
        raise ProposalChangedError(f"the operator is {present} now: look at it, and propose it again")
    acts.set_operator(app, desk.client, Pubkey.from_string(data["operator"]), reason=desk.reason, actor=desk.actor)


def _propose_authority(_app: App, desk: Desk, data: Data) -> None:
    present = acts.read(desk.client).authority
    if present not in (data["before"], data["authority"]):
        raise ProposalChangedError(f"the authority is {present} now: look at it, and propose it again")
    handover.propose(desk, Pubkey.from_string(data["authority"]))


def _announce(_app: App, desk: Desk, data: Data) -> None:
    if _differing(desk) != data["programs"]:
        raise ProposalChangedError("the programs on the chain or the release are others now: propose it again")
    upgrade.announce(desk)


_WITH_KEYS: Mapping[str, Callable[[App, Desk, Data], None]] = {
    PARAMETERS: _stage,
    OPERATOR: _set_operator,
    HANDOVER: _propose_authority,
    UPGRADE: _announce,
}


def ask_credits(app: App, data: Data, actor: str) -> None:
    """Leave the booking to settlement, in the name of who proposed it. BillingErrors of `credit_requests.ask`."""
    with app.store.read() as session:
        user = session.scalar(select(User).where(User.wallet == data["wallet"], User.left_at.is_(None)))
    if user is None:
        raise ProposalChangedError("this member has left meanwhile")
    credit_requests.ask(app, user.name, data["amount"], data["reference"], abs(data["amount"]), actor=actor)
