"""Published solutions of the IVP test set, and their confirmation with SciPy's Radau method.

Mazzia and Magherini 2008, Test set for initial value problem solvers, release 2.4, University of Bari.
The test set's own right-hand sides are plain arithmetic and shared with the models; the published digits
tell whether they are right.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from scipy.integrate import solve_ivp

from ...arrays import Array
from ..stiff import System

# The components at the end, as published.
DIGITS = {
    "robertson": """
        0.2083340149701255e-7 0.8333360770334713e-13 0.9999999791665050
    """,
    "van_der_pol": """
        1.706167732170469 -0.8928097010248125e-3
    """,
    "hires": """
        0.7371312573325668e-3 0.1442485726316185e-3 0.5888729740967575e-4 0.1175651343283149e-2
        0.2386356198831331e-2 0.6238968252742796e-2 0.2849998395185769e-2 0.2850001604814231e-2
    """,
    "orego": """
        0.1000814870318523e1 0.1228178521549917e4 0.1320554942846706e3
    """,
    "pollu": """
        0.5646255480022769e-1 0.1342484130422339 0.4139734331099427e-8 0.5523140207484359e-2 0.2018977262302196e-6
        0.1464541863493966e-6 0.7784249118997964e-1 0.3245075353396018 0.7494013383880406e-2 0.1622293157301561e-7
        0.1135863833257075e-7 0.2230505975721359e-2 0.2087162882798630e-3 0.1396921016840158e-4
        0.8964884856898295e-2 0.4352846369330103e-17 0.6899219696263405e-2 0.1007803037365946e-3
        0.1772146513969984e-5 0.5682943292316392e-4
    """,
}
PUBLISHED = {key: [float(digit) for digit in digits.split()] for key, digits in DIGITS.items()}


def confirm(system: System) -> float:
    """Largest relative difference between the published digits and Radau at the tightest tolerance it takes."""
    k, published = SimpleNamespace(**system.coefficients), np.array(PUBLISHED[system.key])
    # Written for tensors, they take arrays as well.
    rates: Callable[..., object] = system.rates

    def rate(t: float, y: Array) -> Array:
        return np.array(rates(y, k), float)

    atol = 1e-15 * np.maximum(np.abs(published), 1e-20)
    done = solve_ivp(rate, (0, system.end), np.array(system.y0), "Radau", rtol=1e-12, atol=atol)
    return float(np.max(np.abs(done.y[:, -1] / published - 1)))


def robertson_gradient() -> list[float]:
    """d/dk of the sum over t = 1, 10, 100 of 1e4 y2 + y3, from the forward sensitivity equations."""
    k1, k2, k3 = 0.04, 3e7, 1e4

    def rate(t: float, v: Array) -> Array:
        y = v[:3]
        sensitivity = v[3:].reshape(3, 3)
        a, b, c = k1 * y[0], k2 * y[1] ** 2, k3 * y[1] * y[2]
        # Of y1 and y3; those of the three together are zero.
        first, last = [-k1, k3 * y[2], k3 * y[1]], [0.0, 2 * k2 * y[1], 0.0]
        jacobian = np.array([first, [-p - q for p, q in zip(first, last, strict=True)], last])
        first, last = [-y[0], 0.0, y[1] * y[2]], [0.0, y[1] ** 2, 0.0]
        by_k = np.array([first, [-p - q for p, q in zip(first, last, strict=True)], last])
        return np.concatenate([[-a + c, a - b - c, b], (jacobian @ sensitivity + by_k).ravel()])

    atol = np.concatenate([np.full(3, 1e-16), np.tile([1e-14, 1e-22, 1e-18], 3)])
    start = np.concatenate([[1.0, 0, 0], np.zeros(9)])
    done = solve_ivp(rate, (0, 100), start, "Radau", [1.0, 10.0, 100.0], rtol=1e-12, atol=atol)
    summed = done.y[3:].reshape(3, 3, 3).sum(axis=2)
    return [float(slope) for slope in 1e4 * summed[1] + summed[2]]
