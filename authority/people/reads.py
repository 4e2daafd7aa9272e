"""Who read whose data: a leaf of the log for each reader, kind and subject, at most one in a quarter of an hour."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Text, func, or_, select, type_coerce
from sqlalchemy.orm import Session

from authority.language.reading import marked
from authority.log import log
from authority.people import records
from authority.people.roles import Principal
from authority.store import Store
from authority.store.log import Act
from authority.store.metering import Frame, Meter
from authority.store.people import User
from authority.store.persons import LoggedRead, Person

DATA_READ = "data_read"
"""The act."""
QUIET_SECONDS = 900
LOOKED_AT = 5_000
"""How many acts one page of readings goes through at most: they are of all people, and become more every year."""
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


def whose_meter(session: Session, gateway: str, meter_name: str) -> str:
    """The wallet of the member whose meter it is, by which a reading of it is noted; EVERYBODY for nobody's."""
    its = (Meter.gateway_name == gateway, Meter.name == meter_name)
    return session.scalar(select(User.wallet).join(Meter, Meter.user_id == User.id).where(*its)) or EVERYBODY


def whose_reading(session: Session, log_index: int) -> str:
    """The wallet of the member of whose meter a reading is, by its place in the log; EVERYBODY where there is none."""
    query = select(User.wallet).join(Meter, Meter.user_id == User.id).join(Frame, Frame.meter_pk == Meter.id)
    return session.scalar(query.where(Frame.log_index == log_index)) or EVERYBODY


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
) -> tuple[Sequence[Reading], int | None]:
    """Who read what is about one of these names (a pseudonym, a wallet), or about everybody; the newest first.

    before: the place in the log below which they lie. Beside them where it goes on (None: there is no more): no more
    than LOOKED_AT acts are gone through at once, so a page may have few of them, or none, and go on.
    """
    subjects = [*names, *([EVERYBODY] if everybody else [])]
    window = select(Act.log_index).where(Act.kind == DATA_READ)
    if before is not None:
        window = window.where(Act.log_index < before)
    places = window.order_by(Act.log_index.desc()).limit(LOOKED_AT).subquery()
    count, last = session.execute(select(func.count(), func.min(places.c.log_index))).one()
    if last is None:
        return [], None
    query = select(Act).where(Act.kind == DATA_READ, Act.log_index >= last)
    if before is not None:
        query = query.where(Act.log_index < before)
    named = or_(*(type_coerce(Act.data, Text).like(f'%"subject":"{name}"%') for name in subjects))
    found = session.scalars(query.where(named).order_by(Act.log_index.desc()).limit(most + 1)).all()
    acts, place = found[:most], last if count == LOOKED_AT else None
    if len(found) > most:
        place = acts[-1].log_index
    readers = session.scalars(select(Person).where(Person.pseudonym.in_({act.actor for act in acts})))
    roles = {each.pseudonym: tuple(held.role for held in records.roles_of(session, each)) for each in readers}
    told = [
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
    return told, place
