"""A language that nobody speaks, `en-XA`: each marked sentence in brackets, with accents, and longer by half.

A page that is read in it shows every text that is not marked for translation, and what breaks where texts are longer.
"""

from __future__ import annotations

import gettext
import re
from dataclasses import replace
from functools import cached_property
from html.parser import HTMLParser
from typing import Any

from scripts import loaded

from authority.language.calendar import ENGLISH_DATES
from authority.language.reading import ERRORS, Language
from authority.language.sentences import Sentences

CODE = "en-XA"
OPEN, CLOSE = "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}", "\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"
ACCENTS = str.maketrans("aeiounycsAEIOUNYCS", "áéíóúñýçšÁÉÍÓÚÑÝÇŠ")
_KEPT = re.compile(r"(%\(\w+\)s|%%|<[^<>]*>|&\w+;)")


def load_catalogues() -> Any:
    """docs/languages/catalogues.py as a module."""
    return loaded("docs/languages/catalogues.py")


def stretched(text: str) -> str:
    """A sentence in this language; its places and its markup stay. Only a gap at its beginning stays outside."""
    gap = text[: len(text) - len(text.lstrip())]
    parts = _KEPT.split(text[len(gap) :])
    words = "".join(part if place % 2 else part.translate(ACCENTS) for place, part in enumerate(parts))
    letters = sum(len(part) for place, part in enumerate(parts) if not place % 2)
    more = " ".join("~" * 5 for _ in range(max(1, letters * 2 // 25)))
    return f"{gap}{OPEN}{words} {more}{CLOSE}" if letters > 3 else f"{gap}{OPEN}{words}~{CLOSE}"


class _Stretching(gettext.NullTranslations):
    def gettext(self, message: str) -> str:
        return stretched(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return stretched(msgid1 if n == 1 else msgid2)


class Pseudo(Language):
    """The language, without a catalogue of its own: what an error says is marked where Thai's catalogue has it."""

    @cached_property
    def catalogue(self) -> gettext.NullTranslations:
        return _Stretching()

    @cached_property
    def errors(self) -> Sentences:
        known = load_catalogues().read("th")
        return Sentences({str(each.id): stretched(str(each.id)) for each in known if each.context == ERRORS})


DATES = replace(
    ENGLISH_DATES,
    months=tuple(map(stretched, ENGLISH_DATES.months)),
    short_months=tuple(map(stretched, ENGLISH_DATES.short_months)),
    days=tuple(map(stretched, ENGLISH_DATES.days)),
)
PSEUDO = Pseudo(CODE, f"{OPEN}Pseudo{CLOSE}", DATES)


class _Visible(HTMLParser):
    """The texts that a person sees or hears: not code, not what is said to be English."""

    SILENT = ("script", "style", "code", "template", "textarea")
    ATTRIBUTES = ("aria-label", "alt", "title", "placeholder")
    VOID = ("meta", "link", "input", "br", "img", "hr", "rect", "path", "circle")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden: list[bool] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        hidden = (
            any(self._hidden) or tag in self.SILENT or (tag != "html" and given.get("lang") in ("en", "th"))
        )  # fmt: skip
        if not hidden:
            self.texts += [str(given[name]) for name in self.ATTRIBUTES if given.get(name)]
            if tag == "meta" and given.get("name") == "description":
                self.texts.append(str(given["content"]))
        if tag not in self.VOID:
            self._hidden.append(hidden)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._hidden.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID and self._hidden:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        if not any(self._hidden):
            self.texts.append(data)


def unmarked(page: str, *data: str) -> list[str]:
    """The words of a page that no mark encloses. data: words that are no language's, such as names.

    Marks may lie within marks, and a mark may hold markup: so the page's whole text is looked at, in its order.
    """
    told = " ".join(_Visible(page).texts)
    outside, depth = [], 0
    for each in told:
        depth += (each == OPEN) - (each == CLOSE)
        assert depth >= 0, "a mark is closed that was not opened"
        outside.append(each if depth == 0 and each != CLOSE else " ")
    left = "".join(outside)
    for each in sorted(data, key=len, reverse=True):
        left = left.replace(each, " ")
    return re.findall(r"[^\W\d_]{2,}", left)
