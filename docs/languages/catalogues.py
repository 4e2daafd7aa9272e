#!/usr/bin/env python3
"""The catalogues of the pages' languages: extract, update, compile, check. `make catalogues` does the first three.

Sentences come from the templates (Jinja), from Python (`gettext`, `ngettext`, `marked`), from the pages' scripts (`_`),
and from errors: what an error says is taken from where it is raised, its values as places, under the context "error".
"""

from __future__ import annotations

import argparse
import ast
import builtins
import io
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from authority.language.reading import ERRORS, FILES, LANGUAGES
from authority.language.sentences import LEAST_LETTERS, letters
from authority.web.script_words import sentences

ROOT = Path(__file__).resolve().parents[2]
AUTHORITY = ROOT / "authority"
CALLS = {"gettext": 1, "marked": 1, "ngettext": 2}
"""Python's marks, and how many of their arguments are sentences."""
ERRORS_OF = (
    "api", "billing/bank_accounts.py", "billing/credits.py", "billing/credit_requests.py", "billing/errors.py",
    "billing/facts.py", "billing/issuing.py", "billing/mailing.py", "billing/payments.py", "billing/payment_file.py",
    "billing/payouts.py", "billing/statement.py", "billing/views.py", "chain/client.py", "chain/errors.py",
    "collector/evidence.py", "collector/held.py", "demo/campus.py", "demo/orchestrator.py",
    "enrolment/approvals.py", "enrolment/requests.py", "errors.py", "governance/acts.py", "log/nameless.py",
    "market/credits.py", "market/hand_orders.py", "market/policies.py", "market/standing_orders.py",
    "market/transfers.py", "operations/chain_state.py", "operations/exchange.py", "operations/handover.py",
    "operations/members.py", "operations/news.py", "operations/replacing_wallets.py", "operations/suspensions.py",
    "operations/tickets.py",
    "operations/upgrade.py", "operations/wallet_requests.py", "people",
    "refusals.py", "status/judgement.py", "typed.py", "web",
)  # fmt: skip
"""What says something that a page may show."""
SAYS = ("Problem",)
"""Classes besides errors whose texts a person reads."""
NAMES = ("text", "behind", "lasts", "what")
"""Names of texts that such a text is put together from."""
JINJA = {"extensions": "jinja2.ext.i18n", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
HEADER = """\
# Translations of the campus energy pages into {name}.
# Made by docs/languages/catalogues.py; the terms are those of docs/LANGUAGES.md.
#"""


TERMS = ROOT / "docs" / "LANGUAGES.md"
HEADINGS = {"th": "## Thai: the terms"}
"""Under which heading a language's table of terms stands; the first table there is checked."""
EXCEPTIONS = Path(__file__).parent
"""Where `th_exceptions.toml` is: by term, the sentences in which its English word means something else."""
NOT_READ = re.compile(
    r"%\(\w+\)s|<code.*?</code>|<[^>]*>|`[^`]*`|\{.*\}|\[\w+\](?: \w+)?|--[\w-]+|[^\s<>]*[/_][^\s<>]*|\b[A-Z]{4,}\b"
    r"|(?<!the )(?<!role )\bauthority(?: [a-z-]+){1,3}\b|\bedge-agent \w+"
)
"""What has no word of a language: places, markup, commands, settings, options, addresses."""


def _paths(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in AUTHORITY.glob(pattern))


def _marked() -> Iterator[tuple[str, tuple[str, ...]]]:
    """(where it stands, the sentence, or its forms for one and for many) of templates, Python and scripts."""
    for path in _paths("web/templates/*.html"):
        with path.open("rb") as file:
            for _, message, _, _ in extract("jinja2", file, options=JINJA):
                yield path.relative_to(ROOT).as_posix(), message if isinstance(message, tuple) else (message,)
    for path in _paths("**/*.py"):
        text = path.read_text("utf-8")
        if "gettext(" in text or "marked(" in text:
            for node in ast.walk(ast.parse(text)):
                count = CALLS.get(getattr(node.func, "id", ""), 0) if isinstance(node, ast.Call) else 0
                given = (
                    tuple(each.value for each in node.args[:count] if isinstance(each, ast.Constant)) if count else ()
                )
                if count and len(given) == count:
                    yield path.relative_to(ROOT).as_posix(), given
    for path in _paths("web/static/*.js"):
        for sentence in sentences(path.name):
            yield path.relative_to(ROOT).as_posix(), sentence


def template() -> Catalog:
    """Every sentence of the sources, without a translation."""
    catalog = Catalog(project="campus-energy-authority", charset="utf-8", fuzzy=False)
    for where, message in _marked():
        catalog.add(message if len(message) > 1 else message[0], None, [(where, 0)])
    for where, message in errors():
        catalog.add(message, None, [(where, 0)], context=ERRORS)
    return catalog


def errors() -> Iterator[tuple[str, str]]:
    """(where, what it says as a pattern) of every error that a page may show."""
    for name in ERRORS_OF:
        found = sorted((AUTHORITY / name).rglob("*.py")) if (AUTHORITY / name).is_dir() else [AUTHORITY / name]
        for path in found:
            if path.exists():
                tree = ast.parse(path.read_text("utf-8"))
                for said in _said(tree):
                    message = pattern(said)
                    if message is not None and letters(message) >= LEAST_LETTERS:
                        yield path.relative_to(ROOT).as_posix(), message


def _said(tree: ast.AST) -> Iterator[ast.expr]:
    """The texts that errors are made with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(
            isinstance(each, ast.Name) and each.id in NAMES for each in node.targets
        ):
            parts = (node.value.body, node.value.orelse) if isinstance(node.value, ast.IfExp) else (node.value,)
            yield from (each for each in parts if _is_text(each))
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        inner = node.func.value if isinstance(node.func, ast.Attribute) else None
        of_super = name == "__init__" and isinstance(inner, ast.Call) and getattr(inner.func, "id", "") == "super"
        own = name.endswith("Error") and not hasattr(builtins, name)
        if own or name in (*SAYS, "spoken") or of_super:
            yield from (each for each in (*node.args, *(word.value for word in node.keywords)) if _is_text(each))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def pattern(node: ast.expr) -> str | None:
    """A text of the sources with its values as places: `%(name)s`; None where it has no words."""
    if isinstance(node, ast.Constant):
        text = str(node.value).replace("%", "%%")
        return text if " " in text else None
    assert isinstance(node, ast.JoinedStr)  # noqa: S101
    parts, names = [], {}
    for each in node.values:
        if isinstance(each, ast.Constant):
            parts.append(str(each.value).replace("%", "%%"))
        elif isinstance(each, ast.FormattedValue):
            code = ast.unparse(each.value)
            words = [word for word in re.findall(r"[a-z_]\w*", re.sub(r"'[^']*'", "", code)) if word != "self"] or [
                "value"
            ]
            name, number = words[-1].strip("_"), 1
            while names.get(name, code) != code:
                number += 1
                name = f"{words[-1]}{number}"
            names[name] = code
            parts.append(f"%({name})s")
    return "".join(parts)


def read(code: str) -> Catalog:
    """A language's catalogue as it is kept; empty where there is none yet."""
    path = FILES / f"{code}.po"
    if not path.exists():
        return Catalog(locale=code)
    with path.open("rb") as file:
        return read_po(file, locale=code)


def updated(code: str) -> Catalog:
    """The kept catalogue with the sentences that the sources have now, and no others; nothing is guessed."""
    catalog = read(code)
    catalog.update(template(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    catalog.fuzzy = False
    catalog.header_comment = HEADER.format(name=LANGUAGES[code].name)
    return catalog


def written(catalog: Catalog) -> bytes:
    """The text of a catalogue: no dates and no line numbers, so that it changes only where a sentence does."""
    catalog.project, catalog.version, catalog.copyright_holder = "campus-energy-authority", "0.1.0", ""
    out = io.BytesIO()
    write_po(out, catalog, width=120, sort_output=False, sort_by_file=True, include_lineno=False)
    keep = [
        line
        for line in out.getvalue().decode().splitlines()
        if not re.match(
            r'"(POT-Creation-Date|PO-Revision-Date|Generated-By|Report-Msgid-Bugs-To|Last-Translator|Language-Team):',
            line,
        )
    ]
    return ("\n".join(keep) + "\n").encode()


def compiled(catalog: Catalog) -> bytes:
    """A catalogue as programs read it."""
    out = io.BytesIO()
    dated = read_po(io.BytesIO(written(catalog)), locale=catalog.locale)
    dated.creation_date = dated.revision_date = datetime(2026, 1, 1, tzinfo=UTC)  # the same bytes on any day
    write_mo(out, dated)
    return out.getvalue()


def missing(catalog: Catalog) -> list[str]:
    """The sentences without a translation."""
    return [
        str(message.id)
        for message in catalog
        if message.id and not (all(message.string) if isinstance(message.string, (tuple, list)) else message.string)
    ]


@dataclass(frozen=True, slots=True)
class Term:
    """A term: the forms that its English word has, and the words of another language of which one stands for it."""

    forms: tuple[str, ...]
    words: tuple[str, ...]


def terms(text: str, heading: str) -> list[Term]:
    """The terms of the first table under a heading. ValueError where a row of it is not one."""
    found: list[Term] = []
    for line in text.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0].splitlines():
        if line.startswith("| "):
            forms, words, *_ = (tuple(word.strip() for word in cell.split(",")) for cell in line[1:].split("|"))
            if not all((*forms, *words)):
                raise ValueError(f"a term needs its English and its other words: {line}")
            found.append(Term(forms, words))
        elif found and not line.startswith("|"):
            break
    return found[1:]  # the first is the table's head


def departures(messages: Iterable[tuple[str, str]], known: list[Term], excepted: Mapping[str, list[str]]) -> list[str]:
    """Where a translation leaves the terms, and which exceptions are not needed.

    messages: (English, translation); excepted: the first form of a term -> English sentences.
    """
    forms = sorted(((form, term) for term in known for form in term.forms), key=lambda each: -len(each[0]))
    any_form = "|".join(re.escape(form) for form, _ in forms)
    wanted = re.compile(rf"(?<![\w-])({any_form})(?:s|'s|s')?(?![\w-])", re.IGNORECASE)
    by_form = {form.lower(): term for form, term in forms}
    said, needed = [], set()
    for english, other in messages:
        text = NOT_READ.sub(" - ", english)
        for found in dict.fromkeys(each[1].lower() for each in wanted.finditer(text)):
            term = by_form[found]
            if any(word in other for word in term.words):
                continue
            if english in excepted.get(term.forms[0], ()):
                needed.add((term.forms[0], english))
            else:
                said.append(f"{found!r} is {' or '.join(term.words)} in the list of terms: {english!r} has {other!r}")
    for form, sentences_of in excepted.items():
        said += [
            f"the exception of {form!r} is not needed: {each!r}" for each in sentences_of if (form, each) not in needed
        ]
    return said


def departed(code: str, catalog: Catalog) -> list[str]:
    """Where a kept catalogue leaves its language's list of terms."""
    if code not in HEADINGS:
        return []
    pairs = [
        (message.id[0], message.string[0]) if isinstance(message.id, tuple) else (message.id, message.string)
        for message in catalog
        if message.id
    ]
    excepted = tomllib.loads((EXCEPTIONS / f"{code}_exceptions.toml").read_text("utf-8"))
    return departures(pairs, terms(TERMS.read_text("utf-8"), HEADINGS[code]), excepted)


def main() -> int:
    """Update and compile every catalogue; with --check say what differs, and change nothing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 where something would change")
    parser.add_argument("--missing", action="store_true", help="list what has no translation")
    given = parser.parse_args()
    status = 0
    for code, language in LANGUAGES.items():
        if language.file is None:
            continue
        catalog = updated(code)
        for path, data in ((FILES / f"{code}.po", written(catalog)), (FILES / f"{code}.mo", compiled(catalog))):
            if path.exists() and path.read_bytes() == data:
                continue
            status = 1 if given.check else status
            print(f"{path.relative_to(ROOT)}: {'differs from the sources' if given.check else 'written'}")
            if not given.check:
                path.write_bytes(data)
        lacking = missing(catalog)
        print(f"{code}: {len(list(catalog)) - 1} sentences, {len(lacking)} without a translation")
        if given.missing:
            print(*lacking, sep="\n")
        left = departed(code, catalog) if given.check else []
        print(*left, sep="\n", end="\n" if left else "")
        status = 1 if given.check and (lacking or left) else status
    return status


if __name__ == "__main__":
    sys.exit(main())
