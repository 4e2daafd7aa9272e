"""What takes two people, on the pages: proposed by one, approved by another one, by the same service as the commands.

The pages have no key: what the chain has to be told waits, once it is approved, for `authority approvals run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.asking import ChainAwayError, asking
from authority.api.gate import Rule
from authority.api.treasury import ABOVE_LIMIT
from authority.app import App
from authority.billing.calendar import local
from authority.billing.errors import BillingError
from authority.billing.views import names
from authority.chain.client import ChainClient
from authority.errors import AuthorityError, OutOfRangeError
from authority.governance import acts
from authority.home.settings import NO
from authority.language.reading import gettext, marked, translated
from authority.operations.errors import WalletInvalidError
from authority.people import dangerous, proposals, reads
from authority.people.appointing import WHY_GIVEN
from authority.people.dangerous import (
    APPOINT,
    CORRECTION,
    CREDITS,
    ERASE,
    HANDOVER,
    KINDS,
    OPERATOR,
    PARAMETERS,
    UNMASK,
    UPGRADE,
    By,
)
from authority.people.errors import ActUnclearError, PeopleError
from authority.people.proposals import ON_PAGE
from authority.people.roles import AUDITOR, AUTHORITY, TREASURER, Principal
from authority.refusals import RefusalError
from authority.store.persons import Proposal
from authority.web import amounts, figures, parameters, ranges, wording
from authority.web.answers import page, redirect, status_of

RULES: Mapping[str, Rule] = dict.fromkeys(
    ("approvals.listed", "approvals.propose", "approvals.proposal", "approvals.decide"),
    Rule(frozenset({AUTHORITY, AUDITOR, TREASURER})),
)
MOST_SHOWN = 50
ABOUT_A_PERSON = {ERASE: "who is to be erased", APPOINT: "people"}
"""What the log says is read where the approver is shown who it is about."""
ON_THIS_PAGE = (PARAMETERS, OPERATOR, HANDOVER, UPGRADE, ERASE, UNMASK)
"""Credits and corrections are proposed where they are entered: at /treasury/credits, and on the bill's page."""
LONGEST_DAYS = 365


