"""The catalogues: whole, and made of the sources; Thai's dates are CLDR's; an error is found again by its sentence."""

from __future__ import annotations

import ast
import re
from datetime import date, datetime

import babel.dates
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pseudo_language import load_catalogues

from authority.language import reading
from authority.language.reading import ERRORS, FILES, LANGUAGES, THAI, gettext, ngettext, said
from authority.language.sentences import Sentences

CODES = sorted(code for code, language in LANGUAGES.items() if language.file is not None)
PLACE, TAG = re.compile(r"%\(\w+\)s|%%"), re.compile(r"<[^<>]*>|&\w+;")


@pytest.fixture(scope="module")
def catalogues():
    return load_catalogues()


@pytest.fixture(scope="module")
def template(catalogues):
    return catalogues.template()


def forms(message):
    return message.string if isinstance(message.string, tuple | list) else (message.string,)


@pytest.mark.parametrize("code", CODES)
def test_a_catalogue_has_every_sentence_of_the_sources_and_no_other(catalogues, code):
    catalog = catalogues.updated(code)
    told = "make catalogues, and translate what is new"
    assert (FILES / f"{code}.po").read_bytes() == catalogues.written(catalog), told
    assert (FILES / f"{code}.mo").read_bytes() == catalogues.compiled(catalog), told
    assert catalogues.missing(catalog) == []
    text = (FILES / f"{code}.po").read_text("utf-8")
    assert "#, fuzzy" not in text
    assert "\n#~" not in text


@pytest.mark.parametrize("code", CODES)
def test_translations_keep_places_and_markup(catalogues, code):
    wrong = []
    for message in catalogues.read(code):
        if not message.id:
            continue
        english = message.id[-1] if isinstance(message.id, tuple) else message.id
        for form in forms(message):
            for rule in (PLACE, TAG):
                if sorted(set(rule.findall(form))) != sorted(set(rule.findall(english))):
                    wrong.append((english, form))
            if '"' in form and '"' not in english:
                wrong.append((english, "a quotation mark would end an attribute"))
    assert wrong == []


@pytest.mark.parametrize("code", CODES)
def test_a_term_once_decided_is_kept(catalogues, code):
    assert catalogues.departed(code, catalogues.read(code)) == []


TABLE = """\
## Thai: the terms
Some words.

| English | Thai | why |
|---|---|---|
| clearing price | ราคาจับคู่ | one for all |
| price | ราคา | |
| draw, drew | ดึง | |

| English | Thai | why |
|---|---|---|
| ask | ขอ | not checked |

## Another
| never | read | |
"""


def test_a_translation_that_leaves_the_terms_is_told(catalogues):
    known = catalogues.terms(TABLE, "## Thai: the terms")
    assert [term.forms for term in known] == [("clearing price",), ("price",), ("draw", "drew")]

    def told(english, thai, **excepted):
        return catalogues.departures([(english, thai)], known, excepted)

    assert told("Clearing prices", "ราคาจับคู่") == []
    assert [each.split(" is ")[0] for each in told("Clearing prices", "ราคา")] == ["'clearing price'"]
    assert [each.split(" is ")[0] for each in told("the price she drew", "ค่า")] == ["'price'", "'drew'"]
    assert told("withdrew; %(price)s <b class='price'>is</b> <code>price</code> --price", "ถอน") == []
    assert told("ask", "ถาม") == []
    assert told("Draw a line", "ลากเส้น", draw=["Draw a line"]) == []
    assert told("Draw", "ดึง", draw=["Draw"]) == ["the exception of 'draw' is not needed: 'Draw'"]
    with pytest.raises(ValueError, match="price"):
        catalogues.terms(TABLE.replace("| price | ราคา |", "| price | |"), "## Thai: the terms")


def test_every_marked_text_of_the_sources_is_extracted(catalogues, template):
    """Those within other marks, and within f-strings, too."""
    known, looked = {each for message in template for each in ids(message)}, 0
    for path in catalogues.AUTHORITY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if name in ("gettext", "ngettext", "marked") and isinstance(node.args[0], ast.Constant):
                looked += 1
                assert node.args[0].value in known, (path, node.args[0].value)
    assert looked > 150


