"""Where the sun is, so that solar generation at night is noticed.

The equations are those of NOAA's "General Solar Position Calculations" (fractional year, equation of time, declination,
zenith): good to about half a degree. Angles are floats; no energy passes through here.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

NIGHT_DEGREES = -6.0
"""Below this elevation, the end of civil twilight, photovoltaic generation is not plausible."""

_STEP_SECONDS = 600


def elevation(time: int, latitude: float, longitude: float) -> float:
    """The sun's elevation above the horizon in degrees; time in Unix seconds, north and east positive."""
    moment = datetime.fromtimestamp(time, UTC)
    year = datetime(moment.year, 1, 1, tzinfo=UTC)
    days = datetime(moment.year + 1, 1, 1, tzinfo=UTC) - year
    g = 2 * math.pi * ((moment - year) / days)  # fractional year
    equation_of_time = 229.18 * (
        0.000075
        + 0.001868 * math.cos(g)
        - 0.032077 * math.sin(g)
        - 0.014615 * math.cos(2 * g)
        - 0.040849 * math.sin(2 * g)
    )  # minutes
    declination = (
        0.006918
        - 0.399912 * math.cos(g)
        + 0.070257 * math.sin(g)
        - 0.006758 * math.cos(2 * g)
        + 0.000907 * math.sin(2 * g)
        - 0.002697 * math.cos(3 * g)
        + 0.00148 * math.sin(3 * g)
    )
    minutes = (time % 86_400) / 60 + equation_of_time + 4 * longitude  # true solar time
    hour_angle = math.radians(minutes / 4 - 180)
    phi = math.radians(latitude)
    sine = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine))))


def is_night(start: int, end: int, latitude: float, longitude: float) -> bool:
    """Whether the sun stays below civil twilight from start to end (Unix seconds): both, and every ten minutes between.

    A span of more than a day has daylight, or a polar night that no check of this kind should judge: it is no night.
    """
    if not 0 <= end - start <= 86_400:
        return False
    moments = [*range(start, end, _STEP_SECONDS), end]
    return all(elevation(moment, latitude, longitude) < NIGHT_DEGREES for moment in moments)
