"""Reference numbers of the soil problems; lengths in metres, times in days unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from ...arrays import Array
from . import soil as s

CM, S = 0.01, 1 / 86400.0


def _profile(soil: s.Soil, run: s.Run, depths: list[float], level: float) -> s.Numbers:
    """Numbers to be compared with: heads at depths, depth of the front, amounts."""
    z, theta = run.z, soil.theta(run.h)
    return {
        "head": np.interp(depths, z, run.h[-1]),
        "front": s.crossing(z, theta[-1], level),
        "gain": (theta[-1] - theta[0]).sum() * (z[1] - z[0]),
        "inflow": run.inflow[-1],
        "outflow": run.outflow[-1],
    }


def _given(flux: float) -> Callable[[float, float, float], float]:
    return lambda t, h, distance: flux


def celia_1() -> s.Numbers:
    """Problem 1 of Celia et al. 1990: sand under a given head for 360 s."""
    soil = s.haverkamp(0.075, 0.287, 1.611e6 * CM**3.96, 3.96, 1.175e6 * CM**4.74, 4.74, 0.00944 * CM / S, 1e-8)

    def numbers(cells: int) -> s.Numbers:
        top, bottom = s.held(soil, -0.207), s.held_below(soil, -0.615)
        run = s.richards(soil, 0.4, cells, -0.615, np.array([0.0, 360 * S]), top=top, bottom=bottom)
        return _profile(soil, run, [0.05, 0.10, 0.125, 0.15, 0.20], 0.18)

    return s.extrapolated(numbers, 640)


def celia_2() -> s.Numbers:
    """Problem 2 of Celia et al. 1990: dry soil under a given head for a day."""
    soil = s.van_genuchten(0.102, 0.368, 3.35, 2.0, 0.00922 * CM / S, 1e-8)

    def numbers(cells: int) -> s.Numbers:
        top, bottom = s.held(soil, -0.75), s.held_below(soil, -10.0)
        run = s.richards(soil, 1.0, cells, -10.0, np.array([0.0, 1.0]), top=top, bottom=bottom)
        return _profile(soil, run, [0.1, 0.2, 0.3, 0.4, 0.45], 0.15)

    return s.extrapolated(numbers, 800)


def haverkamp_sand() -> s.Numbers:
    """Sand under 13.69 cm/h for 0.7 h (Haverkamp et al. 1977)."""
    soil = s.haverkamp(0.075, 0.287, 1.611e6 * CM**3.96, 3.96, 1.175e6 * CM**4.74, 4.74, 34 * CM * 24, 1e-8)
    flux = 13.69 * CM * 24

    def numbers(cells: int) -> s.Numbers:
        times, bottom = np.array([0.0, 0.1, 0.2, 0.4, 0.7]) / 24, s.held_below(soil, -0.615)
        run = s.richards(soil, 0.7, cells, -0.615, times, top=_given(flux), bottom=bottom)
        fronts = [s.crossing(run.z, row, 0.18) for row in soil.theta(run.h)[1:]]
        return {**_profile(soil, run, [0.1, 0.2, 0.3, 0.4, 0.5], 0.18), "fronts": fronts}

    return s.extrapolated(numbers, 560)


MILLER = {
    "sand": (0.093, 0.301, 5.47, 4.264, 5.04, 10.0, 0.18, 800),
    "loam": (0.078, 0.430, 3.6, 1.56, 0.25, 5.0, 2.25, 500),
    "clay_loam": (0.095, 0.410, 1.9, 1.31, 0.062, 2.0, 1.0, 400),
}


def miller(name: str) -> s.Numbers:
    """A soil of Miller et al. 1998 under a pond, with closures that are rounded near saturation and as published."""
    theta_r, theta_s, alpha, n, K_s, depth, end, cells = MILLER[name]
    published = s.van_genuchten(theta_r, theta_s, alpha, n, K_s, 1e-6)
    rounded = s.rounded(theta_r, theta_s, alpha, n, K_s, 1e-6)
    level = theta_r + 0.8 * (theta_s - theta_r)

    def steps(soil: s.Soil, cells: int, count: int) -> tuple[Array, Array]:
        z = (np.arange(cells) + 0.5) * depth / cells
        times = np.array([0.0, end / 2, end])
        z, h, i = s.implicit(soil, depth, cells, z - depth, times, 0.1, 0.0, count)
        return i[1:], np.array([s.crossing(z, row, level) for row in soil.theta(h)[1:]])

    def numbers(cells: int) -> s.Numbers:
        out: dict[str, Array] = {}
        for soil, ending in ((rounded, ""), (published, "_published")):
            coarse, fine = steps(soil, cells, 1500), steps(soil, cells, 3000)
            out |= {f"inflow{ending}": 2 * fine[0] - coarse[0], f"fronts{ending}": 2 * fine[1] - coarse[1]}
        return out

    return s.extrapolated(numbers, cells)


def ponding() -> s.Numbers:
    """A storm of 60 mm in three hours on loam; the excess runs off within 0.001 d."""
    K_s, rain, passage = 0.2496, 0.48, 1e-3
    times = np.array([0.0, 1 / 24, 2 / 24, 3 / 24])

    def numbers(cells: int) -> s.Numbers:
        out: dict[str, Array] = {}
        for make, ending in ((s.rounded, ""), (s.van_genuchten, "_published")):
            soil = make(0.078, 0.43, 3.6, 1.56, K_s, 1e-6)
            top = s.infiltrating(soil, K_s, rain, passage)
            run = s.richards(soil, 0.5, cells, -3.0, times, top=top, bottom=s.free(soil), max_step=2e-4)
            pond = passage * (rain - np.array([top(0, h, run.z[0]) for h in run.h[1:, 0]]))
            taken = run.inflow[1:]
            out |= {f"infiltration{ending}": taken, f"runoff{ending}": rain * times[1:] - taken - pond}
        return out

    return s.extrapolated(numbers, 1000)


def ten_years(rain: Array, cells: int = 15) -> dict[str, list[int] | list[float]]:
    """openRE's infiltration test on the same 15 cells: drainage by year (m); rain in m/d."""
    soil = s.van_genuchten(0.131, 0.396, 0.423, 2.06, 0.0496, 1e-4)
    h, drained, by_year = np.full(cells, -3.59), 0.0, []
    for day, q in enumerate(rain):
        top, bottom, times = _given(float(q)), s.free(soil), np.array([0.0, 1.0])
        run = s.richards(soil, 1.5, cells, h, times, top=top, bottom=bottom, rtol=1e-9, atol=1e-10)
        h, drained = run.h[-1], drained + float(run.outflow[-1])
        if (day + 1) % 365 == 0 or day + 1 in (60, len(rain)):
            by_year.append((day + 1, drained, float(soil.theta(h).sum() * 1.5 / cells)))
    return {"day": [r[0] for r in by_year], "drainage": [r[1] for r in by_year], "storage": [r[2] for r in by_year]}


