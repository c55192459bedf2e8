"""A small integrator for independent statements of models: nothing of pydiffgeo."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def by_day(
    rates: Callable[..., list[float]], start: Sequence[float], weather: Sequence[Sequence[float]], steps: int
) -> np.ndarray:
    """Values at the end of each day, `(days, values)`, by the classical Runge-Kutta method with equal steps a day."""
    y, rows, h = np.array(start, float), [], 1.0 / steps
    for day in weather:
        for _ in range(steps):
            k1 = np.array(rates(y, *day))
            k2 = np.array(rates(y + h / 2 * k1, *day))
            k3 = np.array(rates(y + h / 2 * k2, *day))
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + np.array(rates(y + h * k3, *day)))
        rows.append(y)
    return np.array(rows)
