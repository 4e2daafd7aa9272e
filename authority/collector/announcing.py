"""What buildings are told over MQTT (docs/PROTOCOL.md, "MQTT 5"): the market's prices, and what a gateway may spend.

Each message is retained, so that who connects later has it at once, and expires, so that nobody acts on an old one.
The prices are public. A budget goes to a gateway whose meters are all one member's: another's is nobody's business.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from authority.app import App
from authority.chain import programs
from authority.chain.accounts import Config, Seat, Seats
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.chain.in_force import parameters_in
from authority.faults import Faults
from authority.store.metering import METER_RETIRED, Meter
from authority.store.people import User
from authority.store.settlement import SettlementEpoch
from edge_agent.wire import topics
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)
LOOK_SECONDS = 10.0
EXPIRES_EPOCHS = 3
LAST_EPOCHS = 96
"""How far back a cleared book's price is told as the last one."""

Publish = Callable[[str, bytes, int], None]
"""Publishes a retained message: its topic, its payload (empty: what is retained is taken back), seconds it holds."""


class Announcer:
    """Publishes what has changed, from a thread of its own; `publish` may be called at any time."""

    def __init__(self, app: App, publish: Publish, client: Callable[[], ChainClient] | None = None) -> None:
        self._app, self._publish = app, publish
        self._client = client or (lambda: ChainClient(app.home.rpc_url, attempts=1, timeout=5))
        self._told: dict[str, bytes] = {}
        self._faults = Faults(LOG)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcing", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is retained expires by itself."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.tell()
            except (ChainError, SQLAlchemyError) as error:
                event = "prices and budgets are not told to buildings"
                self._faults.met("announcing", type(error).__name__, event, logging.WARNING, reason=str(error))
            except Exception:
                LOG.exception("prices and budgets are not told to buildings")
            else:
                self._faults.over("announcing", "prices and budgets are told to buildings again")
            self._stopping.wait(LOOK_SECONDS)

    def tell(self) -> None:
        """Publish what is new, and take back what holds no more. ChainError, SQLAlchemyError."""
        messages = {topic: json.dumps(body).encode() for topic, body in self.messages().items()}
        expires = EXPIRES_EPOCHS * self._app.home.settings.epoch.seconds
        for topic in self._told.keys() - messages.keys():
            self._publish(topic, b"", expires)
        for topic, payload in messages.items():
            if self._told.get(topic) != payload:
                self._publish(topic, payload, expires)
        self._told = messages

    def messages(self) -> dict[str, dict[str, Any]]:
        """What is to be told now, by topic. ChainError."""
        seconds = self._app.home.settings.epoch.seconds
        epoch = self._app.clock() // seconds
        client = self._client()
        try:
            config = client.account(Config, programs.config_address())
            seats = client.account_data(Seats, programs.seats_address(), client.raw_account(programs.seats_address()))
        finally:
            client.close()
        if config is None:
            return {}
        parameters = parameters_in(config, epoch)
        span = {"version": 1, "epoch": epoch, "starts_at": epoch * seconds, "ends_at": (epoch + 1) * seconds}
        with self._app.store.read() as session:
            last = _last_price(session, epoch)
            indexes = _sole_members(session)
        price = {
            **span,
            "highest_micro_credits_per_kwh": parameters.retail_price,
            "lowest_micro_credits_per_kwh": parameters.feed_in_price,
            "wheeling_micro_credits_per_kwh": parameters.wheeling,
            "currency": self._app.home.settings.billing.currency or None,
            "last_epoch": last[0] if last else None,
            "last_micro_credits_per_kwh": last[1] if last else None,
        }
        told = {topics.MARKET_PRICE: price}
        found = _seats(seats)
        for gateway, index in indexes.items():
            if index < len(found):
                seat = found[index]
                told[topics.budget(gateway)] = {**span, "credit_micro_credits": seat.credit, "energy_wh": seat.energy}
        return told


def _seats(data: bytes | None) -> list[Seat]:
    return [] if data is None else list(Seat.array(data, Seats.size(), Seats.from_account(data).capacity))


def _last_price(session: Session, epoch: int) -> tuple[int, int] | None:
    """The last book that traded and may be told of: its epoch and its price."""
    row = session.execute(
        select(SettlementEpoch.epoch, SettlementEpoch.clearing_price)
        .where(
            SettlementEpoch.epoch >= epoch - LAST_EPOCHS,
            SettlementEpoch.publishable.is_(True),
            SettlementEpoch.checkpointed_ms.is_not(None),
            SettlementEpoch.clearing_price.is_not(None),
        )
        .order_by(SettlementEpoch.epoch.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else (row.epoch, row.clearing_price)


def _sole_members(session: Session) -> Mapping[str, int]:
    """The gateways whose meters are all one member's that is on the chain, with its index there."""
    members: dict[str, set[int | None]] = defaultdict(set)
    rows = session.execute(
        select(Meter.gateway_name, User.member_index)
        .join(User, User.id == Meter.user_id)
        .where(Meter.state != METER_RETIRED)
        .order_by(Meter.gateway_name)
    )
    for gateway, index in rows:
        members[gateway].add(index)
    return {
        gateway: index for gateway, found in members.items() if len(found) == 1 for index in found if index is not None
    }
