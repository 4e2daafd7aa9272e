"""What is dangerous takes two people: the service under the pages and the commands, over a real store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from every_leaf import every_leaf
from solders.keypair import Keypair
from sqlalchemy import select

from authority.app import App
from authority.billing.errors import ReferenceUsedError
from authority.cli import main
from authority.home.errors import HomeConfigError
from authority.home.settings import PeopleSettings, Settings
from authority.log.nameless import NamesSomebodyError
from authority.people import dangerous, proposals, records
from authority.people.errors import (
    PeopleError,
    ProposalChangedError,
    ProposalInvalidError,
    ProposalOverError,
    ProposalUnknownError,
    RoleMissingError,
    SamePersonError,
)
from authority.people.proposals import APPROVED, BY_COMMAND, DONE, EXPIRED, FAILED, ON_PAGE, REFUSED, WAITING, WITHDRAWN
from authority.people.roles import AUDITOR, AUTHORITY, MEMBER, OPERATOR, ROLES, TREASURER, Principal
from authority.store.billing import CreditRequest
from authority.store.log import Act
from authority.store.people import User
from authority.store.persons import Person, Proposal

WHY = "a court asks for it"
ABOVE = 2_000_000_000


@dataclass
class Office:
    """A department: two of each of its roles, called by role and number, and a member of the market."""

    app: App
    clock: Any
    pseudonyms: dict[str, str]
    wallet: str

    def who(self, name: str) -> Principal:
        with self.app.store.read() as session:
            return proposals.by_login(session, f"{name}@campus.example", self.clock.now)

    def unmask(self, by: str = "auditor-1", reason: str = WHY) -> Proposal:
        with self.app.store.read() as session:
            data = dangerous.unmasking(session, self.pseudonyms["member-1"])
        return proposals.propose(self.app, self.who(by), dangerous.UNMASK, data, reason, via=ON_PAGE)

    def credits(self, by: str = "treasurer-1", reference: str = "Ada Lovelace, May") -> Proposal:
        data = dangerous.booking(self.app, "Flat 1", ABOVE, reference)
        return proposals.propose(self.app, self.who(by), dangerous.CREDITS, data, "a large transfer", via=ON_PAGE)

    def erasure(self, of: str = "member-1", by: str = "authority-1") -> Proposal:
        with self.app.store.read() as session:
            data = dangerous.erasure(session, f"{of}@campus.example")
        return proposals.propose(self.app, self.who(by), dangerous.ERASE, data, "asked for in writing", via=ON_PAGE)

    def approve(self, made: Proposal, by: str, seen: bytes | None = None) -> Proposal:
        return proposals.approve(self.app, self.who(by), made.id, made.digest if seen is None else seen, via=ON_PAGE)

    def state(self, made: Proposal) -> str:
        with self.app.store.read() as session:
            return proposals.state_of(session.get_one(Proposal, made.id), self.clock.now)

    def acts(self, *kinds: str) -> list[tuple[str, str]]:
        with self.app.store.read() as session:
            found = session.scalars(select(Act).where(Act.kind.in_(kinds)).order_by(Act.log_index))
            return [(act.kind, act.actor) for act in found]

    def lose(self, name: str, role: str) -> None:
        with self.app.store.write() as session:
            person = records.find(session, f"{name}@campus.example")
            assert records.withdraw(session, person, role, by="test", now=self.clock.now)

    def two_persons(self, value: str) -> None:
        self.app.home.save(replace(self.app.home.settings, people=PeopleSettings(value)))


@pytest.fixture
def office(app: App, clock: Any) -> Office:
    pseudonyms = {}
    with app.store.write() as session:
        member = User(name="Flat 1", building="North House", wallet=str(Keypair().pubkey()), registered_at=1)
        session.add(member)
        session.flush()
        for role in ROLES:
            for number in (1, 2) if role not in ("delegate",) else ():
                person = records.add(session, f"{role}-{number}@campus.example", f"Name of {role} {number}", now=1)
                of = member if role == MEMBER else None
                records.grant(session, person, role, by="test", now=1, member=of)
                pseudonyms[f"{role}-{number}"] = person.pseudonym
        wallet = member.wallet
    return Office(app, clock, pseudonyms, wallet)


def test_a_pseudonym_is_shown_once_to_who_asked_after_another_person_agreed(office: Office) -> None:
    made = office.unmask()
    assert office.unmask().id == made.id, "proposed twice is one proposal"
    with pytest.raises(ProposalOverError):
        proposals.reveal(office.app, office.who("auditor-1"), made.id)
    assert office.approve(made, "authority-1").state == APPROVED
    for other in ("authority-1", "auditor-2"):
        with pytest.raises(ProposalUnknownError):
            proposals.reveal(office.app, office.who(other), made.id)
    found = proposals.reveal(office.app, office.who("auditor-1"), made.id)
    assert (found.name, found.login) == ("Name of member 1", "member-1@campus.example")
    assert found.roles == ("member of Flat 1",)
    with pytest.raises(ProposalOverError, match="once"):
        proposals.reveal(office.app, office.who("auditor-1"), made.id)
    assert office.state(made) == DONE
    asker, agreed = office.pseudonyms["auditor-1"], office.pseudonyms["authority-1"]
    assert office.acts("proposal_made", "proposal_approved", "proposal_done", "data_read") == [
        ("proposal_made", asker), ("proposal_approved", agreed), ("proposal_done", asker), ("data_read", asker),
    ]  # fmt: skip
    with office.app.store.read() as session:
        (read,) = session.scalars(select(Act).where(Act.kind == "data_read"))
        assert (read.data["subject"], read.data["what"]) == (office.pseudonyms["member-1"], "who a pseudonym is")
        leaves = every_leaf(session)
    assert [word for word in (b"Name of", b"campus.example", b"Flat 1", b"North House") if word in leaves] == []


def test_a_members_wallet_is_a_pseudonym_too(office: Office) -> None:
    with office.app.store.read() as session:
        data = dangerous.unmasking(session, f" {office.wallet} ")
        with pytest.raises(ProposalInvalidError):
            dangerous.unmasking(session, "person-0000000000000000")
    made = proposals.propose(office.app, office.who("authority-1"), dangerous.UNMASK, data, WHY, via=BY_COMMAND)
    office.approve(made, "auditor-1")
    found = proposals.reveal(office.app, office.who("authority-1"), made.id)
    assert (found.name, found.building, found.login) == ("Flat 1", "North House", "")


@pytest.mark.parametrize("kind", ["unmask", "credits", "erasure"])
def test_nobody_approves_its_own_and_nobody_else_without_the_role(office: Office, kind: str) -> None:
    made: Proposal = getattr(office, kind)()
    own = {"unmask": "auditor-1", "credits": "treasurer-1", "erasure": "authority-1"}[kind]
    with pytest.raises(SamePersonError):
        office.approve(made, own)
    strangers = {"unmask": TREASURER, "credits": AUDITOR, "erasure": AUDITOR}[kind], OPERATOR, MEMBER
    for role in strangers:
        for act in (
            lambda who: proposals.approve(office.app, who, made.id, made.digest, via=ON_PAGE),
            lambda who: proposals.refuse(office.app, who, made.id, via=ON_PAGE),
            lambda who: proposals.withdraw(office.app, who, made.id, via=ON_PAGE),
            lambda who: proposals.propose(office.app, who, made.kind, made.data, WHY, via=ON_PAGE),
        ):
            with pytest.raises((ProposalUnknownError, RoleMissingError)):
                act(office.who(f"{role}-1"))
    assert office.state(made) == WAITING
    assert office.acts("proposal_approved", "proposal_refused", "proposal_withdrawn") == []


def test_a_treasurer_proposes_no_erasure_and_an_auditor_no_credits(office: Office) -> None:
    for kind, role in ((dangerous.ERASE, TREASURER), (dangerous.CREDITS, AUDITOR), (dangerous.CREDITS, AUTHORITY)):
        with pytest.raises(RoleMissingError):
            proposals.propose(office.app, office.who(f"{role}-1"), kind, {"x": 1}, WHY, via=ON_PAGE)
    with office.app.store.read() as session:
        assert session.scalars(select(Proposal)).all() == []


@pytest.mark.parametrize("reason", ["", " x ", "x" * 201, "line\x07", "Flat 1 asks", "name of MEMBER 1 asks"])
def test_a_reason_is_given_and_names_nobody(office: Office, reason: str) -> None:
    with pytest.raises((ProposalInvalidError, NamesSomebodyError)):
        office.unmask(reason=reason)
    assert office.acts("proposal_made") == []


def test_an_approver_who_lost_the_role_approves_nothing(office: Office) -> None:
    made, who = office.unmask(), office.who("authority-1")  # as the page knew it when it was opened
    office.lose("authority-1", AUTHORITY)
    with pytest.raises(RoleMissingError):
        proposals.approve(office.app, who, made.id, made.digest, via=ON_PAGE)
    assert office.state(made) == WAITING


def test_a_proposer_who_lost_the_role_has_nothing_approved(office: Office) -> None:
    made = office.erasure()
    office.lose("authority-1", AUTHORITY)
    with pytest.raises(RoleMissingError):
        office.approve(made, "authority-2")
    assert office.state(made) == WAITING


@pytest.mark.parametrize("lost", [("authority-1", AUTHORITY), ("auditor-1", AUDITOR)])
def test_a_role_lost_after_the_approval_counts_when_it_is_carried_out(office: Office, lost: tuple[str, str]) -> None:
    made = office.unmask()
    office.approve(made, "authority-1")
    who = office.who("auditor-1")
    office.lose(*lost)
    with pytest.raises(RoleMissingError):
        proposals.reveal(office.app, who, made.id)
    assert office.acts("data_read") == []


def test_what_was_not_looked_at_is_not_approved(office: Office) -> None:
    made = office.unmask()
    for seen in (b"", made.digest[:-1] + bytes([made.digest[-1] ^ 1]), office.erasure().digest):
        with pytest.raises(ProposalChangedError):
            office.approve(made, "authority-1", seen)
    with office.app.store.write() as session:  # somebody with the store at hand changes what is waited for
        row = session.get_one(Proposal, made.id)
        row.data = {"pseudonym": office.pseudonyms["treasurer-1"]}
        row.digest = dangerous.digest(row.kind, row.data)
    with pytest.raises(ProposalChangedError):
        office.approve(made, "authority-1")
    assert office.state(made) == WAITING


def test_time_runs_out_before_and_after_the_approval(office: Office) -> None:
    first, second = office.unmask(), office.erasure()
    office.approve(first, "authority-1")
    office.clock.now += proposals.OPEN_SECONDS - 1
    assert (office.state(first), office.state(second)) == (APPROVED, WAITING)
    office.clock.now += 1
    assert (office.state(first), office.state(second)) == (EXPIRED, EXPIRED)
    with pytest.raises(ProposalOverError, match="ran out of time"):
        office.approve(second, "authority-2")
    with pytest.raises(ProposalOverError, match="ran out of time"):
        proposals.reveal(office.app, office.who("auditor-1"), first.id)
    assert office.unmask().id != first.id, "it may be proposed again"


def test_refused_and_withdrawn_ones_are_over_even_when_they_were_approved(office: Office) -> None:
    refused, taken_back = office.unmask(), office.erasure()
    office.approve(refused, "authority-1")
    for _ in range(2):
        assert proposals.refuse(office.app, office.who("authority-2"), refused.id, via=ON_PAGE).state == REFUSED
        taken = proposals.withdraw(office.app, office.who("authority-1"), taken_back.id, via=ON_PAGE)
        assert taken.state == WITHDRAWN
    for made, by in ((refused, "authority-1"), (taken_back, "authority-2")):
        with pytest.raises(ProposalOverError):
            office.approve(made, by)
    with pytest.raises(ProposalOverError):
        proposals.reveal(office.app, office.who("auditor-1"), refused.id)
    with pytest.raises(ProposalUnknownError):
        proposals.withdraw(office.app, office.who("authority-2"), taken_back.id, via=ON_PAGE)
    assert len(office.acts("proposal_refused", "proposal_withdrawn")) == 2


def test_what_is_undecided_waits_for_somebody_until_it_is_done_or_out_of_time(office: Office) -> None:
    def waiting() -> list[tuple[str, str]]:
        with office.app.store.read() as session:
            return [(each.id, each.state) for each in proposals.undecided(session, office.app.clock())]

    assert waiting() == []
    made = office.credits()
    assert waiting() == [(made.id, WAITING)]
    office.approve(made, "authority-1")
    assert waiting() == []
    shown = office.unmask()
    office.approve(shown, "authority-2")
    assert waiting() == [(shown.id, APPROVED)]
    office.clock.now += proposals.OPEN_SECONDS
    assert waiting() == []


def test_two_who_approve_at_once_are_one_approval_and_one_answer(office: Office) -> None:
    made = office.credits()
    people = [office.who(name) for name in ("treasurer-2", "authority-1", "authority-2")] * 2
    barrier, done, wrong = threading.Barrier(len(people)), [], []

    def approve(who: Principal) -> None:
        barrier.wait()
        try:
            done.append((proposals.approve(office.app, who, made.id, made.digest, via=ON_PAGE), who.pseudonym))
        except PeopleError as error:
            wrong.append(error.code)

    threads = [threading.Thread(target=approve, args=(who,)) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {who for _, who in done} == {office.acts("proposal_approved")[0][1]}, "the others are told"
    assert set(wrong) <= {"proposal_over"}
    assert len(done) + len(wrong) == len(people)
    assert len(office.acts("proposal_approved")) == len(office.acts("proposal_done")) == 1
    with office.app.store.read() as session:
        (asked,) = session.scalars(select(CreditRequest))
    assert (asked.amount, asked.asked_by) == (ABOVE, office.pseudonyms["treasurer-1"])


def test_credits_above_the_limit_are_left_to_settlement_once_and_their_reference_is_not_logged(office: Office) -> None:
    made = office.credits()
    with office.app.store.read() as session:
        assert session.scalars(select(CreditRequest)).all() == []
    assert office.approve(made, "authority-1").state == DONE
    assert office.approve(made, "authority-1").state == DONE, "pressed twice"
    with office.app.store.read() as session:
        assert len(session.scalars(select(CreditRequest)).all()) == 1
        assert b"Lovelace" not in every_leaf(session)
        (act,) = session.scalars(select(Act).where(Act.kind == "proposal_made"))
    assert act.data["what"] == {"amount": ABOVE, "wallet": office.wallet}


def test_an_approval_that_was_broken_off_is_carried_out_by_the_same_button(office: Office) -> None:
    made = office.credits()
    with office.app.store.write() as session:  # killed between the approval and what it does
        row = session.get_one(Proposal, made.id)
        row.state, row.approved_by, row.approved_at = APPROVED, office.pseudonyms["authority-1"], office.clock.now
    with office.app.store.read() as session:
        assert [each.id for each in proposals.approved_to_run(session, office.clock.now)] == [made.id]
    assert office.approve(made, "authority-1").state == DONE
    with office.app.store.read() as session:
        assert len(session.scalars(select(CreditRequest)).all()) == 1


def test_what_cannot_be_done_any_more_is_told_and_over(office: Office) -> None:
    made, again = office.credits(), office.credits(reference="another")
    with office.app.store.write() as session:
        session.add(
            CreditRequest(
                reference="Ada Lovelace, May", wallet=office.wallet, amount=5, state="booked", told="",
                asked_at=1, asked_by="x",
            )
        )  # fmt: skip
    with pytest.raises(ReferenceUsedError):
        office.approve(made, "authority-1")
    with office.app.store.write() as session:
        session.scalars(select(User)).one().left_at = 1
    with pytest.raises(ProposalChangedError, match="left"):
        office.approve(again, "authority-1")
    with office.app.store.read() as session:
        rows = [session.get_one(Proposal, each.id) for each in (made, again)]
    assert [row.state for row in rows] == [FAILED, FAILED]
    assert "booked already" in rows[0].told
    assert len(office.acts("proposal_failed")) == 2


def test_a_person_is_erased_by_two_and_the_log_keeps_a_pseudonym_of_nobody(office: Office) -> None:
    made, unmask = office.erasure(), office.unmask()
    office.approve(unmask, "authority-1")
    assert office.approve(made, "authority-2").state == DONE
    assert office.approve(made, "authority-2").state == DONE
    with office.app.store.read() as session:
        logins = set(session.scalars(select(Person.login)))
    assert "member-1@campus.example" not in logins
    assert office.acts("person_erased") == [("person_erased", office.pseudonyms["authority-1"])]
    with pytest.raises(ProposalInvalidError, match="nobody"):
        proposals.reveal(office.app, office.who("auditor-1"), unmask.id)
    assert office.state(unmask) == FAILED


def test_the_approver_can_be_whom_it_erases_and_the_record_of_it_stays(office: Office) -> None:
    made = office.erasure(of="authority-2")
    assert office.approve(made, "authority-2").state == DONE
    with office.app.store.read() as session:
        row = session.get_one(Proposal, made.id)
    assert (row.approved_by, row.state) == (office.pseudonyms["authority-2"], DONE)


def test_another_person_who_proposes_the_same_is_shown_the_one_that_is_there(office: Office) -> None:
    made = office.unmask()
    with pytest.raises(ProposalOverError, match=made.id):
        office.unmask(by="authority-1")


def test_one_person_is_enough_where_the_site_says_so_and_it_is_logged_as_such(office: Office) -> None:
    made = office.unmask()
    office.two_persons("no")
    assert office.approve(made, "auditor-1").state == APPROVED
    office.two_persons("pages")
    with pytest.raises(SamePersonError):
        proposals.reveal(office.app, office.who("auditor-1"), made.id)
    office.two_persons("no")
    assert proposals.reveal(office.app, office.who("auditor-1"), made.id).name == "Name of member 1"
    asker = office.pseudonyms["auditor-1"]
    assert office.acts("proposal_made", "proposal_approved") == [("proposal_made", asker), ("proposal_approved", asker)]


def test_a_setting_that_there_is_not_is_refused() -> None:
    with pytest.raises(HomeConfigError, match="two_persons is one of no, pages, everywhere"):
        Settings.from_toml('[people]\ntwo_persons = "sometimes"\n')
    assert Settings.from_toml("").people.two_persons == "pages"


@pytest.fixture
def run(office: Office, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def command(*words: str, exits: int = 0) -> Any:
        capsys.readouterr()
        assert main([*words, "--home", str(office.app.home.path), "--json"]) == exits
        said = capsys.readouterr()
        return json.loads(said.out) if exits == 0 else said.err

    return command


def as_person(name: str) -> tuple[str, str]:
    return "--person", f"{name}@campus.example"


def test_the_commands_do_the_same_as_the_pages(office: Office, run: Callable[..., Any]) -> None:
    words = ["approvals", "propose", "unmask", office.pseudonyms["member-1"], "--reason", WHY, *as_person("auditor-1")]
    assert run(*words, "--dry-run")["changed"] is False
    assert run("approvals", "list") == []
    made = run(*words)
    id = made["id"]
    assert (made["state"], made["proposed_by"]) == ("waiting", office.pseudonyms["auditor-1"])
    assert "same_person" in run("approvals", "approve", id, *as_person("auditor-1"), exits=1)
    assert "person_unknown" in run("approvals", "approve", id, *as_person("nobody"), exits=1)
    assert "proposal_unknown" in run("approvals", "approve", id, *as_person("treasurer-1"), exits=1)
    assert "proposal_unknown" in run("approvals", "show", "0000", exits=1)
    assert run("approvals", "approve", id, *as_person("authority-1"), "--dry-run")["changed"] is False
    assert run("approvals", "approve", id, *as_person("authority-1"))["changed"] is True
    assert run("approvals", "approve", id, *as_person("authority-1"))["changed"] is False
    assert run("approvals", "run")["proposals"] == [], "it waits for who asked, and not for a key"
    assert run("approvals", "reveal", id, *as_person("auditor-1"), "--dry-run") == {"changed": False}
    assert run("approvals", "reveal", id, *as_person("auditor-1"))["name"] == "Name of member 1"
    assert "proposal_over" in run("approvals", "reveal", id, *as_person("auditor-1"), exits=1)
    assert run("approvals", "show", id)["state"] == "done"
    with office.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind.startswith("proposal_"), Act.kind != "proposal_done"))
        assert {act.data["via"] for act in acts} == {"command"}
    booking = ["credits", "Flat 1", str(ABOVE), "--reference", "R 1", "--reason", "a large transfer"]
    made = run("approvals", "propose", *booking, *as_person("treasurer-1"))
    assert run("approvals", "refuse", made["id"], *as_person("treasurer-2"))["state"] == "refused"
    erase = ["approvals", "propose", "erase", "member-2@campus.example", "--reason", "asked for in writing"]
    made = run(*erase, *as_person("authority-1"))
    assert run("approvals", "withdraw", made["id"], *as_person("authority-1"))["state"] == "withdrawn"
    assert [each["kind"] for each in run("approvals", "list")] != []
    assert "names_somebody" in run(*erase[:4], "--reason", "Flat 1", *as_person("authority-1"), exits=1)


def test_commands_act_alone_unless_the_site_wants_two_people_everywhere(
    office: Office, run: Callable[..., Any]
) -> None:
    erase = ["people", "erase", "member-2@campus.example"]
    top_up = ["credits", "top-up", "Flat 1", str(ABOVE), "--reference", "R 2", "--confirm", str(ABOVE), "--dry-run"]
    assert run(*top_up)["changed"] is False
    office.two_persons("everywhere")
    for words, how in ((erase, "propose erase"), (top_up, "propose credits")):
        refused = run(*words, exits=1)
        assert "two_people_needed" in refused
        assert how in refused
    small = [*top_up[:3], "5", *top_up[4:6], "--dry-run"]
    assert run(*small)["changed"] is False, "within the limit one person does"
    office.two_persons("pages")
    assert run(*erase)["changed"] is True
