"""The temperature of streams against exact solutions, and in beds that fall dry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from rivers import chain

import pydiffgeo as dg

HOUR = 1 / 24


def warmed(cells: int, engine: str) -> list[float]:
    """At 1, 5 and 20 km, of water that is exchanged with a sky of 22 degC: 0.4 m/s, 0.5 m deep."""
    slope = 1e-3
    model = dg.models.River(chain(cells, 20e3 / cells, slope), temperature="equilibrium")
    n = 0.5 ** (2 / 3) * math.sqrt(slope) / 0.4
    inflow = torch.zeros(cells)
    inflow[0] = 2.0
    rest = dg.steady(
        model,
        {"manning_n": n, "width": 10.0, "exchange": 30.0},
        forcing={"inflow": inflow, "inflow_temperature": 12.0, "equilibrium_temperature": 22.0},
        initial={"storage": 1e5 / cells, "heat": 4.18 * 15 * 1e5 / cells},
        engine=engine,
    )
    return [rest.outputs["temperature"][round(km / 20 * cells) - 1].item() for km in (1, 5, 20)]


def test_a_stream_warms_on_its_way(engine: str) -> None:
    exact = [12.352489280654, 13.642500699010, 17.121285594259]
    coarse, fine = np.array(warmed(40, engine)), np.array(warmed(80, engine))
    assert fine == pytest.approx(exact, abs=0.02)
    assert 2 * fine - coarse == pytest.approx(exact, abs=2e-4)


def test_groundwater_cools_a_stream(engine: str) -> None:
    def solved(cells: int) -> np.ndarray:
        length = 50e3 / cells
        model = dg.models.River(chain(cells, length, 1e-3), temperature="equilibrium")
        inflow, lateral = torch.zeros(cells), torch.full((cells,), 1e-5 * length)
        inflow[0] = 0.5
        forcing = {"inflow": inflow, "lateral_inflow": lateral, "inflow_temperature": 14.0, "lateral_temperature": 11.0}
        rest = dg.steady(
            model,
            {"width": 5.0, "exchange": 20.0},
            forcing={**forcing, "equilibrium_temperature": 20.0},
            initial={"storage": length, "heat": 60.0 * length},
            engine=engine,
        )
        return rest.outputs["temperature"][[round(km / 50 * cells) - 1 for km in (1, 10, 50)]].numpy()

    coarse, fine = solved(50), solved(100)
    assert 2 * fine - coarse == pytest.approx([14.21745458, 15.54377777, 17.02821473], abs=5e-4)


def test_standing_water_follows_the_day(engine: str) -> None:
    # 0.5 m deep, K 30 W/m2/K: amplitude by 1/sqrt(1 + (omega tau)^2), late by atan(omega tau) / omega.
    model = dg.models.River(chain(1, 100.0, 1e-9), temperature="equilibrium")
    hours = np.arange(0, 24 * 12 + 1)
    sky = dg.TimeSeries(hours * HOUR, torch.from_numpy(15 + 10 * np.sin(2 * np.pi * hours / 24)), "linear")
    sol = dg.solve(
        model,
        {"manning_n": 1e6, "width": 10.0, "exchange": 30.0},
        forcing={"equilibrium_temperature": sky},
        initial={"storage": 500.0, "heat": 4.18 * 500 * 15},
        times=hours * HOUR,
        engine=engine,
        rtol=1e-8,
    )
    t, T = hours[-72:] * 2 * np.pi / 24, sol.outputs["temperature"][-72:, 0].numpy() - 15
    sine, cosine = 2 * np.mean(T * np.sin(t)), 2 * np.mean(T * np.cos(t))
    assert math.hypot(sine, cosine) / 10 == pytest.approx(0.19364641116, rel=0.01)  # straight lines between hours
    assert math.atan2(-cosine, sine) * 24 / (2 * np.pi) == pytest.approx(5.2556225638577, abs=0.02)


def test_the_weather_takes_water_to_its_equilibrium(engine: str) -> None:
    model = dg.models.River(chain(2, 1000.0, 1e-9), temperature="weather")
    weather = {"radiation": 500.0, "air_temperature": 20.0, "humidity": 0.6, "wind": 2.0}
    sol = dg.solve(
        model,
        {"manning_n": 1e6, "width": 10.0},
        forcing={k: [v] for k, v in weather.items()},
        initial={"storage": 1000.0, "heat": 0.0},
        times=[0.0, 30.0],
        engine=engine,
    )
    # Where the terms of the budget add up to nothing, computed independently.
    assert sol.outputs["temperature"][-1].tolist() == pytest.approx([27.652426] * 2, abs=1e-3)
    water, heat = sol.balances.values()
    assert abs(heat) < 1e-8 * sol.fluxes["heat_exchange"].sum()
    assert abs(water) < 1e-8


def test_a_reach_that_falls_dry_keeps_a_temperature(engine: str) -> None:
    model = dg.models.River(chain(3, 1000.0, 1e-3), temperature="weather")
    days = 12
    forcing = {"radiation": 200.0, "air_temperature": 15.0, "humidity": 0.7, "wind": 1.0}
    inflow = torch.zeros(days, 3)
    inflow[:2, 0] = 1.0
    inflow[9:, 0] = 2.0
    sol = dg.solve(
        model,
        {"leakage": 0.3, "width": 8.0},
        forcing={**{k: [v] * days for k, v in forcing.items()}, "inflow": inflow},
        times=range(days + 1),
        engine=engine,
        rtol=1e-6,
        atol=1e-5,
    )
    assert (sol.outputs["temperature"] > 0).all()
    assert (sol.outputs["temperature"] < 30).all()
    assert sol.states["storage"][8].max() < 10
    for net in sol.balances.values():
        assert abs(net) < 1e-4
