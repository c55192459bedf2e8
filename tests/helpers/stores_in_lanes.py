"""A small model with switches, and a batch of it: what is solved in lockstep."""

from __future__ import annotations

import numpy as np
import torch

import pydiffgeo as dg

MEMBERS, DAYS = 11, 60
RODAS = {"rtol": 1e-4, "atol": 1e-4}
RODAS3P = {"solver": "Rodas3P", "rtol": 1e-4, "atol": 1e-4}
EULER = {"solver": "implicit_euler", "step": 0.5}


def store_rates(cell, forcing):
    """A store that evaporates as long as it is wet, overflows, and feeds a second one; its rates have kinks."""
    evaporation = torch.clamp(cell.water / cell.dry, max=1.0) * forcing.demand
    overflow = torch.relu(cell.water - cell.full)
    return {
        "water": forcing.rain - evaporation - cell.k * cell.water - overflow,
        "ground": cell.k * cell.water - 0.01 * cell.ground,
        "runoff": overflow + 0.01 * cell.ground,
    }


MODEL = dg.Model(
    "Stores",
    dg.single_cell(),
    states=(dg.State("water", "mm", "", 20.0, nominal=0.2), dg.State("ground", "mm", "", 30.0)),
    parameters=tuple(dg.Parameter(name, "1", "") for name in ("dry", "full", "k")),
    forcings=(dg.ForcingVariable("rain", "mm", ""), dg.ForcingVariable("demand", "mm", "")),
    fluxes=(dg.IntegratedFlux("runoff", "mm", ""),),
    source=store_rates,
)


def inputs(kind: str = "constant"):
    random = np.random.default_rng(3)
    factors = random.uniform(0.8, 1.2, (3, MEMBERS, 1))
    parameters = {
        n: torch.tensor(v * f) for n, v, f in zip(("dry", "full", "k"), (15.0, 40.0, 0.05), factors, strict=True)
    }
    nodes = DAYS + (kind == "linear")
    rain = torch.tensor(np.where(random.random((MEMBERS, nodes)) < 0.3, random.gamma(0.8, 10.0, (MEMBERS, nodes)), 0.0))
    forcing = {"rain": rain, "demand": torch.full((MEMBERS, nodes), 3.0)}
    return parameters, forcing


# u' = a u^2 from one reaches infinity at 1/a.
EXPLOSION = dg.Model(
    "Explosion",
    dg.single_cell(),
    states=(dg.State("u", "1", "", 1.0),),
    parameters=(dg.Parameter("a", "1", ""),),
    source=lambda cell, forcing: {"u": cell.a * cell.u * cell.u},
)
