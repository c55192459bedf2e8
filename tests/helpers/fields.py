"""A solution of a soil column with fields of one's own."""

from __future__ import annotations

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.engines.base import Forward, Status
from pydiffgeo.engines.ir.traced_model import trace_model

TIMES = np.array([0.0, 1.0, 1.5, 3.0, 4.0])
# Cells of unequal thickness; centres at 0.05, 0.15, 0.35, 0.75.
THICKNESS = [0.1, 0.1, 0.3, 0.5]
CENTRES = np.array([0.05, 0.15, 0.35, 0.75])
COLUMN = dg.models.RichardsColumn(depth=1.0, cells=4, thickness=THICKNESS, top="flux")


def made_up(theta: torch.Tensor, drainage: torch.Tensor, failed: tuple[int, ...] = ()) -> dg.Solution:
    """A solution with given fields."""
    batched = theta.ndim == 3
    status = [Status.FAILED if i in failed else Status.SUCCESS for i in range(len(theta) if batched else 1)]
    return dg.Solution(
        model=COLUMN,
        grid=TIMES,
        states={"theta": theta},
        fluxes={"drainage": drainage},
        parameters={p.name: torch.full((1, 1), p.default or 0.3, dtype=torch.float64) for p in COLUMN.parameters},
        report=Forward(np.empty(0), np.empty(0), status, {}),
        batched=batched,
        programs=trace_model(COLUMN),
        forcing={},
        networks={},
    )
