"""Drivers: what a meter on a line gives, as the four cumulative registers of the signed reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.meters.dlms_pull import DlmsPullDriver
from edge_agent.meters.driver import IntervalRow, MeterDriver, Observer
from edge_agent.meters.errors import (
    BadAnswerError,
    MapMismatchError,
    MeterError,
    MeterRefusedError,
    MeterTimeoutError,
    NotDlmsError,
    PortUnavailableError,
    WrongMeterError,
    WrongPasswordError,
)

if TYPE_CHECKING:
    from edge_agent.config import MeterSettings
    from edge_agent.meter_map import MeterMap


def open_meter(settings: MeterSettings, map: MeterMap, observe: Observer | None = None) -> MeterDriver:
    """The driver for a meter on its line; PortUnavailableError where the line cannot be opened."""
    return DlmsPullDriver(settings, map, observe=observe)


__all__ = [
    "BadAnswerError",
    "DlmsPullDriver",
    "IntervalRow",
    "MapMismatchError",
    "MeterDriver",
    "MeterError",
    "MeterRefusedError",
    "MeterTimeoutError",
    "NotDlmsError",
    "Observer",
    "PortUnavailableError",
    "WrongMeterError",
    "WrongPasswordError",
    "open_meter",
]
