"""People's records, invitations, passwords, sessions and tokens; on both databases."""

import json
from datetime import timedelta

import pytest
from at_once import at_once
from every_leaf import every_leaf
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from sqlalchemy import delete, inspect, select, text
from sqlalchemy import table as of_name

from authority.people import invitations, passwords, reads, records, secrets, sessions, tokens
from authority.people.errors import (
    InvitationInvalidError,
    PasswordWeakError,
    PersonInvalidError,
    RoleInvalidError,
    SessionUnknownError,
    SignInClosedError,
    SignInRefusedError,
    TokenInvalidError,
    TokenUnknownError,
)
from authority.people.limits import AddressLimit
from authority.people.roles import AUDITOR, DELEGATE, MEMBER, OPERATOR, SCOPES
from authority.store.log import Act
from authority.store.people import User
from authority.store.persons import Person
from authority.tries import Tries

WALLETS = [str(Keypair.from_seed(bytes([number]) * 32).pubkey()) for number in range(3)]
DAY = int(timedelta(days=1).total_seconds())
GOOD = "violet kettle under seven"


@pytest.fixture
def ada(app):
    """A person who is the member of Dormitory A."""
    with app.store.write() as session:
        user = User(name="Dormitory A", building="A", wallet=str(Keypair().pubkey()))
        session.add(user)
        session.flush()
        person = records.add(session, "Ada@Campus.example ", "Ada Lovelace", now=app.clock())
        records.grant(session, person, MEMBER, by="test", now=app.clock(), member=user)
        return person


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user@wei\N{LATIN SMALL LETTER SHARP S}.example", "user@weiss.example"),
        ("\N{KELVIN SIGN}arl@campus.example", "karl@campus.example"),
        ("\N{LATIN SMALL LETTER LONG S}am@campus.example", "sam@campus.example"),
        ("\N{LATIN SMALL LIGATURE FI}n@campus.example", "fin@campus.example"),
        ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}n@campus.example", "in@campus.example"),
    ],
)
def test_logins_that_look_alike_are_two_mailboxes(app, one, other):
    with app.store.write() as session:
        first = records.add(session, one, "One", now=app.clock())
        second = records.add(session, other, "Other", now=app.clock())
        assert first.login == one
        assert records.find(session, other).id == second.id


def test_a_login_is_found_in_capitals_too(app):
    with app.store.write() as session:
        person = records.add(session, " \u00c5sa@Campus.Example", "Asa", now=app.clock())
        assert records.find(session, "\u00e5SA@campus.example").id == person.id


def act_kinds(app):
    with app.store.read() as session:
        return list(session.scalars(select(Act.kind).order_by(Act.log_index)))


def begin(app, person, via="password"):
    with app.store.write() as session:
        return sessions.begin(session, session.get_one(Person, person.id), via, "Firefox", app.clock())


def look(app, secret):
    with app.store.read() as session:
        found = sessions.look_up(session, secret, app.clock())
    return None if found is None else found[0]


def test_a_login_is_taken_once_whatever_its_case(app, ada):
    with app.store.write() as session:
        assert records.find(session, " ADA@campus.EXAMPLE").id == ada.id
        with pytest.raises(PersonInvalidError, match="already"):
            records.add(session, "ada@campus.example", "Another", now=0)
        for login, name in (("", "x"), ("x", " "), ("x\n", "a\0b"), ("y" * 129, "x")):
            with pytest.raises(PersonInvalidError):
                records.add(session, login, name, now=0)


def test_roles_that_make_no_sense_are_refused(app, ada):
    with app.store.write() as session:
        person, user = session.get_one(Person, ada.id), session.scalar(select(User))
        for role, member, until in (
            ("dean", None, None),
            (MEMBER, None, None),
            (OPERATOR, user, None),
            (DELEGATE, user, None),  # is a member already
            (OPERATOR, None, app.clock() + 1),
        ):
            with pytest.raises(RoleInvalidError):
                records.grant(session, person, role, by="test", now=app.clock(), member=member, until=until)
        with pytest.raises(RoleInvalidError):
            records.member_named(session, "Dormitory Z")


