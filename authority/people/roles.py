"""What a person may be, and what a signed-in person is to the rest: a principal.

The roles are independent: a person has any of them. A member sees and steers its own market account, a delegate that of
the member who named it. The others are the department's: an operator keeps meters, gateways and readings, a treasurer
bills and money, an auditor reads everything and changes nothing, the authority appoints people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

MEMBER, DELEGATE, OPERATOR, TREASURER, AUDITOR, AUTHORITY = ROLES = (
    "member",
    "delegate",
    "operator",
    "treasurer",
    "auditor",
    "authority",
)
OF_A_MEMBER = frozenset({MEMBER, DELEGATE})
"""Roles that say whose: at most one of them a person."""
FORMER = "former"
"""What a member is whose account has ended, until its login is erased: nobody is given it."""
SEES_BILLS = OF_A_MEMBER | {FORMER}
"""Who sees the bills of an account."""
OF_THE_DEPARTMENT = frozenset({OPERATOR, TREASURER, AUDITOR, AUTHORITY})
"""Roles that see other people's data: their sessions are short, and each sign-in is in the log."""

SEES_WHAT_WAITS = frozenset({OPERATOR, AUTHORITY, AUDITOR})
"""Roles that see the department's board."""

OPERATES = frozenset({OPERATOR})
"""Roles that act on gateways, readings and invitations from the pages."""

SEES_NAMES = frozenset({OPERATOR})
"""Of the roles that see the operations' pages those that are told whose an account is. To the others it is a wallet or
a pseudonym, as in the log: showing them who that is takes two people (authority.people.dangerous.UNMASK)."""

AUDITS = frozenset({AUDITOR, AUTHORITY})
"""Roles that see the whole log, and have everything computed again."""

SEES_COMPARISONS = frozenset({TREASURER, AUDITOR, AUTHORITY})
"""Roles that are told what differs between books and chain."""

ANSWERS_DISPUTES = frozenset({OPERATOR, TREASURER})
"""Roles that see what members dispute, answer and close it."""

(
    READ_ENERGY,
    READ_MONEY,
    WRITE_TRADING,
    WRITE_MONEY,
    READ_OPERATIONS,
    READ_BILLING,
    READ_AUDIT,
    RUN_AUDITS,
) = SCOPES = (
    "energy:read",
    "money:read",
    "trading:write",
    "money:write",
    "operations:read",
    "billing:read",
    "audit:read",
    "audit:run",
)
"""What a program's token may do; one without a scope for it is refused."""
OF_SCOPES: Mapping[str, frozenset[str]] = {
    READ_ENERGY: OF_A_MEMBER,
    READ_MONEY: SEES_BILLS,
    WRITE_TRADING: OF_A_MEMBER,
    WRITE_MONEY: frozenset({MEMBER}),
    READ_OPERATIONS: OF_THE_DEPARTMENT,
    READ_BILLING: frozenset({TREASURER}),
    READ_AUDIT: AUDITS,
    RUN_AUDITS: AUDITS,
}
"""Whose tokens can use a scope at all: the roles of the routes that it opens."""


def usable(roles: Collection[str]) -> tuple[str, ...]:
    """The scopes that a token of somebody with these roles can use, in order."""
    return tuple(scope for scope in SCOPES if OF_SCOPES[scope] & frozenset(roles))


@dataclass(frozen=True, slots=True)
class MemberAccount:
    """The member whose account a person sees: its row, name and pseudonym (the wallet that names it for ever)."""

    id: int
    name: str
    wallet: str


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. session is the session's or the token's public id; scopes is None for a person at a browser.

    language is the one that the person chose for pages and mails; None: as the browser asks.

    member is whose account it sees as its member or delegate. former is the one that it was the member of, which has
    ended: under the person's own name, since the account's is erased.
    """

    person_id: int
    pseudonym: str
    name: str
    roles: frozenset[str]
    member: MemberAccount | None
    session: str
    scopes: frozenset[str] | None = None
    language: str | None = None
    former: MemberAccount | None = None

    @property
    def actor(self) -> str:
        """What the log says of who did something."""
        return self.pseudonym

    @property
    def sees_names(self) -> bool:
        """Whether it is told on the operations' pages whose an account or a meter is."""
        return bool(SEES_NAMES & self.roles)

    @property
    def is_own(self) -> bool:
        """Whether the member's account is the person's own, and not that of somebody who named it a delegate."""
        return MEMBER in self.roles
