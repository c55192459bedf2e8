"""Rivers against exact hydrographs, published responses, and what must hold whatever happens."""

from __future__ import annotations

import csv
import math
from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import ModelError
from pydiffgeo.models.reach_table import depth_of_network, divided
from pydiffgeo.verification.rivers import TABLE

HOUR, DAY = 1 / 24, 86400.0
ROUTINGS = ("kinematic", "diffusive", "muskingum", "muskingum_cunge")


def chain(count: int, length: float, slope: float) -> dict[str, Any]:
    return {
        "id": range(count),
        "downstream": [*range(1, count), None],
        "length": np.full(count, length),
        "slope": np.full(count, slope),
    }


# --- Linear reservoirs: Muskingum with X = 0 ------------------------------------------------------


def test_reservoirs_that_join(engine: str) -> None:
    table = {"id": "abc", "downstream": ["c", "c", None], "length": [1.0, 1, 1], "slope": [1.0, 1, 1]}
    model = dg.models.River({**table, "id": ["a", "b", "c"]}, routing="muskingum")
    sol = dg.solve(
        model,
        {"X": 0.0, "travel_time": torch.tensor([1.0, 2.0, 3.0]) * HOUR},
        forcing={"inflow": torch.tensor([1.0, 2.0, 0.0]).expand(4, 3)},
        times=np.array([0.0, 1, 2, 5, 10]) * HOUR,
        engine=engine,
        rtol=1e-10,
        atol=1e-7,
    )
    # By the matrix exponential.
    right = [0.23607753, 0.68855701, 1.91514195, 2.75941954]
    assert sol.outputs["discharge"][1:, 2].tolist() == pytest.approx(right, abs=2e-8)
    assert sol.balance.abs() < 1e-7 * sol.fluxes["inflow"].sum()


def test_a_cascade_of_nash(engine: str) -> None:
    model = dg.models.River(chain(3, 1.0, 1.0), routing="muskingum")
    times = np.array([0.0, 1, 2, 4, 8, 16]) * HOUR
    sol = dg.solve(
        model,
        {"X": 0.0, "travel_time": 2 * HOUR},
        initial={"storage": torch.tensor([3600.0, 0.0, 0.0])},
        times=times,
        engine=engine,
        rtol=1e-10,
        atol=1e-8,
    )
    # Of a unit volume, per hour: Nash 1957, the gamma distribution with n = 3 and k = 2 h.
    impulse = [0.03790816623, 0.09196986029, 0.1353352832, 0.07326255555, 0.005367402046]
    step = [0.01438767797, 0.08030139707, 0.3233235838, 0.7618966944, 0.9862460323]
    assert sol.outputs["discharge"][1:, 2].tolist() == pytest.approx(impulse, abs=1e-9)
    assert (sol.fluxes["outflow"].cumsum(0) / 3600).tolist() == pytest.approx(step, abs=1e-9)
    # What each reach has passed on is a mean flow over the interval.
    torch.testing.assert_close(sol.fluxes["discharge"][:, 2], sol.fluxes["outflow"])


def test_muskingum_dips_before_it_rises(engine: str) -> None:
    model = dg.models.River(chain(1, 1.0, 1.0), routing="muskingum")
    sol = dg.solve(
        model,
        {"X": 0.25, "travel_time": 9000 / DAY},
        forcing={"inflow": [1.0] * 5},
        times=np.array([0.0, 1e-6, 1800, 3600, 9000, 36000]) / DAY,
        engine=engine,
        rtol=1e-10,
        atol=1e-8,
    )
    right = [-1 / 3, -0.02123778449, 0.2178050407, 0.6485371492, 0.9935627333]
    assert sol.outputs["discharge"][1:, 0].tolist() == pytest.approx(right, abs=1e-8)


def test_muskingum_through_a_network_is_the_storage_equation(engine: str) -> None:
    # V = K (X I + (1 - X) Q) in every reach, where I is what those above give off at the same instant.
    table = {"id": [1, 2, 3, 4], "downstream": [3, 3, 4, 0], "length": np.ones(4), "slope": np.ones(4)}
    model = dg.models.River(table, routing="muskingum")
    K, X = torch.tensor([0.1, 0.2, 0.15, 0.05]), torch.tensor([0.0, 0.1, 0.3, 0.2])
    inflow = torch.tensor([3.0, 1.0, 0.0, 0.5])
    sol = dg.solve(
        model,
        {"travel_time": K, "X": X},
        forcing={"inflow": inflow.expand(3, 4)},
        times=[0.0, 0.05, 0.1, 0.4],
        engine=engine,
        rtol=1e-9,
        atol=1e-6,
    )
    out = sol.outputs["discharge"][1:]
    entering = inflow + torch.stack([0 * out[:, 0], 0 * out[:, 0], out[:, 0] + out[:, 1], out[:, 2]], dim=1)
    torch.testing.assert_close(sol.states["storage"][1:], K * DAY * (X * entering + (1 - X) * out))


