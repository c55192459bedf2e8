"""HBV against the ten days of an independent solver, and at the corners of its ranges."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from corners import DROUGHT, FLOOD, NOTHING, Weather, corners, ends_within_bounds

import pydiffgeo as dg
from pydiffgeo.errors import ModelError
from pydiffgeo.processes.unit_hydrograph import convolve, gamma_weights

STORES = {
    "SNOWPACK": "snow_storage",
    "MELTWATER": "snow_water",
    "SM": "soil_moisture",
    "SUZ": "upper_zone",
    "SLZ": "lower_zone",
}
FLOWS = {"q0": "quick_flow", "q1": "interflow", "q2": "base_flow", "et": "evapotranspiration", "melt": "snowmelt"}


@pytest.fixture(scope="module")
def case(shared_data: Path) -> dict:
    return json.loads((shared_data / "models" / "hbv" / "hbv_ten_days.json").read_text())


def ten_days(case: dict, engine: str, model: dg.Model, **changed: object) -> dg.Solution:
    return dg.solve(
        model,
        case["parameters"] | changed,
        forcing=case["forcing"],
        initial={STORES[k]: v for k, v in case["initial"].items()},
        times=np.arange(11.0),
        engine=engine,
        rtol=1e-9,
        atol=1e-10,
    )


@pytest.mark.parametrize("rise", [0.0, 0.3])
def test_ten_days_of_melt_refreezing_and_flood(case: dict, engine: str, rise: float) -> None:
    sol = ten_days(case, engine, dg.models.HBV(), C=rise)
    days = case["results"][f"C={rise}"]["continuous"]
    for key, name in STORES.items():
        assert sol.states[name][1:, 0].numpy() == pytest.approx([day[key] for day in days], abs=1e-5)
    for key, name in FLOWS.items():
        assert sol.fluxes[name].numpy() == pytest.approx([day[key] for day in days], abs=1e-5), name
    recharge = [day["recharge_and_excess"] for day in days]
    assert sol.fluxes["recharge"].numpy() == pytest.approx(recharge, abs=1e-5)
    assert sol.fluxes["runoff"].sum().item() == pytest.approx({0.0: 43.962183, 0.3: 47.570199}[rise], abs=1e-5)


def test_gradient_of_the_runoff_of_ten_days(case: dict, engine: str) -> None:
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in (case["parameters"] | {"C": 0.3}).items()}
    runoff = ten_days(case, engine, dg.models.HBV(), **leaves).fluxes["runoff"].sum()
    slopes = torch.autograd.grad(runoff, [*leaves.values()])
    expected = case["gradient_continuous_C03"]["values"]
    for name, slope in zip(leaves, slopes, strict=True):
        assert slope.item() == pytest.approx(expected[name], rel=1e-4), name


def test_halving_the_width_of_snow_and_rain_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the runoff of a year less than 1 %: observed precipitation is known to some per cent."""
    day = np.arange(365)
    temperature = 2 - 9 * np.cos(2 * np.pi * day / 365) + 3 * np.sin(2 * np.pi * day / 9.7)
    rain = 30 * np.maximum(0, np.sin(1.7 * day)) ** 3
    runoff = {}
    for width in (1.0, 0.5):
        monkeypatch.setattr("pydiffgeo.models.hbv.WIDTH", width)
        # Another value of `release` that means nothing here has the model made anew.
        sol = dg.solve(
            dg.models.HBV(release=1.0 + 1e-9 * width),
            forcing={
                "precipitation": rain,
                "temperature": temperature,
                "potential_evapotranspiration": 1.5 - np.cos(2 * np.pi * day / 365),
            },
            initial={"soil_moisture": 150.0},
            times=np.arange(366.0),
            engine="sundials",
        )
        runoff[width] = sol.fluxes["runoff"]
    assert runoff[0.5].sum().item() == pytest.approx(runoff[1.0].sum().item(), rel=0.01)
    assert dg.losses.nse(runoff[0.5], runoff[1.0]).item() > 0.999


