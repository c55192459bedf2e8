"""Finite differences that know their own error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

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

    first = _first(value, one_sided)
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
    base = 2 if one_sided else 4
    entries, row = list[tuple[float, float, float]](), slopes[:1]
    for k in range(1, LEVELS):
        above, row = row, [slopes[k]]
        for j in range(1, k + 1):
            row.append(row[j - 1] + (row[j - 1] - above[j - 1]) / (base**j - 1))
            entries.append((max(abs(row[j] - row[j - 1]), abs(row[j] - above[j - 1])), row[j], steps[k]))
    (error, best, step), *others = sorted(entries)[:3]
    error = max(error, *(abs(entry - best) for _, entry, _ in others))
    if any(left) or any(right):  # entries that agree by chance are as noisy as others
        error = max(error, noise * abs(centre) / step)
    return Difference(float(best), float(error), None if one_sided else _sides(left, right))


def _first(value: Callable[[float], float], one_sided: bool) -> float:
    """The largest step that stays within bounds, which constraints between inputs may narrow."""
    step = LARGEST
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
