"""Sums by day of the site's calendar, so that a member's year is read as some hundred rows, however many readings.

They are derived: authority.settlement.day_sums makes them from frames and books, and makes them again where those
change afterwards. Days begin at the site's midnight, Unix seconds; energies are Wh, amounts micro-credits.
"""

from __future__ import annotations

from sqlalchemy import ForeignKey, LargeBinary, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from authority.store.base import Base, BigInt, Name, Seconds
from authority.store.metering import Meter, MeterTenure


class EnergyDay(Base):
    """What a member's meters measured in a day: the spans between the boundaries at which all that were heard stand.

    heard are the meters with a reading in the day, by Meter.id, four bytes each (little endian). first_boundary and
    last_boundary are the first and last moments at which each of those has one (None: never), measured_seconds is for
    how long between them the flows are known. spans is how many spans the flows are of.
    """

    __tablename__ = "energy_days"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - as SQLAlchemy wants it

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    day: Mapped[Seconds] = mapped_column(primary_key=True, autoincrement=False)
    heard: Mapped[bytes] = mapped_column(LargeBinary)
    first_boundary: Mapped[Seconds | None]
    last_boundary: Mapped[Seconds | None]
    measured_seconds: Mapped[BigInt]
    spans: Mapped[int]
    made_wh: Mapped[BigInt]
    from_battery_wh: Mapped[BigInt]
    drawn_wh: Mapped[BigInt]
    used_wh: Mapped[BigInt]
    into_battery_wh: Mapped[BigInt]
    given_wh: Mapped[BigInt]


class EnergyDaysKept(Base):
    """How far a member's days are kept: those that end at or before `until`, of the meters and the zone in basis.

    log_index is the last frame's that was there then: what came after it for such a day is not in the sums.
    """

    __tablename__ = "kept_energy_days"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    basis: Mapped[str]
    until: Mapped[Seconds]
    log_index: Mapped[BigInt]


class TradeDay(Base):
    """What a member, by its index in the registry, traded in the epochs that began in a day.

    Paid is with wheeling, received after the fee. Days without a trade have no row.
    """

    __tablename__ = "trade_days"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - as SQLAlchemy wants it

    member_index: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[Seconds] = mapped_column(primary_key=True, autoincrement=False)
    bought_wh: Mapped[BigInt]
    paid_micro_credits: Mapped[BigInt]
    sold_wh: Mapped[BigInt]
    received_micro_credits: Mapped[BigInt]


class TradeDaysKept(Base):
    """How far trades and the market's days are kept (one row): days of that zone whose epochs precede until_epoch."""

    __tablename__ = "kept_trade_days"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    zone: Mapped[Name]
    until_epoch: Mapped[BigInt]


class MarketDay(Base):
    """What the public is told of the books of the epochs that began in a day; kept as far as TradeDaysKept says.

    epochs is how many are done with, withheld how many of their books are not in the sums; value_micro_credits is
    energy x price, rounded down for each book. Prices are micro-credit per kWh, None where nothing traded.
    """

    __tablename__ = "market_days"

    day: Mapped[Seconds] = mapped_column(primary_key=True, autoincrement=False)
    epochs: Mapped[int]
    withheld: Mapped[int]
    traded_wh: Mapped[BigInt]
    value_micro_credits: Mapped[BigInt]
    lowest_price: Mapped[BigInt | None]
    highest_price: Mapped[BigInt | None]


def energy_changed(session: Session, meter_pk: int, interval_end: int) -> None:
    """A reading from before now counts from now on: the days that it is in are made again, and those after them."""
    before = interval_end - 1
    for whose in (
        select(Meter.user_id).where(Meter.id == meter_pk),
        select(MeterTenure.user_id).where(MeterTenure.meter_pk == meter_pk),
    ):
        kept = update(EnergyDaysKept).where(EnergyDaysKept.user_id.in_(whose), EnergyDaysKept.until > before)
        session.execute(kept.values(until=before))


def trades_changed(session: Session, first_epoch: int) -> None:
    """The books from that epoch on are made again, and the sums of their days with them."""
    kept = update(TradeDaysKept).where(TradeDaysKept.until_epoch > first_epoch)
    session.execute(kept.values(until_epoch=first_epoch))