def test_a_delegate_is_one_until_its_term_ends_and_the_member_leaves(app, clock, ada):
    with app.store.write() as session:
        user = session.scalar(select(User))
        bob = records.add(session, "bob", "Bob", now=clock())
        records.grant(session, bob, DELEGATE, by="test", now=clock(), member=user, until=clock() + DAY)
        assert records.principal(session, bob, "s", clock()).member.wallet == user.wallet
        assert not records.principal(session, bob, "s", clock()).is_own
        later = records.principal(session, bob, "s", clock() + DAY)
        assert (later.roles, later.member) == (frozenset(), None)
        user.left_at = clock()
        session.flush()
        assert records.principal(session, bob, "s", clock()).member is None


def test_an_invitation_is_good_once_until_it_ends_or_another_is_made(app, clock, ada):
    with app.store.write() as session:
        person = session.get_one(Person, ada.id)
        first = invitations.make(session, person, by="test", now=clock())
        second = invitations.make(session, person, by="test", now=clock())
        for wrong in (first, second + "x", "", "\udcff"):
            with pytest.raises(InvitationInvalidError):
                invitations.open_one(session, wrong, clock())
        with pytest.raises(InvitationInvalidError):
            invitations.open_one(session, second, clock(), enters=True)
        with pytest.raises(InvitationInvalidError):
            invitations.open_one(session, second, clock() + invitations.INVITATION_SECONDS)
        found, invited = invitations.open_one(session, second, clock())
        invitations.use(session, found, invited, clock())
        with pytest.raises(InvitationInvalidError):
            invitations.open_one(session, second, clock())


@pytest.mark.parametrize(
    "weak",
    ["short", "aaaaaaaaaaaaaaa", "abcdefghijklmnop", "Lovelace1815!", "ada@campus.example", "password12345", "x" * 129],
)
def test_a_password_that_is_easily_guessed_is_refused(app, ada, weak):
    with pytest.raises(PasswordWeakError):
        passwords.require_strong(weak, ada)
    passwords.require_strong(GOOD, ada)


def test_wrong_passwords_close_a_login_for_longer_and_longer_whether_or_not_it_exists(app, clock, ada):
    with app.store.write() as session:
        session.get_one(Person, ada.id).password_hash = passwords.hashed(GOOD)
    for login in ("ada@campus.example", "nobody@campus.example"):
        for _ in range(passwords.FREE_TRIES + 1):
            with pytest.raises(SignInRefusedError):
                passwords.check(app.store, login, "wrong", clock())
        with pytest.raises(SignInClosedError) as closed:
            passwords.check(app.store, login, GOOD, clock())
        assert closed.value.seconds == passwords.FIRST_CLOSED_SECONDS
        clock.now += passwords.FIRST_CLOSED_SECONDS
        with pytest.raises(SignInRefusedError):
            passwords.check(app.store, login, "wrong", clock())
        with pytest.raises(SignInClosedError) as closed:
            passwords.check(app.store, login, GOOD, clock())
        assert closed.value.seconds == 2 * passwords.FIRST_CLOSED_SECONDS
    clock.now += 2 * passwords.FIRST_CLOSED_SECONDS
    assert passwords.check(app.store, "ADA@campus.example", GOOD, clock()) == ada.id
    with pytest.raises(SignInRefusedError):  # counted from nothing again
        passwords.check(app.store, "ada@campus.example", "wrong", clock())
    with app.store.read() as session:
        kept = json.dumps([str(row) for row in session.execute(text("SELECT * FROM failed_sign_ins"))])
    assert "campus.example" not in kept


def test_wrong_passwords_that_come_at_once_are_all_counted(app, clock, ada):
    found = at_once(lambda: passwords.check(app.store, "ada@campus.example", "wrong", clock()), passwords.FREE_TRIES)
    assert [type(each) for each in found] == [SignInRefusedError] * passwords.FREE_TRIES
    with app.store.read() as session:
        assert session.scalars(text("SELECT count FROM failed_sign_ins")).all() == [passwords.FREE_TRIES]


def test_a_members_name_is_found_however_it_is_typed(app, ada):
    with app.store.write() as session:
        session.add(
            User(name="Jos\N{LATIN SMALL LETTER E WITH ACUTE} Ay", building="B", wallet=str(Keypair().pubkey()))
        )
        for typed in (" Jos\N{LATIN SMALL LETTER E WITH ACUTE}  Ay", "Jose\N{COMBINING ACUTE ACCENT} Ay"):
            assert records.member_named(session, typed).building == "B"
        with pytest.raises(RoleInvalidError):
            records.member_named(session, "Jose Ay")


