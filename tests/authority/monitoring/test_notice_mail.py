"""Mails of what changes, over a real relay: on a change alone, one a day, as chosen, with the way to choose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from every_leaf import every_leaf
from people_site import build
from sample_month import fill
from sqlalchemy import select

from authority.app import App
from authority.billing import mailing
from authority.chain import accounts
from authority.home.home import Home
from authority.home.settings import AlertSettings, WebSettings
from authority.market import policies
from authority.monitoring.notice_mail import sentence
from authority.monitoring.post import Post
from authority.operations import news
from authority.people import notices, records
from authority.people.notices import (
    ANNOUNCEMENT,
    CREDIT_LOW,
    GIFT_RECEIVED,
    METER_SILENT,
    ORDER_PAUSED,
    ORDER_REFUSED,
    Change,
)
from authority.people.roles import MEMBER
from authority.store.desk import Ticket, TicketWords
from authority.store.market import StandingOrderPolicy, TransferRow
from authority.store.metering import Meter
from authority.store.people import User, WalletRequest
from authority.store.persons import LeaveRequest, NoticeMail, NoticeState
from authority.store.settlement import Alert

NOW = 1_782_000_000
ORIGIN = "https://energy.campus.example"
HOUR, DAY = 3_600, 86_400


class Office:
    """Dormitory A with a meter that fell silent at NOW, its member, its delegate, and the alerts' process."""

    def __init__(self, home: Home, port: int) -> None:
        alerts = AlertSettings(
            mail_from="energy@campus.example", smtp_host="127.0.0.1", smtp_security="none", smtp_port=port
        )
        home.save(replace(home.settings, alerts=alerts, web=WebSettings(origin=ORIGIN)))
        self.home, self.now = Home.open(home.path), NOW
        self.app = App.open(home.path, lambda: self.now)
        self.site = build(self.app)
        fill(self.site)
        self.post = Post(self.home, lambda: self.now)
        self.wallet = self.site.members["Dormitory A"].wallet
        self.member = self.site.people[MEMBER]

    def look(self, pause: int, credit: int | None = None) -> None:
        """Time passes, and the process looks and sends; its validator does not answer unless a credit is named."""
        self.now += pause
        if credit is None:
            self.post()
        else:
            notices.look(self.app, [accounts.Seat(0, credit, 0, 0, 0, 0, 0, 0)])

    def bring_back(self) -> None:
        """The meter speaks again."""
        with self.app.store.write() as session:
            meter = session.scalars(select(Meter)).one()
            meter.state = "suspended"  # what is not active is not awaited

    def states(self) -> list[tuple[str, bool]]:
        with self.app.store.read() as session:
            rows = session.scalars(select(NoticeState).where(NoticeState.person_id == self.member.id))
            return sorted((row.kind, row.told_at is not None) for row in rows)


@pytest.fixture
def office(home: Home, relay: Any) -> Any:
    made = Office(home, relay.port)
    yield made
    made.post.close()
    made.app.store.close()


def said(mail: Any) -> str:
    return " ".join(mail.get_body().get_content().split())


def test_a_change_is_told_once_with_the_rest_a_day_later_and_that_it_is_over(office: Office, relay: Any) -> None:
    office.look(23 * HOUR)
    assert office.states() == []
    office.look(2 * HOUR)
    assert office.states() == [(METER_SILENT, False)]
    assert relay.mails == [], "it may be over in a moment"
    office.look(HOUR)
    (mail,) = relay.mails
    assert (mail["To"], mail["From"]) == ("member@campus.example", "energy@campus.example")
    assert "The Member," in said(mail)
    assert "The meter dormitory-a/building has sent no reading since" in said(mail)
    assert f"{ORIGIN}/account/mails" in said(mail)
    with office.app.store.write() as session:
        policies.pause_standing_order(session, "Dormitory A", paused=True, by="somebody", now=office.now)
    office.bring_back()
    for _ in range(2):
        office.look(10 * HOUR)
    assert len(relay.mails) == 1, "one mail a day"
    office.look(5 * HOUR)
    assert len(relay.mails) == 2
    assert "is heard again" in said(relay.mails[1])
    assert "Your standing order rests" in said(relay.mails[1])
    for _ in range(2):
        office.look(DAY)
    assert len(relay.mails) == 2, "what lasts is not told again"
    assert office.states() == [(ORDER_PAUSED, True)]
    with office.app.store.read() as session:
        assert b"campus.example" not in every_leaf(session)


