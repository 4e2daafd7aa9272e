"""A department that closes a month of many members: on a real validator, with as many rows as a month leaves.

Members, meters, the last readings, credits and the period itself are on the chain. What each member drew and retired in
the epochs between, the readings of it and the books are put into the store as settlement would have: a month of two
hundred members is six hundred thousand spans, and settling them takes hours.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from billed_site import BilledSite
from packed_accounts import paid_book
from people_site import application
from solders.signature import Signature
from sqlalchemy import select
from whole_campus import PARAMETERS, Campus, QuickValidator

from authority.app import App
from authority.billing import bank_accounts, credits
from authority.billing.bill import RETIRED
from authority.billing.facts import Retirement, Withdrawal
from authority.billing.folding import KeptFacts
from authority.billing.history import catch_up, events_of
from authority.chain import accounts, programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.home.home import Home
from authority.home.settings import AlertSettings, BillingSettings
from authority.log import log
from authority.market.book_leaf import book_leaf
from authority.people import records, sessions
from authority.people.roles import MEMBER, TREASURER
from authority.store.base import table_of
from authority.store.metering import Frame
from authority.store.people import User
from authority.store.rows import insert_rows, update_rows
from authority.store.settlement import SettlementAct, SettlementEpoch, act_key
from edge_agent.wire.reading import FRAME_SIZE

EPOCH_SECONDS = 900
MONTH = 31 * 96
GRACE_EPOCHS = 9
DRAWN_WH, RETIRED_WH = 500, 400
SILENT = 2
"""Members whose meters are not read at the end: the gaps of the period."""
OWED = 10
"""Members who gave credits back, and are paid by bank."""
GIVEN_BACK = 20_000_000
ACCOUNT = "DE89370400440532013000"
FRAME_COLUMNS = ("log_index", "meter_pk", "public_key", "sequence", "interval_end", "record_hash", "frame", "verdict",
                 "code", "received_at", "over", "disposition", "chain_status")  # fmt: skip
EPOCH_COLUMNS = ("readings_on_chain", "bids", "asks", "traded_wh", "book_log_index")


@contextmanager
def over(directory: Path, members: int, mail_port: int, epochs: int = MONTH) -> Iterator[BilledSite]:
    """A period of so many members and epochs that is over, with SILENT gaps, a treasurer, and people who get mail."""
    names = [f"Flat {n}" for n in range(1, members + 1)]
    campus = Campus(
        directory,
        QuickValidator,
        epoch_seconds=EPOCH_SECONDS,
        parameters=replace(PARAMETERS, billing_period_epochs=epochs),
        plan=[(name, "load", "load", "none", 0, 200_000_000, 0) for name in names],
    )
    try:
        campus.STEPS = {f"{name}.load": (0, DRAWN_WH) for name in names}  # type: ignore[misc]
        worker = campus.worker()
        for name in names[:OWED]:
            campus.issue_credit(name, 3 * GIVEN_BACK)
        campus.run_epoch(worker)  # whence everybody is metered
        config = campus.client.account(accounts.Config, programs.config_address())
        assert config is not None
        end = int(config.billing_period_end)
        first = campus.epoch
        campus.go_to(end * EPOCH_SECONDS + 1)
        campus.read_all(end * EPOCH_SECONDS, but=tuple(f"{name}.load" for name in names[-SILENT:]))
        worker.settle_down(rounds=epochs)
        campus.go_to((end + GRACE_EPOCHS) * EPOCH_SECONDS + 1)
        worker.settle_down(rounds=epochs)
        campus.save_validator()
        home = Home.open(campus.home_path)
        alerts = AlertSettings(
            mail_from="bills@campus.example", smtp_host="127.0.0.1", smtp_port=mail_port, smtp_security="none"
        )
        home.save(replace(home.settings, alerts=alerts, billing=BillingSettings(currency="EUR", iban=ACCOUNT)))
        app = replace(campus.app, home=Home.open(campus.home_path))
        _fill_books(app, names, first, end)
        _fill(app, campus, names, first, end)
        _give_back(app, campus, names[:OWED])
        with app.store.write() as session:
            for name in names:
                login = f"{name.replace(' ', '.').lower()}@campus.example"
                person = records.add(session, login, name, now=app.clock())
                member = records.member_named(session, name)
                records.grant(session, person, MEMBER, by="test", now=app.clock(), member=member)
            person = records.add(session, "treasurer@campus.example", "Treasurer", now=app.clock())
            records.grant(session, person, TREASURER, by="test", now=app.clock())
            cookies = {TREASURER: sessions.begin(session, person, "password", "Chrome on Linux", app.clock())}
        flask = application(app, lambda: ChainClient(campus.validator.url, attempts=2, timeout=10))
        yield BilledSite(flask, cookies, campus, worker)
    finally:
        campus.close()


def _give_back(app: App, campus: Campus, names: list[str]) -> None:
    """Have these members give credits back, as the treasurer's page asks and settlement books."""
    for place, name in enumerate(names):
        with app.store.read() as session:
            user = session.scalars(select(User).where(User.name == name)).one()
        credits.pay_out(app, campus.client, user, GIVEN_BACK, f"back-{place}", actor="test")
        bank_accounts.set_account(app, user.id, name, ACCOUNT, "", actor="test")


