"""Richards' equation with the head as the unknown: an independent code for reference numbers.

Cell-centred finite volumes with the head as the state, (C + S_s) dh/dt = -dq/dz, on fine grids,
extrapolated to vanishing cells from the two finest. Where soil saturates, the mixed form is stepped
instead by the implicit Euler method with Newton's iteration, as Celia et al. 1990, and extrapolated to
vanishing steps as well. Nothing here comes from pydiffgeo: another state variable, closures in terms of
head without rounding or extension, other solvers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.linalg import solve_banded

from ...arrays import Array

# Numbers to be compared with, by name.
Numbers = Mapping[str, ArrayLike | Mapping[str, float]]


@dataclass(frozen=True)
class Soil:
    """Water content, its slope and conductivity as functions of head."""

    theta: Callable[[Array], Array]
    capacity: Callable[[Array], Array]
    K: Callable[[Array], Array]
    S_s: float


def van_genuchten(theta_r: float, theta_s: float, alpha: float, n: float, K_s: float, S_s: float) -> Soil:
    """van Genuchten 1980 with the conductivity of Mualem 1976."""
    m = 1 - 1 / n

    def scaled(h: Array) -> Array:
        return np.asarray(alpha * np.maximum(-h, 0.0))

    def theta(h: Array) -> Array:
        return np.asarray(theta_r + (theta_s - theta_r) * (1 + scaled(h) ** n) ** -m + S_s * np.maximum(h, 0.0))

    def capacity(h: Array) -> Array:
        x = scaled(h)
        return np.asarray((theta_s - theta_r) * m * n * alpha * x ** (n - 1) * (1 + x**n) ** (-m - 1))

    def K(h: Array) -> Array:
        x = scaled(h) ** n
        # 1 - (x / (1 + x))^m without cancellation in dry soil
        inner = -np.expm1(-m * np.log1p(1 / np.maximum(x, 1e-300)))
        return np.asarray(K_s * (1 + x) ** (-m / 2) * inner**2)

    return Soil(theta, capacity, K, S_s)


def rounded(theta_r: float, theta_s: float, alpha: float, n: float, K_s: float, S_s: float, near: float = 1e-4) -> Soil:
    """van Genuchten-Mualem as `pydiffgeo.processes.soil.retention` states it: a line and a cubic above saturation 1 - near.

    Between, head is a straight line in saturation with the slope it has at 1 - near, which ends a little
    below zero head; conductivity is the cubic that joins value and slope there and K_s, flat, at saturation.
    """
    m, published = 1 - 1 / n, van_genuchten(theta_r, theta_s, alpha, n, K_s, 0.0)
    edge = 1 - near
    h_1 = -((edge ** (-1 / m) - 1) ** (1 / n)) / alpha
    slope = (theta_s - theta_r) / float(published.capacity(np.array(h_1)))  # dh / d saturation
    h_s = h_1 + slope * near
    K_1, small = float(published.K(np.array(h_1))) / K_s, 1e-7 * abs(h_1)
    K_slope = float(published.K(np.array(h_1)) - published.K(np.array(h_1 - small))) / K_s / small * slope

    def theta(h: Array) -> Array:
        between = theta_r + (theta_s - theta_r) * (edge + np.clip(h - h_1, 0.0, h_s - h_1) / slope)
        return np.asarray(np.where(h < h_1, published.theta(h), between + S_s * np.maximum(h - h_s, 0.0)))

    def capacity(h: Array) -> Array:
        return np.asarray(np.where(h < h_1, published.capacity(h), np.where(h < h_s, (theta_s - theta_r) / slope, S_s)))

    def K(h: Array) -> Array:
        s = np.clip((h - h_1) / (h_s - h_1), 0.0, 1.0)
        cubic = K_1 + K_slope * near * s * (1 - s) ** 2 + (1 - K_1) * s**2 * (3 - 2 * s)
        return np.asarray(np.where(h < h_1, published.K(h), K_s * cubic))

    return Soil(theta, capacity, K, S_s)


def haverkamp(
    theta_r: float, theta_s: float, a: float, b: float, a_k: float, b_k: float, K_s: float, S_s: float
) -> Soil:
    """Haverkamp et al. 1977, eqs 13 and 14."""

    def suction(h: Array) -> Array:
        return np.asarray(np.maximum(-h, 1e-12))

    def theta(h: Array) -> Array:
        return np.asarray(theta_r + (theta_s - theta_r) * a / (a + suction(h) ** b) + S_s * np.maximum(h, 0.0))

    def capacity(h: Array) -> Array:
        s = suction(h)
        return np.asarray((theta_s - theta_r) * a * b * s ** (b - 1) / (a + s**b) ** 2)

    def K(h: Array) -> Array:
        return np.asarray(K_s * a_k / (a_k + suction(h) ** b_k))

    return Soil(theta, capacity, K, S_s)


class Run(NamedTuple):
    """Depths of cells `(cell,)`, heads `(time, cell)`, cumulative inflow and outflow `(time,)`."""

    z: Array
    h: Array
    inflow: Array
    outflow: Array


def richards(
    soil: Soil,
    depth: float,
    cells: int,
    h0: Array | float,
    times: Array,
    *,
    top: Callable[[float, float, float], float],
    bottom: Callable[[float, float], float],
    rtol: float = 1e-8,
    atol: float = 1e-9,
    max_step: float = np.inf,
) -> Run:
    """A column from heads `h0`, seen at `times`.

    Args:
        top: flux into the soil from (time, head of the first cell, distance to its centre).
        bottom: flux out from (head of the last cell, distance).
    """
    dz = depth / cells
    z = np.asarray((np.arange(cells) + 0.5) * dz, np.float64)

    def rate(t: float, y: Array) -> Array:
        h = y[1:-1]
        K = soil.K(h)
        inside = 0.5 * (K[1:] + K[:-1]) * ((h[:-1] - h[1:]) / dz + 1)
        q = np.concatenate([[top(t, float(h[0]), dz / 2)], inside, [bottom(float(h[-1]), dz / 2)]])
        dh = (q[:-1] - q[1:]) / dz / (soil.capacity(h) + np.where(h > 0, soil.S_s, 0.0) + 1e-12)
        return np.concatenate([[q[0]], dh, [q[-1]]])

    y0 = np.concatenate([[0.0], np.broadcast_to(h0, (cells,)), [0.0]])
    span, steps = (times[0], times[-1]), {"rtol": rtol, "atol": atol, "max_step": max_step}
    done = solve_ivp(rate, span, y0, "LSODA", times, lband=1, uband=1, **steps)
    if not done.success:
        raise RuntimeError(done.message)
    return Run(z, done.y[1:-1].T, done.y[0], done.y[-1])


def implicit(
    soil: Soil, depth: float, cells: int, h0: Array, times: Array, h_top: float, h_bottom: float, steps: int
) -> tuple[Array, Array, Array]:
    """Depths, heads `(time, cell)` and cumulative inflow at `times` between two given heads.

    Implicit Euler steps that grow with time; each solved for the head to round-off of the water
    content, by Newton's iteration with a line search, in halves where that fails.
    """
    dz = depth / cells
    distance = np.full(cells + 1, dz)
    distance[[0, -1]] = dz / 2

    def fluxes(h: Array) -> Array:
        full = np.concatenate([[h_top], h, [h_bottom]])
        K = soil.K(full)
        return np.asarray(0.5 * (K[1:] + K[:-1]) * ((full[:-1] - full[1:]) / distance + 1))

    def miss(h: Array, before: Array, dt: float) -> Array:
        q = fluxes(h)
        return np.asarray((soil.theta(h) - before) * dz - dt * (q[:-1] - q[1:]))

    def slopes(h: Array, before: Array, dt: float) -> Array:
        """Bands of the Jacobian: columns three apart do not touch the same rows."""
        small = 1e-7 * np.maximum(np.abs(h), 1e-3)
        bands, q = np.zeros((3, cells)), fluxes(h)
        for first in range(3):
            moved = h.copy()
            moved[first::3] -= small[first::3]
            change = fluxes(moved) - q
            row = -dt * (change[:-1] - change[1:])
            columns = np.arange(first, cells, 3)
            for band, shift in ((0, -1), (1, 0), (2, 1)):
                inside = columns[(columns + shift >= 0) & (columns + shift < cells)]
                bands[band, inside] = row[inside + shift] / -small[inside]
        bands[1] += (soil.capacity(h) + np.where(h > 0, soil.S_s, 0.0)) * dz
        return bands

    def advance(h: Array, dt: float, halved: int = 0) -> tuple[Array, float]:
        before, x = soil.theta(h), h.copy()
        for _ in range(60):
            r = miss(x, before, dt)
            if np.abs(r).max() < 1e-13:
                return x, float(fluxes(x)[0]) * dt
            step, share = solve_banded((1, 1), slopes(x, before, dt), -r), 1.0
            while share > 1e-3 and np.abs(miss(x + share * step, before, dt)).sum() >= np.abs(r).sum():
                share /= 2
            x = x + share * step
        if halved > 12:
            raise RuntimeError("Newton's iteration does not converge")
        middle, a = advance(h, dt / 2, halved + 1)
        end, b = advance(middle, dt / 2, halved + 1)
        return end, a + b

    h, inflow, heads, inflows = h0.copy(), 0.0, [h0], [0.0]
    for start, stop in pairwise(times):
        share = np.arange(steps + 1) / steps
        grid = start + (stop - start) * (share**2 if start == times[0] else share)
        for dt in np.diff(grid):
            h, entered = advance(h, float(dt))
            inflow += entered
        heads.append(h)
        inflows.append(inflow)
    z = np.asarray((np.arange(cells) + 0.5) * dz, np.float64)
    return z, np.array(heads), np.array(inflows)


def held(soil: Soil, h_top: float) -> Callable[[float, float, float], float]:
    """A given head at the surface."""

    def flux(t: float, h: float, distance: float) -> float:
        K = 0.5 * float(soil.K(np.array(h)) + soil.K(np.array(h_top)))
        return K * ((h_top - h) / distance + 1)

    return flux


def held_below(soil: Soil, h_bottom: float) -> Callable[[float, float], float]:
    """A given head at the base."""

    def flux(h: float, distance: float) -> float:
        K = 0.5 * float(soil.K(np.array(h)) + soil.K(np.array(h_bottom)))
        return K * ((h - h_bottom) / distance + 1)

    return flux


def free(soil: Soil) -> Callable[[float, float], float]:
    """Unit gradient at the base."""
    return lambda h, distance: float(soil.K(np.array(h)))


def infiltrating(soil: Soil, K_s: float, rain: float, passage: float) -> Callable[[float, float, float], float]:
    """Rain, as far as the surface takes it in; the excess stands on it for the time `passage` before it runs off."""

    def flux(t: float, h: float, distance: float) -> float:
        K = 0.5 * (float(soil.K(np.array(h))) + K_s)
        # The pond is (rain - flux) passage deep, and presses on the soil.
        return min(rain, K * ((rain * passage - h) / distance + 1) / (1 + K * passage / distance))

    return flux


def crossing(z: Array, values: Array, level: float) -> float:
    """Depth at which a profile first falls below `level` going down."""
    k = int(np.argmax(values < level))
    return float(z[k - 1] + (values[k - 1] - level) / (values[k - 1] - values[k]) * (z[k] - z[k - 1]))


def extrapolated(numbers: Callable[[int], Numbers], cells: int) -> Numbers:
    """Numbers of `cells` and `2 cells` extrapolated in second order; `uncertainty` is what that changed."""
    coarse, fine = numbers(cells), numbers(2 * cells)
    out, doubt = dict[str, list[float]](), dict[str, float]()
    for name, value in fine.items():
        a, b = np.asarray(coarse[name]), np.asarray(value)
        out[name] = (b + (b - a) / 3).tolist()
        doubt[name] = float(np.max(np.abs(b - a)) / 3)
    return {**out, "cells": 2 * cells, "uncertainty": doubt}
