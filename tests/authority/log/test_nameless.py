"""No name gets into the log by a reason, in whatever script, and however it is composed."""

from __future__ import annotations

import pytest

from authority.app import App
from authority.log.nameless import NamesSomebodyError, require_nameless
from authority.people import records


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Ada Lovelace", "the lift was billed to ada  LOVELACE"),
        ("Jos\N{LATIN SMALL LETTER E WITH ACUTE}", "billed to Jose\N{COMBINING ACUTE ACCENT} instead"),
        ("Ada", "billed to A\N{ZERO WIDTH JOINER}da instead"),
        ("Ada", "billed to \N{FULLWIDTH LATIN CAPITAL LETTER A}da instead"),
        (
            "\u0e2a\u0e21\u0e0a\u0e32\u0e22",
            "\u0e04\u0e34\u0e14\u0e40\u0e07\u0e34\u0e19\u0e2a\u0e21\u0e0a\u0e32\u0e22\u0e1c\u0e34\u0e14",
        ),
        ("Ada", "\u0e04\u0e34\u0e14\u0e40\u0e07\u0e34\u0e19Ada\u0e1c\u0e34\u0e14"),
        ("\u738b\u5c0f\u660e", "\u628a\u738b\u5c0f\u660e\u7684\u7535\u8d39"),
    ],
)
def test_a_name_is_found(app: App, name: str, reason: str) -> None:
    with app.store.write() as session:
        records.add(session, "somebody@campus.example", name, now=1)
        with pytest.raises(NamesSomebodyError):
            require_nameless(session, reason)


def test_a_word_that_has_a_name_in_it_names_nobody(app: App) -> None:
    with app.store.write() as session:
        records.add(session, "somebody@campus.example", "Ada", now=1)
        require_nameless(
            session, "the adapter was exchanged, \u0e2d\u0e30\u0e41\u0e14\u0e1b\u0e40\u0e15\u0e2d\u0e23\u0e4c"
        )
