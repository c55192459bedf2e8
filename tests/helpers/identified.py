"""Inverse problems whose posteriors are known in closed form, and reservoirs of which only a product is seen."""

from __future__ import annotations

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.calibration import Prior, Site
from pydiffgeo.identify import ErrorModel, InverseProblem, of_function, of_site

DESIGN = torch.from_numpy(np.random.default_rng(3).normal(size=(40, 3)))
TRUTH = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
DAYS = 12
RAIN = torch.from_numpy(np.random.default_rng(5).gamma(0.5, 8.0, DAYS))


def linear(
    errors: ErrorModel | None = None, error: float = 0.5, seed: int = 0, priors: dict[str, Prior] | None = None
) -> InverseProblem:
    """`y = A x + noise`: the posterior is normal, with the covariance `error^2 (A'A)^-1` where there are no priors."""
    noise = torch.from_numpy(np.random.default_rng(seed).normal(size=len(DESIGN)))
    seen = DESIGN @ TRUTH + error * noise
    return of_function(
        lambda x: x @ DESIGN.T, ["a", "b", "c"], torch.zeros(3), seen, error, errors=errors, priors=priors
    )


def product_reservoir(engine: str) -> Site:
    """Rain `a` times what was measured, outflow `c k S`: only `a c` acts, and `k`."""
    model = dg.Model(
        name="ProductReservoir",
        graph=dg.single_cell(),
        states=(dg.State("S", "mm", "water", default=0.0, low=0.0),),
        parameters=tuple(
            dg.Parameter(name, unit, name, 0.5, low=0.0, open_low=True, typical=(0.05, 5.0), log=True)
            for name, unit in (("a", "1"), ("c", "1"), ("k", "d-1"))
        ),
        forcings=(dg.ForcingVariable("rain", "mm d-1", "rain", low=0.0),),
        fluxes=(
            dg.IntegratedFlux("rain", "mm", "rain", +1),
            dg.IntegratedFlux("loss", "mm", "loss", -1),
            dg.IntegratedFlux("q", "mm", "part of the loss that is seen", 0),
        ),
        source=lambda cell, forcing: {
            "S": cell.a * forcing.rain - cell.k * cell.S,
            "rain": cell.a * forcing.rain,
            "loss": cell.k * cell.S,
            "q": cell.c * cell.k * cell.S,
        },
    )
    days = np.stack([np.arange(DAYS), np.arange(DAYS) + 1.0], axis=1)
    return Site(
        "product",
        model,
        np.arange(DAYS + 1.0),
        {"rain": RAIN},
        (dg.observe.Observation("q", "flux_mean", days, np.ones(DAYS), error=0.1),),
        {"a": None, "c": None, "k": None},
        loss="gaussian",
        settings={"engine": engine},
    )


def parallel_reservoirs(engine: str, rates: tuple[float, float]) -> Site:
    """Two linear reservoirs that share the rain by halves; the sum of their outflows is observed each day."""
    model = dg.Model(
        name="ParallelReservoirs",
        graph=dg.single_cell(),
        states=tuple(dg.State(name, "mm", "water", default=5.0, low=0.0) for name in ("S_1", "S_2")),
        parameters=tuple(
            dg.Parameter(
                name, "d-1", "outflow per storage", 0.2, low=0.0, open_low=True, typical=(0.005, 5.0), log=True
            )
            for name in ("k_1", "k_2")
        ),
        forcings=(dg.ForcingVariable("rain", "mm d-1", "rain", low=0.0),),
        fluxes=(dg.IntegratedFlux("rain", "mm", "rain", +1), dg.IntegratedFlux("outflow", "mm", "outflow", -1)),
        source=lambda cell, forcing: {
            "S_1": forcing.rain / 2 - cell.k_1 * cell.S_1,
            "S_2": forcing.rain / 2 - cell.k_2 * cell.S_2,
            "rain": forcing.rain,
            "outflow": cell.k_1 * cell.S_1 + cell.k_2 * cell.S_2,
        },
    )
    days = np.stack([np.arange(DAYS), np.arange(DAYS) + 1.0], axis=1)
    site = Site(
        "parallel",
        model,
        np.arange(DAYS + 1.0),
        {"rain": RAIN},
        (dg.observe.Observation("outflow", "flux_mean", days, np.ones(DAYS), error=0.1),),
        {"k_1": None, "k_2": None},
        loss="gaussian",
        settings={"engine": engine},
    )
    return site


def at(site: Site, **values: float) -> InverseProblem:
    """The problem of a site at some values."""
    x = site.transforms.pack({k: torch.tensor([[v]], dtype=torch.float64) for k, v in values.items()})
    return of_site(site, x)
