"""Base flow of a record of runoff, by a filter."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..errors import InputError

# Of the filter: what low frequencies keep, and how often the record is passed, forwards and backwards in turn.
KEPT, PASSES = 0.925, 3


def base_flow(runoff: Array) -> Array:
    """The slow part of daily runoff, `(days,)`: Lyne and Hollick's filter, forwards, backwards and forwards.

    Source: Nathan and McMahon 1990, Water Resour. Res. 26, eq 1, with their 0.925 and three passes.

    Raises:
        InputError: the record has gaps, or is no series.
    """
    slow = np.array(runoff, np.float64)
    if slow.ndim != 1 or len(slow) < 2 or not np.isfinite(slow).all():
        raise InputError("base flow needs a series of daily runoff without gaps")
    for turn in range(PASSES):
        series = slow if turn % 2 == 0 else slow[::-1]
        quick, found = 0.0, np.empty_like(series)
        found[0] = series[0]
        for day in range(1, len(series)):
            quick = KEPT * quick + 0.5 * (1 + KEPT) * (series[day] - series[day - 1])
            found[day] = series[day] - quick if quick > 0 else series[day]
        found = np.clip(found, 0.0, series)
        slow = found if turn % 2 == 0 else found[::-1]
    return slow


def base_flow_index(runoff: Array) -> float:
    """Share of base flow in all runoff of a record without gaps; NaN where nothing flows.

    Raises:
        InputError: as `base_flow`.
    """
    total = float(np.sum(runoff))
    return float(base_flow(runoff).sum() / total) if total > 0 else float("nan")
