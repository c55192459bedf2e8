"""Daily weather made by a small generator: the same series on every machine."""

from __future__ import annotations

import numpy as np

from ..arrays import Array

# NumPy keeps the stream of RandomState as it is for ever (NEP 19); that of its newer generators may change.
Random = np.random.RandomState
# Ten years.
DAYS = 3653


def daily_rain(days: int, seed: int = 1977, scale: float = 1.0) -> Array:
    """Rain (mm/d): wet days follow a two-state Markov chain, amounts are exponential (Richardson 1981)."""
    random = Random(seed)
    chance, draw = random.random_sample(days), random.random_sample(days)
    season = 1 + 0.3 * np.cos(2 * np.pi * (np.arange(days) - 20) / 365.25)
    rain = np.zeros(days)
    wet = False
    for day in range(days):
        wet = bool(chance[day] < (0.60 if wet else 0.22) * min(season[day], 1.2))
        if wet:
            rain[day] = -4.5 * season[day] * scale * np.log1p(-draw[day])
    return np.round(rain, 1)


def daily_temperature(days: int, mean: float = 6.0, seed: int = 2014) -> Array:
    """Mean daily air temperature (degC): a yearly wave and autocorrelated departures."""
    random = Random(seed)
    uniform = random.random_sample((days, 12)).sum(axis=1) - 6.0  # close to a standard normal
    departure = np.zeros(days)
    for day in range(1, days):
        departure[day] = 0.75 * departure[day - 1] + 2.2 * uniform[day]
    return np.round(mean - 11.0 * np.cos(2 * np.pi * (np.arange(days) - 20) / 365.25) + departure, 2)


def daylength(days: int, latitude: float = 45.0) -> Array:
    """Hours from sunrise to sunset, from the sun's declination (Cooper 1969); day 0 is 1 January."""
    declination = np.radians(23.45) * np.sin(2 * np.pi * (284 + 1 + np.arange(days)) / 365.25)
    return np.asarray(24 / np.pi * np.arccos(-np.tan(np.radians(latitude)) * np.tan(declination)))


def basin_weather(days: int) -> tuple[Array, Array, Array]:
    """Precipitation (mm/d), temperature (degC) and daylength (h) of a cool, wet place: the first of three years."""
    whole = 1096
    return daily_rain(whole, seed=1980)[:days], daily_temperature(whole)[:days], daylength(whole)[:days]