def blueprint(app: App, client: Callable[[], ChainClient]) -> Blueprint:
    """The pages over an opened authority."""
    approvals = Blueprint("approvals", __name__, url_prefix="/approvals")
    zone = ZoneInfo(app.home.settings.site.zone)

    def at(seconds: int) -> str:
        return ranges.written(local(seconds, zone), "%-d %b %Y, %H:%M:%S")

    def render(template: str, status: int, **words: Any) -> Response:
        text = render_template(
            template,
            at=at,
            zone=zone.key,
            kinds=KINDS,
            words_of=proposals.WORDS,
            why_of=_why,
            state_of=lambda each: proposals.state_of(each, app.clock()),
            **words,
        )
        return page(text, status)

    def list_page(message: str = "", status: int = 200) -> Response:
        who = gate.principal()
        reads.note(app.store, who, "proposals", reads.EVERYBODY, app.clock())
        with app.store.read() as session:
            found = proposals.listed(session, who.roles, MOST_SHOWN)
        mine = [KINDS[name] for name in ON_THIS_PAGE if KINDS[name].proposes & who.roles]
        present = _present(client) if any(kind.name == PARAMETERS for kind in mine) else None
        return render(
            "approvals.html",
            status,
            found=found,
            mine=mine,
            present=present,
            form=request.form if message else {},
            message=message,
        )

    @approvals.get("")
    def listed() -> Response:
        """What was proposed, and what may be."""
        return list_page()

    @approvals.post("")
    def propose() -> Response:
        """Propose an act of one of the kinds."""
        who, form = gate.principal(), request.form
        try:
            kind = KINDS.get(form.get("kind", ""))
            if kind is None or kind.name not in ON_THIS_PAGE or not kind.proposes & who.roles:
                raise ActUnclearError("say what is proposed")
            with app.store.read() as session:
                proposals.reason_of(session, form.get("reason", ""))
            data = _data(app, client, kind.name, form)
            made = proposals.propose(app, who, kind.name, data, form.get("reason", ""), via=ON_PAGE)
        except _REFUSED as error:
            said = parameters.refusal(str(error), app.home.settings.epoch.seconds, at)
            return list_page(said, status_of(error))
        return redirect(url_for("approvals.proposal", proposal=made.id))

    def one_page(id: str, message: str = "", status: int = 200, shown: dangerous.Behind | None = None) -> Response:
        who, now = gate.principal(), app.clock()
        with app.store.read() as session:
            found = proposals.of(session, id, who.roles)
        reads.note(app.store, who, "proposals", reads.EVERYBODY, now)
        about = None
        may = _may(app, found, who, now)
        if found.kind in ABOUT_A_PERSON and may["approve"]:
            reads.note(app.store, who, ABOUT_A_PERSON[found.kind], str(found.data["person"]), now)
            with app.store.read() as session:
                about = dangerous.behind(session, str(found.data["person"]))
        with app.store.read() as session:
            told = TREASURER in who.roles or may["approve"]
            members = names(session) if found.kind in (CREDITS, CORRECTION) and told else {}
        if members:
            reads.note(app.store, who, "proposals", str(found.data["wallet"]), now)
        return render(
            "approval.html",
            status,
            found=found,
            kind=KINDS[found.kind],
            lines=_lines(found, members, app.home.settings.epoch.seconds, at),
            may=may,
            about=about,
            shown=shown,
            by_keys=KINDS[found.kind].by is By.KEYS,
            message=message,
        )

    @approvals.get("/<proposal>")
    def proposal(proposal: str) -> Response:
        """One proposal with all that it does."""
        return one_page(proposal)

    @approvals.post("/<proposal>")
    def decide(proposal: str) -> Response:
        """Approve it as it was shown, refuse it, take it back, or be shown what it is for."""
        who, act = gate.principal(), request.form.get("act", "")
        try:
            with app.store.read() as session:
                proposals.of(session, proposal, who.roles)
            if act == "approve":
                if request.form.get("confirm") != "yes":
                    raise ActUnclearError("nothing is done yet: tick the box to say that it is meant")
                proposals.approve(app, who, proposal, _digest(request.form.get("seen", "")), via=ON_PAGE)
            elif act == "refuse":
                proposals.refuse(app, who, proposal, via=ON_PAGE)
            elif act == "withdraw":
                proposals.withdraw(app, who, proposal, via=ON_PAGE)
            elif act == "reveal":
                return one_page(proposal, shown=proposals.reveal(app, who, proposal))
            else:
                raise ActUnclearError("say whether it is approved or refused")
        except _REFUSED as error:
            return one_page(proposal, str(error), status_of(error))
        return redirect(url_for("approvals.proposal", proposal=proposal))

    return approvals


_REFUSED = (
    PeopleError,
    RefusalError,
    BillingError,
    ChainAwayError,
    acts.GovernanceError,
    amounts.AmountInvalidError,
    OutOfRangeError,
    WalletInvalidError,
)
"""What is shown on the page itself."""


def _present(client: Callable[[], ChainClient]) -> Mapping[str, str] | None:
    """The parameters that hold, as they are typed; None where the chain does not say."""
    try:
        with asking(client) as asked:
            found = acts.read(asked).parameters
    except AuthorityError:
        return None
    return {name: parameters.told(name, value) for name, value in found.items()}


