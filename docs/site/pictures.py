#!/usr/bin/env python3
"""The pictures of the pages in docs/pictures: a simulated campus, its pages, and a real Chromium.

usage: pictures.py [--days N] [--only NAME ...] [OUT]

Simulates nine days of four buildings and their flats, one of them without its gateway for an afternoon; closes its
first billing period, serves it as in service, and photographs each of SHOTS in light and in dark into OUT
(docs/pictures). Look at each before you commit it. Needs Debian's chromium, and takes some three minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import simulated_site  # noqa: E402
from browser import CHROMIUM, Browser  # noqa: E402
from simulated_site import SimulatedSite  # noqa: E402
from sqlalchemy import select  # noqa: E402

from authority.api.member import Members  # noqa: E402
from authority.billing.calendar import midnight  # noqa: E402
from authority.people import proof_links, records  # noqa: E402
from authority.people.roles import AUDITOR, AUTHORITY, OPERATOR, TREASURER  # noqa: E402
from authority.simulation.campus_home import start_of  # noqa: E402
from authority.simulation.scenario import Scenario  # noqa: E402
from authority.simulation.simulation import Out, Request, Simulation  # noqa: E402
from authority.store.billing import IssuedBill  # noqa: E402
from authority.store.persons import Person  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
DAYS, PERIOD_DAYS = 9, 7
ZONE = "Europe/Vienna"
"""The clock of the simulation's own site; there it ends at one in the afternoon."""
SCENARIO = """
[parameters]
billing_period_epochs = {period}

[[event]]
kind = "outage"
building = 4
from_hour = {hour}
hours = 5
"""
STUDENT = "Library 03 flat 1"
PHONE, DESK = 390, 1280
MOST = 1_400
"""Pixels of a page's height that a picture shows."""
LOOKS = {"light": False, "dark": True}
CHECKED = "!document.querySelector('#kwh[data-proof]') || document.querySelector('#verdict').dataset.tone !== 'none'"
"""A page that checks a proof has done so."""


class Shot(NamedTuple):
    """A page in a picture: whose it is (None: a stranger's), its path, and the width of the screen."""

    who: str | None
    path: str
    width: int


SHOTS = {
    "campus": Shot(None, "/", DESK),
    "market": Shot(None, "/market?view=day", DESK),
    "plan": Shot(None, "/plan", DESK),
    "indicators": Shot(None, "/indicators", PHONE),
    "today": Shot(STUDENT, "/me", PHONE),
    "energy": Shot(STUDENT, "/me/energy?day={yesterday}", PHONE),
    "trading": Shot(STUDENT, "/me/trading", PHONE),
    "money": Shot(STUDENT, "/me/money", PHONE),
    "bill": Shot(STUDENT, "/me/bills/{bill}", PHONE),
    "so-far": Shot(STUDENT, "/me/bills/so-far", PHONE),
    "kwh": Shot(None, "/kwh/{secret}", PHONE),
    "operator": Shot(OPERATOR, "/op", DESK),
    "meters": Shot(OPERATOR, "/op/meters", DESK),
    "treasury": Shot(TREASURER, "/treasury", DESK),
    "period": Shot(TREASURER, "/treasury/periods/0", DESK),
    "audit": Shot(AUDITOR, "/audit/epochs", DESK),
    "log": Shot(AUDITOR, "/audit/log", DESK),
    "people": Shot(AUTHORITY, "/people", DESK),
    "readers": Shot(STUDENT, "/account/readers?everybody=1", PHONE),  # last: by now the department has read something
}
"""By the pictures' names."""


def names() -> list[str]:
    """The files that there are to be."""
    return [f"{name}-{look}.webp" for name in SHOTS for look in LOOKS]


def simulated(home: Path, days: int) -> None:
    """The campus that is photographed."""
    text = SCENARIO.format(period=96 * min(PERIOD_DAYS, days - 1), hour=24 * (days - 1) + 1)
    request = Request(days, 4, 8, 7, start_of("2026-06-01") + 11 * 3_600, Scenario.parse(text))
    with Out(home, request) as out:
        Simulation(request, out, lambda *_: None).run()
    settings = home / "authority.toml"
    settings.write_text(settings.read_text().replace('zone = "UTC"', f'zone = "{ZONE}"'))


def words(site: SimulatedSite) -> dict[str, str]:
    """What stands in the paths: the day before the last, the student's bill, a proof of an hour of hers."""
    app = site.app
    its = Members(app, site.client)
    yesterday = its.today() - timedelta(days=1)
    noon = midnight(yesterday, its.zone) + 12 * 3_600
    with app.store.write() as session:
        person = session.scalars(select(Person).where(Person.name == STUDENT)).one()
        member = records.member_named(session, STUDENT)
        owner = records.principal(session, person, "pictures", app.clock())
        secret = proof_links.make(session, owner, member, noon, noon + 3_600, app.clock())
        bill = session.scalars(select(IssuedBill.number).where(IssuedBill.wallet == member.wallet)).one()
    return {"yesterday": yesterday.isoformat(), "bill": str(bill), "secret": secret}


def main() -> int:
    """Simulate, serve, and photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=PICTURES, metavar="OUT")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--only", nargs="+", choices=SHOTS, default=list(SHOTS), metavar="NAME")
    options = parser.parse_args()
    if CHROMIUM is None:
        print("no chromium: apt-get install chromium", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        simulated(home, options.days)
        with simulated_site.over(home, Path(place)) as site, Browser(Path(place) / "profile") as browser:
            site.bill(0)
            known = words(site)
            for name in options.only:
                shot = SHOTS[name]
                browser.sign_out()
                if shot.who is not None:
                    browser.sign_in(site.cookies[shot.who], site.address)
                for look, dark in LOOKS.items():
                    browser.emulate(shot.width, 844, dark=dark)
                    browser.open(site.address + shot.path.format(**known))
                    browser.until(CHECKED)
                    browser.picture(options.out / f"{name}-{look}.webp", most=MOST)
                    print(options.out / f"{name}-{look}.webp", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
