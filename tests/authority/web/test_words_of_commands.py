"""Pages say in words what terminals say with a command: both come from one sentence."""

from __future__ import annotations

import pytest
from people_site import build, no_chain

from authority import cli
from authority.app import App
from authority.language import reading
from authority.people.roles import AUTHORITY, OPERATOR
from authority.status import facts, judgement
from authority.web import languages, wording


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.mark.parametrize(
    ("text", "words", "command"),
    [
        (
            "dispute 1 of a member waits for an answer: authority tickets show 1",
            "dispute 1 of a member waits for an answer",
            "authority tickets show 1",
        ),
        ("there is no member 'X' in the market; see: authority members list", "there is no member 'X' in the market",
         "authority members list"),
        ("ended its connection: edge-agent status there", "ended its connection", "edge-agent status there"),
        ("is its agent running? edge-agent status there", "is its agent running?", "edge-agent status there"),
        ("treasurers at Treasury, and authority audit compare", "treasurers at Treasury", "authority audit compare"),
        ("does not run: systemctl status authority", "does not run", "systemctl status authority"),
        ("you are not of the authority any more", "you are not of the authority any more", ""),
        ("ask another person of the authority", "ask another person of the authority", ""),
        ("ไม่มีสมาชิก X ในตลาด โปรดดู authority members list", "ไม่มีสมาชิก X ในตลาด", "authority members list"),
    ],
)  # fmt: skip
def test_a_command_is_taken_from_the_words(text: str, words: str, command: str) -> None:
    assert wording.apart(text) == (words, command)


def test_every_command_is_known_to_the_pages() -> None:
    assert cli.COMMANDS.keys() <= wording.COMMANDS


def test_a_sentence_says_who_does_what_pages_cannot_do() -> None:
    reading.choose("en")
    assert languages.sentence("there is no member X; see: authority members list") == "There is no member X."
    told = languages.sentence("gw-1 has its certificate already: authority enrol revoke gw-1 --reason WHY")
    assert told == "Gw-1 has its certificate already. Whoever looks after the server does that, by a command."


def test_what_waits_is_told_in_words_with_a_link_and_the_command_apart(app: App) -> None:
    site = build(app)
    found = [each for each in judgement.problems(facts.gather(app, no_chain())) if wording.command_of(each.text)]
    assert found, "the validator is away, and there is no backup"
    for role in (OPERATOR, AUTHORITY):
        page = site.client(role).get("/op").text
        before, _, _ = page.partition('id="commands-title"')
        for item in before.split("<li>")[1:]:
            shown = item.partition("<details>")[0]
            assert wording.command_of(shown) == "", shown
            assert "<code>" not in shown, "nor a code of programs"
        assert all(f"<code>{each.code}</code>" in page for each in found)
