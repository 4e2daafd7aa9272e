"""Drivers: what a meter on a line gives, as the four cumulative registers of the signed reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_agent.meters.driver import IntervalRow, MeterDriver, Observer
from edge_agent.meters.errors import (
    BadAnswerError,
    LayoutFileError,
    MapMismatchError,
    MeterError,
    MeterRefusedError,
    MeterTimeoutError,
    NotDlmsError,
    PortUnavailableError,
    WrongMeterError,
    WrongPasswordError,
)
from edge_agent.wire.meter_map import CUMULATIVE

if TYPE_CHECKING:
    from edge_agent.config import MeterSettings
    from edge_agent.wire.meter_map import MeterMap


def open_meter(settings: MeterSettings, map: MeterMap, observe: Observer | None = None) -> MeterDriver:
    """The driver for a meter on its line; PortUnavailableError where the line cannot be opened.

    A driver is imported when the first meter needs it: a gateway of one kind of meter has no memory for the others.
    """
    if settings.layouts is not None and settings.protocol == "push":
        from edge_agent.dlms.push.layouts import LayoutError, add_folder  # noqa: PLC0415

        try:
            add_folder(str(settings.layouts))
        except LayoutError as error:
            raise LayoutFileError(str(error)) from error
    if settings.protocol != "dlms" and map.profile_kind != CUMULATIVE:
        raise MapMismatchError(
            f"only a load profile read over DLMS can hold increments; {settings.protocol} brings cumulative registers"
        )
    if settings.protocol == "mode-c":
        from edge_agent.meters.iec21 import ModeCDriver  # noqa: PLC0415

        return ModeCDriver(settings, map, initial_baud_rate=settings.baudrate, observe=observe)
    if settings.protocol == "push":
        from edge_agent.meters.push_listener import PushDriver  # noqa: PLC0415

        return PushDriver(settings, map, observe=observe)
    from edge_agent.meters.dlms_pull import DlmsPullDriver  # noqa: PLC0415

    return DlmsPullDriver(settings, map, observe=observe)


__all__ = [
    "BadAnswerError",
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
