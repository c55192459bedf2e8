"""Made-up basins of one bucket each, whose outflow remembers the rain: series to be hidden and found again."""

from __future__ import annotations

import numpy as np
import torch

import pydiffgeo as dg

DAYS = np.arange("2000-01-01", "2004-01-01", dtype="datetime64[D]")
VARIABLES = ("precipitation", "temperature", "runoff")
PERIOD = ("2000-01-01", "2002-12-31")


def make_series(count: int = 8, seed: int = 0) -> dg.nn.SiteData:
    """Sites whose bucket drains by a share that follows from their attribute."""
    random, n = np.random.default_rng(seed), len(DAYS)
    slope = np.linspace(-1.0, 1.0, count)
    k = 0.08 * 2.0**slope
    year = 2 * np.pi * np.arange(n) / 365.25
    rain = random.gamma(0.3, 12.0, (count, n)) * (1 + 0.5 * np.cos(year))
    warmth = 10.0 - 8.0 * np.cos(year) + random.normal(0.0, 2.0, (count, n))
    store, runoff = np.full(count, 30.0), np.empty((count, n))
    for t in range(n):
        runoff[:, t] = k * store
        store += np.maximum(rain[:, t] - 0.15 * np.maximum(warmth[:, t], 0.0), -0.5 * store) - runoff[:, t]
    forcing = {"precipitation": torch.from_numpy(rain), "temperature": torch.from_numpy(warmth)}
    names = tuple(f"site {i}" for i in range(count))
    attributes = torch.from_numpy(slope[:, None].copy())
    return dg.nn.SiteData(names, DAYS, forcing, torch.from_numpy(runoff), attributes, ("slope",), "runoff")
