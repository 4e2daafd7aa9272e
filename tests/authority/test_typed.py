"""What people type: what pasting brings along is left out, scripts keep what they need, the rest is named."""

from __future__ import annotations

import pytest

from authority import typed


def test_what_nobody_sees_is_left_out() -> None:
    assert typed.line("  a\N{ZERO WIDTH SPACE}b\N{SOFT HYPHEN}c \n d\N{ZERO WIDTH NO-BREAK SPACE}") == "abc d"
    assert typed.lines("\n a  b\r\n\tc\N{RIGHT-TO-LEFT MARK} \n\n") == "a b\nc"


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a joiner
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\U0001fae8 \U0001fadf",  # newer than the tables of some Pythons
        "one\ntwo",
    ],
)
def test_what_can_be_shown(text: str) -> None:
    assert typed.unshown(typed.lines(text)) == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [("a\x07", "U+0007"), ("\u202eevil", "U+202E"), ("\ud800", "U+D800"), ("\uffff", "U+FFFF"), ("\ufdd0", "U+FDD0")],
)
def test_what_cannot_is_named(text: str, found: str) -> None:
    assert typed.unshown(typed.lines(text)) == found
