"""`authority people`: what it prints, what a dry run leaves as it was, and that a link works."""

import json

import pytest
from sqlalchemy import select

from authority.app import App
from authority.cli import main
from authority.log import gate
from authority.people import invitations
from authority.store.log import Act
from authority.store.persons import Person


@pytest.fixture
def authority(home, capsys):
    def run(*words, status=0):
        assert main(["people", *words, "--home", str(home.path)]) == status
        return capsys.readouterr()

    App.open(home.path).store.close()
    return run


def people(authority):
    return json.loads(authority("list", "--json").out)


def test_an_invitation_is_a_link_and_a_qr_code(home, authority):
    assert "nobody may sign in yet" in authority("list").out
    told = authority("invite", "Grace@campus.example", "--name", "Grace", "--role", "operator", "--qr").out
    link = next(line for line in told.splitlines() if line.startswith("http://127.0.0.1:8000/invite/"))
    assert "\N{FULL BLOCK}" in told or "\N{LOWER HALF BLOCK}" in told
    app = App.open(home.path)
    with app.store.write() as session:
        _, person = invitations.open_one(session, link.rpartition("/")[2], app.clock())
        assert person.name == "Grace"
    app.store.close()
    again = json.loads(authority("invite", "grace@campus.example", "--json").out)
    assert again["link"] != link
    assert again["changed"]
    assert "operator" in authority("list").out


def test_a_dry_run_changes_nothing(home, authority):
    authority("invite", "grace", "--role", "operator", "--json")
    before = people(authority)
    for words in (
        ("invite", "ada", "--role", "auditor"),
        ("invite", "grace"),
        ("role", "grant", "grace", "treasurer"),
        ("role", "withdraw", "grace", "operator"),
        ("erase", "grace"),
    ):
        told = json.loads(authority(*words, "--dry-run", "--json").out)
        assert told["dry_run"]
        assert not told["changed"]
        assert "link" not in told
        assert people(authority) == before


def test_roles_and_erasure_by_command(home, authority):
    authority("invite", "grace", "--role", "operator")
    assert "is now treasurer" in authority("role", "grant", "grace", "treasurer").out
    assert "was treasurer before" in authority("role", "grant", "grace", "treasurer").out
    assert "is no operator any more" in authority("role", "withdraw", "grace", "operator").out
    assert [held["role"] for held in people(authority)[0]["roles"]] == ["treasurer"]
    assert "nobody is signed in" in authority("sessions", "grace").out
    authority("erase", "grace", "--actor", "head")
    assert people(authority) == []
    app = App.open(home.path)
    with app.store.read() as session:
        assert session.scalar(select(Person)) is None
        acts = session.scalars(select(Act).order_by(Act.log_index)).all()
        assert [act.kind for act in acts] == [
            "role_granted",
            "person_invited",
            "role_granted",
            "role_withdrawn",
            "person_erased",
        ]
        assert gate.name_of(session, acts[-1].actor) == "head", "a login may be a name, and is in the store alone"
    app.store.close()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("invite", "grace"), "role_invalid"),
        (("invite", "grace", "--role", "member"), "role_invalid"),
        (("invite", "grace", "--role", "member", "--member", "Nobody's Hall"), "role_invalid"),
        (("role", "grant", "nobody", "operator"), "person_unknown"),
        (("end-session", "0123"), "session_unknown"),
        (("erase", "nobody"), "person_unknown"),
    ],
)
def test_what_cannot_be_done_says_why(authority, words, code):
    told = authority(*words, status=1)
    assert told.err.rstrip().endswith(f"[{code}]")
    assert people(authority) == []