# --- Channels -------------------------------------------------------------------------------------

# 50 mm/h for 1200 s on 100 m, n 0.05, slope 0.01: by characteristics, in 1e-6 m2/s.
PLANE = {120: 46.85737029, 300: 215.7800351, 1500: 785.8010754, 2400: 148.8633618, 3600: 32.90576419}


def plane(cells: int, engine: str) -> np.ndarray:
    model = dg.models.River(chain(cells, 100 / cells, 0.01))
    times = np.array([0, 120, 300, 1200, 1500, 2400, 3600])
    rain = 0.05 / 3600 * 100 / cells
    sol = dg.solve(
        model,
        {"manning_n": 0.05, "width": 1.0},
        forcing={"lateral_inflow": torch.tensor([rain] * 3 + [0.0] * 3)},
        times=times / DAY,
        engine=engine,
        rtol=1e-8,
        atol=1e-12,
    )
    return np.delete(sol.outputs["discharge"][1:, -1].numpy() * 1e6, 2)


def test_rain_on_a_kinematic_plane(engine: str) -> None:
    exact = np.array([*PLANE.values()])
    coarse, fine = plane(40, engine), plane(80, engine)
    assert np.abs(fine - exact).max() < 3.0
    # While it rains, water does not know yet how long the plane is, and later errors are of first order.
    assert np.abs(fine - exact)[:2].max() < 1e-6
    ratio = (coarse - exact)[2:] / (fine - exact)[2:]
    assert ratio == pytest.approx([2.0, 2.0, 2.0], abs=0.15)
    assert 2 * fine - coarse == pytest.approx(exact, rel=3e-3)


def hayami(length: float, engine: str) -> np.ndarray:
    """Response at 20 km to a small step of the inflow, where celerity is 1 m/s and diffusivity 2000 m2/s."""
    count, depth, width = round(50e3 / length), 2.0, 10.0
    velocity, slope = 0.6, depth * 0.6 / (2 * 2000.0)  # c = 5/3 v, D = v y / (2 S)
    n = depth ** (2 / 3) * math.sqrt(slope) / velocity
    base, step = velocity * depth * width, 1e-3
    model, values = dg.models.River(chain(count, length, slope), routing="diffusive"), {"manning_n": n, "width": width}
    inflow = torch.zeros(1, count)
    inflow[0, 0] = base
    start = dg.steady(model, values, forcing={"inflow": inflow[0]}, initial={"storage": 20.0 * length}, engine=engine)
    inflow[0, 0] += step
    sol = dg.solve(
        model,
        values,
        forcing={"inflow": inflow.expand(5, count)},
        initial={"storage": start.states["storage"]},
        times=np.array([0.0, 3, 5, 6, 8, 12]) * HOUR,
        engine=engine,
        rtol=1e-10,
        atol=1e-8,
    )
    return (sol.outputs["discharge"][1:, round(20e3 / length) - 1].numpy() - base) / step


def test_a_small_wave_is_that_of_hayami(engine: str) -> None:
    exact = np.array([0.1114681341, 0.4896785533, 0.6523108665, 0.8538842084, 0.9780156811])
    coarse, fine = hayami(2000.0, engine), hayami(1000.0, engine)
    assert fine == pytest.approx(exact, abs=6e-3)
    # Second order: extrapolated, ten times better.
    assert (4 * fine - coarse) / 3 == pytest.approx(exact, abs=1e-3)


def bad_river() -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """The table of reaches, their total area and that which drains into each of them directly (m2)."""
    rows = [*csv.DictReader(TABLE.open())]

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in rows])

    table = {k: [int(row[k]) for row in rows] for k in ("id", "downstream")}
    table |= {"length": column("length_km") * 1e3, "slope": column("slope")}
    return table, column("total_area_km2"), (column("local_area_km2") + column("external_area_km2")) * 1e6


