"""EXP-HYDRO by SciPy's Radau method, day by day: written from the equations of Hoege et al. 2022."""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from ...arrays import Array


def exphydro(
    parameters: dict[str, float], start: tuple[float, float], rain: Array, temperature: Array, day_hours: Array
) -> dict[str, Array]:
    """Stores at the end of each day and daily runoff and evapotranspiration (mm)."""
    p = parameters

    def step(x: float) -> float:
        return 0.5 * (float(np.tanh(5.0 * x)) + 1.0)

    def flows(y: Array, P: float, T: float, L: float) -> tuple[float, float, float, float, float]:
        S0, S1 = float(y[0]), float(y[1])
        melt = step(T - p["T_max"]) * step(S0) * min(S0, p["D_f"] * (T - p["T_max"]))
        demand = 29.8 * L * 0.611 * np.exp(17.3 * T / (T + 237.3)) / (T + 273.2)
        over, under = step(S1 - p["S_max"]), step(p["S_max"] - S1)
        et = step(S1) * demand * (over + under * S1 / p["S_max"])
        base = step(S1) * p["Q_max"] * (over + under * np.exp(-p["f"] * (p["S_max"] - S1)))
        surface = step(S1) * over * (S1 - p["S_max"])
        snow, liquid = step(p["T_min"] - T) * P, step(T - p["T_min"]) * P
        return snow, liquid, melt, et, base + surface

    def rate(t: float, y: Array, P: float, T: float, L: float) -> list[float]:
        snow, liquid, melt, et, runoff = flows(y, P, T, L)
        return [snow - melt, liquid + melt - et - runoff, et, runoff]

    y, rows = np.array([*start, 0.0, 0.0]), []
    for weather in zip(rain, temperature, day_hours, strict=True):
        y[2:] = 0.0
        done = solve_ivp(rate, (0.0, 1.0), y, "Radau", rtol=1e-10, atol=1e-10, args=weather)
        y = done.y[:, -1].copy()
        rows.append(y.copy())
    table = np.array(rows)
    return {"snow": table[:, 0], "water": table[:, 1], "runoff": table[:, 3], "evapotranspiration": table[:, 2]}
