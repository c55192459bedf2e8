"""The catchment with heat: all of it is found again, one temperature stays one, and seepage warms the river."""

from __future__ import annotations

import math

import pytest
import torch
from hillslopes import DAYS, REACHES, SIZE, VALUES, WEATHER

import pydiffgeo as dg

AIR = [-4.0, -2.0, 2.0, 5.0, -1.0, 6.0, 8.0, 9.0]


def solved(
    values: dict[str, torch.Tensor], engine: str, start: float = 8.0, snow: float = 0.02, **given: object
) -> dg.Solution:
    return dg.solve(
        dg.models.Catchment(REACHES, **SIZE, temperature="equilibrium"),
        values,
        forcing=WEATHER | {"equilibrium_temperature": AIR} | given,
        initial={
            "soil_head": -0.6,
            "aquifer_head": -0.3,
            "storage": 50.0,
            "snow": snow,
            **{f"{region}_temperature": start for region in ("soil", "aquifer", "river")},
        },
        times=range(DAYS + 1),
        engine=engine,
        rtol=1e-8,
        atol=1e-9,
    )


def test_heat_is_kept_and_slopes_of_temperature_are_those_of_differences(engine: str) -> None:
    # Soil through which the heaviest rain does not pass.
    names = {**VALUES, "K_s": 0.02, "thermal_conductivity": 2.0, "exchange": 25.0, "quartz": 0.5}
    values = {k: torch.tensor(v, requires_grad=True) for k, v in names.items()}
    sol = solved(values, engine)
    assert {"all (m3)", "all (MJ)", "soil (MJ)", "aquifer (MJ)", "river (MJ)"} <= {*sol.balances}
    stored = {name: amount.abs().max().item() for name, amount in sol.storages.items()}
    for name, error in sol.balances.items():
        assert error.item() < 1e-11 * stored[name], name
    # Every way of heat is taken.
    for name in ("recharge_heat_to_aquifer", "seepage_heat_to_river", "surface_runoff_heat_to_river"):
        assert sol.fluxes[name].abs().sum() > 10.0, name
    outlet = sol.outputs["river_temperature"][-1, 2]
    outlet.backward()
    weights = {name: 0.2 + 0.1 * k * (-1) ** k for k, name in enumerate(values)}

    def along(step: float) -> float:
        moved = {k: torch.tensor(v * math.exp(step * weights[k])) for k, v in names.items()}
        with torch.no_grad():
            return solved(moved, engine).outputs["river_temperature"][-1, 2].item()

    wide, narrow = ((along(h) - along(-h)) / (2 * h) for h in (0.02, 0.01))
    own = sum((value.grad * value).item() * weights[name] for name, value in values.items())
    assert own == pytest.approx((4 * narrow - wide) / 3, rel=1e-4)


def test_one_temperature_stays_one_but_under_snow(engine: str) -> None:
    values = {k: torch.tensor(v) for k, v in VALUES.items()}
    rate = torch.zeros(DAYS, 6)
    rate[:, 1], rate[:, 4] = 5.0, -5.0
    seven = dict.fromkeys(("temperature", "equilibrium_temperature", "lateral_temperature", "well_temperature"), 7.0)

    def run(snow: float) -> dg.Solution:
        given = {**seven, "lateral_inflow": 0.001, "well_rate": rate}
        return solved(values, engine, start=7.0, snow=snow, **given)

    bare, white = run(0.0), run(0.2)
    for region in ("soil", "aquifer", "river"):
        temperature = bare.outputs[f"{region}_temperature"]
        torch.testing.assert_close(temperature, torch.full_like(temperature, 7.0), rtol=0, atol=1e-5)
    # Under the snow that melts for a week the soil cools towards 0 degC.
    cooled = white.outputs["soil_temperature"][4]
    assert (cooled > 0).all()
    assert (cooled < 6.0).all()


def test_water_flows_as_it_does_without_heat(engine: str) -> None:
    values = {k: torch.tensor(v) for k, v in VALUES.items()}
    warm = solved(values, engine)
    plain = dg.solve(
        dg.models.Catchment(REACHES, **SIZE),
        values,
        forcing=WEATHER,
        initial={"soil_head": -0.6, "aquifer_head": -0.3, "storage": 50.0, "snow": 0.02},
        times=range(DAYS + 1),
        engine=engine,
        rtol=1e-8,
        atol=1e-10,
    )
    torch.testing.assert_close(warm.fluxes["outflow"], plain.fluxes["outflow"], rtol=1e-6, atol=1e-6)
