"""Sun and wind over the simulated campus: simple models of the literature, with seeded weather.

- Where the sun is: NOAA's equations (authority.collector.sun).
- Clear sky: Haurwitz (1945), global horizontal irradiance = 1098 cos(z) exp(-0.057 / cos(z)) W/m2, z the zenith angle.
- Clouds: Kasten and Czeplak (1980), a cover of n (0 to 1) leaves 1 - 0.75 n^3.4 of it. The cover is a day's own (clear,
  mixed or overcast, a Markov chain with the chances below) plus an autoregressive walk from interval to interval.
- Wind at the hub: a Weibull distribution of shape 2 and mean 6 m/s, its place in it an autoregressive walk in normal
  space, so that gusts last as long as intervals do. Power rises with the cube from 3 to 12 m/s and ends at 25 m/s.

Everything here is a float; energy becomes whole milliwatt-hours where a meter counts it (authority.simulation.meters).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from authority.collector.sun import elevation
from authority.simulation.seeds import Seed

DAY_SECONDS = 86_400
HORIZON_SINE = 0.02
"""Below this sine of the elevation a plant gives nothing."""
DAY_KINDS = ("clear", "mixed", "overcast")
COVER = {"clear": 0.15, "mixed": 0.55, "overcast": 0.9}
"""A day's own cloud cover."""
NEXT_DAY = {"clear": (0.6, 0.3, 0.1), "mixed": (0.3, 0.4, 0.3), "overcast": (0.15, 0.35, 0.5)}
"""The chances of the kinds, after a day of one kind."""
COVER_SPREAD = 0.18
MEMORY_SECONDS = 7_200.0
"""How long clouds and wind remember: the time constant of both walks."""
MEAN_WIND = 6.0
CUT_IN, RATED, CUT_OUT = 3.0, 12.0, 25.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where the campus lies, degrees; north and east positive."""

    latitude: float = 48.2
    longitude: float = 16.37


@dataclass(frozen=True, slots=True)
class Weather:
    """One interval's: irradiance on the ground in W/m2, and what share of its rated power a wind turbine gives."""

    irradiance: float
    wind_share: float


def clear_sky(sine: float) -> float:
    """Global horizontal irradiance under a clear sky, W/m2, by the sine of the sun's elevation."""
    return 0.0 if sine <= HORIZON_SINE else 1_098.0 * sine * math.exp(-0.057 / sine)


def through_clouds(cover: float) -> float:
    """The share of the irradiance that a cloud cover (0 to 1) leaves."""
    return float(1.0 - 0.75 * cover**3.4)


def wind_speed(place: float) -> float:
    """The wind in m/s at a place (standard normal) of its distribution."""
    scale = MEAN_WIND / math.gamma(1.5)
    below = 0.5 * math.erfc(-place / math.sqrt(2))
    return scale * math.sqrt(-math.log(max(1.0 - below, 1e-12)))


def turbine_share(speed: float) -> float:
    """The share of its rated power that a turbine gives at a wind, m/s."""
    if not CUT_IN <= speed < CUT_OUT:
        return 0.0
    return min(1.0, (speed**3 - CUT_IN**3) / (RATED**3 - CUT_IN**3))


class Sky:
    """The weather, interval after interval; the same for a seed."""

    def __init__(self, site: Site, seed: Seed, seconds: int) -> None:
        self._site = site
        self._seconds = seconds
        self._random = seed.random("weather")
        self._keep = math.exp(-seconds / MEMORY_SECONDS)
        self._push = math.sqrt(1.0 - self._keep**2)
        self._day = -1
        self._kind = "mixed"
        self._clouds = self._random.gauss(0.0, 1.0)
        self._wind = self._random.gauss(0.0, 1.0)

    def next(self, start: int) -> Weather:
        """The weather of the interval that starts then (Unix seconds), which follows the one asked for before."""
        day = (start + int(self._site.longitude * 240)) // DAY_SECONDS  # by the sun's time
        if day != self._day:
            self._day = day
            self._kind = self._random.choices(DAY_KINDS, NEXT_DAY[self._kind])[0]
        self._clouds = self._keep * self._clouds + self._push * self._random.gauss(0.0, 1.0)
        self._wind = self._keep * self._wind + self._push * self._random.gauss(0.0, 1.0)
        middle = start + self._seconds // 2
        sine = math.sin(math.radians(elevation(middle, self._site.latitude, self._site.longitude)))
        cover = min(1.0, max(0.0, COVER[self._kind] + COVER_SPREAD * self._clouds))
        return Weather(clear_sky(sine) * through_clouds(cover), turbine_share(wind_speed(self._wind)))
