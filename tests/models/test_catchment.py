"""The catchment: every cubic metre is found again, water tables come to rest where they should, and slopes reach the outlet."""

from __future__ import annotations

import math

import pytest
import torch
from hillslopes import DAYS, REACHES, SIZE, VALUES, WEATHER

import pydiffgeo as dg
from pydiffgeo.errors import ModelError


def solved(values: dict[str, torch.Tensor], engine: str, days: int = DAYS, **given: object) -> dg.Solution:
    weather = {k: v[:days] if isinstance(v, list) else v for k, v in WEATHER.items()} | given
    return dg.solve(
        dg.models.Catchment(REACHES, **SIZE),
        values,
        forcing=weather,
        initial={"soil_head": -0.6, "aquifer_head": -0.3, "storage": 50.0, "snow": 0.02},
        times=range(days + 1),
        engine=engine,
        rtol=1e-8,
        atol=1e-10,
    )


def test_water_is_kept_and_slopes_are_those_of_differences(engine: str) -> None:
    values = {k: torch.tensor(v, requires_grad=True) for k, v in VALUES.items()}
    sol = solved(values, engine)
    total = sol.fluxes["outflow"].sum()
    total.backward()
    amounts = sol.fluxes["precipitation"].sum().item()
    assert amounts == pytest.approx(sum(WEATHER["precipitation"]) * sum(REACHES["area"]), rel=1e-12)
    assert sol.balances["all (m3)"].item() < 1e-11 * amounts
    assert max(b.item() for b in sol.balances.values()) < 1e-11 * amounts
    # Each of the processes takes part: snow melts, water runs off, soil drains, the river gains.
    assert sol.states["snow"].max() > 0.03
    assert sol.states["snow"][-1].abs().max() < 1e-6
    for name in ("recharge_to_aquifer", "seepage_to_river", "evaporation", "transpiration"):
        assert sol.fluxes[name].sum() > 0.01 * amounts, name
    # Along one direction in the logarithms of all, in which no two weigh alike.
    weights = {name: 0.2 + 0.1 * k * (-1) ** k for k, name in enumerate(values)}

    def along(step: float) -> float:
        moved = {k: torch.tensor(v * math.exp(step * weights[k])) for k, v in VALUES.items()}
        with torch.no_grad():
            return solved(moved, engine).fluxes["outflow"].sum().item()

    wide, narrow = ((along(h) - along(-h)) / (2 * h) for h in (0.02, 0.01))
    slope = (4 * narrow - wide) / 3  # extrapolated to a step of zero
    own = sum((value.grad * value).item() * weights[name] for name, value in values.items())
    assert own == pytest.approx(slope, rel=1e-5)


def test_a_well_by_the_river_takes_its_water_from_it(engine: str) -> None:
    values = {k: torch.tensor(v) for k, v in VALUES.items()}
    plain, rate = solved(values, engine), torch.zeros(DAYS, 6)
    rate[:, 5] = -30.0
    pumped = solved(values, engine, well_rate=rate)
    assert pumped.fluxes["well"].sum().item() == pytest.approx(-30.0 * DAYS, rel=1e-6)
    less = (plain.fluxes["seepage_to_river"] - pumped.fluxes["seepage_to_river"]).sum().item()
    assert 0.1 * 30 * DAYS < less < 30 * DAYS
    assert pumped.balances["all (m3)"].item() < 1e-6


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"area": None}, {}, "no column 'area'"),
        ({"area": [3e4, 0.0, 8e4]}, {}, "area of reach 'b' is 0"),
        ({}, {"incision": [0.5, 6.0, 0.5]}, "bed of reach 'b'"),
        ({}, {"aquifer_thickness": [5.0, 5.0]}, "aquifer_thickness must be a number, or one for each of 3 reaches"),
        ({}, {"hillslope_cells": 0}, "hillslope_cells must be at least 1"),
        ({}, {"relief": -1.0}, "relief of reach 'a' is -1"),
    ],
)
def test_a_table_that_is_no_catchment_is_refused(change: dict, options: dict, words: str) -> None:
    table = {k: v for k, v in (REACHES | change).items() if v is not None}
    with pytest.raises(ModelError, match=words):
        dg.models.Catchment(table, **(SIZE | options))


def test_each_hillslope_leads_from_the_divide_to_its_reach() -> None:
    model = dg.models.Catchment(REACHES, **SIZE)
    soil, aquifer = (model.regions[name].model.graph for name in ("soil", "aquifer"))
    assert aquifer.cell["volume"].tolist() == [1.5e4, 1.5e4, 2.5e4, 2.5e4, 4e4, 4e4]
    assert soil.cell["volume"].sum() == pytest.approx(sum(REACHES["area"]) * 1.0)
    # From a height of 1.5 and 0.5 m above the bank, a metre of soil and five of aquifer down.
    assert aquifer.cell["bottom"].tolist() == pytest.approx([-4.5, -5.5] * 3)
    assert aquifer.face["area"].tolist() == [600.0, 800.0, 1000.0]
    assert aquifer.face["distance"].tolist() == pytest.approx([25.0, 31.25, 40.0])
