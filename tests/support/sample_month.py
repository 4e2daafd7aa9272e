"""A month of one member's readings, a price for each epoch and a bill, as real rows of the store, for pages to show."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import pytest
from solders.keypair import Keypair
from sqlalchemy import select

from authority.billing.bill import Bill, Line
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.market import StandingOrderPolicy
from authority.store.metering import Frame, Gateway, Meter
from authority.store.settlement import SettlementEpoch
from edge_agent.wire.reading import RECORD_SIZE, Record, record_hash

LINES = (
    Line("withdrawn", wh=81_200),
    Line("retired", wh=60_000, paid=True),
    Line("remainder", wh=21_200, price=300_000, amount=6_360_000),
    Line("bought", wh=40_000, amount=9_600_000, paid=True),
    Line("sold", wh=12_000, amount=-2_400_000, paid=True),
)


def issue(app: Any, wallet: str, number: int, due: int = 1_000_000) -> None:
    """A bill of a member, of a period of its own, whose document says its number alone."""
    period = BillingPeriod(period=number, first_epoch=10, end_epoch=20, closed_at=1, closed_by="t", log_index=0)
    bill = IssuedBill(
        number=number, period=number, wallet=wallet, document=b'{"number": %d}' % number, sha256=bytes(32), due=due,
        log_index=1, issued_at=1,
    )  # fmt: skip
    with app.store.write() as session:
        session.add(period)
        session.flush()
        session.add(bill)


@pytest.fixture
def sample_month() -> Any:
    """Fills a site (people_site) for its Dormitory A."""
    return fill


def fill(site: Any) -> None:
    now, member, key = site.app.clock(), site.members["Dormitory A"], Keypair()
    start = now - now % 86_400 - 3 * 86_400
    with site.app.store.write() as session:
        session.add(Gateway(name="dormitory-a", state="enrolled"))
        session.flush()
        meter = Meter(
            name="building",
            gateway_name="dormitory-a",
            serial="S1",
            meter_id=bytes(32),
            role="building",
            source="solar",
            user_id=member.id,
            installation_n=1,
            state="active",
            public_key=bytes(key.pubkey()),
        )
        session.add(meter)
        session.flush()
        made = used = 0
        first = (session.scalar(select(Frame.log_index).order_by(Frame.log_index.desc()).limit(1)) or 0) + 1_000
        for place, end in enumerate(range(start, now + 1, 900)):
            hour = end % 86_400 / 3_600
            made += max(0, int(2_000 * math.sin(math.pi * (hour - 6) / 12))) if 6 < hour < 18 else 0
            used += 250 + (400 if 17 < hour < 23 else 100)
            record = Record(
                sequence=place + 1,
                network_id=site.app.home.network_id,
                interval_end=end,
                generation=made,
                consumption=used,
                charge=0,
                discharge=0,
                interval_seconds=900,
                source=1,
            ).to_bytes()
            frame = record + bytes(key.pubkey()) + bytes(key.sign_message(record))
            session.add(
                Frame(
                    log_index=first + place,
                    meter_pk=meter.id,
                    public_key=bytes(key.pubkey()),
                    sequence=place + 1,
                    interval_end=end,
                    record_hash=record_hash(frame[:RECORD_SIZE]),
                    frame=frame,
                    verdict="accepted",
                    code="ok",
                    received_at=end + 5,
                    over="mqtt",
                    disposition="accepted",
                    chain_status="confirmed",
                )
            )
            price = 180_000 + 20_000 * (place % 5)
            session.add(
                SettlementEpoch(epoch=end // 900 - 1, state="checkpointed", first_seen_ms=0, clearing_price=price)
            )
        session.add(
            StandingOrderPolicy(user_id=member.id, sell_at=120_000, buy_at=260_000, updated_at=now, updated_by="x")
        )
        session.add(
            BillingPeriod(
                period=0,
                first_epoch=start // 900,
                end_epoch=now // 900,
                closed_at=now,
                closed_by="x",
                log_index=0,
                issued_at=now,
                bills=1,
                due=sum(line.amount for line in LINES),
            )
        )
        bill = Bill(member.wallet, 0, start // 900, now // 900, 900, LINES, 0)
        document = bill.document(1, site.app.home.network_id)
        session.add(
            IssuedBill(
                number=1,
                period=0,
                wallet=member.wallet,
                document=document,
                sha256=hashlib.sha256(document).digest(),
                due=bill.due,
                log_index=1,
                issued_at=now,
            )
        )
