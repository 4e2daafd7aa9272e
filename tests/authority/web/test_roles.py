"""The authority gives and takes the department's roles on the pages: never its own, never the last, always logged."""

from __future__ import annotations

import re
from typing import Any

import pytest
from people_site import PeopleSite, build, sign_in
from sqlalchemy import select

from authority.app import App
from authority.people import appointing, records
from authority.people.errors import RoleMissingError
from authority.people.roles import AUDITOR, AUTHORITY, DELEGATE, MEMBER, OPERATOR, TREASURER, Principal
from authority.people.sessions import FRESH_SECONDS
from authority.store.log import Act
from authority.store.persons import Person, PersonSession


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: App) -> PeopleSite:
    """The usual people, and a second person of the authority. Who has no role of the department is named by login."""
    made = build(app)
    second, browser, _ = sign_in(app, made.flask, AUTHORITY)
    made.people["second"] = second
    made.cookies["second"] = browser.get_cookie("campus-here").value
    return made


def change(site: PeopleSite, whom: str, act: str, role: str, by: str = AUTHORITY, **fields: str) -> Any:
    url = f"/people/{site.people[whom].pseudonym}"
    fields = {"login": f"{whom}@campus.example"} | fields if whom != "second" else fields
    return site.client(by).post(url, data={**site.form(by, act=act), "role": role, "confirm": "yes", **fields})


def give(site: PeopleSite, whom: str, role: str) -> str:
    """Have a role proposed, and approved by another person of the authority; the proposal's address."""
    answer = change(site, whom, "give", role)
    assert answer.status_code == 303, answer.text
    where = str(answer.headers["Location"])
    seen = re.search(r'name="seen" value="([0-9a-f]+)"', site.client("second").get(where).text)
    assert seen is not None
    sent = site.form("second", act="approve", confirm="yes", seen=seen[1])
    assert site.client("second").post(where, data=sent).status_code == 303
    return where


def roles(site: PeopleSite, whom: str) -> set[str]:
    with site.app.store.read() as session:
        person = session.get_one(Person, site.people[whom].id)
        return {held.role for held in records.roles_of(session, person)}


def acts(site: PeopleSite) -> list[tuple[str, str, str, str]]:
    """Roles that were given or taken after the site was made."""
    with site.app.store.read() as session:
        found = session.scalars(
            select(Act).where(Act.kind.in_(("role_granted", "role_withdrawn"))).order_by(Act.log_index)
        )
        people = [act for act in found if act.actor.startswith("person-")]
    return [(act.kind, act.actor, act.data["person"], act.data["role"]) for act in people]


def test_a_role_is_given_and_taken_once_and_holds_at_once(site: PeopleSite) -> None:
    whom, by = site.people["nobody"].pseudonym, site.people[AUTHORITY].pseudonym
    page = site.client(AUTHORITY).get("/people").text
    assert f'href="/people/{site.people[OPERATOR].pseudonym}"' in page
    assert whom not in page, "who has no role of the department is found by the login alone"
    proposed = {change(site, "nobody", "give", TREASURER).headers["Location"] for _ in range(2)}
    assert roles(site, "nobody") == set(), "it takes another person"
    assert proposed == {give(site, "nobody", TREASURER)}
    assert roles(site, "nobody") == {TREASURER}
    again = change(site, "nobody", "give", TREASURER)
    assert (again.status_code, "that role already" in again.text) == (400, True)
    assert site.client("nobody").get("/treasury").status_code == 303, "the new role takes a sign-in of its own"
    for _ in range(2):
        assert change(site, TREASURER, "take", TREASURER).status_code == 303
    assert site.client(TREASURER).get("/treasury").status_code == 303, "signed out at once"
    assert roles(site, TREASURER) == set()
    assert acts(site) == [
        ("role_granted", by, whom, TREASURER),
        ("role_withdrawn", by, site.people[TREASURER].pseudonym, TREASURER),
    ]


