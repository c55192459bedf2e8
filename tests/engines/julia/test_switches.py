"""Switches that turn without end, since what they decide by is not known to the tolerance."""

from __future__ import annotations

import torch

import pydiffgeo as dg
from pydiffgeo.groundwater import Drain, Evapotranspiration, Recharge, River, Well


def test_a_solve_that_ends_at_a_switch_says_so(julia_engine: str) -> None:
    # Gravel that a drain empties over gravel (a corner of `benchmarks/aquifer_corners.py`): at last the heads of both are alike.
    grid = dg.raster((2, 3, 4), (80.0, 100.0), layers=[6.0, 10.0])
    conditions = (
        River([(1, row, 0) for row in range(3)]),
        Well([(0, 1, 2), (1, 2, 3)]),
        Drain([(0, 0, 3)]),
        Recharge(),
        Evapotranspiration(),
    )
    model = dg.models.SoluteAquifer(grid, "unconfined", top=16.0, boundaries=conditions)
    sol = dg.solve(
        model,
        {
            "K": 1000.0,
            "horizontal_anisotropy": 0.1,
            "vertical_anisotropy": 1.0,
            "S_y": 0.35,
            "river_conductance": 1.0,
            "river_bed": 12.0,
            "drain_conductance": 1e4,
            "drain_elevation": 8.0,
            "evapotranspiration_surface": 16.0,
            "evapotranspiration_depth": 0.1,
            "longitudinal_dispersivity": 0.1,
            "porosity": 0.36,
        },
        forcing={
            "recharge_rate": 0.0,
            "evapotranspiration_rate": 0.0,
            "river_stage": 4.0,
            "well_rate": 0.0,
            "river_concentration": 1.0,
            "well_concentration": 1.0,
            "recharge_concentration": 1.0,
        },
        times=[0.0, 5.0, 20.0, 200.0],
        initial={"head": torch.full((24,), 17.0)},
        engine=julia_engine,
        throw=False,
        max_steps=3000,
    )
    assert sol.status == [dg.Status.MAX_STEPS]
    assert "refused since a switch turned within them" in sol.reasons[0]
