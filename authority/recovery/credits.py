"""Credits that were issued on a chain that went back: they are issued again, once each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.audit.history import Landed
from authority.chain.client import ChainClient
from authority.chain.idl import Idl
from authority.log import log
from authority.log.restoration import restorations
from authority.market.credits import issue_instruction
from authority.store.log import Act

ISSUED = "credit_issued"


@dataclass(frozen=True)
class UndoneIssue:
    """An issue of credits (micro-credits) to a member, and the leaf of its act, that the chain no longer has."""

    log_index: int
    wallet: str
    amount: int


def undone(session: Session, history: Sequence[Landed], idls: Mapping[str, Idl]) -> list[UndoneIssue]:
    """The issues in the log that a chain which went back undid, and that were not done again."""
    landed: Counter[tuple[str, int]] = Counter()
    for transaction in history:
        for event in transaction.decoded(idls):
            if event.name == "CreditIssued":
                landed[str(event.data["wallet"]), event.data["amount"]] += 1
    told = restorations(session)
    rows = session.execute(select(Act.log_index, Act.data).where(Act.kind == ISSUED).order_by(Act.log_index)).all()
    again = {row.data["again"] for row in rows if "again" in row.data}
    found = []
    for index, act in rows:
        data: Mapping[str, Any] = act
        name = str(data["wallet"]), int(data["amount"])
        if index in again:
            continue  # another act stands for it
        if landed[name] > 0:
            landed[name] -= 1
        elif told.undone(index):
            found.append(UndoneIssue(index, *name))
    return found


def is_whole(history: Sequence[Landed], idls: Mapping[str, Idl]) -> bool:
    """Whether the history begins with the deployment, so that what is not in it did not happen."""
    return bool(history) and any(event.name == "Initialized" for event in history[0].decoded(idls))


def issue_again(app: App, client: ChainClient, issues: Sequence[UndoneIssue], *, actor: str) -> int:
    """Issue credits again, and log each with the act that it stands for; how many. ChainError."""
    operator = app.home.operator
    for each in issues:
        instruction = issue_instruction(client, operator, Pubkey.from_string(each.wallet), each.amount)
        signature = client.send([instruction], [operator], payer=operator)
        data = {"again": each.log_index, "amount": each.amount, "signature": str(signature), "wallet": each.wallet}
        with app.store.write() as session:
            log.record_act(session, ISSUED, actor, app.clock(), data)
    return len(issues)
