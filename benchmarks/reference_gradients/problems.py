"""The problems: exact statements and numbers, for readers and for both ways of solving them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Input:
    value: Any
    unit: str
    meaning: str

    @property
    def array(self) -> Any:
        return np.asarray(self.value, dtype=float)


@dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        inputs: `parameters.`, `forcing.` or `initial.` and a name -> what derivatives are taken to.
        constants: name -> what is given and not differentiated.
        outputs: name -> statement of a scalar.
        groups: group -> names of inputs that are compared together; in a group of parameters each
            derivative times the value of its parameter, because units differ. Inputs in no group are
            compared by themselves.
        second: the way that is independent of pydiffgeo.
    """

    title: str
    source: str
    equations: tuple[str, ...]
    times: Any
    time_unit: str
    inputs: dict[str, Input]
    outputs: dict[str, str]
    constants: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    second: str = "radau"

    def layout(self) -> dict[str, slice]:
        """Where each input lies in the vector of all inputs."""
        found, start = {}, 0
        for name, given in self.inputs.items():
            found[name] = slice(start, start + given.array.size)
            start += given.array.size
        return found

    def vector(self) -> Any:
        return np.concatenate([given.array.ravel() for given in self.inputs.values()])


def differences(problem: Problem, found: dict[str, Any], reference: dict[str, Any]) -> dict[str, float]:
    """Largest difference in each group of inputs, relative to the largest entry of the reference there."""
    grouped = {name for names in problem.groups.values() for name in names}
    groups = {name: (name,) for name in problem.inputs if name not in grouped} | problem.groups
    result = {}
    for group, names in groups.items():
        weights = [problem.inputs[k].array if group == "parameters" else 1.0 for k in names]
        a = np.concatenate([np.ravel(np.asarray(found[k]) * w) for k, w in zip(names, weights, strict=True)])
        b = np.concatenate([np.ravel(np.asarray(reference[k]) * w) for k, w in zip(names, weights, strict=True)])
        result[group] = float(np.abs(a - b).max() / np.abs(b).max())
    return result


def _robertson() -> Problem:
    rates = ((0.04, "A -> B"), (3e7, "B + B -> C + B"), (1e4, "B + C -> A + C"))
    inputs = {f"parameters.k{i}": Input(v, "1", f"rate of {text}") for i, (v, text) in enumerate(rates, 1)}
    inputs |= {f"initial.y{i}": Input(float(i == 1), "1", f"initial concentration y{i}") for i in (1, 2, 3)}
    return Problem(
        title="Robertson's reaction kinetics",
        source="Robertson 1966; ROBER of Mazzia and Magherini 2008, Test Set for IVP Solvers",
        equations=("y1' = -k1 y1 + k3 y2 y3", "y2' = k1 y1 - k2 y2^2 - k3 y2 y3", "y3' = k2 y2^2"),
        times=[0.0, 1.0, 10.0, 100.0, 10000.0],
        time_unit="s",
        inputs=inputs,
        outputs={"weighted_sum": "sum over t = 1, 10, 100 of 1e4 y2(t) + y3(t)", "y1_late": "y1 at t = 10000"},
    )


POLLU_RATES = (
    0.35,
    26.6,
    1.23e4,
    8.6e-4,
    8.2e-4,
    1.5e4,
    1.3e-4,
    2.4e4,
    1.65e4,
    9e3,
    0.022,
    1.2e4,
    1.88,
    1.63e4,
    4.8e6,
    3.5e-4,
    0.0175,
    1e8,
    4.44e11,
    1.24e3,
    2.1,
    5.78,
    0.0474,
    1.78e3,
    3.12,
)
POLLU_START = {2: 0.2, 4: 0.04, 7: 0.1, 8: 0.3, 9: 0.01, 17: 0.007}
# Each reaction: the species that react, and what one event changes, as {species: change}.
POLLU_REACTIONS: tuple[tuple[tuple[int, ...], dict[int, int]], ...] = (
    ((1,), {1: -1, 2: 1, 3: 1}),
    ((2, 4), {2: -1, 4: -1, 1: 1}),
    ((5, 2), {5: -1, 2: -1, 1: 1, 6: 1}),
    ((7,), {7: -1, 5: 2, 8: 1}),
    ((7,), {7: -1, 8: 1}),
    ((7, 6), {7: -1, 6: -1, 5: 1, 8: 1}),
    ((9,), {9: -1, 5: 1, 8: 1, 10: 1}),
    ((9, 6), {9: -1, 6: -1, 11: 1}),
    ((11, 2), {11: -1, 2: -1, 1: 1, 10: 1, 12: 1}),
    ((11, 1), {11: -1, 1: -1, 13: 1}),
    ((13,), {13: -1, 1: 1, 11: 1}),
    ((10, 2), {10: -1, 2: -1, 1: 1, 14: 1}),
    ((14,), {14: -1, 5: 1, 7: 1}),
    ((1, 6), {1: -1, 6: -1, 15: 1}),
    ((3,), {3: -1, 4: 1}),
    ((4,), {4: -1, 16: 1}),
    ((4,), {4: -1, 3: 1}),
    ((16,), {16: -1, 6: 2}),
    ((16,), {16: -1, 3: 1}),
    ((17, 6), {17: -1, 6: -1, 5: 1, 18: 1}),
    ((19,), {19: -1, 2: 1}),
    ((19,), {19: -1, 1: 1, 3: 1}),
    ((1, 4), {1: -1, 4: -1, 19: 1}),
    ((19, 1), {19: -1, 1: -1, 20: 1}),
    ((20,), {20: -1, 1: 1, 19: 1}),
)


