"""A department with five issued bills in a real store, whose bank says what was paid and is told what to pay."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from every_leaf import every_leaf
from solders.keypair import Keypair
from sqlalchemy import select

from authority.app import App
from authority.billing import payments
from authority.billing.bill import Bill, Line
from authority.billing.money import Currency, reference_of, spaced
from authority.home.home import Home
from authority.home.settings import BillingSettings
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.log import Act
from authority.store.people import User

NOW = 1_782_000_000
DUES = (12_345_678, 20_000_000, -5_000_001, 3_000, 7_500_000)
"""Five members' bills, micro-credits: 12.34 EUR, 20 EUR, 5.01 EUR to the member, nothing in cents, 7.50 EUR."""


class Office:
    """Five bills of period 0, and a bank that says what was paid."""

    def __init__(self, home: Home, **billing: Any) -> None:
        home.save(replace(home.settings, billing=BillingSettings(**{"currency": "EUR", **billing})))
        self.app = App.open(home.path, lambda: NOW)
        with self.app.store.write() as session:
            session.add(
                BillingPeriod(
                    period=0,
                    first_epoch=0,
                    end_epoch=96,
                    closed_at=NOW,
                    closed_by="x",
                    log_index=0,
                    issued_at=NOW,
                    bills=len(DUES),
                    due=sum(DUES),
                )
            )
            for number, due in enumerate(DUES, 1):
                user = User(name=f"Flat {number}", building="Flats", wallet=str(Keypair().pubkey()))
                bill = Bill(user.wallet, 0, 0, 96, 900, (Line("remainder", wh=10, amount=due),), 0)
                document = bill.document(number, self.app.home.network_id)
                issued = IssuedBill(
                    number=number, period=0, wallet=user.wallet, document=document, due=due,
                    sha256=hashlib.sha256(document).digest(), log_index=number, issued_at=NOW,
                )  # fmt: skip
                session.add_all((user, issued))

    def named(self, bill: int) -> str:
        return spaced(reference_of(self.app.home.network_id, bill))

    def statement(self, *rows: tuple[str, str, str]) -> bytes:
        lines = ["id;date;amount;text", *(f"{id};28.11.2026;{amount};{text}" for id, amount, text in rows)]
        return "\n".join(lines).encode()

    def take_in(self, data: bytes, assigned: dict[int, int] | None = None) -> payments.Reading:
        return payments.take_in(self.app, data, assigned, actor="person-1")

    def bills(self) -> dict[int, tuple[int, str]]:
        """What was paid of each bill, and its state."""
        with self.app.store.read() as session:
            found = payments.paid_bills(session, Currency("EUR"), self.app.home.network_id)
        return {each.number: (each.received, each.state) for each in found}

    def acts(self, kind: str) -> list[dict[str, Any]]:
        with self.app.store.read() as session:
            acts = session.scalars(select(Act).where(Act.kind == kind).order_by(Act.log_index))
            return [{**act.data, "actor": act.actor} for act in acts]

    def leaves(self) -> bytes:
        with self.app.store.read() as session:
            return every_leaf(session)
