"""Errors against cell size or tolerance, and whether they fall with the order that is expected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..arrays import Array

FACE_ORDER = "central differences across faces of a uniform grid: second order"
PROFILE_ORDER = (
    "second order where cells resolve the front; a jump at the surface starts within one cell, in first order, "
    "and steep fronts are resolved late"
)
SATURATION_ORDER = "the edge of the saturated zone, where conductivity has an infinite slope, moves by whole cells: first order or better"
TOLERANCE_ORDER = "the error of each step is held at the tolerance, so the error in time falls about as fast as it"
RTOLS = (1e-4, 1e-5, 1e-6, 1e-7)


@dataclass(frozen=True)
class Convergence:
    """Error against cell size or tolerance, and the order it falls with.

    Attributes:
        kind: "space" (sizes are cell sizes) or "time" (sizes are relative tolerances).
        low, high: the observed order must lie between them.
        reason: why that order is expected.
        floor: errors below it, that of the reference or of round-off, say nothing about the order.
        within: where no error exceeds this many times its size, something else than the size keeps errors small, and
            their order may be any.
    """

    kind: Literal["space", "time"]
    sizes: tuple[float, ...]
    errors: tuple[float, ...]
    unit: str
    expected: float
    low: float
    high: float
    reason: str
    size_unit: str = "m"
    floor: float = 0.0
    within: float = 0.0

    @property
    def observed(self) -> float:
        """Slope of the least-squares line through log(error) against log(size); NaN from fewer than two errors."""
        sizes, errors = np.array(self.sizes), np.array(self.errors)
        told = errors > self.floor
        return float(np.polyfit(np.log(sizes[told]), np.log(errors[told]), 1)[0]) if told.sum() > 1 else float("nan")

    @property
    def passed(self) -> bool:
        small = all(e <= self.within * s for e, s in zip(self.errors, self.sizes, strict=True))
        return small or self.low <= self.observed <= self.high


# A study of convergence, made where it is called for.
Study = Callable[[], Convergence]


def study(
    kind: Literal["space", "time"],
    sizes: Sequence[float],
    error: Callable[[float], float],
    unit: str,
    expected: float,
    low: float,
    high: float,
    reason: str,
    size_unit: str = "m",
    floor: float = 0.0,
    within: float = 0.0,
) -> Convergence:
    """Runs `error` for each size."""
    errors = tuple(max(float(error(size)), 1e-300) for size in sizes)
    return Convergence(kind, tuple(sizes), errors, unit, expected, low, high, reason, size_unit, floor, within)


def in_space(
    error: Callable[[int], float],
    length: float,
    sizes: Sequence[float],
    unit: str,
    orders: tuple[float, float, float],
    reason: str = FACE_ORDER,
    size_unit: str = "m",
) -> Study:
    """A study of `error(cells)` of a column of a length in cells of some sizes.

    `orders` are the expected one and the bounds of what is observed.
    """
    return lambda: study("space", sizes, lambda size: error(round(length / size)), unit, *orders, reason, size_unit)


def in_time(
    values: Callable[[float], Array],
    unit: str,
    true: float | Array,
    rtols: Sequence[float] = RTOLS,
    *,
    high: float = 1.6,
    reason: str = TOLERANCE_ORDER,
    floor: float = 0.0,
    within: float = 0.0,
) -> Study:
    """A study of `values(rtol)` against true ones, or those at the tolerance `true`."""

    def make() -> Convergence:
        best = values(true) if isinstance(true, float) else true
        errors = {rtol: float(np.abs(values(rtol) - best).max()) for rtol in rtols}
        return study("time", rtols, errors.__getitem__, unit, 1.0, 0.5, high, reason, "m", floor, within)

    return make
