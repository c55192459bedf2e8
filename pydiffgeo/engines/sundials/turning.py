"""Whether decisions turn within an interval, and rates jump there: asked before an adjoint that does not see it."""

from __future__ import annotations

import casadi as ca
import numpy as np

from ...arrays import Array
from ..base import Status
from ..batch import Failure
from .calls import Call


class Turning:
    """Decisions of some functions, in time scaled to [0, 1]. Not for use by two threads at a time.

    Args:
        integrated: from the states and `par` at the start to the states and integrated sides at the end.
        sides: which side decisions are on, from states, `par` and the time.
        rates: of states and integrated fluxes, from the same.
    """

    def __init__(self, integrated: Call, sides: ca.Function, rates: ca.Function) -> None:
        self._integrated, self._sides, self._rates = integrated, sides, rates

    def within(self, y: Array, end: Array, par: Array) -> bool:
        """Has one of them turned on the way from `y` to `end`, with a jump of the rates?

        The sides that decisions are on are integrated beside the states: a sum that is constant in the interval is,
        integrated, what it was at the start or, where the solution begins on a switch, is at the end.
        """
        try:
            mean = self._integrated(y, par)[1].copy()
        except Failure as failure:
            if failure.status is Status.TIME_LIMIT:
                raise
            # An interval for the fallback: what turned and turned back within it is not seen.
            mean = None
        first, last = (np.array(self._sides(at, par, t)).ravel() for at, t in ((y, 0.0), (end, 1.0)))
        if mean is None:
            turned = not np.array_equal(first, last)
        else:
            turned = all(np.abs(mean - e).max() > 1e-9 * np.abs(e).max(initial=1.0) for e in (first, last))
        return turned and self._jumps_between(y, end, par)

    def _jumps_between(self, y: Array, end: Array, par: Array) -> bool:
        """Do the rates really jump at the turns on the straight way between two states? What turns twice counts as such."""

        def along(function: ca.Function, t: float) -> Array:
            return np.array(function(y + t * (end - y), par, t)).ravel()

        start, turns = 0.0, 0
        while not np.array_equal(along(self._sides, start), along(self._sides, 1.0)):
            low, high, side = start, 1.0, along(self._sides, start)
            for _ in range(60):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if np.array_equal(along(self._sides, middle), side) else (low, middle)
            near, nearest = (
                np.abs(along(self._rates, max(low - w, 0.0)) - along(self._rates, min(high + w, 1.0)))
                for w in (1e-6, 1e-10)
            )
            if (nearest > np.maximum(0.5 * near, 1e-9 * np.abs(along(self._rates, high)))).any():
                return True
            start, turns = min(high + 1e-12, 1.0), turns + 1
            if turns > 100:
                return True
        return turns == 0