def test_a_real_river_at_rest(engine: str) -> None:
    table, area, local = bad_river()
    model = dg.models.River(table)
    values = {"manning_n": 0.05, "width": 2.7 * area**0.35}
    rest = dg.steady(
        model, values, forcing={"lateral_inflow": local * 1e-3 / DAY}, initial={"storage": 1e3}, engine=engine
    )
    (outlet,) = model.graph.outlets
    assert rest.outputs["discharge"][outlet].item() == pytest.approx(6.59475, rel=1e-6)
    assert rest.outputs["depth"][outlet].item() == pytest.approx(0.4172039867, rel=1e-6)
    assert rest.outputs["velocity"][outlet].item() == pytest.approx(0.6353117607, rel=1e-6)
    assert rest.states["storage"].sum().item() == pytest.approx(346533.8722, rel=1e-6)
    assert rest.outputs["velocity"].max().item() == pytest.approx(1.6276, rel=1e-4)


@pytest.mark.parametrize("routing", ["kinematic", "diffusive", "muskingum_cunge"])
def test_a_flood_through_a_real_river(routing: str, engine: str) -> None:
    table, area, local = bad_river()
    model = dg.models.River(table, routing=routing)
    runoff = torch.tensor([0.0, 1.0, 60.0, 5.0, 1.0, 0.0])[:, None] * 1e-3 / DAY
    sol = dg.solve(
        model,
        {"manning_n": 0.05, "width": 2.7 * area**0.35},
        forcing={"lateral_inflow": runoff * torch.from_numpy(local)},
        times=range(7),
        engine=engine,
        rtol=1e-6,
        atol=1e-3,
    )
    # From a dry bed; water is neither made nor lost, and what comes in leaves through the outlet.
    assert sol.balance.abs() < 1e-9 * sol.fluxes["inflow"].sum()
    assert sol.states["storage"].min() > -0.1
    mean = sol.fluxes["discharge"][:, model.graph.outlets[0]] / DAY
    torch.testing.assert_close(mean * DAY, sol.fluxes["outflow"])
    assert mean.argmax() == 2
    assert 100 < mean.max() < 60e-3 / DAY * local.sum()


def test_a_backwater_stands_level(engine: str) -> None:
    # A deep, slow last reach: the surface above it is level, and uniform flow knows nothing of that.
    table = chain(6, 500.0, 1e-3)
    table["slope"] = np.array([1e-3] * 5 + [1e-6])
    values, inflow = {"width": 10.0}, torch.tensor([2.0, 0, 0, 0, 0, 0])
    depth = {}
    for routing in ("kinematic", "diffusive"):
        model = dg.models.River(table, routing=routing)
        rest = dg.steady(model, values, forcing={"inflow": inflow}, initial={"storage": 5e3}, engine=engine)
        depth[routing] = rest.outputs["depth"]
        assert rest.outputs["discharge"].tolist() == pytest.approx([2.0] * 6)
    assert depth["diffusive"][4] > 3 * depth["kinematic"][4]
    fall = 0.5 * 500 * (1e-3 + 1e-6)
    assert (depth["diffusive"][5] - depth["diffusive"][4]).item() == pytest.approx(fall, abs=0.01)


def test_leakage_stops_in_a_dry_bed(engine: str) -> None:
    model = dg.models.River(chain(3, 1000.0, 1e-3))
    sol = dg.solve(
        model,
        {"leakage": 0.5, "width": 5.0},
        forcing={"inflow": torch.tensor([[0.5, 0.0, 0.0]] * 2 + [[0.0] * 3] * 8)},
        times=range(11),
        engine=engine,
        rtol=1e-7,
        atol=1e-6,
    )
    assert sol.states["storage"].min() > -1e-6
    assert sol.fluxes["losses"][0] > 1000
    assert sol.fluxes["losses"][-1] < 1e-3
    assert sol.balance.abs() < 1e-6


