"""All that the log says, for tests that look for words which must not be in it."""

from __future__ import annotations

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.log import log
from authority.store.log import LogName
from authority.store.metering import Gateway, Meter
from authority.store.people import User
from authority.store.persons import Person

SHORTEST_NAME = 3
"""A name of fewer letters is part of a key or a digest by chance."""


def every_leaf(session: Session) -> bytes:
    """The bytes of all leaves, one after the other."""
    leaves = list(log.leaves(session, 0, log.size(session)))
    assert len(leaves) == log.size(session)
    return b"".join(leaf.data for leaf in leaves)


def names_of(session: Session) -> set[str]:
    """The name, login or serial of everybody and everything that the store knows."""
    columns = (Person.name, Person.login, User.name, User.building, Meter.serial, Gateway.name, LogName.name)
    return {name for column in columns for name in session.scalars(select(column)) if len(name) >= SHORTEST_NAME}


def named_in_the_log(session: Session, *more: str) -> set[str]:
    """Which of these names, and more, stand in a leaf as words of their own, in capitals or not."""
    said = every_leaf(session).decode("utf-8", "replace").casefold()
    return {
        name
        for name in names_of(session) | set(more)
        if re.search(rf"(?<![^\W_]){re.escape(name.casefold())}(?![^\W_])", said)
    }
