"""Before enrolling: is the meter on each line the one that gateway.toml describes?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from edge_agent.agent.enrolment import EnrolmentError
from edge_agent.config import MeterSettings
from edge_agent.meters import MapMismatchError, MeterError, open_meter
from edge_agent.meters.lines import OpenMeter
from edge_agent.wire.meter_map import CUMULATIVE


def probe_meters(
    meters: Sequence[MeterSettings], *, tell: Callable[[str], None], open_driver: OpenMeter = open_meter
) -> None:
    """Read each meter's name over its line and compare it with the map's, and see whether the map fits what it shows.

    EnrolmentError `meter_unreachable`, `wrong_meter` or `map_mismatch` for the first that does not fit.
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
                    # Whether there is a row yet does not matter: a register without a unit, or none at all, shows here.
                    now = int(time.time())
                    driver.rows(now - meter.map.capture_period, now)
            finally:
                driver.close()
        except MeterError as error:
            if isinstance(error, MapMismatchError):
                raise EnrolmentError("map_mismatch", f"meter {meter.name!r} on {meter.port}: {error}") from error
            if error.code == "wrong_meter":
                raise EnrolmentError("wrong_meter", f"meter {meter.name!r} on {meter.port}: {error}") from error
            raise EnrolmentError(
                "meter_unreachable",
                f"meter {meter.name!r} on {meter.port} cannot be read: {error}. Mend that, or use --no-probe",
            ) from error
        if identity != expected:
            raise EnrolmentError(
                "wrong_meter",
                f"the meter on {meter.port} says that it is {identity!r}, the map of {meter.name!r} says {expected!r}; "
                "check the wiring and the serial number before this gateway signs for it",
            )
        tell(f"{meter.name}: {identity} answers on {meter.port}")
