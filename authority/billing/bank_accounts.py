"""Members' bank accounts, to which the department pays: kept apart from everything else, and never in the log.

An account is an IBAN (ISO 13616), or a number with the bank's code where banks have none. The log has that one was set
or removed (`payout_account_set`, `payout_account_removed`: wallet), so that whoever is paid elsewhere than before can
be told when that changed.
"""

from __future__ import annotations

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority import typed
from authority.app import App
from authority.billing.errors import AccountInvalidError, MemberUnknownError
from authority.billing.money import spaced
from authority.home.iban import compact, is_bic, is_iban
from authority.log import log
from authority.store.billing import BankAccount
from authority.store.people import User, user_named

SET, REMOVED = "payout_account_set", "payout_account_removed"
LONGEST_HOLDER, LONGEST_NUMBER = 70, 34


def checked(holder: str, number: str, bank: str) -> tuple[str, str, str]:
    """Holder, number and bank as they are kept; AccountInvalidError says what is wrong, and repeats none of it."""
    holder, number, bank = typed.line(holder), compact(number), compact(bank)
    if not 0 < len(holder) <= LONGEST_HOLDER or not holder.isprintable():
        raise AccountInvalidError(f"say whose the account is, in 1 to {LONGEST_HOLDER} characters")
    looks_like_one = re.match("[A-Z]{2}[0-9]{2}", number) is not None
    if looks_like_one and not is_iban(number):
        raise AccountInvalidError("this IBAN is wrong: a digit is mistyped, missing or too many")
    if not looks_like_one:
        if re.fullmatch(f"[0-9]{{4,{LONGEST_NUMBER}}}", number) is None:
            raise AccountInvalidError(f"an account is an IBAN, or 4 to {LONGEST_NUMBER} digits with the bank's code")
        if re.fullmatch("[A-Z0-9]{2,11}", bank) is None:
            raise AccountInvalidError("an account that is no IBAN needs the bank's code, 2 to 11 letters and digits")
    if looks_like_one and bank and not is_bic(bank):
        raise AccountInvalidError("this is no BIC; an IBAN needs none")
    return holder, number, bank


def set_account(app: App, member_id: int, holder: str, number: str, bank: str, *, actor: str) -> bool:
    """Keep where a member is paid; whether anything changed. Logged, without the account. BillingError
    `account_invalid`.
    """
    values = checked(holder, number, bank)
    with app.store.write() as session:
        log.lock(session)
        row = session.get(BankAccount, member_id)
        if row is not None and (row.holder, row.number, row.bank) == values:
            return False
        row = row or BankAccount(member_id=member_id)
        row.holder, row.number, row.bank = values
        row.set_at, row.set_by = app.clock(), actor
        session.add(row)
        log.record_act(session, SET, actor, app.clock(), {"wallet": session.get_one(User, member_id).wallet})
        return True


def remove(app: App, member_id: int, *, actor: str) -> bool:
    """Forget a member's account; whether there was one. Logged."""
    with app.store.write() as session:
        log.lock(session)
        row = session.get(BankAccount, member_id)
        if row is None:
            return False
        session.delete(row)
        log.record_act(session, REMOVED, actor, app.clock(), {"wallet": session.get_one(User, member_id).wallet})
        return True


def of_member(session: Session, member_id: int) -> BankAccount | None:
    """A member's account."""
    return session.get(BankAccount, member_id)


def by_wallet(session: Session) -> dict[str, BankAccount]:
    """All accounts, by the members' wallets."""
    rows = session.execute(select(User.wallet, BankAccount).join(BankAccount, BankAccount.member_id == User.id))
    return {wallet: account for wallet, account in rows}  # noqa: C416 - a result has keys(), so dict() takes it apart


def masked(number: str) -> str:
    """An account as it is shown: its country and its last four; of a short number, half of it at most."""
    first, last = (number[:4] if is_iban(number) else ""), number[-min(4, len(number) // 2) :]
    return spaced(first + "\N{BULLET}" * (len(number) - len(first) - len(last)) + last)


def member_id(session: Session, name: str) -> int:
    """The member of this name; BillingError `member_unknown`."""
    found = user_named(session, name)
    if found is None:
        raise MemberUnknownError(f"no member is called {name!r}: authority members list")
    return found.id
