"""Pages over a campus on a real validator whose billing period is over; its bills may be issued and pinned."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing_campus import GRACE_EPOCHS, end_of_period, run_epochs
from people_site import SignedIn, application
from whole_campus import Campus, QuickValidator

from authority.chain.client import ChainClient
from authority.cli import main
from authority.people import records, sessions
from authority.people.roles import AUDITOR, MEMBER, OPERATOR, TREASURER

NAMES = "ABCD"
DEPARTMENT = (AUDITOR, OPERATOR, TREASURER)


@dataclass
class BilledSite(SignedIn):
    """The application over the campus: members A to D, an auditor, an operator and a treasurer."""

    campus: Campus
    worker: Any


@contextmanager
def over(directory: Path) -> Iterator[BilledSite]:
    """A campus that traded for a billing period, which is over and can be closed."""
    campus = Campus(directory, QuickValidator)
    campus.STEPS = {**campus.STEPS, "D.load": (0, 9_000)}  # type: ignore[misc]  # more than is offered
    try:
        worker = campus.worker()
        campus.start_market()
        end = end_of_period(campus)
        run_epochs(campus, worker, end + GRACE_EPOCHS)
        campus.save_validator()
        app, cookies = campus.app, {}
        with app.store.write() as session:
            for role, of in (*((name, name) for name in NAMES), *((role, None) for role in DEPARTMENT)):
                person = records.add(session, f"{role.lower()}@campus.example", role, now=app.clock())
                member = records.member_named(session, of) if of else None
                records.grant(session, person, MEMBER if of else role, by="test", now=app.clock(), member=member)
                cookies[role] = sessions.begin(session, person, "password", "Chrome on Linux", app.clock())
        flask = application(app, lambda: ChainClient(campus.validator.url, attempts=2, timeout=10))
        yield BilledSite(flask, cookies, campus, worker)
    finally:
        campus.close()


@contextmanager
def billed(directory: Path, more: int = 2) -> Iterator[BilledSite]:
    """The same with the period's bills, and so many epochs after them."""
    with over(directory) as site:
        campus = site.campus
        for act in ("close", "issue"):
            with contextlib.redirect_stdout(io.StringIO()) as said:
                assert main(["billing", act, "0", "--home", str(campus.home_path)]) == 0, said.getvalue()
        run_epochs(campus, site.worker, campus.epoch + more)
        yield site
