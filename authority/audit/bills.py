"""Bills, audited: those that the log says were issued, done again from log and chain; and what the store keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from solders.pubkey import Pubkey
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.audit.events import SURPLUS_SETTLED, Settled, Taken
from authority.audit.history import Landed
from authority.billing.bill import hash_of
from authority.billing.facts import RELEVANT
from authority.billing.recompute import Recomputation
from authority.chain.idl import Event
from authority.errors import AuthorityError
from authority.store.billing import IssuedBill
from edge_agent.wire.errors import WireError

Find = Callable[[str, object, str], None]
_WANTED = frozenset(name for names in RELEVANT.values() for name in names)


class BillAudit:
    """The bills' part of one audit, from where the recomputation stands; find is told of what does not hold."""

    def __init__(self, bills: Recomputation, find: Find) -> None:
        self._bills = bills
        self._find = find
        self._members: dict[Pubkey, str] = {}
        """The names of those whose spans were settled: base58 takes its time."""

    @property
    def computed(self) -> int:
        """How many bills were done again."""
        return self._bills.computed

    def leaf(self, index: int, data: bytes) -> None:
        """The next leaf of the log; one that is malformed is found by the audit of the log itself."""
        try:
            self._bills.leaf(index, data)
        except (AuthorityError, WireError, LookupError, TypeError, ValueError, ArithmeticError):
            return

    def reading(self, index: int, public_key: bytes, end: int, verdict: int) -> None:
        """The next leaf, which is a well-formed reading's: its key, its interval's end, and what the log decided."""
        self._bills.evidence.reading(index, public_key, end, verdict)

    def apply(self, landed: Landed, events: Iterable[Taken]) -> None:
        """The next transaction of the chain with its events, after the leaves that its epoch's checkpoint pins."""
        wanted = []
        for name, data in events:
            if name == SURPLUS_SETTLED:
                wanted.append(Event(name, self._span(data)))
            elif name in _WANTED:
                wanted.append(Event(name, data))
        try:
            self._bills.apply(landed.time, landed.signature, wanted)
        except KeyError as error:
            self._find("event_not_understood", "bills", f"an event cannot be billed: {error!r}")

    def _span(self, span: Settled) -> dict[str, Any]:
        """What bills go by of a span, as the IDL decodes it."""
        wallet = span.wallet
        member = self._members.get(wallet) or self._members.setdefault(wallet, str(wallet))
        return {"wallet": member, "from": span.began, "to": span.to, "withdrawn": span.withdrawn, "period": span.period}

    def step(self) -> None:
        """Judge the bills that can be judged now."""
        for each in self._bills.differences():
            self._find(each.code, each.where, each.message)

    def finish(self) -> None:
        """Judge the others: log and chain are at their ends."""
        for each in self._bills.finish():
            self._find(each.code, each.where, each.message)

    def stored(self, session: Session) -> None:
        """Hold the documents that the store keeps against the hashes in the log."""
        expected = dict(self._bills.hashes)
        for bill in session.scalars(select(IssuedBill).order_by(IssuedBill.number)):
            said, where = expected.pop(bill.number, None), f"bill {bill.number}"
            if said is None:
                self._find("bill_not_logged", where, "is in the store, and the log says nothing of it")
            elif hash_of(bill.document) != said:
                self._find("bill_changed", where, "is not as it was issued: its hash in the log is another")
        for number in expected:
            self._find("bill_lost", f"bill {number}", "was issued, and the store has it no more")
