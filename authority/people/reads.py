"""Who read whose data: a leaf of the log for each reader, kind and subject, at most one in a quarter of an hour."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Text, or_, select, type_coerce
from sqlalchemy.orm import Session

from authority.language.reading import marked
from authority.log import log
from authority.people import records
from authority.people.roles import Principal
from authority.store import Store
from authority.store.log import Act
from authority.store.persons import LoggedRead, Person

DATA_READ = "data_read"
"""The act."""
QUIET_SECONDS = 900
EVERYBODY = "everybody"
"""The subject of a page that shows many members."""
WORDS: Mapping[str, str] = {
    "access": marked("who read what"),
    "accounts": marked("accounts of members"),
    "announcements": marked("announcements"),
    "audit": marked("what there is to audit"),
    "balances": marked("tokens and credits"),
    "bill": marked("a bill"),
    "bills": marked("bills and payments"),
    "book": marked("an epoch's orders"),
    "checkpoints": marked("the log's checkpoints"),
    "comparisons": marked("what comparing books and chain has found"),
    "credits": marked("top-ups and payouts of credits"),
    "disputes": marked("disputes"),
    "energy": marked("energy by day and quarter of an hour"),
    "enrolments": marked("meters that are being enrolled"),
    "epochs": marked("epochs"),
    "export": marked("everything that is kept, taken out by the person"),
    "held readings": marked("readings that are held"),
    "leave requests": marked("who wants to leave"),
    "log": marked("entries of the log"),
    "meters": marked("meters"),
    "orders": marked("orders and trades"),
    "people": marked("members and their people"),
    "proofs": marked("proofs of readings"),
    "proposals": marked("what waits for two people"),
    "standing_order": marked("the standing order"),
    "tariffs": marked("tariffs"),
    "today": marked("today's energy, orders and bills"),
    "verify": marked("how an audit goes"),
    "waiting": marked("what waits at the department"),
    "wallet requests": marked("wallets of members' own"),
    "who a pseudonym is": marked("the name behind the pseudonym"),
    "who is to be erased": marked("who is to be erased"),
}
"""What is read, as a person is told of it. The log has the keys."""


def note(store: Store, reader: Principal, what: str, subject: str, now: int) -> None:
    """Log that somebody else's data are read; before they are given out, so that nothing is read unlogged.

    subject is the wallet by which the member is known for ever, or EVERYBODY.
    """
    with store.read() as session:
        if _lately(session, reader, what, subject, now):
            return
    with store.write() as session:
        if not _lately(session, reader, what, subject, now):
            log.record_act(session, DATA_READ, reader.actor, now, {"subject": subject, "what": what})
            session.merge(LoggedRead(pseudonym=reader.pseudonym, what=what, subject=subject, at=now))


def _lately(session: Session, reader: Principal, what: str, subject: str, now: int) -> bool:
    known = session.get(LoggedRead, (reader.pseudonym, what, subject))
    return known is not None and 0 <= now - known.at < QUIET_SECONDS  # before that, the clock was set back


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody read: its place in the log, when (Unix seconds), the reader's pseudonym and roles, what, and whether on
    a page of everybody's; roles are those of now, none of who has left.
    """

    log_index: int
    time: int
    reader: str
    roles: tuple[str, ...]
    what: str
    of_everybody: bool


def of(
    session: Session, names: Collection[str], before: int | None, most: int, *, everybody: bool = False
) -> Sequence[Reading]:
    """Who read what is about one of these names (a pseudonym, a wallet), or about everybody; the newest first.

    before: the place in the log below which they lie.
    """
    subjects = [*names, *([EVERYBODY] if everybody else [])]
    named = or_(*(type_coerce(Act.data, Text).like(f'%"subject":"{name}"%') for name in subjects))
    query = select(Act).where(Act.kind == DATA_READ, named)
    if before is not None:
        query = query.where(Act.log_index < before)
    acts = session.scalars(query.order_by(Act.log_index.desc()).limit(most)).all()
    readers = session.scalars(select(Person).where(Person.pseudonym.in_({act.actor for act in acts})))
    roles = {each.pseudonym: tuple(held.role for held in records.roles_of(session, each)) for each in readers}
    return [
        Reading(
            log_index=act.log_index,
            time=act.time,
            reader=act.actor,
            roles=roles.get(act.actor, ()),
            what=str(act.data["what"]),
            of_everybody=act.data["subject"] == EVERYBODY,
        )
        for act in acts
    ]
