"""Five ways of people through the pages, walked by a pointer or by keys alone: what benchmarks time, tests drive.

- `F1` a student, from the invitation by a passkey to a standing order that was previewed and saved.
- `F2` a student, from a bill by its line, its day and a quarter of an hour to readings that the browser has checked;
  `F2_printed` an auditor without an account from the code that the proof's page prints to the same;
  `F2_certificate` somebody without an account, from the code on a certificate to the same.
- `F3` an operator: forty members by a list with two bad rows, tried, repaired, invited; the same again changes nothing.
- `F4` an operator: `F4_held` from the board to a held reading that is released with a reason; `F4_exchange` a meter
  exchanged, with the last and the first registers.
- `F5` a treasurer: a period closed, its bills issued, and one bill corrected; `F5_month` the same of many members with
  gaps, with the bills mailed, a payment file, and the corrected bill mailed again to its one member.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from billed_month import GIVEN_BACK, OWED
from billed_site import BilledSite
from billing_campus import run_epochs
from browser import Browser
from mail_relay import Relay
from person_at_pages import Person
from sqlalchemy.orm import Session

from authority.app import App
from authority.home.home import Home
from authority.monitoring.post import Post
from authority.people import invitation_mails, invitations, records
from authority.people.roles import MEMBER, OPERATOR, TREASURER
from authority.store.metering import MeterKey
from authority.store.persons import Person as Someone

AIMS: dict[str, dict[str, int]] = {
    "F1": {"seconds": 120, "screens": 6},
    "F1_campus": {"seconds": 120, "screens": 6},
    "F2": {"seconds": 60, "clicks": 5},
    "F3": {"seconds": 300},
    "F4_held": {"seconds": 45},
    "F4_exchange": {"seconds": 300},
    "F5_month": {"seconds": 600, "machine_seconds": 60},
}
"""What each flow is to take at most. Tests hold it to the clicks and the screens; seconds are for the benchmark."""
COUNTED = ("clicks", "screens")
ROWS = 40
CORRECTED = 7
"""The bill of a month that turns out to be wrong."""
A_DAY = "th a[href*='day=']"
HOLDS = "document.querySelector('#verdict')?.dataset.tone === 'good'"
MAILS_SECONDS = 600
SEND_SECONDS = 1.0
"""How often it is looked whether a mail was asked for."""
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


class FiveFlows:
    """The site at an address, and a browser at 390 px for each who goes through it, in a way of theirs.

    found has, by flow, what it took.
    """

    def __init__(self, site: BilledSite, address: str, directory: Path, kind: type[Person] = Person) -> None:
        self.site, self.address, self.directory, self.kind = site, address, directory, kind
        self.found: dict[str, dict[str, Any]] = {}

    def way(self, name: str, who: str | None, start: str, walk: Callable[[Person], None]) -> dict[str, Any]:
        """Walk one, and note what it took."""
        with Browser(self.directory / name) as browser:
            browser.emulate(390, 844)
            browser.keep_downloads(self.downloads)
            if who is not None:
                browser.sign_in(self.site.cookies[who], self.address)
            else:
                browser._call("WebAuthn.enable", session=True)
                browser._call("WebAuthn.addVirtualAuthenticator", session=True, options=AUTHENTICATOR)
            browser.open(self.address + start)
            person = self.kind(browser)
            walk(person)
            self.found[name] = person.told()
        return self.found[name]

    @property
    def downloads(self) -> Path:
        """Where browsers put what is downloaded."""
        made = self.directory / "downloads"
        made.mkdir(exist_ok=True)
        return made

    def too_many(self) -> list[str]:
        """Where more clicks or screens were needed than were aimed at."""
        return [
            f"{name}: {self.found[name][what]} {what}, at most {aims[what]}"
            for name, aims in AIMS.items()
            for what in COUNTED
            if what in aims and name in self.found and self.found[name][what] > aims[what]
        ]

    def F1(self) -> None:  # noqa: N802 - the flow's name
        app = self.site.campus.app
        with app.store.write() as session:
            student = _student(session, app, "student@campus.example")
            secret = invitations.make(session, student, by="benchmark", now=app.clock())

        def walk(person: Person) -> None:
            person.wait_for("!document.querySelector('.passkey').hidden")
            person.click(".passkey button", "location.pathname === '/me'")
            _order(person)

        self.way("F1", None, f"/invite/{secret}", walk)

    def F1_campus(self) -> None:  # noqa: N802
        """F1 from the mail of the invitation on, by the campus's own login (campus_login)."""
        app, relay = self.site.campus.app, self.site.relay
        with app.store.write() as session:
            student = _student(session, app, self.site.provider.claims["email"])
            invitation_mails.ask(session, Home.open(app.home.path), student, by="benchmark", now=app.clock())
        with sending(app):
            _wait(lambda: bool(relay.mails))
        link = re.search(r"https://\S+?(/invite/\S+)", relay.mails[-1].get_content())
        assert link is not None

        def walk(person: Person) -> None:
            person.wait_for("document.querySelector('a.button[href=\"/login/oidc\"]') !== null")
            person.click("a.button[href='/login/oidc']", "document.title === 'Campus login'")
            person.click("form button", "location.pathname === '/me'")
            _order(person)

        self.way("F1_campus", None, link[1], walk)

    def F2(self) -> None:  # noqa: N802
        printed: list[str] = []

        def walk(person: Person) -> None:
            person.click("a[aria-label^='The days of']", "location.pathname.includes('/lines/')")
            if person.browser.evaluate(f"document.querySelector({A_DAY!r}) !== null"):  # else it is of few days
                person.click(A_DAY, "location.search.includes('day=')")
            person.click("th a[aria-label^=Proof]", "location.pathname === '/me/proofs'")
            person.click("form[action='/me/proofs'] button", "location.pathname.startsWith('/kwh/')")
            person.wait_for(HOLDS)
            printed.append(person.browser.evaluate("document.querySelector('figcaption .address').textContent"))

        self.way("F2", "D", "/me/bills/4", walk)
        path = printed[0].removeprefix(self.address)
        self.way("F2_printed", None, path, lambda person: person.wait_for(HOLDS))
        page = self.site.client("D").get("/me/certificates/4").text
        code = re.search(r'href="[^"]*(/certificates/4-[^"]+)"', page)
        assert code is not None

        self.way("F2_certificate", None, code[1], lambda person: person.wait_for(HOLDS))

    def F3(self) -> None:  # noqa: N802
        rows = [f"t-{n},member{n}@campus.example,Member {n},{'ABCD'[n % 4]}" for n in range(ROWS)]
        bad = [*rows]
        bad[7], bad[23] = bad[7].rpartition(",")[0] + ",Nowhere", bad[6].replace("t-6", "t-23")

        def walk(person: Person) -> None:
            def try_it(lines: list[str], says: str) -> None:
                person.paste("#list-text", "\n".join(["id,login,name,member", *lines]))
                person.click("form[enctype] button", f"document.body.innerText.includes({says!r})")

            try_it(bad, "2 wrong")
            try_it(rows, f"{ROWS} new, 0 changed")
            do_it = "form[action='/op/members/list'] button.main"
            person.click(do_it, "document.querySelector('#made-title') !== null")
            try_it(rows, f"0 new, 0 changed, {ROWS} as before")

        self.way("F3", OPERATOR, "/op/members", walk)

    def F4(self) -> None:  # noqa: N802
        campus = self.site.campus
        boundary = campus.next_epoch()
        campus.read_all(boundary, but=("C.building",))
        meter = campus.meters["C.building"]
        with campus.app.store.write() as session:  # the collector's row of the key
            session.add(
                MeterKey(
                    public_key=bytes(meter.key.pubkey()), meter_pk=meter.pk, first_sequence=1,
                    next_sequence=meter.sequence + 1, possession=bytes(64), approved_at=1,
                )
            )  # fmt: skip
        campus.receive("C.building", meter.read(boundary, 90_000, 1_100), "held")
        self.site.worker.settle_down()

        def held(person: Person) -> None:
            person.click("ol.rows a[href^='/op/held']", "location.pathname === '/op/held'")
            person.click("tbody a", "location.pathname.startsWith('/op/held/')")
            person.type("#reason", "checked at the display")
            person.tick("#confirm")
            person.click("button[value=release]", "document.body.innerText.includes('Released by')")

        self.way("F4_held", OPERATOR, "/op", held)
        consumption = campus.meters["D.load"].registers[1]

        def exchange(person: Person) -> None:
            person.click("tbody a[href='/op/meters/gw_d/load']", "location.pathname === '/op/meters/gw_d/load'")
            person.click("a[href$='/exchange']", "location.pathname.endsWith('/exchange')")
            person.type("#r-consumption", f"{consumption / 1_000:.3f}")
            person.click("form button.main", "document.querySelector('#serial') !== null")
            person.type("#serial", "NEW-4711")
            person.type("#r-consumption", "0")
            person.type("#reason", "display broken")
            person.click("form button.main", "document.querySelector('#confirm') !== null")
            person.tick("#confirm")
            person.click("form button.main", "document.querySelector('#remains-title') !== null")

        self.way("F4_exchange", OPERATOR, "/op", exchange)

    def F5(self) -> None:  # noqa: N802
        def walk(person: Person) -> None:
            self._close(person)
            self._correct(person, 4)

        self.way("F5", TREASURER, "/treasury", walk)
        campus = self.site.campus
        run_epochs(campus, self.site.worker, campus.epoch + 2)  # until a checkpoint has the bills, and is pinned

    def F5_month(self, relay: Relay) -> None:  # noqa: N802
        """F5 of a month (billed_month); `machine_seconds` are those that the person waits for, also by part."""
        parts: dict[str, float] = {}

        def walk(person: Person) -> None:
            @contextmanager
            def part(name: str) -> Iterator[None]:
                before = person.waited
                yield
                parts[name] = person.waited - before

            with part("close"):
                # until the bills are made, the page says how far they are, and looks again
                made = "document.querySelector('a[href$=\"/close\"]') !== null"
                person.click("a[href='/treasury/periods/0']", f"location.pathname === '/treasury/periods/0' && {made}")
                person.click("a[href$='/close']", "location.pathname.endsWith('/close')")
                person.tick("#with-gaps")
                person.click("form.fields button.main", "document.querySelector('a[href$=\"/issue\"]') !== null")
            with part("issue"):
                person.click("a[href$='/issue']", "location.pathname.endsWith('/issue')")
                bill = f"document.querySelector('a[href=\"/treasury/bills/{CORRECTED}\"]') !== null"
                person.click("form.fields button.main", bill)
            with part("mail"):
                person.click("a[href$='/mail']", "location.pathname.endsWith('/mail')")
                began = time.monotonic()
                person.click("button[value=all]", "document.querySelector('button[value=all]') === null")
                _wait(lambda: len(relay.mails) >= bills)
                person.waited += time.monotonic() - began
            with part("payment_file"):
                person.click("nav a[href='/treasury']", "location.pathname === '/treasury'")
                person.click("a[href='/treasury/payouts']", "location.pathname === '/treasury/payouts'")
                person.click(
                    "button[value=order]", "document.querySelector('a[href=\"/treasury/payouts/1\"]') !== null"
                )
                person.click("a[href='/treasury/payouts/1']", "true")
                _wait((self.downloads / "payments-1.xml").exists)
            with part("correct"):
                person.click("nav a[href='/treasury']", "location.pathname === '/treasury'")
                person.click("a[href='/treasury/periods/0']", "location.pathname === '/treasury/periods/0'")
                self._correct(person, CORRECTED)
            with part("mail_again"):
                person.click(f"a[href$='/mail#bill-{CORRECTED}']", "location.pathname.endsWith('/mail')")
                again = f"li:has(a[href='/treasury/bills/{CORRECTED}']) button[value=again]"
                began = time.monotonic()
                person.click(again, f"document.querySelector({again!r}) === null")
                _wait(lambda: len(relay.mails) > bills)
                person.waited += time.monotonic() - began

        bills = len(self.site.campus.wallets)
        with sending(self.site.campus.app):
            found = self.way("F5_month", TREASURER, "/treasury", walk)
        found["machine_seconds"] = round(sum(parts.values()), 1)
        found["machine_seconds_by_part"] = {name: round(seconds, 1) for name, seconds in parts.items()}
        self._look_at_mails(relay, bills)
        document = (self.downloads / "payments-1.xml").read_text(encoding="utf-8")
        assert f"<CtrlSum>{OWED * GIVEN_BACK // 1_000_000}.00</CtrlSum>" in document, document[:2_000]

    def _close(self, person: Person) -> None:
        """A period without gaps, closed and issued."""
        person.click("a[href='/treasury/periods/0']", "location.pathname === '/treasury/periods/0'")
        person.click("a[href$='/close']", "location.pathname.endsWith('/close')")
        person.click("form.fields button.main", "document.querySelector('a[href$=\"/issue\"]') !== null")
        person.click("a[href$='/issue']", "location.pathname.endsWith('/issue')")
        person.click("form.fields button.main", "document.querySelector('a[href=\"/treasury/bills/4\"]') !== null")

    def _correct(self, person: Person, bill: int) -> None:
        person.click(f"a[href='/treasury/bills/{bill}']", f"location.pathname === '/treasury/bills/{bill}'")
        person.click("#corrections ~ details summary", "document.querySelector('details[open] #amount') !== null")
        person.type("#amount", "2.5")
        person.tick("#way-less")
        person.type("#reason", "the lift was billed to the wrong flat")
        person.click("button[value=preview]", "document.querySelector('button[value=save]') !== null")
        person.click("button[value=save]", "document.body.innerText.includes('the next bill')")

    def _look_at_mails(self, relay: Relay, bills: int) -> None:
        """Each member got its bill on paper, and one member got one twice."""
        assert len(relay.mails) == bills + 1
        papers = [next(iter(mail.iter_attachments())) for mail in relay.mails]
        assert all(each.get_content().startswith(b"%PDF") for each in papers)
        names = sorted(str(each.get_filename()) for each in papers)
        assert names == sorted([f"bill-{n}.pdf" for n in range(1, bills + 1)] + [f"bill-{CORRECTED}.pdf"])


def _student(session: Session, app: App, login: str) -> Someone:
    """Somebody who is to be C's member."""
    student = records.add(session, login, "A Student", now=app.clock())
    member = records.member_named(session, "C")
    records.grant(session, student, MEMBER, by="benchmark", now=app.clock(), member=member)
    return student


def _order(person: Person) -> None:
    """From the member's first page to a standing order that was previewed."""
    person.click("nav a[href='/me/trading']", "location.pathname === '/me/trading'")
    person.type("#buy-at", "0.24")
    person.click("button[value=preview]", "document.body.innerText.includes('Nothing is saved yet')")
    person.click("button[value=save]", "!document.body.innerText.includes('Nothing is saved yet')")


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + MAILS_SECONDS
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@contextmanager
def sending(app: App) -> Iterator[None]:
    """The process that sends mails, as a thread: it goes by the campus's clock, which no other process has."""
    stop, post = threading.Event(), Post(Home.open(app.home.path), app.clock)

    def send() -> None:
        while not stop.wait(SEND_SECONDS):
            post()
        post.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