def test_random_corners_end_in_bounds_or_say_why(engine: str) -> None:
    generator = np.random.default_rng(1)
    for routing in ("kinematic", "diffusive"):
        members = 24
        model = dg.models.River(chain(4, 3000.0, 1e-3), routing=routing)
        corners = {
            "manning_n": generator.choice([0.015, 0.25], (members, 4)),
            "width": generator.choice([1.0, 200.0], (members, 4)),
            "width_exponent": generator.choice([0.0, 1.0], (members, 4)),
            "leakage": generator.choice([0.0, 1.0], (members, 1)),
        }
        start = generator.choice([0.0, 1e5], (members, 4))
        inflow = np.zeros((members, 4, 4))
        inflow[:, :, 0] = generator.choice([0.0, 1e-3, 1000.0], (members, 4))
        sol = dg.solve(
            model,
            corners,
            forcing={"inflow": inflow},
            initial={"storage": start},
            times=range(5),
            engine=engine,
            rtol=1e-6,
            atol=1e-4,
            throw=False,
        )
        good = sol.ok
        assert good.sum() >= members - 1, [*sol.failures()]
        assert sol.states["storage"][good].min() > -0.1
        assert (sol.balance.abs() <= 1e-9 * (1e6 + sol.fluxes["inflow"].sum(-1)))[good].all()


# --- Temperature ----------------------------------------------------------------------------------


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


# --- Tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": [1.0, -1.0, 1.0]}, "length of reach 1 is -1"),
        ({"slope": [0.0, 1e-3, 1e-3]}, "slope of reach 0 is 0"),
        ({"slope": None}, "need a 'slope'"),
    ],
)
def test_tables_that_are_no_river(change: dict[str, Any], message: str) -> None:
    table = {k: v for k, v in {**chain(3, 1.0, 1e-3), **change}.items() if v is not None}
    with pytest.raises(ModelError, match=message):
        dg.models.River(table)


def test_wrong_choices_are_named() -> None:
    table = chain(2, 1.0, 1e-3)
    with pytest.raises(ModelError, match=r"routing='muskingham' is not one of \['kinematic'"):
        dg.models.River(table, routing="muskingham")
    with pytest.raises(ModelError, match="temperature='hot'"):
        dg.models.River(table, temperature="hot")
    with pytest.raises(ModelError, match="needs a channel"):
        dg.models.River(table, routing="muskingum", temperature="weather")
    parting = dg.network(3, [(0, 1), (0, 2)])
    graph = dg.Graph(3, parting.faces, {**parting.cell, "length": 1.0, "slope": 1e-3}, parting.face)
    with pytest.raises(ModelError, match="reach 0 flows into more than one"):
        dg.models.River(graph)


def test_columns_stand_for_parameters() -> None:
    model = dg.models.River({**chain(2, 1.0, 1e-3), "width": [3.0, 4.0]})
    assert "width" not in {p.name for p in model.parameters}
    assert "width" in {p.name for p in dg.models.River(chain(2, 1.0, 1e-3)).parameters}


def test_reaches_are_cut_into_parts() -> None:
    table = {
        "id": ["a", "b"],
        "downstream": ["b", None],
        "length": [900.0, 400.0],
        "slope": [0.01, 0.02],
        "area": [9.0, 4.0],
    }
    cut = divided(table, 400.0, shared=("area",))
    assert cut["id"] == ["a/1", "a/2", "a/3", "b/1"]
    assert cut["downstream"] == ["a/2", "a/3", "b/1", None]
    assert cut["length"].tolist() == [300.0] * 3 + [400.0]
    assert cut["area"].tolist() == [3.0] * 3 + [4.0]
    assert cut["slope"].tolist() == [0.01] * 3 + [0.02]
    model = dg.models.River({k: v for k, v in cut.items() if k != "area"})
    assert model.graph.index("b/1") == 3
    assert depth_of_network(model.graph) == 4
    with pytest.raises(ModelError, match="no column 'areas'"):
        divided(table, 400.0, shared=("areas",))
    with pytest.raises(ModelError, match="longest must be positive"):
        divided(table, 0.0)


@pytest.mark.parametrize("routing", ROUTINGS)
def test_every_river_describes_itself(routing: str) -> None:
    text = dg.models.River(chain(3, 100.0, 1e-3), routing=routing).describe()
    assert "m3 s-1" in text
    assert "discharge" in text


def test_a_river_is_made_once_for_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    table = chain(3, 100.0, 1e-3)
    assert dg.models.River(table) is dg.models.River(dict(table))
    assert dg.models.River(table) is not dg.models.River({**table, "length": [100.0, 100.0, 90.0]})
    other = dg.models.River(pandas.DataFrame({**table, "id": range(3)}))
    assert other.graph.outlets == (2,)
    assert other.graph.cell["length"].tolist() == [100.0] * 3
