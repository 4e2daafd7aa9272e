"""What people type or paste in their own words: what is left out of it, and whether the rest can be shown.

Scripts need more than letters: Persian, Hindi and a family of emoji have joiners in them, and a telephone knows
characters that this Python does not yet. What nobody sees and pasting brings along is left out without a word.
"""

from __future__ import annotations

import unicodedata

from authority.errors import AuthorityError

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_BROUGHT_ALONG = dict.fromkeys(
    map(
        ord,
        "\N{ZERO WIDTH SPACE}\N{SOFT HYPHEN}\N{ZERO WIDTH NO-BREAK SPACE}\N{WORD JOINER}"
        "\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}",
    )
)


def line(text: str) -> str:
    """The text in one line, composed, without what nobody sees, and with single spaces.

    Two that look alike are one then: machines compose letters otherwise than one another.
    """
    return " ".join(unicodedata.normalize("NFC", text.translate(_BROUGHT_ALONG)).split())


def lines(text: str) -> str:
    """The same in lines, without empty ones before and after."""
    return "\n".join(map(line, text.translate(_BROUGHT_ALONG).strip().splitlines()))


def unshown(text: str) -> str:
    """The first character that cannot be shown, or turns round how others are, as U+202E; empty where there is none."""
    return next((f"U+{ord(each):04X}" for each in text if each != "\n" and not _can_be_shown(each)), "")


def require_shown(text: str, error: type[AuthorityError]) -> None:
    """An error of this class where a character of the text cannot be shown."""
    if character := unshown(text):
        what = f"leave out the character {character}: it cannot be shown"
        raise error(what)


def _can_be_shown(each: str) -> bool:
    if each.isprintable() or each in _JOINERS:
        return True
    is_no_character = ord(each) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(each) <= 0xFDEF
    return unicodedata.category(each) == "Cn" and not is_no_character
