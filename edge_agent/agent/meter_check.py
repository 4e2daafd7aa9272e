"""Before enrolling: is the meter on each line the one that gateway.toml describes?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from edge_agent.agent.enrolment import MeterUnreachableError
from edge_agent.config import MeterSettings
from edge_agent.meters import MapMismatchError, MeterDriver, MeterError, open_meter
from edge_agent.meters.errors import WrongMeterError
from edge_agent.meters.lines import OpenMeter
from edge_agent.wire.meter_map import CUMULATIVE


def probe_meters(
    meters: Sequence[MeterSettings], *, tell: Callable[[str], None], open_driver: OpenMeter = open_meter
) -> None:
    """Read each meter's name over its line and compare it with the map's; EnrolmentError `meter_unreachable` or
    `wrong_meter` for the first that does not fit.

    Where the map does not fit what the meter shows, such as a register without a unit, that is told: the meter can be
    enrolled all the same, and signs nothing before map or meter is repaired.
    """
    for meter in meters:
        expected = meter.map.logical_device_name
        if meter.protocol == "push":
            tell(f"{meter.name}: listening on {meter.port} for up to {meter.listen_seconds:g} s")
        try:
            driver = open_driver(meter, meter.map, lambda stage, count: None)
            try:
                identity = driver.identity()
                if identity == expected and meter.map.profile_kind == CUMULATIVE:
                    _look_at_registers(driver, meter, tell)
            finally:
                driver.close()
        except WrongMeterError as error:
            raise WrongMeterError(f"meter {meter.name!r} on {meter.port}: {error}") from error
        except MeterError as error:
            raise MeterUnreachableError(
                f"meter {meter.name!r} on {meter.port} cannot be read: {error}. Put that right, or use --no-probe",
            ) from error
        if identity != expected:
            raise WrongMeterError(
                f"the meter on {meter.port} says that it is {identity!r}, the map of {meter.name!r} says {expected!r}; "
                "check the wiring and the serial number before this gateway signs for it",
            )
        tell(f"{meter.name}: {identity} answers on {meter.port}")


def _look_at_registers(driver: MeterDriver, meter: MeterSettings, tell: Callable[[str], None]) -> None:
    """Tell what does not fit; whether there is a row yet does not matter."""
    now = int(time.time())
    try:
        driver.rows(now - meter.map.capture_period, now)
    except MapMismatchError as error:
        tell(f"{meter.name}: WARNING, its map does not fit, and nothing is signed before that is repaired: {error}")
    except MeterError as error:
        tell(f"{meter.name}: its registers could not be looked at now: {error}")