def test_what_a_person_does_itself_and_what_it_does_not_want_is_not_told(office: Office, relay: Any) -> None:
    with office.app.store.write() as session:
        policies.pause_standing_order(session, "Dormitory A", paused=True, by=office.member.pseudonym, now=office.now)
    notices.choose(office.app, office.member.id, {METER_SILENT: False}, 0)
    for _ in range(2):
        office.look(DAY)
    assert relay.mails == []
    notices.choose(office.app, office.member.id, {}, 0)
    office.look(DAY)
    assert office.states() == [(METER_SILENT, False)]
    notices.choose(office.app, office.member.id, {METER_SILENT: False}, 0)
    office.look(HOUR)
    assert (office.states(), relay.mails) == ([], [])


def test_few_credits_and_a_refused_order_are_told_and_a_chain_that_is_away_says_nothing(office: Office) -> None:
    notices.choose(office.app, office.member.id, {METER_SILENT: False}, notices.LEAST_CREDIT)
    with office.app.store.write() as session:
        session.get_one(User, office.site.members["Dormitory A"].id).member_index = 0
        alert = {"first_at": 1, "last_at": 1, "count": 9, "message": "x"}
        session.add(Alert(code="BookFull", subject=f"bid of {office.wallet}", **alert))
        session.add(Alert(code="Other", subject="bid of somebody", **alert))
    office.look(HOUR, credit=999_999)
    assert office.states() == [(CREDIT_LOW, False), (ORDER_REFUSED, False)]
    office.look(HOUR)  # the validator is away: they are told all the same
    assert office.states() == [(CREDIT_LOW, True), (ORDER_REFUSED, True)]
    office.look(HOUR)
    assert office.states() == [(CREDIT_LOW, True), (ORDER_REFUSED, True)]
    office.look(HOUR, credit=1_000_000)
    with office.app.store.write() as session:
        over = session.get(NoticeState, (office.member.id, CREDIT_LOW, ""))
        assert over is not None
        assert over.over_at == office.now
        session.get_one(StandingOrderPolicy, office.site.members["Dormitory A"].id).buy_at = None
    office.look(2 * DAY)
    office.look(HOUR, credit=0)
    assert office.states() == [(ORDER_REFUSED, True)], "who does not buy needs no credits"


def test_a_relay_that_is_away_delays_and_nothing_is_told_twice(office: Office, relay: Any) -> None:
    relay.answer = "451 later"
    office.look(26 * HOUR)
    office.look(HOUR)
    assert relay.mails == []
    with office.app.store.read() as session:
        mail = session.get(NoticeMail, office.member.id)
        assert mail is not None
        assert (mail.state, mail.tries > 0) == ("waiting", True)
    relay.answer = "250 OK"
    for _ in range(2):
        office.look(HOUR)
    assert len(relay.mails) == 1


def test_a_clock_that_was_days_ahead_puts_no_notice_off(office: Office, relay: Any) -> None:
    relay.answer = "451 later"
    office.look(10 * DAY)
    office.look(HOUR)
    relay.answer = "250 OK"
    office.look(-8 * DAY)
    office.look(HOUR)
    assert len(relay.mails) == 1
    office.bring_back()
    office.now += DAY
    for _ in range(2):
        office.look(HOUR)
    assert len(relay.mails) == 2, "the next day it is told that it is over"


