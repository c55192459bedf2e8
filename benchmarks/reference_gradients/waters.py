"""Groundwater under a water table, and a river of six reaches: their statements, and the same in NumPy for `radau.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from radau import System
from statement import Input, Problem

ROWS, COLUMNS, SIDE, TOP = 3, 4, 100.0, 20.0
BOTTOM = [0.0, 0.4, 0.9, 1.5, 0.2, 0.7, 1.1, 1.8, 0.5, 0.6, 1.4, 2.0]
CREEK, OUTSIDE, DRAINED, PUMPED, GREEN = (0, 4, 8), 3, 11, 6, (5, 9)
BESIDE = [(c, c + 1) for c in range(ROWS * COLUMNS) if (c + 1) % COLUMNS] + [
    (c, c + COLUMNS) for c in range((ROWS - 1) * COLUMNS)
]
DOWNSTREAM = (1, 3, 3, 5, 5, None)
LENGTH = [3000.0, 4000.0, 2500.0, 5000.0, 3500.0, 6000.0]
SLOPE = [0.004, 0.002, 0.003, 0.001, 0.0025, 0.0006]
DAY = 86400.0


def aquifer() -> Problem:
    cell = np.arange(ROWS * COLUMNS)
    boundary = {
        "river_conductance": ([60.0, 45.0, 80.0], "m2/d", "C_r of cells 1, 5, 9"),
        "general_conductance": (12.0, "m2/d", "C_g"),
        "drain_conductance": (9.0, "m2/d", "C_d"),
        "drain_elevation": (10.5, "m", "z_d"),
        "evapotranspiration_surface": (14.0, "m", "elevation at which evapotranspiration is whole"),
        "evapotranspiration_depth": (8.0, "m", "extinction depth"),
    }
    forcing = {
        "recharge_rate": ([1e-3, 3e-3, 0.0, 2e-3, 5e-4, 1e-3], "m/d", "w"),
        "river_stage": ([12.0, 12.6, 12.2, 11.8, 12.4, 12.1], "m", "h_r"),
        "general_head": ([12.5, 12.4, 12.6, 12.7, 12.3, 12.5], "m", "h_g"),
        "well_rate": ([-150.0, -150.0, 0.0, -220.0, -60.0, 40.0], "m3/d", "Q, positive into the aquifer"),
        "evapotranspiration_rate": ([2e-3, 3e-3, 4e-3, 3e-3, 2e-3, 1e-3], "m/d", "e"),
    }
    return Problem(
        title="Groundwater under a water table: 12 cells with a river, a well, a drain and plants, 120 days",
        source="Harbaugh 2005, USGS Techniques and Methods 6-A16 (laws of boundaries, harmonic means)",
        equations=(
            "cells 1 to 12 in three rows of four, squares of side 100 m, with bottoms z_i; m_i = h_i - z_i, T_i = K_i m_i",
            "flow from a neighbour: 2 T_i T_j/(T_i + T_j) (h_j - h_i); nothing crosses the outline",
            "10^4 S_y_i h_i' = sum of flows from neighbours + 10^4 w + what follows, by cell",
            "cells 1, 5, 9: C_r (h_r - h_i), heads being above the bed; cell 4: C_g (h_g - h_4); cell 7: Q",
            "cell 12: -C_d (h_12 - z_d), heads being above z_d",
            "cells 6 and 10: -10^4 e (1 - (surface - h_i)/depth), heads being between both",
            "w, h_r, h_g, Q and e are constant in each interval between the times",
        ),
        times=[0.0, 5.0, 15.0, 30.0, 60.0, 90.0, 120.0],
        time_unit="d",
        inputs={
            "parameters.K": Input((4 + 2 * np.sin(2.0 * cell)).round(4).tolist(), "m/d", "conductivity"),
            "parameters.S_y": Input((0.15 + 0.05 * np.cos(1.3 * cell)).round(5).tolist(), "1", "specific yield"),
            **{f"parameters.{k}": Input(*v) for k, v in boundary.items()},
            "initial.head": Input((12 + 0.4 * np.sin(0.9 * cell)).round(4).tolist(), "m", "heads at the start"),
            **{f"forcing.{k}": Input(*v) for k, v in forcing.items()},
        },
        outputs={
            "river": "integral over all 120 days of the flow from the river, cells 1, 5 and 9",
            "heads": "mean over the cells and over the times after the first of (h - 11)^2",
            "well": "h_7 at t = 120",
        },
        constants={"bottom": BOTTOM},
        groups={"parameters": tuple(f"parameters.{k}" for k in boundary)},
    )


def river() -> Problem:
    hour = np.arange(12)
    inflow = 0.4 + np.outer(3.0 * np.exp(-(((hour - 3) / 2.0) ** 2)), [1.0, 0.6, 1.4, 0.3, 0.9, 0.2])
    return Problem(
        title="A flood in six reaches that join: kinematic waves by Manning's law, one day",
        source="Manning 1891; Lighthill and Whitham 1955, Proc. R. Soc. Lond. A 229",
        equations=(
            "reaches 1 to 6 of length L_i and slope s_i; 1 flows into 2, 2 and 3 into 4, 4 and 5 into 6, 6 out",
            "A_i = V_i/L_i; y_i = A_i/w_i; Q_i = A_i y_i^(2/3) s_i^(1/2)/n_i (m3/s), wide rectangles",
            "V_i' = 86400 (l_i + sum of Q_j of reaches that flow into i - Q_i)",
            "l_i is constant in each interval of two hours, one row for each",
        ),
        times=(np.arange(13) / 12).tolist(),
        time_unit="d",
        inputs={
            "parameters.manning_n": Input([0.05, 0.04, 0.06, 0.035, 0.045, 0.03], "s/m^(1/3)", "n"),
            "parameters.width": Input([6.0, 9.0, 5.0, 14.0, 8.0, 20.0], "m", "w"),
            "initial.storage": Input([1500.0, 4000.0, 1200.0, 9000.0, 2500.0, 20000.0], "m3", "V at the start"),
            "forcing.lateral_inflow": Input(inflow.round(4).tolist(), "m3/s", "l, intervals by reaches"),
        },
        outputs={
            "volume": "integral over the day of 86400 Q_6",
            "misfit": "mean over the intervals of (mean of Q_6 in the interval - 4)^2",
            "stored": "sum of V_i at t = 1, divided by 10^4",
        },
        constants={"length": LENGTH, "slope": SLOPE},
    )


def _where(problem: Problem, local: dict[str, int]) -> tuple[dict[str, slice], Any]:
    """Positions within `q` by name, and the positions of `q` in all inputs; `local` has how many are of one interval."""
    layout, within, start = problem.layout(), dict[str, slice](), 0
    fixed = [k for k in layout if k.startswith("parameters.")]
    for name in (*fixed, *local):
        size = local.get(name, layout[name].stop - layout[name].start)
        within[name.partition(".")[2]] = slice(start, start + size)
        start += size

    def positions(j: int) -> Any:
        parts = [np.arange(layout[k].start, layout[k].stop) for k in fixed]
        parts += [layout[k].start + j * n + np.arange(n) for k, n in local.items()]
        return np.concatenate(parts)

    return within, positions


def aquifer_system(problem: Problem) -> System:
    names = [k for k in problem.inputs if k.startswith("forcing.")]
    at, local = _where(problem, dict.fromkeys(names, 1))
    first = problem.layout()["initial.head"]
    left, right = np.array(BESIDE).T
    n, area = ROWS * COLUMNS, SIDE**2

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        v = {k: q[s] for k, s in at.items()}
        h = y[:n]
        T = v["K"] * (h - np.reshape(BOTTOM, (n,) + (1,) * (h.ndim - 1)))
        flow = 2 * T[left] * T[right] / (T[left] + T[right]) * (h[left] - h[right])
        gain = area * v["recharge_rate"] + 0 * h
        np.add.at(gain, left, -flow)
        np.add.at(gain, right, flow)
        creek = v["river_conductance"] * (v["river_stage"] - h[list(CREEK)])
        gain[list(CREEK)] += creek
        gain[OUTSIDE] += (v["general_conductance"] * (v["general_head"] - h[OUTSIDE]))[0]
        gain[PUMPED] += v["well_rate"][0]
        gain[DRAINED] -= (v["drain_conductance"] * (h[DRAINED] - v["drain_elevation"]))[0]
        below = (v["evapotranspiration_surface"] - h[list(GREEN)]) / v["evapotranspiration_depth"]
        gain[list(GREEN)] -= area * v["evapotranspiration_rate"] * (1 - below)
        return np.concatenate([gain / (area * v["S_y"]), creek.sum(0, keepdims=True)])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        heads = ((y[1:, :n] - 11) ** 2).mean((0, 1))
        return {"river": y[-1, n], "heads": heads, "well": y[-1, PUMPED]}

    scale = np.array([*[1.0] * n, 1000.0])
    return System(lambda z: np.concatenate([z[first], 0 * z[:1]]), rates, local, problem.times, outputs, scale)


def river_system(problem: Problem) -> System:
    n = len(LENGTH)
    at, local = _where(problem, {"forcing.lateral_inflow": n})
    first = problem.layout()["initial.storage"]

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        v = {k: q[s] for k, s in at.items()}
        length, slope = (np.reshape(k, (n,) + (1,) * (y.ndim - 1)) for k in (LENGTH, SLOPE))
        A = y[:n] / length
        Q = A * (A / v["width"]) ** (2 / 3) * np.sqrt(slope) / v["manning_n"]
        into = v["lateral_inflow"] + 0 * Q
        for i, below in enumerate(DOWNSTREAM):
            if below is not None:
                into[below] += Q[i]
        return DAY * np.concatenate([into - Q, Q[-1:]])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        mean = (y[1:, n] - y[:-1, n]) * 12 / DAY
        return {"volume": y[-1, n], "misfit": ((mean - 4) ** 2).mean(0), "stored": y[-1, :n].sum(0) / 1e4}

    scale = np.array([*[1e3] * n, 1e4])
    return System(lambda z: np.concatenate([z[first], 0 * z[:1]]), rates, local, problem.times, outputs, scale)
