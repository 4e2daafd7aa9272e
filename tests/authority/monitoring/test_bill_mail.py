"""Bills by mail, over a real relay: asked for once, one person each, resent one at a time, through outages."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alerts_process import SendsMail
from every_leaf import every_leaf
from pypdf import PdfReader
from solders.keypair import Keypair
from sqlalchemy import select

from authority.app import App
from authority.billing import issuing, mailing
from authority.billing.bill import Bill, Line
from authority.billing.errors import LetterUnknownError, PeriodNotClosedError
from authority.figures import credits
from authority.home.home import Home
from authority.home.settings import AlertSettings, WebSettings
from authority.monitoring.bill_mail import send_due
from authority.monitoring.delivery import Mail
from authority.people import records
from authority.store.billing import BillingPeriod, BillMail, IssuedBill
from authority.store.log import Act
from authority.store.people import User
from authority.store.persons import Person

NOW = 1_782_000_000
MAIL = {"mail_from": "bills@campus.example", "smtp_host": "127.0.0.1", "smtp_security": "none"}


class Office(SendsMail):
    """Three members with a bill each of period 0: Ada's and Bob's mail address is known, Cleo signs in by a name."""

    def __init__(self, home: Home, port: int) -> None:
        alerts, web = AlertSettings(smtp_port=port, **MAIL), WebSettings(origin="https://energy.campus.example")
        home.save(replace(home.settings, alerts=alerts, web=web))
        self.home, self.now, self.people, self.dues = Home.open(home.path), NOW, {}, {}
        self.app = App.open(home.path, lambda: self.now)
        with self.app.store.write() as session:
            session.add(
                BillingPeriod(
                    period=0, first_epoch=0, end_epoch=96, closed_at=NOW, closed_by="x", log_index=0, issued_at=NOW
                )
            )
            for number, login in enumerate(("ada@campus.example", "bob@campus.example", "cleo"), 1):
                name = login.partition("@")[0].title()
                user = User(name=f"Flat {name}", building="Flats", wallet=str(Keypair().pubkey()))
                session.add(user)
                session.flush()
                person = self.people[name] = records.add(session, login, name, now=NOW)
                records.grant(session, person, "member", by="test", now=NOW, member=user)
                if name == "Ada":  # Bob looks after Ada's account, and gets no mail of it
                    self.flat = user
                bill = Bill(user.wallet, 0, 0, 96, 900, (Line("remainder", wh=10, amount=number * 1_000_001),), 0)
                document = bill.document(number, self.app.home.network_id)
                self.dues[name] = bill.due
                session.add(
                    IssuedBill(
                        number=number, period=0, wallet=user.wallet, document=document, due=bill.due,
                        sha256=hashlib.sha256(document).digest(), log_index=number, issued_at=NOW,
                    )
                )  # fmt: skip
            helper = records.add(session, "helper@campus.example", "Helper", now=NOW)
            records.grant(session, helper, "delegate", by="test", now=NOW, member=self.flat, until=NOW + 99_999)
            session.flush()
            session.expunge_all()

    def states(self) -> list[tuple[int, str | None]]:
        with self.app.store.read() as session:
            return [(each.bill, each.state) for each in mailing.letters(session, 0) if each.person_id is not None]

    def errors(self) -> list[str]:
        with self.app.store.read() as session:
            return list(session.scalars(select(BillMail.error).order_by(BillMail.bill)))


@pytest.fixture
def office(home: Home, relay: Any) -> Any:
    made = Office(home, relay.port)
    yield made
    made.app.store.close()


def test_each_member_gets_its_bill_once_as_pdf_and_nobody_elses(office: Office, relay: Any) -> None:
    office.post(0)
    assert relay.mails == []
    assert [mailing.ask(office.app, 0, actor="person-1") for _ in range(2)] == [2, 0]
    office.post(0, 30, 3_600)
    assert [mail["To"] for mail in relay.mails] == ["ada@campus.example", "bob@campus.example"]
    for mail, name, number in zip(relay.mails, ("Ada", "Bob"), (1, 2), strict=True):
        assert mail["From"] == "bills@campus.example"
        text = mail.get_body().get_content()
        assert f"{credits(office.dues[name])} credits to pay" in text
        assert f"https://energy.campus.example/me/bills/{number}" in text
        (attached,) = mail.iter_attachments()
        assert (attached.get_content_type(), attached.get_filename()) == ("application/pdf", f"bill-{number}.pdf")
        paper = PdfReader(io.BytesIO(attached.get_content())).pages[0].extract_text()
        assert f"Flat {name}" in paper
        assert f"Due {credits(office.dues[name])}" in paper
    assert office.states() == [(1, "sent"), (2, "sent")]
    with office.app.store.read() as session:
        (cleo,) = [each for each in mailing.letters(session, 0) if each.person_id is None]
        assert (cleo.bill, cleo.why_not) == (3, mailing.NO_ADDRESS)
        acts = [(act.actor, act.data) for act in session.scalars(select(Act).where(Act.kind == "bills_mailed"))]
        assert acts == [("person-1", {"mails": 2, "period": 0})]
        assert b"campus.example" not in every_leaf(session)
    with pytest.raises(PeriodNotClosedError):
        mailing.ask(office.app, 1, actor="x")


def test_one_that_was_refused_holds_up_nobody_and_is_resent_alone(office: Office, relay: Any) -> None:
    relay.refuse = ("ada@campus.example",)
    mailing.ask(office.app, 0, actor="x")
    office.post(0, 3_600)
    assert office.states() == [(1, "failed"), (2, "sent")]
    assert "550 no such mailbox" in office.errors()[0]
    assert "ada" not in office.errors()[0]
    relay.refuse = ()
    ada = office.people["Ada"].id
    assert [mailing.again(office.app, 1, ada, actor="person-1") for _ in range(2)] == [True, False]
    office.post(0, 30)
    assert [mail["To"] for mail in relay.mails] == ["bob@campus.example", "ada@campus.example"]
    assert office.states() == [(1, "sent"), (2, "sent")]
    with office.app.store.read() as session:
        (act,) = session.scalars(select(Act).where(Act.kind == "bill_mailed_again"))
        assert act.data == {"bill": 1, "person": office.people["Ada"].pseudonym}
    with pytest.raises(LetterUnknownError):
        mailing.again(office.app, 2, ada, actor="x")


def test_a_mail_that_is_sent_again_tells_what_was_corrected_since(office: Office, relay: Any) -> None:
    mailing.ask(office.app, 0, actor="x")
    office.post(0, 3_600)
    issuing.correct(office.app, 1, 1, -2_500_000, "the lift is not of this flat", actor="person-1")
    issuing.correct(office.app, 1, 1, 1_000_000, "its cellar is", actor="person-1")
    mailing.again(office.app, 1, office.people["Ada"].id, actor="person-1")
    office.post(0, 30)
    before, bob, after = (mail.get_body().get_content() for mail in relay.mails)
    assert "corrected" not in before + bob
    assert f"you pay {credits(2_500_000)} credits less. The reason: the lift is not of this flat" in after
    assert f"Line 1 of it is corrected: you pay {credits(1_000_000)} credits more. The reason: its cellar is" in after
    assert after.count("The correction is on your next bill.") == 2


def test_a_relay_that_is_away_delays_and_loses_nothing(office: Office, relay: Any) -> None:
    relay.answer = "451 later"
    mailing.ask(office.app, 0, actor="x")
    office.post(0, 30)
    assert office.states() == [(1, "waiting"), (2, "waiting")]
    assert all("451 later" in error for error in office.errors())
    relay.answer = "250 OK"
    office.post(60)
    assert len(relay.mails) == 2
    assert office.errors() == ["", ""]


def test_a_clock_that_was_a_day_ahead_puts_no_mail_off(office: Office, relay: Any) -> None:
    relay.answer = "451 later"
    mailing.ask(office.app, 0, actor="x")
    office.post(86_400)
    assert office.states() == [(1, "waiting"), (2, "waiting")]
    relay.answer = "250 OK"
    office.post(-86_400)
    assert len(relay.mails) == 2


def test_a_process_that_dies_between_claim_and_answer_repeats_with_the_same_id(office: Office, relay: Any) -> None:
    mailing.ask(office.app, 0, actor="x")
    claimed = mailing.claim(office.app)
    assert claimed is not None
    other = mailing.claim(office.app)
    assert other is not None
    assert (claimed.bill.number, other.bill.number) == (1, 2)
    assert mailing.claim(office.app) is None, "what is on its way is nobody else's"
    office.post(mailing.CLAIM_SECONDS)
    assert len(relay.mails) == 2
    assert relay.mails[0]["Message-ID"] == f"<bill-1.{claimed.id}.{claimed.asked_at}@campus.example>"


def test_whoever_is_no_member_any_more_or_was_erased_gets_nothing(office: Office, relay: Any) -> None:
    mailing.ask(office.app, 0, actor="x")
    with office.app.store.write() as session:
        records.withdraw(session, session.get_one(Person, office.people["Ada"].id), "member", by="x", now=NOW)
        records.erase(session, session.get_one(Person, office.people["Bob"].id), by="x", now=NOW)
    office.post(0)
    assert relay.mails == []
    with office.app.store.read() as session:
        (row,) = session.scalars(select(BillMail))
        assert (row.state, row.person_id) == ("failed", office.people["Ada"].id)


def test_a_relay_that_never_takes_it_is_given_up_at_last(office: Office, relay: Any) -> None:
    relay.answer = "451 later"
    mailing.ask(office.app, 0, actor="x")
    for _ in range(2 * mailing.MOST_TRIES):
        office.now += mailing.LONGEST_WAIT_SECONDS
        send_due(office.app, Mail(office.home.settings.alerts))
    assert office.states() == [(1, "failed"), (2, "failed")]


def test_the_alerts_process_runs_for_bills_alone(home: Home, tmp_path: Path) -> None:
    from authority.service.serve_command import programs

    assert "alerts" not in {program.name for program in programs(home, [])}
    home.save(replace(home.settings, alerts=AlertSettings(mail_from="bills@campus.example")))
    assert "alerts" in {program.name for program in programs(Home.open(home.path), [])}
