"""The problems written out in NumPy, for `radau.py`; nothing of pydiffgeo is used here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from basins import gr4j_system, hbv_system
from kinetics import POLLU_REACTIONS
from radau import Integrator, System
from statement import Problem
from waters import aquifer_system, river_system

ALL = slice(None)
WEATHER = ("forcing.precipitation", "forcing.temperature", "forcing.potential_evapotranspiration")


def _positions(problem: Problem, each_interval: tuple[str, ...]) -> Callable[[int], Any]:
    """Positions, in the vector of inputs, of all parameters and of this interval's forcing."""
    where = problem.layout()
    parameters = [np.arange(s.start, s.stop) for k, s in where.items() if k.startswith("parameters.")]
    return lambda j: np.concatenate([*parameters, [where[k].start + j for k in each_interval]]).astype(int)


def robertson(problem: Problem) -> System:
    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        slow, fast, back = q[0] * y[0], q[1] * y[1] ** 2, q[2] * y[1] * y[2]
        return np.stack([back - slow, slow - fast - back, fast])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        return {"weighted_sum": (1e4 * y[1:4, 1] + y[1:4, 2]).sum(0), "y1_late": y[4, 0]}

    return System(lambda z: z[3:], rates, _positions(problem, ()), problem.times, outputs, np.array([1, 1e-5, 1]))


def pollu(problem: Problem) -> System:
    change = np.zeros((20, 25))
    for i, (_, effect) in enumerate(POLLU_REACTIONS):
        for species, count in effect.items():
            change[species - 1, i] = count

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        events = [
            k * np.prod([y[s - 1] for s in reactants], axis=0)
            for k, (reactants, _) in zip(q, POLLU_REACTIONS, strict=True)
        ]
        return np.einsum("si,i...->s...", change, np.stack(events))

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        return {"ozone": y[-1, 3], "nitrogen_dioxide": y[1:, 0].sum(0)}

    # The sizes that the species reach.
    scale = [
        *(0.1, 0.1, 1e-8, 0.01, 1e-6, 1e-6, 0.1, 0.1, 0.01, 1e-7, 1e-7, 1e-3, 1e-4, 1e-5, 0.01, 1e-17, 0.01),
        *(1e-4, 1e-6, 1e-5),
    ]
    return System(lambda z: z[25:], rates, _positions(problem, ()), problem.times, outputs, np.array(scale))


def van_der_pol(problem: Problem) -> System:
    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        return np.stack([y[1], q[0] * (1 - y[0] ** 2) * y[1] - y[0]])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        return {"position": y[1, 0], "velocity": 1e3 * y[1, 1]}

    return System(lambda z: z[1:], rates, _positions(problem, ()), problem.times, outputs, np.array([1.0, 1e-3]))


def _divergence(inflow: Any, faces: Any, outflow: Any, dx: float) -> Any:
    flux = np.concatenate([inflow[None], faces, outflow[None]])
    return (flux[:-1] - flux[1:]) / dx


def _darcy(h: Any, K: Any, dx: float) -> Any:
    return 0.5 * (K[:-1] + K[1:]) * ((h[:-1] - h[1:]) / dx + 1)


def _column(
    problem: Problem,
    state: str,
    each_interval: tuple[str, ...],
    rates: Callable[..., Any],
    outputs: Callable[..., Any],
    scale: tuple[float, float],
) -> System:
    """A column: a state of each cell, and after them what has flowed through one of its ends; `scale` has their sizes."""
    at = problem.layout()[f"initial.{state}"]
    sizes = np.array([scale[0]] * (at.stop - at.start) + [scale[1]])
    local = _positions(problem, each_interval)
    return System(lambda z: np.concatenate([z[at], 0 * z[:1]]), rates, local, problem.times, outputs, sizes)


def celia(problem: Problem) -> System:
    """Head form: C(h) dh/dt = -dq/dz with the capacity C = dtheta/dh; then infiltration."""
    n, dx = len(problem.inputs["initial.head"].value), problem.constants["dx"]

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        theta_r, theta_s, A, B, C, D, K_s, top, bottom = q
        h = y[:n]
        power = (-h) ** B
        capacity = (theta_s - theta_r) * A * B * power / (-h) / (A + power) ** 2
        conductivity = K_s * C / (C + (-h) ** D)
        into = 0.5 * (K_s * C / (C + (-top) ** D) + conductivity[0]) * ((top - h[0]) / (dx / 2) + 1)
        out = 0.5 * (conductivity[-1] + K_s * C / (C + (-bottom) ** D)) * ((h[-1] - bottom) / (dx / 2) + 1)
        change = _divergence(into, _darcy(h, conductivity, dx), out, dx) / capacity
        return np.concatenate([change, into[None]])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        theta_r, theta_s, A, B = z[:4]
        theta = theta_r + (theta_s - theta_r) * A / (A + (-y[1:, :n]) ** B)
        return {"infiltration": y[-1, n], "front": y[-1, 12], "wetness": (theta**2).mean(1).sum(0)}

    return _column(problem, "head", ("forcing.head", "forcing.bottom_head"), rates, outputs, (10.0, 1.0))