def test_a_role_that_is_given_twice_at_once_is_given_once(app, ada):
    def grant():
        with app.store.write() as session:
            person = session.get_one(Person, ada.id)
            return records.grant(session, person, OPERATOR, by="test", now=app.clock())

    assert sorted(map(str, at_once(grant))) == ["False"] * 5 + ["True"]
    assert act_kinds(app).count("role_granted") == 2  # the member's, and this


def test_a_session_ends_by_being_ended_by_time_and_by_rest(app, clock, ada):
    secret = begin(app, ada)
    assert look(app, secret).member.name == "Dormitory A"
    assert look(app, secret + "x") is None
    with app.store.read() as session:
        (shown,) = sessions.listed(session, ada.id, clock())
    with app.store.write() as session:
        with pytest.raises(SessionUnknownError):
            sessions.end(session, shown["session"], by="x", now=clock(), person_id=ada.id + 1)
        sessions.end(session, shown["session"], by="x", now=clock(), person_id=ada.id)
    assert look(app, secret) is None
    secret = begin(app, ada)
    clock.now += sessions.IDLE_SECONDS - 1
    with app.store.write() as session:
        sessions.note_use(session, look(app, secret).session, clock())
    clock.now += sessions.IDLE_SECONDS - 1
    assert look(app, secret) is not None
    clock.now += 1
    assert look(app, secret) is None
    secret = begin(app, ada)
    for _ in range(3):
        clock.now += sessions.LONGEST_SECONDS // 3
        found = look(app, secret)
        if found is not None:
            with app.store.write() as session:
                sessions.note_use(session, found.session, clock())
    assert look(app, secret) is None


def test_the_departments_sessions_are_short_logged_and_end_with_the_role(app, clock, ada):
    with app.store.write() as session:
        records.grant(session, session.get_one(Person, ada.id), AUDITOR, by="test", now=clock())
    secret = begin(app, ada, "passkey")
    assert act_kinds(app)[-1] == "signed_in"
    assert AUDITOR in look(app, secret).roles
    clock.now += sessions.STAFF_IDLE_SECONDS
    assert look(app, secret) is None
    secret = begin(app, ada)
    with app.store.write() as session:
        assert records.withdraw(session, session.get_one(Person, ada.id), AUDITOR, by="test", now=clock())
        assert not records.withdraw(session, session.get_one(Person, ada.id), AUDITOR, by="test", now=clock())
    assert look(app, secret) is None


def test_a_form_belongs_to_its_session_alone():
    one, other = secrets.make()[0], secrets.make()[0]
    assert sessions.is_form_token(one, sessions.form_token(one))
    assert not sessions.is_form_token(other, sessions.form_token(one))
    assert not sessions.is_form_token(one, "\udcff")


def test_a_token_has_scopes_an_end_and_an_owner(app, clock, ada):
    with app.store.write() as session:
        owner = records.principal(session, session.get_one(Person, ada.id), "s", clock())
        for name, scopes, days in (
            ("", SCOPES, 1),
            ("x", [], 1),
            ("x", ["all"], 1),
            ("x", SCOPES, 0),
            ("x", SCOPES, 400),
        ):
            with pytest.raises(TokenInvalidError):
                tokens.make(session, owner, name, scopes, days, clock())
        token, secret = tokens.make(session, owner, "my script", ["energy:read"], 30, clock())
    with app.store.write() as session:
        found, _ = tokens.look_up(session, secret, clock())
        assert (found.scopes, found.session, found.member.name) == (frozenset({"energy:read"}), token, "Dormitory A")
        assert tokens.look_up(session, secret, clock() + 30 * DAY) is None
        tokens.note_use(session, token, clock())
        assert tokens.listed(session, ada.id, clock())[0]["last_used_at"] == clock()
        stranger = records.principal(session, records.add(session, "bob", "Bob", now=0), "s", clock())
        with pytest.raises(TokenUnknownError):
            tokens.end(session, stranger, token, clock())
        tokens.end(session, owner, token, clock())
        assert tokens.look_up(session, secret, clock()) is None


def test_reading_of_anothers_data_is_a_leaf_once_in_a_while(app, clock, ada):
    with app.store.read() as session:
        reader = records.principal(session, session.get_one(Person, ada.id), "s", clock())
    before = len(act_kinds(app))
    for _ in range(3):
        reads.note(app.store, reader, "bills", WALLETS[1], clock())
    reads.note(app.store, reader, "bills", WALLETS[2], clock())
    assert act_kinds(app)[before:] == ["data_read", "data_read"]
    clock.now += reads.QUIET_SECONDS
    reads.note(app.store, reader, "bills", WALLETS[1], clock())
    assert len(act_kinds(app)) == before + 3


