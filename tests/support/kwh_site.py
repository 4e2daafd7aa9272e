"""Pages over a campus on a real validator, whose readings are logged, settled and pinned: member A and an auditor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from people_site import SignedIn, application
from whole_campus import Campus, QuickValidator

from authority.chain.client import ChainClient
from authority.people import records, sessions
from authority.people.roles import AUDITOR, MEMBER


@dataclass
class KwhSite(SignedIn):
    """The application over the campus: member A, member C (`other`) and an auditor."""

    campus: Campus
    pseudonyms: dict[str, str]
    boundaries: list[int]

    def link(self, first: int = -2, last: int = -1) -> str:
        """The path of a new link from one boundary of `boundaries` to another."""
        span = {"from": self.boundaries[first], "to": self.boundaries[last]}
        answer = self.client(MEMBER).post("/me/proofs", data=self.form(MEMBER, **span))
        assert answer.status_code == 303, answer.text
        return str(answer.headers["Location"])


@contextmanager
def opened(directory: Path, epochs: int = 3, members: str = "AC", *, trades: bool = False) -> Iterator[KwhSite]:
    """A campus of some of the usual members after so many epochs, the last of them pinned."""
    plan = [row for row in Campus.PLAN if row[0] in members]
    campus = Campus(directory, QuickValidator, plan=plan)
    try:
        worker = campus.worker()
        if trades:
            campus.next_epoch()
            campus.start_market()
        boundaries = [(campus.run_epoch(worker) + 1) * campus.epoch_seconds for _ in range(epochs)]
        campus.next_epoch()  # what came last is covered by the next checkpoint
        worker.settle_down()
        app, cookies, pseudonyms = campus.app, {}, {}
        with app.store.write() as session:
            for role, of in ((MEMBER, "A"), ("other", "C"), (AUDITOR, None)):
                person = records.add(session, f"{role}@campus.example", role, now=app.clock())
                member = records.member_named(session, of) if of else None
                name = MEMBER if of else role
                records.grant(session, person, name, by="test", now=app.clock(), member=member)
                cookies[role] = sessions.begin(session, person, "password", "Chrome on Linux", app.clock())
                pseudonyms[role] = person.pseudonym
        flask = application(app, lambda: ChainClient(campus.validator.url, attempts=1, timeout=5))
        yield KwhSite(flask, cookies, campus, pseudonyms, boundaries)
    finally:
        campus.close()