def srivastava_yeh(problem: Problem) -> System:
    n, dx = len(problem.inputs["initial.head"].value), problem.constants["dx"]

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        theta_r, theta_s, alpha, K_s, flux, bottom = q[0], q[1], q[2], q[3 : 3 + n], q[-2], q[-1]
        h = y[:n]
        falling = np.exp(alpha * h)
        K = K_s * falling
        out = 0.5 * (K[-1] + K_s[-1] * np.exp(alpha * bottom)) * ((h[-1] - bottom) / (dx / 2) + 1)
        change = _divergence(flux, _darcy(h, K, dx), out, dx) / (alpha * (theta_s - theta_r) * falling)
        return np.concatenate([change, out[None]])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        theta = z[0] + (z[1] - z[0]) * np.exp(z[2] * y[-1, :n])
        return {"drainage": y[-1, n], "suction": (y[2, :n] ** 2).mean(0), "wetness": (theta**2).mean(0)}

    return _column(problem, "head", ("forcing.flux", "forcing.bottom_head"), rates, outputs, (10.0, 1.0))


def van_genuchten(problem: Problem) -> System:
    n, dx = len(problem.inputs["initial.theta"].value), problem.constants["dx"]

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        theta_r, theta_s, alpha, index, K_s = (q[i * n : (i + 1) * n] for i in range(5))
        m = 1 - 1 / index
        S = (y[:n] - theta_r) / (theta_s - theta_r)
        x = S ** (1 / m)
        h = -((1 / x - 1) ** (1 / index)) / alpha
        K = K_s * np.sqrt(S) * (1 - (1 - x) ** m) ** 2
        return np.concatenate([_divergence(q[-1], _darcy(h, K, dx), K[-1], dx), K[-1:]])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        return {"loss": ((y[1:, :n] - 0.25) ** 2).mean(1).sum(0), "drainage": y[-1, n]}

    return _column(problem, "theta", ("forcing.flux",), rates, outputs, (0.1, 0.01))


def exphydro(problem: Problem) -> System:
    daylength = problem.constants["daylength"]
    where = problem.layout()
    first = where["initial.snow_storage"].start

    def step(x: Any) -> Any:
        return 0.5 * (np.tanh(5 * x) + 1)

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        f, full, Q_max, D_f, T_max, T_min, P, T = q
        snow, water = y[0], y[1]
        melt = step(T - T_max) * step(snow) * (D_f * (T - T_max) if branch > 0 else snow)
        demand = 29.8 * daylength[j] * 0.611 * np.exp(17.3 * T / (T + 237.3)) / (T + 273.2)
        above, below = step(water - full), step(full - water)
        evaporation = step(water) * demand * (above + below * water / full)
        base = step(water) * Q_max * (above + below * np.exp(-f * (full - water)))
        runoff = base + step(water) * above * (water - full)
        gain = step(T - T_min) * P + melt - evaporation - runoff
        return np.stack([step(T_min - T) * P - melt, gain, runoff])

    def switch(y: Any, q: Any, j: int) -> Any:
        return y[0] - q[3] * (q[7] - q[4])

    def initial(z: Any) -> Any:
        return np.concatenate([z[first : first + 2], 0 * z[:1]])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        runoff = y[1:, 2] - y[:-1, 2]
        return {"misfit": ((runoff - 2) ** 2).mean(0), "runoff": y[-1, 2], "final_storage": y[-1, 1]}

    local = _positions(problem, ("forcing.precipitation", "forcing.temperature"))
    return System(initial, rates, local, problem.times, outputs, np.array([10.0, 100.0, 10.0]), switch)


SYSTEMS = {
    "robertson": robertson,
    "pollu": pollu,
    "van_der_pol": van_der_pol,
    "celia": celia,
    "srivastava_yeh": srivastava_yeh,
    "van_genuchten": van_genuchten,
    "exphydro": exphydro,
    "hbv": lambda problem: hbv_system(problem, _positions(problem, WEATHER)),
    "gr4j": lambda problem: gr4j_system(problem, _positions(problem, (WEATHER[0], WEATHER[2]))),
    "aquifer": aquifer_system,
    "river": river_system,
}


def solve(name: str, problem: Problem, tolerance: float) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Values of the outputs, and output -> input -> derivatives."""
    integrator = Integrator(SYSTEMS[name](problem), problem.vector(), tolerance)
    values, gradients = integrator.solve()
    where = problem.layout()
    return values, {out: {k: row[s] for k, s in where.items()} for out, row in gradients.items()}
