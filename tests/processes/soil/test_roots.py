"""Uptake by roots against formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from soil import DEPTHS, WEATHER, density, rates

import pydiffgeo as dg


@pytest.mark.parametrize("head", [-1.0, -8.0, -40.0])
@pytest.mark.parametrize(("h_50", "p_50"), [(-8.0, 3.0), (-4.0, 1.7)])
def test_s_shaped_root_uptake(engine: str, head: float, h_50: float, p_50: float) -> None:
    forcing = WEATHER | {"potential_transpiration": 0.006}
    found = rates(
        engine, head, {"h_50": h_50, "p_50": p_50}, forcing, top="atmosphere", bottom="no_flow", root_depth=0.3
    )
    stress = 1 / (1 + (head / h_50) ** p_50)
    assert found["transpiration"] == pytest.approx(0.006 * stress, rel=1e-6)


@pytest.mark.parametrize(
    ("head", "stress"),
    [
        *((-0.05, 0.0), (-0.1, 0.0), (-0.16, 0.4), (-0.25, 1.0), (-3.0, 1.0), (-8.0, 1.0), (-44.0, 0.5)),
        *((-62.0, 0.25), (-80.0, 0.0), (-500.0, 0.0)),
    ],
)
def test_feddes_root_uptake(engine: str, head: float, stress: float) -> None:
    forcing = WEATHER | {"potential_transpiration": 0.006}
    found = rates(engine, head, {}, forcing, top="atmosphere", bottom="no_flow", root_depth=0.3, root_stress="feddes")
    assert found["transpiration"] == pytest.approx(0.006 * stress, rel=1e-3, abs=1e-7)


def test_each_cell_loses_what_its_roots_take_up(engine: str) -> None:
    # At rest, water moves through roots alone.
    model_head = DEPTHS - 3.0
    forcing = WEATHER | {"potential_transpiration": 0.006}
    found = rates(engine, model_head, {}, forcing, top="atmosphere", bottom="no_flow", root_depth=0.2)
    uptake = 0.006 * density(0.2) / (1 + (model_head / -8.0) ** 3.0)
    np.testing.assert_allclose(found["theta"], -uptake, rtol=1e-4)


def test_order_of_feddes_heads_is_checked() -> None:
    model = dg.models.RichardsColumn(1.0, 4, root_depth=0.3, root_stress="feddes")
    with pytest.raises(dg.errors.BoundsError, match="h_4 < h_3 <= h_2 < h_1"):
        dg.solve(
            model,
            {"h_2": -9.0},
            forcing={"flux": 0.0, "potential_transpiration": 0.0},
            initial={"head": -1.0},
            times=[0.0, 1.0],
        )


def test_root_density_sums_to_one() -> None:
    column = dg.models.RichardsColumn(1.0, 4, thickness=[0.1, 0.2, 0.3, 0.4], root_depth=0.3)
    density = column.graph.cell["root_density"]
    assert (density * column.graph.cell["thickness"]).sum() == pytest.approx(1.0, rel=1e-14)
    assert density[0] / density[1] == pytest.approx(np.exp((0.2 - 0.05) / 0.3))
