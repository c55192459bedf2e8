"""Rivers: exact responses of linear routing, waves down channels, a real network at rest, and the warmth of streams."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..arrays import Array
from ..models import River
from ..solve import Solution
from .convergence import in_space
from .problem import Bench, Line, Outcome, Panel, balance_of, check, labels

DAY = 86400.0


def chain(count: int, length: float, slope: float) -> dict[str, ArrayLike]:
    """A table of equal reaches in a row."""
    downstream = np.array([*range(1, count), None])
    return {
        "id": np.arange(count),
        "downstream": downstream,
        "length": np.full(count, length),
        "slope": np.full(count, slope),
    }


# --- Muskingum: the response of one reach to a sudden inflow --------------------------------------

MUSKINGUM = {"travel_time": 9000 / DAY, "X": 0.25}


def muskingum(bench: Bench) -> Outcome:
    """Q = 1 - exp(-t / (K (1 - X))) / (1 - X): it begins at -X / (1 - X)."""
    seconds = np.array([0.0, 1e-3, 1800, 3600, 9000, 18000, 36000])
    model = River(chain(1, 1.0, 1.0), routing="muskingum")
    sol = bench.solve(model, MUSKINGUM, forcing={"inflow": np.ones((6, 1))}, times=seconds / DAY, rtol=1e-9)
    at, K, X = seconds[1:], 9000.0, 0.25
    exact = 1 - np.exp(-at / (K * (1 - X))) / (1 - X)
    computed = sol.outputs["discharge"][1:, 0].numpy()
    checks = (check("outflow", "m3/s", labels(at, "s"), computed, exact, 1e-6, "McCarthy 1938"),)
    lines = [Line(at / 3600, computed, "computed"), Line(at / 3600, exact, "exact", "points")]
    return Outcome(checks, balance_of(sol), (), (Panel("time (h)", "outflow (m3/s)", lines),))


# --- A kinematic plane under rain -----------------------------------------------------------------

PLANE = {"manning_n": 0.05, "width": 1.0}
RAIN = {"rain": 0.05 / 3600, "rain_ends": 1200.0, "length": 100.0, "slope": 0.01}
# By the method of characteristics (Henderson and Wooding 1964), 1e-6 m2/s.
PLANE_FLOW = {
    120: 46.85737029,
    300: 215.7800351,
    600: 685.0589095,
    1500: 785.8010754,
    2400: 148.8633618,
    3600: 32.90576419,
}


def kinematic_plane(bench: Bench) -> Outcome:
    seconds = np.array([0, 120, 300, 600, 1200, 1500, 2400, 3600])

    def solve(cells: int) -> tuple[Solution, Array]:
        size = RAIN["length"] / cells
        model = River(chain(cells, size, RAIN["slope"]))
        rain = np.where(seconds[1:, None] <= RAIN["rain_ends"], RAIN["rain"] * size, 0.0) * np.ones(cells)
        sol = bench.solve(model, PLANE, forcing={"lateral_inflow": rain}, times=seconds / DAY, rtol=1e-8, atol=1e-12)
        return sol, np.delete(sol.outputs["discharge"][1:, -1].numpy() * 1e6, 3)

    exact = np.array([*PLANE_FLOW.values()])
    sol, computed = solve(bench.pick(100, 400))
    checks = (
        check(
            "outflow of a metre of width",
            "1e-6 m2/s",
            labels(PLANE_FLOW, "s"),
            computed,
            exact,
            bench.pick(2.0, 0.6),
            "characteristics: Henderson and Wooding 1964",
        ),
    )
    reason = "upwind: a reach gives off its own uniform flow"
    convergence = bench.studies(
        in_space(
            lambda n: float(np.abs(solve(n)[1] - exact).max()),
            100.0,
            (4.0, 2.0, 1.0),
            "1e-6 m2/s",
            (1.0, 0.9, 1.1),
            reason,
        )
    )
    at = np.array([*PLANE_FLOW])
    lines = [Line(at, computed, "computed"), Line(at, exact, "characteristics", "points")]
    return Outcome(checks, balance_of(sol), convergence, (Panel("time (s)", "outflow (1e-6 m2/s)", lines),))


# --- A small wave on a deep river -----------------------------------------------------------------

WAVE = {"celerity": 1.0, "diffusivity": 2000.0, "distance": 20e3}
DEPTH, WIDTH = 2.0, 10.0
VELOCITY = 0.6 * WAVE["celerity"]  # c = 5/3 v
SLOPE = DEPTH * VELOCITY / (2 * WAVE["diffusivity"])  # D = v y / (2 S)
HAYAMI = {"manning_n": DEPTH ** (2 / 3) * math.sqrt(SLOPE) / VELOCITY, "width": WIDTH}
STEP = {3: 0.1114681341, 5: 0.4896785533, 6: 0.6523108665, 8: 0.8538842084, 12: 0.9780156811}


def hayami(bench: Bench) -> Outcome:
    """The step response of the linear diffusive wave, of a rise by a ten-thousandth."""
    base, rise = VELOCITY * DEPTH * WIDTH, 1e-3

    def solve(length: float) -> tuple[Solution, Array]:
        count = round(50e3 / length)
        model = River(chain(count, length, SLOPE), routing="diffusive")
        inflow = np.zeros(count)
        inflow[0] = base
        start = bench.steady(model, HAYAMI, {"inflow": inflow}, {"storage": DEPTH * WIDTH * length})
        inflow[0] += rise
        sol = bench.solve(
            model,
            HAYAMI,
            forcing={"inflow": np.tile(inflow, (5, 1))},
            initial={"storage": start.states["storage"]},
            times=np.array([0, *STEP]) / 24,
            rtol=1e-10,
            atol=1e-8,
        )
        return sol, (sol.outputs["discharge"][1:, round(WAVE["distance"] / length) - 1].numpy() - base) / rise

    exact = np.array([*STEP.values()])
    sol, computed = solve(bench.pick(500.0, 250.0))
    source = "Hayami 1951, Disaster Prev. Res. Inst. Bull. 1"
    checks = (
        check("share of the rise at 20 km", "1", labels(STEP, "h"), computed, exact, bench.pick(3e-3, 1e-3), source),
    )
    error = lambda n: float(np.abs(solve(50e3 / n)[1] - exact).max())  # noqa: E731
    convergence = bench.studies(in_space(error, 50e3, (2000.0, 1000.0, 500.0), "1", (2.0, 1.7, 2.2)))
    at = np.array([*STEP])
    lines = [Line(at, computed, "computed"), Line(at, exact, "Hayami", "points")]
    return Outcome(checks, balance_of(sol), convergence, (Panel("time (h)", "share of the rise (-)", lines),))


# --- A real river at rest -------------------------------------------------------------------------

RUNOFF = {"runoff": 1e-3, "manning_n": 0.05, "width_by_area": 2.7, "exponent_of_area": 0.35}
TABLE = Path(__file__).parent / "references" / "bad_river_reaches.csv"


def bad_river(bench: Bench) -> Outcome:
    """Every reach in uniform flow of the runoff of the area above it; 45 reaches of the Bad River, Wisconsin."""
    with TABLE.open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]

    def column(name: str) -> Array:
        return np.array([float(row[name]) for row in rows])

    table = {
        "id": column("id"),
        "downstream": column("downstream"),
        "length": column("length_km") * 1e3,
        "slope": column("slope"),
    }
    local, area = (column("local_area_km2") + column("external_area_km2")) * 1e6, column("total_area_km2")
    model, width = River(table), RUNOFF["width_by_area"] * area ** RUNOFF["exponent_of_area"]
    values: dict[str, float | Tensor] = {"manning_n": RUNOFF["manning_n"], "width": torch.from_numpy(width)}
    rest = bench.steady(model, values, {"lateral_inflow": local * RUNOFF["runoff"] / DAY}, {"storage": 1e3})
    (outlet,) = model.graph.outlets
    found = {k: float(v[outlet]) for k, v in rest.outputs.items()}
    stored = float(rest.states["storage"].sum())
    source, place = "uniform flow reach by reach, computed independently; the table: NHDPlus v2", ["outlet"]
    checks = (
        check("discharge", "m3/s", place, [found["discharge"]], [6.59475], 2e-6, source, relative=True),
        check("depth", "m", place, [found["depth"]], [0.4172039867], 2e-6, source, relative=True),
        check("velocity", "m/s", place, [found["velocity"]], [0.6353117607], 2e-6, source, relative=True),
        check("water in all reaches", "m3", ["river"], [stored], [346533.8722], 2e-6, source, relative=True),
    )
    each = rest.outputs["velocity"].numpy()
    panel = Panel("area above (km2)", "velocity (m/s)", [Line(area, each, "reaches", "points")], logx=True)
    return Outcome(checks, None, (), (panel,))


# --- A stream that warms on its way ---------------------------------------------------------------

STREAM = {"exchange": 30.0, "manning_n": 0.5 ** (2 / 3) * math.sqrt(1e-3) / 0.4, "width": 10.0}
WARMED = {1: 12.352489280654, 5: 13.642500699010, 20: 17.121285594259}


def stream_temperature(bench: Bench) -> Outcome:
    """T = T_e - (T_e - T_0) exp(-K x / (rho c d v)): 12 degC at first, 22 degC at last, 0.5 m deep, 0.4 m/s."""

    def solve(cells: int) -> Array:
        inflow, volume = torch.zeros(cells), 5 * 20e3 / cells
        inflow[0] = 2.0
        rest = bench.steady(
            River(chain(cells, 20e3 / cells, 1e-3), temperature="equilibrium"),
            STREAM,
            {"inflow": inflow, "inflow_temperature": 12.0, "equilibrium_temperature": 22.0},
            {"storage": volume, "heat": 4.18 * 15 * volume},
        )
        return rest.outputs["temperature"][[round(x * cells / 20) - 1 for x in WARMED]].numpy()

    coarse, fine = solve(bench.pick(80, 200)), solve(bench.pick(160, 400))
    exact, what = np.array([*WARMED.values()]), "temperature, extrapolated from two grids of first order"
    source = "Edinger et al. 1968, Water Resour. Res. 4"
    checks = (check(what, "degC", labels(WARMED, "km"), 2 * fine - coarse, exact, 1e-3, source),)
    lines = [Line([*WARMED], fine, "computed"), Line([*WARMED], exact, "exact", "points")]
    return Outcome(checks, None, (), (Panel("distance (km)", "temperature (degC)", lines),))