def test_bills_are_mailed_unless_one_has_chosen_otherwise(office: Office) -> None:
    client = office.site.flask.test_client()
    client.environ_base.update(HTTP_ORIGIN=ORIGIN, HTTP_ACCEPT="text/html", HTTP_HOST="energy.campus.example")
    client.environ_base["wsgi.url_scheme"] = "https"
    client.set_cookie("__Host-campus", office.site.cookies[MEMBER], domain="energy.campus.example", secure=True)

    def addresses() -> list[str]:
        with office.app.store.read() as session:
            return [each.address for each in mailing.letters(session, 0)]

    assert addresses() == ["member@campus.example"]
    page = client.get("/account/mails", base_url=ORIGIN).text
    assert page.count(" checked") == len(notices.KINDS), "all of them by default"
    fields = office.site.form(MEMBER, wanted=[METER_SILENT], least="2,5")
    assert client.post("/account/mails", data=fields, base_url=ORIGIN).status_code == 303
    assert addresses() == [""], "nobody"
    treasurer = office.site.flask.test_client()
    treasurer.environ_base.update(client.environ_base)
    treasurer.set_cookie("__Host-campus", office.site.cookies["treasurer"], domain="energy.campus.example", secure=True)
    listed = treasurer.get("/treasury/periods/0/mail", base_url=ORIGIN).text
    assert "has chosen to get no mails of bills. It is on the member" in listed
    assert "paper" not in listed
    told = client.get("/api/v1/me/mails", base_url=ORIGIN).json
    assert told == {
        "bill": False, "order_paused": False, "order_refused": False, "meter_silent": True, "credit_low": False,
        "credit_low_micro_credits": 2_500_000, "announcement": False, "dispute_answered": False, "gift_received": False,
        "request_decided": False,
    }  # fmt: skip
    wrong = office.site.form(MEMBER, wanted=[], least="many")
    assert client.post("/account/mails", data=wrong, base_url=ORIGIN).status_code == 400
    sent = {"X-Form-Token": office.site.form(MEMBER)["form_token"]}
    told = client.put("/api/v1/me/mails", json={"credit_low": False}, headers=sent, base_url=ORIGIN).json
    assert (told["bill"], told["credit_low"], told["credit_low_micro_credits"]) == (True, False, 1_000_000)
    assert addresses() == ["member@campus.example"]
    assert mailing.ask(office.app, 0, actor="x") == 1
    notices.choose(office.app, office.member.id, {"bill": False}, 0)
    assert mailing.claim(office.app) is None, "who chose otherwise meanwhile gets none"
    with office.app.store.write() as session:
        records.erase(session, records.find(session, "member@campus.example"), by="x", now=1)
        assert session.scalars(select(NoticeMail)).all() == []


def announce(office: Office, title: str, starts: int, ends: int, audience: str = news.MEMBERS, house: str = "") -> int:
    """Announce something from so many seconds after now until so many."""
    times = office.now + starts, office.now + ends
    return news.publish(office.app, title, f"{title}, in\ntwo lines", *times, audience, house, actor="operator-1")[0]


def test_an_announcement_is_mailed_once_and_waits_for_no_other_day(office: Office, relay: Any) -> None:
    def subjects(role: str = MEMBER) -> list[str]:
        return [mail["Subject"].partition(": ")[2] for mail in relay.mails if mail["To"].startswith(role)]

    announce(office, "For the others", 0, 90 * DAY, news.BUILDING, "Dormitory B")
    office.look(26 * HOUR)
    office.look(HOUR)
    assert (subjects(), subjects("other")) == (["what has changed for you"], ["For the others"])
    announce(office, "Lift is repaired", 0, 2 * HOUR)
    announce(office, "Water is off", HOUR, DAY, news.BUILDING, "Dormitory A")
    office.look(900)
    assert len(relay.mails) == 2, "whoever announced it may think better of it"
    office.look(900)
    assert subjects()[1:] == subjects("other")[1:] == ["Lift is repaired"], "on the same day"
    mail = next(each for each in relay.mails if "Lift" in each["Subject"])
    assert "announces, until 22 June 2026, 05:00 (UTC): Lift is repaired Lift is repaired, in two lines" in said(mail)
    assert f"{ORIGIN}/account/mails" in said(mail)
    office.look(HOUR)
    office.look(HOUR)
    assert subjects()[2:] == ["Water is off"], "now that it has begun"
    for _ in range(3):
        office.look(DAY)
    assert (len(subjects()), len(subjects("other"))) == (3, 2), "neither again nor that it is over"
    assert office.states() == [(METER_SILENT, True)]


def test_an_announcement_that_is_withdrawn_in_time_or_not_wanted_is_not_mailed(office: Office, relay: Any) -> None:
    notices.choose(office.app, office.member.id, {METER_SILENT: False}, 0)
    number = announce(office, "By mistake", 0, DAY, news.EVERYBODY)
    office.look(900)
    assert office.states() == [(ANNOUNCEMENT, False)]
    news.withdraw(office.app, number, actor="operator-1")
    office.look(900)
    assert (office.states(), relay.mails) == ([], [])
    announce(office, "Everybody", 0, DAY, news.EVERYBODY)
    office.look(900)
    notices.choose(office.app, office.member.id, {METER_SILENT: False, ANNOUNCEMENT: False}, 0)
    office.look(HOUR)
    assert (office.states(), [mail["To"] for mail in relay.mails]) == ([], ["other@campus.example"])


