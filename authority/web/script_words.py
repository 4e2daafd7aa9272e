"""The sentences of the pages' scripts in the reader's language, as a block of data that a page carries.

A script has its sentences in English, each as the first argument of `gettext` or `ngettext`; here they are found again.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from markupsafe import Markup

from authority.language.reading import translated, translated_number

SCRIPTS = Path(__file__).with_name("static")
_TEXT = r'"(?:[^"\\\n]|\\.)*"'
_CALL = re.compile(rf"\bgettext\(({_TEXT})|\bngettext\(({_TEXT}), ({_TEXT})")


@cache
def sentences(script: str) -> tuple[tuple[str, ...], ...]:
    """What a script says: (sentence,) or, where it is of a number, (one, many)."""
    text = (SCRIPTS / script).read_text("utf-8")
    found = (tuple(json.loads(each) for each in match.groups() if each) for match in _CALL.finditer(text))
    return tuple(dict.fromkeys(found))


def script_words(*scripts: str) -> Markup:
    """The block for a page with these scripts; none where the reader's language is the scripts' own."""
    words = {}
    for sentence in (each for script in scripts for each in sentences(script)):
        text = translated(sentence[0]) if len(sentence) == 1 else translated_number(sentence[0], sentence[1], 2)
        if text not in sentence:
            words[sentence[0]] = text
    if not words:
        return Markup()
    data = json.dumps(words, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return Markup('<script type="application/json" id="words">{}</script>').format(Markup(data))  # noqa: S704
