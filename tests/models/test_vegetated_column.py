"""Leaves over soil: the table of leaves within a solve, and the water that they take from the soil."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg

# Temperature, deficit (kPa), light; CO2 inside, net assimilation, conductance: computed independently.
LEAVES = np.array(
    [
        [25.0, 1.0, 1500.0, 322.900168, 13.292304, 0.275846],
        [25.0, 2.5, 1500.0, 292.783732, 12.440596, 0.185652],
        [35.0, 3.0, 1500.0, 291.460269, 6.650964, 0.098043],
        [15.0, 0.6, 300.0, 337.892519, 9.042567, 0.232953],
    ]
)
RAIN = {"precipitation": 0.0, "potential_evaporation": 0.0}
WET = {"h_50": -1e6}


def weather(rows: np.ndarray) -> dict[str, Any]:
    return dict(zip(("air_temperature", "vapour_deficit", "light"), rows[:, :3].T.tolist(), strict=True))


def test_the_table_of_leaves(engine: str) -> None:
    model = dg.models.VegetatedColumn(1.0, 8)
    sol = dg.solve(
        model,
        {**WET, "J_by_V": 100 / 60, "leaf_area": 2.0},
        forcing={**RAIN, **weather(LEAVES)},
        times=np.arange(5) / 24,
        initial={"head": -1.0},
        engine=engine,
    )
    for k, name in enumerate(("C_i", "assimilation", "conductance")):
        assert sol.outputs[name][1:, 0].tolist() == pytest.approx(LEAVES[:, 3 + k].tolist(), rel=1e-5)
    # Wet soil gives what is asked for: conductance by deficit and pressure, of 18 cm3 of water a mole.
    asked = LEAVES[:, 5] * LEAVES[:, 1] / 101.3 * 2.0 * 1.8e-5 * 3600
    assert sol.fluxes["demand"].tolist() == pytest.approx(asked, rel=1e-5)
    assert sol.fluxes["uptake_to_canopy"].tolist() == pytest.approx(asked, rel=1e-4)
    carbon = (LEAVES[:, 4] * 2.0 * 3600 * 1e-6).cumsum()
    assert sol.states["assimilated"][1:, 0].tolist() == pytest.approx(carbon, rel=1e-5)


def test_dry_soil_gives_less_and_loses_what_leaves_get(engine: str) -> None:
    model = dg.models.VegetatedColumn(0.8, 12, root_depth=0.2)
    day = np.sin(np.pi * np.clip((np.arange(72) % 24 - 6) / 12, 0, 1))
    forcing = {
        "precipitation": 0.0,
        "potential_evaporation": 0.001,
        "air_temperature": (15 + 12 * day).tolist(),
        "vapour_deficit": (0.4 + 2 * day).tolist(),
        "light": (1500 * day).tolist(),
    }
    sol = dg.solve(
        model,
        {"leaf_area": 4.0},
        forcing=forcing,
        times=np.arange(73) / 24,
        initial={"head": -6.0},
        engine=engine,
        rtol=1e-6,
        atol=1e-9,
    )
    taken, asked = sol.fluxes["uptake_to_canopy"], sol.fluxes["demand"]
    assert (taken <= asked * (1 + 1e-9)).all()
    assert 0.1 < (taken.sum() / asked.sum()).item() < 0.9
    # At night little is lost, and leaves respire.
    assert taken[:5].sum() < 0.1 * taken[5:19].sum()
    assert sol.outputs["assimilation"][3, 0] < 0
    for net in sol.balances.values():
        assert abs(net) < 1e-10


def test_slopes_reach_the_leaves(engine: str) -> None:
    model = dg.models.VegetatedColumn(0.8, 6)

    def water(values: torch.Tensor) -> torch.Tensor:
        V, g_1 = values.unbind()
        sol = dg.solve(
            model,
            {"V_cmax25": V, "g_1": g_1},
            forcing={**RAIN, **weather(LEAVES)},
            times=range(5),
            initial={"head": -3.0},
            engine=engine,
            rtol=1e-9,
            atol=1e-11,
        )
        return 1e3 * sol.fluxes["uptake_to_canopy"].sum()

    at = torch.tensor([60.0, 4.0], requires_grad=True)
    (slopes,) = torch.autograd.grad(water(at), at)
    with torch.no_grad():
        for k, step in enumerate((1e-2, 1e-3)):
            h = torch.zeros(2).index_fill(0, torch.tensor(k), step)
            assert slopes[k].item() == pytest.approx((water(at + h) - water(at - h)).item() / (2 * step), rel=1e-5)


PLANT = {"psi_f": -150.0, "s_f": 0.04, "leaf_supply": 2e-5, "leaf_area": 3.0}


def sunny(engine: str, head: float, values: dict[str, Any], days: int = 2) -> dg.Solution:
    """Midday from the first hour to the last."""
    return dg.solve(
        dg.models.VegetatedColumn(0.8, 6, stress="leaves"),
        {**PLANT, **values},
        forcing={**RAIN, "air_temperature": 25.0, "vapour_deficit": 2.5, "light": 1500.0},
        times=np.arange(4 * days + 1) / 4,
        initial={"head": head},
        engine=engine,
        rtol=1e-7,
        atol=1e-10,
    )


def test_leaves_that_lack_water_close(engine: str) -> None:
    found = {head: sunny(engine, head, {}) for head in (-1.0, -60.0)}
    for head, sol in found.items():
        psi, A, g = (sol.outputs[k][-1, 0].item() for k in ("leaf_potential", "assimilation", "conductance"))
        # Tuzet et al. 2003, eq 5, on the slope of Medlyn's conductance.
        share = (1 + np.exp(0.04 * -150)) / (1 + np.exp(0.04 * (-150 - psi)))
        assert g == pytest.approx(0.01 + 1.6 * share * (1 + 4.0 / np.sqrt(2.5)) * A / 400, rel=1e-5)
        # What diffuses in is what is assimilated, and what leaves lose is what roots bring.
        assert g / 1.6 * (400 - sol.outputs["C_i"][-1, 0].item()) == pytest.approx(A, rel=1e-5)
        lost = g * 2.5 / 101.3 * 3.0 * 1.8e-5 * 86400 / 4
        # The soil dries on.
        assert sol.fluxes["uptake_to_canopy"][-1].item() == pytest.approx(lost, rel=0.05)
        assert max(abs(net.item()) for net in sol.balances.values()) < 1e-12
        if head == -1.0:
            assert psi == pytest.approx(-4 * lost / (3.0 * 2e-5) - 1.0, rel=0.05)
    wet, dry = (found[head].outputs["assimilation"][-1, 0] for head in (-1.0, -60.0))
    assert dry < 0.8 * wet


def test_slopes_reach_what_closes_leaves(engine: str) -> None:
    at = torch.tensor([-150.0, 2e-5], requires_grad=True)

    def carbon(values: torch.Tensor) -> torch.Tensor:
        psi_f, leaf_supply = values.unbind()
        return sunny(engine, -40.0, {"psi_f": psi_f, "leaf_supply": leaf_supply}, days=1).states["assimilated"][-1, 0]

    (slopes,) = torch.autograd.grad(carbon(at), at)
    with torch.no_grad():
        for k in range(2):
            h = torch.zeros(2).index_fill(0, torch.tensor(k), 1e-3) * at
            assert slopes[k].item() == pytest.approx(((carbon(at + h) - carbon(at - h)) / (2 * h[k])).item(), rel=1e-4)
