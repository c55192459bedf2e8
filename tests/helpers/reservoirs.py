"""A reservoir with observations of outflow and storage, and a site of it."""

from __future__ import annotations

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.calibration import Site, Strategy

RESERVOIR = dg.Model(
    name="Reservoir",
    graph=dg.single_cell(),
    states=(dg.State("storage", "mm", "water", default=10.0, low=0.0),),
    parameters=(
        dg.Parameter("k", "d-1", "outflow per storage", 0.2, low=0.0, open_low=True, typical=(0.01, 2.0), log=True),
        dg.Parameter("gain", "1", "share of rain that arrives", 1.0, low=0.0, typical=(0.2, 1.5)),
    ),
    forcings=(dg.ForcingVariable("rain", "mm d-1", "rain", low=0.0),),
    fluxes=(
        dg.IntegratedFlux("rain", "mm", "rain that arrives", +1),
        dg.IntegratedFlux("outflow", "mm", "outflow", -1),
    ),
    source=lambda cell, forcing: {
        "storage": cell.gain * forcing.rain - cell.k * cell.storage,
        "rain": cell.gain * forcing.rain,
        "outflow": cell.k * cell.storage,
    },
)
TRUE = {"k": 0.3, "gain": 0.8}
DAYS = 40
RAIN = torch.from_numpy(np.random.default_rng(1).gamma(0.4, 8.0, DAYS))
SETTINGS = {"engine": "sundials", "rtol": 1e-8, "atol": 1e-8}
QUICK = Strategy(candidates=8, starts=3, finalists=2, steps=25)


def truth(**settings):
    return dg.solve(RESERVOIR, TRUE, forcing={"rain": RAIN}, times=np.arange(DAYS + 1.0), **{**SETTINGS, **settings})


def observations(noise=0.0, first=0, last=DAYS, seed=0):
    """Daily outflow and storage at odd times, with gaps and errors of their own."""
    random, solution = np.random.default_rng(seed), truth()
    days = np.stack([np.arange(first, last), np.arange(first, last) + 1.0], axis=1)
    outflow = dg.observe.flux_means(solution, "outflow", days).numpy() + noise * 0.2 * random.normal(size=len(days))
    outflow[::9] = np.nan
    when = np.sort(random.uniform(first, last, 12))
    storage = dg.observe.values_at(solution, "storage", when).numpy() + noise * random.normal(size=12)
    return (
        dg.observe.Observation("outflow", "flux_mean", days, outflow, error=0.2),
        dg.observe.Observation("storage", "value", when, storage, error=1.0),
    )


def site(name="reservoir", seen=None, **changes):
    given = {"bounds": {"k": None, "gain": None}, "settings": SETTINGS, "loss": "gaussian", **changes}
    return Site(
        name, RESERVOIR, np.arange(DAYS + 1.0), {"rain": RAIN}, observations() if seen is None else seen, **given
    )
