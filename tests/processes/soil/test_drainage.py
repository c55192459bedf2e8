"""Flow through the base of a soil column against formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from soil import CELLS, DEPTHS, DZ, conductivity, content, rates

import pydiffgeo as dg


@pytest.mark.parametrize("head", [-0.2, -2.0])
def test_free_drainage_is_the_conductivity_of_the_last_cell(engine: str, head: float) -> None:
    assert rates(engine, head, forcing={"flux": 0.0})["drainage"] == pytest.approx(conductivity(head), rel=1e-4)


def test_flux_through_a_base_of_given_head(engine: str) -> None:
    found = rates(engine, -1.5, forcing={"flux": 0.0, "bottom_head": -0.4}, bottom="head")
    mean = (conductivity(-0.4) + conductivity(-1.5)) / 2
    assert found["drainage"] == pytest.approx(mean * ((-1.5 + 0.4) / (DZ / 2) + 1), rel=1e-4)


def test_a_lysimeter_drains_when_its_base_is_saturated(engine: str) -> None:
    model = dg.models.RichardsColumn(1.0, CELLS, bottom="seepage_face")
    for head in (-1.0, -0.1):
        dry = dg.solve(model, forcing={"flux": 0.0}, initial={"head": head}, times=[0.0, 1e-4], engine=engine)
        assert dry.fluxes["drainage"].item() == 0.0
    rain = 0.1
    sol = dg.solve(
        model, forcing={"flux": [rain, 0.0]}, initial={"head": -1.0}, times=[0.0, 40.0, 4000.0], engine=engine
    )
    # Steady under rain: what enters leaves, under the head that Darcy's law asks for across half a saturated cell.
    bottom = sol.outputs["head"][1, -1].item()
    assert (conductivity(bottom) + 0.2496) / 2 * (bottom / (DZ / 2) + 1) == pytest.approx(rain, rel=1e-3)
    # After it, water hangs above the open base: the head is the height above it, and nothing flows.
    height = 1.0 - DEPTHS
    np.testing.assert_allclose(sol.outputs["head"][2].numpy(), -height, atol=0.03)
    stored = content(-height).sum() * DZ
    assert sol.storage[2].item() == pytest.approx(stored, abs=2e-3)