def test_a_clock_that_was_a_day_ahead_hides_no_reading_opens_nothing_and_shuts_nobody_out(app, clock, ada):
    with app.store.write() as session:
        session.get_one(Person, ada.id).password_hash = passwords.hashed(GOOD)
        reader = records.principal(session, session.get_one(Person, ada.id), "s", clock())
    now = clock()
    clock.now += DAY
    secret = begin(app, ada)
    reads.note(app.store, reader, "bills", WALLETS[1], clock())
    for _ in range(passwords.FREE_TRIES + 1):
        with pytest.raises(SignInRefusedError):
            passwords.check(app.store, "ada@campus.example", "wrong", clock())
    before = act_kinds(app).count("data_read")
    clock.now = now
    reads.note(app.store, reader, "bills", WALLETS[1], clock())
    assert act_kinds(app).count("data_read") == before + 1
    assert passwords.check(app.store, "ada@campus.example", GOOD, clock()) == ada.id
    with app.store.read() as session:
        (shown,) = sessions.listed(session, ada.id, clock())
        assert not sessions.is_fresh(session, shown["session"], clock())
        assert sessions.is_fresh(session, shown["session"], clock() + DAY)
    assert look(app, secret) is not None


def test_what_is_erased_is_nowhere_and_the_log_never_had_it(app, clock, ada):
    secret = begin(app, ada)
    with app.store.write() as session:
        person = session.get_one(Person, ada.id)
        owner = records.principal(session, person, "s", clock())
        tokens.make(session, owner, "script", ["energy:read"], 1, clock())
        invitations.make(session, person, by="test", now=clock())
        person.password_hash = passwords.hashed(GOOD)
    reads.note(app.store, owner, "bills", WALLETS[1], clock())
    with app.store.write() as session:
        records.erase(session, session.get_one(Person, ada.id), by="test", now=clock())
    assert look(app, secret) is None
    assert act_kinds(app)[-1] == "person_erased"
    with app.store.read() as session:
        leaves = every_leaf(session)
        tables = [name for name in inspect(app.store.engine).get_table_names() if name != "acts"]
        rows = {
            name: [str(tuple(row)) for row in session.execute(select(text("*")).select_from(of_name(name)))]
            for name in tables
        }
    for word in ("Lovelace", "campus.example", "script", secret):
        assert word.encode() not in leaves
        assert [name for name, lines in rows.items() if any(word in line for line in lines)] == []
    assert [name for name, lines in rows.items() if any(ada.pseudonym in line for line in lines)] in (
        [],
        ["log_leaves"],
    )


def test_secrets_are_not_in_the_store(app, clock, ada):
    with app.store.write() as session:
        person = session.get_one(Person, ada.id)
        owner = records.principal(session, person, "s", clock())
        given = [
            invitations.make(session, person, by="test", now=clock()),
            sessions.begin(session, person, "password", "Firefox", clock()),
            tokens.make(session, owner, "script", ["energy:read"], 1, clock())[1],
        ]
    with app.store.read() as session:
        tables = inspect(app.store.engine).get_table_names()
        kept = " ".join(
            str(tuple(row)) for name in tables for row in session.execute(select(text("*")).select_from(of_name(name)))
        )
    assert [secret for secret in given if secret in kept or secret.removeprefix(tokens.PREFIX) in kept] == []


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=60))
def test_an_address_gets_its_tries_and_no_more(steps):
    """Against the plainest model: tries of the last while, counted one by one."""
    now, tries, seconds = 0, 3, 10
    limit = AddressLimit(Tries(), "here", tries, seconds, monotonic=lambda: now)
    full = {"a": 0, "b": 0}
    for address, rest in steps:
        now += rest
        waits = max(now, full[address]) + seconds
        if waits - now > tries * seconds:
            with pytest.raises(SignInClosedError):
                limit.take(address)
        else:
            limit.take(address)
            full[address] = waits


def test_nobody_is_left_after_all_are_erased(app, ada):
    with app.store.write() as session:
        session.execute(delete(Person))  # the tables that hang on it go with it
        left = [
            name
            for name in ("person_roles", "invitations")
            if session.execute(select(text("*")).select_from(of_name(name))).all()
        ]
    assert left == []
