"""Members invited from the pages: one by one, or a list by CSV that is tried first and keeps people apart by its ids.

A list's columns are id, login, name and member (of the market). The id is the campus's own key of a person, such as a
tenancy's number: it says who is who when a name or a login changes, so the same list again changes nothing. From the
pages people are invited as members alone. A link opens the account of whom it names: so a member who has signed in
already, and lost the way in, gets a new one by mail alone, where no operator sees it; whoever has another role gets one
by a command.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.home.home import Home
from authority.language.reading import marked, spoken
from authority.people import invitation_mails, invitations, records
from authority.people.errors import InviteRefusedError, ListInvalidError, PeopleError
from authority.people.roles import DELEGATE, MEMBER
from authority.store.persons import Person

COLUMNS = ("id", "login", "name", "member")
MOST_ROWS = 500
MAX_ID = 64
NEW, SAME, CHANGED, WRONG = "new", "same", "changed", "wrong"


@dataclass(frozen=True)
class Row:
    """One line of a list."""

    id: str
    login: str
    name: str
    member: str


@dataclass(frozen=True)
class Planned:
    """What would become of a row: new, same, changed (from -> to) or wrong, with words for a person."""

    number: int
    row: Row
    outcome: str
    words: str = ""


@dataclass(frozen=True)
class Plan:
    """A list, tried: nothing is done while a row is wrong."""

    rows: tuple[Planned, ...]

    @property
    def wrong(self) -> int:
        """How many rows cannot be done."""
        return sum(each.outcome == WRONG for each in self.rows)

    def count(self, outcome: str) -> int:
        """How many rows have an outcome."""
        return sum(each.outcome == outcome for each in self.rows)

    @property
    def digest(self) -> str:
        """What a person agreed to: rows and outcomes."""
        text = repr([(each.row, each.outcome, each.words) for each in self.rows])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Invited:
    """Somebody who was invited, and the secret of the link, which is shown once; empty where the link is mailed."""

    name: str
    login: str
    secret: str = field(repr=False)


def parse(text: str) -> list[Row]:
    """Read a list; ListInvalidError where it is not one. Its delimiter is a comma, a semicolon or a tab.

    Lines end as on any machine; a first line such as sep=; is a spreadsheet's.
    """
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    if re.match("sep=.\n", text, re.IGNORECASE):
        text = text.partition("\n")[2]
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    try:
        lines = [line for line in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True) if any(line)]
    except csv.Error as error:
        raise ListInvalidError(f"this cannot be read as CSV: {error}") from error
    names = [name.strip().casefold() for name in lines[0]] if lines else []
    if sorted(names) != sorted(COLUMNS):
        raise ListInvalidError(f"the first line names the columns, which are {', '.join(COLUMNS)}")
    if not 1 < len(lines) <= MOST_ROWS + 1:
        raise ListInvalidError(f"a list has 1 to {MOST_ROWS} rows, this one has {len(lines) - 1}")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(COLUMNS):
            raise ListInvalidError(f"line {number} has {len(line)} columns, not {len(COLUMNS)}")
        rows.append(Row(**{name: value.strip() for name, value in zip(names, line, strict=True)}))
    return rows


def plan(session: Session, rows: list[Row], *, now: int) -> Plan:
    """What the rows would do. Each is tried on the store and taken back."""
    planned: list[Planned] = []
    ids: set[str] = set()
    logins: set[str] = set()
    for number, row in enumerate(rows, 1):
        login = records.as_login(row.login)
        try:
            if row.id in ids or login in logins:
                raise ListInvalidError("the same id or login is in the list twice")
            planned.append(Planned(number, row, *_outcome(session, row, now)))
        except PeopleError as error:
            planned.append(Planned(number, row, WRONG, str(error)))
        ids.add(row.id)
        logins.add(login)
    return Plan(tuple(planned))


def invite_all(
    session: Session, rows: list[Row], agreed: str, *, by: str, now: int, mail: Home | None = None
) -> tuple[Plan, list[Invited]]:
    """Do what a plan said: invite who is new, change names. Each is logged, by pseudonym.

    With `mail` (whose settings say how) links are mailed, and none is made here. ListInvalidError where a row is wrong,
    or where the rows would now do something else than was agreed to; those of `invitation_mails.ask`.
    """
    found = plan(session, rows, now=now)
    if found.wrong or found.digest != agreed:
        raise ListInvalidError("the list is wrong, or would now do something else than was shown: look at it again")
    invited = []
    for each in found.rows:
        if each.outcome == NEW:
            person = _add(session, each.row, by, now)
            invited.append(_invited(session, person, by, now, mail))
        elif each.outcome == CHANGED:
            known = _known(session, each.row)
            assert known is not None  # noqa: S101 - the plan found the person
            known.list_id, known.name = each.row.id, each.row.name
            records.note_changed(session, known, by=by, now=now)
    return found, invited


def invite_again(session: Session, pseudonym: str, *, by: str, now: int, mail: Home | None = None) -> Invited:
    """A new link for a member, mailed or not; the earlier one is void. Who has signed in before gets it by mail alone.

    Whoever uses it is signed out everywhere else. InviteRefusedError for others, and those of `invitation_mails.ask`.
    """
    person = session.scalar(select(Person).where(Person.pseudonym == pseudonym).with_for_update())
    if person is None:
        raise InviteRefusedError("there is nobody of that pseudonym; see the list")
    _require_plain(session, person)
    if mail is None and records.has_signed_in(session, person):
        raise InviteRefusedError(
            "this person has signed in before, so a link that is shown would open its account: have it mailed, or: "
            f"{_by_command()}"
        )
    return _invited(session, person, by, now, mail)


def _invited(session: Session, person: Person, by: str, now: int, mail: Home | None) -> Invited:
    if mail is None:
        return Invited(person.name, person.login, invitations.make(session, person, by=by, now=now))
    invitation_mails.ask(session, mail, person, by=by, now=now)
    return Invited(person.name, person.login, "")


def _outcome(session: Session, row: Row, now: int) -> tuple[str, str]:
    if not 0 < len(row.id) <= MAX_ID or not row.id.isprintable():
        raise ListInvalidError(f"an id is 1 to {MAX_ID} printable characters")
    known = _known(session, row)
    if known is None:
        records.require_sound(row.login, row.name)
        records.member_named(session, row.member)
        return NEW, marked("is invited")
    _require_plain(session, known)
    if known.list_id not in (None, row.id):
        raise ListInvalidError(f"{row.login!r} has the id {known.list_id!r} here")
    if known.login != records.as_login(row.login):
        raise ListInvalidError(f"{row.id!r} signs in as {known.login!r}; a login does not change")
    records.require_sound(row.login, row.name)
    of = {held.member.name for held in records.roles_of(session, known) if held.member is not None}
    if of != {row.member}:
        raise ListInvalidError(
            f"this person sees {', '.join(sorted(of)) or marked('no account')}: change that by command"
        )
    changes = []
    if known.list_id is None:
        changes.append(spoken(f"gets the id {row.id}"))
    if known.name != row.name:
        changes.append(spoken(f"name {known.name!r} -> {row.name!r}"))
    return (CHANGED, "; ".join(changes)) if changes else (SAME, marked("nothing changes"))


def _known(session: Session, row: Row) -> Person | None:
    """Whom a row is about: by its id, else by its login."""
    by_id = session.scalar(select(Person).where(Person.list_id == row.id))
    known = by_id or _of_login(session, row)
    return None if known is not None and _never_came(session, known) else known


def _of_login(session: Session, row: Row) -> Person | None:
    return session.scalar(select(Person).where(Person.login == records.as_login(row.login)))


def _never_came(session: Session, person: Person) -> bool:
    """Whether a member named this person its delegate and it never came in: that keeps nobody from taking part."""
    roles = {held.role for held in records.roles_of(session, person)}
    return roles == {DELEGATE} and person.list_id is None and not records.has_signed_in(session, person)


def _add(session: Session, row: Row, by: str, now: int) -> Person:
    before = _of_login(session, row)
    if before is not None:  # a delegate that never came in: its link ends with it
        records.erase(session, before, by=by, now=now)
        session.flush()
    person = records.add(session, row.login, row.name, now=now)
    person.list_id = row.id
    member = records.member_named(session, row.member)
    records.grant(session, person, MEMBER, by=by, now=now, member=member)
    return person


def _require_plain(session: Session, person: Person) -> None:
    if {held.role for held in records.roles_of(session, person)} - {MEMBER}:
        raise InviteRefusedError(f"this person has another role than that of a member: {_by_command()}")


def _by_command() -> str:
    return marked("authority people invite LOGIN, on the authority's machine")
