"""Nine made-up basins to learn from, and a network for them."""

from __future__ import annotations

import numpy as np
import torch

import pydiffgeo as dg

MODEL = dg.models.ExpHydro()
FIXED = {"Q_max": 15.0, "T_max": 1.0, "T_min": -1.0, "S_max": 200.0}
BOUNDS = {"f": (0.01, 0.1), "D_f": (0.5, 5.0)}
SETTINGS = {"engine": "sundials", "rtol": 1e-5, "atol": 1e-5, "initial": {"water_storage": 150.0}}
DAYS = np.arange("2000-01-01", "2000-07-01", dtype="datetime64[D]")

TRAINING = dg.nn.Training(steps=40, batch=6, window=60, warmup=60, learning_rate=0.05, settings=SETTINGS)
BRIEF = dg.nn.Training(
    steps=6,
    batch=3,
    window=20,
    warmup=5,
    tuning=25,
    check_every=2,
    measure="log",
    noise=0.3,
    average=0.9,
    learning_rate=0.1,
    settings={**SETTINGS, "rtol": 1e-3, "atol": 1e-3},
)


def network(**settings):
    return dg.nn.ParameterNetwork(MODEL, ["slope", "noise"], bounds=BOUNDS, fixed=FIXED, hidden=(8,), **settings)


def true_f(slope):
    return 0.012 * 7.0 ** ((slope + 1) / 2)


def efficiency(net, data):
    # The record begins with the storage that the sites began with.
    solution = dg.nn.predict(net, data, warmup=0, **SETTINGS)
    return dg.losses.nse(solution.fluxes["runoff"], data.observed)


def make_sites():
    """Nine sites whose `f` follows from their slope; a tenth of the observations is missing."""
    random, n, count = np.random.default_rng(2), len(DAYS), 9
    slope = np.linspace(-1.0, 1.0, count)
    forcing = {
        "precipitation": random.gamma(0.4, 12.0, (count, n)),
        "temperature": -4.0 + 28.0 * np.arange(n) / n + random.normal(0.0, 3.0, (count, n)),
        "daylength": np.full((count, n), 12.0),
    }
    forcing = {k: torch.from_numpy(v) for k, v in forcing.items()}
    f = torch.from_numpy(true_f(slope)).unsqueeze(1)
    runoff = dg.solve(MODEL, {**FIXED, "f": f, "D_f": 2.0}, forcing=forcing, times=np.arange(n + 1.0), **SETTINGS)
    observed = runoff.fluxes["runoff"].clone()
    observed[torch.from_numpy(random.random(observed.shape) < 0.1)] = torch.nan
    attributes = torch.from_numpy(np.stack([slope, random.normal(size=count)], axis=1))
    names = tuple(f"site {i}" for i in range(count))
    return dg.nn.SiteData(names, DAYS, forcing, observed, attributes, ("slope", "noise"), "runoff")


def held_out(sites):
    """Six sites to learn from, and three between them that are left out."""
    out = ["site 1", "site 4", "site 7"]
    return sites.take([name for name in sites.names if name not in out]), sites.take(out)
