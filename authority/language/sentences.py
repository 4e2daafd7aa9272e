"""Sentences with values in them, found again by their pattern: from an error's English text to another language."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_PLACE = re.compile(r"%\((\w+)\)s")
LEAST_LETTERS = 6
"""Letters that a pattern has at least besides its values: less would fit texts that it is not."""


class Sentences:
    """The patterns of a catalogue: English with `%(name)s`, and its translation with the same names."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._whole = {english: text for english, text in known.items() if not _PLACE.search(english)}
        patterns = [(_compiled(english), text) for english, text in known.items() if _PLACE.search(english)]
        # The one with the most letters of its own says the most, so it is tried first.
        self._patterns = sorted(patterns, key=lambda each: -len(each[0].pattern))

    def translated(self, text: str, words: Callable[[str], str]) -> str:
        """The sentence in the other language; `words` translates a value that is a marked word itself.

        A text that no pattern fits stays as it is.
        """
        if text in self._whole:
            return self._whole[text] % {}
        for pattern, other in self._patterns:
            if found := pattern.fullmatch(text):
                values = {name: self._value(value, words) for name, value in found.groupdict().items()}
                return other % values
        return text

    def _value(self, value: str, words: Callable[[str], str]) -> str:
        """A value may be a sentence of this kind itself, or a marked word."""
        found = self.translated(value, words)
        return words(value) if found == value and value else found


def letters(english: str) -> int:
    """How many letters a pattern has besides its values."""
    return sum(1 for each in _PLACE.sub("", english) if each.isalpha())


def _compiled(english: str) -> re.Pattern[str]:
    parts, seen = [], set()
    place = 0
    for found in _PLACE.finditer(english):
        parts.append(re.escape(english[place : found.start()].replace("%%", "%")))
        name = found[1]
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.+?)")
        seen.add(name)
        place = found.end()
    parts.append(re.escape(english[place:].replace("%%", "%")))
    return re.compile("".join(parts), re.DOTALL)
