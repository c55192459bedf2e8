"""HBV and GR4J: their statements, and the same written out in NumPy for `radau.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from radau import System
from statement import Input, Problem


def hbv() -> Problem:
    day = np.arange(60)
    temperature = -4 + 0.2 * day + 4 * np.sin(2 * np.pi * day / 9.7)
    rain = 45 * np.maximum(0, np.sin(1.7 * day) * np.sin(0.31 * day + 0.4)) ** 2
    demand = 0.4 + 0.05 * day + 0.3 * np.sin(day)
    number = {
        "BETA": (2.2, "1", "power of the filling of the soil in recharge"),
        "FC": (180.0, "mm", "field capacity"),
        "K0": (0.25, "1/d", "recession of the upper zone above UZL"),
        "K1": (0.12, "1/d", "recession of the upper zone"),
        "K2": (0.03, "1/d", "recession of the lower zone"),
        "LP": (0.7, "1", "filling above which evapotranspiration is potential"),
        "PERC": (1.8, "mm/d", "largest percolation"),
        "UZL": (15.0, "mm", "threshold of the upper zone"),
        "TT": (0.3, "degC", "temperature of snowfall and melt"),
        "CFMAX": (2.6, "mm/(d degC)", "degree-day factor"),
        "CFR": (0.06, "1", "share of it with which water refreezes"),
        "CWH": (0.12, "1", "water that snow holds"),
        "BETAET": (1.4, "1", "power of the filling of the soil in evapotranspiration"),
        "C": (0.05, "1/d", "capillary rise"),
    }
    start = {"snow_storage": 40.0, "snow_water": 1.0, "soil_moisture": 90.0, "upper_zone": 6.0, "lower_zone": 25.0}
    return Problem(
        title="HBV as continuous rates: sixty days of thaw, with thresholds of seven kinds",
        source="Bergstrom 1992, SMHI Reports RH 4; Seibert and Vis 2012, Hydrol. Earth Syst. Sci. 16; bounds on a day's loss as rates",
        equations=(
            "S snow, W liquid water in it, M soil moisture, U upper zone, L lower zone; P, T, E constant in each day",
            "r = P (3 s^2 - 2 s^3), s = min(max(T - TT + 1/2, 0), 1); d = max(W - CWH S, 0)",
            "m = min(CFMAX max(T - TT, 0), S); f = min(CFR CFMAX max(TT - T, 0), W)",
            "w = min(M/FC, 1); g = (r + d) w^BETA + max(M - FC, 0); e = min(E min(M/(LP FC), 1)^BETAET, M)",
            "c = C L (1 - w); p = min(PERC, U); Q0 = K0 max(U - UZL, 0), Q1 = K1 U, Q2 = K2 L",
            "S' = P - r + f - m; W' = m - f - d; M' = r + d + c - g - e; U' = g - p - Q0 - Q1; L' = p - c - Q2",
            "R_d = integral of Q0 + Q1 + Q2 over day d",
        ),
        times=np.arange(61.0).tolist(),
        time_unit="d",
        inputs={
            **{f"parameters.{k}": Input(*v) for k, v in number.items()},
            **{f"initial.{k}": Input(v, "mm", f"{k} at the start") for k, v in start.items()},
            "forcing.precipitation": Input(rain.round(3).tolist(), "mm/d", "P of each day"),
            "forcing.temperature": Input(temperature.round(3).tolist(), "degC", "T of each day"),
            "forcing.potential_evapotranspiration": Input(demand.round(3).tolist(), "mm/d", "E of each day"),
        },
        outputs={
            "misfit": "mean over the days of (R_d - 2)^2",
            "runoff": "sum of R_d (mm)",
            "soil": "M at t = 60",
        },
        groups={"parameters": tuple(f"parameters.{k}" for k in number)},
    )


def gr4j() -> Problem:
    day = np.arange(90)
    rain = 60 * np.maximum(0, np.sin(1.7 * day) * np.sin(0.31 * day + 0.4)) ** 3
    demand = 2.0 + 1.2 * np.sin(2 * np.pi * day / 90) + 0.5 * np.sin(day)
    number = {
        "X1": (280.0, "mm", "capacity of the production store"),
        "X2": (1.3, "mm/d", "exchange"),
        "X3": (60.0, "mm", "capacity of the routing store"),
        "X4": (1.7, "d", "time base of the unit hydrograph"),
    }
    start = {"production_store": 180.0, "routing_store": 35.0}
    return Problem(
        title="GR4J in state-space form: ninety days",
        source="Santos et al. 2018, Geosci. Model Dev. 11",
        equations=(
            "S production store, h_1 ... h_11 reservoirs that start empty, R routing store; P, E constant in each day",
            "Pn = max(P - E, 0), En = max(E - P, 0); g = (4/9)^4 S^5/(4 X1^4)",
            "S' = Pn (1 - (S/X1)^2) - En (2 S/X1 - (S/X1)^2) - g",
            "h_1' = Pn (S/X1)^2 + g - 10 h_1/X4; h_i' = 10 (h_(i-1) - h_i)/X4; q = 10 h_11/X4",
            "F = X2 (R/X3)^3.5; R' = 0.9 q + F - R^5/(4 X3^4)",
            "R_d = integral of R^5/(4 X3^4) + max(0.1 q + F, 0) over day d",
        ),
        times=np.arange(91.0).tolist(),
        time_unit="d",
        inputs={
            **{f"parameters.{k}": Input(*v) for k, v in number.items()},
            **{f"initial.{k}": Input(v, "mm", f"{k} at the start") for k, v in start.items()},
            "forcing.precipitation": Input(rain.round(3).tolist(), "mm/d", "P of each day"),
            "forcing.potential_evapotranspiration": Input(demand.round(3).tolist(), "mm/d", "E of each day"),
        },
        outputs={
            "misfit": "mean over the days of (R_d - 2)^2",
            "runoff": "sum of R_d (mm)",
            "stored": "S + R at t = 90",
        },
        groups={"parameters": tuple(f"parameters.{k}" for k in number)},
    )


def _daily(column: int) -> Callable[[Any], Any]:
    return lambda y: y[1:, column] - y[:-1, column]


def hbv_system(problem: Problem, local: Callable[[int], Any]) -> System:
    first = problem.layout()["initial.snow_storage"].start

    def cold(q: Any) -> tuple[Any, Any]:
        """Degrees above and below the threshold, which no state moves."""
        over = q[15] - q[8]
        warm = np.real(over) > 0
        return np.where(warm, over, 0), np.where(warm, 0, -over)

    def switch(y: Any, q: Any, j: int) -> Any:
        S, W, M, U = y[:4]
        above, below = cold(q)
        wanted = q[16] * (M / (q[5] * q[1]) if np.real(M) < np.real(q[5] * q[1]) else 1.0) ** q[12]
        return np.array(
            [
                float(S - q[9] * above),
                float(W - q[10] * q[9] * below),
                float(W - q[11] * S),
                float(q[1] - M),
                float(q[5] * q[1] - M),
                float(U - q[6]),
                float(U - q[7]),
                float(M - wanted),
            ]
        )

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        S, W, M, U, L = y[:5]
        BETA, FC, K0, K1, K2, LP, PERC, UZL, TT, CFMAX, CFR, CWH, BETAET, C, P, T, E = q
        snowy, thawing, draining, drier, short, deep, quick, wet = branch > 0
        above, below = cold(q)
        s = T - TT + 0.5
        s = np.where(np.real(s) < 0, 0, np.where(np.real(s) > 1, 1, s))
        r = P * (3 * s**2 - 2 * s**3)
        d = W - CWH * S if draining else 0 * W
        m = CFMAX * above if snowy else S
        f = CFR * CFMAX * below if thawing else W
        w = M / FC if drier else 1 + 0 * M
        g = (r + d) * w**BETA + (0 * M if drier else M - FC)
        e = E * (M / (LP * FC) if short else 1 + 0 * M) ** BETAET if wet else M
        c = C * L * (1 - w)
        p = PERC + 0 * U if deep else U
        Q0 = K0 * (U - UZL) if quick else 0 * U
        Q1, Q2 = K1 * U, K2 * L
        return np.stack([P - r + f - m, m - f - d, r + d + c - g - e, g - p - Q0 - Q1, p - c - Q2, Q0 + Q1 + Q2])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        runoff = _daily(5)(y)
        return {"misfit": ((runoff - 2) ** 2).mean(0), "runoff": y[-1, 5], "soil": y[-1, 2]}

    scale = np.array([10.0, 10.0, 100.0, 10.0, 10.0, 10.0])
    initial = lambda z: np.concatenate([z[first : first + 5], 0 * z[:1]])  # noqa: E731
    return System(initial, rates, local, problem.times, outputs, scale, switch)


def gr4j_system(problem: Problem, local: Callable[[int], Any]) -> System:
    first = problem.layout()["initial.production_store"].start

    def switch(y: Any, q: Any, j: int) -> Any:
        return y[11] / q[3] + q[1] * (y[12] / q[2]) ** 3.5

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        S, h, R = y[0], y[1:12], y[12]
        X1, X2, X3, X4, P, E = q
        net = P - E
        Pn, En = np.where(np.real(net) > 0, net, 0), np.where(np.real(net) > 0, 0, -net)
        x, g = S / X1, (4 / 9) ** 4 / 4 * S**5 / X1**4
        out = 10 * h / X4
        F, routed = X2 * (R / X3) ** 3.5, R**5 / (4 * X3**4)
        past = 0.1 * out[-1] + F
        runoff = routed + (past if branch[0] > 0 else 0 * past)
        into = np.concatenate([(Pn * x**2 + g)[None], out[:-1]])
        S_rate = Pn * (1 - x**2) - En * (2 * x - x**2) - g
        return np.concatenate([S_rate[None], into - out, (0.9 * out[-1] + F - routed)[None], runoff[None]])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        runoff = _daily(13)(y)
        return {"misfit": ((runoff - 2) ** 2).mean(0), "runoff": y[-1, 13], "stored": y[-1, 0] + y[-1, 12]}

    def initial(z: Any) -> Any:
        empty = [0 * z[:1]] * 11
        return np.concatenate([z[first : first + 1], *empty, z[first + 1 : first + 2], 0 * z[:1]])

    scale = np.array([100.0, *[1.0] * 11, 10.0, 10.0])
    return System(initial, rates, local, problem.times, outputs, scale, switch)