def ids(message):
    return message.id if isinstance(message.id, tuple) else (message.id,)


def test_what_an_error_says_is_found_again(catalogues):
    """With values in its places, each pattern gives its own translation with the same values."""
    messages = [each for each in catalogues.read(THAI) if each.context == ERRORS]
    assert len(messages) > 200
    with reading.reading(THAI):
        for message in messages:
            values = {name: f"«{place}»" for place, name in enumerate(re.findall(r"%\((\w+)\)s", message.id))}
            assert said(message.id % values) == message.string % values, message.id
        assert said("nobody ever says this") == "nobody ever says this"
        assert said("") == ""
    assert said("you have no such token") == "you have no such token"


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_of_a_stranger_breaks_a_sentence(name, other):
    known = Sentences({"%(name)s has %(count)s bills%%": "%(count)s%% บิล %(name)s", "two (of) them": "สอง"})
    assert known.translated("two (of) them", lambda word: word) == "สอง"
    text = f"{name} has {other} bills%"
    found = known.translated(text, lambda word: word)
    if name and other and " has " not in name + other and name != "two (of) them" != other:
        assert found == f"{other}% บิล {name}"


def test_an_error_within_an_error_is_translated_too():
    with reading.reading(THAI):
        told = said(
            "nothing is ever sold at 5 or more: the market's prices are 1 to 3 micro-credit per kWh; ask for 3 or less"
        )
    assert re.search("[A-Za-z]{4,}", told) is None, told


def test_thais_dates_are_those_of_cldr_in_the_buddhist_era():
    dates = LANGUAGES[THAI].dates
    for month in range(1, 13):
        day = date(2026, month, 9)
        assert dates.written(day, "%B") == babel.dates.format_date(day, "MMMM", locale="th")
        assert dates.written(day, "%b") == babel.dates.format_date(day, "MMM", locale="th")
    for number in range(7):
        day = date(2026, 6, 1 + number)
        assert dates.written(day, "%A") == babel.dates.format_date(day, "EEEE", locale="th")
    assert dates.written(date(2026, 6, 21), "%A, %-d %B %Y") == "วันอาทิตย์ที่ 21 มิถุนายน 2569"
    moment = datetime(2026, 6, 1, 7, 5)  # noqa: DTZ001
    assert dates.written(moment, "%-d %b %Y, %H:%M") == "1 มิ.ย. 2569 07:05 น."
    assert dates.written(moment, "%-d %b %H:%M:%S") == "1 มิ.ย. 07:05:00 น."
    assert dates.written(moment, "%H:%M") == "07:05"


@given(st.dates())
def test_english_dates_are_strftimes(day):
    form = "%A, %-d %B %Y %b"
    assert LANGUAGES["en"].dates.written(day, form) == day.strftime(form.replace("%Y", f"{day.year:04d}"))


def test_a_language_holds_for_its_block_alone():
    assert gettext("Bill %(number)s", number=3) == "Bill 3"
    with reading.reading(THAI):
        assert gettext("Bill %(number)s", number=3) == "บิล 3"
        assert ngettext("%(count)s hour", "%(count)s hours", 1) == "1 ชั่วโมง"
        with reading.reading(None):
            assert ngettext("%(count)s hour", "%(count)s hours", 2) == "2 hours"
        with reading.reading("tlh"):
            assert gettext("Bill %(number)s", number=3) == "Bill 3"
        assert gettext("100 %%") == "100 %"
    assert reading.current().code == "en"


def test_what_a_browser_asks_for():
    assert reading.known_of({"th-TH": 1, "en": 0.5}) == THAI
    assert reading.known_of({"de": 1, "en-GB": 0.5, "th": 0.4}) == "en"
    assert reading.known_of({"de": 1, "th": 0}) is None
    assert reading.known_of({}) is None