def sorptivity(
    theta_r: float, theta_s: float, alpha: float, n: float, K_s: float, h_initial: float, h_top: float
) -> float:
    """Sorptivity (m d^-1/2) by Boltzmann's transform (Bruce and Klute 1956, Philip 1957).

    With phi = z / sqrt(t) and F(theta) the integral of phi from the initial water content,
    F'' F = -2 D(theta), F' = 0 and F = S at the surface; S is the one for which F vanishes at the
    initial water content.
    """
    soil, m = s.van_genuchten(theta_r, theta_s, alpha, n, K_s, 0.0), 1 - 1 / n

    def diffusivity(theta: float) -> float:
        se = (theta - theta_r) / (theta_s - theta_r)
        h = np.array(-((se ** (-1 / m) - 1) ** (1 / n)) / alpha)
        return float(soil.K(h) / soil.capacity(h))

    low, high = (float(soil.theta(np.array(h))) for h in (h_initial, h_top))

    def end(S: float) -> float:
        """F at the initial water content; where F runs out before, minus what was left to go."""

        def rate(theta: float, y: Array) -> list[float]:
            return [y[1], -2 * diffusivity(theta) / y[0]]

        def empty(theta: float, y: Array) -> float:
            return float(y[0]) - 1e-7 * S

        empty.terminal = True  # type: ignore[attr-defined]
        done = solve_ivp(rate, (high, low), [S, 0.0], "LSODA", rtol=1e-10, atol=1e-14, events=empty)
        return float(done.y[0, -1]) if done.status == 0 else -(float(done.t[-1]) - low)

    return float(brentq(end, 1e-3, 1.0, xtol=1e-12))


def sorptivity_loam() -> float:
    """Of loam at a head of -5 m, under one of -0.1 m."""
    return sorptivity(0.078, 0.43, 3.6, 1.56, 0.2496, -5.0, -0.1)
