"""What people's five ways through the pages take: clicks, typed characters, screens, and seconds of a machine.

    python tests/benchmarks/flows.py [--only F1 ...]

Each is walked in Chromium at 390 px, over a campus of four members on a validator, whose billing period is over. Prints
JSON, by flow what it took and what was aimed at, which is in seconds of a person: those that a person reads, thinks and
types are not in the figures. What is not walked: mails, the campus's own login, and a period's payment file.

- `F1` a student, from the invitation by a passkey to a standing order that was previewed and saved.
- `F2` a student, from a bill by its line, its day and a quarter of an hour to readings that the browser has checked;
  `F2_certificate` somebody without an account, from the code on a certificate to the same.
- `F3` an operator: forty members by a list with two bad rows, tried, repaired, invited; the same again changes nothing.
- `F4` an operator: `F4_held` from the board to a held reading that is released with a reason; `F4_exchange` a meter
  exchanged, with the last and the first registers.
- `F5` a treasurer: a period closed, its bills issued, and one bill corrected; `machine_seconds` are the first two.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "support")]

from billed_site import BilledSite, over  # noqa: E402
from billing_campus import run_epochs  # noqa: E402
from browser import CHROMIUM, Browser  # noqa: E402
from person_at_pages import Person  # noqa: E402
from served import served  # noqa: E402

from authority.people import invitations, records  # noqa: E402
from authority.people.roles import MEMBER, OPERATOR, TREASURER  # noqa: E402
from authority.store.metering import MeterKey  # noqa: E402

FLOWS = ("F5", "F1", "F2", "F3", "F4")
"""In this order: what the treasurer issues, the student looks at."""
AIMS = {
    "F1": {"seconds": 120, "screens": 6},
    "F2": {"seconds": 60, "clicks": 5},
    "F3": {"seconds": 300},
    "F4_held": {"seconds": 45},
    "F4_exchange": {"seconds": 300},
    "F5": {"seconds": 600, "machine_seconds": 60},
}
ROWS = 40
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


class Walk:
    """The site at an address, and a browser for each who goes through it."""

    def __init__(self, site: BilledSite, address: str, directory: Path) -> None:
        self.site, self.address, self.directory = site, address, directory
        self.found: dict[str, Any] = {}

    def way(self, name: str, who: str | None, start: str, walk: Callable[[Person], None]) -> dict[str, Any]:
        """Walk one, and note what it took."""
        with Browser(self.directory / name) as browser:
            browser.emulate(390, 844)
            if who is not None:
                browser.sign_in(self.site.cookies[who], self.address)
            else:
                browser._call("WebAuthn.enable", session=True)
                browser._call("WebAuthn.addVirtualAuthenticator", session=True, options=AUTHENTICATOR)
            browser.open(self.address + start)
            person = Person(browser)
            walk(person)
            self.found[name] = person.told() | ({"aim": AIMS[name]} if name in AIMS else {})
        return self.found[name]

    def F1(self) -> None:  # noqa: N802 - the flow's name
        app = self.site.campus.app
        with app.store.write() as session:
            student = records.add(session, "student@campus.example", "A Student", now=app.clock())
            member = records.member_named(session, "C")
            records.grant(session, student, MEMBER, by="benchmark", now=app.clock(), member=member)
            secret = invitations.make(session, student, by="benchmark", now=app.clock())

        def walk(person: Person) -> None:
            person.browser.until("!document.querySelector('.passkey').hidden")
            person.click(".passkey button", "location.pathname === '/me'")
            person.click("nav a[href='/me/trading']", "location.pathname === '/me/trading'")
            person.type("#buy-at", "0.24")
            person.click("button[value=preview]", "document.body.innerText.includes('Nothing is saved yet')")
            person.click("button[value=save]", "!document.body.innerText.includes('Nothing is saved yet')")

        self.way("F1", None, f"/invite/{secret}", walk)

    def F2(self) -> None:  # noqa: N802
        def walk(person: Person) -> None:
            person.click("a[aria-label^='The days of']", "location.search.includes('view=month')")
            person.click("th a[href*='view=day']", "location.search.includes('view=day')")
            person.click("td a[aria-label^=Proof]", "location.pathname === '/me/proofs'")
            person.click("form[action='/me/proofs'] button", "location.pathname.startsWith('/kwh/')")
            person.browser.until("document.querySelector('#verdict')?.dataset.tone === 'good'")

        self.way("F2", "D", "/me/bills/4", walk)
        page = self.site.client("D").get("/me/certificates/4").text
        code = re.search(r'href="[^"]*(/certificates/4-[^"]+)"', page)
        assert code is not None

        def certificate(person: Person) -> None:
            person.browser.until("document.querySelector('#verdict')?.dataset.tone === 'good'")

        self.way("F2_certificate", None, code[1], certificate)

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
            person.click(
                "form[action='/op/members/list'] button.main", "document.querySelector('#made-title') !== null"
            )
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
        machine = 0.0

        def walk(person: Person) -> None:
            nonlocal machine
            person.click("a[href='/treasury/periods/0']", "location.pathname === '/treasury/periods/0'")
            started = time.monotonic()
            person.click("a[href$='/close']", "location.pathname.endsWith('/close')")
            person.click("form.fields button.main", "document.querySelector('a[href$=\"/issue\"]') !== null")
            person.click("a[href$='/issue']", "location.pathname.endsWith('/issue')")
            person.click("form.fields button.main", "document.querySelector('a[href=\"/treasury/bills/4\"]') !== null")
            machine = time.monotonic() - started
            person.click("a[href='/treasury/bills/4']", "location.pathname === '/treasury/bills/4'")
            person.click("#corrections ~ details summary", "document.querySelector('details[open] #amount') !== null")
            person.type("#amount", "2.5")
            person.tick("#way-less")
            person.type("#reason", "the lift was billed to the wrong flat")
            person.click("button[value=preview]", "document.querySelector('button[value=save]') !== null")
            person.click("button[value=save]", "document.body.innerText.includes('the next bill')")

        found = self.way("F5", TREASURER, "/treasury", walk)
        found["machine_seconds"] = round(machine, 1)
        campus = self.site.campus
        run_epochs(campus, self.site.worker, campus.epoch + 2)  # until a checkpoint has the bills, and is pinned


def main() -> int:
    """Walk what is asked for, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(FLOWS), default=FLOWS)
    only = parser.parse_args().only
    if CHROMIUM is None:
        print("no chromium: apt-get install chromium", file=sys.stderr)
        return 1
    wanted = {*only, "F5"} if "F2" in only else {*only}  # a bill to look at
    with tempfile.TemporaryDirectory() as made, over(Path(made) / "campus") as site, served(site.flask) as address:
        walk = Walk(site, address, Path(made))
        for name in FLOWS:
            if name in wanted:
                getattr(walk, name)()
    print(json.dumps({"width": 390, "members": 4, "flows": walk.found}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
