"""Corrections of bills at the treasurer's pages: warned of, above the limit by two people, and taken back in time."""

from __future__ import annotations

import hashlib
import html
import re
import threading
from dataclasses import replace
from typing import Any

import pytest
from people_site import PeopleSite, build, sign_in
from sqlalchemy import select

from authority.app import App
from authority.billing import issuing, views
from authority.billing.bill import Bill, Line
from authority.billing.errors import CorrectionAboveLimitError, CorrectionBilledError, CorrectionUnknownError
from authority.figures import credits
from authority.home.settings import NO
from authority.log import gate
from authority.people import dangerous, proposals
from authority.people.roles import AUTHORITY, MEMBER, OPERATOR, TREASURER
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.desk import Ticket
from authority.store.log import Act
from authority.store.people import User
from authority.store.persons import Proposal

GOOD = {"line": "1", "amount": "0.25", "way": "less", "reason": "a wrong register"}
ABOVE = {**GOOD, "amount": "99999", "way": "more"}


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: App) -> PeopleSite:
    """Dormitory A has a bill of 0.6381 credits."""
    made = build(app)
    line = Line("remainder", wh=2_127, price=300_000, amount=638_100, epochs=[[0, 95]])
    bill = Bill(made.members["Dormitory A"].wallet, 1, 0, 96, 900, (line,), 0)
    document = bill.document(1, app.home.network_id)
    with app.store.write() as session:
        session.add(
            BillingPeriod(
                period=1, first_epoch=0, end_epoch=96, closed_at=1, closed_by="t", log_index=0, issued_at=1, bills=1,
                due=bill.due,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            IssuedBill(
                number=1, period=1, wallet=bill.member, document=document, due=bill.due, log_index=1, issued_at=1,
                sha256=hashlib.sha256(document).digest(),
            )
        )  # fmt: skip
    return made


def send(site: PeopleSite, status: int, url: str = "/treasury/bills/1", by: str = TREASURER, **fields: str) -> Any:
    answer = site.client(by).post(url, data=site.form(by, **fields))
    assert answer.status_code == status, text(answer)
    return answer


def text(answer: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def acts(site: PeopleSite, kind: str) -> list[Act]:
    with site.app.store.read() as session:
        return list(session.scalars(select(Act).where(Act.kind == kind).order_by(Act.log_index)))


def test_the_preview_warns_of_more_than_the_line_and_refuses_a_name(site: PeopleSite) -> None:
    told = text(send(site, 200, act="preview", **GOOD))
    assert "more than the line" not in told
    assert "Enter the correction" in told
    told = text(send(site, 200, act="preview", **{**GOOD, "amount": "6.4"}))
    assert "This is more than the line itself, which is of 0.6381 credits." in told
    assert "It is more than the whole bill of 0.6381 credits." in told
    named = {**GOOD, "reason": "Dormitory A was billed twice"}
    for act in ("preview", "save"):
        assert "say it without 'dormitory a'" in text(send(site, 409, act=act, **named)).lower()
    estimate = {"meter": "g/m", "since": "2026-01-01T00:00", "until": "2026-01-02T00:00", "energy": "1"}
    refused = send(site, 409, "/treasury/estimates", act="preview", **{**estimate, "reason": "Dormitory A is dark"})
    assert "say it without" in text(refused).lower()
    assert acts(site, "bill_corrected") == []


def test_above_the_limit_it_takes_another_person(site: PeopleSite) -> None:
    told = text(send(site, 200, act="preview", **ABOVE))
    assert "another person has to approve it" in told
    assert "Propose the correction" in told
    where = {send(site, 303, act="save", **ABOVE).headers["Location"] for _ in range(2)}
    assert acts(site, "bill_corrected") == [], "it is not entered yet"
    (url,) = where
    (made,) = acts(site, "proposal_made")
    assert "a wrong register" not in str(made.data), "the log gets the reason with the correction alone"
    own = site.client(TREASURER).get(url).text
    assert 'value="approve"' not in own
    second, client, form = sign_in(site.app, site.flask, TREASURER)
    page = client.get(url)
    assert "bill 1, line 1" in text(page)
    assert "Dormitory A" in text(page)
    amount = " ".join(credits(99_999_000_000).split())
    assert f"pays more with the next bill {amount} credits" in text(page)
    seen = re.search(r'name="seen" value="([0-9a-f]+)"', page.text)
    assert seen is not None
    sent = {"form_token": form, "act": "approve", "confirm": "yes", "seen": seen[1]}
    for _ in range(2):
        assert client.post(url, data=sent).status_code == 303
    (done,) = acts(site, "bill_corrected")
    assert (done.actor, done.data["amount"]) == (site.people[TREASURER].pseudonym, 99_999_000_000)
    assert done.data["reason"] == "a wrong register", "as it is printed on the bill"
    for role in (OPERATOR, MEMBER):
        assert site.client(role).get(url).status_code == 404
    assert "Dormitory A" not in site.client(AUTHORITY).get(url).text, "once it is decided no name is needed there"
    assert second.pseudonym in site.client(AUTHORITY).get(url).text


def test_what_is_above_the_limit_is_not_entered_in_pieces(site: PeopleSite) -> None:
    for number in (1, 2):
        sent = {**GOOD, "amount": "600", "reason": f"piece {number}"}
        again = [send(site, 303, act="save", **sent).headers["Location"] for _ in range(2)]
        assert all(("approvals" in url) is (number == 2) for url in again), again
    assert [act.data["amount"] for act in acts(site, "bill_corrected")] == [-600_000_000]


def test_of_two_at_the_same_moment_one_sees_the_other(site: PeopleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tabs, or a page and a command: what each looked at before is not what is decided by."""
    both, said = threading.Barrier(2), issuing.correction_of

    def together(*args: Any) -> dict[str, Any]:
        found = said(*args)
        both.wait(60)
        return found

    monkeypatch.setattr(issuing, "correction_of", together)
    outcomes: list[object] = []

    def enter(number: int) -> None:
        try:
            made = issuing.correct(site.app, 1, 1, 600_000_000, f"piece {number}", actor="t", limit=1_000_000_000)
            outcomes.append(made.known)
        except CorrectionAboveLimitError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=enter, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, outcomes)) == ["False", "correction_above_limit"]
    assert len(acts(site, "bill_corrected")) == 1


def test_what_two_entered_one_does_not_take_back(site: PeopleSite) -> None:
    issuing.correct(site.app, 1, 1, 99_999_000_000, "two decided so", actor="t")
    (entered,) = acts(site, "bill_corrected")
    url = f"/treasury/bills/1/corrections/{entered.log_index}"
    assert "enter one that makes up for it" in text(send(site, 409, url, reason="a slip"))
    assert acts(site, "correction_withdrawn") == []


def test_what_a_dispute_was_closed_with_stays(site: PeopleSite) -> None:
    for reason in ("one", "two"):
        issuing.correct(site.app, 1, 1, 1_000_000, reason, actor="t")
    first, second = acts(site, "bill_corrected")
    with site.app.store.write() as session:
        user = session.scalars(select(User).where(User.wallet == site.members["Dormitory A"].wallet)).one()
        session.add(
            Ticket(
                user_id=user.id, bill=1, line=1, starts_at=0, ends_at=1, reason="other", state="corrected",
                opened_at=1, opened_by="t", correction_bill=1, correction=2,
            )
        )  # fmt: skip
    url = "/treasury/bills/1/corrections/"
    refused = text(send(site, 409, f"{url}{second.log_index}", reason="x"))
    assert "dispute 1 was closed with this correction" in refused.lower()
    send(site, 303, f"{url}{first.log_index}", reason="x")
    assert [act.data["correction"] for act in acts(site, "correction_withdrawn")] == [first.log_index]


def test_one_person_is_enough_where_the_settings_say_so(site: PeopleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = site.app.home.settings
    alone = replace(settings, people=replace(settings.people, two_persons=NO))
    monkeypatch.setattr(site.app.home, "settings", alone)
    send(site, 303, act="save", **ABOVE)
    assert len(acts(site, "bill_corrected")) == 1
    assert acts(site, "proposal_made") == []


def test_a_correction_that_no_bill_has_is_withdrawn_once_with_an_act_of_its_own(site: PeopleSite) -> None:
    send(site, 303, act="save", **GOOD)
    (entered,) = acts(site, "bill_corrected")
    url = f"/treasury/bills/1/corrections/{entered.log_index}"
    assert url in site.client(TREASURER).get("/treasury/bills/1").text
    assert "say why" in text(send(site, 409, url, reason=" ")).lower()
    assert "say it without" in text(send(site, 409, url, reason="Dormitory A asked")).lower()
    for _ in range(2):
        send(site, 303, url, reason="typed at the wrong line")
    (done,) = acts(site, "correction_withdrawn")
    assert (done.actor, done.data["correction"]) == (site.people[TREASURER].pseudonym, entered.log_index)
    assert "typed at the wrong line" not in str(done.data), "nobody prints this reason, so the log has its hash"
    with site.app.store.read() as session:
        assert gate.words_of(session, done) == "typed at the wrong line"
        bill = session.get_one(IssuedBill, 1)
        assert views.corrections_of(session, bill) == []
    page = site.client(TREASURER).get("/treasury/bills/1").text
    assert "no bill: it was withdrawn" in page
    assert url not in page
    assert "less to pay" not in text(site.client(MEMBER).get("/me/bills/1")), "the member is not told of it any more"
    send(site, 303, act="save", **GOOD)
    assert len(acts(site, "bill_corrected")) == 2, "and it can be entered again"


def test_what_a_bill_has_or_another_one_is_not_withdrawn(site: PeopleSite) -> None:
    send(site, 303, act="save", **GOOD)
    (entered,) = acts(site, "bill_corrected")
    for wrong in ("/treasury/bills/1/corrections/0", f"/treasury/bills/2/corrections/{entered.log_index}"):
        assert site.client(TREASURER).post(wrong, data=site.form(TREASURER, reason="a slip")).status_code == 404
    with pytest.raises(CorrectionUnknownError):
        issuing.withdraw_correction(site.app, entered.log_index, "a slip", actor="t", bill=2)
    with site.app.store.write() as session:
        session.get_one(BillingPeriod, 1).log_index = entered.log_index + 1  # closed after it
    url = f"/treasury/bills/1/corrections/{entered.log_index}"
    assert "a bill has this correction already" in text(send(site, 409, url, reason="a slip")).lower()
    with pytest.raises(CorrectionBilledError):
        issuing.withdraw_correction(site.app, entered.log_index, "a slip", actor="t")
    assert acts(site, "correction_withdrawn") == []


def test_an_approval_that_was_broken_off_enters_nothing_twice(
    site: PeopleSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(site, 303, act="save", **ABOVE)
    with site.app.store.read() as session:
        proposal = session.scalars(select(Proposal)).one()
    _, client, form = sign_in(site.app, site.flask, TREASURER)
    real = proposals._finish

    def broken(*args: Any) -> Any:
        raise OSError("the machine goes")

    monkeypatch.setattr(proposals, "_finish", broken)
    sent = {"form_token": form, "act": "approve", "confirm": "yes", "seen": proposal.digest.hex()}
    assert client.post(f"/approvals/{proposal.id}", data=sent).status_code == 500
    assert acts(site, "bill_corrected") == [], "neither is done without the other"
    monkeypatch.setattr(proposals, "_finish", real)
    assert proposals.carry_out(site.app, proposal.id).state == proposals.DONE
    assert len(acts(site, "bill_corrected")) == 1
    assert dangerous.KINDS[dangerous.CORRECTION].approves == {TREASURER, AUTHORITY}
