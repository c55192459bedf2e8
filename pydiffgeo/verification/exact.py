"""Exact solutions, in NumPy alone."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ..arrays import Array

_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def scaled_erfc(x: Array) -> Array:
    """exp(x^2) erfc(x) for x >= 0 without overflow: directly, then by its continued fraction."""
    x = np.asarray(x, np.float64)
    near = np.minimum(x, 5.0)
    direct = np.exp(near**2) * _erfc(near)
    fraction = np.zeros_like(x)
    far = np.maximum(x, 5.0)
    for k in range(60, 0, -1):
        fraction = (k / 2) / (far + fraction)
    return np.where(x < 5.0, direct, 1 / (math.sqrt(math.pi) * (far + fraction)))


def ogata_banks(x: Array, t: float, velocity: float, dispersion: float) -> Array:
    """Concentration, 1 at x = 0 and 0 at first (Ogata and Banks 1961, eq 26)."""
    root = 2 * math.sqrt(dispersion * t)
    ahead, behind = (x - velocity * t) / root, (x + velocity * t) / root
    # exp(v x / D) erfc(behind) = exp(-ahead^2) exp(behind^2) erfc(behind)
    return np.asarray(0.5 * (_erfc(ahead) + np.exp(-(ahead**2)) * scaled_erfc(behind)))


def third_kind(x: Array, t: float, velocity: float, dispersion: float) -> Array:
    """Concentration where water of concentration 1 comes in at x = 0 (van Genuchten and Alves 1982, solution A2).

    Velocity and dispersion are those divided by the retardation.
    """
    root = 2 * math.sqrt(dispersion * t)
    ahead, behind = (x - velocity * t) / root, (x + velocity * t) / root
    spread = velocity**2 * t / dispersion
    beyond = 0.5 * (1 + velocity * x / dispersion + spread) * scaled_erfc(behind)
    return np.asarray(0.5 * _erfc(ahead) + np.exp(-(ahead**2)) * (math.sqrt(spread / math.pi) - beyond))


def ogata_banks_inflow(t: Array, velocity: float, dispersion: float) -> Array:
    """Amount that has entered through x = 0 by time t: the integral of v c - D dc/dx there.

    Integrating dM/dt = v - D dc/dx with -D dc/dx = sqrt(D/(pi t)) exp(-s^2) - (v/2) erfc(s),
    s = v sqrt(t / D) / 2, gives the closed form below.
    """
    t = np.asarray(t, np.float64)
    s = 0.5 * velocity * np.sqrt(t / dispersion)
    return np.asarray(
        0.5 * velocity * t * (2 - _erfc(s))
        + np.sqrt(dispersion * t / math.pi) * np.exp(-(s**2))
        + dispersion / velocity * (1 - _erfc(s))
    )


def srivastava_yeh_roots(alpha: float, length: float, count: int) -> Array:
    """Positive roots of tan(lambda alpha L) + 2 lambda = 0 (eq 15), by bisection."""
    scaled = alpha * length
    n = np.arange(1, count + 1)
    # One root in each ((n - 1/2) pi, n pi) of lambda alpha L, where the tangent is negative.
    low, high = (n - 0.5) * math.pi / scaled * (1 + 1e-13), n * math.pi / scaled
    for _ in range(200):
        middle = 0.5 * (low + high)
        below = np.sin(middle * scaled) + 2 * middle * np.cos(middle * scaled)
        at_low = np.sin(low * scaled) + 2 * low * np.cos(low * scaled)
        same = np.sign(below) == np.sign(at_low)
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.asarray(0.5 * (low + high))


def srivastava_yeh(
    height: Array,
    t: float,
    *,
    K_s: float,
    alpha: float,
    length: float,
    theta: tuple[float, float],
    fluxes: tuple[float, float],
    terms: int = 400,
) -> Array:
    """Head of transient infiltration to a water table (Srivastava and Yeh 1991, eqs 9-16).

    The relative conductivity K = exp(alpha h) obeys K_zz + K_z = K_t in dimensionless height
    z = alpha * height and time tau = alpha K_s t / (theta_s - theta_r), K = 1 at z = 0 and
    K_z + K = q_B at z = L. Subtracting the steady profile of q_B and the factor exp(-z/2) leaves an
    eigenvalue problem with the roots above.

    Args:
        height: above the water table; theta: residual and saturated; fluxes: before and after t = 0.
    """
    q_a, q_b = (q / K_s for q in fluxes)
    z, whole = alpha * height, alpha * length
    tau = alpha * K_s * t / (theta[1] - theta[0])
    roots = srivastava_yeh_roots(1.0, whole, terms)[:, None]
    # eq 13, with the sign that its derivation gives.
    waves = np.sin(roots * z) * np.sin(roots * whole) * np.exp(-(roots**2) * tau)
    sums = (waves / (1 + whole / 2 + 2 * roots**2 * whole)).sum(0)
    steady = q_b - (q_b - 1) * np.exp(-z)
    series = 4 * (q_b - q_a) * np.exp((whole - z) / 2 - tau / 4) * sums
    return np.asarray(np.log(steady - series) / alpha)


def gamma_share(shape: int, x: Array) -> Array:
    """Regularised lower incomplete gamma function of whole `shape` (Nash 1957)."""
    x = np.asarray(x, np.float64)
    return np.asarray(1 - np.exp(-x) * sum(x**k / math.factorial(k) for k in range(shape)))


def green_ampt(t: Array, K_s: float, drive: float) -> Array:
    """Cumulative infiltration of a sharp front (Green and Ampt 1911): I - d ln(1 + I/d) = K_s t.

    Args:
        drive: capillary head at the front times the change of water content (m).
    """
    t = np.asarray(t, np.float64)
    depth = K_s * t + np.sqrt(2 * K_s * drive * t)
    for _ in range(60):
        miss = depth - drive * np.log1p(depth / drive) - K_s * t
        depth = depth - miss * (depth + drive) / np.maximum(depth, 1e-300)
    return np.asarray(depth)


def van_genuchten_K(h: Array, K_s: float, alpha: float, n: float) -> Array:
    """Conductivity of head, Mualem 1976 with van Genuchten 1980."""
    m = 1 - 1 / n
    x = (alpha * np.maximum(-np.asarray(h, np.float64), 0.0)) ** n
    se = (1 + x) ** -m
    return np.asarray(K_s * np.sqrt(se) * (1 - (x / (1 + x)) ** m) ** 2)


def steady_head(height: Array, flux: float, layers: tuple[tuple[float, float, float, float], ...]) -> Array:
    """Steady head above a water table under a downward `flux`: dh/dz = flux / K(h) - 1, by Runge and Kutta.

    Args:
        height: increasing heights above the water table.
        layers: (top of the layer, K_s, alpha, n), from below upwards.
    """
    z, h = [0.0], [0.0]
    start = 0.0
    for top, K_s, alpha, n in layers:
        steps = 4000
        # Steps shrink towards both ends of a layer, where heads bend most.
        nodes = start + (top - start) * 0.5 * (1 - np.cos(np.linspace(0, math.pi, steps + 1)))

        def slope(head: float, K_s: float = K_s, alpha: float = alpha, n: float = n) -> float:
            return flux / float(van_genuchten_K(np.asarray(head), K_s, alpha, n)) - 1

        for a, b in pairwise(nodes):
            d, y = b - a, h[-1]
            k1 = slope(y)
            k2 = slope(y + d / 2 * k1)
            k3 = slope(y + d / 2 * k2)
            k4 = slope(y + d * k3)
            z.append(float(b))
            h.append(y + d / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
        start = top
    return np.interp(height, z, h)
