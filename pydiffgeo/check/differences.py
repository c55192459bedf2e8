"""Finite differences that know their own error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Indices
from ..errors import BoundsError

# The largest step, relative to the size of the inputs; steps are halved from there.
LARGEST, LEVELS = 0.04, 6
# How often the largest step is halved to stay within bounds.
TRIALS = 12
# Where larger steps leave doubt, so many sweeps begin with steps that are finer by this factor.
SWEEPS, FINER = 4, 64
# A finer sweep is believed against a coarser one from which it is so many times their errors away.
AGAINST = 10.0


@dataclass(frozen=True)
class Difference:
    """A derivative by finite differences.

    Attributes:
        value: the extrapolated derivative.
        error: how far off it may be, by its own account.
        sides: slopes to the left and to the right where they stay apart as steps shrink: a kink.
    """

    value: float
    error: float
    sides: tuple[float, float] | None = None


def difference(
    at: Callable[[float], float], one_sided: bool = False, *, enough: float = 1e-4, noise: float = 0.0
) -> Difference:
    """The derivative of `at` at zero.

    Central differences (or forward ones, if `one_sided`) over halved steps are extrapolated to a step of zero. Of the
    whole table the entry is taken that differs least from the two it is made of, which balances truncation
    against the noise of a solver. Its error is that difference, or how far the two next best are from it. Where it
    is more than `enough` of the value, finer steps are tried, for the function may bend within a step; there the
    error is not less than what the relative `noise` of `at` makes of it. Sources: Richardson 1911, Phil. Trans. R.
    Soc. A 210; Ridders 1982, Adv. Eng. Softw. 4(2).

    Raises:
        BoundsError: no step stays within bounds.
    """
    values = {0.0: at(0.0)}

    def value(step: float) -> float:
        if step not in values:
            values[step] = at(step)
        return values[step]

    first = within_bounds(value, LARGEST, one_sided)
    rounding = float(np.finfo(float).eps)
    best = _sweep(value, first, one_sided, rounding)
    for k in range(1, SWEEPS):
        step = first / FINER**k
        if best.error <= max(enough * abs(best.value), noise * abs(values[0.0]) / step):
            break
        finer = _sweep(value, step, one_sided, max(noise, rounding))
        if finer.error < best.error or abs(finer.value - best.value) > AGAINST * (finer.error + best.error):
            best = finer
    return best


def _sweep(value: Callable[[float], float], first: float, one_sided: bool, noise: float) -> Difference:
    """Extrapolated from steps halved from `first` on; `noise` is relative to the value at zero."""
    steps = [first / 2**k for k in range(LEVELS)]
    centre = value(0.0)
    right = [(value(h) - centre) / h for h in steps]
    left = right if one_sided else [(centre - value(-h)) / h for h in steps]
    slopes = [(a + b) / 2 for a, b in zip(left, right, strict=True)]
    values, errors, levels = extrapolated(np.array(slopes)[:, None], 2 if one_sided else 4)
    best, error, step = float(values[0]), float(errors[0]), steps[levels[0]]
    if any(left) or any(right):  # entries that agree by chance are as noisy as others
        error = max(error, noise * abs(centre) / step)
    return Difference(best, float(error), None if one_sided else _sides(left, right))


def extrapolated(slopes: Array, base: int) -> tuple[Array, Array, Indices]:
    """Slopes at a step of zero from those over halved steps `(steps, values)`, their errors, and the steps they rest on.

    `base` is by how much their error shrinks when the step is halved: 4 of central differences, 2 of forward ones. Of
    each value its own entry of Neville's table is taken, as `difference` says.
    """
    row, columns = slopes[:1], np.arange(slopes.shape[1])
    entries, changes, levels = list[Array](), list[Array](), list[int]()
    for k in range(1, len(slopes)):
        above, row = row, slopes[k : k + 1]
        for j in range(1, k + 1):
            row = np.vstack([row, row[j - 1] + (row[j - 1] - above[j - 1]) / (base**j - 1)])
            entries.append(row[j])
            changes.append(np.maximum(abs(row[j] - row[j - 1]), abs(row[j] - above[j - 1])))
            levels.append(k)
    table = np.array(entries)
    best, *others = np.argsort(changes, axis=0, kind="stable")[:3]
    value = table[best, columns]
    error = np.max([np.array(changes)[best, columns], *(abs(table[i, columns] - value) for i in others)], axis=0)
    return value, error, np.array(levels)[best]


def within_bounds(value: Callable[[float], object], step: float, one_sided: bool = False) -> float:
    """The largest of `step` and its halves that stays within bounds, which constraints between inputs may narrow."""
    for _ in range(TRIALS):
        try:
            value(step)
            if not one_sided:
                value(-step)
            return step
        except BoundsError as error:
            step, last = step / 2, error
    raise last


def _sides(left: list[float], right: list[float]) -> tuple[float, float] | None:
    """The last slopes, where the gap between them does not shrink with the step, as it would on a smooth curve."""
    gaps = np.subtract(right, left)
    settled = np.abs(gaps - gaps[-1]).max() < 0.3 * abs(gaps[-1])
    return (left[-1], right[-1]) if settled and abs(gaps[-1]) > 1e-3 * max(abs(left[-1]), abs(right[-1])) else None