def _fill_books(app: App, names: list[str], first: int, end: int) -> None:
    """Put books in which everybody trades in the place of the empty ones that settlement made of first to end."""
    chance, half = random.Random(1), len(names) // 2  # noqa: S311 - orders, not keys
    with app.store.write() as session:
        rows = []
        for epoch in range(first, end - 1):
            sides = [[(n, chance.randrange(1, 5_000)) for n in some] for some in (range(half), range(half, 2 * half))]
            index = log.append_all(session, [book_leaf(paid_book(epoch, 200_000, *sides))])
            rows.append((epoch, len(names), half, half, 0, index))
        update_rows(session, table_of(SettlementEpoch), "epoch", EPOCH_COLUMNS, rows)


def _fill(app: App, campus: Campus, names: list[str], first: int, end: int) -> None:
    """Put the epochs from first to end into the store: readings, and what was drawn and retired."""
    wallets = {name: str(campus.wallets[name]) for name in names}
    meters = {name: campus.meters[f"{name}.load"] for name in names}
    keys = {name: bytes(meter.key.pubkey()) for name, meter in meters.items()}
    frame = bytes(FRAME_SIZE)
    catch_up(app.store, campus.client)
    idls = {name: campus.client.idl(name) for name in PROGRAM_NAMES}
    with app.store.write() as session:
        facts = KeptFacts(app.store, session)
        last = facts.catch_up(session, lambda events: events_of(events, idls))
        for epoch in range(first, end - 1):
            ends = (epoch + 1) * EPOCH_SECONDS
            at = 10**9 + epoch * len(names)
            acts: list[tuple[bytes, int]] = []
            frames: list[tuple[Any, ...]] = []
            for place, name in enumerate(names):
                wallet, meter = wallets[name], meters[name]
                signature = hashlib.sha512(b"%d %d" % (epoch, place)).digest()
                facts.withdrawals.append(Withdrawal(wallet, 0, ends - EPOCH_SECONDS, ends, DRAWN_WH, (meter.meter_id,)))
                facts.retirements.append(Retirement(wallet, 0, RETIRED_WH, 0, False, epoch, signature))
                acts.append((act_key(f"{RETIRED}:{Signature.from_bytes(signature)}:{wallet}"), at + place))
                frames.append((at + place, meter.pk, keys[name], 10**6 + epoch, ends, bytes(32), frame,
                               "accepted", "ok", ends, "https", "accepted", "confirmed"))  # fmt: skip
            insert_rows(session, table_of(SettlementAct), ("key", "log_index"), acts)
            insert_rows(session, table_of(Frame), FRAME_COLUMNS, frames)
        facts.write(session, last)