def _pollu() -> Problem:
    lines = []
    for i, (reactants, change) in enumerate(POLLU_REACTIONS, 1):
        effect = ", ".join(f"{c:+d} y{k}" for k, c in change.items())
        lines.append(
            f"reaction {i}: rate r{i} = k{i} {' '.join(f'y{k}' for k in reactants)}; one event changes {effect}"
        )
    inputs = {
        f"parameters.k{i}": Input(v, "1/min or 1/(ppm min)", f"rate of reaction {i}")
        for i, v in enumerate(POLLU_RATES, 1)
    }
    inputs |= {
        f"initial.y{i}": Input(POLLU_START.get(i, 0.0), "ppm", f"initial concentration y{i}") for i in range(1, 21)
    }
    return Problem(
        title="POLLU: the chemistry of polluted air, 20 species and 25 reactions",
        source="Verwer 1994, SIAM J. Sci. Comput. 15; Mazzia and Magherini 2008, Test Set for IVP Solvers",
        equations=("y' = sum over reactions i of (change of y by one event) times r_i:", *lines),
        times=[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
        time_unit="min",
        inputs=inputs,
        outputs={"ozone": "y4 at t = 60", "nitrogen_dioxide": "sum over t = 10, 20, ..., 60 of y1(t)"},
        groups={
            "parameters": tuple(f"parameters.k{i}" for i in range(1, 26)),
            "initial": tuple(f"initial.y{i}" for i in range(1, 21)),
        },
    )


def _van_der_pol() -> Problem:
    return Problem(
        title="Van der Pol's oscillator, mu = 1000",
        source="van der Pol 1926; VDPOL of Mazzia and Magherini 2008, Test Set for IVP Solvers",
        equations=("y1' = y2", "y2' = mu (1 - y1^2) y2 - y1"),
        times=[0.0, 500.0],
        time_unit="1",
        inputs={
            "parameters.mu": Input(1000.0, "1", "damping"),
            "initial.y1": Input(2.0, "1", "initial position"),
            "initial.y2": Input(0.0, "1", "initial velocity"),
        },
        outputs={"position": "y1 at t = 500, before the first jump", "velocity": "1000 y2 at t = 500"},
    )


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


DARCY = (
    "cells of thickness dx, cell 1 at the surface; z downwards; K_i and theta_i belong to h_i",
    "q_i = (K_i + K_(i+1))/2 ((h_i - h_(i+1))/dx + 1), i = 1, ..., n - 1 (positive downwards)",
    "theta_i' = (q_(i-1) - q_i)/dx",
)


def _celia() -> Problem:
    n = 40
    number = {
        "theta_r": (0.075, "1", "residual water content"),
        "theta_s": (0.287, "1", "saturated water content"),
        "A_theta": (1.611e6, "cm^B_theta", "retention coefficient"),
        "B_theta": (3.96, "1", "retention exponent"),
        "A_K": (1.175e6, "cm^B_K", "conductivity coefficient"),
        "B_K": (4.74, "1", "conductivity exponent"),
        "K_s": (0.00944, "cm/s", "saturated conductivity"),
    }
    return Problem(
        title="Infiltration into a dry column (Celia's problem 1), Haverkamp's curves, 40 cells",
        source="Celia, Bouloutas and Zarba 1990, Water Resour. Res. 26, problem 1; Haverkamp et al. 1977",
        equations=(
            "n = 40, dx = 1 cm",
            *DARCY,
            "theta(h) = theta_r + (theta_s - theta_r) A_theta/(A_theta + |h|^B_theta); K(h) = K_s A_K/(A_K + |h|^B_K)",
            "q_0 = (K(h_top) + K_1)/2 ((h_top - h_1)/(dx/2) + 1)",
            "q_n = (K_n + K(h_bottom))/2 ((h_n - h_bottom)/(dx/2) + 1)",
            "h_top and h_bottom are constant in each interval between the times",
            "I = integral of q_0 over all 360 s",
            "no elastic storage: the soil stays unsaturated",
        ),
        times=[0.0, 120.0, 240.0, 360.0],
        time_unit="s",
        inputs={
            **{f"parameters.{k}": Input(*v) for k, v in number.items()},
            "forcing.head": Input([-20.7] * 3, "cm", "h_top in each interval"),
            "forcing.bottom_head": Input([-61.5] * 3, "cm", "h_bottom in each interval"),
            "initial.head": Input([-61.5] * n, "cm", "initial h of each cell"),
        },
        outputs={
            "infiltration": "I (cm)",
            "front": "h of cell 13 (depth 12.5 cm) at t = 360 (cm)",
            "wetness": "mean over cells of theta^2, summed over t = 120, 240, 360",
        },
        constants={"dx": 1.0},
        groups={"parameters": tuple(f"parameters.{k}" for k in number)},
    )


def _srivastava_yeh() -> Problem:
    n, dx, a = 50, 2.0, 0.1
    height = 100.0 - (np.arange(n) + 0.5) * dx
    start = np.log(np.exp(-a * height) * 0.9 + 0.1) / a
    return Problem(
        title="Infiltration towards a water table, exponential curves, 50 cells, conductivity per cell",
        source="Srivastava and Yeh 1991, Water Resour. Res. 27 (data of their uniform column); Gardner 1958",
        equations=(
            "n = 50, dx = 2 cm",
            *DARCY,
            "theta(h) = theta_r + (theta_s - theta_r) exp(alpha h); K_i(h) = K_s,i exp(alpha h)",
            "q_0 = u(t); q_n = (K_n(h_n) + K_n(h_bottom))/2 ((h_n - h_bottom)/(dx/2) + 1)",
            "u and h_bottom are constant in each interval between the times",
            "B = integral of q_n over all 20 h",
            "h_bottom is -2 cm, not 0 as in the paper: the curves have a corner at 0",
        ),
        times=[0.0, 5.0, 10.0, 20.0],
        time_unit="h",
        inputs={
            "parameters.theta_r": Input(0.06, "1", "residual water content"),
            "parameters.theta_s": Input(0.4, "1", "saturated water content"),
            "parameters.alpha": Input(a, "1/cm", "decline of the logarithm of the conductivity with suction"),
            "parameters.K_s": Input([1.0] * n, "cm/h", "saturated conductivity of each cell"),
            "forcing.flux": Input([0.9] * 3, "cm/h", "u in each interval"),
            "forcing.bottom_head": Input([-2.0] * 3, "cm", "h_bottom in each interval"),
            "initial.head": Input(start.round(9).tolist(), "cm", "initial h of each cell"),
        },
        outputs={
            "drainage": "B (cm)",
            "suction": "mean over cells of h^2 at t = 10",
            "wetness": "mean over cells of theta^2 at t = 20",
        },
        constants={"dx": dx},
    )


def _van_genuchten() -> Problem:
    n, days = 100, 30
    flux = np.full(days, 0.001)
    flux[::5] = 0.03
    loam = {
        "theta_r": (0.078, "1", "residual water content"),
        "theta_s": (0.43, "1", "saturated water content"),
        "alpha": (3.6, "1/m", "inverse of the air-entry suction"),
        "n": (1.56, "1", "pore-size index"),
        "K_s": (0.2496, "m/d", "saturated conductivity"),
    }
    return Problem(
        title="Thirty days of rain on a loam, van Genuchten and Mualem's curves, 100 cells, parameters per cell",
        source="van Genuchten 1980, Soil Sci. Soc. Am. J. 44; Mualem 1976; loam of Carsel and Parrish 1988",
        equations=(
            "n = 100, dx = 0.01 m",
            *DARCY,
            "all five parameters have a value in each cell; m = 1 - 1/n; S = (theta - theta_r)/(theta_s - theta_r)",
            "h = -(S^(-1/m) - 1)^(1/n)/alpha; K = K_s sqrt(S) (1 - (1 - S^(1/m))^m)^2",
            "q_0 = u(t), constant in each day; q_n = K_n (free drainage)",
            "B = integral of q_n over all 30 days",
            "no elastic storage: the soil stays unsaturated",
        ),
        times=np.arange(days + 1.0).tolist(),
        time_unit="d",
        inputs={
            **{f"parameters.{k}": Input([v] * n, unit, f"{text} of each cell") for k, (v, unit, text) in loam.items()},
            "forcing.flux": Input(flux.tolist(), "m/d", "u of each day"),
            "initial.theta": Input([0.2] * n, "1", "initial water content of each cell"),
        },
        outputs={"loss": "sum over t = 1, ..., 30 of the mean over cells of (theta - 0.25)^2", "drainage": "B (m)"},
        constants={"dx": 0.01},
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
    "robertson": _robertson(),
    "pollu": _pollu(),
    "van_der_pol": _van_der_pol(),
    "cascade": _cascade(),
    "heat": _heat(),
    "celia": _celia(),
    "srivastava_yeh": _srivastava_yeh(),
    "van_genuchten": _van_genuchten(),
    "exphydro": _exphydro(),
}
