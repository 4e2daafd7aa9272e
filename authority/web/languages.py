"""In which language a page is: the account's, else the cookie's, else what the browser asks for, else the site's.

A reader chooses by a form at the foot of every page, without a script. Whoever is signed in keeps the choice in the
account, and mails and bills come in it. Programs are answered in English whatever they ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask, Response, g, request

from authority.api import gate
from authority.api.gate import PUBLIC, Rule
from authority.app import App
from authority.language import reading
from authority.language.reading import ENGLISH, LANGUAGES, current, gettext, translated, translated_number
from authority.people import records
from authority.web import ranges, script_words, wording
from authority.web.answers import is_here, redirect

COOKIE = "language"
COOKIE_SECONDS = 366 * 86_400
LONGEST_PATH = 2_000
RULES: Mapping[str, Rule] = {"language.choose": PUBLIC, "language.keep": Rule(frozenset())}


def install(flask: Flask, default: str) -> None:
    """Have every request read in its language, and give the templates what they need for it."""
    env = flask.jinja_env
    env.add_extension("jinja2.ext.i18n")
    env.policies["ext.i18n.trimmed"] = True
    env.install_gettext_callables(translated, translated_number, newstyle=True)  # type: ignore[attr-defined]
    env.filters.update(
        sentence=sentence,
        said=wording.words_of,
        command=wording.command_of,
        first_upper=first_upper,
        first_lower=first_lower,
        word=wording.word,
        subject=wording.subject,
        parameter=wording.parameter,
    )
    env.globals.update(date=ranges.written, on_day=ranges.on_day, script_words=script_words.script_words)

    @flask.before_request
    def of_the_browser() -> None:
        reading.choose(asked(default))

    @flask.context_processor
    def of_the_page() -> dict[str, Any]:
        return {"language": current(), "languages": LANGUAGES.values(), "here": here}

    @flask.after_request
    def told(response: Response) -> Response:
        if response.mimetype == "text/html":
            response.headers.setdefault("Content-Language", current().code)
            response.vary.update(("Accept-Language", "Cookie"))
        return response


def of_the_person(flask: Flask) -> None:
    """After the gate: whoever is signed in reads in the account's language, where it has one."""

    @flask.before_request
    def of_the_account() -> None:
        who = g.get("principal")
        if who is not None and who.language in LANGUAGES and not _is_program():
            reading.choose(who.language)


def asked(default: str) -> str:
    """The language that a request asks for, without an account."""
    if _is_program():
        return ENGLISH
    kept = request.cookies.get(COOKIE, "")
    if kept in LANGUAGES:
        return kept
    return reading.known_of(dict(request.accept_languages)) or default


def _is_program() -> bool:
    """Whether a program asks; what a page's script sends for its reader is answered in the reader's language."""
    return gate.is_api() and gate.FORM_HEADER not in request.headers


def sentence(text: object) -> str:
    """What an error says, as a sentence of its own in the reader's language; a command is named by who may give it."""
    told = gettext("%(sentence)s.", sentence=first_upper(wording.words_of(str(text))))
    if not wording.is_for_the_server(str(text)):
        return told
    return f"{told} {gettext('Whoever looks after the server does that, by a command.')}"


def first_upper(text: str) -> str:
    """The text with its first letter large; marked-up text stays so."""
    return text[:1].upper() + text[1:]


def first_lower(text: str) -> str:
    """The text with its first letter small."""
    return text[:1].lower() + text[1:]


def here() -> str:
    """The address to come back to: this page's, or that of the page whose form led here."""
    rule = request.url_rule
    if rule is not None and "GET" in (rule.methods or ()):
        where = request.full_path.removesuffix("?") if request.method == "GET" else request.path
        foreign = any("//" in value or "\\" in value for value in request.args.values())
        return request.path if foreign or len(where) > LONGEST_PATH else where
    return "/"


def set_cookie(response: Response, code: str, *, secure: bool) -> None:
    """Have the browser remember a language; an empty code makes it forget."""
    response.set_cookie(
        COOKIE, code, max_age=COOKIE_SECONDS if code else 0, path="/", secure=secure, httponly=True, samesite="Lax"
    )


def blueprint(app: App) -> Blueprint:
    """The forms by which a reader chooses: on public pages for the browser, in the account for the person."""
    language = Blueprint("language", __name__)

    def chosen() -> tuple[str, Response]:
        code, where = request.values.get("language", ""), request.values.get("next", "")
        response = redirect(where if is_here(where) else "/")
        code = code if code in LANGUAGES else ""
        set_cookie(response, code, secure=bool(app.home.settings.web.origin))
        return code, response

    @language.get("/language")
    def choose() -> Response:
        """For this browser. It changes a preference of the browser's own and nothing here, so it is a GET."""
        return chosen()[1]

    @language.post("/account/language")
    def keep() -> Response:
        """For whoever is signed in, and this browser; none means as the browser asks."""
        code, response = chosen()
        with app.store.write() as session:
            records.choose_language(session, gate.principal().person_id, code or None)
        return response

    return language
