"""Heat that goes with water: none is made, and what freezes gives its heat and draws water."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import pydiffgeo as dg

DAYS = 12
WEATHER = {"precipitation": [0.0, 0.03, 0.0, 0.0, 0.012, 0.0] * 2, "potential_evaporation": 0.003}


def test_soil_and_rain_of_one_temperature_stay_at_it(engine: str) -> None:
    model = dg.models.WaterHeatColumn(1.0, 20, top="atmosphere", root_depth=0.3, base_temperature=True)
    forcing = {**WEATHER, "potential_transpiration": 0.002, "surface_temperature": 12.0, "base_temperature": 12.0}
    sol = dg.solve(
        model, forcing=forcing, times=range(DAYS + 1), initial={"head": -2.0, "temperature": 12.0}, engine=engine
    )
    assert (sol.outputs["temperature"] - 12.0).abs().max() < 1e-9
    # What heat there is moves with the water alone.
    water = sol.fluxes["transpiration"]
    torch.testing.assert_close(sol.fluxes["heat_transpired"], 4.18 * 12 * water, rtol=1e-9, atol=1e-12)
    assert all(abs(net) < 1e-9 for net in sol.balances.values())


def test_water_moves_as_without_heat(engine: str) -> None:
    settings: dict[str, Any] = {"times": range(DAYS + 1), "engine": engine, "rtol": 1e-8, "atol": 1e-10}
    plain = dg.models.RichardsColumn(1.0, 15, top="atmosphere")
    warm = dg.models.WaterHeatColumn(1.0, 15, top="atmosphere")
    alone = dg.solve(plain, forcing=WEATHER, initial={"head": -2.0}, **settings)
    air = {"surface_temperature": (10 + 8 * np.sin(np.arange(DAYS))).tolist()}
    both = dg.solve(warm, forcing=WEATHER | air, initial={"head": -2.0, "temperature": 8.0}, **settings)
    torch.testing.assert_close(both.states["theta"], alone.states["theta"], rtol=0, atol=1e-6)
    assert both.outputs["temperature"].min() > 1.9
    assert both.outputs["temperature"].max() < 18.1
    assert all(abs(net) < 1e-9 for net in both.balances.values())


def test_still_water_conducts_as_johansen_says(engine: str) -> None:
    # Saturated soil with a closed base: a step at the surface goes in as the error function says.
    model = dg.models.WaterHeatColumn(3.0, 90, bottom="no_flow")
    depth = torch.from_numpy(model.graph.coordinates["depth"])
    sol = dg.solve(
        model,
        {"quartz": 0.5, "K_s": 1e-6},
        forcing={"flux": 0.0, "surface_temperature": 1.0},
        times=[0.0, 2.0],
        initial={"head": depth, "temperature": 0.0},
        engine=engine,
        rtol=1e-7,
    )
    porosity = 0.43
    conductivity = (7.7**0.5 * 2**0.5) ** (1 - porosity) * 0.57**porosity * 0.0864
    diffusivity = conductivity / (2.0 * (1 - porosity) + 4.18 * porosity)
    right = torch.special.erfc(depth / (2 * (2 * diffusivity) ** 0.5))
    assert (sol.outputs["temperature"][-1] - right).abs().max() < 2e-3


def test_freezing_draws_water_and_keeps_all_of_it(engine: str) -> None:
    # After Mizoguchi 1990: 20 cm of loam, closed, cooled from above.
    model = dg.models.WaterHeatColumn(0.2, 20, bottom="no_flow", freezing=True)
    loam = {
        "theta_r": 0.05,
        "theta_s": 0.535,
        "alpha": 1.11,
        "n": 1.48,
        "K_s": 0.276,
        "T_frozen": -1.0,
        "unfrozen": 0.12,
    }
    sol = dg.solve(
        model,
        loam,
        forcing={"flux": 0.0, "surface_temperature": -5.0},
        times=np.array([0.0, 6, 12, 24]) / 24,
        initial={"theta": 0.33, "temperature": 6.7},
        engine=engine,
        rtol=1e-5,
        atol=1e-7,
    )
    theta, ice, T = sol.states["theta"], sol.outputs["ice"], sol.outputs["temperature"]
    assert (theta.mean(-1) - 0.33).abs().max() < 1e-12
    assert all(abs(net) < 1e-9 for net in sol.balances.values())
    # Measured after 12 h: water contents above 0.4 near the cold end, and below those of the start ahead of the front.
    assert theta[2, 1:6].mean() > 0.38
    assert theta[2, 8:].min() < 0.30
    assert (ice[2, :4] > 0.2).all()
    assert (ice >= -1e-9).all()
    assert T[2, 0] < -4
    assert (T.diff(dim=1)[1:] > -1e-6).all()
    # Where there is ice it is colder than 0 degC, and all but the unfrozen water is ice below T_frozen.
    assert (T[ice > 1e-6] < 0).all()
    cold = T < -1.0
    torch.testing.assert_close(ice[cold], theta[cold] - 0.12, rtol=0, atol=1e-9)


def test_describes_both() -> None:
    text = dg.models.WaterHeatColumn(freezing=True).describe()
    for name in ("theta", "heat", "quartz", "T_frozen", "surface_temperature", "ground_heat_flux", "ice"):
        assert name in text
