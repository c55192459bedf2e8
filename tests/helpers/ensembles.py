"""A made-up climate: a pattern that follows one mean, and members that differ by noise which remembers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def noise(members: int, years: int, places: int, random: np.random.Generator, *, memory=0.6, sd=0.5) -> Array:
    """AR(1) noise of each place by itself, `(members, years, places)`, in its steady state."""
    out = np.empty((members, years, places))
    out[:, 0] = random.normal(0, sd, (members, places))
    for t in range(1, years):
        out[:, t] = memory * out[:, t - 1] + random.normal(0, sd * np.sqrt(1 - memory**2), (members, places))
    return out


def pattern(places: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Slopes with a weighted mean of exactly one, and the weights."""
    weights = np.cos(np.linspace(-1.4, 1.4, places))
    slopes = random.uniform(0.2, 2.5, places)
    return slopes / np.average(slopes, weights=weights), weights


def warming(years: int, last: float) -> Array:
    """A driver that rises ever faster, to a mean warming of `last`."""
    return last * np.linspace(0, 1, years) ** 1.5