def test_nobody_changes_its_own_roles_and_so_an_authority_is_left(site: PeopleSite) -> None:
    for act, role in (("take", AUTHORITY), ("give", TREASURER)):
        answer = change(site, AUTHORITY, act, role)
        assert (answer.status_code, "Nobody changes its own roles" in answer.text) == (409, True)
    reader = site.client(AUTHORITY)
    reader.set_cookie("language", "th", domain="localhost")
    sent = {**site.form(AUTHORITY, act="take", confirm="yes"), "role": AUTHORITY}
    refused = reader.post(f"/people/{site.people[AUTHORITY].pseudonym}", data=sent)
    assert "ไม่มีใครเปลี่ยนบทบาทของตนเองได้" in refused.text, "a message in a constant is translated too"
    own = site.client(AUTHORITY).get(f"/people/{site.people[AUTHORITY].pseudonym}").text
    assert "These are your own roles" in own
    assert 'value="take"' not in own
    assert change(site, AUTHORITY, "take", AUTHORITY, by="second").status_code == 303
    assert site.client(AUTHORITY).get("/people").status_code == 303
    assert roles(site, "second") == {AUTHORITY}


def test_nobody_is_both_people_that_a_role_takes(site: PeopleSite) -> None:
    """Or a second login of one's own would approve everything else that takes two."""
    where = change(site, "nobody", "give", AUTHORITY).headers["Location"]
    page = site.client(AUTHORITY).get(where).text
    assert 'value="approve"' not in page
    assert "Another person has to approve it" in page
    assert "nobody@campus.example" not in page
    approving = site.client("second").get(where).text
    assert "nobody@campus.example" in approving, "whoever approves sees who it is"
    seen = re.search(r'name="seen" value="([0-9a-f]+)"', approving)
    assert seen is not None
    sent = site.form(AUTHORITY, act="approve", confirm="yes", seen=seen[1])
    assert site.client(AUTHORITY).post(where, data=sent).status_code == 409
    assert roles(site, "nobody") == set()


def test_of_two_who_take_each_others_role_the_second_one_has_none_any_more(site: PeopleSite) -> None:
    first, second, now = site.people[AUTHORITY], site.people["second"], site.app.clock()
    asking = [
        Principal(each.id, each.pseudonym, each.name, frozenset({AUTHORITY}), None, "s") for each in (first, second)
    ]
    with site.app.store.write() as session:
        assert appointing.dismiss(session, asking[0], second.pseudonym, AUTHORITY, now=now)
    with pytest.raises(RoleMissingError), site.app.store.write() as session:
        appointing.dismiss(session, asking[1], first.pseudonym, AUTHORITY, now=now)
    assert roles(site, AUTHORITY) == {AUTHORITY}


def test_what_is_not_clear_or_not_the_departments_changes_nothing(site: PeopleSite) -> None:
    for fields, words in (
        ({"role": MEMBER}, "a role of the department"),
        ({"role": "king"}, "a role of the department"),
        ({"act": "keep"}, "given or taken"),
        ({"confirm": ""}, "tick the box"),
    ):
        answer = change(site, MEMBER, **{"act": "give", "role": OPERATOR, **fields})  # type: ignore[arg-type]
        assert (answer.status_code, words in answer.text.lower()) == (400, True), fields
    assert change(site, MEMBER, "take", MEMBER).status_code == 400, "who sees which account is not changed here"
    for role in (OPERATOR, AUDITOR, TREASURER, MEMBER, DELEGATE):
        assert change(site, "nobody", "give", OPERATOR, by=role).status_code == 404, role
        assert site.client(role).get("/people").status_code == 404, role
    assert site.client(AUTHORITY).get("/people/person-0").status_code == 404
    unknown = site.client(AUTHORITY).post("/people/person-0", data=site.form(AUTHORITY, act="give"))
    assert unknown.status_code == 404
    assert acts(site) == []


def test_it_takes_a_sign_in_of_just_now(site: PeopleSite) -> None:
    with site.app.store.write() as session:
        for each in session.scalars(select(PersonSession).where(PersonSession.person_id == site.people[AUTHORITY].id)):
            each.created_at -= FRESH_SECONDS
    answer = change(site, "nobody", "give", OPERATOR)
    assert (answer.status_code, "sign in once more" in answer.text) == (403, True)
    page = site.client(AUTHORITY).post("/people", data=site.form(AUTHORITY, login="nobody@campus.example")).text
    assert ("Sign in again" in page, 'value="give"' in page) == (True, False)
    assert roles(site, "nobody") == set()
