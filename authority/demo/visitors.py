"""People of the demonstration: one of each role and one of each flat, and links with which whoever runs it looks around
as each.

Such a link signs in by itself, as often as wanted, until the day is over. It is made for a home whose pages listen on
this machine alone. What asks for more than a link, such as changing somebody's roles, takes the password that all have.
"""

from __future__ import annotations

import secrets

from authority.app import App
from authority.demo import campus
from authority.people import invitations, passwords, records
from authority.people.desk import address
from authority.people.roles import DELEGATE, MEMBER, ROLES

LOOK_SECONDS = 86_400
MEMBERS = {MEMBER: "Dormitory A", DELEGATE: "Dormitory B"}
FLATS = {f"flat {number}": name for number, name in enumerate(campus.FLATS, 1)}


def login_of(label: str) -> str:
    """The login of the person of a role or flat."""
    return f"demo-{label.replace(' ', '-')}"


def links(app: App, *, actor: str) -> tuple[dict[str, str], str]:
    """Make a person of each role and a member of each flat: their links, by role and by flat, and their password."""
    now, made = app.clock(), {}
    password = secrets.token_urlsafe(12)
    hashed = passwords.hashed(password)
    people = [(role, role, MEMBERS.get(role)) for role in ROLES]
    people += [(flat, MEMBER, member) for flat, member in FLATS.items()]
    with app.store.write() as session:
        for label, role, of in people:
            person = records.add(session, login_of(label), f"{label.capitalize()} of the demo", now=now)
            person.password_hash = hashed
            member = None if of is None else records.member_named(session, of)
            until = now + LOOK_SECONDS if role == DELEGATE else None
            records.grant(session, person, role, by=actor, now=now, member=member, until=until)
            secret = invitations.make_entrance(session, person, by=actor, now=now, seconds=LOOK_SECONDS)
            made[label] = f"{address(app.home)}/enter/{secret}"
    return made, password
