"""Where and when a measurement is worth most, of places and times that have no list."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..checks import check_whole, is_pair
from ..errors import BoundsError, InputError
from ..observe import Observation
from .design import Worth, in_words
from .inverse_problem import TIGHT, InverseProblem
from .mode import Mode

# So many of the best so far are looked around, at so many points on either side, each time this much closer.
KEPT, AROUND, CLOSER = 3, 2, 0.4


@dataclass(frozen=True, eq=False)
class Placed:
    """The best measurement of a kind.

    Attributes:
        at: what of it was free, such as depth and time, `(k,)`. observation: the measurement.
        words: what is measured, where and when.
        remaining: the part of the variance of the target that is left after it.
        looked_at: how many measurements it was chosen from.
    """

    at: Array
    observation: Observation
    words: str
    remaining: float
    looked_at: int


def best_place(
    problem: InverseProblem | Mode,
    make: Callable[[Array], Observation],
    bounds: Sequence[tuple[float, float]],
    target: str | Observation,
    *,
    points: int = 15,
    rounds: int = 4,
    rtol: float = TIGHT,
) -> Placed:
    """The measurement that leaves the least variance of a target, over continuous places and times.

    A lattice over the bounds is looked at first, then smaller ones about the best three, each time closer. Since
    measurements cost nothing before they are made, and all of a round are those of one solve, this is thorough where a
    descent would stay at the next ridge.

    Args:
        make: the measurement, or series of them, of free numbers `(k,)`, such as depth and time; values may be NaN.
        bounds: of each free number. target: see `design`.
        points: of the first lattice along each of them. rounds: of closer looks.

    Raises:
        BoundsError: bounds that are no pairs of growing numbers. Else as `design`.
    """
    check_whole(2, points=points)
    check_whole(0, rounds=rounds)
    if not len(bounds):
        raise InputError("give the bounds of at least one free number")
    for i, pair in enumerate(bounds):
        if not (is_pair(pair) and pair[0] < pair[1]):
            raise BoundsError(f"bounds of free number {i} must be two growing numbers, got {pair!r}")
    low, high = np.array(bounds, float).T
    worth = Worth.of(problem, target, rtol)
    places = np.array([*itertools.product(*(np.linspace(a, b, points) for a, b in bounds))])
    left, step = _left(worth, make, places), (high - low) / (points - 1)
    for _ in range(rounds):
        step = step * CLOSER
        around = step * np.array([*itertools.product(range(-AROUND, AROUND + 1), repeat=len(low))])
        best = places[np.argsort(left, kind="stable")[:KEPT]]
        near = np.clip(best[:, None] + around, low, high).reshape(-1, len(low))
        places, left = np.concatenate([places, near]), np.concatenate([left, _left(worth, make, near)])
    chosen = places[int(left.argmin())]
    observation = make(chosen.copy())
    words = in_words(observation, worth.site.model.time_unit)
    return Placed(chosen, observation, words, float(left.min()), len(places))


def _left(worth: Worth, make: Callable[[Array], Observation], places: Array) -> Array:
    rows = worth.rows([make(at.copy()) for at in places])
    return np.array([worth.left(worth.covariance, one) for one in rows])
