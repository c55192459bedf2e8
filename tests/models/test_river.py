"""Rivers against exact hydrographs, published responses, and what must hold whatever happens."""

from __future__ import annotations

import csv
import math
from typing import Any

import numpy as np
import pytest
import torch
from rivers import chain

import pydiffgeo as dg
from pydiffgeo.verification.rivers import TABLE

HOUR, DAY = 1 / 24, 86400.0


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
