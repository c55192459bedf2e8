"""The problems: exact statements and numbers, for readers and for both ways of solving them."""

from __future__ import annotations

import numpy as np
from basins import gr4j, hbv
from kinetics import pollu, robertson, van_der_pol
from soil_columns import celia, srivastava_yeh, van_genuchten
from statement import Input, Problem
from waters import aquifer, river


def _cascade() -> Problem:
    return Problem(
        title="Nash's cascade: six linear reservoirs of different residence times, ten days of inflow",
        source="Nash 1957, IASH Publ. 45",
        equations=(
            "s1' = u(t) - s1/k1; s_i' = s_(i-1)/k_(i-1) - s_i/k_i for i = 2, ..., 6",
            "u(t) is constant in each day: entry d of the inflow holds for d - 1 < t < d",
            "discharge of day d: D_d = integral of s6/k6 over the day",
        ),
        times=np.arange(11.0).tolist(),
        time_unit="d",
        inputs={
            "parameters.k": Input([0.5, 0.8, 1.2, 0.3, 2.0, 1.5], "d", "residence time of each reservoir"),
            "initial.storage": Input([3.0, 0.0, 1.0, 2.0, 0.5, 4.0], "mm", "initial storage of each reservoir"),
            "forcing.inflow": Input([5.0, 20.0, 0.0, 0.0, 8.0, 1.0, 0.0, 12.0, 3.0, 0.0], "mm/d", "inflow of each day"),
        },
        outputs={
            "discharge": "sum over d = 1, ..., 10 of (1 + d/10) D_d",
            "misfit": "sum over d = 1, ..., 10 of (D_d - 3)^2",
            "stored": "sum of s_i^2 over the reservoirs at t = 10",
        },
        second="matrix exponential",
    )


def _heat() -> Problem:
    n, dx = 20, 0.05
    x = (np.arange(n) + 0.5) * dx
    return Problem(
        title="Heat conduction in a column of 20 cells with a diffusivity of its own in each",
        source="Carslaw and Jaeger 1959, Conduction of Heat in Solids, chapter 2 (equation); discretised here",
        equations=(
            "n = 20 cells of dx = 0.05 m, cell 1 at the surface; unit heat capacity",
            "F_i = H(D_i, D_(i+1)) (T_i - T_(i+1))/dx, i = 1, ..., n - 1, with H(a, b) = 2 a b/(a + b)",
            "F_0 = D_1 (u(t) - T_1)/(dx/2); F_n = 0",
            "T_i' = (F_(i-1) - F_i)/dx",
            "u(t) is constant in each day: entry d holds for d - 1 < t < d",
            "G_d = integral of F_0 over day d",
        ),
        times=np.arange(9.0).tolist(),
        time_unit="d",
        inputs={
            "parameters.D": Input(
                (0.05 * (1 + 0.6 * np.sin(9 * x))).round(6).tolist(), "m2/d", "diffusivity of each cell"
            ),
            "initial.temperature": Input((10 + 3 * np.cos(4 * x)).round(6).tolist(), "degC", "initial temperature"),
            "forcing.surface": Input(
                [12.0, 3.0, -2.0, 8.0, 15.0, 20.0, 6.0, 11.0], "degC", "temperature of the surface"
            ),
        },
        outputs={
            "warmth": "mean over cells and over t = 1, ..., 8 of (T - 8)^2",
            "heat": "sum over d = 1, ..., 8 of d G_d",
        },
        constants={"dx": dx},
        second="matrix exponential",
    )


def _exphydro() -> Problem:
    day = np.arange(365)
    temperature = 6 - 11 * np.cos(2 * np.pi * (day - 15) / 365) + 4 * np.sin(2 * np.pi * day / 9.7)
    daylength = 12 - 4 * np.cos(2 * np.pi * (day + 10) / 365)
    rain = 40 * np.maximum(0, np.sin(1.7 * day) * np.sin(0.31 * day + 0.4)) ** 3
    number = {
        "f": (0.017, "1/mm", "decline of base flow with storage"),
        "S_max": (350.0, "mm", "storage of the full catchment"),
        "Q_max": (18.0, "mm/d", "base flow of the full catchment"),
        "D_f": (2.5, "mm/(d degC)", "degree-day factor"),
        "T_max": (0.5, "degC", "temperature above which snow melts"),
        "T_min": (-0.7, "degC", "temperature below which precipitation is snow"),
    }
    return Problem(
        title="EXP-HYDRO: a basin with snow, one year of made-up daily weather",
        source="Patil and Stieglitz 2014, Hydrol. Process. 28; smooth form of Hoege et al. 2022, Hydrol. Earth Syst. Sci. 26",
        equations=(
            "step(x) = (tanh(5 x) + 1)/2; S0 snow, S1 water; P, T, L constant in each day",
            "S0' = step(T_min - T) P - M; S1' = step(T - T_min) P + M - E - Qb - Qs",
            "M = step(T - T_max) step(S0) min(S0, D_f (T - T_max))",
            "PET = 29.8 L 0.611 exp(17.3 T/(T + 237.3))/(T + 273.2)",
            "E = step(S1) PET (step(S1 - S_max) + step(S_max - S1) S1/S_max)",
            "Qb = step(S1) Q_max (step(S1 - S_max) + step(S_max - S1) exp(-f (S_max - S1)))",
            "Qs = step(S1) step(S1 - S_max) (S1 - S_max)",
            "R_d = integral of Qb + Qs over day d",
        ),
        times=np.arange(366.0).tolist(),
        time_unit="d",
        inputs={
            **{f"parameters.{k}": Input(*v) for k, v in number.items()},
            "initial.snow_storage": Input(15.0, "mm", "S0 at the start"),
            "initial.water_storage": Input(250.0, "mm", "S1 at the start"),
            "forcing.precipitation": Input(rain.round(3).tolist(), "mm/d", "P of each day"),
            "forcing.temperature": Input(temperature.round(3).tolist(), "degC", "T of each day"),
        },
        outputs={
            "misfit": "mean over the days of (R_d - 2)^2",
            "runoff": "sum of R_d over the year (mm)",
            "final_storage": "S1 at t = 365",
        },
        constants={"daylength": daylength.round(3).tolist()},
    )


PROBLEMS: dict[str, Problem] = {
    "robertson": robertson(),
    "pollu": pollu(),
    "van_der_pol": van_der_pol(),
    "cascade": _cascade(),
    "heat": _heat(),
    "celia": celia(),
    "srivastava_yeh": srivastava_yeh(),
    "van_genuchten": van_genuchten(),
    "exphydro": _exphydro(),
    "hbv": hbv(),
    "gr4j": gr4j(),
    "aquifer": aquifer(),
    "river": river(),
}
