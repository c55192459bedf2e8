"""Each process of a soil column against its rate written out in NumPy: faces, surface, roots, base.

A rate is what a very short solve integrates, over its length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg

LOAM = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496}
CELLS, DZ, SHORT = 20, 0.05, 1e-6


def conductivity(h: Any, alpha: Any = 3.6, n: Any = 1.56, K_s: Any = 0.2496) -> Any:
    """van Genuchten 1980, eq 8, in terms of head; no digits lost in dry soil."""
    m = 1 - 1 / n
    x = (alpha * np.abs(h)) ** n
    inner = -np.expm1(-m * np.log1p(1 / x))
    return K_s * (1 + x) ** (-m / 2) * inner**2


def content(h: Any, theta_r: float = 0.078, theta_s: float = 0.43, alpha: float = 3.6, n: float = 1.56) -> Any:
    return theta_r + (theta_s - theta_r) * (1 + (alpha * np.abs(h)) ** n) ** (1 / n - 1)


def rates(engine: str, head: Any, soil: Any = None, forcing: Any = None, **choices: Any) -> dict[str, Any]:
    """Mean rates of the fluxes, and of the water contents, over a very short time."""
    model = dg.models.RichardsColumn(CELLS * DZ, CELLS, **choices)
    start = torch.as_tensor(head, dtype=torch.float64).expand(CELLS)
    sol = dg.solve(model, soil or {}, forcing=forcing, initial={"head": start}, times=[0.0, SHORT], engine=engine,
                   rtol=1e-10, atol=1e-16)  # fmt: skip
    found = {k: v.item() / SHORT for k, v in sol.fluxes.items()}
    return found | {"theta": (sol.states["theta"].diff(dim=0)[0] / SHORT).numpy()}


WEATHER = {"precipitation": 0.0, "potential_evaporation": 0.0}


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
        sol = dg.solve(model, soil, forcing={"flux": 0.0}, initial={"head": torch.tensor(heads, dtype=torch.float64)},
                       times=[0.0, SHORT], engine=engine, rtol=1e-10, atol=1e-16)  # fmt: skip
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
    sol = dg.solve(model, {"K_s": torch.from_numpy(K_s)}, forcing={"head": 2.7, "bottom_head": 1.5},
                   initial={"head": 0.5}, times=[0.0, 100.0, 110.0], engine=engine, rtol=1e-8)  # fmt: skip
    expected = (2.7 - 1.5 + 1.0) / (thickness / K_s).sum()
    assert sol.fluxes["drainage"][-1].item() / 10 == pytest.approx(expected, rel=1e-6)


def test_flux_into_soil_under_a_given_head(engine: str) -> None:
    found = rates(engine, -2.0, forcing={"head": -0.3}, top="head", bottom="no_flow")
    mean = (conductivity(-0.3) + conductivity(-2.0)) / 2
    assert found["infiltration"] == pytest.approx(mean * ((-0.3 + 2.0) / (DZ / 2) + 1), rel=1e-4)


@pytest.mark.parametrize("head", [-0.5, -3.0, -30.0])
def test_capacity_of_a_flooded_surface(engine: str, head: float) -> None:
    model = dg.models.RichardsColumn(1.0, CELLS, top="atmosphere", bottom="no_flow", max_ponding=1.0)
    sol = dg.solve(model, forcing=WEATHER, initial={"head": head, "pond": 0.5}, times=[0.0, 1e-9], engine=engine,
                   rtol=1e-10, atol=1e-16)  # fmt: skip
    mean = (conductivity(head) + 0.2496) / 2
    assert sol.fluxes["infiltration"].item() / 1e-9 == pytest.approx(mean * ((0.5 - head) / (DZ / 2) + 1), rel=1e-3)


@pytest.mark.parametrize("head", [-0.3, -3.0])
def test_rain_below_capacity_infiltrates_and_wet_surfaces_evaporate_first(engine: str, head: float) -> None:
    model = dg.models.RichardsColumn(1.0, CELLS, top="atmosphere")
    sol = dg.solve(model, forcing={"precipitation": 0.02, "potential_evaporation": 0.004}, initial={"head": head},
                   times=[0.0, 0.5, 1.0], engine=engine)  # fmt: skip
    assert sol.fluxes["evaporation"][-1].item() == pytest.approx(0.002, rel=1e-4)
    assert sol.fluxes["infiltration"][-1].item() == pytest.approx(0.008, rel=1e-4)


def test_water_runs_off_above_the_depth_to_which_it_ponds(engine: str) -> None:
    model = dg.models.RichardsColumn(1.0, CELLS, top="atmosphere", bottom="no_flow", max_ponding=0.02)
    sol = dg.solve(model, {"K_s": 1e-3}, forcing={"precipitation": 0.5, "potential_evaporation": 0.0},
                   initial={"head": -0.5}, times=[0.0, 0.03, 0.2], engine=engine)  # fmt: skip
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
    found = rates(engine, -0.4, soil, WEATHER | {"potential_evaporation": 10.0}, top="atmosphere", bottom="no_flow",
                  closure="gardner", air_dry=-20.0)  # fmt: skip
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


DEPTHS = (np.arange(CELLS) + 0.5) * DZ


def density(root_depth: float) -> Any:
    share = np.exp(-DEPTHS / root_depth)
    return share / (share.sum() * DZ)


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
    ("head", "stress"), [(-0.05, 0.0), (-0.1, 0.0), (-0.16, 0.4), (-0.25, 1.0), (-3.0, 1.0), (-8.0, 1.0), (-44.0, 0.5),
                         (-62.0, 0.25), (-80.0, 0.0), (-500.0, 0.0)],
)  # fmt: skip
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
        dg.solve(model, {"h_2": -9.0}, forcing={"flux": 0.0, "potential_transpiration": 0.0}, initial={"head": -1.0},
                 times=[0.0, 1.0])  # fmt: skip


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
    sol = dg.solve(model, forcing={"flux": [rain, 0.0]}, initial={"head": -1.0}, times=[0.0, 40.0, 4000.0],
                   engine=engine)  # fmt: skip
    # Steady under rain: what enters leaves, under the head that Darcy's law asks for across half a saturated cell.
    bottom = sol.outputs["head"][1, -1].item()
    assert (conductivity(bottom) + 0.2496) / 2 * (bottom / (DZ / 2) + 1) == pytest.approx(rain, rel=1e-3)
    # After it, water hangs above the open base: the head is the height above it, and nothing flows.
    height = 1.0 - DEPTHS
    np.testing.assert_allclose(sol.outputs["head"][2].numpy(), -height, atol=0.03)
    stored = content(-height).sum() * DZ
    assert sol.storage[2].item() == pytest.approx(stored, abs=2e-3)
