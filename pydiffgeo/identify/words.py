"""Directions of sought values in words that need no course in statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arrays import Array

# Entries smaller than this part of the largest are left out. Two that differ by less than this part count as equal.
SMALL, EQUAL = 0.15, 0.06
# So many are named.
MOST = 5
# A larger uncertainty is not told as a number.
MOST_FACTOR = 100
BEYOND = f"not known even to a factor of {MOST_FACTOR}"


def direction_in_words(names: Sequence[str], direction: Array, error: float, *, relative: bool) -> str:
    """What a change along a direction is, and what of it is known.

    Args:
        direction: `(n,)`. error: its standard error, infinite where nothing changes.
        relative: the entries are parts of the values, so that sums are products.
    """
    largest = np.abs(direction).max()
    order = [int(i) for i in np.argsort(-np.abs(direction), kind="stable") if abs(direction[i]) > SMALL * largest]
    shown, unseen = order[:MOST], bool(np.isinf(error))
    size = _percent(error) if relative else f"{error:.2g}"
    if len(order) == 1:
        what = f"the data know it to {size} only" if size else f"it is {BEYOND}"
        if unseen:
            what = "the data say nothing about it"
        return f"{names[order[0]]}: {what}"
    single = relative and len(order) > 2
    ups = ", ".join(f"{names[i]} {_moved(direction[i] / largest, single)}" for i in shown)
    more = " and others a little" if len(order) > len(shown) else ""
    effect = (
        "does not change what is observed"
        if unseen
        else f"hardly changes what is observed, and is {f'known to {size} only' if size else BEYOND}"
    )
    known = ""
    if relative and len(order) == 2:
        fixed = _fixed(names, direction, order)
        known = f": only {fixed} is known" if unseen else f"; {fixed} is known better"
    return f"{ups}{more} {'together' if single else 'in proportion'} {effect}{known}"


def _moved(share: float, percent: bool) -> str:
    """By how much, where the largest moves by 10 %, or as a part of it."""
    way = "up" if share > 0 else "down"
    if percent:
        return f"{way} by {10 * abs(share):.2g} %"
    return way if abs(share) > 1 - EQUAL else f"{way} ({abs(share):.2g} times as much)"


def _percent(error: float) -> str:
    """Empty where it is no use to say how badly something is known."""
    if error < 1:
        return f"± {100 * error:.2g} %"
    return f"a factor of {np.exp(error):.2g}" if error < np.log(MOST_FACTOR) else ""


def _fixed(names: Sequence[str], direction: Array, pair: Sequence[int]) -> str:
    """Of two values, the product of powers that stays what it is along the direction."""
    i, j = pair
    # The second has the power of one.
    power = abs(direction[j] / direction[i])
    exponent = "" if abs(power - 1) < EQUAL else f"^{power:.2g}"
    sign = " " if direction[i] * direction[j] < 0 else " / "
    return f"{names[i]}{exponent}{sign}{names[j]}"
