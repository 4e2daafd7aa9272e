"""Before enrolling: is the meter on each line the one that gateway.toml describes?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edge_agent.agent.enrolment import EnrolmentError
from edge_agent.config import MeterSettings
from edge_agent.meters import MeterError, open_meter
from edge_agent.meters.lines import OpenMeter


def probe_meters(
    meters: Sequence[MeterSettings], *, tell: Callable[[str], None], open_driver: OpenMeter = open_meter
) -> None:
    """Read each meter's logical device name over its line and compare it with the map's.

    EnrolmentError `meter_unreachable` or `wrong_meter` for the first that does not fit.
    """
    for meter in meters:
        expected = meter.map.logical_device_name
        try:
            driver = open_driver(meter, meter.map, lambda stage, count: None)
            try:
                identity = driver.identity()
            finally:
                driver.close()
        except MeterError as error:
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
