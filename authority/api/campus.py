"""The campus now: the public view that the page, the JSON and the event stream share.

Integers only, with the unit in every name: `_w` watts, `_wh` watt-hours, `_seconds`, `_at` Unix seconds (UTC),
`_micro_credits_per_kwh` prices. What is not known is null, never a guess; what is old carries its time.
"""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from authority.errors import AuthorityError

ROLES = Literal["building", "generation", "storage", "load", "grid", "submeter"]
SOURCES = Literal["none", "solar", "wind", "hydro", "other"]
EPOCH_STATES = Literal["collecting", "submitted", "minted", "clearing", "settled", "checkpointed"]


def described(text: str) -> Any:
    """A dataclass field with the sentence that the API's documentation shows for it."""
    return dataclasses.field(metadata={"description": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterNow:
    """One meter of a building, as last heard."""

    name: str = described("The meter's name at its gateway.")
    role: ROLES = described("What the meter measures; a submeter is shown and never settled.")
    source: SOURCES = described("The renewable source behind a generation or building meter.")
    power_w: int | None = described(
        "Live power, import positive; null if none was ever heard. Unsigned, for display only."
    )
    power_at: int | None = described("When the gateway took the live power.")
    interval_end_at: int | None = described("The end of the last signed interval reading.")
    generation_w: int | None = described("Mean generation over the last signed interval.")
    consumption_w: int | None = described("Mean consumption over the last signed interval.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildingNow:
    """One public building: generation and consumption behind its meters."""

    name: str = described("The building.")
    generation_w: int | None = described("Power generated from renewables.")
    consumption_w: int | None = described("Power used in the building (charging a battery not included).")
    storage_w: int | None = described("Power into the battery, negative out of it; null without a battery.")
    basis: Literal["live", "interval", "none"] = described(
        "live: from the meters' live power; interval: the mean of the last signed interval; none: nothing heard yet."
    )
    measured_at: int | None = described("The oldest of the measurements that these powers are made of.")
    stale_after_seconds: int = described("Older than this, the figures count as stale.")
    late_seconds: int = described(
        "How late its figures are told at least: of homes 900, as whole quarters of an hour; else 0."
    )
    minted_wh: int | None = described("Energy tokens ever minted for the building's public members.")
    meters: tuple[MeterNow, ...] = described("The building's meters.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochNow:
    """The running market epoch."""

    number: int = described("floor(time / epoch_seconds).")
    starts_at: int = described("Its first second.")
    ends_at: int = described("Its end; the meters' registers are read here and the book is cleared.")
    readings: int = described("Signed readings of the interval that ended when this epoch began, received so far.")
    readings_expected: int = described("Active meters.")
    bids: int | None = described(
        "Bids in the open book, as far as it may be told; null while it is not open, or of too few members."
    )
    asks: int | None = described("Asks in the open book.")
    bid_wh: int | None = described("Energy asked for; null where too few members are in the book, see /market.")
    ask_wh: int | None = described("Energy on offer; null where too few members are in the book.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochPast:
    """A recent epoch: the energy metered in it, and its book."""

    number: int = described("The epoch.")
    ends_at: int = described("Its end.")
    state: EPOCH_STATES = described("How far its settlement has come.")
    readings_on_chain: int = described(
        "Readings of the interval that ended with this epoch, accepted by the oracle program."
    )
    minted_wh: int | None = described(
        "Energy tokens minted for the energy metered in it; null where too few members were, or it is not settled yet."
    )
    orders: int | None = described("Orders that its book held; null where too few members ordered, or it is not final.")
    traded_wh: int | None = described(
        "Energy that changed hands in its book; null where too few members traded, or its book is not final yet."
    )
    clearing_price_micro_credits_per_kwh: int | None = described(
        "Its uniform price; null where nothing traded, or traded_wh is null."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyTokens:
    """Where all energy tokens are. minted = held + escrow + retired, or something is wrong."""

    minted_wh: int | None = described("Ever minted; all four are null while that is of too few members.")
    held_wh: int | None = described("In members' token accounts.")
    escrow_wh: int | None = described("In the market: in members' seats there, and behind open asks.")
    retired_wh: int | None = described("Ever minted less the supply.")
    conserved: bool = described("Whether minted = held + escrow + retired, counted on the chain.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What carries and settles the readings."""

    transport: Literal["mqtt", "https"] | None = described("How gateways deliver readings.")
    validator: str | None = described("The validator's name and version; null while it does not answer.")
    slot: int | None = described("Its current slot.")
    chain_read_at: int | None = described("When the figures from the chain were last read.")
    log_size: int | None = described("Leaves in the audit log at the last checkpoint on the chain.")
    log_root: str | None = described("The log's Merkle root there, hex.")
    checkpoint_epoch: int | None = described("The epoch whose checkpoint that is.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Campus:
    """The campus now."""

    time: int = described("When this view was made (the authority's clock, Unix seconds).")
    campus: str = described("The campus network's name.")
    notice: str | None = described(
        "What every reader should know of this deployment, such as that it is a demonstration, or is paused."
    )
    network_id: str | None = described("The deployment's network id, hex.")
    epoch_seconds: int = described("The length of a market epoch.")
    epoch: EpochNow = described("The running epoch.")
    buildings: tuple[BuildingNow, ...] = described("The buildings flagged public.")
    energy: EnergyTokens | None = described("Conservation of the energy tokens; null until the chain was read.")
    history: tuple[EpochPast, ...] = described("Recent epochs, oldest first.")
    service: Service = described("Transport, validator, last checkpoint.")
    stands: bool = dataclasses.field(
        default=False, metadata={"description": "Whether the view stays as it was at `time`: the deployment is paused."}
    )

    def as_json(self) -> dict[str, Any]:
        """The view as plain JSON values."""
        return dataclasses.asdict(self)


class CampusSource(Protocol):
    """Where the view comes from: the store and the chain in service."""

    def now(self, history: int) -> Campus:
        """The campus now, with at most that many past epochs. Raises CampusUnavailableError."""
        ...


class CampusUnavailableError(AuthorityError):
    """Nothing can be shown: the store does not answer, or nothing was ever set up."""

    code = "campus_unavailable"


def last_minted(campus: Campus) -> EpochPast | None:
    """The newest past epoch whose surplus has been settled, so that its minted figure is final for members in time."""
    settled = (e for e in reversed(campus.history) if e.state not in ("collecting", "submitted"))
    return next((e for e in settled if e.minted_wh is not None), None)


def last_cleared(campus: Campus) -> EpochPast | None:
    """The newest past epoch in whose book something traded."""
    return next((e for e in reversed(campus.history) if e.clearing_price_micro_credits_per_kwh is not None), None)
