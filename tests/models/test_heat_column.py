"""Heat in soil against exact solutions: waves under flowing water, and fronts of freezing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import BoundsError, ModelError

DAY, YEAR, WATT = 86400.0, 365.0, 0.0864
TIGHT = {"rtol": 1e-7, "atol": 1e-9}


def graded(depth: float, cells: int, ratio: float) -> tuple[float, ...]:
    sizes = ratio ** (np.arange(cells) / (cells - 1))
    return tuple((depth * sizes / sizes.sum()).tolist())


def damped(engine: str, q: float, cells: int) -> float:
    """Ratio of the daily amplitudes at 0.3 m and 0.1 m under a flux of water (m/s); conductivity 2 W/m/K, C 2.8 MJ/m3/K."""
    model = dg.models.HeatColumn(1.5, cells, flow="parameter")
    t = np.arange(0, 6 + 1e-9, 1 / 144)
    surface = dg.TimeSeries(t, torch.from_numpy(np.sin(2 * np.pi * t)), "linear")
    sol = dg.solve(
        model,
        {"conductivity": 2 * WATT, "capacity": 2.8, "water_flux": q * DAY},
        forcing={"surface_temperature": surface},
        times=np.concatenate([[0.0], np.arange(5, 6, 1 / 24)]),
        engine=engine,
        rtol=1e-6,
        atol=1e-8,
    )
    hours, T = np.arange(24) / 24, sol.outputs["temperature"][1:].numpy()
    wave = 2 * np.mean(T * np.exp(2j * np.pi * hours)[:, None], axis=0)
    z, size = model.graph.coordinates["depth"], np.log(np.abs(wave))
    return float(np.exp(np.interp(0.3, z, size) - np.interp(0.1, z, size)))


@pytest.mark.parametrize(
    ("q", "ratio"), [(0.0, 0.240037308), (1e-6, 0.2935714787), (4e-7, 0.260647622), (-1e-6, 0.1932763729)]
)
def test_daily_waves_in_flowing_water(q: float, ratio: float, engine: str) -> None:
    # Stallman 1965, over 0.2 m.
    coarse, fine = damped(engine, q, 30), damped(engine, q, 60)
    assert fine == pytest.approx(ratio, abs=2e-3)
    assert (4 * fine - coarse) / 3 == pytest.approx(ratio, abs=8e-4)  # five days after its start


def test_a_yearly_wave_in_sinking_water(engine: str) -> None:
    # q 5.01596e-7 m/s, D 5.313777e-7 m2/s, thermal velocity 7.40202e-7 m/s, T = 10 + 5 sin.
    q, D, thermal = 5.01596e-7, 5.313777e-7, 7.40202e-7
    capacity = q * 4.18 / thermal
    model = dg.models.HeatColumn(60.0, 120, flow="parameter", thickness=graded(60.0, 120, 10.0))
    t = np.linspace(0, 9.25, 37 * 9 + 1) * YEAR
    surface = dg.TimeSeries(t, torch.from_numpy(10 + 5 * np.sin(2 * np.pi * t / YEAR)), "linear")
    sol = dg.solve(
        model,
        {"conductivity": D * capacity * DAY, "capacity": capacity, "water_flux": q * DAY},
        forcing={"surface_temperature": surface},
        initial={"temperature": 10.0},
        times=[0.0, 9 * YEAR, 9.25 * YEAR],
        engine=engine,
        rtol=1e-6,
        atol=1e-7,
    )
    z = model.graph.coordinates["depth"]
    for k, right in ((1, [8.802982, 6.183638, 8.160604, 11.929562]), (2, [14.630023, 11.204941, 7.377452, 10.698876])):
        found = np.interp([1, 5, 10, 20], z, sol.outputs["temperature"][k].numpy())
        assert found == pytest.approx(right, abs=0.05)


def test_a_step_is_the_error_function(engine: str) -> None:
    model = dg.models.HeatColumn(4.0, 100, thickness=graded(4.0, 100, 8.0))
    sol = dg.solve(
        model,
        {"conductivity": 7e-7 * 2.0 * DAY, "capacity": 2.0},
        forcing={"surface_temperature": [1.0, 1.0]},
        times=[0.0, 1.0, 10.0],
        engine=engine,
        **TIGHT,
    )
    T = [np.interp([0.1, 0.5], model.graph.coordinates["depth"], row.numpy()) for row in sol.outputs["temperature"]]
    assert T[1] == pytest.approx([0.7737085891, 0.1505371956], abs=5e-4)
    assert T[2] == pytest.approx([0.9275528838, 0.6493822086], abs=5e-4)


NEUMANN = {
    "conductivity": 1.6 * WATT,
    "frozen_conductivity": 2.3 * WATT,
    "capacity": 2.9,
    "frozen_capacity": 2.0,
    "latent_heat": 100.0,
    "T_frozen": -0.02,
}


def test_a_front_of_freezing(engine: str) -> None:
    cells = 100
    model = dg.models.HeatColumn(3.0, cells, freezing="linear", thickness=graded(3.0, cells, 6.0))
    sol = dg.solve(
        model,
        NEUMANN,
        forcing={"surface_temperature": [-5.0] * 3},
        initial={"temperature": 2.0},
        times=[0.0, 1.0, 10.0, 30.0],
        engine=engine,
        rtol=1e-5,
        atol=1e-6,
    )
    z = model.graph.coordinates["depth"]
    found = np.interp([0.05, 0.1, 0.2, 0.5], z, sol.outputs["temperature"][2].numpy())
    # Neumann (Carslaw and Jaeger 1959, section 11.2), freezing at 0 degC.
    assert found == pytest.approx([-4.381658754, -3.764094842, -2.534390796, 0.1957089947], abs=0.05)
    sizes = model.graph.cell["thickness"]
    frozen = ((1 - sol.outputs["liquid"].numpy()) * sizes).sum(-1)
    assert frozen[1:] == pytest.approx([0.1296304685, 0.4099275345, 0.7100153171], rel=0.02)
    assert sol.balance.abs() < 1e-9 * sol.fluxes["ground_heat_flux"].abs().sum()


LUNARDINI = {
    -1.0: ((0.180928, 0.2497117), [-4.6102039, -3.2244078, 0.0015013, 1.2177545, 2.9378559]),
    -4.0: ((0.0812901, 0.3337974), [-4.7688669, -3.474423, -0.6233286, 0.8830702, 2.8100875]),
}


@pytest.mark.parametrize("T_frozen", LUNARDINI)
def test_three_zones(T_frozen: float, engine: str) -> None:
    (frozen, mushy), temperatures = LUNARDINI[T_frozen]
    model = dg.models.HeatColumn(4.0, 120, freezing="three_zones", thickness=graded(4.0, 120, 10.0))
    values = {
        "conductivity": 2.418352 * WATT,
        "frozen_conductivity": 3.464352 * WATT,
        "capacity": 0.69036,
        "frozen_capacity": 0.69036,
        "latent_heat": 1680 * 0.33472 * (0.2 - 0.0782),
        "T_frozen": T_frozen,
    }
    sol = dg.solve(
        model,
        values,
        forcing={"surface_temperature": [-6.0]},
        initial={"temperature": 4.0},
        times=[0.0, 1.0],
        engine=engine,
        rtol=1e-5,
        atol=1e-6,
    )
    z, T = model.graph.coordinates["depth"], sol.outputs["temperature"][-1].numpy()
    assert np.interp([0.05, 0.1, 0.25, 0.5, 1.0], z, T) == pytest.approx(temperatures, abs=0.06)
    assert np.interp([T_frozen, -1e-6], T, z) == pytest.approx([frozen, mushy], rel=0.03)


def test_water_must_flow_evenly() -> None:
    model = dg.models.HeatColumn(1.0, 4, flow="parameter")
    with pytest.raises(BoundsError, match="water_flux is that of all cells"):
        dg.solve(
            model,
            {"water_flux": torch.tensor([0.1, 0.1, 0.2, 0.1])},
            forcing={"surface_temperature": [1.0]},
            times=[0, 1.0],
        )


def test_water_of_one_temperature_stays_at_it(engine: str) -> None:
    model = dg.models.HeatColumn(1.0, 10, flow="forcing", base=True)
    sol = dg.solve(
        model,
        forcing={"surface_temperature": 7.0, "base_temperature": 7.0, "water_flux": [0.5, -0.3, 2.0]},
        initial={"temperature": 7.0},
        times=range(4),
        engine=engine,
        **TIGHT,
    )
    assert (sol.outputs["temperature"] - 7.0).abs().max() < 1e-9
    # As much comes in as leaves, with the water.
    assert sol.fluxes["heat_loss"].tolist() == pytest.approx([4.18 * 7 * q for q in (0.5, -0.3, 2.0)], rel=1e-8)


@pytest.mark.parametrize(
    ("choice", "message"), [({"flow": "down"}, "flow='down'"), ({"freezing": "yes"}, "freezing='yes'")]
)
def test_wrong_choices_are_named(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        dg.models.HeatColumn(1.0, 4, **choice)
