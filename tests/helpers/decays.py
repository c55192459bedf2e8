"""A reservoir whose water decays as `exp(-k t)`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import pydiffgeo as dg

RESERVOIR = dg.Model(
    name="Reservoir",
    graph=dg.single_cell(),
    states=(dg.State("water", "mm", "water", default=10.0),),
    parameters=(dg.Parameter("k", "d-1", "rate", low=0.0),),
    forcings=(dg.ForcingVariable("rain", "mm d-1", "rain", default=0.0),),
    fluxes=(dg.IntegratedFlux("rain", "mm", "rain", +1), dg.IntegratedFlux("outflow", "mm", "outflow", -1)),
    outputs=(dg.Output("rate", "mm d-1", "rate of outflow"),),
    source=lambda cell, forcing: {
        "water": forcing.rain - cell.k * cell.water,
        "rain": forcing.rain,
        "outflow": cell.k * cell.water,
    },
    output=lambda cell: {"rate": cell.k * cell.water},
    constraints=(dg.Constraint("k < 5", ("k",), lambda p: p.k < 5),),
)
TIGHT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-11}


def close(found: Any, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
