"""Rates of a soil column: by a very short solve, over its length, and the conductivity and water content of loam."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import pydiffgeo as dg

LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496}
CELLS, DZ, SHORT = 20, 0.05, 1e-6


def conductivity(h: Any, alpha: Any = 3.6, n: Any = 1.56, K_s: Any = 0.2496) -> Any:
    """van Genuchten 1980, eq 8, in terms of head; no digits lost in dry soil."""
    m = 1 - 1 / n
    x = (alpha * np.abs(h)) ** n
    inner = -np.expm1(-m * np.log1p(1 / x))
    return K_s * (1 + x) ** (-m / 2) * inner**2


def content(h: Any, theta_r: float = 0.078, theta_s: float = 0.43, alpha: float = 3.6, n: float = 1.56) -> Any:
    return theta_r + (theta_s - theta_r) * (1 + (alpha * np.abs(h)) ** n) ** (1 / n - 1)


def rates(engine: str, head: Any, soil: Any = None, forcing: Any = None, **choices: Any) -> dict[str, Any]:
    """Mean rates of the fluxes, and of the water contents, over a very short time."""
    model = dg.models.RichardsColumn(CELLS * DZ, CELLS, **choices)
    start = torch.as_tensor(head, dtype=torch.float64).expand(CELLS)
    sol = dg.solve(
        model,
        soil or {},
        forcing=forcing,
        initial={"head": start},
        times=[0.0, SHORT],
        engine=engine,
        rtol=1e-10,
        atol=1e-16,
    )
    found = {k: v.item() / SHORT for k, v in sol.fluxes.items()}
    return found | {"theta": (sol.states["theta"].diff(dim=0)[0] / SHORT).numpy()}


WEATHER = {"precipitation": 0.0, "potential_evaporation": 0.0}
DEPTHS = (np.arange(CELLS) + 0.5) * DZ


def density(root_depth: float) -> Any:
    share = np.exp(-DEPTHS / root_depth)
    return share / (share.sum() * DZ)
