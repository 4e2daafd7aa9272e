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


class PublicDay(Base):
    """A day of the whole campus as the public is told it (authority.measures.public_days), once and for good.

    ended is the next day's beginning. members had meters in the day; those measured were heard, and their intervals
    (of which the day has so many) are netted together where all of them were read. The energies are None where none
    was measured, or too few members are in one of them; withdrawn_wh and minted_wh, of what was settled, likewise.
    books_withheld and traded_wh are the market's (MarketDay); the values are energy x price of the books that traded,
    each rounded down, at their price, the retail and the feed-in price, and wheeling. co2_g_per_kwh and co2_source are
    what was set then; None: nothing was.
    """

    __tablename__ = "public_days"

    day: Mapped[Seconds] = mapped_column(primary_key=True, autoincrement=False)
    ended: Mapped[Seconds]
    members: Mapped[int]
    members_measured: Mapped[int]
    intervals: Mapped[int]
    intervals_measured: Mapped[int]
    generation_wh: Mapped[BigInt | None]
    consumption_wh: Mapped[BigInt | None]
    used_locally_wh: Mapped[BigInt | None]
    imported_wh: Mapped[BigInt | None]
    exported_wh: Mapped[BigInt | None]
    withdrawn_wh: Mapped[BigInt | None]
    minted_wh: Mapped[BigInt | None]
    books_withheld: Mapped[int]
    traded_wh: Mapped[BigInt]
    price_value: Mapped[BigInt]
    retail_value: Mapped[BigInt]
    feed_in_value: Mapped[BigInt]
    wheeling_value: Mapped[BigInt]
    co2_g_per_kwh: Mapped[int | None]
    co2_source: Mapped[str | None]


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
