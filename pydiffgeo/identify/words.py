"""Directions of sought values in words that need no course in statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array

# Entries smaller than this part of the largest are left out. Two that differ by less than this part count as equal.
SMALL, EQUAL = 0.15, 0.06
# So many are named.
MOST = 5


def direction_in_words(names: Sequence[str], direction: Array, error: float, *, relative: bool) -> str:
    """What a change along a direction is, and what of it is known.

    Args:
        direction: `(n,)`. error: its standard error, infinite where nothing changes.
        relative: the entries are parts of the values, so that sums are products.
    """
    largest = np.abs(direction).max()
    order = [int(i) for i in np.argsort(-np.abs(direction), kind="stable") if abs(direction[i]) > SMALL * largest]
    shown = order[:MOST]
    size = (
        "does not change what is observed"
        if np.isinf(error)
        else f"hardly does: known to {_percent(error) if relative else f'{error:.2g}'}"
    )
    if len(shown) == 1:
        name = names[shown[0]]
        fate = (
            "the data say nothing about it"
            if np.isinf(error)
            else f"the data know it to {_percent(error) if relative else f'{error:.2g}'} only"
        )
        return f"{name}: {fate}"
    ups = ", ".join(
        f"{names[i]} {'up' if direction[i] > 0 else 'down'}{_times(abs(direction[i]) / largest)}" for i in shown
    )
    more = " and others a little" if len(order) > len(shown) else ""
    known = _known(names, direction, shown) if relative and len(shown) == 2 and len(order) == 2 else ""
    return f"{ups}{more} in proportion {size}{known}"


def _times(share: float) -> str:
    return "" if share > 1 - EQUAL else f" ({share:.2g} as much)"


def _percent(error: float) -> str:
    return f"{100 * error:.3g} %" if error < 3 else f"a factor of {np.exp(min(error, 20.0)):.2g}"


def _known(names: Sequence[str], direction: Array, pair: Sequence[int]) -> str:
    """Of two values, the product of powers that stays what it is along the direction."""
    i, j = pair
    a, b = abs(direction[j]), abs(direction[i])
    # First the one with the power of one.
    power = a / b
    opposite = direction[i] * direction[j] < 0
    first, second = names[j], names[i]
    exponent = "" if abs(power - 1) < EQUAL else f"^{power:.2g}"
    return (
        f": only {second}{exponent} {first} is known" if opposite else f": only {second}{exponent} / {first} is known"
    )