def test_routing_reservoirs_delay_runoff_and_lose_nothing(case: dict, engine: str) -> None:
    plain = ten_days(case, engine, dg.models.HBV())
    routed = ten_days(case, engine, dg.models.HBV(routing=3), tau=0.7)
    held = sum(routed.states[f"routing_{i}"][-1, 0].item() for i in (1, 2, 3))
    assert routed.fluxes["runoff"].sum().item() + held == pytest.approx(plain.fluxes["runoff"].sum().item(), rel=1e-8)
    assert routed.fluxes["quick_flow"].numpy() == pytest.approx(plain.fluxes["quick_flow"].numpy(), abs=1e-6)
    # Each of the reservoirs is a linear one: the last gives what it holds, by its residence time.
    assert routed.balance.item() < 1e-9


def test_a_unit_hydrograph_after_the_solve(case: dict) -> None:
    """Gradients reach the parameters of both: against differences of the whole."""

    def total(K1: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        sol = ten_days(case, "sundials", dg.models.HBV(), K1=K1)
        return (convolve(sol.fluxes["runoff"], gamma_weights(shape, torch.tensor(1.5))) * torch.arange(10.0)).sum()

    leaves = torch.tensor(0.1, requires_grad=True), torch.tensor(2.5, requires_grad=True)
    slopes = torch.autograd.grad(total(*leaves), leaves)
    h = 1e-4
    with torch.no_grad():
        expected = (
            (total(leaves[0] + h, leaves[1]) - total(leaves[0] - h, leaves[1])) / (2 * h),
            (total(leaves[0], leaves[1] + h) - total(leaves[0], leaves[1] - h)) / (2 * h),
        )
    assert [s.item() for s in slopes] == pytest.approx([e.item() for e in expected], rel=1e-5)


def test_water_leaves_faster_where_asked(case: dict) -> None:
    slow, fast = (ten_days(case, "sundials", dg.models.HBV(release=t)) for t in (1.0, 0.1))
    # Free water of 2.5 mm a day and more, above what the pack holds, is nearly gone within the day.
    held = [s.states["snow_water"][4, 0].item() - 0.1 * s.states["snow_storage"][4, 0].item() for s in (slow, fast)]
    assert held[1] == pytest.approx((12.0 + 1.2) * 0.1, rel=1e-3)
    assert held[0] > 5 * held[1]


@pytest.mark.parametrize("choice", [{"routing": -1}, {"routing": 1.5}, {"release": 0.0}, {"release": "fast"}])
def test_wrong_choices_are_refused(choice: dict) -> None:
    with pytest.raises(ModelError, match=r"HBV: (routing|release) must be"):
        dg.models.HBV(**choice)


@pytest.mark.parametrize("weather", [DROUGHT, FLOOD, NOTHING], ids=["drought", "flood", "nothing"])
@pytest.mark.parametrize("start", ["dry", "full"])
def test_every_corner_ends_within_bounds(weather: Weather, start: str, usual_engine: str) -> None:
    model = dg.models.HBV(routing=1)
    values = corners(model, 24, seed=4)
    stores = {"dry": 0.0, "full": 300.0}[start]
    ends_within_bounds(model, values, weather, {s.name: stores for s in model.states}, usual_engine)


def test_all_corners_of_what_can_fall_dry() -> None:
    """Every combination of the extremes of what empties the soil and the upper zone."""
    model = dg.models.HBV()
    ranges = {p.name: p.typical for p in model.parameters}
    names = ("FC", "LP", "BETAET", "BETA", "C", "K0")
    rows = np.array([*product(*(ranges[k] for k in names))])
    values = {k: rows[:, i] for i, k in enumerate(names)}
    ends_within_bounds(model, values, DROUGHT, {"soil_moisture": 5.0, "lower_zone": 1.0}, "sundials")
