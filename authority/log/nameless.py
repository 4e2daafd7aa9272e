"""Words for the log: it forgets nothing, so a reason that is typed for it names no person, member or building.

Pages and commands ask here alike: the services that write a reason into the log do, whoever calls them.
"""

from __future__ import annotations

import re
import unicodedata

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.refusals import RefusalError
from authority.store.metering import Gateway, Meter
from authority.store.people import User
from authority.store.persons import Person

SHORTEST_NAME = 3
"""Names of fewer letters, such as a building's A, are words that any sentence may have."""
_WITHOUT_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Letters of scripts whose words stand side by side: Thai, Lao, Burmese, Khmer, Japanese and Chinese."""


class NamesSomebodyError(RefusalError):
    """Words for the log that name somebody or a building."""

    code = "names_somebody"

    def __init__(self, name: str) -> None:
        super().__init__(f"these words go into the log, which forgets nothing: say it without {name!r}")


def require_nameless(session: Session, text: str) -> None:
    """NamesSomebodyError where words for the log name a person, a member, a building, a meter's serial or a gateway."""
    words = _plain(text)
    named = [
        *session.scalars(select(Person.name)),
        *session.scalars(select(Person.login)),
        *session.scalars(select(User.name)),
        *session.scalars(select(User.building)),
        *session.scalars(select(Meter.serial)),
        *session.scalars(select(Gateway.name)),
    ]
    for name in named:
        found = _plain(name)
        if len(found) >= SHORTEST_NAME and re.search(_as_words(found), words):
            raise NamesSomebodyError(name)


def _plain(text: str) -> str:
    """A text as it is compared: however it is composed, in capitals or not, and without what nobody sees."""
    same = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(each for each in same if unicodedata.category(each) != "Cf").split())


def _as_words(name: str) -> str:
    """A pattern of the name as words of their own; where a script has no spaces, anywhere in a text."""
    before, after = (
        "" if re.match(f"[{_WITHOUT_SPACES}]", edge) else rf"[^\W{_WITHOUT_SPACES}]" for edge in (name[0], name[-1])
    )
    return (f"(?<!{before})" if before else "") + re.escape(name) + (f"(?!{after})" if after else "")
