"""Flux between cells of a soil column against formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from soil import SHORT, conductivity

import pydiffgeo as dg


@pytest.mark.parametrize("mean", ["arithmetic", "geometric", "upstream", "harmonic", "cell_arithmetic"])
def test_flux_between_two_soils(engine: str, mean: str) -> None:
    # Two cells of unequal thickness and soil, wetter above, and then below.
    for heads in ((-0.5, -0.9), (-1.2, -0.3)):
        thickness, K_s, n, alpha = (
            np.array([0.1, 0.3]),
            np.array([0.25, 2.0]),
            np.array([1.56, 2.2]),
            np.array([3.6, 8.0]),
        )
        model = dg.models.RichardsColumn(0.4, 2, thickness=thickness, bottom="no_flow", face_conductivity=mean)
        soil = {"K_s": torch.from_numpy(K_s), "n": torch.from_numpy(n), "alpha": torch.from_numpy(alpha)}
        sol = dg.solve(
            model,
            soil,
            forcing={"flux": 0.0},
            initial={"head": torch.tensor(heads, dtype=torch.float64)},
            times=[0.0, SHORT],
            engine=engine,
            rtol=1e-10,
            atol=1e-16,
        )
        down = (sol.states["theta"][1, 1] - sol.states["theta"][0, 1]).item() * 0.3 / SHORT
        h = np.array(heads)
        K = conductivity(h, alpha, n, K_s)
        gradient = (h[0] - h[1]) / 0.2 + 1.0
        series = 0.4 / (0.1 / K_s[0] + 0.3 / K_s[1])
        relative = K / K_s
        face = {
            "arithmetic": series * (relative[0] + relative[1]) / 2,
            "geometric": series * np.sqrt(relative[0] * relative[1]),
            "upstream": series * (relative[0] if gradient > 0 else relative[1]),
            "harmonic": 0.4 / (0.1 / K[0] + 0.3 / K[1]),
            "cell_arithmetic": (K[0] + K[1]) / 2,
        }[mean]
        assert down == pytest.approx(face * gradient, rel=1e-5)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric", "upstream", "harmonic"])
def test_saturated_layers_in_series_obey_darcys_law(engine: str, mean: str) -> None:
    thickness = np.array([0.3, 0.05, 0.02, 0.33, 0.2, 0.1])
    K_s = np.array([5.0, 5.0, 1e-3, 2.0, 0.3, 2.0])
    model = dg.models.RichardsColumn(1.0, 6, thickness=thickness, top="head", bottom="head", face_conductivity=mean)
    sol = dg.solve(
        model,
        {"K_s": torch.from_numpy(K_s)},
        forcing={"head": 2.7, "bottom_head": 1.5},
        initial={"head": 0.5},
        times=[0.0, 100.0, 110.0],
        engine=engine,
        rtol=1e-8,
    )
    expected = (2.7 - 1.5 + 1.0) / (thickness / K_s).sum()
    assert sol.fluxes["drainage"][-1].item() / 10 == pytest.approx(expected, rel=1e-6)
