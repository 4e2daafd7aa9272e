"""/api/v1/me/delegates: who acts for a member, invited by e-mail and ended at once; the page does the same.

No token comes here: who is let in is decided by the person itself. Times are Unix seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apiflask import APIBlueprint, fields
from apiflask.validators import Length, Range
from flask import Response

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.schemas import Body, schema_of
from authority.app import App
from authority.language.reading import marked
from authority.people import delegates, sessions
from authority.people.errors import TooOftenError
from authority.people.limits import Bucket
from authority.people.roles import MEMBER, OF_A_MEMBER, MemberAccount, Principal
from authority.refusals import NotFoundError

OF_THE_MEMBER = frozenset({MEMBER})
RULES: Mapping[str, Rule] = {
    "me_delegates.listed": Rule(OF_A_MEMBER),
    "me_delegates.invite": Rule(OF_THE_MEMBER),
    "me_delegates.end": Rule(OF_THE_MEMBER),
}
_PSEUDONYM = re.compile("person-[0-9a-f]{1,16}")
WHY = marked("it lets somebody act for you")
REFUSED: dict[int | str, Any] = {
    400: "The invitation is malformed.",
    **dict[int | str, Any](NOT_YOURS.items()),
    403: "It takes a sign-in of the last five minutes.",
    409: "This address or this many days cannot be, five act for you already, or this site mails no invitations.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegateView:
    """Somebody who acts for you."""

    pseudonym: str = described("What the log calls it.")
    name: str = described("Its name; its address where the department has given it none.")
    login: str = described("Its e-mail address.")
    since: int = described("Since when.")
    until: int | None = described("Until when; null: without an end.")
    signed_in: bool = described("Whether it has come in.")
    mail: Literal["waiting", "sent", "failed"] | None = described("What became of its invitation's mail; null: none.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """Who acts for you, or for whom you act."""

    delegates: tuple[DelegateView, ...] = described("Who acts for you; empty where you are a delegate yourself.")
    acts_for: str | None = described("For whom you act as its delegate; null where the account is your own.")
    until: int | None = described("Until when you do; null where that has no end, or the account is your own.")


class InviteInput(Body):
    """Whom to invite."""

    login = fields.String(
        required=True,
        validate=Length(1, 128),
        metadata={"description": "Its e-mail address; the link goes there."},
    )
    days = fields.Integer(strict=True, load_default=30, validate=Range(1, delegates.LONGEST_DAYS))


EXAMPLE = {
    "delegates": [
        {
            "pseudonym": "person-6f1c2a3b4d5e6f70", "name": "grace@campus.example", "login": "grace@campus.example",
            "since": 1_782_000_000, "until": 1_784_592_000, "signed_in": False, "mail": "waiting",
        }
    ],
    "acts_for": None,
    "until": None,
}  # fmt: skip


class Delegates:
    """The query layer over an opened authority."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._invites = Bucket(app.tries, "delegates", delegates.INVITES_AT_ONCE, delegates.INVITE_SECONDS)

    def of(self, who: Principal) -> Delegation:
        """Who acts for the member, or for whom who asks acts."""
        member = _member(who)
        with self.app.store.read() as session:
            if not who.is_own:
                return Delegation(delegates=(), acts_for=member.name, until=delegates.term(session, who))
            found = delegates.of_member(session, member.id, self.app.clock())
        views = tuple(DelegateView(**asdict(each)) for each in found)
        return Delegation(delegates=views, acts_for=None, until=None)

    def invite(self, who: Principal, login: str, days: int) -> None:
        """Have somebody act for the member; SignInAgainError, TooOftenError, and those of `delegates.invite`."""
        member, now = _member(who), self.app.clock()
        with self.app.store.read() as session:
            sessions.require_fresh(session, who.session, now, WHY)
        if (wait := self._invites.wait(who.pseudonym)) > 0:
            raise TooOftenError(wait)
        with self.app.store.write() as session:
            delegates.invite(session, self.app.home, who, member, login, days, now=now)

    def end(self, who: Principal, pseudonym: str) -> None:
        """End a delegate's part; where that person is none, nothing happens. NotFoundError for what is no name."""
        if not _PSEUDONYM.fullmatch(pseudonym):
            raise NotFoundError("nobody is called so; see the list of your delegates")
        with self.app.store.write() as session:
            delegates.end(session, who, _member(who), pseudonym, now=self.app.clock())


def _member(who: Principal) -> MemberAccount:
    if who.member is None:
        raise NotFoundError("you are no member of the market")
    return who.member


def blueprint(its: Delegates) -> APIBlueprint:
    """The resources over the query layer."""
    me = APIBlueprint("me_delegates", __name__, url_prefix="/api/v1/me/delegates", tag="Me")

    @me.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @me.get("")
    @me.output(schema_of(Delegation), description="Who acts for you.", example=EXAMPLE)
    @me.doc(operation_id="list_my_delegates", summary="Who acts for you, or for whom you act", responses=NOT_YOURS)
    def listed() -> dict[str, Any]:
        return asdict(its.of(gate.principal()))

    @me.post("")
    @me.input(InviteInput, arg_name="given", example={"login": "grace@campus.example", "days": 30})
    @me.output(schema_of(Delegation), status_code=202, description="The link is mailed.", example=EXAMPLE)
    @me.doc(
        operation_id="invite_my_delegate",
        summary="Have somebody act for you until a day",
        description="It sees the account and trades for it. The same address again changes the day.",
        responses=REFUSED,
    )
    def invite(given: dict[str, Any]) -> dict[str, Any]:
        its.invite(gate.principal(), given["login"], given["days"])
        return asdict(its.of(gate.principal()))

    @me.delete("/<pseudonym>")
    @me.output(schema_of(Delegation), description="Who acts for you now.", example=EXAMPLE)
    @me.doc(
        operation_id="end_my_delegate",
        summary="End a delegate's part at once",
        description="Its sessions end, and its tokens see nothing of yours any more. Asked for twice it is done once.",
        responses=NOT_YOURS,
    )
    def end(pseudonym: str) -> dict[str, Any]:
        its.end(gate.principal(), pseudonym)
        return asdict(its.of(gate.principal()))

    return me
