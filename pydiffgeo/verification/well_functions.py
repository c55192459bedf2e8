"""Exact solutions of flow to wells and of water tables, in NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..arrays import Array

EULER = 0.5772156649015329


def theis(u: Array) -> Array:
    """The well function W(u), the exponential integral E1 (Theis 1935): a series for small u, a continued fraction else."""
    u = np.asarray(u, np.float64)
    small, large = np.minimum(u, 1.0), np.maximum(u, 1.0)
    series, term = -EULER - np.log(small), np.ones_like(small)
    for k in range(1, 30):
        term = term * small / k
        series += term / k if k % 2 else -term / k
    fraction = np.zeros_like(large)
    for k in range(80, 0, -1):
        fraction = k / (1 + k / (large + fraction))
    return np.where(u < 1.0, series, np.exp(-large) / (large + fraction))


def hantush(u: Array, leakage: float) -> Array:
    """W(u, r/B) of a leaky aquifer (Hantush and Jacob 1955): the integral of exp(-y - (r/B)^2 / (4 y)) / y from u on."""
    u = np.asarray(u, np.float64)
    # In ln y the integrand falls off twice exponentially, and equal steps converge as fast.
    x = np.linspace(0.0, 1.0, 20001)
    low, high = np.log(np.minimum(u, 50.0)), math.log(60.0)
    y = np.exp(low[..., None] + (high - low[..., None]) * x)
    f = np.exp(-y - leakage**2 / (4 * y))
    weights = np.full(len(x), 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return np.asarray((f * weights).sum(-1) * (high - low) / (3 * (len(x) - 1)))


def neuman(t: Array, beta: float, sigma: float, terms: int = 12) -> Array:
    """Drawdown 4 pi T s / Q averaged over the depth of an unconfined aquifer (Neuman 1974), fully penetrating.

    Args:
        t: T t / (S r^2); beta: vertical by horizontal conductivity times (r / thickness)^2; sigma: S / S_y.

    From its Laplace transform: with p that of t, the head is a sum over roots of e tan(e) = p / (sigma beta) of
    2 K0(x) sin(e)^2 / (e (e + sin(e) cos(e))), x^2 = p + beta e^2, times 2 / p; inverted by Stehfest's method.
    """
    t = np.asarray(t, np.float64)
    total = np.zeros_like(t)
    for k, weight in enumerate(_stehfest(terms), start=1):
        p = k * math.log(2.0) / t
        n = np.arange(200)[:, None]
        # One root in each (n pi, n pi + pi / 2).
        low, high = n * math.pi + 0 * p, (n + 0.5) * math.pi + 0 * p
        for _ in range(60):
            e = 0.5 * (low + high)
            above = e * np.sin(e) * np.cos(n * math.pi) > p / (sigma * beta) * np.cos(e) * np.cos(n * math.pi)
            low, high = np.where(above, low, e), np.where(above, e, high)
        e = 0.5 * (low + high)
        # Where tan(e) is large 1 / (e + sin cos) keeps its digits.
        share = 2 * np.sin(e) ** 2 / (e * (e + np.sin(e) * np.cos(e)))
        total += weight * math.log(2.0) / t * (2 / p * share * bessel_k0(np.sqrt(p + beta * e**2))).sum(0)
    return total


def _stehfest(terms: int) -> list[float]:
    """Weights of Stehfest 1970, Communications of the ACM 13."""
    half, f = terms // 2, math.factorial
    return [
        (-1) ** (half + k)
        * sum(
            j**half * f(2 * j) / (f(half - j) * f(j) * f(j - 1) * f(k - j) * f(2 * j - k))
            for j in range((k + 1) // 2, min(k, half) + 1)
        )
        for k in range(1, terms + 1)
    ]


def bessel_k0(x: Array) -> Array:
    """The modified Bessel function K0: the integral of exp(-x cosh t), by equal steps, which converge fast."""
    x = np.asarray(x, np.float64)
    t = np.linspace(0.0, 1.0, 400)
    # Up to where exp(-x cosh t) is 1e-17 of its start.
    high = np.arccosh(1 + 40 / np.maximum(x, 1e-300))
    f = np.exp(-x[..., None] * (np.cosh(t * high[..., None]) - 1))
    weights = np.ones(len(t))
    weights[[0, -1]] = 0.5
    return np.asarray(np.exp(-x) * (f * weights).sum(-1) * high / (len(t) - 1))


def barenblatt(x: Array, t: float, K: float, S_y: float, amount: float) -> Array:
    """Height of a mound that spreads over a dry bed (Barenblatt 1952), from a line at x = 0; `amount` is its area.

    S_y h_t = K (h h_x)_x: h = tau^(-1/3) (C - x^2 tau^(-2/3) / 12) where that is positive, tau = K t / (2 S_y).
    """
    tau = K * t / (2 * S_y)
    c = (3 * amount / (8 * math.sqrt(3.0))) ** (2 / 3)
    return np.asarray(np.maximum(tau ** (-1 / 3) * (c - np.asarray(x) ** 2 * tau ** (-2 / 3) / 12), 0.0))


def boussinesq_shape(x: Array) -> Array:
    """h / h_m of a water table that falls alike everywhere, of x / L from the drain (Boussinesq 1904).

    x / L is the incomplete Beta function of (h / h_m)^3 with 2/3 and 1/2, here by h / h_m = sin(a)^(2/3) and quadrature.
    """
    a = np.linspace(0.0, math.pi / 2, 200001)
    # d(x/L) / da is proportional to sin(a)^(1/3): integrated after a = b^3, where it is smooth.
    b = (math.pi / 2) ** (1 / 3) * np.linspace(0.0, 1.0, len(a))
    f = np.sin(b**3) ** (1 / 3) * 3 * b**2
    along = np.concatenate([[0.0], np.cumsum(0.5 * (f[1:] + f[:-1]))])
    return np.interp(np.asarray(x, np.float64), along / along[-1], np.sin(b**3) ** (2 / 3))


def erfc(x: Array) -> Array:
    """The complementary error function."""
    function: Callable[[Array], Array] = np.vectorize(math.erfc, otypes=[np.float64])
    return function(np.asarray(x, np.float64))
