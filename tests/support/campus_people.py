"""A member of a whole campus as the query layers know it, and the person who is its member."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from authority.people.roles import MemberAccount, Principal
from authority.store.people import User


def account(campus: Any, name: str) -> MemberAccount:
    with campus.app.store.read() as session:
        user = session.scalar(select(User).where(User.name == name))
        return MemberAccount(user.id, user.name, user.wallet)


def who(its: MemberAccount) -> Principal:
    return Principal(1, f"person-{its.name.lower()}", its.name, frozenset({"member"}), its, "s")
