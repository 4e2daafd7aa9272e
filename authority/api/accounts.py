"""/api/v1/members: the accounts in the market, as the department sees them; the operator's pages show the same.

Who looks at them is in the log. Times are Unix seconds.
"""
# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apiflask import APIBlueprint, fields
from apiflask.validators import Length
from flask import Response
from solders.pubkey import Pubkey
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.paging import AT_ONCE, ONWARD, OnwardQuery, cut
from authority.api.schemas import schema_of
from authority.app import App
from authority.chain import accounts, programs
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.operations import suspensions
from authority.operations.chain_state import full_name
from authority.operations.desk import STATUS_WORDS
from authority.people import reads
from authority.people.roles import READ_OPERATIONS, ROLES, SEES_WHAT_WAITS, Principal
from authority.store.metering import Meter
from authority.store.people import StatusRequest, User
from authority.store.persons import Person, PersonRole

RULES: Mapping[str, Rule] = {
    "accounts.listed": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
    "accounts.shown": Rule(SEES_WHAT_WAITS, READ_OPERATIONS),
}
ACCOUNTS = "accounts"
"""What the log says that was read."""
OPERATORS = "null for who is not an operator: who is behind a wallet is shown by two people"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """A member of the market."""

    wallet: str = described("The wallet that names it for ever, on the chain and in the log.")
    member: str | None = described(f"Its name; {OPERATORS}.")
    building: str | None = described(f"Its building; {OPERATORS}.")
    public: bool = described("Whether its figures may be shown to everybody.")
    dwelling: bool = described("Whether somebody lives there: then they are shown late.")
    meters: int = described("How many meters it has.")
    in_custody: bool = described("Whether the department keeps its wallet's key.")
    registered_at: int | None = described("When it came on the chain; null before.")
    status: Literal["active", "suspended", "closed"] | None = described(
        "What it is in the market, by the chain; null where that is not known: it is not on the chain, or the "
        "validator does not answer."
    )
    becomes: Literal["active", "suspended"] | None = described(
        "What an operator asked that it becomes, where that is not done yet; else null."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRows:
    """Members of the market, the oldest first, without those that have left."""

    members: tuple[AccountRow, ...] = described("At most 50.")
    next: str | None = described(ONWARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPerson:
    """Somebody who sees the account."""

    pseudonym: str = described("What the log calls it.")
    name: str | None = described(f"Its name; {OPERATORS}.")
    role: Literal["member", "delegate"] = described("member: it is its own; delegate: it acts for the member.")
    until: int | None = described("When a delegate's part ends; null where it has no end.")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusAsked:
    """That the member is suspended or restored, as an operator asked."""

    status: Literal["active", "suspended"] = described("What it is to be.")
    state: Literal["waiting", "done", "withdrawn", "failed"] = described(
        "waiting: settlement carries it out; withdrawn: something else was asked for before it was done."
    )
    reason: str = described("Why.")
    told: str = described("What stands in the way; else, and for who is not an operator, empty.")
    asked_by: str = described("Who asked, by its pseudonym.")
    asked_at: int = described("When it was asked for.")
    ended_at: int | None = described("When it was done or ended; null while it waits.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A member of the market with what the department knows of it."""

    account: AccountRow = described("The row of the list.")
    meters: tuple[str, ...] | None = described(f"Its meters, as GATEWAY/METER; {OPERATORS}.")
    people: tuple[AccountPerson, ...] = described("Who sees the account.")
    asked: tuple[StatusAsked, ...] = described("Suspensions and restorations that were asked for, the newest first.")


class MembersQuery(OnwardQuery):
    """Which members."""

    q = fields.String(
        load_default="",
        validate=Length(max=64),
        metadata={"description": "Those whose name or building has this; for who is not an operator, whose wallet."},
    )


EXAMPLE_ROW = {
    "wallet": "7Np41oeYqPefeNQEHSv1UDhYrehxin3NStELsSKCT4K2",
    "member": "Dormitory A",
    "building": "Dormitory A",
    "public": True,
    "dwelling": False,
    "meters": 2,
    "in_custody": True,
    "registered_at": 1_782_000_000,
    "status": "active",
    "becomes": None,
}
EXAMPLE = {
    "account": EXAMPLE_ROW,
    "meters": ["dormitory-a/building", "dormitory-a/solar"],
    "people": [{"pseudonym": "person-6f1c2a3b4d5e6f70", "name": "Ada", "role": "member", "until": None}],
    "asked": [
        {
            "status": "active", "state": "done", "reason": "it was paid", "told": "",
            "asked_by": "person-0a1b2c3d4e5f6071", "asked_at": 1_782_010_000, "ended_at": 1_782_010_005,
        }
    ],
}  # fmt: skip


class Accounts:
    """The query layer over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self.app, self._client = app, client

    def note(self, who: Principal, wallet: str = reads.EVERYBODY) -> None:
        """Log that accounts are looked at, or the one of a wallet, before they are given out."""
        reads.note(self.app.store, who, ACCOUNTS, wallet, self.app.clock())

    def listed(self, who: Principal, named: str = "", after: int | None = None) -> AccountRows:
        """A page of those that have not left, the oldest first: all, or those whose name or building has a text.

        Who sees no names looks for wallets alone: to be told which account has a name would be to be told the name.
        """
        query = select(User).where(User.left_at.is_(None), User.id > (after or 0)).order_by(User.id)
        if named.strip():
            columns = (User.name, User.building) if who.sees_names else (User.wallet,)
            query = query.where(or_(*(each.icontains(named.strip(), autoescape=True) for each in columns)))
        with self.app.store.read() as session:
            shown, more = cut(session.scalars(query.limit(AT_ONCE + 1)).all(), lambda user: user.id, AT_ONCE)
            rows = self._rows(session, shown, names=who.sees_names)
        return AccountRows(members=rows, next=more)

    def one(self, who: Principal, wallet: str) -> Account:
        """One with its meters, people and what was asked for; NotFoundError."""
        names = who.sees_names
        with self.app.store.read() as session:
            user = suspensions.account(session, wallet)
            (row,) = self._rows(session, [user], names=names)
            meters = session.scalars(
                select(Meter).where(Meter.user_id == user.id).order_by(Meter.gateway_name, Meter.name)
            )
            people = session.execute(
                select(PersonRole, Person)
                .join(Person, Person.id == PersonRole.person_id)
                .where(PersonRole.member_id == user.id)
            ).all()
            return Account(
                account=row,
                meters=tuple(map(full_name, meters)) if names else None,
                people=tuple(
                    AccountPerson(
                        pseudonym=person.pseudonym,
                        name=person.name if names else None,
                        role=held.role,  # type: ignore[arg-type]  # of a member
                        until=held.until,
                    )
                    for held, person in sorted(people, key=lambda each: (ROLES.index(each[0].role), each[1].pseudonym))
                ),
                asked=tuple(_asked(each, names) for each in suspensions.of_member(session, user.id)),
            )

    def _rows(self, session: Session, users: Sequence[User], *, names: bool) -> tuple[AccountRow, ...]:
        ids = [user.id for user in users]
        meters = dict(
            session.execute(
                select(Meter.user_id, func.count()).where(Meter.user_id.in_(ids)).group_by(Meter.user_id)
            ).all()
        )
        becomes = dict(
            session.execute(
                select(StatusRequest.user_id, StatusRequest.status).where(
                    StatusRequest.user_id.in_(ids), StatusRequest.state == suspensions.WAITING
                )
            ).all()
        )
        status = self._status(users)
        return tuple(
            AccountRow(
                wallet=user.wallet,
                member=user.name if names else None,
                building=user.building if names else None,
                public=user.public,
                dwelling=user.dwelling,
                meters=meters.get(user.id, 0),
                in_custody=user.sealed_key is not None,
                registered_at=user.registered_at,
                status=status.get(user.id),  # type: ignore[arg-type]  # one of STATUS_WORDS
                becomes=becomes.get(user.id),  # type: ignore[arg-type]  # one of suspensions.ASKED
            )
            for user in users
        )

    def _status(self, users: Sequence[User]) -> dict[int, str]:
        """What each is on the chain, where that is known."""
        known = [user for user in users if user.registered_at is not None]
        addresses = [programs.user_address(Pubkey.from_string(user.wallet)) for user in known]
        if not known:
            return {}
        client = self._client()
        try:
            found = client.accounts_at(accounts.User, addresses)
        except ChainError:
            return {}
        finally:
            client.close()
        pairs = zip(known, found, strict=True)
        return {user.id: STATUS_WORDS[each.status] for user, each in pairs if each is not None}


def _asked(row: StatusRequest, names: bool) -> StatusAsked:
    return StatusAsked(
        status=row.status,  # type: ignore[arg-type]  # one of suspensions.ASKED
        state=row.state,  # type: ignore[arg-type]  # one of suspensions.WORDS
        reason=row.reason,
        told=row.told if names else "",  # what stood in the way may name who it is
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        ended_at=row.ended_at,
    )


def blueprint(its: Accounts) -> APIBlueprint:
    """The resources over the query layer."""
    members = APIBlueprint("accounts", __name__, url_prefix="/api/v1/members", tag="Operations")

    @members.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @members.get("")
    @members.input(MembersQuery, location="query", arg_name="query")
    @members.output(
        schema_of(AccountRows), description="The members.", example={"members": [EXAMPLE_ROW], "next": None}
    )
    @members.doc(
        operation_id="list_members",
        summary="The members of the market, the oldest first, without those that have left",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def listed(query: dict[str, Any]) -> dict[str, Any]:
        who = gate.principal()
        its.note(who)
        return asdict(its.listed(who, query["q"], query["cursor"]))

    @members.get("/<wallet>")
    @members.output(schema_of(Account), description="The member.", example=EXAMPLE)
    @members.doc(
        operation_id="get_member",
        summary="A member of the market with its meters, who sees its account, and its suspensions",
        responses=NOT_YOURS,
    )
    def shown(wallet: str) -> dict[str, Any]:
        who = gate.principal()
        found = its.one(who, wallet)
        its.note(who, wallet)
        return asdict(found)

    return members
