"""People of the demonstration: one of each role, and links with which whoever runs it looks around as each.

Such a link signs in by itself, as often as wanted, until the day is over. It is made for a home whose pages listen on
this machine alone.
"""

from __future__ import annotations

from authority.app import App
from authority.people import invitations, records
from authority.people.desk import address
from authority.people.roles import DELEGATE, MEMBER, OF_A_MEMBER, ROLES

LOOK_SECONDS = 86_400
MEMBERS = {MEMBER: "Dormitory A", DELEGATE: "Dormitory B"}


def links(app: App, *, actor: str) -> dict[str, str]:
    """Make a person of each role, and a link for each."""
    now, made = app.clock(), {}
    with app.store.write() as session:
        for role in ROLES:
            person = records.add(session, f"demo-{role}", f"{role.title()} of the demo", now=now)
            member = records.member_named(session, MEMBERS[role]) if role in OF_A_MEMBER else None
            until = now + LOOK_SECONDS if role == DELEGATE else None
            records.grant(session, person, role, by=actor, now=now, member=member, until=until)
            secret = invitations.make_entrance(session, person, by=actor, now=now, seconds=LOOK_SECONDS)
            made[role] = f"{address(app.home)}/enter/{secret}"
    return made
