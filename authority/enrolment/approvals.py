"""Approvals that are asked for on the pages, and carried out by the processes that have the keys.

The pages' process has neither the key that signs certificates nor the operator's. So an operator's word is kept with a
digest of what the operator looked at, and logged. The keeper of certificates then approves as `authority enrol approve`
does, and settlement puts the meters on the chain. What has changed since it was looked at is not approved.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.chain.client import ChainClient
from authority.enrolment import closing, requests
from authority.enrolment.registration import Registered, Registration
from authority.errors import AuthorityError
from authority.log import gate, log
from authority.refusals import ConflictError
from authority.rounds import rounds
from authority.store.enrolments import ENROLMENT_APPROVED, ENROLMENT_PENDING, Approval, Enrolment
from authority.store.metering import Gateway
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)
POLL_SECONDS = 2.0
CHANGED = "what the gateway asks for has changed since it was looked at; look at it again"


class ChangedSinceError(ConflictError):
    """What a gateway asks for is no longer what the operator looked at."""

    code = "changed_since"


def digest(enrolment: Enrolment) -> bytes:
    """SHA-256 over all that an approval gives rights to: the certificate request, and every meter's key and map."""
    parts = [enrolment.id.encode(), enrolment.csr.encode()]
    for row in sorted(enrolment.meters, key=lambda row: row.name):
        parts += [row.name.encode(), row.public_key, row.map_hash, row.first_sequence.to_bytes(8, "big")]
    return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


def ask(session: Session, enrolment: Enrolment, seen: bytes, *, actor: str, now: int) -> None:
    """Keep an operator's approval of what `seen` is the digest of; logged. Asking twice changes nothing.

    ConflictError where there is nothing to decide, ChangedSinceError where it is no longer what was looked at.
    """
    log.lock(session)  # the same order as requests.approve
    session.refresh(enrolment, with_for_update=True)
    known = session.get(Approval, enrolment.id, populate_existing=True)
    if enrolment.state == ENROLMENT_APPROVED or (known is not None and known.ended_at is None):
        return
    if enrolment.state != ENROLMENT_PENDING:
        raise ConflictError(
            f"the enrolment of {enrolment.gateway_name} is {enrolment.state}: only one that is proved and undecided "
            "can be approved"
        )
    if digest(enrolment) != seen:
        raise ChangedSinceError(CHANGED)
    asked = Approval(enrolment_id=enrolment.id, seen=seen, asked_at=now, asked_by=actor)
    asked.ended_at = asked.certified_at = asked.on_chain_at = asked.problem = None
    session.merge(asked)
    data = {"enrolment": enrolment.id, "gateway": gate.gateway_of(session, enrolment.gateway_name), "seen": seen.hex()}
    log.record_act(session, "approval_asked", actor, now, data)


def take_back(session: Session, enrolment: Enrolment, *, actor: str, now: int) -> None:
    """Take an approval back that is not carried out yet; logged. ConflictError where it is too late."""
    log.lock(session)
    asked = session.get(Approval, enrolment.id, populate_existing=True)
    if asked is None or asked.ended_at is not None:
        return
    if asked.certified_at is not None:
        raise ConflictError(
            f"{enrolment.gateway_name} has its certificate already: authority enrol revoke {enrolment.gateway_name} "
            "--reason WHY"
        )
    asked.ended_at = now
    data = {"enrolment": enrolment.id, "gateway": gate.gateway_of(session, enrolment.gateway_name)}
    log.record_act(session, "approval_taken_back", actor, now, data)


def certify_asked(app: App) -> list[str]:
    """Approve what was asked for, and shut former certificates out; the gateways that were approved.

    For a process with the keys of the CA and of the broker's clients. What cannot be approved is told to who asked.
    """
    waiting = select(Approval.enrolment_id).where(Approval.ended_at.is_(None), Approval.certified_at.is_(None))
    with app.store.read() as session:
        ids = session.scalars(waiting.order_by(Approval.asked_at)).all()
    done = []
    for id in ids:
        try:
            approved = _certify(app, id)
        except AuthorityError as error:
            _end(app, id, str(error))
            continue
        if approved is None:
            continue
        gateway, had_one = approved
        done.append(gateway)
        if had_one:
            step = closing.shut_out(app, gateway, f"authority enrol approve {id}")
            if step.todo:
                _tell(app, id, step.todo)
    return done


def _certify(app: App, id: str) -> tuple[str, bool] | None:
    """The gateway that is approved now, and whether it had a certificate; None where it was taken back meanwhile."""
    now = app.clock()
    with app.store.write() as session:
        log.lock(session)
        asked = session.get_one(Approval, id, populate_existing=True)
        enrolment = session.get_one(Enrolment, id, populate_existing=True)
        if asked.ended_at is not None or asked.certified_at is not None:
            return None
        if digest(enrolment) != asked.seen:
            raise ChangedSinceError(CHANGED)
        had_one = session.get_one(Gateway, enrolment.gateway_name).certificate_hash is not None
        requests.approve(session, app.home, enrolment, actor=asked.asked_by, now=now)
        asked.certified_at, asked.problem = now, None
        return enrolment.gateway_name, had_one


def _end(app: App, id: str, problem: str) -> None:
    with app.store.write() as session:
        asked = session.get_one(Approval, id)
        asked.ended_at, asked.problem = app.clock(), problem


def _tell(app: App, id: str, problem: str) -> None:
    with app.store.write() as session:
        session.get_one(Approval, id).problem = problem


class Registrar:
    """Puts the meters of approvals from the pages on the chain, with the operator's key; for the settlement process.

    What the chain refuses, or a chain that does not answer, is told on the page, and tried again.
    """

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app = app
        self._client = client

    def run(self, stop: threading.Event, poll_seconds: float = POLL_SECONDS) -> None:
        """Round by round until stop is set."""
        rounds(self.once, stop, poll_seconds, LOG, "registrations wait")

    def once(self) -> list[str]:
        """Register what waits; the gateways whose meters are all on the chain now."""
        waiting = (
            select(Approval.enrolment_id, Approval.asked_by, Approval.problem, Enrolment.gateway_name)
            .join(Enrolment, Enrolment.id == Approval.enrolment_id)
            .where(Approval.certified_at.is_not(None), Approval.on_chain_at.is_(None), Approval.ended_at.is_(None))
            .order_by(Approval.asked_at)
        )
        with self._app.store.read() as session:
            found = session.execute(waiting).all()
        done = []
        for id, actor, problem, gateway in found:
            client = self._client()
            try:
                Registration(self._app, client, actor=actor, report=_report).run(gateway)
            except AuthorityError as error:
                if str(error) != problem:
                    LOG.warning("meters wait for the chain", gateway=gateway, code=error.code, reason=str(error))
                    _tell(self._app, id, str(error))
                continue
            finally:
                client.close()
            with self._app.store.write() as session:
                asked = session.get_one(Approval, id)
                asked.on_chain_at, asked.problem = self._app.clock(), None
            done.append(gateway)
        return done


def _report(registered: Registered) -> None:
    LOG.info("on the chain", kind=registered.kind, address=str(registered.address))
