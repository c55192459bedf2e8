"""The surface of a soil column: infiltration, ponding, runoff and evaporation against formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from soil import CELLS, DZ, WEATHER, conductivity, rates

import pydiffgeo as dg


def test_flux_into_soil_under_a_given_head(engine: str) -> None:
    found = rates(engine, -2.0, forcing={"head": -0.3}, top="head", bottom="no_flow")
    mean = (conductivity(-0.3) + conductivity(-2.0)) / 2
    assert found["infiltration"] == pytest.approx(mean * ((-0.3 + 2.0) / (DZ / 2) + 1), rel=1e-4)


@pytest.mark.parametrize("head", [-0.5, -3.0, -30.0])
def test_capacity_of_a_flooded_surface(engine: str, head: float) -> None:
    model = dg.models.RichardsColumn(1.0, CELLS, top="atmosphere", bottom="no_flow", max_ponding=1.0)
    sol = dg.solve(
        model,
        forcing=WEATHER,
        initial={"head": head, "pond": 0.5},
        times=[0.0, 1e-9],
        engine=engine,
        rtol=1e-10,
        atol=1e-16,
    )
    mean = (conductivity(head) + 0.2496) / 2
    assert sol.fluxes["infiltration"].item() / 1e-9 == pytest.approx(mean * ((0.5 - head) / (DZ / 2) + 1), rel=1e-3)


@pytest.mark.parametrize("head", [-0.3, -3.0])
def test_rain_below_capacity_infiltrates_and_wet_surfaces_evaporate_first(engine: str, head: float) -> None:
    model = dg.models.RichardsColumn(1.0, CELLS, top="atmosphere")
    sol = dg.solve(
        model,
        forcing={"precipitation": 0.02, "potential_evaporation": 0.004},
        initial={"head": head},
        times=[0.0, 0.5, 1.0],
        engine=engine,
    )
    assert sol.fluxes["evaporation"][-1].item() == pytest.approx(0.002, rel=1e-4)
    assert sol.fluxes["infiltration"][-1].item() == pytest.approx(0.008, rel=1e-4)


def test_water_runs_off_above_the_depth_to_which_it_ponds(engine: str) -> None:
    model = dg.models.RichardsColumn(1.0, CELLS, top="atmosphere", bottom="no_flow", max_ponding=0.02)
    sol = dg.solve(
        model,
        {"K_s": 1e-3},
        forcing={"precipitation": 0.5, "potential_evaporation": 0.0},
        initial={"head": -0.5},
        times=[0.0, 0.03, 0.2],
        engine=engine,
    )
    taken, pond = sol.fluxes["infiltration"].cumsum(0), sol.states["pond"][:, 0]
    assert sol.fluxes["runoff"][0].item() == 0.0
    assert pond[1].item() == pytest.approx(0.015 - taken[0].item(), rel=1e-6)
    # A film on top of it runs off as fast as it rains.
    assert pond[2].item() == pytest.approx(0.02, abs=2e-3)
    assert sol.fluxes["runoff"][1].item() == pytest.approx(0.1 - taken[1].item() - pond[2].item(), rel=1e-6)


@pytest.mark.parametrize(("head", "within"), [(-2.0, 0.12), (-5.0, 0.06), (-10.0, 0.04), (-30.0, 0.03), (-100.0, 0.03)])
@pytest.mark.parametrize("air_dry", [-150.0, -1500.0])
def test_supply_of_bare_soil(engine: str, head: float, within: float, air_dry: float) -> None:
    demand = WEATHER | {"potential_evaporation": 10.0}
    found = rates(engine, head, forcing=demand, top="atmosphere", bottom="no_flow", air_dry=air_dry)
    # Steady flow up through half a cell, dz = -dh / (1 + q / K): Gardner 1958. By bisection in q.
    low, high = 0.0, 100 * conductivity(head) * (head - air_dry) / DZ
    suction = np.geomspace(-head, -air_dry, 20_001)
    for _ in range(80):
        q = (low + high) / 2
        # In the logarithm of suction, of which K is a power.
        way = np.trapezoid(suction / (1 + q / conductivity(suction)), np.log(suction))
        low, high = (q, high) if way > DZ / 2 else (low, q)
    assert found["evaporation"] == pytest.approx(q, rel=within)
    assert found["theta"][0] < 0.0


def test_gravity_holds_water_back_from_the_surface(engine: str) -> None:
    # In Gardner's soil the supply is known: K / (exp(alpha d) - 1), a third less than without gravity here.
    soil = {"theta_r": 0.05, "theta_s": 0.4, "alpha": 40.0, "K_s": 0.3}
    found = rates(
        engine,
        -0.4,
        soil,
        WEATHER | {"potential_evaporation": 10.0},
        top="atmosphere",
        bottom="no_flow",
        closure="gardner",
        air_dry=-20.0,
    )
    K = 0.3 * np.exp(-40.0 * 0.4)
    up, without = K / (np.exp(40.0 * DZ / 2) - 1), K / (40.0 * DZ / 2)
    assert found["evaporation"] == pytest.approx(up, rel=0.2)
    assert found["evaporation"] < 0.75 * without


def test_air_dry_soil_gives_nothing(engine: str) -> None:
    demand = WEATHER | {"potential_evaporation": 0.01}
    dry = rates(engine, -15.5, forcing=demand, top="atmosphere", bottom="no_flow", air_dry=-15.0)
    moist = rates(engine, -15.5, forcing=demand, top="atmosphere", bottom="no_flow")
    assert dry["evaporation"] < 1e-12 * moist["evaporation"]
    assert moist["evaporation"] > 1e-6