def test_an_announcement_is_withdrawn_between_a_look_and_the_mail(office: Office) -> None:
    notices.choose(office.app, office.member.id, {METER_SILENT: False}, 0)
    number = announce(office, "By mistake", 0, DAY)
    notices.look(office.app, None)
    office.now += 900
    news.withdraw(office.app, number, actor="operator-1")
    assert notices.claim(office.app) is None
    assert office.states() == [(ANNOUNCEMENT, False)]
    notices.look(office.app, None)
    assert office.states() == []


@pytest.mark.parametrize("kind", [kind for kind in notices.KINDS if kind not in ("bill", *notices.ONCE)])
def test_every_kind_has_its_sentences(kind: str) -> None:
    data = {"meter": "m", "last": NOW, "credit": 1, "least": 2, "why": "BookFull", "by": ""}
    begun, over = (sentence(Change(kind, "", data, is_over), ZoneInfo("UTC")) for is_over in (False, True))
    assert begun != over
    assert "%(" not in begun + over


def test_what_somebody_did_is_told_once_and_its_end_never(office: Office, relay: Any) -> None:
    office.bring_back()
    ids = {name: user.id for name, user in office.site.members.items()}
    mine, other, at = ids["Dormitory A"], ids["Dormitory B"], office.now
    ticket = {"user_id": mine, "starts_at": 1, "ends_at": 2, "reason": "other", "opened_at": at, "opened_by": "x"}
    gift = {"act": "give", "state": "done", "asked_at": at, "goes_at": at}
    with office.app.store.write() as session:
        session.add(Ticket(id=7, state="answered", **ticket))
        session.add(Ticket(id=8, state="settled", closed_at=at, closed_by="desk", **ticket))
        session.flush()
        session.add(TicketWords(ticket_id=7, person_id=None, from_member=False, text="so", at=at))
        session.add(TicketWords(ticket_id=7, person_id=office.member.id, from_member=True, text="but", at=at))
        for key, asset, amount, giver, to in (
            ("k1", "energy", 1_500, other, mine),
            ("k2", "credit", 2_000_000, other, mine),
            ("k3", "energy", 9_000, mine, other),
        ):
            session.add(TransferRow(user_id=giver, to_user_id=to, request_key=key, asset=asset, amount=amount, **gift))
        session.add(
            WalletRequest(
                user_id=mine, wallet=None, kept_here=True, state="refused", told="no", asked_by="x", asked_at=at,
                decided_by="desk", decided_at=at,
            )
        )  # fmt: skip
        session.add(
            LeaveRequest(
                person_id=office.member.id, user_id=mine, forfeit=False, state="approved", told="", asked_at=at,
                decided_by="desk", decided_at=at,
            )
        )  # fmt: skip
    for _ in range(8):
        office.look(HOUR)
    told = [said(mail) for mail in relay.mails if mail["To"].startswith("member")]
    assert len(told) == 1
    for words in (
        "answered your dispute 7.",
        "Your dispute 8 was closed.",
        "You were given 1.500 kWh.",
        "You were given 2.00 credits.",
        "The wallet that you asked for was refused.",
        "Your wish to leave was approved.",
    ):
        assert words in told[0], words
    assert "9.000" not in told[0]
    for _ in range(5):
        office.look(DAY)
    assert len([mail for mail in relay.mails if mail["To"].startswith("member")]) == 1
    assert office.states() == []


def test_who_wants_no_mail_of_a_gift_gets_none(office: Office, relay: Any) -> None:
    office.bring_back()
    notices.choose(office.app, office.member.id, {GIFT_RECEIVED: False}, 0)
    ids = {name: user.id for name, user in office.site.members.items()}
    with office.app.store.write() as session:
        session.add(
            TransferRow(
                user_id=ids["Dormitory B"], to_user_id=ids["Dormitory A"], request_key="k", act="give", asset="energy",
                amount=1, state="done", asked_at=office.now, goes_at=office.now,
            )
        )  # fmt: skip
    office.look(HOUR)
    office.look(HOUR)
    assert relay.mails == []
