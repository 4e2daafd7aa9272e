"""The log as auditors page through it, and links to proofs, on both databases."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_site import build, no_chain
from sqlalchemy import select

from authority.api import days
from authority.api.audit_log import PAGE, AuditLog, place_at
from authority.log import log
from authority.people import proof_links, records
from authority.people.errors import ProofLinkInvalidError, ProofLinkUnknownError
from authority.people.roles import MEMBER
from authority.store.persons import Person, ProofLink

DAY = 86_400


def act(session, kind, time):
    return log.record_act(session, kind, "test", time, {"n": time})


def test_entries_are_paged_by_kind_and_day(app, clock):
    found = AuditLog(app, no_chain)
    day = days.local(clock.now, found.zone).date()
    with app.store.write() as session:
        for each in range(3 * PAGE):
            act(session, ("lent", "returned")[each % 2], clock.now + each // PAGE * DAY)
    first = found.entries("", None, None, None)
    assert [entry.log_index for entry in first.entries] == list(range(3 * PAGE))[: -PAGE - 1 : -1]
    assert {"lent", "returned", "reading", "book"} <= set(first.kinds)
    second = found.entries("", None, None, first.older)
    assert {entry.time for entry in second.entries} == {clock.now + DAY}
    last = found.entries("", None, None, second.older)
    assert (len(last.entries), last.older) == (PAGE, None)
    lent = found.entries("lent", day + timedelta(days=1), day + timedelta(days=1), None)
    assert [entry.log_index for entry in lent.entries] == [*range(PAGE, 2 * PAGE, 2)][::-1]
    assert lent.older is None
    assert found.entries("lent", day + timedelta(days=9), None, None).entries == ()


@pytest.mark.parametrize("store_url", [""], indirect=True)
def test_the_place_of_a_time_is_that_of_the_first_entry_then(app):
    @settings(max_examples=30, database=None, derandomize=True, deadline=None)
    @given(st.lists(st.integers(0, 9), max_size=12), st.integers(-1, 120))
    def check(steps, moment):
        with app.store.write() as session:
            start = log.size(session)
            base = 1_000 * (start + 1)
            times, now = [], base
            for step in steps:
                now += step
                times.append(now)
                act(session, "step", now)
        with app.store.read() as session:
            found = place_at(session, base + moment)
        later = [start + place for place, time in enumerate(times) if time >= base + moment]
        assert found == min(later, default=start + len(times)) or (moment < 0 and found <= start)

    check()


@pytest.fixture
def owner(app):
    """The member of Dormitory A, and who it is."""
    site = build(app)
    with app.store.read() as session:
        return site, records.principal(session, session.get_one(Person, site.people[MEMBER].id), "s", app.clock())


def made(app, who, clock):
    with app.store.write() as session:
        return proof_links.make(session, who, who.member, clock.now - 900, clock.now, clock.now)


def opens(app, secret, clock):
    with app.store.read() as session:
        try:
            return proof_links.open_one(session, secret, clock.now)
        except ProofLinkUnknownError:
            return None


def test_a_link_holds_until_its_end(app, owner, clock):
    _, who = owner
    secret = made(app, who, clock)
    assert opens(app, secret, clock).member_id == who.member.id
    clock.now += proof_links.DAYS * DAY - 1
    assert opens(app, secret, clock) is not None
    clock.now += 1
    assert opens(app, secret, clock) is None


def withdrawn(session, person, user, clock):
    records.withdraw(session, person, MEMBER, by="test", now=clock.now)


def erased(session, person, user, clock):
    records.erase(session, person, by="test", now=clock.now)


def left(session, person, user, clock):
    user.left_at = clock.now


def ended(session, person, user, clock):
    (link,) = proof_links.listed(session, person.id, clock.now)
    proof_links.end(session, records.principal(session, person, "s", clock.now), link.id, clock.now)


@pytest.mark.parametrize("what", [withdrawn, erased, left, ended])
def test_a_link_ends_with_what_it_rests_on(app, owner, clock, what):
    site, who = owner
    secret = made(app, who, clock)
    with app.store.write() as session:
        user = session.merge(site.members["Dormitory A"])
        what(session, session.get_one(Person, who.person_id), user, clock)
    assert opens(app, secret, clock) is None
    if what is erased:
        with app.store.read() as session:
            assert session.scalars(select(ProofLink)).all() == []


@pytest.mark.parametrize("store_url", [""], indirect=True)
def test_a_member_has_only_so_many_links(app, owner, clock):
    _, who = owner
    for _ in range(proof_links.MOST):
        made(app, who, clock)
    with pytest.raises(ProofLinkInvalidError, match="end one"):
        made(app, who, clock)