def _data(app: App, client: Callable[[], ChainClient], kind: str, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form proposes; the errors of `dangerous`, ChainAwayError."""
    if kind in (ERASE, UNMASK):
        with app.store.read() as session:
            if kind == ERASE:
                return dangerous.erasure(session, form.get("login", ""))
            return dangerous.unmasking(session, form.get("pseudonym", ""))
    with asking(client) as asked:
        if kind == OPERATOR:
            return dangerous.operator(asked, form.get("address", ""))
        if kind == HANDOVER:
            return dangerous.authority(asked, form.get("address", ""))
        if kind == UPGRADE:
            return dangerous.programs(app, asked)
        days = amounts.parse(form.get("days", ""), 0, gettext("Days")) or 1
        if days > LONGEST_DAYS:
            raise ActUnclearError(f"parameters change within {LONGEST_DAYS} days")
        governance, changes = acts.read(asked), {}
        for name in governance.parameters:
            value = amounts.parse(form.get(name, ""), parameters.decimals_of(name), wording.parameter(name))
            if value is not None:
                changes[name] = value
        ahead = -(-days * dangerous.DAY_SECONDS // governance.epoch_seconds)
        return dangerous.parameters(asked, changes, governance.epoch + max(acts.NEAREST_EPOCHS, ahead))


_NAMES = {
    "before": marked("before"),
    "operator": marked("operator"),
    "authority": marked("authority"),
    "person": marked("person"),
    "role": marked("role"),
    "pseudonym": marked("pseudonym"),
}
"""What the data of an act are called, where a page shows them one by one."""


def _lines(
    found: Proposal, members: Mapping[str, str], seconds: int, at: Callable[[int], str]
) -> list[tuple[str, str]]:
    """What a proposal does, as pairs for a person."""
    data: dict[str, Any] = dict(found.data)
    if found.kind == PARAMETERS:
        lines = []
        for name, pair in data["changes"].items():
            before, after = (parameters.written(name, value) for value in pair)
            change = (
                f"{before} \N{RIGHTWARDS ARROW} {after}" if before != after else gettext("stays %(value)s", value=after)
            )
            if unit := parameters.unit_of(name):
                change = f"{change}\N{NO-BREAK SPACE}{unit}"
            lines.append((wording.parameter(name), change))
        epoch = data["from_epoch"]
        lines.append((gettext("from"), gettext("%(at)s (epoch %(epoch)s)", at=at(epoch * seconds), epoch=epoch)))
        if data["replaces"] is not None:
            staged = gettext("what is staged for epoch %(epoch)s", epoch=data["replaces"])
            lines.append((gettext("in the place of"), staged))
        return lines
    if found.kind == UPGRADE:
        return [
            (name, f"{before[:16]} \N{RIGHTWARDS ARROW} {after[:16]}")
            for name, (before, after) in data["programs"].items()
        ]
    if found.kind == CREDITS:
        amount = data["amount"]
        way = gettext("gets") if amount > 0 else gettext("gives back")
        return [
            (wording.word("member"), members.get(data["wallet"], data["wallet"])),
            (way, gettext("%(credits)s credits", credits=figures.credits(abs(amount)))),
            (gettext("the bank's reference"), data["reference"]),
        ]
    if found.kind == CORRECTION:
        amount = data["amount"]
        return [
            (wording.word("member"), members.get(data["wallet"], data["wallet"])),
            (gettext("the line"), gettext("bill %(bill)s, line %(line)s", bill=data["bill"], line=data["line"])),
            (
                gettext("pays more with the next bill") if amount > 0 else gettext("pays less with the next bill"),
                gettext("%(credits)s credits", credits=figures.credits(abs(amount))),
            ),
        ]
    return [
        (translated(_NAMES.get(name, name)), wording.word(value) if name == "role" else str(value))
        for name, value in data.items()
    ]


def _why(found: Proposal) -> str:
    """Why it is proposed, as it was typed; what a page said for whoever proposed it is translated."""
    return translated(found.reason) if found.reason in (ABOVE_LIMIT, WHY_GIVEN) else found.reason


def _may(app: App, found: Proposal, who: Principal, now: int) -> dict[str, bool]:
    """What who looks may do with it; the service asks again."""
    kind, state = KINDS[found.kind], proposals.state_of(found, now)
    own, undecided = found.proposed_by == who.pseudonym, state in (proposals.WAITING, proposals.APPROVED)
    decides = bool(kind.approves & who.roles)
    other = not own or app.home.settings.people.two_persons == NO
    return {
        "approve": decides and other and state == proposals.WAITING,
        "refuse": decides and not own and undecided,
        "withdraw": own and undecided,
        "reveal": own and kind.by is By.PROPOSER and state == proposals.APPROVED,
    }


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
