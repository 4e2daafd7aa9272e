"""In which language is read now, and the sentences of that language.

The language is a property of what is being written (one page, one mail, one bill), so it is held in a context variable:
English until somebody says otherwise. Catalogues are compiled gettext files beside this module.
"""

from __future__ import annotations

import gettext as catalogues
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from authority.language.calendar import ENGLISH_DATES, THAI_DATES, Dates
from authority.language.sentences import Sentences

ENGLISH, THAI = "en", "th"
FILES = Path(__file__).with_name("catalogues")
FONTS = Path(__file__).with_name("fonts")
"""Fonts of scripts that bills may need and that not every machine has; each with its licence."""
ERRORS = "error"
"""The context, in a catalogue, of sentences that errors say in English."""


@dataclass(frozen=True)
class Language:
    """A language: its code (BCP 47), what its readers call it, how it writes dates, and where its catalogue is."""

    code: str
    name: str
    dates: Dates = field(default=ENGLISH_DATES, repr=False)
    file: Path | None = None

    @cached_property
    def catalogue(self) -> catalogues.NullTranslations:
        """The sentences; those of English are the sources' own."""
        if self.file is None:
            return catalogues.NullTranslations()
        with self.file.open("rb") as compiled:
            return catalogues.GNUTranslations(compiled)

    @cached_property
    def errors(self) -> Sentences:
        """What errors say, as patterns."""
        known = getattr(self.catalogue, "_catalog", {})
        lead = f"{ERRORS}\x04"
        return Sentences(
            {key.removeprefix(lead): text for key, text in known.items() if isinstance(key, str) and lead in key}
        )


LANGUAGES: dict[str, Language] = {
    ENGLISH: Language(ENGLISH, "English"),
    THAI: Language(THAI, "ไทย", THAI_DATES, FILES / "th.mo"),
}
"""The languages that a reader may choose, by their codes."""

_reading: ContextVar[str] = ContextVar("reading", default=ENGLISH)


def current() -> Language:
    """The language in which is read now."""
    return LANGUAGES[_reading.get()]


def choose(code: str) -> None:
    """Read in a language from now on, in this context. KeyError where there is none of this code."""
    _reading.set(LANGUAGES[code].code)


@contextmanager
def reading(code: str | None) -> Iterator[None]:
    """Read in a language within the block; one that nobody knows, or none, is English."""
    token = _reading.set(code if code in LANGUAGES else ENGLISH)
    try:
        yield
    finally:
        _reading.reset(token)


def translated(message: str) -> str:
    """A marked sentence in the language in which is read, its placeholders as they are."""
    return current().catalogue.gettext(message) if message else ""


def translated_number(one: str, many: str, count: int) -> str:
    """The form of a marked sentence that fits a number, its placeholders as they are."""
    return current().catalogue.ngettext(one, many, count)


def gettext(message: str, /, **values: object) -> str:
    """A marked sentence with its values: `%(name)s`; a percent sign is `%%`."""
    return translated(message) % values


def ngettext(one: str, many: str, count: int, /, **values: object) -> str:
    """The form that fits a number; `%(count)s` is the number."""
    return translated_number(one, many, count) % {"count": count, **values}


def marked(message: str) -> str:
    """The sentence itself: it is marked here, and translated where it is shown."""
    return message


def spoken(sentence: str) -> str:
    """A sentence with its values in it, as an error's: marked here, and translated by `said` where it is shown."""
    return sentence


def said(text: str) -> str:
    """What an error says in English, in the language in which is read; as it is where that is not known.

    Log, commands and the API have it in English. So its place in the sources is one, and a page that shows it looks up
    which pattern of the catalogue it has.
    """
    language = current()
    if language.code == ENGLISH or not text:
        return text
    found = language.errors.translated(text, language.catalogue.gettext)
    return language.catalogue.gettext(text) if found == text else found


def known_of(choices: Mapping[str, float]) -> str | None:
    """The language among those that a browser names (code: weight), the heaviest first; None where there is none."""
    for code, _ in sorted(choices.items(), key=lambda each: -each[1]):
        found = code.lower().partition("-")[0]
        if choices[code] > 0 and found in LANGUAGES:
            return found
    return None
