"""Words for the log: it forgets nothing, so a reason that is typed for it names no person, member or building.

Pages and commands ask here alike: the services that write a reason into the log do, whoever calls them.
"""

from __future__ import annotations

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.refusals import RefusalError
from authority.store.people import User
from authority.store.persons import Person

SHORTEST_NAME = 3
"""Names of fewer letters, such as a building's A, are words that any sentence may have."""


class NamesSomebodyError(RefusalError):
    """Words for the log that name somebody or a building."""

    code = "names_somebody"

    def __init__(self, name: str) -> None:
        super().__init__(f"these words go into the log, which forgets nothing: say it without {name!r}")


def require_nameless(session: Session, text: str) -> None:
    """NamesSomebodyError where words for the log name a person, a member or a building."""
    words = " ".join(text.casefold().split())
    named = [
        *session.scalars(select(Person.name)),
        *session.scalars(select(Person.login)),
        *session.scalars(select(User.name)),
        *session.scalars(select(User.building)),
    ]
    for name in named:
        found = " ".join(name.casefold().split())
        if len(found) >= SHORTEST_NAME and re.search(rf"(?<!\w){re.escape(found)}(?!\w)", words):
            raise NamesSomebodyError(name)
